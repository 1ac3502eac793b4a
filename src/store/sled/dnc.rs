//! The do-not-call list: runs of numbers and the notes that say who put them there.
//!
//! `N`‖workspace‖0‖run → numbers of that run (`domain/dnc.rs`) · `M`‖workspace‖0‖note → Note · `m`‖workspace‖0‖note‖run → the notes that
//! this one took the place of.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use super::history::{self, Get};
use super::keys::{self, Tree};
use super::person;
use super::read;
use super::store::SledStore;
use super::tx::Tx;
use crate::domain::call::{Call, State};
use crate::domain::dnc::{self, Entry, Note, Run, Scope, Source};
use crate::domain::id::{CallId, WorkspaceId};
use crate::domain::phone::Phone;
use crate::domain::rule::Ruling;
use crate::domain::time::Time;
use crate::failpoint::Step;
use crate::store::Rules;
use crate::store::codec;
use crate::store::verbs::StoreError;

/// Runs written in one step: about 100 KiB at a few numbers each, so that intake never waits long.
pub(super) const SLICE: usize = 1000;
/// Numbers taken off in one step: the audit trail names them all.
const REMOVED: usize = 200;
/// A counter of each workspace.
pub(super) const COUNTER: &str = "dnc.numbers";

/// The note of a number, if it stands on the list.
pub fn listed(get: Get<'_>, workspace: &WorkspaceId, phone: &Phone) -> Result<Option<Note>, StoreError> {
    let (run, offset) = dnc::place(dnc::digits(phone));
    let Some(bytes) = get(&keys::do_not_call(workspace, run))? else { return Ok(None) };
    match Run::read(&bytes).note(offset) {
        Some(id) => note(get, workspace, id).map(Some),
        None => Ok(None),
    }
}

fn note(get: Get<'_>, workspace: &WorkspaceId, id: u32) -> Result<Note, StoreError> {
    let bytes = get(&keys::do_not_call_note(workspace, id))?.ok_or_else(|| StoreError::Record(format!("the note {id} of the do-not-call list is gone")))?;
    Ok(codec::decode(&bytes)?)
}

fn new_note(tx: &mut Tx<'_>, workspace: &WorkspaceId, note: &Note) -> Result<u32, StoreError> {
    let counter = keys::do_not_call_next(workspace);
    let id = tx.number(Tree::Meta, &counter)? + 1;
    tx.write_raw(Tree::Meta, counter, id.to_be_bytes().to_vec());
    let id = u32::try_from(id).map_err(|_| StoreError::Record("the do-not-call list has no more notes".into()))?;
    tx.write(Tree::Index, keys::do_not_call_note(workspace, id), note)?;
    Ok(id)
}

/// Puts numbers of sorted runs on the list; gives how many are new. A note that binds more callers replaces one that binds fewer.
fn add(tx: &mut Tx<'_>, workspace: &WorkspaceId, runs: &[(u64, Vec<u16>)], id: u32, scope: Scope) -> Result<usize, StoreError> {
    let mut scopes: HashMap<u32, Scope> = HashMap::from([(id, scope)]);
    let mut new = 0;
    for (run, offsets) in runs {
        let key = keys::do_not_call(workspace, *run);
        let mut numbers = tx.raw(Tree::Index, &key)?.map_or_else(Run::default, |bytes| Run::read(&bytes));
        for (_, old) in &numbers.0 {
            if let Slot::Vacant(slot) = scopes.entry(*old) {
                slot.insert(note(&|key| tx.raw(Tree::Index, key), workspace, *old)?.scope);
            }
        }
        let before = numbers.clone();
        new += numbers.add(offsets, id, |old| scopes.get(&old).is_some_and(|old| *old < scope));
        if numbers != before {
            keep_replaced(tx, workspace, *run, id, &before, &numbers)?;
            tx.write_raw(Tree::Index, key, numbers.bytes());
        }
    }
    tx.count(workspace, COUNTER, i64::try_from(new).unwrap_or(0))?;
    Ok(new)
}

/// Writes down whose place this note took, so that they stand again once it is taken back.
fn keep_replaced(tx: &mut Tx<'_>, workspace: &WorkspaceId, run: u64, id: u32, before: &Run, after: &Run) -> Result<(), StoreError> {
    let was = before.0.iter().filter(|(offset, old)| *old != id && after.note(*offset) == Some(id));
    let replaced: Vec<(u16, u32)> = was.copied().collect();
    if replaced.is_empty() {
        return Ok(());
    }
    let key = keys::do_not_call_before(workspace, id, run);
    let mut kept = tx.raw(Tree::Index, &key)?.map_or_else(Run::default, |bytes| Run::read(&bytes));
    for (offset, old) in replaced {
        kept.add(&[offset], old, |_| true);
    }
    tx.write_raw(Tree::Index, key, kept.bytes());
    Ok(())
}

/// One number, inside another step: a customer said no.
pub fn learn(tx: &mut Tx<'_>, workspace: &WorkspaceId, phone: &Phone, note: &Note) -> Result<(), StoreError> {
    if listed(&|key| tx.raw(Tree::Index, key), workspace, phone)?.is_some_and(|old| old.scope >= note.scope) {
        return Ok(());
    }
    let id = new_note(tx, workspace, note)?;
    let (run, offset) = dnc::place(dnc::digits(phone));
    add(tx, workspace, &[(run, vec![offset])], id, note.scope).map(|_| ())
}

/// Whether no call at all may go to this call's number; a test call does not reach it.
pub fn bars(tx: &Tx<'_>, call: &Call) -> Result<bool, StoreError> {
    let note = listed(&|key| tx.raw(Tree::Index, key), &call.workspace, &call.phone)?;
    Ok(!call.is_test() && note.is_some_and(|note| note.scope == Scope::All))
}

/// Takes a number off that was learnt from this very call; what somebody else put there stays.
pub fn unlearn(tx: &mut Tx<'_>, now: Time, call: &Call) -> Result<(), StoreError> {
    let note = listed(&|key| tx.raw(Tree::Index, key), &call.workspace, &call.phone)?;
    if note.is_some_and(|note| note.source == Source::Learned && note.why.ends_with(&call.id.to_string())) {
        remove(tx, now, &format!("callbridge: a later report of {}", call.id), &call.workspace, std::slice::from_ref(&call.phone))?;
    }
    Ok(())
}

/// Takes numbers off; gives how many stood there.
fn remove(tx: &mut Tx<'_>, now: Time, actor: &str, workspace: &WorkspaceId, phones: &[Phone]) -> Result<usize, StoreError> {
    let mut gone: Vec<&str> = Vec::new();
    for phone in phones {
        let (run, offset) = dnc::place(dnc::digits(phone));
        let key = keys::do_not_call(workspace, run);
        let mut numbers = tx.raw(Tree::Index, &key)?.map_or_else(Run::default, |bytes| Run::read(&bytes));
        if numbers.remove(offset).is_none() {
            continue;
        }
        write_run(tx, key, &numbers);
        gone.push(phone.e164());
    }
    if !gone.is_empty() {
        // Whole, unlike in logs: somebody who asked not to be called may be called again from here on.
        let change = format!("took {} off the do-not-call list of {workspace}: {}", counted(gone.len()), gone.join(", "));
        person::audit(tx, now, actor, change)?;
        tx.count(workspace, COUNTER, -i64::try_from(gone.len()).unwrap_or(0))?;
    }
    Ok(gone.len())
}

pub(super) fn write_run(tx: &mut Tx<'_>, key: Vec<u8>, numbers: &Run) {
    if numbers.0.is_empty() { tx.remove(Tree::Index, key) } else { tx.write_raw(Tree::Index, key, numbers.bytes()) }
}

pub(super) fn counted(n: usize) -> String {
    if n == 1 { "1 number".to_owned() } else { format!("{n} numbers") }
}

/// What the audit trail says of a note's beginning; how many numbers it brings is known only if a person gave them one by one.
fn begun(workspace: &WorkspaceId, id: u32, note: &Note, numbers: usize) -> String {
    let why = if note.why.is_empty() { String::new() } else { format!(": {}", note.why) };
    let binds = if note.scope == Scope::All { "every call" } else { "advertising calls" };
    match note.source {
        Source::Import => format!("began import {id} into the do-not-call list of {workspace}, which binds {binds}{why}"),
        _ => format!("put {} on the do-not-call list of {workspace} (note {id}, binds {binds}){why}", counted(numbers)),
    }
}

impl SledStore {
    /// Keeps a note for so many numbers that follow; for an import nobody knows yet how many.
    pub async fn dnc_note(&self, workspace: WorkspaceId, note: Note, numbers: usize) -> Result<u32, StoreError> {
        let keep = move |tx: &mut Tx<'_>| {
            let id = new_note(tx, &workspace, &note)?;
            person::audit(tx, note.at, &note.by, begun(&workspace, id, &note, numbers))?;
            Ok(id)
        };
        self.committer.run(Step::Change, keep).await
    }

    /// What numbers were put on the list by.
    pub fn dnc_note_of(&self, workspace: &WorkspaceId, id: u32) -> Result<Option<Note>, StoreError> {
        let bytes = self.index_get()(&keys::do_not_call_note(workspace, id))?;
        bytes.map(|bytes| Ok(codec::decode(&bytes)?)).transpose()
    }

    /// Puts numbers (sorted digits) on the list under a note, in slices; gives how many are new.
    pub async fn dnc_add(&self, workspace: &WorkspaceId, numbers: &[u64], note: u32, scope: Scope) -> Result<usize, StoreError> {
        let mut added = 0;
        let mut numbers = numbers.iter().copied().map(dnc::place).peekable();
        while numbers.peek().is_some() {
            let mut runs: Vec<(u64, Vec<u16>)> = Vec::with_capacity(SLICE);
            while let Some((run, offset)) = numbers.next_if(|(run, _)| runs.len() < SLICE || runs.last().is_some_and(|last| last.0 == *run)) {
                match runs.last_mut() {
                    Some((last, offsets)) if *last == run => offsets.push(offset),
                    _ => runs.push((run, vec![offset])),
                }
            }
            let workspace = workspace.clone();
            added += self.committer.run(Step::Change, move |tx| add(tx, &workspace, &runs, note, scope)).await?;
        }
        Ok(added)
    }

    /// Takes numbers off the list, in slices; gives how many stood there.
    pub async fn dnc_remove(&self, now: Time, actor: String, workspace: &WorkspaceId, phones: &[Phone]) -> Result<usize, StoreError> {
        let mut removed = 0;
        for slice in phones.chunks(REMOVED) {
            let (workspace, actor, slice) = (workspace.clone(), actor.clone(), slice.to_vec());
            removed += self.committer.run(Step::Change, move |tx| remove(tx, now, &actor, &workspace, &slice)).await?;
        }
        Ok(removed)
    }

    /// Numbers of the list in their order, after a number.
    pub fn dnc_list(&self, workspace: &WorkspaceId, after: Option<u64>, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let trees = self.trees()?;
        let prefix = keys::do_not_call_all(workspace);
        let from = after.map_or(0, |n| n + 1);
        let mut notes: HashMap<u32, Note> = HashMap::new();
        let mut entries = Vec::new();
        for row in trees.range(Tree::Index, &keys::do_not_call(workspace, from / dnc::RUN), None) {
            let (key, value) = row.map_err(|e| StoreError::Broken(e.to_string()))?;
            let Some(run) = key.strip_prefix(prefix.as_slice()).and_then(|k| k.try_into().ok()).map(u64::from_be_bytes) else { break };
            for (offset, id) in Run::read(&value).0 {
                let digits = run * dnc::RUN + u64::from(offset);
                let Some(phone) = dnc::phone_of(digits).filter(|_| digits >= from) else { continue };
                let note = match notes.entry(id) {
                    Slot::Occupied(known) => known.get().clone(),
                    Slot::Vacant(slot) => slot.insert(note(&self.index_get(), workspace, id)?).clone(),
                };
                entries.push(Entry { phone, note, id });
                if entries.len() == limit {
                    return Ok(entries);
                }
            }
        }
        Ok(entries)
    }

    /// The note of one number.
    pub fn dnc_of(&self, workspace: &WorkspaceId, phone: &Phone) -> Result<Option<Note>, StoreError> {
        listed(&self.index_get(), workspace, phone)
    }

    /// The queued calls of a workspace to a number; it costs the same however many others wait.
    pub fn queued_to(&self, workspace: &WorkspaceId, phone: &Phone) -> Result<Vec<CallId>, StoreError> {
        let found = self.shared.index().calls_to(phone);
        let mut calls = Vec::new();
        for id in found {
            let ours = |call: &Call| call.state == State::Queued && call.workspace == *workspace && call.phone == *phone;
            calls.extend(read::call(self, id)?.filter(ours).map(|call| call.id));
        }
        Ok(calls)
    }

    /// The queued calls of a workspace to any of these numbers (sorted digits). A million numbers are looked for one after the other: not where
    /// requests are answered.
    pub fn queued_among(&self, workspace: &WorkspaceId, numbers: &[u64]) -> Result<Vec<CallId>, StoreError> {
        let mut calls = Vec::new();
        // The placing loop waits for the index no longer than a slice takes.
        for slice in numbers.chunks(SLICE) {
            let found = self.shared.index().calls_among(slice);
            for id in found {
                let ours = |call: &Call| call.state == State::Queued && call.workspace == *workspace && slice.binary_search(&dnc::digits(&call.phone)).is_ok();
                calls.extend(read::call(self, id)?.filter(ours).map(|call| call.id));
            }
        }
        Ok(calls)
    }

    /// Refuses those of these queued calls whose number is on the list now; gives how many.
    pub async fn refuse_listed(&self, now: Time, calls: Vec<CallId>) -> Result<usize, StoreError> {
        let rules = self.rules();
        self.committer.run(Step::Change, move |tx| refuse_listed(tx, now, &calls, &rules)).await
    }
}

fn refuse_listed(tx: &mut Tx<'_>, now: Time, calls: &[CallId], rules: &Rules) -> Result<usize, StoreError> {
    let mut refused = 0;
    for id in calls {
        let Some(mut call) = tx.call(*id)?.filter(|call| call.state == State::Queued) else { continue };
        let Some(policy) = rules.of(call.connection.as_ref(), &call.workspace) else { continue };
        if let Ruling::Refuse { code } = history::ruling_of(tx, &call, &policy, now)?
            && history::refuse(tx, &mut call, now, code, policy.write_back_unreported)?
        {
            refused += 1;
        }
    }
    Ok(refused)
}
