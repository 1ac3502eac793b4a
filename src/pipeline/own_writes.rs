//! When we last wrote to a record, so that a webhook which that write caused is not taken for a wish.
//!
//! In memory: what is forgotten in a restart is at most one such webhook, and the duplicate window still stands before a second call.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::id::ConnectionId;
use crate::domain::time::Time;

/// No quiet time is longer.
const KEPT: Duration = Duration::from_secs(3600);
/// Above this many, the old ones are thrown out.
const MANY: usize = 10_000;

/// Writes with less time between them are one stretch.
const ONE_STRETCH: Duration = Duration::from_secs(60);

/// Times of our own writes, by connection and record: when the stretch of them began, and when the last one was.
#[derive(Debug, Default)]
pub struct OwnWrites {
    times: Mutex<HashMap<(ConnectionId, String), (Time, Time)>>,
}

impl OwnWrites {
    /// Something is being written to this record: called before and after.
    pub fn note(&self, connection: &ConnectionId, record: &str, now: Time) {
        if record.is_empty() {
            return;
        }
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        if times.len() >= MANY {
            times.retain(|_, (_, last)| now.since(*last) < KEPT);
        }
        let stretch = times.entry((connection.clone(), record.to_owned())).or_insert((now, now));
        *stretch = (if now.since(stretch.1) > ONE_STRETCH { now } else { stretch.0 }, now);
    }

    /// Whether something that arrived then came while this record was written to, or within `quiet` after it.
    pub fn within(&self, connection: &ConnectionId, record: &str, arrived: Time, quiet: Duration) -> bool {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let written = times.get(&(connection.clone(), record.to_owned()));
        // A write that began after the delivery did not cause it.
        written.is_some_and(|(first, last)| *first <= arrived && arrived.since(*last) <= quiet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_quiet_for_a_while_after_a_write_to_the_same_record() {
        let (writes, id, quiet) = (OwnWrites::default(), ConnectionId::new("c"), Duration::from_secs(120));
        writes.note(&id, "7", Time(1_000_000));
        let within = |record: &str, at: i64| writes.within(&id, record, Time(at), quiet);
        assert!(within("7", 1_000_000) && within("7", 1_120_000));
        assert!(!within("7", 1_120_001) && !within("8", 1_000_000) && !within("7", 999_999));
        assert!(!writes.within(&ConnectionId::new("d"), "7", Time(1_000_000), quiet));
        writes.note(&id, "7", Time(1_030_000));
        assert!(within("7", 1_000_000) && within("7", 1_150_000), "one stretch of writes");
        writes.note(&id, "7", Time(9_000_000));
        assert!(!within("7", 1_000_000) && within("7", 9_000_000));
    }
}
