//! When we last wrote to a record, so that a webhook which that write caused is not taken for a wish.
//!
//! In memory: what is forgotten in a restart is at most one such webhook, and the duplicate window still stands before a second call.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::ask::{AskError, Asked, Asking, ask};
use crate::domain::id::ConnectionId;
use crate::domain::record::RecordRef;
use crate::domain::request::Outbound;
use crate::domain::time::Time;
use crate::outbound::SendError;
use crate::plugin::{ComposeError, Params};

/// No quiet time is longer.
const KEPT: Duration = Duration::from_secs(3600);
/// Above this many records, those with old writes are thrown out, and again when there are twice as many as were left.
const MANY: usize = 10_000;
/// Writes kept of one id: more than the steps of a write-back.
const WRITES: usize = 16;

/// One request that changes something at the CRM.
#[derive(Debug)]
struct Write {
    number: u64,
    /// The record's type.
    kind: String,
    began: Time,
    last: Time,
}

#[derive(Debug, Default)]
struct State {
    begun: u64,
    /// How many records there may be before the old ones are thrown out.
    room: usize,
    /// By connection and the record's id.
    writes: HashMap<(ConnectionId, String), VecDeque<Write>>,
}

/// Our own writes of late.
#[derive(Debug, Default)]
pub struct OwnWrites(Mutex<State>);

impl OwnWrites {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is sent to this record now. Gives its number, for [`OwnWrites::end`].
    pub fn begin(&self, connection: &ConnectionId, record: &RecordRef, now: Time) -> u64 {
        let mut state = self.state();
        state.begun += 1;
        let number = state.begun;
        if record.id.is_empty() {
            return number;
        }
        if state.writes.len() >= state.room.max(MANY) {
            state.writes.retain(|_, writes| writes.back().is_some_and(|write| now.since(write.last) < KEPT));
            state.room = state.writes.len() * 2;
        }
        let writes = state.writes.entry((connection.clone(), record.id.clone())).or_default();
        if writes.len() >= WRITES {
            writes.pop_front();
        }
        writes.push_back(Write { number, kind: record.kind.clone(), began: now, last: now });
        number
    }

    /// It is over; what was not `sent` cannot have caused anything.
    pub fn end(&self, connection: &ConnectionId, record: &RecordRef, number: u64, sent: bool, now: Time) {
        let mut state = self.state();
        let key = (connection.clone(), record.id.clone());
        let Some(writes) = state.writes.get_mut(&key) else { return };
        if sent {
            writes.iter_mut().filter(|write| write.number == number).for_each(|write| write.last = now);
        } else {
            writes.retain(|write| write.number != number);
        }
        if writes.is_empty() {
            state.writes.remove(&key);
        }
    }

    /// Whether something that arrived then came while this record was written to, or within `quiet` after it. Where a delivery does not
    /// tell the type of its record, any record of that id may be meant.
    pub fn within(&self, connection: &ConnectionId, record: &RecordRef, arrived: Time, quiet: Duration) -> bool {
        let state = self.state();
        let mut writes = state.writes.get(&(connection.clone(), record.id.clone())).into_iter().flatten();
        let alike = |kind: &str| kind == record.kind || kind.is_empty() || record.kind.is_empty();
        // A write that began after the delivery did not cause it.
        writes.any(|write| alike(&write.kind) && write.began <= arrived && arrived.since(write.last) <= quiet)
    }
}

/// Makes a request that changes these records; from the moment it leaves they are quiet, if its plugin asks for that.
pub async fn ask_and_note(asking: Asking<'_>, records: &[RecordRef], compose: impl Fn(&Params) -> Result<Outbound, ComposeError>) -> Result<Asked, AskError> {
    let (app, connection) = (asking.app, &asking.wired.connection.id);
    if asking.plugin.quiet().is_none() || records.is_empty() {
        return ask(asking, compose).await;
    }
    let begun = Mutex::new(Vec::new());
    let asked = ask(asking, |params| {
        let composed = compose(params)?;
        let now = app.clock.now();
        let numbers = records.iter().map(|record| (record, app.own_writes.begin(connection, record, now)));
        begun.lock().unwrap_or_else(PoisonError::into_inner).extend(numbers);
        Ok(composed)
    })
    .await;
    let unsent = matches!(asked, Err(AskError::Send(SendError::NotSent(_) | SendError::Blocked(_) | SendError::Withheld(_))));
    for (record, number) in begun.into_inner().unwrap_or_else(PoisonError::into_inner) {
        app.own_writes.end(connection, record, number, !unsent, app.clock.now());
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_secs(120);

    fn record(kind: &str, id: &str) -> RecordRef {
        RecordRef { kind: kind.into(), id: id.into() }
    }

    #[test]
    fn it_is_quiet_for_a_while_after_a_write_to_the_same_record() {
        let (writes, id, deal) = (OwnWrites::default(), ConnectionId::new("c"), record("deal", "7"));
        let within = |record: &RecordRef, at: i64| writes.within(&id, record, Time(at), QUIET);
        let first = writes.begin(&id, &deal, Time(1_000_000));
        assert!(within(&deal, 1_000_500) && !within(&deal, 999_999), "while it is under way");
        writes.end(&id, &deal, first, true, Time(1_001_000));
        assert!(within(&deal, 1_000_000) && within(&deal, 1_121_000) && !within(&deal, 1_121_001));
        assert!(!within(&record("deal", "8"), 1_000_000));
        assert!(!writes.within(&ConnectionId::new("d"), &deal, Time(1_000_000), QUIET));
        let second = writes.begin(&id, &deal, Time(1_030_000));
        writes.end(&id, &deal, second, true, Time(1_030_000));
        assert!(within(&deal, 1_000_000) && within(&deal, 1_150_000));
    }

    #[test]
    fn a_record_of_another_type_with_the_same_id_is_another_record() {
        let (writes, id) = (OwnWrites::default(), ConnectionId::new("c"));
        let number = writes.begin(&id, &record("deal", "7"), Time(1_000_000));
        writes.end(&id, &record("deal", "7"), number, true, Time(1_000_000));
        let within = |kind: &str| writes.within(&id, &record(kind, "7"), Time(1_000_000), QUIET);
        assert!(within("deal") && !within("contact"));
        assert!(within(""), "a delivery that does not tell the type");
    }

    #[test]
    fn old_writes_are_thrown_out_and_not_looked_through_each_time() {
        let (writes, id) = (OwnWrites::default(), ConnectionId::new("c"));
        let write = |n: usize, at: i64| {
            let record = record("deal", &n.to_string());
            let number = writes.begin(&id, &record, Time(at));
            writes.end(&id, &record, number, true, Time(at));
        };
        (0..MANY).for_each(|n| write(n, 0));
        write(MANY, 1_000);
        let kept = || {
            let state = writes.state();
            (state.writes.len(), state.room)
        };
        assert_eq!(kept(), (MANY + 1, 2 * MANY), "none was old, the next look is far");
        (MANY..2 * MANY).for_each(|n| write(n, 4_000_000));
        write(2 * MANY, 4_000_000);
        assert_eq!(kept().0, MANY + 1, "those of an hour ago are gone");
    }

    #[test]
    fn what_was_not_sent_makes_nothing_quiet() {
        let (writes, id, deal) = (OwnWrites::default(), ConnectionId::new("c"), record("deal", "7"));
        let sent = writes.begin(&id, &deal, Time(1_000_000));
        writes.end(&id, &deal, sent, true, Time(1_000_000));
        let refused = writes.begin(&id, &deal, Time(2_000_000));
        writes.end(&id, &deal, refused, false, Time(2_000_000));
        assert!(!writes.within(&id, &deal, Time(2_000_000), QUIET));
        assert!(writes.within(&id, &deal, Time(1_050_000), QUIET), "the one before it was sent");
    }
}
