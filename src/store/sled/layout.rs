//! How the store's trees lie in sled: all in one tree, each key behind the number of its tree.
//!
//! In the first layout each tree was a tree of sled's, and a group of writes was a transaction over eight trees: sled reads every key
//! once more for that, and it was a third of the committer's time. A store of that layout is gathered into the one tree when it is
//! opened. Which layout a store has is said in its old `meta` tree, where a program that knows only the first one looks too and refuses.

use std::fs::File;

use sled::{Batch, Db, IVec};

use super::keys::{self, Tree};

/// The layout that this program writes.
pub const VERSION: u8 = 2;
/// The one tree.
pub const RECORDS: &str = "records";
/// Rows copied in one batch: larger ones than a group's were never tried against power cuts.
const SLICE: usize = 64;

/// A key as it lies in the store.
pub fn key(tree: Tree, key: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(key.len() + 1);
    stored.push(tree as u8);
    stored.extend_from_slice(key);
    stored
}

/// A row under its own key.
pub fn row(row: sled::Result<(IVec, IVec)>) -> sled::Result<(IVec, IVec)> {
    row.map(|(key, value)| (key.subslice(1, key.len() - 1), value))
}

/// The layout of a store; `None`: it is new.
pub fn version(db: &Db) -> sled::Result<Option<u8>> {
    Ok(db.open_tree(Tree::Meta.name())?.get(keys::SCHEMA)?.and_then(|schema| schema.first().copied()))
}

/// Copies every row of the first layout into the one tree. A crash on the way leaves the old trees as they were: it begins anew.
pub fn gather(db: &Db, log: &File) -> sled::Result<()> {
    tracing::info!("the store is brought into a new layout; with many finished calls this takes a while");
    let records = db.open_tree(RECORDS)?;
    // What an attempt of before copied may have been removed from the old trees since, by an older program.
    records.clear()?;
    for tree in Tree::ALL {
        let mut batch = Batch::default();
        for (n, row) in db.open_tree(tree.name())?.iter().enumerate() {
            let (own, value) = row?;
            batch.insert(key(tree, &own), value);
            if n % SLICE == SLICE - 1 {
                records.apply_batch(std::mem::take(&mut batch))?;
            }
        }
        records.apply_batch(batch)?;
    }
    sync(db, log)
}

/// Says that the one tree counts, then gives the room of the old ones back.
pub fn settle(db: &Db, log: &File) -> sled::Result<()> {
    let meta = db.open_tree(Tree::Meta.name())?;
    if version(db)? != Some(VERSION) {
        meta.insert(keys::SCHEMA, &[VERSION])?;
        sync(db, log)?;
    }
    let old = Tree::ALL.iter().filter(|tree| **tree != Tree::Meta).map(|tree| tree.name());
    for name in old.filter(|name| db.tree_names().iter().any(|known| known.as_ref() == name.as_bytes())) {
        db.drop_tree(name)?;
    }
    for key in meta.iter().keys() {
        let key = key?;
        if key != keys::SCHEMA {
            meta.remove(key)?;
        }
    }
    Ok(())
}

fn sync(db: &Db, log: &File) -> sled::Result<()> {
    db.flush()?;
    Ok(log.sync_data()?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::secrets::Keyring;
    use crate::store::sled::open::{self, OpenError, Options};

    fn rows(dir: &Path) -> Vec<(Tree, Vec<u8>, Vec<u8>)> {
        let trees = soon(|| open::open(&options(dir)));
        let all = Tree::ALL.into_iter().flat_map(|tree| trees.under(tree, &[]).map(move |row| (tree, row.unwrap())));
        all.map(|(tree, (key, value))| (tree, key.to_vec(), value.to_vec())).filter(|(tree, key, _)| *tree != Tree::Meta || !changes(key)).collect()
    }

    /// What every start writes anew.
    fn changes(key: &[u8]) -> bool {
        [keys::EPOCH, keys::INSTANCE, keys::SCHEMA].contains(&key)
    }

    fn options(dir: &Path) -> Options {
        Options { keys: Some(Arc::new(Keyring::of_file(dir).unwrap())), ..Options::new(&dir.join("s")) }
    }

    fn sled_of(dir: &Path) -> Db {
        let open = || sled::Config::new().path(dir.join("s")).segment_size(8 * 1024 * 1024).flush_every_ms(None).open();
        soon(open)
    }

    /// sled lets go of its lock a moment after the last handle is dropped.
    fn soon<T, E: std::fmt::Display>(open: impl Fn() -> Result<T, E>) -> T {
        for _ in 0..200 {
            if let Ok(opened) = open() {
                return opened;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        open().unwrap_or_else(|error| panic!("{error}"))
    }

    /// A store of the first layout, as its program wrote it: a tree of sled's for each tree. Some values are as large as values may be.
    fn first_layout(dir: &Path) -> Vec<(Tree, Vec<u8>, Vec<u8>)> {
        let db = sled_of(dir);
        db.open_tree("meta").unwrap().insert(keys::SCHEMA, &[1]).unwrap();
        db.open_tree("meta").unwrap().insert(keys::EPOCH, &7u64.to_be_bytes()).unwrap();
        let mut all = Vec::new();
        for tree in Tree::ALL {
            for n in 0..300u16 {
                let (key, value) = ([b"k".as_slice(), &n.to_be_bytes()].concat(), vec![n as u8; if n % 50 == 0 { keys::CHUNK_BYTES } else { 40 }]);
                db.open_tree(tree.name()).unwrap().insert(&key, value.clone()).unwrap();
                all.push((tree, key, value));
            }
        }
        db.flush().unwrap();
        all
    }

    #[test]
    fn a_store_of_the_first_layout_keeps_every_row() {
        let dir = tempfile::tempdir().unwrap();
        let before = first_layout(dir.path());
        assert_eq!(rows(dir.path()), before);
        let trees = soon(|| open::open(&options(dir.path())));
        assert_eq!(trees.epoch, 9, "the epoch goes on");
        assert_eq!(version(&trees.db).unwrap(), Some(VERSION));
        assert_eq!(trees.db.tree_names().iter().filter(|name| name.as_ref() == b"calls").count(), 0, "the old trees are gone");
        // A program of the first layout looks there, and refuses.
        assert_eq!(trees.db.open_tree("meta").unwrap().len(), 1);
    }

    #[test]
    fn a_crash_while_gathering_loses_and_revives_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let before = first_layout(dir.path());
        let db = sled_of(dir.path());
        // An attempt of before got so far; then an older program ran and removed that row.
        db.open_tree(RECORDS).unwrap().insert(key(Tree::Tasks, b"gone since"), b"old").unwrap();
        drop(db);
        assert_eq!(rows(dir.path()), before);
        // Between "the one tree counts" and the end of the old trees.
        let db = sled_of(dir.path());
        db.open_tree("calls").unwrap().insert(b"left over", b"old").unwrap();
        db.open_tree("meta").unwrap().insert(b"left over", b"old").unwrap();
        drop(db);
        assert_eq!(rows(dir.path()), before);
    }

    #[test]
    fn a_layout_of_a_newer_program_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let db = sled_of(dir.path());
        db.open_tree("meta").unwrap().insert(keys::SCHEMA, &[VERSION + 1]).unwrap();
        drop(db);
        assert!(matches!(open::open(&options(dir.path())), Err(OpenError::Newer(3))));
    }
}
