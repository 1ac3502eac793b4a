//! What lies encrypted in the store: the instance's key, and what a delivery brought beside its body.

use std::collections::BTreeMap;

use super::keys;
use super::person::Kept;
use crate::domain::event::Event;
use crate::domain::id::ConnectionId;
use crate::domain::secret::SecretText;
use crate::secrets::{Keyring, SealError, Sealed};
use crate::store::verbs::StoreError;

type Private = (String, Vec<(String, String)>);

impl From<SealError> for StoreError {
    fn from(error: SealError) -> Self {
        StoreError::Record(error.to_string())
    }
}

/// Seals the query and the headers of an event.
pub fn close(event: &mut Event, keyring: &Keyring) -> Result<(), StoreError> {
    let private: Private = (std::mem::take(&mut event.query), std::mem::take(&mut event.headers));
    event.sealed = Sealed::seal(keyring, &private)?.to_text();
    Ok(())
}

/// Opens an event that was read. One of an older version has nothing sealed.
pub fn open(mut event: Event, keys: &Keyring) -> Result<Event, StoreError> {
    if !event.sealed.is_empty() {
        let private: Private = Sealed::from_text(&event.sealed)?.open(keys)?;
        (event.query, event.headers) = private;
        event.sealed.clear();
    }
    Ok(event)
}

/// What a handshake handed over, as it will lie in the store.
pub fn captured(connection: &ConnectionId, values: &BTreeMap<String, SecretText>, keyring: &Keyring) -> Result<Vec<Kept>, StoreError> {
    let seal = |value: &SecretText| Ok::<_, StoreError>(Sealed::seal(keyring, &value.expose().to_owned())?.to_text().into_bytes());
    values.iter().map(|(name, value)| Ok((keys::captured(connection, name), seal(value)?))).collect()
}

/// A text that lies sealed.
pub fn text(stored: &[u8], keyring: &Keyring) -> Result<String, StoreError> {
    let text = std::str::from_utf8(stored).map_err(|_| SealError::Damaged)?;
    Ok(Sealed::from_text(text)?.open(keyring)?)
}

/// The instance's key as it lies in `meta`; a store of an older version holds its 32 bytes plain.
pub fn instance(stored: &[u8], keys: &Keyring) -> Result<[u8; 32], SealError> {
    if let Ok(plain) = stored.try_into() {
        return Ok(plain);
    }
    let text = std::str::from_utf8(stored).map_err(|_| SealError::Damaged)?;
    Sealed::from_text(text)?.open(keys)
}
