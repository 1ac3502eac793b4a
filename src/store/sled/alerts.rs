//! Alerts are raised and cleared in the very step that finds or ends the trouble; telling somebody is a task.

use super::keys::{self, Tree};
use super::tx::Tx;
use crate::domain::alert::{About, Alert, AlertKind, Told};
use crate::domain::id::{AlertId, ConnectionId, LineId, WorkspaceId};
use crate::domain::time::Time;
use crate::error::Code;
use crate::store::task::{Subject, Task, TaskKind};
use crate::store::verbs::{AlertChange, Attempt, NextTry, StoreError};

use super::intake::next_try;

/// The trouble is there. Known trouble of the same code is only counted.
pub fn raise(tx: &mut Tx<'_>, now: Time, about: &About, code: Code, detail: &str) -> Result<(), StoreError> {
    let id = about.id();
    let old: Option<Alert> = tx.read(Tree::Meta, &keys::alert(id))?;
    if let Some(mut open) = old.clone().filter(|alert| alert.is_open() && alert.code == code) {
        open.times = open.times.saturating_add(1);
        return tx.write(Tree::Meta, keys::alert(id), &open);
    }
    let alert = Alert {
        id,
        workspace: about.workspace.clone(),
        kind: about.kind,
        subject: about.subject.clone(),
        code,
        detail: detail.to_owned(),
        raised_at: now,
        cleared_at: None,
        times: 1,
        told: old.map(|alert| alert.told).unwrap_or_default(),
    };
    tx.count(&about.workspace, "alerts.raised", 1)?;
    write_due(tx, now, &alert)
}

/// The trouble is over, if there was one.
pub fn clear(tx: &mut Tx<'_>, now: Time, about: &About) -> Result<(), StoreError> {
    let Some(mut alert) = tx.read::<Alert>(Tree::Meta, &keys::alert(about.id()))?.filter(Alert::is_open) else { return Ok(()) };
    alert.cleared_at = Some(now);
    tx.count(&about.workspace, "alerts.recovered", 1)?;
    write_due(tx, now, &alert)
}

/// The same, if that was the trouble.
pub fn clear_of(tx: &mut Tx<'_>, now: Time, about: &About, code: Code) -> Result<(), StoreError> {
    match tx.read::<Alert>(Tree::Meta, &keys::alert(about.id()))? {
        Some(alert) if alert.is_open() && alert.code == code => clear(tx, now, about),
        _ => Ok(()),
    }
}

/// A line goes on: whatever paused it is over, but no month that is used up.
pub fn line_goes_on(tx: &mut Tx<'_>, now: Time, workspace: &WorkspaceId, line: &LineId) -> Result<(), StoreError> {
    let about = About::new(workspace, AlertKind::LinePaused, line.as_str());
    match tx.read::<Alert>(Tree::Meta, &keys::alert(about.id()))? {
        Some(alert) if alert.code == Code::HoldQuota => Ok(()),
        _ => clear(tx, now, &about),
    }
}

fn write_due(tx: &mut Tx<'_>, now: Time, alert: &Alert) -> Result<(), StoreError> {
    tx.write(Tree::Meta, keys::alert(alert.id), alert)?;
    let subject = Subject::Alert(alert.id);
    tx.write_task(&Task { kind: TaskKind::Alert, subject, due: now, tries: 0, first_due: now, epoch: tx.epoch, connection: None })
}

/// What was noticed outside of a step.
pub fn change(tx: &mut Tx<'_>, now: Time, changes: &[AlertChange]) -> Result<(), StoreError> {
    for change in changes {
        match change {
            AlertChange::Raise { about, code, detail } => raise(tx, now, about, *code, detail)?,
            AlertChange::Clear { about } => clear(tx, now, about)?,
        }
    }
    Ok(())
}

/// Keeps who was told what. If the trouble began or ended meanwhile, the task is due at once.
pub fn finish(tx: &mut Tx<'_>, now: Time, seen: &Alert, next: &NextTry) -> Result<(), StoreError> {
    let (id, subject) = (seen.id, Subject::Alert(seen.id));
    let Some(mut alert) = tx.read::<Alert>(Tree::Meta, &keys::alert(id))? else {
        tx.end_task(TaskKind::Alert, subject);
        return Ok(());
    };
    let changed = (alert.raised_at, alert.cleared_at) != (seen.raised_at, seen.cleared_at);
    for (receiver, told) in &seen.told {
        alert.told.insert(receiver.clone(), Told::clone(told));
    }
    tx.write(Tree::Meta, keys::alert(id), &alert)?;
    match (next, tx.task(TaskKind::Alert, subject)?) {
        (_, Some(mut task)) if changed => next_try(tx, &mut task, now, None),
        (NextTry::At { due, counted }, Some(mut task)) => next_try(tx, &mut task, *due, counted.then(|| due.since(now))),
        _ => {
            tx.end_task(TaskKind::Alert, subject);
            Ok(())
        }
    }
}

/// What the last of these requests to a CRM says about its connection.
pub fn of_attempts(tx: &mut Tx<'_>, now: Time, workspace: &WorkspaceId, connection: &ConnectionId, attempts: &[Attempt]) -> Result<(), StoreError> {
    let Some(last) = attempts.last() else { return Ok(()) };
    let about = About::new(workspace, AlertKind::ConnectionFailing, connection.as_str());
    if last.class == "ok" {
        return clear(tx, now, &about);
    }
    let refused =
        matches!(last.status, Some(401 | 403)) || matches!(last.class.as_str(), "misconfigured" | "refresh_token" | "blocked" | "login_refused" | "unreadable");
    if refused { raise(tx, now, &about, Code::ConnectionFailing, &last.detail) } else { Ok(()) }
}

/// Reads one, outside of a step.
pub fn read(store: &super::store::SledStore, id: AlertId) -> Result<Option<Alert>, StoreError> {
    super::read::one(store, Tree::Meta, &keys::alert(id))
}

/// Every one there is or was.
pub fn list(store: &super::store::SledStore) -> Result<Vec<Alert>, StoreError> {
    let rows = super::read::under::<Alert>(store, Tree::Meta, keys::ALERTS, keys::ALERTS.len() + 16)?;
    Ok(rows.into_iter().map(|(_, alert)| alert).collect())
}
