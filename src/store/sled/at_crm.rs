//! What waits for each connection's CRM: stored tasks, counted by their connection.

use std::collections::BTreeMap;

use super::keys::Tree;
use super::store::SledStore;
use crate::domain::id::ConnectionId;
use crate::store::codec;
use crate::store::task::{Subject, TaskKind};
use crate::store::verbs::{AtCrm, StoreError};

/// Tasks of a kind that are looked at: more than these are many anyway.
const COUNTED: usize = 100_000;

/// What the count needs of a task.
#[derive(serde::Deserialize)]
struct Counted {
    #[serde(default)]
    tries: u32,
    #[serde(default)]
    connection: Option<ConnectionId>,
    subject: Subject,
}

impl SledStore {
    /// Every connection for which something waits; the first 100,000 tasks of a kind are counted. It reads each of them: not where requests
    /// are answered. `SELECT connection, count(*) FROM tasks GROUP BY connection`.
    pub fn at_crm(&self) -> Result<BTreeMap<ConnectionId, AtCrm>, StoreError> {
        let trees = self.trees()?;
        let mut found: BTreeMap<ConnectionId, AtCrm> = BTreeMap::new();
        for kind in [TaskKind::WriteBack, TaskKind::Lookup] {
            for row in trees.under(Tree::Tasks, &[kind as u8]).take(COUNTED) {
                let task: Counted = codec::decode(&row.map_err(|error| StoreError::Broken(error.to_string()))?.1)?;
                let Some(connection) = task.connection else { continue };
                let of = found.entry(connection).or_default();
                match kind {
                    TaskKind::Lookup => of.lookups += 1,
                    _ => of.results += 1,
                }
                if let (TaskKind::WriteBack, Subject::Call(call), 1..) = (kind, task.subject, task.tries) {
                    of.results_again += 1;
                    of.again.get_or_insert(call);
                }
            }
        }
        Ok(found)
    }
}
