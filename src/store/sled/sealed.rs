//! What lies encrypted in the store: the instance's key, and what a delivery brought beside its body.

use crate::domain::event::Event;
use crate::secrets::{Keyring, SealError, Sealed};
use crate::store::verbs::StoreError;

type Private = (String, Vec<(String, String)>);

impl From<SealError> for StoreError {
    fn from(error: SealError) -> Self {
        StoreError::Record(error.to_string())
    }
}

/// Seals the query and the headers of an event.
pub fn close(event: &mut Event, keys: &Keyring) -> Result<(), StoreError> {
    let private: Private = (std::mem::take(&mut event.query), std::mem::take(&mut event.headers));
    event.sealed = Sealed::seal(keys, &private)?.to_text();
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

/// The instance's key as it lies in `meta`; a store of an older version holds its 32 bytes plain.
pub fn instance(stored: &[u8], keys: &Keyring) -> Result<[u8; 32], SealError> {
    if let Ok(plain) = stored.try_into() {
        return Ok(plain);
    }
    let text = std::str::from_utf8(stored).map_err(|_| SealError::Damaged)?;
    Sealed::from_text(text)?.open(keys)
}
