//! Steps from a report to its entry in the CRM.

use std::time::Duration;

use bytes::Bytes;

use super::history::count_text;
use super::intake::next_try;
use super::keys::{self, CHUNK_BYTES, Tree};
use super::placing::free_slot;
use super::schedule::{Deadline, Effect};
use super::tx::Tx;
use super::{alerts, dnc};
use crate::domain::alert::{About, AlertKind};
use crate::domain::call::{Call, Signal, State, Step, step};
use crate::domain::dnc::{Note, Scope, Source};
use crate::domain::event::Event;
use crate::domain::id::{CallId, EventId, LineId, WorkspaceId};
use crate::domain::report::{Interest, Report};
use crate::domain::time::Time;
use crate::domain::write_back::Status;
use crate::error::Code;
use crate::store::task::{Subject, Task, TaskKind};
use crate::store::verbs::{AfterReport, Attempt, NextTry, Reported, StoreError, Written};

/// Raw reports kept per call; later ones still count and still update.
const REPORTS_KEPT: usize = 20;
/// A phone that goes on to say other things about one call is broken: what comes then is like a repeat.
const REPORTS_COUNTED: usize = 100;

/// Keeps a report, ends its call, frees its slot and makes the write-back due.
pub fn report(tx: &mut Tx<'_>, now: Time, id: CallId, raw: &Bytes, report: Option<Report>, after: &AfterReport) -> Result<Reported, StoreError> {
    let Some(mut call) = tx.call(id)? else { return Ok(Reported::Unknown) };
    if call.report_digests.contains(&after.body_digest) || call.report_digests.len() >= REPORTS_COUNTED {
        return Ok(Reported::Same);
    }
    let from = call.state;
    let to = step(from, Signal::Report, call.ever_sent);
    let version = u16::try_from(call.report_digests.len() + 1).unwrap_or(u16::MAX);
    if call.report_digests.len() < REPORTS_KEPT {
        for (n, chunk) in raw.chunks(CHUNK_BYTES).enumerate() {
            tx.write_raw(Tree::Bodies, keys::report_chunk(id, version, u16::try_from(n).unwrap_or(u16::MAX)), chunk.to_vec());
        }
    }
    call.report_digests.push(after.body_digest.clone());
    call.report_mismatch |= after.mismatch;
    if to == Step::StayAlarm {
        tx.update_call(&mut call, from, now)?;
        return Ok(Reported::NeverSent);
    }
    let first = call.report.is_none();
    if let Some(report) = report {
        if report.send_sms && !call.report.as_ref().is_some_and(|old| old.send_sms) && call.test_phone.is_none() {
            count_text(tx, &call, now)?;
        }
        call.report = Some(report);
    }
    learn(tx, &mut call, now, after)?;
    call.reported_at = Some(now);
    call.state = State::Ended;
    if matches!(to, Step::To(_)) {
        call.ended_at = Some(now);
    }
    if let Some(at) = call.deadline.take() {
        tx.effects.push(Effect::NoDeadline { at, kind: Deadline::Report, call: id });
    }
    settle_slot(tx, &call, now, after)?;
    follow(tx, &mut call, now, after)?;
    if let Some(wait) = after.write_back_after {
        call.write_back.status = Status::Waiting;
        // What was refused about an older report says nothing of this one.
        call.write_back.forgive();
        due(tx, &call, TaskKind::WriteBack, now.plus(wait))?;
    }
    if call.forward.is_some() {
        due(tx, &call, TaskKind::Forward, now)?;
    }
    tx.update_call(&mut call, from, now)?;
    Ok(if first { Reported::First } else { Reported::Later(version) })
}

/// Puts the number of a customer who said no on the do-not-call list. A later report that says otherwise takes off what this very call put there.
fn learn(tx: &mut Tx<'_>, call: &mut Call, now: Time, after: &AfterReport) -> Result<(), StoreError> {
    if call.is_test() {
        return Ok(());
    }
    let interest = call.report.as_ref().map(Report::interest);
    let refused = interest == Some(Interest::NotInterested);
    if after.do_not_call || (after.learn_do_not_call && refused) {
        let why = format!("{}, {}", interest.map_or("", Interest::as_str).replace('_', " "), call.id);
        let note = Note { source: Source::Learned, scope: Scope::All, by: "callbridge".into(), at: now, why };
        dnc::learn(tx, &call.workspace, &call.phone, &note)?;
        call.after.listed = true;
    } else if call.after.listed && !refused && after.decided.is_some() {
        dnc::unlearn(tx, now, call)?;
        call.after.listed = false;
    }
    Ok(())
}

/// Keeps what the rules make of the newest report. A call more that a later report no longer wants is cancelled while it waits, and none is
/// promised to a number that must not be called.
fn follow(tx: &mut Tx<'_>, call: &mut Call, now: Time, after: &AfterReport) -> Result<(), StoreError> {
    let Some(decided) = &after.decided else { return Ok(()) };
    call.after.set.clone_from(&decided.set);
    let again = match &decided.again {
        Some(next) if !dnc::bars(tx, call)? => Some(next),
        _ => None,
    };
    match (call.after.again, again) {
        (None, Some(next)) => {
            (call.after.again, call.after.again_at) = (Some(next.id), next.hold.and_then(|hold| hold.until));
            tx.insert_call(next)
        }
        (Some(id), None) => {
            let Some(mut next) = tx.call(id)?.filter(|next| next.state == State::Queued) else { return Ok(()) };
            // None is promised any more: a report after this one may want one again.
            (call.after.again, call.after.again_at) = (None, None);
            next.state = State::Cancelled;
            next.refusal = Some(Code::Cancelled);
            next.reason = Some(format!("a later report of {} no longer wants it", call.id));
            tx.update_call(&mut next, State::Queued, now)
        }
        _ => Ok(()),
    }
}

/// The slot stays taken a moment longer: the phone needs it to be ready again. Another call's slot is never touched.
fn settle_slot(tx: &mut Tx<'_>, call: &Call, now: Time, after: &AfterReport) -> Result<(), StoreError> {
    let Some(name) = &call.line else { return Ok(()) };
    let mut line = tx.line(&call.workspace, name)?;
    if let Some(until) = line.in_flight.get(&call.id) {
        tx.effects.push(Effect::NoDeadline { at: *until, kind: Deadline::Slot, call: call.id });
    }
    // Before a time of the clock that is now is written beside those of one that is no more.
    line.set_back(now);
    if let Some(until) = line.in_flight.get_mut(&call.id) {
        let settled = now.plus(after.settle);
        *until = (*until).min(settled);
        if *until <= now {
            line.in_flight.remove(&call.id);
        }
    }
    line.last_report = Some(now);
    if line.heard(now) {
        alerts::clear(tx, now, &About::new(&call.workspace, AlertKind::LineSilent, name.as_str()))?;
    }
    // The answer to the probe may have been lost; its report says as much.
    if line.probed_by(call.placing_at) && line.go_on(now) {
        alerts::line_goes_on(tx, now, &call.workspace, name)?;
    }
    tx.write_line(&call.workspace, name, line)
}

fn due(tx: &mut Tx<'_>, call: &Call, kind: TaskKind, at: Time) -> Result<(), StoreError> {
    let subject = Subject::Call(call.id);
    // A task that waits already may have been under way in an earlier process: that doubt must not be lost.
    let epoch = tx.task(kind, subject)?.map_or(tx.epoch, |task| task.epoch);
    tx.write_task(&Task { kind, subject, due: at, tries: 0, first_due: at, epoch, connection: call.connection.clone() })
}

/// A call that is over and will get no report: its sentence goes onto the record, and to a drop-in caller.
pub fn over_without_report(tx: &mut Tx<'_>, call: &mut Call, now: Time, write_back: bool) -> Result<(), StoreError> {
    if let Some(at) = call.deadline.take() {
        tx.effects.push(Effect::NoDeadline { at, kind: Deadline::Report, call: call.id });
    }
    if write_back {
        call.write_back.status = Status::Waiting;
        due(tx, call, TaskKind::WriteBack, now)?;
    }
    if call.forward.is_some() {
        due(tx, call, TaskKind::Forward, now)?;
    }
    // Where our own entry may bring the next delivery, that stays a duplicate for as long as it would have been one; no entry makes a click.
    if !call.ever_sent && (call.interactive || !write_back) { forget_wish(tx, call) } else { Ok(()) }
}

/// Nobody was called: the next wish for this record is no duplicate.
fn forget_wish(tx: &mut Tx<'_>, call: &Call) -> Result<(), StoreError> {
    let Some(connection) = &call.connection else { return Ok(()) };
    let key = keys::wished(connection, &call.record, call.phone.e164());
    // After a long wait it may be that of a later call.
    if tx.raw(Tree::Index, &key)?.is_some_and(|value| value.get(8..) == Some(call.id.0.as_slice())) {
        tx.remove(Tree::Index, key);
    }
    Ok(())
}

/// Keeps what a write-back learnt. A report that came meanwhile keeps the task.
pub fn finish_write_back(tx: &mut Tx<'_>, now: Time, id: CallId, written: Written) -> Result<(), StoreError> {
    let subject = Subject::Call(id);
    for attempt in &written.attempts {
        tx.write(Tree::Attempts, keys::attempt(id, attempt.id), attempt)?;
    }
    let (Some(mut call), task) = (tx.call(id)?, tx.task(TaskKind::WriteBack, subject)?) else {
        tx.end_task(TaskKind::WriteBack, subject);
        return Ok(());
    };
    if let Some(connection) = call.connection.clone() {
        alerts::of_attempts(tx, now, &call.workspace, &connection, &written.attempts)?;
    }
    let newer = usize::from(written.version) < call.report_digests.len();
    let from = call.state;
    call.write_back = written.learnt;
    if newer {
        call.write_back.forgive();
    }
    match (written.next, task) {
        (NextTry::At { due, counted }, Some(mut task)) => {
            call.write_back.status = Status::Pending;
            let due = if newer { task.due } else { due };
            next_try(tx, &mut task, due, (counted && !newer).then(|| due.since(now)))?;
        }
        (NextTry::Done, Some(mut task)) if newer => {
            call.write_back.status = Status::Waiting;
            let due = task.due;
            next_try(tx, &mut task, due, None)?;
        }
        _ => tx.end_task(TaskKind::WriteBack, subject),
    }
    tx.update_call(&mut call, from, now)
}

/// The same for an item that was refused and has no call.
pub fn finish_item_write_back(tx: &mut Tx<'_>, now: Time, event: EventId, index: u16, mut written: Written) -> Result<(), StoreError> {
    let subject = Subject::Item(event, index);
    if let Some(of) = tx.read::<Event>(Tree::Events, &event.0)? {
        alerts::of_attempts(tx, now, &of.workspace, &of.connection, &written.attempts)?;
    }
    for attempt in &written.attempts {
        tx.write(Tree::Attempts, keys::lookup_attempt(event, index, attempt.id), attempt)?;
    }
    match (written.next, tx.task(TaskKind::WriteBack, subject)?) {
        (NextTry::At { due, counted }, Some(mut task)) => {
            written.learnt.status = Status::Pending;
            next_try(tx, &mut task, due, counted.then(|| due.since(now)))?;
        }
        _ => tx.end_task(TaskKind::WriteBack, subject),
    }
    tx.write(Tree::Events, keys::item_write_back(event, index), &written.learnt)
}

/// Ends or moves a forward task. A report that came while `version` was sent keeps the task.
pub fn finish_forward(tx: &mut Tx<'_>, id: CallId, version: u16, attempt: &Attempt, next: &NextTry) -> Result<(), StoreError> {
    let subject = Subject::Call(id);
    tx.write(Tree::Attempts, keys::attempt(id, attempt.id), attempt)?;
    let newer = tx.call(id)?.is_some_and(|call| usize::from(version) < call.report_digests.len());
    match (next, tx.task(TaskKind::Forward, subject)?) {
        (_, Some(mut task)) if newer => {
            let due = task.due;
            next_try(tx, &mut task, due, None)
        }
        (NextTry::At { due, counted }, Some(mut task)) => {
            let answered = attempt.at.plus(Duration::from_millis(attempt.duration_ms));
            next_try(tx, &mut task, *due, counted.then(|| due.since(answered)))
        }
        _ => {
            tx.end_task(TaskKind::Forward, subject);
            Ok(())
        }
    }
}

/// Frees the slot of a call whose phone did not report in time; the line is silent if nothing was heard from it since.
pub fn slot_over(tx: &mut Tx<'_>, call: &mut Call, now: Time) -> Result<(), StoreError> {
    let placing = call.placing_at;
    let mut silent = false;
    free_slot(tx, call, |line| {
        // A report of the future was heard before the clock was set back.
        if line.last_report.filter(|heard| *heard <= now).is_none_or(|heard| placing.is_some_and(|p| heard <= p)) {
            line.silent_since.get_or_insert(now);
            silent = true;
        }
    })?;
    match &call.line {
        Some(name) if silent => alerts::raise(tx, now, &About::new(&call.workspace, AlertKind::LineSilent, name.as_str()), Code::HoldSilent, ""),
        _ => Ok(()),
    }
}

/// Slots of a line whose time is over while the sweep has not come by: the next call must not go before the line is known to be silent.
pub fn overdue_slots(tx: &mut Tx<'_>, workspace: &WorkspaceId, name: &LineId, now: Time, slot_timeout: Duration) -> Result<(), StoreError> {
    let line = tx.line(workspace, name)?;
    // One that was heard of since it was placed only settles: no record has to be read for it.
    let unheard = |until: Time| line.last_report.filter(|heard| *heard <= now).is_none_or(|heard| heard <= until.minus(slot_timeout));
    for (id, _) in line.in_flight.iter().filter(|(_, until)| **until <= now && unheard(**until)) {
        if let Some(mut call) = tx.call(*id)?
            && step(call.state, Signal::SlotTimeout, call.ever_sent) == Step::FreeSlot
        {
            slot_over(tx, &mut call, now)?;
        }
    }
    Ok(())
}
