//! What connections keep: tokens, captured secrets, cursors. Sealed as a whole; only version and end are readable.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::keys::{self, Tree};
use super::store::SledStore;
use super::tx::Tx;
use crate::domain::id::ConnectionId;
use crate::domain::time::Time;
use crate::secrets::{Keyring, Sealed};
use crate::store::codec;
use crate::store::verbs::{Kept, StoreError};

/// The record as it lies in `meta`.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptRecord {
    pub at: Time,
    pub version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Time>,
    pub sealed: Sealed<BTreeMap<String, String>>,
}

impl KeptRecord {
    fn open(self, keys: &Keyring) -> Result<Kept, StoreError> {
        Ok(Kept { at: self.at, version: self.version, ends_at: self.ends_at, values: self.sealed.open(keys)? })
    }
}

/// The step that keeps.
pub fn keep(connection: ConnectionId, name: String, kept: Kept, seal: Arc<Keyring>) -> impl FnOnce(&mut Tx<'_>) -> Result<bool, StoreError> + Send + 'static {
    move |tx| {
        let key = keys::kept(&connection, &name);
        let before = tx.read::<KeptRecord>(Tree::Meta, &key)?.map_or(0, |record| record.version);
        if before + 1 != kept.version {
            return Ok(false);
        }
        let record = KeptRecord { at: kept.at, version: kept.version, ends_at: kept.ends_at, sealed: Sealed::seal(&seal, &kept.values)? };
        tx.write(Tree::Meta, key, &record)?;
        Ok(true)
    }
}

pub fn read(store: &SledStore, connection: &ConnectionId, name: &str) -> Result<Option<Kept>, StoreError> {
    let trees = store.trees()?;
    let bytes = trees.get(Tree::Meta, &keys::kept(connection, name)).map_err(|error| StoreError::Broken(error.to_string()))?;
    bytes.map(|bytes| codec::decode::<KeptRecord>(&bytes)?.open(&trees.keys)).transpose()
}

pub fn read_all(store: &SledStore, connection: &ConnectionId) -> Result<Vec<(String, Kept)>, StoreError> {
    let trees = store.trees()?;
    let prefix = keys::kept(connection, "");
    let mut all = Vec::new();
    for row in trees.under(Tree::Meta, &prefix) {
        let (key, value) = row.map_err(|error| StoreError::Broken(error.to_string()))?;
        let name = String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default()).into_owned();
        // One without a slash was captured by a handshake and has another form.
        if name.contains('/') {
            all.push((name, codec::decode::<KeptRecord>(&value)?.open(&trees.keys)?));
        }
    }
    Ok(all)
}
