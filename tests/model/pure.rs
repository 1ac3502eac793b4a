//! The pure decisions put together in the plainest way: no store, no index, every call looked at each time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use callbridge::domain::call::{Call, Hold, Signal, State, Step, step};
use callbridge::domain::connection::Mode;
use callbridge::domain::dnc::Scope;
use callbridge::domain::id::{CallId, LineId};
use callbridge::domain::ledger::Arrivals;
use callbridge::domain::phone::Phone;
use callbridge::domain::rule::{Asked, History, Ruling, ruling};
use callbridge::domain::schedule::{Brakes, DialerHold, LinePolicy, LineState, NotNow, Pause, Stopped, may_place};
use callbridge::domain::time::Time;
use callbridge::error::Code;

use crate::check::Check;
use crate::lines::Health;
use crate::ops::{Answer, World};
use crate::setting::{self, DEADLINE, DIALER_PAUSE, LEASE, PAUSE_2116, SETTLE, SLOT};

pub struct Pure {
    made: u32,
    calls: BTreeMap<CallId, Call>,
    lines: Vec<(LinePolicy, LineState)>,
    brakes: Brakes,
    arrivals: HashMap<usize, Arrivals>,
    numbers: HashMap<Phone, Vec<(Time, CallId)>>,
    do_not_call: HashSet<Phone>,
    policies: HashMap<callbridge::domain::id::ConnectionId, std::sync::Arc<callbridge::domain::rule::Policy>>,
    /// Requests that are out.
    out: Vec<CallId>,
}

impl Pure {
    pub fn new() -> Self {
        Self {
            made: 0,
            calls: BTreeMap::new(),
            lines: setting::lines(0).into_iter().map(|policy| (policy, LineState::default())).collect(),
            brakes: Brakes::default(),
            arrivals: HashMap::new(),
            numbers: HashMap::new(),
            do_not_call: HashSet::new(),
            policies: HashMap::new(),
            out: Vec::new(),
        }
    }

    fn history(&self, phone: &Phone) -> History {
        let placed = self.numbers.get(phone).into_iter().flatten().map(|(at, _)| *at).collect();
        History { do_not_call: self.do_not_call.contains(phone).then_some(Scope::All), placed, texted: Vec::new() }
    }

    fn ruling(&self, call: &Call, now: Time) -> Ruling {
        ruling(&self.policies[call.connection.as_ref().unwrap()], &Asked::of(call), &self.history(&call.phone), now)
    }

    /// The call that goes now over some line, if there is one; calls that a rule refuses are refused on the way.
    fn next(&mut self, now: Time) -> Option<(CallId, usize)> {
        let mut queued: Vec<(bool, Time, CallId)> =
            self.calls.values().filter(|c| c.state == State::Queued).map(|c| (!c.interactive, c.wished_at, c.id)).collect();
        queued.sort_unstable();
        for (_, _, id) in queued {
            let call = &self.calls[&id];
            if call.expires_at <= now {
                continue;
            }
            let n = usize::from(call.connection.as_ref().unwrap().as_str() == "c1");
            let allowed = setting::lines_of(n);
            let line = self
                .lines
                .iter()
                .position(|(policy, state)| allowed.contains(&policy.id) && may_place(policy, state, &self.brakes, call.interactive, 0, now).is_ok());
            let Some(line) = line else { continue };
            match self.ruling(call, now) {
                Ruling::Go => return Some((id, line)),
                Ruling::Hold { .. } => continue,
                Ruling::Refuse { code } => {
                    assert_eq!(step(call.state, Signal::RuleRefuses, call.ever_sent), Step::To(State::Refused));
                    let call = self.calls.get_mut(&id).unwrap();
                    (call.state, call.refusal) = (State::Refused, Some(code));
                    continue;
                }
            }
        }
        None
    }

    /// Slots whose time is over: the phone is silent if nothing was heard of it since.
    fn slots_over(&mut self, now: Time) {
        for (_, state) in &mut self.lines {
            let over: Vec<CallId> = state.in_flight.iter().filter(|(_, until)| **until <= now).map(|(id, _)| *id).collect();
            for id in over {
                state.in_flight.remove(&id);
                let call = &self.calls[&id];
                let heard = state.last_report.filter(|heard| *heard <= now);
                if step(call.state, Signal::SlotTimeout, call.ever_sent) == Step::FreeSlot && heard.is_none_or(|heard| heard <= call.placing_at.unwrap()) {
                    state.silent_since.get_or_insert(now);
                }
            }
        }
    }

    /// A probe went well.
    fn probed(&mut self, id: CallId) {
        let call = &self.calls[&id];
        for (policy, state) in &mut self.lines {
            if Some(&policy.id) == call.line.as_ref() && state.probed_by(call.placing_at) {
                state.pause = None;
            }
        }
    }

    fn back(&mut self, id: CallId, hold: Option<Hold>, pause: Option<Pause>) {
        let call = self.calls.get_mut(&id).unwrap();
        let at = call.placing_at;
        (call.state, call.hold, call.deadline) = (State::Queued, hold, None);
        if let Some(placed) = self.numbers.get_mut(&call.phone) {
            placed.retain(|(when, who)| *who != id || Some(*when) != at);
        }
        self.free(id, pause);
    }

    fn free(&mut self, id: CallId, pause: Option<Pause>) {
        let line = self.calls[&id].line.clone();
        let line_of = |policy: &LinePolicy| Some(&policy.id) == line.as_ref();
        for (policy, state) in &mut self.lines {
            let stays = |old: &Pause| !old.by.is_empty() || (old.until.is_none() && pause.as_ref().is_some_and(|new| new.until.is_some()));
            if line_of(policy) && pause.is_some() && !state.pause.as_ref().is_some_and(stays) {
                state.pause.clone_from(&pause);
            }
            state.in_flight.remove(&id);
        }
    }

    fn sent(&self) -> Vec<CallId> {
        self.calls.values().filter(|c| matches!(c.state, State::Placing | State::Placed | State::Unconfirmed | State::Lost)).map(|c| c.id).collect()
    }
}

impl World for Pure {
    fn wish(&mut self, connection: usize, phone: usize, click: bool, _: &mut Check, now: Time) {
        self.made += 1;
        let policy = self.policies[&setting::connection(connection)].clone();
        let mut call = setting::call(self.made, connection, phone, click, &policy, now);
        if let Ruling::Refuse { code } = self.ruling(&call, now) {
            (call.state, call.refusal) = (State::Refused, Some(code));
        } else if let Some(brake) = policy.brake.filter(|_| !click)
            && !self.arrivals.entry(connection).or_default().take(brake, now)
        {
            call.hold = Some(Hold { code: Code::HoldBrake, since: now, until: None });
            call.expires_at = now.plus(policy.max_age);
        }
        self.calls.insert(call.id, call);
    }

    fn place(&mut self, check: &mut Check, now: Time) {
        self.lines.iter_mut().for_each(|(_, state)| {
            state.set_back(now);
        });
        self.slots_over(now);
        while let Some((id, line)) = self.next(now) {
            let (policy, state) = &mut self.lines[line];
            state.take(policy, id, now, now.plus(SLOT));
            let name = policy.id.clone();
            let call = self.calls.get_mut(&id).unwrap();
            assert_eq!(step(call.state, Signal::Claim, call.ever_sent), Step::To(State::Placing));
            check.placed(call, &name, now);
            (call.state, call.hold, call.placing_at, call.line, call.deadline) = (State::Placing, None, Some(now), Some(name), Some(now.plus(DEADLINE)));
            self.numbers.entry(call.phone.clone()).or_default().push((now, id));
            self.out.push(id);
        }
        for (policy, state) in &self.lines {
            if let Err(NotNow { code: Code::HoldRate, until }) = may_place(policy, state, &self.brakes, true, 0, now) {
                check.rate_waits(&policy.id, until.unwrap(), now);
            }
        }
    }

    fn answer(&mut self, which: usize, answer: Answer, check: &mut Check, now: Time) {
        if self.out.is_empty() {
            return;
        }
        let id = self.out.remove(which % self.out.len());
        let call = self.calls.get_mut(&id).unwrap();
        let before = call.state;
        let signal = match answer {
            Answer::Taken => Signal::Taken,
            Answer::Refused => Signal::Refused2111,
            Answer::SwitchedOff | Answer::BadKey | Answer::SystemError => Signal::LineTrouble,
            Answer::NotSent => Signal::NotSent,
            Answer::Unclear => Signal::MaybeSent,
        };
        call.ever_sent |= signal != Signal::NotSent;
        match step(call.state, signal, call.ever_sent) {
            Step::To(State::Queued) => {
                let backoff = Hold { code: Code::HoldBackoff, since: now, until: Some(now.plus(Duration::from_secs(30))) };
                let pause = |code, until| Pause { code, since: now, until, by: String::new(), detail: String::new(), key: String::new() };
                match answer {
                    Answer::SwitchedOff => self.back(id, None, Some(pause(Code::Dialer2116, Some(now.plus(PAUSE_2116))))),
                    Answer::BadKey => self.back(id, None, Some(pause(Code::Dialer2117, None))),
                    Answer::NotSent => {
                        let placed = call.placing_at.unwrap();
                        self.lines.iter_mut().filter(|(policy, _)| Some(&policy.id) == call.line.as_ref()).for_each(|(_, state)| state.uncount(placed));
                        self.brakes.dialer = Some(DialerHold { code: Code::DialerUnreachable, since: now, until: now.plus(DIALER_PAUSE), times: 1 });
                        self.back(id, None, None);
                    }
                    _ => self.back(id, Some(backoff), None),
                }
            }
            Step::To(State::Placed) => {
                call.state = State::Placed;
                if self.brakes.dialer.as_ref().is_some_and(|hold| call.placing_at.unwrap() >= hold.until) {
                    self.brakes.dialer = None;
                }
                self.probed(id);
            }
            Step::To(State::Unconfirmed) => call.state = State::Unconfirmed,
            Step::To(State::Refused) => {
                self.back(id, None, None);
                self.calls.get_mut(&id).unwrap().state = State::Refused;
            }
            Step::Stay | Step::StayAlarm => {}
            other => panic!("{other:?}"),
        }
        check.answered(&self.calls[&id], before, answer, now);
    }

    fn report(&mut self, which: usize, check: &mut Check, now: Time) {
        let sent = self.sent();
        let Some(id) = sent.get(which % sent.len().max(1)) else { return };
        let call = self.calls.get_mut(id).unwrap();
        assert!(matches!(step(call.state, Signal::Report, call.ever_sent), Step::To(State::Ended)));
        call.state = State::Ended;
        for (policy, state) in &mut self.lines {
            if let Some(until) = state.in_flight.get_mut(id) {
                *until = (*until).min(now.plus(SETTLE));
            }
            if Some(&policy.id) == call.line.as_ref() {
                (state.last_report, state.silent_since) = (Some(now), None);
            }
        }
        self.probed(*id);
        check.phones.reported(&self.calls[id], now);
    }

    fn sweep(&mut self, now: Time) {
        self.slots_over(now);
        for call in self.calls.values_mut() {
            let policy = &self.policies[call.connection.as_ref().unwrap()];
            if call.state == State::Queued && call.expires_at <= now {
                let oldest = call.created_at.plus(policy.max_age);
                let calendar = policy.expires(false, call.wished_at, call.created_at);
                if !call.interactive && policy.mode == Mode::Off && oldest > now {
                    call.expires_at = oldest;
                } else if !call.interactive && calendar > now {
                    call.expires_at = calendar;
                } else {
                    assert_eq!(step(call.state, Signal::Expiry, call.ever_sent), Step::To(State::Expired));
                    call.state = State::Expired;
                }
            }
            if call.state == State::Placing && call.placing_at.is_some_and(|at| at.plus(LEASE) <= now) {
                assert_eq!(step(call.state, Signal::LeaseOver, call.ever_sent), Step::To(State::Unconfirmed));
                (call.state, call.ever_sent) = (State::Unconfirmed, true);
            }
            if matches!(call.state, State::Placed | State::Unconfirmed) && call.deadline.is_some_and(|at| at <= now) {
                assert_eq!(step(call.state, Signal::Deadline, call.ever_sent), Step::To(State::Lost));
                call.state = State::Lost;
            }
        }
    }

    fn restart(&mut self) {
        self.out.clear();
        for call in self.calls.values_mut().filter(|c| c.state == State::Placing) {
            (call.state, call.ever_sent) = (State::Unconfirmed, true);
        }
    }

    fn pause(&mut self, line: &LineId, now: Time) {
        let pause = Pause { code: Code::HoldPaused, since: now, until: None, by: "model".into(), detail: String::new(), key: String::new() };
        self.lines.iter_mut().filter(|(policy, _)| policy.id == *line).for_each(|(_, state)| state.pause = Some(pause.clone()));
    }

    fn resume(&mut self, line: &LineId, _: Time) {
        self.lines.iter_mut().filter(|(policy, _)| policy.id == *line).for_each(|(_, state)| (state.pause, state.silent_since) = (None, None));
    }

    fn stop_all(&mut self, stopped: bool, now: Time) {
        self.brakes.stopped = stopped.then(|| Stopped { by: "model".into(), since: now, reason: String::new() });
        if !stopped {
            self.brakes.dialer = None;
        }
    }

    fn rules(&mut self, check: &Check) {
        self.policies.clone_from(&check.policies);
    }

    fn lines(&mut self, check: &Check) {
        for (line, settings) in self.lines.iter_mut().zip(&check.settings) {
            line.0 = settings.clone();
        }
    }

    fn health(&self, line: &LineId) -> Health {
        Health { state: self.lines.iter().find(|(policy, _)| policy.id == *line).unwrap().1.clone(), told: None }
    }

    fn do_not_call(&mut self, phone: usize, _: Time) {
        self.do_not_call.insert(setting::phone(phone));
    }

    fn release(&mut self, now: Time) {
        for call in self.calls.values_mut().filter(|c| c.state == State::Queued && c.hold.is_some_and(|h| h.code == Code::HoldBrake)) {
            call.hold = None;
            call.expires_at = self.policies[call.connection.as_ref().unwrap()].expires(call.interactive, now, call.created_at);
        }
    }

    fn cancel(&mut self, which: usize, _: Time) {
        let queued: Vec<CallId> = self.calls.values().filter(|c| c.state == State::Queued).map(|c| c.id).collect();
        if let Some(id) = queued.get(which % queued.len().max(1)) {
            self.calls.get_mut(id).unwrap().state = State::Cancelled;
        }
    }

    fn next_at(&mut self, now: Time) -> Option<Time> {
        let clocks = self.calls.values().filter_map(|call| match call.state {
            State::Queued => Some(call.expires_at),
            State::Placing => call.placing_at.map(|at| at.plus(LEASE)),
            State::Placed | State::Unconfirmed => call.deadline,
            _ => None,
        });
        let slots = self.lines.iter().flat_map(|(_, state)| state.in_flight.values().copied());
        let queued = || self.calls.values().filter(|c| c.state == State::Queued);
        let rules = queued().filter_map(|call| match self.ruling(call, now) {
            Ruling::Hold { until, .. } => until,
            _ => None,
        });
        let lines = self.lines.iter().filter(|_| queued().next().is_some());
        let lines = lines.filter_map(|(policy, state)| may_place(policy, state, &self.brakes, false, 0, now).err()?.until);
        clocks.chain(slots).chain(rules).chain(lines).filter(|at| *at > now).min()
    }

    fn alive(&mut self) -> Vec<CallId> {
        self.calls.values().filter(|c| !c.state.is_final()).map(|c| c.id).collect()
    }

    fn finish(self) {
        for call in self.calls.values() {
            assert!(call.state != State::Refused || call.refusal.is_some() || call.ever_sent, "a refusal without its reason");
        }
    }
}
