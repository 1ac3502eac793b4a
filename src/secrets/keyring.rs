//! The keys that seal: the first seals and opens, the others only open until everything is sealed anew.

use std::fmt;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use sha2::{Digest, Sha256};

use crate::config;
use crate::domain::secret::SecretText;

/// Why there is no keyring.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("a key must be 32 bytes, written as 64 hex digits or 44 characters of base64")]
    Shape,
    #[error("the key file {0} cannot be used: {1}")]
    File(PathBuf, std::io::Error),
    #[error("the key file {0} holds no key; restore it from a backup (without it the stored secrets cannot be opened)")]
    BadFile(PathBuf),
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

struct Key {
    id: String,
    cipher: XChaCha20Poly1305,
}

/// Keys by id; never printed.
pub struct Keyring {
    /// Never empty; the first one seals.
    keys: Vec<Key>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

impl Keyring {
    /// `current` seals; `old` ones still open.
    pub fn new(current: [u8; 32], old: &[[u8; 32]]) -> Self {
        let key = |bytes: &[u8; 32]| Key { id: key_id(bytes), cipher: XChaCha20Poly1305::new(bytes.into()) };
        Self { keys: std::iter::once(&current).chain(old).map(key).collect() }
    }

    /// The keys of the settings; without one, that of `<store.path>/secret.key`, which is made (mode 0600) where it is missing.
    pub fn of_settings(secrets: &config::Secrets, store_path: &Path) -> Result<Self, KeyError> {
        let current = match &secrets.key {
            Some(text) => read_key(text)?,
            None => key_file(&store_path.join("secret.key"))?,
        };
        let old = secrets.old_keys.iter().map(read_key).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::new(current, &old))
    }

    /// The key of `<directory>/secret.key`, which is made (mode 0600) where it is missing.
    pub fn of_file(directory: &Path) -> Result<Self, KeyError> {
        Ok(Self::new(key_file(&directory.join("secret.key"))?, &[]))
    }

    /// The key of a file that must be there.
    pub fn of_key_file(path: &Path) -> Result<Self, KeyError> {
        let text = std::fs::read_to_string(path).map_err(|error| KeyError::File(path.to_owned(), error))?;
        Ok(Self::new(read_key(&SecretText::new(text)).map_err(|_| KeyError::BadFile(path.to_owned()))?, &[]))
    }

    /// The id of the key that seals.
    pub fn current_id(&self) -> &str {
        self.keys.first().map_or("", |key| &key.id)
    }

    pub(super) fn sealing(&self) -> Option<(&str, &XChaCha20Poly1305)> {
        self.keys.first().map(|key| (key.id.as_str(), &key.cipher))
    }

    pub(super) fn opening(&self, id: &str) -> Option<&XChaCha20Poly1305> {
        self.keys.iter().find(|key| key.id == id).map(|key| &key.cipher)
    }
}

/// Names a key without telling it: the beginning of a hash that is used for nothing else.
fn key_id(key: &[u8; 32]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"callbridge key id");
    hash.update(key);
    hex::encode(&hash.finalize()[..4])
}

fn read_key(text: &SecretText) -> Result<[u8; 32], KeyError> {
    let text = text.expose().trim();
    let bytes = hex::decode(text).or_else(|_| STANDARD.decode(text)).map_err(|_| KeyError::Shape)?;
    bytes.try_into().map_err(|_| KeyError::Shape)
}

fn key_file(path: &Path) -> Result<[u8; 32], KeyError> {
    let failed = |error| KeyError::File(path.to_owned(), error);
    match std::fs::read_to_string(path) {
        Ok(text) => read_key(&SecretText::new(text)).map_err(|_| KeyError::BadFile(path.to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(KeyError::Random)?;
            let dir = path.parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(dir).map_err(failed)?;
            write_durably(path, &format!("{}\n", hex::encode(key)), dir).map_err(failed)?;
            // Two processes may have made one at the same time: the one whose file stands wins, for both.
            let text = std::fs::read_to_string(path).map_err(failed)?;
            read_key(&SecretText::new(text)).map_err(|_| KeyError::BadFile(path.to_owned()))
        }
        Err(error) => Err(failed(error)),
    }
}

/// The whole file or none, on disk before anything is sealed with it; an existing file stays.
fn write_durably(path: &Path, text: &str, dir: &Path) -> std::io::Result<()> {
    let beside = dir.join(format!("secret.key.{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&beside, path);
    std::fs::remove_file(&beside)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => std::fs::File::open(dir)?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn secrets(key: Option<&str>) -> config::Secrets {
        config::Secrets { key: key.map(SecretText::from), old_keys: Vec::new() }
    }

    #[test]
    fn the_first_start_makes_a_key_that_only_the_owner_reads() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("data");
        let first = Keyring::of_settings(&secrets(None), &store).unwrap();
        assert_eq!(std::fs::metadata(store.join("secret.key")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&store).unwrap().count(), 1);
        let second = Keyring::of_settings(&secrets(None), &store).unwrap();
        assert_eq!(first.current_id(), second.current_id());
    }

    #[test]
    fn a_key_file_without_a_key_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret.key"), "").unwrap();
        assert!(matches!(Keyring::of_settings(&secrets(None), dir.path()), Err(KeyError::BadFile(_))));
    }

    #[test]
    fn hex_and_base64_name_the_same_key() {
        let (hex, base64) = ("07".repeat(32), STANDARD.encode([7; 32]));
        let id = |text: &str| Keyring::of_settings(&secrets(Some(text)), Path::new("/nowhere")).map(|ring| ring.current_id().to_owned());
        assert_eq!(id(&hex).unwrap(), id(&base64).unwrap());
        assert!(matches!(id("too short"), Err(KeyError::Shape)));
    }
}
