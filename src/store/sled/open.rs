//! Opening a sled directory, with what its crashes leave behind put right.

use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sled::{IVec, Mode};

use super::keys::{self, Tree};
use super::{layout, sealed};
use crate::failpoint;
use crate::secrets::{KeyError, Keyring, SealError, Sealed};
use crate::store::codec;

/// How to open a store.
#[derive(Debug, Clone)]
pub struct Options {
    pub path: PathBuf,
    /// sled's page cache in bytes.
    pub cache_bytes: u64,
    /// New work is refused when less than this is free.
    pub reserve_mib: u64,
    /// What seals secrets; `None`: the key file in the directory, made where it is missing.
    pub keys: Option<Arc<Keyring>>,
}

impl Options {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), cache_bytes: 16 * 1024 * 1024, reserve_mib: 64, keys: None }
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the store in {0} is in use by another callbridge process")]
    InUse(PathBuf),
    #[error("the store in {path} cannot be opened: {why}. It was left as it is; {}", advice(path))]
    Damaged { path: PathBuf, why: String },
    #[error("the store was written by a newer callbridge (schema {0}); run that version")]
    Newer(u8),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the secrets in the store {0} cannot be opened: {1}")]
    Sealed(PathBuf, SealError),
    #[error("{0}: {1}")]
    Io(PathBuf, std::io::Error),
}

/// The exact command that gets the newest snapshot back.
fn advice(path: &Path) -> String {
    let aside = path.with_extension("damaged");
    let backup = super::snapshot::scheduled(path).pop().map_or_else(|| "<your backup>".to_owned(), |p| p.display().to_string());
    format!(
        "move it aside and restore the newest backup: mv {0} {1} && callbridge restore {backup} --to {0} --key {1}/secret.key",
        path.display(),
        aside.display()
    )
}

/// The open store and the handle that makes it durable. All trees lie in one of sled's, each key behind the number of its tree: a group
/// of writes is one batch of one tree then, which sled applies as a whole without reading every key first.
pub struct Trees {
    pub db: sled::Db,
    records: sled::Tree,
    sync: File,
    pub epoch: u64,
    pub instance: [u8; 32],
    pub keys: Arc<Keyring>,
}

impl Trees {
    pub fn get(&self, tree: Tree, key: &[u8]) -> sled::Result<Option<IVec>> {
        self.read(&layout::key(tree, key))
    }

    /// The same by the key as it lies in the store.
    pub fn read(&self, key: &[u8]) -> sled::Result<Option<IVec>> {
        self.records.get(key)
    }

    /// Rows of a tree whose keys begin with `prefix`, in order.
    pub fn under(&self, tree: Tree, prefix: &[u8]) -> impl DoubleEndedIterator<Item = sled::Result<(IVec, IVec)>> + use<> {
        self.records.scan_prefix(layout::key(tree, prefix)).map(layout::row)
    }

    /// Rows of a tree from a key on, in order; `before`: up to a key, without it.
    pub fn range(&self, tree: Tree, from: &[u8], before: Option<&[u8]>) -> impl DoubleEndedIterator<Item = sled::Result<(IVec, IVec)>> + use<> {
        let end = before.map_or_else(|| vec![tree as u8 + 1], |key| layout::key(tree, key));
        self.records.range(layout::key(tree, from)..end).map(layout::row)
    }

    /// Writes all of it or nothing.
    pub fn write(&self, batch: sled::Batch) -> sled::Result<()> {
        self.records.apply_batch(batch)
    }

    /// Makes everything written so far survive a power cut. sled's own flush ends in `sync_file_range`, which does not.
    pub fn sync(&self) -> Result<(), String> {
        self.db.flush().map_err(|e| e.to_string())?;
        failpoint::hit(failpoint::COMMIT_FLUSHED);
        self.sync.sync_data().map_err(|e| e.to_string())
    }
}

/// A process that is ending has two seconds to let go of the directory.
const LOOKS_UNTIL_FREE: usize = 40;
const PAUSE_UNTIL_FREE: Duration = Duration::from_millis(50);

/// Opens the directory, makes it if it is missing, and starts a new epoch.
pub fn open(options: &Options) -> Result<Trees, OpenError> {
    let path = &options.path;
    // It holds phone numbers and the key of the callback tokens: for this user only.
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| OpenError::Io(path.clone(), e))?;
    wait_until_free(path)?;
    mend(path)?;
    let keys = match &options.keys {
        Some(keys) => Arc::clone(keys),
        None => Arc::new(Keyring::of_file(path)?),
    };
    // sled panics on some damaged files.
    let opened = catch_unwind(AssertUnwindSafe(|| open_sled(options, keys)));
    match opened {
        Ok(result) => result,
        Err(_) => Err(OpenError::Damaged { path: path.clone(), why: "sled panicked while reading it".into() }),
    }
}

fn open_sled(options: &Options, keyring: Arc<Keyring>) -> Result<Trees, OpenError> {
    let path = &options.path;
    let damaged = |e: String| OpenError::Damaged { path: path.clone(), why: e };
    let db = sled::Config::new()
        .path(path)
        .mode(Mode::HighThroughput)
        .cache_capacity(options.cache_bytes)
        // Pages larger than a quarter of a segment go to files that are never synced; fixed at creation.
        .segment_size(8 * 1024 * 1024)
        .flush_every_ms(None)
        .open()
        .map_err(|e| if e.to_string().contains("lock") { OpenError::InUse(path.clone()) } else { damaged(e.to_string()) })?;
    let sync = File::options().read(true).write(true).open(path.join("db")).map_err(|e| OpenError::Io(path.join("db"), e))?;
    write_through(&sync);
    let failed = |e: sled::Error| damaged(e.to_string());
    let settle = || layout::settle(&db, &sync).map_err(|e| damaged(e.to_string()));
    match layout::version(&db).map_err(failed)? {
        Some(layout::VERSION) | None => settle()?,
        Some(newer) if newer > layout::VERSION => return Err(OpenError::Newer(newer)),
        Some(_) => {
            layout::gather(&db, &sync).map_err(|e| damaged(e.to_string()))?;
            settle()?;
        }
    }
    let records = db.open_tree(layout::RECORDS).map_err(failed)?;
    let mut trees = Trees { db, records, sync, epoch: 0, instance: [0; 32], keys: Arc::clone(&keyring) };
    let meta = |key: &[u8]| trees.get(Tree::Meta, key).map_err(failed);
    if let Some(version) = meta(keys::SCHEMA)?.and_then(|schema| schema.first().copied()).filter(|version| *version > codec::VERSION) {
        return Err(OpenError::Newer(version));
    }
    let epoch = meta(keys::EPOCH)?.and_then(|v| v.as_ref().try_into().ok().map(u64::from_be_bytes)).unwrap_or(0) + 1;
    let unreadable = |e| OpenError::Sealed(path.clone(), e);
    let instance = match meta(keys::INSTANCE)? {
        Some(stored) => sealed::instance(&stored, &keyring).map_err(unreadable)?,
        None => {
            let mut key = [0u8; 32];
            getrandom::fill(&mut key).map_err(|e| damaged(e.to_string()))?;
            key
        }
    };
    // Anew at each start: so it is always under the newest key.
    let sealed_instance = Sealed::seal(&keyring, &instance).map_err(unreadable)?.to_text();
    let mut batch = sled::Batch::default();
    let mut put = |key: &[u8], value: &[u8]| batch.insert(layout::key(Tree::Meta, key), value);
    put(keys::SCHEMA, &[codec::VERSION]);
    put(keys::EPOCH, &epoch.to_be_bytes());
    put(keys::INSTANCE, sealed_instance.as_bytes());
    failpoint::hit(failpoint::OPEN.before);
    trees.write(batch).map_err(failed)?;
    (trees.epoch, trees.instance) = (epoch, instance);
    trees.sync().map_err(damaged)?;
    failpoint::hit(failpoint::OPEN.after);
    Ok(trees)
}

/// Asks the file system to finish each write to the log before the next (the file keeps the mark).
///
/// sled gives a segment a new use as soon as its own flush says that what stood there was moved; that flush ends in
/// `sync_file_range`, which does not write down where a new segment lies. A power cut between that and our sync then leaves the
/// old place overwritten and the new one missing: a store that does not open (5 of 11 stores within 10 cuts each). Where a file system knows
/// no such mark, that risk stays.
fn write_through(log: &File) {
    let marked = rustix::fs::ioctl_getflags(log).and_then(|flags| rustix::fs::ioctl_setflags(log, flags | rustix::fs::IFlags::SYNC));
    if let Err(error) = marked {
        tracing::warn!(error = %error, "the file system of store.path cannot write through; after a power cut a backup may be needed");
    }
}

/// Who closes a store lets go of it a moment later. While another process has it, nothing in it may be mended either.
fn wait_until_free(path: &Path) -> Result<(), OpenError> {
    let held = || {
        // sled takes the same lock.
        let Ok(log) = File::open(path.join("db")) else { return false };
        rustix::fs::flock(&log, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err()
    };
    for _ in 0..LOOKS_UNTIL_FREE {
        if !held() {
            return Ok(());
        }
        std::thread::sleep(PAUSE_UNTIL_FREE);
    }
    if held() { Err(OpenError::InUse(path.to_owned())) } else { Ok(()) }
}

/// Removes what a crash while opening leaves: both are safe to remove and stop sled from opening otherwise.
fn mend(path: &Path) -> Result<(), OpenError> {
    let io = |e| OpenError::Io(path.to_owned(), e);
    for entry in std::fs::read_dir(path).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // Snapshots are written only while opening, and the old one goes after the rename.
        if name.starts_with("snap.") && name.ends_with(".generating") {
            std::fs::remove_file(entry.path()).map_err(io)?;
        }
    }
    let started = std::fs::metadata(path.join("db")).is_ok_and(|m| m.len() > 0);
    if !started && path.join("conf").exists() {
        std::fs::remove_file(path.join("conf")).map_err(io)?;
    }
    Ok(())
}
