//! The plugins that can be used: built-in ones, with folders of the operator's on top. A broken folder never replaces a good plugin.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;

use super::compile::MANIFEST;
use super::load::{self, LoadError};
use super::plugin::Plugin;
use super::problem::Problem;

/// Replaced versions that are remembered, of all plugins together. Past it the oldest go: their calls end with the present version.
const OLDER_KEPT: usize = 256;

/// Plugins by id; reading takes no lock.
#[derive(Debug)]
pub struct Registry {
    dir: Option<PathBuf>,
    shipped: Shipped,
    /// The operator's own.
    current: ArcSwap<BTreeMap<String, Arc<Plugin>>>,
    /// Versions that were replaced, oldest first: a call keeps the one that mapped it.
    older: Mutex<Vec<Arc<Plugin>>>,
    problems: ArcSwap<Vec<LoadError>>,
}

/// The built-in plugins. Each is compiled when it is first asked for: a server uses few of them, and all together are a tenth of a second
/// and many megabytes.
#[derive(Debug, Default)]
struct Shipped(BTreeMap<String, OnceLock<Option<Arc<Plugin>>>>);

impl Shipped {
    fn new() -> Shipped {
        Shipped(load::built_in_ids().map(|id| (id, OnceLock::new())).collect())
    }

    fn get(&self, id: &str) -> Option<Arc<Plugin>> {
        let load = || match load::load(id, load::built_in_files(id)?) {
            Ok(plugin) => Some(Arc::new(plugin)),
            Err(error) => {
                tracing::error!(plugin = id, error = %error, "a built-in plugin does not load");
                None
            }
        };
        self.0.get(id)?.get_or_init(load).clone()
    }
}

/// What a reload came to.
#[derive(Debug, Default)]
pub struct Reloaded {
    /// Plugins that are new or have a new version.
    pub changed: Vec<Arc<Plugin>>,
    /// Folders that could not be taken and were not said to be so before.
    pub problems: Vec<LoadError>,
}

impl Registry {
    /// The built-in plugins, and those of `dir`; what of these did not load is told beside.
    pub fn open(dir: Option<&Path>) -> (Registry, Vec<LoadError>) {
        let registry = Registry { dir: dir.map(Path::to_owned), shipped: Shipped::new(), ..Registry::of([]) };
        let problems = registry.reload(|_| Vec::new()).problems;
        (registry, problems)
    }

    /// Of plugins that are already loaded.
    pub fn of(plugins: impl IntoIterator<Item = Plugin>) -> Registry {
        let current = plugins.into_iter().map(|plugin| (plugin.id().to_owned(), Arc::new(plugin))).collect::<BTreeMap<_, _>>();
        Registry { dir: None, shipped: Shipped::default(), current: ArcSwap::from_pointee(current), older: Mutex::default(), problems: ArcSwap::default() }
    }

    /// Where the operator's own plugins lie.
    pub fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// Loads everything again. A folder with errors, one that `refused` finds a fault with, and one that is gone leave the plugin of
    /// before in place.
    pub fn reload(&self, refused: impl Fn(&Plugin) -> Vec<String>) -> Reloaded {
        let before = self.current.load_full();
        let (mut problems, mut next) = (Vec::new(), BTreeMap::new());
        for loaded in self.folders(&mut problems) {
            let fits = loaded.and_then(|plugin| match same(&before, &plugin) {
                true => Ok(plugin),
                false => fitting(plugin, &refused),
            });
            take(fits, &before, &mut next, &mut problems);
        }
        let mut changed = Vec::new();
        for (id, plugin) in before.iter() {
            if next.contains_key(id) {
                continue;
            }
            if let Some(shipped) = self.shipped.get(id) {
                changed.push(shipped);
            } else {
                let problem = Problem::error(MANIFEST, 0, "the folder is gone; the version of before is used until the server is started again");
                problems.push(LoadError { id: id.clone(), problems: vec![problem] });
                next.insert(id.clone(), plugin.clone());
            }
        }
        changed.extend(next.values().filter(|plugin| before.get(plugin.id()).is_none_or(|old| !Arc::ptr_eq(old, plugin))).cloned());
        self.remember(before.values().filter(|old| next.get(old.id()).is_none_or(|new| new.hash() != old.hash())));
        self.current.store(Arc::new(next));
        let told = self.problems.swap(Arc::new(problems.clone()));
        Reloaded { changed, problems: problems.into_iter().filter(|problem| !told.contains(problem)).collect() }
    }

    fn remember<'p>(&self, replaced: impl Iterator<Item = &'p Arc<Plugin>>) {
        let mut older = self.older.lock().unwrap_or_else(PoisonError::into_inner);
        for plugin in replaced {
            older.retain(|old| (old.id(), old.hash()) != (plugin.id(), plugin.hash()));
            older.push(plugin.clone());
        }
        let over = older.len().saturating_sub(OLDER_KEPT);
        older.drain(..over);
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
        self.current.load().get(id).cloned().or_else(|| self.shipped.get(id))
    }

    /// All plugins, by id.
    pub fn all(&self) -> Vec<Arc<Plugin>> {
        self.ids().iter().filter_map(|id| self.get(id)).collect()
    }

    /// The ids, for "did you mean".
    pub fn ids(&self) -> Vec<String> {
        let ids: BTreeSet<String> = self.current.load().keys().chain(self.shipped.0.keys()).cloned().collect();
        ids.into_iter().collect()
    }

    /// Why there is no plugin of this id though its folder is there.
    pub fn broken(&self, id: &str) -> Option<LoadError> {
        let error = self.problems.load().iter().find(|error| error.id == id).cloned()?;
        self.get(id).is_none().then_some(error)
    }

    /// Whether what is in use is the operator's own, and not the one that ships.
    pub fn is_own(&self, id: &str) -> bool {
        self.current.load().contains_key(id)
    }

    /// What could not be taken when it was last loaded.
    pub fn problems(&self) -> Arc<Vec<LoadError>> {
        self.problems.load_full()
    }

    /// The version of a plugin that has this content hash, also an older one; else the present one.
    pub fn version(&self, id: &str, hash: &str) -> Option<Arc<Plugin>> {
        let current = self.get(id);
        if current.as_ref().is_some_and(|plugin| plugin.hash() == hash) {
            return current;
        }
        let older = self.older.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|plugin| (plugin.id(), plugin.hash()) == (id, hash)).cloned();
        older.or_else(|| self.shipped.get(id).filter(|plugin| plugin.hash() == hash)).or(current)
    }
}

type Plugins = BTreeMap<String, Arc<Plugin>>;

fn same(before: &Plugins, plugin: &Plugin) -> bool {
    before.get(plugin.id()).is_some_and(|old| old.hash() == plugin.hash() && old.files().eq(plugin.files()))
}

/// One that cannot serve the connections that use it is not taken.
fn fitting(plugin: Plugin, refused: &impl Fn(&Plugin) -> Vec<String>) -> Result<Plugin, LoadError> {
    let faults: Vec<Problem> = refused(&plugin).into_iter().map(|fault| Problem::error(MANIFEST, 0, fault)).collect();
    if faults.is_empty() { Ok(plugin) } else { Err(LoadError { id: plugin.id().to_owned(), problems: faults }) }
}

fn take(loaded: Result<Plugin, LoadError>, before: &Plugins, next: &mut Plugins, problems: &mut Vec<LoadError>) {
    match loaded {
        Ok(plugin) => {
            let kept = before.get(plugin.id()).filter(|_| same(before, &plugin)).cloned();
            next.insert(plugin.id().to_owned(), kept.unwrap_or_else(|| Arc::new(plugin)));
        }
        Err(error) => {
            if let Some(good) = before.get(&error.id) {
                next.insert(error.id.clone(), good.clone());
            }
            problems.push(error);
        }
    }
}
