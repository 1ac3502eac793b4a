//! What must never happen, judged from outside: only by what was placed when, and by what was told before.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use callbridge::domain::call::{Call, State};
use callbridge::domain::connection::Mode;
use callbridge::domain::id::{CallId, ConnectionId, LineId};
use callbridge::domain::phone::Phone;
use callbridge::domain::rule::Policy;
use callbridge::domain::schedule::LinePolicy;
use callbridge::domain::time::Time;

use crate::lines::Phones;
use crate::ops::Answer;
use crate::setting;

/// The judge.
pub struct Check {
    pub policies: HashMap<ConnectionId, Arc<Policy>>,
    /// What the file says about the lines now.
    pub settings: Vec<LinePolicy>,
    /// How the phones are.
    pub phones: Phones,
    /// Placings since the clock was last set: by line.
    gone: HashMap<LineId, Vec<Time>>,
    numbers: HashMap<Phone, Vec<(Time, CallId)>>,
    /// Until when a line's rate let it wait, as was said first since its last placing.
    waits: HashMap<LineId, Time>,
    /// Calls that may have reached the phone.
    sent: HashSet<CallId>,
    pub do_not_call: HashSet<Phone>,
    pub stopped: bool,
    /// The dialer as a whole asked for a pause: when, and until when.
    dialer: Option<(Time, Time)>,
}

impl Check {
    pub fn new() -> Self {
        Self {
            policies: setting::policies(0),
            settings: setting::lines(0),
            phones: Phones::default(),
            gone: HashMap::new(),
            numbers: HashMap::new(),
            waits: HashMap::new(),
            sent: HashSet::new(),
            do_not_call: HashSet::new(),
            stopped: false,
            dialer: None,
        }
    }

    /// A call was placed.
    pub fn placed(&mut self, call: &Call, line: &LineId, now: Time) {
        let policy = &self.policies[call.connection.as_ref().unwrap()];
        let settings = self.settings.iter().find(|l| l.id == *line).unwrap();
        assert!(!self.stopped, "placed after stop-all");
        assert!(self.dialer.is_none_or(|(since, until)| until <= now || now < since), "placed while the dialer as a whole waits");
        assert!(!self.do_not_call.contains(&call.phone), "a number of the do-not-call list was placed");
        assert_eq!(policy.opening.shut(now), None, "placed outside the hours");
        assert!(policy.mode != Mode::Off, "placed for a connection that is off");
        assert!(self.sent.insert(call.id), "one call was placed twice");
        assert!(now < call.expires_at, "placed after its time");
        self.phones.placed(settings, call, now);
        let numbers = self.numbers.entry(call.phone.clone()).or_default();
        if let Some(cap) = policy.cap {
            let within = numbers.iter().filter(|(at, _)| *at > now.minus(cap.period)).count();
            assert!(within < cap.count as usize, "the number was called more often than allowed");
        }
        numbers.push((now, call.id));
        self.waits.remove(line);
        let gone = self.gone.entry(line.clone()).or_default();
        gone.push(now);
        if let Some(rate) = settings.rate {
            for (n, from) in gone.iter().rev().enumerate() {
                let allowed = i64::from(rate.burst) + (now.0 - from.0) * 1_000_000 / rate.period_ns;
                assert!(i64::try_from(n + 1).unwrap() <= allowed, "faster than the rate: {} since {from}", n + 1);
            }
        }
    }

    /// A line takes nothing because of its rate, until then: within one period, and a wait that was told does not begin anew.
    pub fn rate_waits(&mut self, line: &LineId, until: Time, now: Time) {
        let rate = self.settings.iter().find(|l| l.id == *line).and_then(|l| l.rate).unwrap();
        assert!((until.0 - now.0) * 1_000_000 <= rate.period_ns, "{line} waits longer than one period");
        let first = *self.waits.entry(line.clone()).or_insert(until);
        assert!(now < first, "{line} was to go on at {first}, and at {now} it does not");
    }

    /// The answer came, and the call is what it is now. `before`: what it was.
    pub fn answered(&mut self, call: &Call, before: State, answer: Answer, now: Time) {
        if matches!(call.state, State::Queued | State::Refused) {
            self.numbers.values_mut().for_each(|placed| placed.retain(|(at, id)| *id != call.id || Some(*at) != call.placing_at));
            self.sent.remove(&call.id);
        }
        if call.state == State::Queued && answer == Answer::NotSent {
            self.dialer = Some((now, now.plus(setting::DIALER_PAUSE)));
        } else if call.state == State::Placed && self.dialer.is_some_and(|(_, until)| call.placing_at.unwrap() >= until) {
            self.dialer = None;
        }
        self.phones.answered(call, before, answer, now);
    }

    pub fn stop_all(&mut self, stopped: bool) {
        self.stopped = stopped;
        if !stopped {
            self.dialer = None;
        }
    }

    /// What came before the clock was set says nothing about the rate after it.
    pub fn clock_set(&mut self, before: Time, after: Time) {
        self.gone.clear();
        self.waits.clear();
        self.phones.clock_set(before, after);
    }
}
