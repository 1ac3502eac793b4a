//! Sees that somebody edits plugins: the folder is looked at, not loaded, a few times a second.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// Two looks and a load stay well under two seconds.
pub const EVERY: Duration = Duration::from_millis(500);
/// An editor that never rests is not waited for longer than so many looks.
const PATIENCE: u8 = 3;
/// Entries looked at; a folder with more is no folder of plugins.
const MOST: usize = 50_000;

/// What was seen of a folder.
#[derive(Debug)]
pub struct Watch {
    loaded: u64,
    seen: u64,
    restless: u8,
}

impl Watch {
    /// Of what is loaded now.
    pub fn new(dir: &Path) -> Watch {
        let now = fingerprint(dir);
        Watch { loaded: now, seen: now, restless: 0 }
    }

    /// True when the folder changed and has come to rest: an edit of two files is taken as one, and half a file is not taken.
    pub fn look(&mut self, dir: &Path) -> bool {
        let now = fingerprint(dir);
        let rests = std::mem::replace(&mut self.seen, now) == now;
        if now == self.loaded {
            self.restless = 0;
            return false;
        }
        self.restless = if rests { PATIENCE } else { self.restless + 1 };
        let take = self.restless >= PATIENCE;
        if take {
            (self.loaded, self.restless) = (now, 0);
        }
        take
    }
}

/// Of names, sizes, inodes and times of change: nothing is read, and a copy that keeps its old date is seen too.
fn fingerprint(dir: &Path) -> u64 {
    let mut hash = DefaultHasher::new();
    let mut folders = vec![dir.to_owned()];
    let mut left = MOST;
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> = std::fs::read_dir(&folder).into_iter().flatten().flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let (path, top) = (entry.path(), folder == dir);
            // A plugin may be a link to its folder; inside, links are not followed.
            let meta = if top { std::fs::metadata(&path) } else { entry.metadata() };
            left = left.saturating_sub(1);
            let Ok(meta) = meta else { continue };
            if left == 0 || entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            path.hash(&mut hash);
            if meta.is_dir() {
                folders.push(path);
            } else {
                (meta.ino(), meta.len(), meta.ctime(), meta.ctime_nsec(), meta.mtime(), meta.mtime_nsec()).hash(&mut hash);
            }
        }
    }
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_when_it_has_come_to_rest() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mine/templates/a.txt.hbs");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "1").unwrap();
        let mut watch = Watch::new(dir.path());
        assert!(!watch.look(dir.path()));
        std::fs::write(&file, "22").unwrap();
        assert_eq!([(); 3].map(|()| watch.look(dir.path())), [false, true, false]);
        // Back before anybody loaded it: nothing happened.
        let other = dir.path().join("mine/new");
        std::fs::write(&other, "").unwrap();
        assert!(!watch.look(dir.path()));
        std::fs::remove_file(&other).unwrap();
        assert_eq!([(); 3].map(|()| watch.look(dir.path())), [false; 3]);
    }

    #[test]
    fn somebody_who_never_rests_is_not_waited_for_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(dir.path());
        let looks: Vec<bool> = (0..6)
            .map(|n| {
                std::fs::write(dir.path().join("a"), "x".repeat(n)).unwrap();
                watch.look(dir.path())
            })
            .collect();
        assert_eq!(looks, [false, false, true, false, false, true]);
    }
}
