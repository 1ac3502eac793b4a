//! Steps from a delivery to its calls.

use std::time::Duration;

use bytes::Bytes;

use super::keys::{self, CHUNK_BYTES, Tree};
use super::sealed;
use super::tx::Tx;
use super::{alerts, history};
use crate::domain::call::State;
use crate::domain::event::Event;
use crate::domain::id::EventId;
use crate::domain::item::{Ignored, Item, Outcome};
use crate::domain::rate::Rate;
use crate::domain::time::Time;
use crate::domain::window::Recent;
use crate::error::Code;
use crate::secrets::Keyring;
use crate::store::Rules;
use crate::store::codec;
use crate::store::task::{Subject, Task, TaskKind};
use crate::store::verbs::{Attempt, MapSettled, MappedItem, NextTry, Rejected, StoreError};

/// The longest body that lies in its event's record.
const WITH_EVENT: usize = 4 * 1024;

/// Event, body, and the task to map it. What can be encoded before the committer's turn is.
pub fn accept(
    now: Time,
    mut event: Event,
    body: Bytes,
    epoch: u64,
    keys: &Keyring,
) -> Result<impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError> + Send + use<>, StoreError> {
    sealed::close(&mut event, keys)?;
    let (record, apart) = with_body(&mut event, body)?;
    let task = map_task(&event, now, epoch);
    Ok(move |tx: &mut Tx<'_>| {
        tx.count(&event.workspace, "events", 1)?;
        tx.write_raw(Tree::Events, event.id.0.to_vec(), record);
        for (n, chunk) in apart.chunks(CHUNK_BYTES).enumerate() {
            tx.write_raw(Tree::Bodies, keys::body_chunk(event.id, u16::try_from(n).unwrap_or(u16::MAX)), chunk.to_vec());
        }
        tx.write_task(&task)
    })
}

/// The record of an event, and what of the body lies apart. A row more costs a page of the store's tables and a write at each step.
fn with_body(event: &mut Event, body: Bytes) -> Result<(Vec<u8>, Bytes), StoreError> {
    event.body = (body.len() <= WITH_EVENT).then(|| String::from_utf8(body.to_vec()).ok()).flatten();
    let record = codec::encode(event)?;
    // As JSON a text of control characters is six times as long.
    if event.body.is_none() || record.len() > 3 * WITH_EVENT {
        event.body = None;
        return Ok((codec::encode(event)?, body));
    }
    Ok((record, Bytes::new()))
}

pub fn map_task(event: &Event, now: Time, epoch: u64) -> Task {
    Task { kind: TaskKind::Map, subject: Subject::Event(event.id), due: now, tries: 0, first_due: now, epoch, connection: Some(event.connection.clone()) }
}

/// A ring of the newest refused deliveries.
pub fn reject(tx: &mut Tx<'_>, rejected: &Rejected) -> Result<(), StoreError> {
    let next = tx.number(Tree::Meta, keys::REJECTED_NEXT)?;
    let slot = next.unsigned_abs() % keys::REJECTED_KEPT;
    tx.write(Tree::Meta, keys::rejected(slot), rejected)?;
    tx.write_raw(Tree::Meta, keys::REJECTED_NEXT.to_vec(), (next + 1).to_be_bytes().to_vec());
    tx.count(&rejected.workspace, &format!("rejected.{}", rejected.code), 1)
}

/// All items of an event and their calls, and the end of the map task.
pub fn finish_map(tx: &mut Tx<'_>, now: Time, id: EventId, items: Vec<MappedItem>, rules: &Rules) -> Result<MapSettled, StoreError> {
    let Some(event) = tx.read::<Event>(Tree::Events, &id.0)? else {
        tx.end_task(TaskKind::Map, Subject::Event(id));
        return Ok(MapSettled::default());
    };
    let mut settled = MapSettled::default();
    for item in items {
        settle(tx, now, &event, item, rules, &mut settled)?;
    }
    tx.end_task(TaskKind::Map, Subject::Event(id));
    Ok(settled)
}

/// One item after its lookups, or the same task again later.
pub fn finish_lookup(
    tx: &mut Tx<'_>,
    now: Time,
    item: MappedItem,
    id: EventId,
    attempt: Option<Attempt>,
    next: &NextTry,
    rules: &Rules,
) -> Result<MapSettled, StoreError> {
    let subject = Subject::Item(id, item.index);
    if let Some(attempt) = &attempt {
        tx.write(Tree::Attempts, keys::lookup_attempt(id, item.index, attempt.id), attempt)?;
    }
    let mut settled = MapSettled::default();
    let event = tx.read::<Event>(Tree::Events, &id.0)?;
    if let (Some(event), Some(attempt)) = (&event, &attempt) {
        alerts::of_attempts(tx, now, &event.workspace, &event.connection, std::slice::from_ref(attempt))?;
    }
    match (next, tx.task(TaskKind::Lookup, subject)?, event) {
        (NextTry::At { due, counted }, Some(mut task), _) => next_try(tx, &mut task, *due, counted.then(|| due.since(now)))?,
        (NextTry::Done, Some(_), Some(event)) => {
            settle(tx, now, &event, item, rules, &mut settled)?;
            tx.end_task(TaskKind::Lookup, subject);
        }
        _ => tx.end_task(TaskKind::Lookup, subject),
    }
    Ok(settled)
}

/// Writes the same task again for later, as the one who runs it; `counted` as in [`Task::again`].
pub fn next_try(tx: &mut Tx<'_>, task: &mut Task, due: Time, counted: Option<Duration>) -> Result<(), StoreError> {
    task.again(due, counted);
    task.epoch = tx.epoch;
    tx.write(Tree::Tasks, keys::task(task.kind, task.subject), task)?;
    tx.effects.push(super::schedule::Effect::TaskNext { kind: task.kind, subject: task.subject, due });
    Ok(())
}

/// De-duplication and the making of the call are one step. An item that already gave a call stays as it is.
fn settle(tx: &mut Tx<'_>, now: Time, event: &Event, mapped: MappedItem, rules: &Rules, settled: &mut MapSettled) -> Result<(), StoreError> {
    let key = keys::item(event.id, mapped.index);
    let before: Option<Item> = tx.read(Tree::Events, &key)?;
    if let Some(Item { outcome: Outcome::Called { .. }, .. }) = before {
        return Ok(());
    }
    let mut item = mapped.item;
    if let Some((text, keep)) = &mapped.event_key
        && seen_before(tx, event, mapped.index, text, now.plus(*keep), now)?
    {
        settled.duplicates += 1;
        item.outcome = Outcome::Ignored { why: Ignored::Duplicate };
    } else if let Some(mut call) = mapped.call {
        let wished = mapped.duplicate_window.filter(|w| !w.is_zero()).map(|window| (keys::wished(&event.connection, &call.record, call.phone.e164()), window));
        let recent = match &wished {
            Some((key, _)) => tx.time(key)?.filter(|until| *until > now),
            None => None,
        };
        if !admitted(tx, now, event, &mapped.exposed, call.phone.e164())? {
            item.outcome = Outcome::Refused { code: Code::ExposedLimit, detail: String::new() };
        } else if recent.is_some() {
            item.outcome = Outcome::Refused { code: Code::DuplicateCall, detail: String::new() };
        } else {
            item.outcome = Outcome::Called { call: call.id };
            settled.called.push(call.id);
            history::admit(tx, now, &mut call, rules, wished.as_ref().map(|(_, window)| *window))?;
            // One that is refused at once is nobody's call: what refused it may be over at the next wish.
            if let Some((key, window)) = wished.filter(|_| call.state == State::Queued) {
                tx.write_raw(Tree::Index, key, [&now.plus(window).0.to_be_bytes()[..], &call.id.0].concat());
            }
            tx.insert_call(&call)?;
        }
    } else if let Some(due) = mapped.lookup_due {
        item.outcome = Outcome::Waiting;
        tx.write_task(&Task {
            kind: TaskKind::Lookup,
            subject: Subject::Item(event.id, mapped.index),
            due,
            tries: 0,
            first_due: due,
            epoch: tx.epoch,
            connection: Some(event.connection.clone()),
        })?;
    }
    if let (Outcome::Refused { code, .. }, Some(keep)) = (&item.outcome, mapped.tell) {
        tell(tx, now, event, mapped.index, &item, *code, keep)?;
    }
    match before {
        Some(before) => tx.count(&event.workspace, &format!("items.{}", before.outcome.counter()), -1)?,
        None => tx.count(&event.workspace, "items", 1)?,
    }
    tx.count(&event.workspace, &format!("items.{}", item.outcome.counter()), 1)?;
    tx.write(Tree::Events, key, &item)
}

/// Counts a call that a public address asks for, unless its number has had its share.
fn admitted(tx: &mut Tx<'_>, now: Time, event: &Event, exposed: &Option<(String, Rate)>, phone: &str) -> Result<bool, StoreError> {
    let Some((hook, rate)) = exposed else { return Ok(true) };
    let key = keys::exposed(&event.connection, hook, phone);
    let mut recent = Recent::from_bytes(tx.raw(Tree::Index, &key)?.unwrap_or_default().get(8..).unwrap_or_default());
    let admitted = recent.take(*rate, now).is_ok();
    tx.write_raw(Tree::Index, key, [&recent.over_at(*rate).0.to_be_bytes()[..], &recent.to_bytes()].concat());
    Ok(admitted)
}

/// Has the refusal written onto its record, unless the same one was lately: our own entry may bring the next delivery of that record.
fn tell(tx: &mut Tx<'_>, now: Time, event: &Event, index: u16, item: &Item, code: Code, keep: Duration) -> Result<(), StoreError> {
    // A duplicate has a call already whose result comes, and a stranger's flood is not worth a note.
    if item.record.id.is_empty() || matches!(code, Code::DuplicateCall | Code::ExposedLimit) {
        return Ok(());
    }
    let key = keys::wished(&event.connection, &item.record, &format!("{code} {}", item.customer.phone));
    if tx.time(&key)?.is_some_and(|until| until > now) {
        return Ok(());
    }
    tx.write_raw(Tree::Index, key, now.plus(keep).0.to_be_bytes().to_vec());
    let (kind, subject, connection) = (TaskKind::WriteBack, Subject::Item(event.id, index), Some(event.connection.clone()));
    tx.write_task(&Task { kind, subject, due: now, tries: 0, first_due: now, epoch: tx.epoch, connection })
}

/// Remembers an event id; true if another item brought it before.
fn seen_before(tx: &mut Tx<'_>, event: &Event, index: u16, text: &str, until: Time, now: Time) -> Result<bool, StoreError> {
    let key = keys::seen(&event.connection, text);
    let owner = keys::item(event.id, index);
    if let Some(value) = tx.raw(Tree::Index, &key)?
        && let (Some(time), Some(by)) = (value.get(..8), value.get(8..))
        && by != owner.as_slice()
        && time.try_into().map(i64::from_be_bytes).is_ok_and(|t| Time(t) > now)
    {
        return Ok(true);
    }
    tx.write_raw(Tree::Index, key, [&until.0.to_be_bytes()[..], &owner].concat());
    Ok(false)
}

/// Takes items that gave no call up again.
pub fn replay(tx: &mut Tx<'_>, now: Time, id: EventId, items: &[(u16, Item)]) -> Result<bool, StoreError> {
    let Some(mut event) = tx.read::<Event>(Tree::Events, &id.0)? else { return Ok(false) };
    if !items.is_empty() && items.iter().all(|(_, item)| matches!(item.outcome, Outcome::Called { .. } | Outcome::Waiting)) {
        return Ok(false);
    }
    event.replays += 1;
    let task = map_task(&event, now, tx.epoch);
    tx.write(Tree::Events, id.0.to_vec(), &event)?;
    tx.write_task(&task)?;
    Ok(true)
}
