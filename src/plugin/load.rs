//! A folder, from disk or compiled in, to a checked plugin.

use std::collections::BTreeMap;
use std::path::Path;

use include_dir::{Dir, DirEntry, include_dir};
use sha2::{Digest, Sha256};

use super::check;
use super::compile::MANIFEST;
use super::manifest::Manifest;
use super::plugin::Plugin;
use super::problem::{Problem, Severity, of_toml};

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/plugins");

/// The most a plugin folder may hold.
const MAX_FILES: usize = 500;
const MAX_FILE_BYTES: u64 = 4 << 20;

/// A folder that is no plugin, with everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plugin `{id}`: {}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct LoadError {
    /// The folder's name.
    pub id: String,
    pub problems: Vec<Problem>,
}

/// The files of a folder, by path inside with `/`.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Compiles and checks one folder.
pub fn load(id: &str, files: Files) -> Result<Plugin, LoadError> {
    let fail = |problems| LoadError { id: id.to_owned(), problems };
    let Some(bytes) = files.get(MANIFEST) else {
        return Err(fail(vec![Problem::error(MANIFEST, 0, "the folder has no plugin.toml")]));
    };
    let source = match String::from_utf8(bytes.clone()) {
        Ok(source) => source,
        Err(_) => return Err(fail(vec![Problem::error(MANIFEST, 0, "the file is not UTF-8")])),
    };
    let manifest: Manifest = toml::from_str(&source).map_err(|error| fail(vec![of_toml(MANIFEST, &source, &error)]))?;
    let hash = hash(&files);
    let (mut plugin, problems) = check::build(id, &source, manifest, &files, hash);
    let (errors, warnings): (Vec<_>, Vec<_>) = problems.into_iter().partition(|problem| problem.severity == Severity::Error);
    if !errors.is_empty() {
        return Err(fail(errors));
    }
    plugin.warnings = warnings;
    plugin.files = files;
    Ok(plugin)
}

/// A folder on disk; its name is the plugin's id.
pub fn load_dir(path: &Path) -> Result<Plugin, LoadError> {
    let id = name_of(path);
    let mut files = Files::new();
    match read(path, path, &mut files) {
        Ok(()) => load(&id, files),
        Err(problem) => Err(LoadError { id, problems: vec![problem] }),
    }
}

/// A folder's own name; `.` and `..` have none, the folder that they mean has.
fn name_of(path: &Path) -> String {
    let named = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    named(path).or_else(|| named(&path.canonicalize().ok()?)).unwrap_or_default()
}

fn read(root: &Path, folder: &Path, files: &mut Files) -> Result<(), Problem> {
    let problem = |path: &Path, why: String| Problem::error(&path.strip_prefix(root).unwrap_or(path).to_string_lossy(), 0, why);
    let entries = std::fs::read_dir(folder).map_err(|error| problem(folder, format!("the folder cannot be read: {error}")))?;
    for entry in entries {
        let entry = entry.map_err(|error| problem(folder, error.to_string()))?;
        let path = entry.path();
        // What begins with a dot or ends with a tilde is an editor's or a file system's own.
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let meta = entry.metadata().map_err(|error| problem(&path, error.to_string()))?;
        if meta.is_dir() {
            let before = files.len();
            read(root, &path, files)?;
            // A case that was begun must not pass for one that is not there.
            if files.len() == before && folder.strip_prefix(root).is_ok_and(|inside| inside == Path::new("cases")) {
                files.insert(format!("cases/{name}/"), Vec::new());
            }
            continue;
        }
        if !meta.is_file() {
            return Err(problem(&path, "links and special files are not read".to_owned()));
        }
        if meta.len() > MAX_FILE_BYTES || files.len() >= MAX_FILES {
            return Err(problem(&path, format!("a plugin holds at most {MAX_FILES} files of {MAX_FILE_BYTES} bytes")));
        }
        let bytes = std::fs::read(&path).map_err(|error| problem(&path, error.to_string()))?;
        let inside = path.strip_prefix(root).unwrap_or(&path).components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        files.insert(inside, bytes);
    }
    Ok(())
}

/// The folders that are compiled in, by id.
pub fn built_in() -> impl Iterator<Item = (String, Files)> {
    built_in_ids().filter_map(|id| built_in_files(&id).map(|files| (id, files)))
}

pub fn built_in_ids() -> impl Iterator<Item = String> {
    BUILT_IN.dirs().map(|dir| dir.path().to_string_lossy().into_owned())
}

pub fn built_in_files(id: &str) -> Option<Files> {
    let dir = BUILT_IN.dirs().find(|dir| dir.path().to_string_lossy() == id)?;
    let mut files = Files::new();
    collect(dir, id, &mut files);
    Some(files)
}

fn collect(dir: &Dir<'_>, root: &str, files: &mut Files) {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => collect(dir, root, files),
            DirEntry::File(file) => {
                let path = file.path().to_string_lossy().replace('\\', "/");
                files.insert(path.strip_prefix(root).unwrap_or(&path).trim_start_matches('/').to_owned(), file.contents().to_vec());
            }
        }
    }
}

/// Over what changes behaviour: cases, read-me and icon do not make another version.
fn hash(files: &Files) -> String {
    let mut hash = Sha256::new();
    for (path, bytes) in files.iter().filter(|(path, _)| *path == MANIFEST || path.starts_with("templates/")) {
        hash.update(u64::try_from(path.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(path);
        hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(bytes);
    }
    hex::encode(hash.finalize())
}
