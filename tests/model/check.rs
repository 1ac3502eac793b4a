//! What must never happen, judged from outside: only by what was placed when, and by what was told before.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use callbridge::domain::call::{Call, State};
use callbridge::domain::id::{CallId, ConnectionId, LineId};
use callbridge::domain::phone::Phone;
use callbridge::domain::rule::Policy;
use callbridge::domain::time::Time;

use crate::setting::{self, SETTLE, SLOT};

/// The judge.
pub struct Check {
    pub policies: HashMap<ConnectionId, Arc<Policy>>,
    slots: HashMap<LineId, HashMap<CallId, Time>>,
    /// Placings since the clock was last set: by line.
    gone: HashMap<LineId, Vec<Time>>,
    numbers: HashMap<Phone, Vec<(Time, CallId)>>,
    /// Calls that may have reached the phone.
    sent: HashSet<CallId>,
    pub do_not_call: HashSet<Phone>,
    pub paused: HashSet<LineId>,
    pub stopped: bool,
}

impl Check {
    pub fn new() -> Self {
        Self {
            policies: setting::policies(0),
            slots: HashMap::new(),
            gone: HashMap::new(),
            numbers: HashMap::new(),
            sent: HashSet::new(),
            do_not_call: HashSet::new(),
            paused: HashSet::new(),
            stopped: false,
        }
    }

    /// A call was placed.
    pub fn placed(&mut self, call: &Call, line: &LineId, now: Time) {
        let policy = &self.policies[call.connection.as_ref().unwrap()];
        let settings = setting::lines().into_iter().find(|l| l.id == *line).unwrap();
        assert!(!self.stopped, "placed after stop-all");
        assert!(!self.paused.contains(line), "placed on a paused line");
        assert!(!self.do_not_call.contains(&call.phone), "a number of the do-not-call list was placed");
        assert_eq!(policy.opening.shut(now), None, "placed outside the hours");
        assert!(policy.mode != callbridge::domain::connection::Mode::Off, "placed for a connection that is off");
        assert!(self.sent.insert(call.id), "one call was placed twice");
        assert!(now < call.expires_at, "placed after its time");
        let slots = self.slots.entry(line.clone()).or_default();
        slots.retain(|_, until| *until > now);
        assert!(slots.len() < settings.max_in_flight as usize, "more in flight than allowed");
        slots.insert(call.id, now.plus(SLOT));
        let numbers = self.numbers.entry(call.phone.clone()).or_default();
        if let Some(cap) = policy.cap {
            let within = numbers.iter().filter(|(at, _)| *at > now.minus(cap.period)).count();
            assert!(within < cap.count as usize, "the number was called more often than allowed");
        }
        numbers.push((now, call.id));
        let gone = self.gone.entry(line.clone()).or_default();
        gone.push(now);
        if let Some(rate) = settings.rate {
            for (n, from) in gone.iter().rev().enumerate() {
                let allowed = i64::from(rate.burst) + (now.0 - from.0) * 1_000_000 / rate.period_ns;
                assert!(i64::try_from(n + 1).unwrap() <= allowed, "faster than the rate: {} since {from}", n + 1);
            }
        }
    }

    /// The answer came, and the call is what it is now.
    pub fn answered(&mut self, call: &Call) {
        if matches!(call.state, State::Queued | State::Refused) {
            self.slots.values_mut().for_each(|slots| slots.retain(|id, _| *id != call.id));
            self.numbers.values_mut().for_each(|placed| placed.retain(|(at, id)| *id != call.id || Some(*at) != call.placing_at));
            self.sent.remove(&call.id);
        }
    }

    pub fn reported(&mut self, call: CallId, now: Time) {
        for until in self.slots.values_mut().filter_map(|slots| slots.get_mut(&call)) {
            *until = (*until).min(now.plus(SETTLE));
        }
        self.forget_slots(now);
    }

    /// What came before the clock was set says nothing about the rate after it, and a slot that was over is not taken again.
    pub fn clock_set(&mut self, before: Time) {
        self.gone.clear();
        self.forget_slots(before);
    }

    fn forget_slots(&mut self, now: Time) {
        self.slots.values_mut().for_each(|slots| slots.retain(|_, until| *until > now));
    }
}
