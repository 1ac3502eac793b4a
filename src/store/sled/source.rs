//! Steps of what we fetch ourselves: an event and the place it came from move together or not at all.

use std::collections::BTreeSet;

use super::keys::{self, Tree};
use super::tx::Tx;
use crate::domain::id::SourceId;
use crate::domain::source::{Registration, Source, SourceKey, SourceKind, Wanted};
use crate::domain::time::Time;
use crate::store::task::{Subject, Task, TaskKind};
use crate::store::verbs::StoreError;

/// The sources that the configuration asks for; `known`: those on disk.
pub fn want(tx: &mut Tx<'_>, now: Time, wanted: &[Wanted], known: &[SourceId]) -> Result<(), StoreError> {
    let ids: BTreeSet<SourceId> = wanted.iter().map(|wanted| wanted.key.id()).collect();
    for Wanted { key, made_of } in wanted {
        let id = key.id();
        let stored: Option<Source> = tx.read(Tree::Meta, &keys::source(id))?;
        let other = stored.as_ref().is_none_or(|source| source.made_of != *made_of);
        if other || stored.as_ref().is_some_and(|source| !source.wanted) {
            let mut source = Source { wanted: true, made_of: made_of.clone(), ..stored.unwrap_or_else(|| Source::new(key.clone())) };
            if other {
                (source.registration.checked_at, source.failures) = (None, 0);
            }
            tx.write(Tree::Meta, keys::source(id), &source)?;
        }
        if other || tx.task(TaskKind::Poll, Subject::Source(id))?.is_none() {
            due_now(tx, now, key)?;
        }
    }
    for id in known.iter().filter(|id| !ids.contains(id)) {
        if let Some(source) = tx.read::<Source>(Tree::Meta, &keys::source(*id))?.filter(|source| source.wanted) {
            match source.key.kind {
                // It has to be deleted at the CRM.
                SourceKind::Subscription => due_now(tx, now, &source.key)?,
                SourceKind::Poll | SourceKind::Login => tx.end_task(TaskKind::Poll, Subject::Source(*id)),
            }
            tx.write(Tree::Meta, keys::source(*id), &Source { wanted: false, failures: 0, ..source })?;
        }
    }
    Ok(())
}

fn due_now(tx: &mut Tx<'_>, now: Time, key: &SourceKey) -> Result<(), StoreError> {
    let connection = Some(key.connection.clone());
    tx.write_task(&Task { kind: TaskKind::Poll, subject: Subject::Source(key.id()), due: now, tries: 0, first_due: now, epoch: tx.epoch, connection })
}

/// A person wants these subscriptions looked at now, or not at all any more.
pub fn subscribe(tx: &mut Tx<'_>, now: Time, sources: &[SourceId], off: bool) -> Result<usize, StoreError> {
    let mut changed = 0;
    for id in sources {
        let Some(mut source) = tx.read::<Source>(Tree::Meta, &keys::source(*id))?.filter(|source| source.wanted || off) else { continue };
        (source.registration.off, source.registration.checked_at, source.failures) = (off, None, 0);
        tx.write(Tree::Meta, keys::source(*id), &source)?;
        due_now(tx, now, &source.key)?;
        changed += 1;
    }
    Ok(changed)
}

/// How far a source has come, and when it goes on. One that was ended meanwhile keeps its place and its rest; what a person or the
/// configuration changed meanwhile is looked at, at once.
pub fn finish(tx: &mut Tx<'_>, source: Source, due: Option<Time>) -> Result<(), StoreError> {
    let id = source.key.id();
    let stored: Option<Source> = tx.read(Tree::Meta, &keys::source(id))?;
    let (wanted, off) = stored.as_ref().map_or((false, false), |stored| (stored.wanted, stored.registration.off));
    let subscription = source.key.kind == SourceKind::Subscription;
    let made_of = stored.map(|stored| stored.made_of).unwrap_or_default();
    let other = made_of != source.made_of;
    let changed = (subscription && (wanted, off) != (source.wanted, source.registration.off)) || (wanted && other);
    let due = if changed { Some(Time(0)) } else { due.filter(|_| wanted || subscription) };
    let checked_at = source.registration.checked_at.filter(|_| !other);
    let registration = Registration { off, checked_at, ..source.registration.clone() };
    tx.write(Tree::Meta, keys::source(id), &Source { wanted, made_of, registration, ..source })?;
    match (tx.task(TaskKind::Poll, Subject::Source(id))?, due) {
        (Some(mut task), Some(due)) => super::intake::next_try(tx, &mut task, due, None),
        _ => {
            tx.end_task(TaskKind::Poll, Subject::Source(id));
            Ok(())
        }
    }
}
