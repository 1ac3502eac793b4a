//! `Sealed<T>`: a value that is kept encrypted (XChaCha20-Poly1305) and opened only where it is used.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::XNonce;
use chacha20poly1305::aead::{Aead, Payload};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::keyring::Keyring;

/// Bound into every sealed value, so that bytes sealed for another use never open here.
const PURPOSE: &[u8] = b"callbridge sealed value 1";

/// Why a value was not sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the secret was sealed with the key {0}, which is not here; give it as secrets.key or among secrets.old_keys")]
    UnknownKey(String),
    #[error("the sealed secret was changed, or is cut off")]
    Damaged,
    #[error("the secret cannot be sealed: {0}")]
    Failed(String),
}

/// An encrypted `T`: `{"key": id, "nonce": base64, "data": base64}`.
///
/// `T` is written as JSON before it is sealed; a `SecretText` would be written as `[secret]`, so seal its `expose()` instead.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
pub struct Sealed<T> {
    key: String,
    nonce: String,
    data: String,
    #[serde(skip)]
    kind: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[sealed with {}]", self.key)
    }
}

impl<T> Sealed<T> {
    /// The id of the key that opens it.
    pub fn key_id(&self) -> &str {
        &self.key
    }

    /// One line of text: the key's id, the nonce and the data, with dots between them.
    pub fn to_text(&self) -> String {
        format!("{}.{}.{}", self.key, self.nonce, self.data)
    }

    /// Undoes [`Sealed::to_text`].
    pub fn from_text(text: &str) -> Result<Self, SealError> {
        let mut parts = text.splitn(3, '.').map(str::to_owned);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(key), Some(nonce), Some(data)) => Ok(Self { key, nonce, data, kind: PhantomData }),
            _ => Err(SealError::Damaged),
        }
    }

    /// Whether another key than the current one sealed it (it should be sealed anew).
    pub fn is_outdated(&self, keyring: &Keyring) -> bool {
        self.key != keyring.current_id()
    }
}

impl<T: Serialize + DeserializeOwned> Sealed<T> {
    /// Encrypts with the current key and a fresh random nonce.
    pub fn seal(keyring: &Keyring, value: &T) -> Result<Self, SealError> {
        let failed = |error: &dyn fmt::Display| SealError::Failed(error.to_string());
        let (id, cipher) = keyring.sealing().ok_or_else(|| failed(&"there is no key"))?;
        let plain = serde_json::to_vec(value).map_err(|error| failed(&error))?;
        let mut nonce = [0; 24];
        getrandom::fill(&mut nonce).map_err(|error| failed(&error))?;
        let data = cipher.encrypt(XNonce::from_slice(&nonce), Payload { msg: &plain, aad: PURPOSE }).map_err(|error| failed(&error))?;
        Ok(Self { key: id.to_owned(), nonce: STANDARD.encode(nonce), data: STANDARD.encode(data), kind: PhantomData })
    }

    /// Decrypts with the key it names.
    pub fn open(&self, keyring: &Keyring) -> Result<T, SealError> {
        let cipher = keyring.opening(&self.key).ok_or_else(|| SealError::UnknownKey(self.key.clone()))?;
        let nonce: [u8; 24] = STANDARD.decode(&self.nonce).ok().and_then(|nonce| nonce.try_into().ok()).ok_or(SealError::Damaged)?;
        let data = STANDARD.decode(&self.data).map_err(|_| SealError::Damaged)?;
        let plain = cipher.decrypt(XNonce::from_slice(&nonce), Payload { msg: &data, aad: PURPOSE }).map_err(|_| SealError::Damaged)?;
        serde_json::from_slice(&plain).map_err(|_| SealError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_and_shows_nothing() {
        let ring = Keyring::new([1; 32], &[]);
        let sealed = Sealed::seal(&ring, &"token-of-theirs".to_owned()).unwrap();
        let kept = serde_json::to_string(&sealed).unwrap();
        assert!(!kept.contains("token") && !format!("{sealed:?}").contains("token"));
        let read: Sealed<String> = serde_json::from_str(&kept).unwrap();
        assert_eq!(read.open(&ring).unwrap(), "token-of-theirs");
        assert_eq!(Sealed::<String>::from_text(&sealed.to_text()).unwrap(), sealed);
        assert_ne!(Sealed::seal(&ring, &"token-of-theirs".to_owned()).unwrap(), sealed, "a nonce is never used twice");
    }

    #[test]
    fn an_old_key_opens_and_a_new_one_seals() {
        let sealed = Sealed::seal(&Keyring::new([1; 32], &[]), &7).unwrap();
        let rotated = Keyring::new([2; 32], &[[1; 32]]);
        assert_eq!(sealed.open(&rotated), Ok(7));
        assert!(sealed.is_outdated(&rotated));
        let anew = Sealed::seal(&rotated, &7).unwrap();
        assert_eq!(anew.open(&Keyring::new([2; 32], &[])), Ok(7));
        assert!(matches!(sealed.open(&Keyring::new([2; 32], &[])), Err(SealError::UnknownKey(_))));
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let ring = Keyring::new([1; 32], &[]);
        let mut sealed = Sealed::seal(&ring, &"x".to_owned()).unwrap();
        let mut data = STANDARD.decode(&sealed.data).unwrap();
        data[0] ^= 1;
        sealed.data = STANDARD.encode(data);
        assert_eq!(sealed.open(&ring), Err(SealError::Damaged));
        sealed.nonce = "short".into();
        assert_eq!(sealed.open(&ring), Err(SealError::Damaged));
    }
}
