//! Forgets what was remembered for a while: event ids, wishes, idempotency keys, placings of numbers. In slices.

use super::keys::Tree;
use super::store::SledStore;
use crate::domain::time::Time;
use crate::failpoint::Step;
use crate::store::verbs::StoreError;

const SLICE: usize = 500;

impl SledStore {
    /// Removes remembered keys whose time is over; gives their number.
    pub async fn prune(&self, now: Time) -> Result<usize, StoreError> {
        let mut removed = 0;
        for prefix in [b"D", b"W", b"I", b"P", b"X", b"S"] {
            let mut after: Option<Vec<u8>> = None;
            loop {
                let store = self.clone();
                let from = after.take();
                let (over, last) = tokio::task::spawn_blocking(move || expired(&store, prefix, from.as_deref(), now)).await.map_err(|_| StoreError::Shut)??;
                if !over.is_empty() {
                    removed += over.len();
                    self.committer
                        .run(Step::Prune, move |tx| {
                            for key in over {
                                // It may have been written anew since it was read.
                                if tx.time(&key)?.is_some_and(|until| until <= now) {
                                    tx.remove(Tree::Index, key);
                                }
                            }
                            Ok(())
                        })
                        .await?;
                }
                match last {
                    Some(key) => after = Some(key),
                    None => break,
                }
            }
        }
        Ok(removed + self.prune_held(now).await?)
    }
}

type Slice = (Vec<Vec<u8>>, Option<Vec<u8>>);

/// Expired keys among the next `SLICE` ones, and where to go on.
fn expired(store: &SledStore, prefix: &[u8], from: Option<&[u8]>, now: Time) -> Result<Slice, StoreError> {
    let trees = store.trees()?;
    let start = from.map_or_else(|| prefix.to_vec(), |f| [f, &[0]].concat());
    let mut over = Vec::new();
    let mut last: Option<Vec<u8>>;
    for (n, row) in trees.range(Tree::Index, &start, None).enumerate() {
        let (key, value) = row.map_err(|e| StoreError::Broken(e.to_string()))?;
        if !key.starts_with(prefix) {
            return Ok((over, None));
        }
        if value.get(..8).and_then(|v| v.try_into().ok()).map(i64::from_be_bytes).is_some_and(|until| until <= now.0) {
            over.push(key.to_vec());
        }
        last = Some(key.to_vec());
        if n + 1 == SLICE {
            return Ok((over, last));
        }
    }
    Ok((over, None))
}
