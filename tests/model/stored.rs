//! The same on an open store: every verb a durable step, every restart a real one.

use std::time::{Duration, Instant};

use bytes::Bytes;
use callbridge::domain::alert::{About, AlertKind};
use callbridge::domain::call::{Call, State};
use callbridge::domain::dnc::{self, Note, Scope, Source};
use callbridge::domain::id::{AttemptId, CallId, LineId, WorkspaceId};
use callbridge::domain::report::Report;
use callbridge::domain::rule::{Asked, OfNobody, Ruling, ruling};
use callbridge::domain::schedule::{Pause, Stopped, may_place};
use callbridge::domain::time::Time;
use callbridge::error::Code;
use callbridge::store::sled::Options;
use callbridge::store::*;

use crate::check::Check;
use crate::lines::Health;
use crate::ops::{Answer, World};
use crate::setting::{self, DEADLINE, DIALER_PAUSE, PAUSE_2116, SETTLE, SLOT};

pub struct Stored {
    runtime: tokio::runtime::Runtime,
    dir: tempfile::TempDir,
    store: Option<SledStore>,
    made: u32,
    reports: u32,
    out: Vec<CallId>,
    all: Vec<CallId>,
}

impl Stored {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = SledStore::open(Options::new(dir.path())).unwrap();
        store.configure(setting::lines(0), setting::pools(), setting::START);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { runtime, dir, store: Some(store), made: 0, reports: 0, out: Vec::new(), all: Vec::new() }
    }

    fn run<T>(&self, step: impl AsyncFnOnce(&SledStore) -> Result<T, StoreError>) -> T {
        self.runtime.block_on(step(self.store())).unwrap()
    }

    fn store(&self) -> &SledStore {
        self.store.as_ref().unwrap()
    }

    fn call(&self, id: CallId) -> Call {
        self.store().call(id).unwrap().unwrap()
    }

    fn change(&self, change: Change, now: Time) {
        self.run(async |store| store.change(now, "model".into(), change).await);
    }

    /// What is queued and was not claimed is held by a rule or by each of its lines, as the store itself says of them.
    fn none_is_forgotten(&self, check: &Check, now: Time) {
        let brakes = self.store().brakes();
        for id in self.those(&[State::Queued]) {
            let call = self.call(id);
            let connection = call.connection.clone().unwrap();
            let policy = &check.policies[&connection];
            let history = self.store().history(&call.workspace, &call.phone, policy, now).unwrap();
            if call.expires_at <= now || ruling(policy, &Asked::of(&call), &history, now) != Ruling::Go {
                continue;
            }
            let lines = setting::lines_of(usize::from(connection == setting::connection(1)));
            for line in check.settings.iter().filter(|line| lines.contains(&line.id)) {
                let mut state = self.store().line(&call.workspace, &line.id).unwrap();
                state.set_back(now);
                let not = may_place(line, &state, &brakes, call.interactive, 0, now);
                assert!(not.is_err(), "{} would take at {now} what nobody claims: {call:?}", line.id);
            }
        }
    }

    fn those(&self, states: &[State]) -> Vec<CallId> {
        self.all.iter().copied().filter(|id| states.contains(&self.call(*id).state)).collect()
    }
}

impl World for Stored {
    fn wish(&mut self, connection: usize, phone: usize, click: bool, check: &mut Check, now: Time) {
        self.made += 1;
        let call = setting::call(self.made, connection, phone, click, &check.policies[&setting::connection(connection)], now);
        self.all.push(call.id);
        self.run(async |store| store.create_call(now, NewCall { call: Box::new(call), idempotency: None, max_queued: None }).await);
    }

    fn place(&mut self, check: &mut Check, now: Time) {
        loop {
            let claims = self.store().next_calls(now, 3).claims;
            if claims.is_empty() {
                return self.none_is_forgotten(check, now);
            }
            let gate = || Gate { slot_timeout: SLOT, report_deadline: DEADLINE, public_url: "http://bridge".into(), sweep: SweepPolicy::default() };
            // All at once, as the loop does.
            let begun = self.run(async |store| {
                let steps = claims.iter().map(|claim| store.begin_placing(now, claim.clone(), gate()));
                futures_util::future::join_all(steps).await.into_iter().collect::<Result<Vec<Begun>, StoreError>>()
            });
            for (claim, begun) in claims.iter().zip(begun) {
                if let Begun::Go(call) = begun {
                    check.placed(&call, &claim.line, now);
                    self.out.push(call.id);
                }
            }
        }
    }

    fn answer(&mut self, which: usize, answer: Answer, check: &mut Check, now: Time) {
        if self.out.is_empty() {
            return;
        }
        let id = self.out.remove(which % self.out.len());
        let before = self.call(id).state;
        let pause = |code, until| Pause { code, since: now, until, by: String::new(), detail: String::new(), key: String::new() };
        let outcome = match answer {
            Answer::Taken => Placing::Taken,
            Answer::Refused => Placing::Refused { code: Code::Dialer2111, detail: String::new() },
            Answer::NotSent => Placing::NotSent { code: Code::DialerUnreachable, dialer_until: Some(now.plus(DIALER_PAUSE)) },
            Answer::SwitchedOff => Placing::LineTrouble { pause: pause(Code::Dialer2116, Some(now.plus(PAUSE_2116))) },
            Answer::BadKey => Placing::LineTrouble { pause: pause(Code::Dialer2117, None) },
            Answer::SystemError => Placing::SystemError { not_before: now.plus(Duration::from_secs(30)) },
            Answer::Unclear => Placing::MaybeSent { code: Code::DialerUnclear, detail: String::new() },
        };
        let attempt = Attempt {
            id: AttemptId([7; 16]),
            leg: Leg::Place,
            number: u32::from(self.call(id).placings),
            at: now,
            duration_ms: 1,
            status: Some(200),
            class: "ok".into(),
            detail: String::new(),
            next_at: None,
        };
        let call = self.run(async |store| store.end_placing(now, id, outcome, attempt, AfterReport::default()).await).unwrap();
        check.answered(&call, before, answer, now);
    }

    fn report(&mut self, which: usize, check: &mut Check, now: Time) {
        let sent = self.those(&[State::Placing, State::Placed, State::Unconfirmed, State::Lost]);
        let Some(id) = sent.get(which % sent.len().max(1)).copied() else { return };
        self.reports += 1;
        let after = AfterReport { settle: SETTLE, body_digest: self.reports.to_string(), ..AfterReport::default() };
        self.run(async |store| store.report(now, id, Bytes::from_static(b"{}"), Some(Report::default()), after).await);
        check.phones.reported(&self.call(id), now);
    }

    fn sweep(&mut self, now: Time) {
        while self.store().next_sweep_at().is_some_and(|at| at <= now) {
            self.run(async |store| store.sweep(now, SweepPolicy::default()).await);
        }
    }

    fn restart(&mut self) {
        self.store = None;
        self.out.clear();
        let from = Instant::now();
        let store = loop {
            // The committer thread lets go of the directory a moment later.
            match SledStore::open(Options::new(self.dir.path())) {
                Ok(store) => break store,
                Err(error) if from.elapsed() > Duration::from_secs(20) => panic!("{error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(3)),
            }
        };
        self.store = Some(store);
    }

    fn pause(&mut self, line: &LineId, now: Time) {
        let pause = Pause { code: Code::HoldPaused, since: now, until: None, by: "model".into(), detail: String::new(), key: String::new() };
        self.change(Change::PauseLine { workspace: WorkspaceId::default(), line: line.clone(), pause }, now);
    }

    fn resume(&mut self, line: &LineId, now: Time) {
        self.change(Change::ResumeLine { workspace: WorkspaceId::default(), line: line.clone() }, now);
    }

    fn stop_all(&mut self, stopped: bool, now: Time) {
        let stop = Change::StopAll(Stopped { by: "model".into(), since: now, reason: String::new() });
        self.change(if stopped { stop } else { Change::ResumeAll }, now);
    }

    fn rules(&mut self, check: &Check) {
        self.store().set_rules(Rules::Said { connections: check.policies.clone(), nobody: OfNobody::default() });
    }

    fn lines(&mut self, check: &Check) {
        self.store().configure(check.settings.clone(), setting::pools(), setting::START);
    }

    fn health(&self, line: &LineId) -> Health {
        let workspace = WorkspaceId::default();
        let alert = |kind| self.store().alert(About::new(&workspace, kind, line.as_str()).id()).unwrap();
        Health { state: self.store().line(&workspace, line).unwrap(), told: Some([alert(AlertKind::LinePaused), alert(AlertKind::LineSilent)]) }
    }

    fn do_not_call(&mut self, phone: usize, now: Time) {
        let note = Note { source: Source::Own, scope: Scope::All, by: "model".into(), at: now, why: String::new() };
        let number = dnc::digits(&setting::phone(phone));
        let queued: Vec<CallId> = self.those(&[State::Queued]);
        self.run(async |store| {
            let id = store.dnc_note(WorkspaceId::default(), note, 1).await?;
            store.dnc_add(&WorkspaceId::default(), &[number], id, Scope::All).await?;
            store.refuse_listed(now, queued).await
        });
    }

    fn release(&mut self, now: Time) {
        self.change(Change::Release { calls: self.those(&[State::Queued]) }, now);
    }

    fn cancel(&mut self, which: usize, now: Time) {
        let queued = self.those(&[State::Queued]);
        if let Some(call) = queued.get(which % queued.len().max(1)) {
            self.change(Change::Cancel { call: *call, write_back: true }, now);
        }
    }

    fn next_at(&mut self, now: Time) -> Option<Time> {
        [self.store().next_calls(now, 0).wake_at, self.store().next_sweep_at()].into_iter().flatten().min()
    }

    fn alive(&mut self) -> Vec<CallId> {
        self.all.iter().copied().filter(|id| !self.call(*id).state.is_final()).collect()
    }

    fn finish(self) {
        let stats = self.store().stats(&WorkspaceId::default()).unwrap().counters;
        let sum = |prefix: &str| stats.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, n)| *n).sum::<i64>();
        assert_eq!((sum("calls.origin."), sum("calls.state.")), (i64::from(self.made), i64::from(self.made)), "{stats:?}");
        for id in &self.all {
            let call = self.call(*id);
            assert!(!matches!(call.state, State::Refused | State::Expired) || call.refusal.is_some(), "an end without its reason: {call:?}");
        }
    }
}
