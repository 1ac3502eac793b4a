//! Steps that a person or a program asks for: new calls, and the one audited verb for changes.

use std::sync::Arc;

use super::intake;
use super::keys::{self, Tree};
use super::placing::{DIALER, EVERYTHING};
use super::result::over_without_report;
use super::stale;
use super::tx::Tx;
use super::{alerts, history};
use crate::domain::alert::{About, AlertKind};
use crate::domain::call::{Signal, State, Step, step};
use crate::domain::id::{AttemptId, CallId, ConnectionId, WorkspaceId};
use crate::domain::item::Item;
use crate::domain::time::Time;
use crate::domain::write_back::Status;
use crate::error::Code;
use crate::secrets::Keyring;
use crate::store::Rules;
use crate::store::task::{Subject, Task, TaskKind};
use crate::store::verbs::{AuditEntry, Change, Changed, Made, NewCall, StoreError};

/// Makes a call unless the same wish made one before.
pub fn create_call(tx: &mut Tx<'_>, now: Time, new: NewCall, rules: &Rules) -> Result<Made, StoreError> {
    let mut call = new.call;
    if let Some((text, keep)) = &new.idempotency {
        let key = keys::idempotency(&call.workspace, text);
        if let Some(value) = tx.raw(Tree::Index, &key)?
            && tx.time(&key)?.is_some_and(|until| until > now)
            && let Some(id) = keys::id_of(value.get(8..).unwrap_or_default())
        {
            return Ok(Made::Existing(CallId(id)));
        }
        tx.write_raw(Tree::Index, key, [&now.plus(*keep).0.to_be_bytes()[..], &call.id.0].concat());
    }
    if let Some(max) = new.max_queued
        && tx.queued_by(&call)? >= max
    {
        return Ok(Made::OverLimit);
    }
    history::admit(tx, now, &mut call, rules, None)?;
    tx.insert_call(&call)?;
    Ok(Made::Call(call.id))
}

/// Writes down who changed what. The key's order is `now`; no store reads a clock.
pub fn audit(tx: &mut Tx<'_>, now: Time, actor: &str, change: String) -> Result<(), StoreError> {
    tx.write(Tree::Meta, keys::audit(now, AttemptId::from_uuid(uuid::Uuid::new_v4())), &AuditEntry { at: now, actor: actor.to_owned(), change })
}

/// What a change needs that is read, opened or sealed before its step.
pub struct Prepared {
    pub rules: Arc<Rules>,
    pub items: Vec<(u16, Item)>,
    pub sealed: Vec<Kept>,
    pub held: Option<stale::Opened>,
}

/// Applies a change and writes down who asked for it.
pub fn change(tx: &mut Tx<'_>, now: Time, actor: &str, change: Change, prepared: Prepared, keys: &Keyring) -> Result<Changed, StoreError> {
    let what = format!("{change:?}");
    let Prepared { rules, items, sealed, held } = prepared;
    let rules = &*rules;
    let changed = match change {
        Change::Cancel { call, write_back } => cancel(tx, now, call, write_back)?,
        Change::CancelAll { calls } => {
            let mut cancelled = 0;
            for call in calls {
                let write_back = match tx.call(call)? {
                    Some(call) => rules.of(call.connection.as_ref(), &call.workspace).is_some_and(|policy| policy.write_back_unreported),
                    None => false,
                };
                cancelled += usize::from(cancel(tx, now, call, write_back)? == Changed::Ok);
            }
            Changed::Count(cancelled)
        }
        Change::Release { calls } => {
            let mut released = 0;
            for call in calls {
                let Some(mut call) = tx.call(call)? else { continue };
                released += usize::from(history::let_go(tx, &mut call, now, rules)?);
            }
            Changed::Count(released)
        }
        Change::PauseLine { workspace, line, pause } => {
            let mut state = tx.line(&workspace, &line)?;
            state.pause(pause);
            tx.write_line(&workspace, &line, state)?;
            Changed::Ok
        }
        Change::ResumeLine { workspace, line } => {
            let mut state = tx.line(&workspace, &line)?;
            state.go_on(now);
            state.heard(now);
            tx.write_line(&workspace, &line, state)?;
            alerts::line_goes_on(tx, now, &workspace, &line)?;
            alerts::clear(tx, now, &About::new(&workspace, AlertKind::LineSilent, line.as_str()))?;
            Changed::Ok
        }
        Change::StopAll(stopped) => {
            let mut brakes = tx.brakes()?;
            let why = [stopped.by.as_str(), stopped.reason.as_str()].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
            alerts::raise(tx, now, &About::new(&WorkspaceId::default(), AlertKind::Stopped, EVERYTHING), Code::HoldStopped, &why)?;
            brakes.stopped.get_or_insert(stopped);
            tx.write_brakes(brakes)?;
            Changed::Ok
        }
        Change::ResumeAll => {
            let mut brakes = tx.brakes()?;
            brakes.release(now);
            brakes.dialer_is_well(now);
            tx.write_brakes(brakes)?;
            for (kind, subject) in [(AlertKind::Stopped, EVERYTHING), (AlertKind::Dialer, DIALER)] {
                alerts::clear(tx, now, &About::new(&WorkspaceId::default(), kind, subject))?;
            }
            Changed::Ok
        }
        Change::RetryWriteBack { call } => retry_write_back(tx, now, call)?,
        Change::Replay { event } => match intake::replay(tx, now, event, &items)? {
            true => Changed::Ok,
            false => Changed::Denied("every item of this event gave a call or still waits".into()),
        },
        Change::LetIn { delivery } => stale::let_in(tx, now, delivery, held, keys)?,
        Change::OpenCapture { connection, until } => {
            tx.write_raw(Tree::Meta, keys::capture_window(&connection), until.0.to_be_bytes().to_vec());
            Changed::Ok
        }
        Change::Subscribe { sources, off } => Changed::Count(super::source::subscribe(tx, now, &sources, off)?),
        Change::Capture { connection, .. } => capture(tx, now, &connection, sealed)?,
    };
    if matches!(changed, Changed::Ok | Changed::Count(_)) {
        audit(tx, now, actor, what)?;
    }
    Ok(changed)
}

/// What was sealed of a handshake: key and record.
pub type Kept = (Vec<u8>, Vec<u8>);

/// Keeps what was captured while the window is open, and closes it.
fn capture(tx: &mut Tx<'_>, now: Time, connection: &ConnectionId, sealed: Vec<Kept>) -> Result<Changed, StoreError> {
    let window = keys::capture_window(connection);
    if tx.number(Tree::Meta, &window)? <= now.0 {
        return Ok(Changed::Denied("no window for a handshake is open: open one, then connect again in the CRM".into()));
    }
    tx.remove(Tree::Meta, window);
    for (key, value) in sealed {
        tx.write_raw(Tree::Meta, key, value);
    }
    Ok(Changed::Ok)
}

fn cancel(tx: &mut Tx<'_>, now: Time, id: CallId, write_back: bool) -> Result<Changed, StoreError> {
    let Some(mut call) = tx.call(id)? else { return Ok(Changed::NotFound) };
    let from = call.state;
    if step(from, Signal::Cancel, call.ever_sent) != Step::To(State::Cancelled) {
        return Ok(Changed::Denied(format!("the call is {}: only a queued call can be cancelled", from.as_str())));
    }
    call.state = State::Cancelled;
    call.refusal = Some(Code::Cancelled);
    let write_back = write_back && call.connection.is_some();
    over_without_report(tx, &mut call, now, write_back)?;
    tx.update_call(&mut call, from, now)?;
    Ok(Changed::Ok)
}

fn retry_write_back(tx: &mut Tx<'_>, now: Time, id: CallId) -> Result<Changed, StoreError> {
    let Some(mut call) = tx.call(id)? else { return Ok(Changed::NotFound) };
    if call.write_back.status != Status::Failed {
        return Ok(Changed::Denied(format!("its write-back is {}: only a failed one can be tried again", call.write_back.status.as_str())));
    }
    call.write_back.status = Status::Pending;
    call.write_back.forgive();
    let task = Task {
        kind: TaskKind::WriteBack,
        subject: Subject::Call(id),
        due: now,
        tries: 0,
        first_due: now,
        epoch: tx.epoch,
        connection: call.connection.clone(),
    };
    tx.write_task(&task)?;
    let from = call.state;
    tx.update_call(&mut call, from, now)?;
    Ok(Changed::Ok)
}
