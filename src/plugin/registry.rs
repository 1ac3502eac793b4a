//! The plugins that can be used: built-in ones, with folders of the operator's on top. A broken folder never replaces a good plugin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::load::{self, LoadError};
use super::plugin::Plugin;
use super::problem::Problem;

/// Plugins by id; reading takes no lock.
#[derive(Debug)]
pub struct Registry {
    dir: Option<PathBuf>,
    current: ArcSwap<BTreeMap<String, Arc<Plugin>>>,
    /// Versions that were replaced, by content hash: a call keeps the one that mapped it.
    older: Mutex<BTreeMap<String, Arc<Plugin>>>,
}

impl Registry {
    /// Loads the built-in plugins and those of `dir`; what did not load is told beside.
    pub fn open(dir: Option<&Path>) -> (Registry, Vec<LoadError>) {
        let registry = Registry { dir: dir.map(Path::to_owned), current: ArcSwap::default(), older: Mutex::default() };
        let errors = registry.reload();
        (registry, errors)
    }

    /// Of plugins that are already loaded.
    pub fn of(plugins: impl IntoIterator<Item = Plugin>) -> Registry {
        let current = plugins.into_iter().map(|plugin| (plugin.id().to_owned(), Arc::new(plugin))).collect::<BTreeMap<_, _>>();
        Registry { dir: None, current: ArcSwap::from_pointee(current), older: Mutex::default() }
    }

    /// Loads everything again. A folder with errors leaves the plugin of before in place.
    pub fn reload(&self) -> Vec<LoadError> {
        let mut errors = Vec::new();
        let mut next: BTreeMap<String, Arc<Plugin>> = BTreeMap::new();
        let before = self.current.load();
        let loaded = load::built_in().map(|(id, files)| load::load(&id, files)).chain(self.folders(&mut errors));
        for result in loaded.collect::<Vec<_>>() {
            match result {
                Ok(plugin) => {
                    let id = plugin.id().to_owned();
                    let same = before.get(&id).filter(|old| old.hash() == plugin.hash() && old.files().eq(plugin.files()));
                    next.insert(id, same.cloned().unwrap_or_else(|| Arc::new(plugin)));
                }
                Err(error) => {
                    if let Some(good) = before.get(&error.id) {
                        next.insert(error.id.clone(), good.clone());
                    }
                    errors.push(error);
                }
            }
        }
        let mut older = self.older.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, plugin) in before.iter() {
            if next.get(id).is_none_or(|new| new.hash() != plugin.hash()) {
                older.insert(plugin.hash().to_owned(), plugin.clone());
            }
        }
        drop(older);
        self.current.store(Arc::new(next));
        errors
    }

    fn folders(&self, errors: &mut Vec<LoadError>) -> Vec<Result<Plugin, LoadError>> {
        let Some(dir) = &self.dir else { return Vec::new() };
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) => {
                let problem = Problem::error(&dir.to_string_lossy(), 0, format!("the folder cannot be read: {error}"));
                errors.push(LoadError { id: String::new(), problems: vec![problem] });
                return Vec::new();
            }
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        paths.retain(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')));
        paths.sort();
        paths.iter().map(|path| load::load_dir(path)).collect()
    }

    pub fn get(&self, id: &str) -> Option<Arc<Plugin>> {
        self.current.load().get(id).cloned()
    }

    /// All plugins, by id.
    pub fn all(&self) -> Vec<Arc<Plugin>> {
        self.current.load().values().cloned().collect()
    }

    /// The ids, for "did you mean".
    pub fn ids(&self) -> Vec<String> {
        self.current.load().keys().cloned().collect()
    }

    /// The version of a plugin that has this content hash, also an older one; else the present one.
    pub fn version(&self, id: &str, hash: &str) -> Option<Arc<Plugin>> {
        let current = self.get(id);
        if current.as_ref().is_some_and(|plugin| plugin.hash() == hash) {
            return current;
        }
        let older = self.older.lock().unwrap_or_else(PoisonError::into_inner);
        older.get(hash).filter(|plugin| plugin.id() == id).cloned().or(current)
    }

    /// Lets go of older versions that nobody needs any more.
    pub fn forget(&self, needed: impl Fn(&str) -> bool) {
        self.older.lock().unwrap_or_else(PoisonError::into_inner).retain(|hash, _| needed(hash));
    }
}
