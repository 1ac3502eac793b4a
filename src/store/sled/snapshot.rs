//! A consistent copy of the store while it works, in one file that is verified by reading it back.
//!
//! The trees are copied as they are read; keys written meanwhile are noted, and at the end their newest values are appended
//! while the committer stands still for as long as that takes. Read in order, the file gives the store of that last moment.
//!
//! File: the line `callbridge-backup 1\n`, then rows of tree (1 byte), key length, value length (4 bytes each, big-endian;
//! value length `u32::MAX` = removed), key, value; then a row with tree 0xFF whose value is the SHA-256 of everything before it.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use sha2::{Digest, Sha256};

use super::keys::{self, Tree};
use super::layout;
use super::open::{self, OpenError, Options};
use super::sealed;
use super::store::SledStore;
use crate::domain::schedule::{Brakes, Stopped};
use crate::domain::time::Time;
use crate::failpoint::Step;
use crate::secrets::{Keyring, SealError};
use crate::store::codec;
use crate::store::verbs::StoreError;

const HEAD: &[u8] = b"callbridge-backup 1\n";
const REMOVED: u32 = u32::MAX;
const END: u8 = 0xFF;

/// Where scheduled snapshots of a store lie: beside it, so that losing the directory does not lose them.
pub fn folder(store: &Path) -> PathBuf {
    store.with_file_name(format!("{}-snapshots", store.file_name().unwrap_or_default().to_string_lossy()))
}

/// The scheduled snapshots of a store, oldest first: their names are times.
pub fn scheduled(store: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder(store)).ok().into_iter().flatten().flatten().map(|e| e.path());
    let mut files: Vec<PathBuf> = files.filter(|p| p.extension().is_some_and(|x| x == "callbridge")).collect();
    files.sort();
    files
}

/// Why a backup cannot be written, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{0}: {1}")]
    Io(PathBuf, std::io::Error),
    #[error("{0} is not a callbridge backup")]
    NotABackup(PathBuf),
    #[error("{path} is damaged: {why}")]
    Damaged { path: PathBuf, why: String },
    #[error("{0} is not empty: restore into a new directory")]
    NotEmpty(PathBuf),
    #[error("{0}. Give the file it lies in (secret.key of the store that was backed up) with --key")]
    Key(SealError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the store does not take the backup: {0}")]
    Store(String),
}

struct Out {
    file: BufWriter<File>,
    hash: Sha256,
    rows: u64,
}

impl Out {
    fn bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }

    fn row(&mut self, tree: u8, key: &[u8], value: Option<&[u8]>) -> std::io::Result<()> {
        let too_long = |_| std::io::Error::other("a record longer than 4 GiB");
        self.bytes(&[tree])?;
        self.bytes(&u32::try_from(key.len()).map_err(too_long)?.to_be_bytes())?;
        let length = match value {
            Some(value) => u32::try_from(value.len()).map_err(too_long)?,
            None => REMOVED,
        };
        self.bytes(&length.to_be_bytes())?;
        self.bytes(key)?;
        self.bytes(value.unwrap_or_default())?;
        self.rows += 1;
        Ok(())
    }
}

/// Copies the store to `path`; gives the number of rows. The file appears under its name only when it is whole and verified.
pub async fn snapshot(store: &SledStore, path: &Path) -> Result<u64, StoreError> {
    let failed = |e: &dyn std::fmt::Display| StoreError::Broken(format!("the backup failed: {e}"));
    // Until the end of this one: a second that began between its last rows and its end would lose its list of written keys.
    let Ok(_only) = store.shared.copying.try_acquire() else {
        return Err(StoreError::Broken("another backup is being written".into()));
    };
    *store.shared.dirty.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    let part = path.with_extension("part");
    let result = copy(store, &part).await;
    *store.shared.dirty.lock().unwrap_or_else(PoisonError::into_inner) = None;
    let rows = result?;
    let (part_path, path) = (part.clone(), path.to_owned());
    tokio::task::spawn_blocking(move || {
        verify(&part_path)?;
        let failed = |e| BackupError::Io(path.clone(), e);
        std::fs::rename(&part_path, &path).map_err(failed)?;
        // The name too has to survive a power cut.
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    })
    .await
    .map_err(|_| StoreError::Shut)?
    .map_err(|e| failed(&e))?;
    Ok(rows)
}

async fn copy(store: &SledStore, part: &Path) -> Result<u64, StoreError> {
    let failed = |e: std::io::Error| StoreError::Broken(format!("the backup failed: {e}"));
    let (reader, part) = (store.clone(), part.to_owned());
    let mut out = tokio::task::spawn_blocking(move || scan(&reader, &part)).await.map_err(|_| StoreError::Shut)??;
    let last = store.clone();
    // The committer runs this between two groups: nothing is written while the last values are read.
    store
        .committer
        .run(Step::Snapshot, move |_tx| {
            let dirty = last.shared.dirty.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
            let trees = last.trees()?;
            for key in dirty {
                let value = trees.read(&key).map_err(|e| StoreError::Broken(e.to_string()))?;
                let Some((tree, key)) = key.split_first() else { continue };
                out.row(*tree, key, value.as_deref()).map_err(failed)?;
            }
            let rows = out.rows;
            let digest = out.hash.clone().finalize();
            out.row(END, b"", Some(&digest)).map_err(failed)?;
            let file = out.file.into_inner().map_err(|e| failed(e.into_error()))?;
            file.sync_all().map_err(failed)?;
            Ok(rows)
        })
        .await
}

fn scan(store: &SledStore, part: &Path) -> Result<Out, StoreError> {
    let failed = |e: std::io::Error| StoreError::Broken(format!("the backup failed: {e}"));
    let trees = store.trees()?;
    if let Some(folder) = part.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    // It holds phone numbers and notes: for this user only, like the store.
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(part).map_err(failed)?;
    let mut out = Out { file: BufWriter::new(file), hash: Sha256::new(), rows: 0 };
    out.bytes(HEAD).map_err(failed)?;
    for tree in Tree::ALL {
        for row in trees.under(tree, &[]) {
            let (key, value) = row.map_err(|e| StoreError::Broken(e.to_string()))?;
            out.row(tree as u8, &key, Some(&value)).map_err(failed)?;
        }
    }
    Ok(out)
}

struct In {
    file: BufReader<File>,
    hash: Sha256,
    path: PathBuf,
}

impl In {
    fn open(path: &Path) -> Result<Self, BackupError> {
        let file = File::open(path).map_err(|e| BackupError::Io(path.to_owned(), e))?;
        let mut reader = Self { file: BufReader::new(file), hash: Sha256::new(), path: path.to_owned() };
        let mut head = [0u8; HEAD.len()];
        reader.fill(&mut head).map_err(|_| BackupError::NotABackup(path.to_owned()))?;
        if head != *HEAD {
            return Err(BackupError::NotABackup(path.to_owned()));
        }
        Ok(reader)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), BackupError> {
        self.file.read_exact(bytes).map_err(|e| BackupError::Damaged { path: self.path.clone(), why: e.to_string() })?;
        self.hash.update(&*bytes);
        Ok(())
    }

    /// The next row; `None` after the last, whose digest fits.
    #[expect(clippy::type_complexity, reason = "a row is just that")]
    fn row(&mut self) -> Result<Option<(Tree, Vec<u8>, Option<Vec<u8>>)>, BackupError> {
        let digest = self.hash.clone().finalize();
        let mut head = [0u8; 9];
        self.fill(&mut head)?;
        let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (key_len, value_len) = (number(1), number(5));
        if key_len > 1 << 20 || (value_len != REMOVED && value_len > 1 << 24) {
            return Err(BackupError::Damaged { path: self.path.clone(), why: "a row of impossible length".into() });
        }
        let mut key = vec![0u8; key_len as usize];
        self.fill(&mut key)?;
        let value = if value_len == REMOVED {
            None
        } else {
            let mut value = vec![0u8; value_len as usize];
            self.fill(&mut value)?;
            Some(value)
        };
        if head[0] == END {
            let fits = value.as_deref() == Some(digest.as_slice());
            return if fits { Ok(None) } else { Err(BackupError::Damaged { path: self.path.clone(), why: "its checksum does not fit".into() }) };
        }
        let tree =
            Tree::ALL.get(usize::from(head[0])).copied().ok_or_else(|| BackupError::Damaged { path: self.path.clone(), why: "an unknown tree".into() })?;
        Ok(Some((tree, key, value)))
    }
}

/// Reads a backup to its end; gives the number of rows.
pub fn verify(path: &Path) -> Result<u64, BackupError> {
    let mut reader = In::open(path)?;
    let mut rows = 0;
    while reader.row()?.is_some() {
        rows += 1;
    }
    Ok(rows)
}

/// A key that is not the backup's would be noticed at the next start, too late.
fn openable(backup: &Path, keys: &Keyring) -> Result<(), BackupError> {
    let mut reader = In::open(backup)?;
    let mut last = None;
    while let Some((tree, key, value)) = reader.row()? {
        if tree == Tree::Meta && key == keys::INSTANCE {
            last = value;
        }
    }
    last.map_or(Ok(()), |value| sealed::instance(&value, keys).map(|_| ()).map_err(BackupError::Key))
}

/// Makes a store in an empty directory from a backup, whose secrets `keys` open. All calling is stopped in it: calls that
/// were queued when the backup was taken may have been dialled since, and only a person can know.
pub fn restore(backup: &Path, to: &Path, keys: Arc<Keyring>, now: Time) -> Result<u64, BackupError> {
    verify(backup)?;
    let mut others = to.read_dir().into_iter().flatten().flatten().filter(|entry| entry.file_name() != "secret.key");
    if others.next().is_some() {
        return Err(BackupError::NotEmpty(to.to_owned()));
    }
    openable(backup, &keys)?;
    let store = |e: ::sled::Error| BackupError::Store(e.to_string());
    let trees = open::open(&Options { keys: Some(keys), ..Options::new(to) })?;
    let mut reader = In::open(backup)?;
    let mut rows = 0u64;
    let mut batch = ::sled::Batch::default();
    loop {
        let row = reader.row()?;
        let end = row.is_none();
        if let Some((tree, key, value)) = row {
            match value {
                Some(value) => batch.insert(layout::key(tree, &key), value),
                None => batch.remove(layout::key(tree, &key)),
            }
            rows += 1;
        }
        // Small pieces: a batch above 256 KiB is a larger write than was ever tried.
        if end || rows.is_multiple_of(200) {
            trees.write(std::mem::take(&mut batch)).map_err(store)?;
        }
        if end {
            break;
        }
    }
    let mut brakes: Brakes = match trees.get(Tree::Meta, keys::BRAKES).map_err(store)? {
        Some(bytes) => codec::decode(&bytes).map_err(|e| BackupError::Store(e.to_string()))?,
        None => Brakes::default(),
    };
    brakes.stopped = Some(Stopped {
        by: "restore".into(),
        since: now,
        reason: "restored from a backup: calls that were queued then may have been dialled since. Check them, then resume.".into(),
    });
    let mut batch = ::sled::Batch::default();
    batch.insert(layout::key(Tree::Meta, keys::BRAKES), codec::encode(&brakes).map_err(|e| BackupError::Store(e.to_string()))?);
    trees.write(batch).map_err(store)?;
    trees.sync().map_err(BackupError::Store)?;
    Ok(rows)
}
