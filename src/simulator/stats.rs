//! What the simulated API was asked and what its phones dialled, per call id and per key: the proof of "never twice".

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::Serialize;

use super::script::Reply;
use crate::domain::time::Time;

/// How many arrival times are kept per key.
const ARRIVALS_KEPT: usize = 2_000;

/// Counts of one `callId` (requests without one are counted under "").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct CallCount {
    pub asked: u32,
    /// Answered with errorCode 0, whether or not the answer arrived.
    pub taken: u32,
    /// Answered with 429 or 2222: not placed, and to be asked again.
    pub put_off: u32,
    /// How often a phone really dialled.
    pub dialled: u32,
    pub reports_sent: u32,
    pub reports_failed: u32,
}

/// Counts of one secret key, which is one phone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct KeyCount {
    pub asked: u64,
    pub dialled: u64,
    /// The most calls the phone had at one time: dialling, queued on it or held. 1 = nothing was ever piled up.
    pub most_at_once: usize,
    /// Requests per minute since 1970, as far as `arrivals_ms` reaches back.
    pub per_minute: BTreeMap<i64, u32>,
    /// When requests arrived, newest last, at most 2,000.
    pub arrivals_ms: VecDeque<i64>,
}

/// The sums.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    pub asked: u64,
    pub taken: u64,
    pub dialled: u64,
    pub reports_sent: u64,
    pub reports_failed: u64,
    pub call_ids: usize,
    pub keys: usize,
    /// Call ids that were asked for more than once.
    pub asked_twice: u64,
    /// Call ids that a phone dialled more than once: must be 0.
    pub dialled_twice: u64,
    /// The largest `most_at_once` of all keys.
    pub most_at_once: usize,
    /// How requests were answered: an errorCode, `http_<status>` or `cut`.
    pub replies: BTreeMap<String, u64>,
}

/// All counts of one simulator.
#[derive(Debug, Default)]
pub struct Stats {
    totals: Totals,
    replies: HashMap<Reply, u64>,
    calls: HashMap<String, CallCount>,
    keys: HashMap<String, KeyCount>,
}

impl Stats {
    /// How often this key was used so far.
    pub fn asked_of(&self, key: &str) -> u64 {
        self.keys.get(key).map_or(0, |k| k.asked)
    }

    /// A readable request arrived and will be answered like this.
    pub fn asked(&mut self, key: &str, call_id: &str, reply: Reply, now: Time) {
        let taken = reply == Reply::Code(super::script::TAKEN);
        self.totals.asked += 1;
        self.totals.taken += u64::from(taken);
        *self.replies.entry(reply).or_default() += 1;
        let call = entry(&mut self.calls, call_id);
        call.asked += 1;
        call.taken += u32::from(taken);
        call.put_off += u32::from(matches!(reply, Reply::Status(429) | Reply::Code(2222)));
        self.totals.asked_twice += u64::from(call.asked == 2 && !call_id.is_empty());
        let key = entry(&mut self.keys, key);
        key.asked += 1;
        key.arrivals_ms.push_back(now.0);
        if key.arrivals_ms.len() > ARRIVALS_KEPT {
            key.arrivals_ms.pop_front();
        }
    }

    /// A request that could not be read was answered with this status.
    pub fn unreadable(&mut self, status: u16) {
        self.totals.asked += 1;
        *self.replies.entry(Reply::Status(status)).or_default() += 1;
    }

    /// A phone has this many calls at one time.
    pub fn at_once(&mut self, key: &str, calls: usize) {
        let key = entry(&mut self.keys, key);
        key.most_at_once = key.most_at_once.max(calls);
        self.totals.most_at_once = self.totals.most_at_once.max(calls);
    }

    /// A phone dials.
    pub fn dialled(&mut self, key: &str, call_id: &str) {
        self.totals.dialled += 1;
        entry(&mut self.keys, key).dialled += 1;
        let call = entry(&mut self.calls, call_id);
        call.dialled += 1;
        self.totals.dialled_twice += u64::from(call.dialled == 2 && !call_id.is_empty());
    }

    /// A report was posted, or could not be.
    pub fn reported(&mut self, call_id: &str, delivered: bool) {
        let call = entry(&mut self.calls, call_id);
        if delivered {
            call.reports_sent += 1;
            self.totals.reports_sent += 1;
        } else {
            call.reports_failed += 1;
            self.totals.reports_failed += 1;
        }
    }

    pub fn totals(&self) -> Totals {
        let replies = self.replies.iter().map(|(reply, n)| (name(*reply), *n));
        // Two replies can have one name (a 500 with and without a page).
        let mut by_name = BTreeMap::new();
        for (name, n) in replies {
            *by_name.entry(name).or_default() += n;
        }
        Totals { call_ids: self.calls.len(), keys: self.keys.len(), replies: by_name, ..self.totals.clone() }
    }

    /// The counts of one call id; all 0 if it was never met.
    pub fn call(&self, call_id: &str) -> CallCount {
        self.calls.get(call_id).copied().unwrap_or_default()
    }

    pub fn calls(&self) -> BTreeMap<String, CallCount> {
        self.calls.iter().map(|(id, count)| (id.clone(), *count)).collect()
    }

    pub fn keys(&self) -> BTreeMap<String, KeyCount> {
        self.keys.iter().map(|(key, count)| (key.clone(), KeyCount { per_minute: per_minute(&count.arrivals_ms), ..count.clone() })).collect()
    }
}

fn per_minute(arrivals_ms: &VecDeque<i64>) -> BTreeMap<i64, u32> {
    let mut minutes = BTreeMap::new();
    for at in arrivals_ms {
        *minutes.entry(at.div_euclid(60_000)).or_default() += 1;
    }
    minutes
}

fn name(reply: Reply) -> String {
    match reply {
        Reply::Code(code) => code.to_string(),
        Reply::Status(status) | Reply::Html(status) => format!("http_{status}"),
        Reply::Cut => "cut".to_owned(),
    }
}

/// The entry of `name`, made if there is none.
fn entry<'a, T: Default>(map: &'a mut HashMap<String, T>, name: &str) -> &'a mut T {
    map.entry(name.to_owned()).or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_dialled_twice_is_seen() {
        let mut stats = Stats::default();
        for second in [0, 1, 61] {
            stats.asked("k", "c1", Reply::Code(0), Time(second * 1000));
            stats.dialled("k", "c1");
        }
        stats.asked("k", "c2", Reply::Code(2116), Time(0));
        stats.reported("c1", true);
        let totals = stats.totals();
        assert_eq!((totals.asked, totals.taken, totals.dialled, totals.dialled_twice, totals.asked_twice), (4, 3, 3, 1, 1));
        assert_eq!(totals.replies, BTreeMap::from([("0".to_owned(), 3), ("2116".to_owned(), 1)]));
        assert_eq!(stats.call("c1"), CallCount { asked: 3, taken: 3, put_off: 0, dialled: 3, reports_sent: 1, reports_failed: 0 });
        assert_eq!(stats.keys()["k"].per_minute, BTreeMap::from([(0, 3), (1, 1)]));
    }
}
