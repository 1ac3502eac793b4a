//! Reads: straight from sled, never through the committer.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::keys::{self, Tree};
use super::store::SledStore;
use super::{sealed, stale};
use crate::domain::call::{Call, State};
use crate::domain::event::Event;
use crate::domain::id::{CallId, ConnectionId, EventId, LineId, SourceId, WorkspaceId};
use crate::domain::item::Item;
use crate::domain::ledger::Arrivals;
use crate::domain::rule::Policy;
use crate::domain::schedule::LineState;
use crate::domain::source::Source;
use crate::domain::time::Time;
use crate::domain::write_back::WriteBack;
use crate::store::codec;
use crate::store::task::{Subject, Task, TaskKind};
use crate::store::verbs::{Attempt, AuditEntry, CallQuery, Rejected, Stats, StoreError};

/// A page is never longer.
const PAGE: usize = 500;
/// A filtered page looks at no more records than this; the page then ends early with its cursor.
const LOOKED_AT: usize = 20_000;

fn broken(error: ::sled::Error) -> StoreError {
    StoreError::Broken(error.to_string())
}

pub(super) fn one<T: DeserializeOwned>(store: &SledStore, tree: Tree, key: &[u8]) -> Result<Option<T>, StoreError> {
    store.trees()?.get(tree, key).map_err(broken)?.map(|bytes| Ok(codec::decode(&bytes)?)).transpose()
}

pub(super) fn under<T: DeserializeOwned>(store: &SledStore, tree: Tree, prefix: &[u8], key_len: usize) -> Result<Vec<(Vec<u8>, T)>, StoreError> {
    let trees = store.trees()?;
    let mut rows = Vec::new();
    for row in trees.under(tree, prefix) {
        let (key, value) = row.map_err(broken)?;
        if key.len() == key_len {
            rows.push((key.to_vec(), codec::decode(&value)?));
        }
    }
    Ok(rows)
}

pub fn call(store: &SledStore, id: CallId) -> Result<Option<Call>, StoreError> {
    one(store, Tree::Calls, &id.0)
}

pub fn calls(store: &SledStore, query: &CallQuery) -> Result<Vec<Call>, StoreError> {
    let trees = store.trees()?;
    let rows = trees.range(Tree::Calls, &[], query.before.as_ref().map(|id| id.0.as_slice()));
    let limit = query.limit.clamp(1, PAGE);
    let mut page = Vec::new();
    for row in rows.rev().take(LOOKED_AT) {
        let call: Call = codec::decode(&row.map_err(broken)?.1)?;
        let fits = query.workspace.as_ref().is_none_or(|w| *w == call.workspace)
            && query.state.is_none_or(|s| s == call.state)
            && query.connection.as_ref().is_none_or(|c| call.connection.as_ref() == Some(c));
        if fits {
            page.push(call);
            if page.len() == limit {
                break;
            }
        }
    }
    Ok(page)
}

/// Bytes under a key of the index tree.
pub fn index_bytes(store: &SledStore, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(store.trees()?.get(Tree::Index, key).map_err(broken)?.map(|bytes| bytes.to_vec()))
}

pub fn brake_room(store: &SledStore, policy: &Policy, now: Time) -> Result<Option<u32>, StoreError> {
    let Some(brake) = policy.brake else { return Ok(None) };
    let arrivals: Arrivals = one(store, Tree::Meta, &keys::arrivals(&policy.connection))?.unwrap_or_default();
    Ok(Some(arrivals.room(brake, now)))
}

/// Queued calls in the order in which they were made: ids are in time order.
pub fn queued_after(store: &SledStore, after: Option<CallId>, limit: usize) -> Result<Vec<Call>, StoreError> {
    let trees = store.trees()?;
    let from = after.map_or_else(|| b"L".to_vec(), |id| [keys::live(id).as_slice(), &[0]].concat());
    let mut calls = Vec::new();
    for row in trees.range(Tree::Index, &from, Some(b"M")) {
        let (key, _) = row.map_err(broken)?;
        let Some(bytes) = trees.get(Tree::Calls, key.get(1..).unwrap_or_default()).map_err(broken)? else { continue };
        let call: Call = codec::decode(&bytes)?;
        if call.state == State::Queued {
            calls.push(call);
            if calls.len() == limit {
                break;
            }
        }
    }
    Ok(calls)
}

pub fn attempts(store: &SledStore, call: CallId) -> Result<Vec<Attempt>, StoreError> {
    Ok(under(store, Tree::Attempts, &call.0, 32)?.into_iter().map(|(_, attempt)| attempt).collect())
}

pub fn event(store: &SledStore, id: EventId) -> Result<Option<Event>, StoreError> {
    let keys = Arc::clone(&store.trees()?.keys);
    one(store, Tree::Events, &id.0)?.map(|event| sealed::open(event, &keys)).transpose()
}

pub fn events(store: &SledStore, before: Option<EventId>, limit: usize) -> Result<Vec<Event>, StoreError> {
    let trees = store.trees()?;
    let rows = trees.range(Tree::Events, &[], before.as_ref().map(|id| id.0.as_slice()));
    let mut page = Vec::new();
    for row in rows.rev() {
        let (key, value) = row.map_err(broken)?;
        if key.len() == 16 {
            page.push(sealed::open(codec::decode(&value)?, &trees.keys)?);
            if page.len() == limit.clamp(1, PAGE) {
                break;
            }
        }
    }
    Ok(page)
}

/// What is asked of an event's record for its body.
#[derive(serde::Deserialize)]
struct Whole {
    #[serde(default)]
    body: Option<String>,
}

pub fn body(store: &SledStore, id: EventId) -> Result<Bytes, StoreError> {
    if let Some(Whole { body: Some(body) }) = one(store, Tree::Events, &id.0)? {
        return Ok(body.into());
    }
    let trees = store.trees()?;
    let mut body = Vec::new();
    for row in trees.under(Tree::Bodies, &id.0) {
        let (key, value) = row.map_err(broken)?;
        if key.len() == 18 {
            body.extend_from_slice(&value);
        }
    }
    Ok(body.into())
}

pub fn reports(store: &SledStore, id: CallId) -> Result<Vec<Bytes>, StoreError> {
    let trees = store.trees()?;
    let mut bodies: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for row in trees.under(Tree::Bodies, &keys::reports(id)) {
        let (key, value) = row.map_err(broken)?;
        if let Some(version) = key.get(17..19) {
            bodies.entry(version.to_vec()).or_default().extend_from_slice(&value);
        }
    }
    Ok(bodies.into_values().map(Bytes::from).collect())
}

/// What handshakes of a connection handed over, by name.
pub fn captured(store: &SledStore, connection: &ConnectionId) -> Result<BTreeMap<String, String>, StoreError> {
    let trees = store.trees()?;
    let prefix = keys::captured(connection, "");
    let mut captured = BTreeMap::new();
    for row in trees.under(Tree::Meta, &prefix) {
        let (key, value) = row.map_err(broken)?;
        let name = String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
        // One with a slash is kept by ourselves (see `kept`) and has another form.
        if !name.contains('/') {
            captured.insert(name, sealed::text(&value, &trees.keys)?);
        }
    }
    Ok(captured)
}

pub fn capture_window(store: &SledStore, connection: &ConnectionId) -> Result<Option<Time>, StoreError> {
    let value = store.trees()?.get(Tree::Meta, &keys::capture_window(connection)).map_err(broken)?;
    Ok(value.and_then(|value| Some(Time(i64::from_be_bytes(value.as_ref().try_into().ok()?)))))
}

pub fn items(store: &SledStore, id: EventId) -> Result<Vec<(u16, Item)>, StoreError> {
    Ok(under(store, Tree::Events, &id.0, 18)?.into_iter().map(|(key, item)| (u16::from_be_bytes([key[16], key[17]]), item)).collect())
}

pub fn item(store: &SledStore, id: EventId, index: u16) -> Result<Option<Item>, StoreError> {
    one(store, Tree::Events, &keys::item(id, index))
}

/// Default: nothing is known yet.
pub fn item_write_back(store: &SledStore, event: EventId, index: u16) -> Result<WriteBack, StoreError> {
    Ok(one(store, Tree::Events, &keys::item_write_back(event, index))?.unwrap_or_default())
}

pub fn line(store: &SledStore, workspace: &WorkspaceId, id: &LineId) -> Result<LineState, StoreError> {
    Ok(one(store, Tree::Lines, &keys::line(workspace, id))?.unwrap_or_default())
}

pub fn source(store: &SledStore, id: SourceId) -> Result<Option<Source>, StoreError> {
    one(store, Tree::Meta, &keys::source(id))
}

pub fn sources(store: &SledStore) -> Result<Vec<Source>, StoreError> {
    Ok(under(store, Tree::Meta, b"S", 17)?.into_iter().map(|(_, source)| source).collect())
}

pub fn tasks(store: &SledStore, kind: TaskKind, subjects: &[Subject]) -> Result<Vec<Task>, StoreError> {
    let mut tasks = Vec::with_capacity(subjects.len());
    for subject in subjects {
        match one(store, Tree::Tasks, &keys::task(kind, *subject))? {
            Some(task) => tasks.push(task),
            // A step ended it between the index and the read.
            None => {
                store.shared.index().apply(vec![super::schedule::Effect::TaskDone { kind, subject: *subject }]);
            }
        }
    }
    Ok(tasks)
}

pub fn rejected(store: &SledStore, limit: usize) -> Result<Vec<Rejected>, StoreError> {
    let mut rows: Vec<Rejected> = under(store, Tree::Meta, b"R", 9)?.into_iter().map(|(_, rejected)| rejected).collect();
    rows.extend(stale::list(store)?);
    rows.sort_by_key(|r| std::cmp::Reverse(r.at));
    rows.truncate(limit);
    Ok(rows)
}

/// Newest first: the key's order is time.
pub fn audit(store: &SledStore, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
    let trees = store.trees()?;
    let rows = trees.under(Tree::Meta, b"A").rev().take(limit);
    rows.map(|row| Ok(codec::decode(&row.map_err(broken)?.1)?)).collect()
}

pub fn stats(store: &SledStore, workspace: &WorkspaceId) -> Result<Stats, StoreError> {
    let trees = store.trees()?;
    let prefix = keys::counter(workspace, "");
    let mut stats = Stats::default();
    for row in trees.under(Tree::Meta, &prefix) {
        let (key, value) = row.map_err(broken)?;
        let name = String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
        if let Ok(bytes) = value.as_ref().try_into() {
            stats.counters.insert(name, i64::from_be_bytes(bytes));
        }
    }
    Ok(stats)
}
