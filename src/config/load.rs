//! From files and environment to checked settings.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use config::{Config, Map, Value, ValueKind};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::layers::{self, Layer, directory, join, origin, place};
use super::problem::{ConfigError, Problem, io_words};
use super::reader::{ReadError, Reader};
use super::settings::{Settings, Store};
use super::{env, validate};
use crate::clock::Clock;

/// The reference of all options, compiled in.
pub(super) const DEFAULT_TOML: &str = include_str!("../../config/default.toml");

/// More problems than these help nobody.
const MAX_PROBLEMS: usize = 100;

/// Where settings come from. Later ones win.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--config`, in the order given.
    pub files: Vec<PathBuf>,
    /// `--config-dir`: every `*.toml` inside, by name.
    pub dirs: Vec<PathBuf>,
    /// Variables for `CALLBRIDGE__…` and `env:NAME`.
    pub env: Vec<(String, String)>,
    /// The day on which they are read, if it is to be told that a calendar is over.
    pub today: Option<Date>,
}

impl Sources {
    /// These files and directories, with the environment of the process.
    pub fn of_process(files: Vec<PathBuf>, dirs: Vec<PathBuf>) -> Self {
        let today = Clock::System.now().timestamp().to_zoned(TimeZone::UTC).date();
        Self { files, dirs, env: env::all(), today: Some(today) }
    }
}

/// Reads, merges, resolves and checks the settings; every problem is told at once. What is only doubtful is in `Settings::warnings`.
pub fn load(sources: &Sources) -> Result<Settings, ConfigError> {
    let mut problems = Vec::new();
    let tree = merge(sources, &mut problems);
    let mut removed = HashSet::new();
    let resolved = resolve(tree.clone(), "", sources, &mut problems, &mut removed);
    let settings = read::<Settings>(resolved, &mut problems, removed);
    if let Some(mut settings) = settings {
        let mut found = validate::check(&settings, sources.today);
        found.problems.retain(|(key, _)| !is_unset(&tree, key, sources));
        let placed = |(key, message): (String, String)| Problem { origin: find(&tree, &key).and_then(origin), key, message };
        problems.extend(found.problems.into_iter().map(placed));
        settings.warnings = found.warnings.into_iter().map(placed).collect();
        if problems.is_empty() {
            return Ok(settings);
        }
    }
    problems.sort_by_cached_key(|problem| problem.origin.as_deref().map(place));
    Err(ConfigError { problems })
}

/// Where the store is, whatever else is wrong with the settings.
pub fn store(sources: &Sources) -> Option<Store> {
    let mut problems = Vec::new();
    let tree = merge(sources, &mut problems);
    let ValueKind::Table(mut all) = tree.kind else { return None };
    let store = resolve(all.remove("store")?, "store", sources, &mut problems, &mut HashSet::new());
    // A file that cannot be read may be the one that names the store.
    if problems.is_empty() { Store::deserialize(Reader(&store)).ok() } else { None }
}

/// Whether the value that is spoken of is one that was not found: that has its own problem.
fn is_unset(tree: &Value, key: &str, sources: &Sources) -> bool {
    match find(tree, key) {
        Some(Value { kind: ValueKind::String(text), .. }) => look_up(text, None, sources).is_err() && text.starts_with("env:"),
        _ => false,
    }
}

/// All layers over each other, before `env:` and `file:` are looked up.
pub(super) fn merge(sources: &Sources, problems: &mut Vec<Problem>) -> Value {
    let mut all = vec![layers::from_toml(layers::BUILT_IN, DEFAULT_TOML, problems)];
    let mut files: Vec<PathBuf> = sources.files.clone();
    for dir in &sources.dirs {
        files.extend(toml_files(dir, problems));
    }
    for file in &files {
        match std::fs::read_to_string(file) {
            Ok(text) => all.push(layers::from_toml(&file.to_string_lossy(), &text, problems)),
            Err(error) => problems.push(unread(file, &error)),
        }
    }
    all.push(layers::from_env(&sources.env, problems));
    lay(all, problems)
}

/// A settings file that is not there, or not for this user.
fn unread(file: &Path, error: &std::io::Error) -> Problem {
    let how = match error.kind() {
        std::io::ErrorKind::NotFound => format!(". `callbridge config example > {}` writes one to begin with", file.display()),
        _ => String::new(),
    };
    Problem::new(Some(&file.to_string_lossy()), "", format!("the settings file cannot be read: {}{how}", io_words(error)))
}

fn toml_files(dir: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(dir).and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>());
    match listed {
        Ok(mut paths) => {
            paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
            paths.sort();
            paths
        }
        Err(error) => {
            problems.push(Problem::new(Some(&dir.to_string_lossy()), "", format!("the directory cannot be read: {}", io_words(&error))));
            Vec::new()
        }
    }
}

fn lay(all: Vec<Layer>, problems: &mut Vec<Problem>) -> Value {
    let mut builder = Config::builder();
    for layer in all {
        builder = builder.add_source(layer);
    }
    match builder.build() {
        Ok(config) => config.cache,
        Err(error) => {
            problems.push(Problem::new(None, "", error.to_string()));
            Value::new(None, ValueKind::Table(Map::new()))
        }
    }
}

/// Looks up `env:NAME` and `file:PATH`; what is not there becomes a problem. A text stands in for it, so that a line without its key is still
/// a line: the one mistake is told, and not what follows from it.
fn resolve(mut value: Value, path: &str, sources: &Sources, problems: &mut Vec<Problem>, removed: &mut HashSet<String>) -> Value {
    let place = value.origin().map(str::to_owned);
    value.kind = match value.kind {
        ValueKind::Table(table) => ValueKind::Table(
            table
                .into_iter()
                .map(|(key, below)| {
                    let below = resolve(below, &join(path, &key), sources, problems, removed);
                    (key, below)
                })
                .filter(|(_, below)| !matches!(below.kind, ValueKind::Nil))
                .collect(),
        ),
        ValueKind::Array(items) => {
            let resolved = items.into_iter().enumerate().map(|(i, item)| resolve(item, &join(path, &i.to_string()), sources, problems, removed));
            // What is not there keeps its place, so that those after it are told by theirs; the reader passes it over.
            ValueKind::Array(resolved.collect())
        }
        ValueKind::String(text) => match look_up(&text, place.as_deref(), sources) {
            Ok(text) => ValueKind::String(text),
            Err(message) => {
                problems.push(Problem::new(place.as_deref(), path, message));
                removed.insert(path.to_owned());
                ValueKind::String(format!("not-found-{:022}", problems.len()))
            }
        },
        other => other,
    };
    value
}

fn look_up(text: &str, place: Option<&str>, sources: &Sources) -> Result<String, String> {
    if let Some(name) = text.strip_prefix("env:") {
        let found = sources.env.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        return found.ok_or_else(|| format!("the environment variable {name} is not set"));
    }
    if let Some(path) = text.strip_prefix("file:") {
        // Beside the file that names it, so that a directory of settings can be moved.
        let path = directory(place).map_or_else(|| PathBuf::from(path), |dir| dir.join(path));
        let read = std::fs::read_to_string(&path).map_err(|error| format!("{} cannot be read: {}", path.display(), io_words(&error)))?;
        return Ok(read.trim_end_matches(['\n', '\r']).to_owned());
    }
    Ok(text.to_owned())
}

/// Reads the tree; after each error the offending value is taken out and reading starts again, so that all of them are told.
fn read<T: for<'de> Deserialize<'de>>(mut tree: Value, problems: &mut Vec<Problem>, mut removed: HashSet<String>) -> Option<T> {
    let unset = removed.clone();
    while problems.len() < MAX_PROBLEMS {
        let ReadError { path, missing, origin, message } = match T::deserialize(Reader(&tree)) {
            Ok(read) => return Some(read),
            Err(error) => error,
        };
        let key = path.join(".");
        let absent = missing.map(|field| join(&key, field));
        // What was taken out before is not missing, and what stands in for a secret may be of the wrong kind: both have their own problem.
        if !unset.contains(&key) && absent.as_ref().is_none_or(|absent| !removed.contains(absent)) {
            problems.push(Problem { origin, key: key.clone(), message });
        }
        if path.is_empty() || !remove(&mut tree, &path) {
            return None;
        }
        removed.insert(key);
    }
    None
}

fn remove(tree: &mut Value, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    match &mut tree.kind {
        ValueKind::Table(table) if rest.is_empty() => table.remove(first).is_some(),
        ValueKind::Table(table) => table.get_mut(first).is_some_and(|below| remove(below, rest)),
        ValueKind::Array(items) => match first.parse::<usize>() {
            Ok(at) if at < items.len() && rest.is_empty() => {
                items[at].kind = ValueKind::Nil;
                true
            }
            Ok(at) => items.get_mut(at).is_some_and(|below| remove(below, rest)),
            Err(_) => false,
        },
        _ => false,
    }
}

/// The value at `a.b.c`, or the nearest one above it. Ids never hold a dot.
fn find<'t>(tree: &'t Value, key: &str) -> Option<&'t Value> {
    let mut at = tree;
    for part in key.split('.') {
        let below = match &at.kind {
            ValueKind::Table(table) => table.get(part),
            ValueKind::Array(items) => part.parse::<usize>().ok().and_then(|i| items.get(i)),
            _ => None,
        };
        match below {
            Some(below) => at = below,
            None => break,
        }
    }
    Some(at)
}
