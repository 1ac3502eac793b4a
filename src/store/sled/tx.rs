//! What a step sees and writes: the store with the group's writes on top, and its own on top of those.

use std::collections::HashMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::history;
use super::keys::{self, CHUNK_BYTES as VALUE_BYTES, Tree};
use super::layout;
use super::open::Trees;
use super::schedule::Effect;
use crate::domain::call::{Call, Origin, State};
use crate::domain::id::{CallId, LineId, WorkspaceId};
use crate::domain::schedule::{Brakes, LineState};
use crate::domain::time::Time;
use crate::error::Code;
use crate::store::codec;
use crate::store::task::{Subject, Task, TaskKind};
use crate::store::verbs::StoreError;

/// Writes that are not on disk yet; `None` removes.
#[derive(Default)]
pub struct Overlay {
    /// By the key as it lies in the store.
    pub writes: HashMap<Vec<u8>, Option<Vec<u8>>>,
    pub bytes: usize,
}

impl Overlay {
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    fn put(&mut self, tree: Tree, key: &[u8], value: Option<Vec<u8>>) {
        self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        self.writes.insert(layout::key(tree, key), value);
    }

    pub fn merge(&mut self, other: Overlay) {
        self.bytes += other.bytes;
        self.writes.extend(other.writes);
    }
}

/// One step's view. Dropped without merging, it leaves no trace: a step that refuses itself spoils no neighbour.
pub struct Tx<'a> {
    trees: &'a Trees,
    group: &'a Overlay,
    pub step: Overlay,
    pub effects: Vec<Effect>,
    pub epoch: u64,
}

impl<'a> Tx<'a> {
    pub fn new(trees: &'a Trees, group: &'a Overlay) -> Self {
        Self { trees, group, step: Overlay::default(), effects: Vec::new(), epoch: trees.epoch }
    }

    pub fn raw(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let key = layout::key(tree, key);
        for overlay in [&self.step, self.group] {
            if let Some(value) = overlay.writes.get(&key) {
                return Ok(value.clone());
            }
        }
        Ok(self.trees.read(&key).map_err(|e| StoreError::Broken(e.to_string()))?.map(|v| v.to_vec()))
    }

    pub fn read<T: DeserializeOwned>(&self, tree: Tree, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.raw(tree, key)?.map(|bytes| Ok(codec::decode(&bytes)?)).transpose()
    }

    pub fn write<T: Serialize>(&mut self, tree: Tree, key: Vec<u8>, record: &T) -> Result<(), StoreError> {
        let bytes = codec::encode(record)?;
        // Larger values are what makes sled unable to open after a power cut: the step is refused, its texts are cut before it.
        if bytes.len() > VALUE_BYTES {
            return Err(StoreError::Record(format!("a record of {} bytes; at most {VALUE_BYTES} are kept in one", bytes.len())));
        }
        self.step.put(tree, &key, Some(bytes));
        Ok(())
    }

    pub fn write_raw(&mut self, tree: Tree, key: Vec<u8>, value: Vec<u8>) {
        self.step.put(tree, &key, Some(value));
    }

    pub fn remove(&mut self, tree: Tree, key: Vec<u8>) {
        self.step.put(tree, &key, None);
    }

    /// A number stored as eight bytes; missing is 0.
    pub fn number(&self, tree: Tree, key: &[u8]) -> Result<i64, StoreError> {
        Ok(self.raw(tree, key)?.and_then(|v| v.as_slice().try_into().ok().map(i64::from_be_bytes)).unwrap_or(0))
    }

    pub fn count(&mut self, workspace: &WorkspaceId, name: &str, by: i64) -> Result<(), StoreError> {
        let key = keys::counter(workspace, name);
        let value = self.number(Tree::Meta, &key)? + by;
        self.write_raw(Tree::Meta, key, value.to_be_bytes().to_vec());
        Ok(())
    }

    /// A time stored under an index key, for keys that are remembered for a while.
    pub fn time(&self, key: &[u8]) -> Result<Option<Time>, StoreError> {
        Ok(self.raw(Tree::Index, key)?.and_then(|v| v.get(..8).and_then(|b| b.try_into().ok()).map(|b| Time(i64::from_be_bytes(b)))))
    }

    pub fn call(&self, id: CallId) -> Result<Option<Call>, StoreError> {
        self.read(Tree::Calls, &id.0)
    }

    pub fn line(&self, workspace: &WorkspaceId, line: &LineId) -> Result<LineState, StoreError> {
        Ok(self.read(Tree::Lines, &keys::line(workspace, line))?.unwrap_or_default())
    }

    pub fn write_line(&mut self, workspace: &WorkspaceId, line: &LineId, state: LineState) -> Result<(), StoreError> {
        self.write(Tree::Lines, keys::line(workspace, line), &state)?;
        self.effects.push(Effect::Line { line: line.clone(), state: Box::new(state) });
        Ok(())
    }

    pub fn brakes(&self) -> Result<Brakes, StoreError> {
        Ok(self.read(Tree::Meta, keys::BRAKES)?.unwrap_or_default())
    }

    pub fn write_brakes(&mut self, brakes: Brakes) -> Result<(), StoreError> {
        self.write(Tree::Meta, keys::BRAKES.to_vec(), &brakes)?;
        self.effects.push(Effect::Brakes(brakes));
        Ok(())
    }

    pub fn task(&self, kind: TaskKind, subject: Subject) -> Result<Option<Task>, StoreError> {
        self.read(Tree::Tasks, &keys::task(kind, subject))
    }

    pub fn write_task(&mut self, task: &Task) -> Result<(), StoreError> {
        self.write(Tree::Tasks, keys::task(task.kind, task.subject), task)?;
        self.effects.push(Effect::Task { kind: task.kind, subject: task.subject, due: task.due });
        Ok(())
    }

    pub fn end_task(&mut self, kind: TaskKind, subject: Subject) {
        self.remove(Tree::Tasks, keys::task(kind, subject));
        self.effects.push(Effect::TaskDone { kind, subject });
    }

    /// How many calls of the same drop-in key wait.
    pub fn queued_by(&self, call: &Call) -> Result<u64, StoreError> {
        match &call.origin {
            Origin::DropIn { key } => Ok(self.number(Tree::Meta, &keys::counter(&call.workspace, &drop_in_queued(key)))?.unsigned_abs()),
            _ => Ok(0),
        }
    }

    /// Writes a new call: its record, its place among the living, its counters.
    pub fn insert_call(&mut self, call: &Call) -> Result<(), StoreError> {
        self.count(&call.workspace, &format!("calls.origin.{}", call.origin.as_str()), 1)?;
        self.count(&call.workspace, &format!("calls.state.{}", call.state.as_str()), 1)?;
        if call.state == State::Queued {
            if let Origin::DropIn { key } = &call.origin {
                self.count(&call.workspace, &drop_in_queued(key), 1)?;
            }
            self.write_raw(Tree::Index, keys::live(call.id), Vec::new());
            self.effects.push(Effect::queued(call, None));
        }
        self.write(Tree::Calls, call.id.0.to_vec(), call)
    }

    /// Writes a changed call that was in state `from`, and moves it in index and counters.
    pub fn update_call(&mut self, call: &mut Call, from: State, now: Time) -> Result<(), StoreError> {
        call.version += 1;
        if call.state != State::Queued {
            // Only what waits is held.
            let hold = call.hold.take();
            if let (true, Some(connection)) = (hold.is_some_and(|hold| hold.code == Code::HoldBrake), call.connection.clone()) {
                history::brake_left(self, now, &call.workspace, &connection)?;
            }
        }
        if call.state != from {
            self.count(&call.workspace, &format!("calls.state.{}", from.as_str()), -1)?;
            self.count(&call.workspace, &format!("calls.state.{}", call.state.as_str()), 1)?;
            if let Origin::DropIn { key } = &call.origin
                && (from == State::Queued || call.state == State::Queued)
            {
                self.count(&call.workspace, &drop_in_queued(key), if from == State::Queued { -1 } else { 1 })?;
            }
            if call.state.is_final() && !from.is_final() {
                self.remove(Tree::Index, keys::live(call.id));
            }
            if call.state.is_final() && call.ended_at.is_none() {
                call.ended_at = Some(now);
            }
            if from == State::Queued {
                self.effects.push(Effect::Unqueued { call: call.id });
            }
        }
        self.write(Tree::Calls, call.id.0.to_vec(), call)
    }
}

fn drop_in_queued(key: &str) -> String {
    format!("drop_in.queued.{key}")
}
