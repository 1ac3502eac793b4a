//! Steps of what we fetch ourselves: an event and the place it came from move together or not at all.

use std::collections::BTreeSet;

use super::keys::{self, Tree};
use super::tx::Tx;
use crate::domain::id::SourceId;
use crate::domain::source::{Source, SourceKey};
use crate::domain::time::Time;
use crate::store::task::{Subject, Task, TaskKind};
use crate::store::verbs::StoreError;

/// The sources that the configuration asks for; `known`: those on disk.
pub fn want(tx: &mut Tx<'_>, now: Time, wanted: &[SourceKey], known: &[SourceId]) -> Result<(), StoreError> {
    let ids: BTreeSet<SourceId> = wanted.iter().map(SourceKey::id).collect();
    for key in wanted {
        let id = key.id();
        let stored: Option<Source> = tx.read(Tree::Meta, &keys::source(id))?;
        if stored.as_ref().is_none_or(|source| !source.wanted) {
            let source = Source { wanted: true, ..stored.unwrap_or_else(|| Source::new(key.clone())) };
            tx.write(Tree::Meta, keys::source(id), &source)?;
        }
        if tx.task(TaskKind::Poll, Subject::Source(id))?.is_none() {
            let connection = Some(key.connection.clone());
            tx.write_task(&Task { kind: TaskKind::Poll, subject: Subject::Source(id), due: now, tries: 0, first_due: now, epoch: tx.epoch, connection })?;
        }
    }
    for id in known.iter().filter(|id| !ids.contains(id)) {
        if let Some(source) = tx.read::<Source>(Tree::Meta, &keys::source(*id))?.filter(|source| source.wanted) {
            tx.write(Tree::Meta, keys::source(*id), &Source { wanted: false, ..source })?;
            tx.end_task(TaskKind::Poll, Subject::Source(*id));
        }
    }
    Ok(())
}

/// How far a source has come, and when it goes on. One that was ended meanwhile keeps its place and its rest.
pub fn finish(tx: &mut Tx<'_>, source: Source, due: Option<Time>) -> Result<(), StoreError> {
    let id = source.key.id();
    let stored: Option<Source> = tx.read(Tree::Meta, &keys::source(id))?;
    let wanted = stored.is_some_and(|stored| stored.wanted);
    tx.write(Tree::Meta, keys::source(id), &Source { wanted, ..source })?;
    match (tx.task(TaskKind::Poll, Subject::Source(id))?, due.filter(|_| wanted)) {
        (Some(mut task), Some(due)) => super::intake::next_try(tx, &mut task, due, false),
        _ => {
            tx.end_task(TaskKind::Poll, Subject::Source(id));
            Ok(())
        }
    }
}
