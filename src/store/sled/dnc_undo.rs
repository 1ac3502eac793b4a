//! Taking an import of the do-not-call list back: its numbers come off, and what it took the place of stands again.

use super::dnc::{COUNTER, SLICE, counted, write_run};
use super::keys::{self, Tree};
use super::person;
use super::store::SledStore;
use super::tx::Tx;
use crate::domain::dnc::Run;
use crate::domain::id::WorkspaceId;
use crate::domain::time::Time;
use crate::failpoint::Step;
use crate::store::verbs::StoreError;

impl SledStore {
    /// The runs that hold numbers of a note, and how many those are.
    fn dnc_runs(&self, workspace: &WorkspaceId, note: u32) -> Result<(Vec<u64>, usize), StoreError> {
        let trees = self.trees()?;
        let prefix = keys::do_not_call_all(workspace);
        let (mut runs, mut numbers) = (Vec::new(), 0);
        for row in trees.range(Tree::Index, &prefix, None) {
            let (key, value) = row.map_err(|e| StoreError::Broken(e.to_string()))?;
            let Some(run) = key.strip_prefix(prefix.as_slice()).and_then(|k| k.try_into().ok()).map(u64::from_be_bytes) else { break };
            let found = Run::read(&value).0.iter().filter(|(_, id)| *id == note).count();
            if found > 0 {
                runs.push(run);
                numbers += found;
            }
        }
        Ok((runs, numbers))
    }

    /// How many numbers stand on the list by a note. It reads the whole list.
    pub fn dnc_count(&self, workspace: &WorkspaceId, note: u32) -> Result<usize, StoreError> {
        Ok(self.dnc_runs(workspace, note)?.1)
    }

    /// Writes down that an import came to its end, and how many numbers stand by it.
    pub async fn dnc_imported(&self, now: Time, actor: String, workspace: &WorkspaceId, note: u32) -> Result<(), StoreError> {
        let change = format!("import {note} is done: {} stand on the do-not-call list of {workspace} by it", counted(self.dnc_count(workspace, note)?));
        self.committer.run(Step::Change, move |tx| person::audit(tx, now, &actor, change)).await
    }

    /// Takes an import back, in slices; gives how many numbers are off the list.
    pub async fn dnc_undo(&self, now: Time, actor: String, workspace: &WorkspaceId, note: u32) -> Result<usize, StoreError> {
        let (runs, numbers) = self.dnc_runs(workspace, note)?;
        let change = format!("takes import {note} back: {} of the do-not-call list of {workspace}", counted(numbers));
        self.committer.run(Step::Change, move |tx| person::audit(tx, now, &actor, change)).await?;
        let mut removed = 0;
        for slice in runs.chunks(SLICE) {
            let (workspace, slice) = (workspace.clone(), slice.to_vec());
            removed += self.committer.run(Step::Change, move |tx| undo(tx, &workspace, &slice, note)).await?;
        }
        Ok(removed)
    }
}

fn undo(tx: &mut Tx<'_>, workspace: &WorkspaceId, runs: &[u64], note: u32) -> Result<usize, StoreError> {
    let mut removed = 0;
    for run in runs {
        let (key, kept) = (keys::do_not_call(workspace, *run), keys::do_not_call_before(workspace, note, *run));
        let mut numbers = tx.raw(Tree::Index, &key)?.map_or_else(Run::default, |bytes| Run::read(&bytes));
        let before = tx.raw(Tree::Index, &kept)?.map_or_else(Run::default, |bytes| Run::read(&bytes));
        let had = numbers.0.len();
        numbers.0.retain_mut(|(offset, id)| {
            let ours = *id == note;
            if let Some(old) = before.note(*offset).filter(|_| ours) {
                *id = old;
                return true;
            }
            !ours
        });
        removed += had - numbers.0.len();
        write_run(tx, key, &numbers);
        if !before.0.is_empty() {
            tx.remove(Tree::Index, kept);
        }
    }
    tx.count(workspace, COUNTER, -i64::try_from(removed).unwrap_or(0))?;
    Ok(removed)
}
