//! Records as bytes: first byte = version, then JSON. A store newer than the binary is refused with a sentence.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version this binary writes. 2: an event may hold its body, which an older program would take for missing.
pub const VERSION: u8 = 2;

/// Bytes that are not a record this binary can read.
#[derive(Debug, thiserror::Error)]
pub enum BadRecord {
    #[error("an empty record")]
    Empty,
    #[error("a record of version {0}, newer than this program reads ({VERSION}): run the newer callbridge")]
    Newer(u8),
    #[error("a record that cannot be read: {0}")]
    Json(#[from] serde_json::Error),
}

/// A record as bytes.
pub fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, BadRecord> {
    let mut bytes = Vec::with_capacity(512);
    bytes.push(VERSION);
    serde_json::to_writer(&mut bytes, record)?;
    Ok(bytes)
}

/// A record from bytes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BadRecord> {
    match bytes.split_first() {
        None => Err(BadRecord::Empty),
        Some((version, _)) if *version > VERSION => Err(BadRecord::Newer(*version)),
        Some((_, json)) => Ok(serde_json::from_slice(json)?),
    }
}
