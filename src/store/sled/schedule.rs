//! What may be done next: an index in memory over the stored calls, lines and tasks, rebuilt at start and changed only by effects of
//! committed steps. Which call goes over which line is the [`Board`]'s.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::board::{Board, Waiting};
use super::calls::Delay;
use super::keys::{self, Tree};
use super::lookup::{LinesOf, short};
use super::open::Trees;
use crate::domain::call::{Call, Hold, Origin, State};
use crate::domain::id::{CallId, ConnectionId, LineId, WorkspaceId};
use crate::domain::phone::Phone;
use crate::domain::pool::{Pool, PoolId};
use crate::domain::schedule::{Brakes, LinePolicy, LineState};
use crate::domain::set_back::SetBack;
use crate::domain::time::Time;
use crate::error::Code;
use crate::store::Rules;
use crate::store::codec;
use crate::store::task::{Subject, Task, TaskKind};
use crate::store::verbs::{Claim, LineQueue, Next, StoreError};

/// A change that a committed step made to what is scheduled.
#[derive(Debug)]
pub enum Effect {
    Queued {
        waiting: Box<Waiting>,
        delay: Option<Delay>,
    },
    Unqueued {
        call: CallId,
    },
    /// A placing of this number was taken back.
    Freed {
        number: u32,
    },
    Line {
        line: LineId,
        state: Box<LineState>,
    },
    Brakes(Brakes),
    Task {
        kind: TaskKind,
        subject: Subject,
        due: Time,
    },
    /// What the one who runs the task says: again then.
    TaskNext {
        kind: TaskKind,
        subject: Subject,
        due: Time,
    },
    TaskDone {
        kind: TaskKind,
        subject: Subject,
    },
    Deadline {
        at: Time,
        kind: Deadline,
        call: CallId,
    },
    NoDeadline {
        at: Time,
        kind: Deadline,
        call: CallId,
    },
}

impl Effect {
    /// A call that waits, from `not_before` on.
    pub fn queued(call: &Call, not_before: Option<Time>) -> Self {
        Self::delayed(call, not_before.map(Delay::fixed).or_else(|| own_hold(call.hold)))
    }

    /// A call whose number's history or day off does not let it go before then.
    pub fn ruled(call: &Call, until: Option<Time>) -> Self {
        Self::delayed(call, Some(Delay::ruled(until.unwrap_or(Time::NEVER))))
    }

    /// A placing of this call was taken back.
    pub fn freed(call: &Call) -> Self {
        Effect::Freed { number: short(&call.phone) }
    }

    fn delayed(call: &Call, delay: Option<Delay>) -> Self {
        let waiting = Waiting {
            call: call.id,
            pool: call.pool(),
            pinned: call.lines.clone(),
            owner: call.owner.clone(),
            interactive: call.interactive,
            wished: call.wished_at,
            expires: call.expires_at,
            number: short(&call.phone),
        };
        Effect::Queued { waiting: Box::new(waiting), delay }
    }
}

/// How long a call waits by a hold of its own, whatever its lines say. A brake ends only by a person.
fn own_hold(hold: Option<Hold>) -> Option<Delay> {
    match hold? {
        Hold { code: Code::HoldBrake, .. } => Some(Delay::fixed(Time::NEVER)),
        Hold { code: Code::HoldBackoff | Code::HoldAgain, until, .. } => until.map(Delay::fixed),
        Hold { code: Code::HoldCap | Code::HoldSms, until, .. } => until.map(Delay::ruled),
        _ => None,
    }
}

/// The clocks that run for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Deadline {
    Expiry,
    Lease,
    Slot,
    Report,
}

#[derive(Default)]
struct Work {
    due: BTreeSet<(Time, Subject)>,
    at: HashMap<Subject, Time>,
    running: HashSet<Subject>,
    /// Asked for while it ran: never two at once for one subject.
    again: HashMap<Subject, Time>,
}

/// What the index needs of a stored call: the start reads a hundred thousand of them.
#[derive(serde::Deserialize)]
struct Alive {
    id: CallId,
    workspace: WorkspaceId,
    state: State,
    #[serde(default)]
    connection: Option<ConnectionId>,
    origin: Origin,
    phone: Phone,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    lines: Vec<LineId>,
    line: Option<LineId>,
    interactive: bool,
    wished_at: Time,
    expires_at: Time,
    hold: Option<Hold>,
    deadline: Option<Time>,
}

/// What committed steps brought for those who wait.
#[derive(Default)]
pub struct News {
    pub tasks: [bool; TaskKind::ALL.len()],
    pub placing: bool,
    pub sweep: bool,
}

impl News {
    /// Everything was read anew.
    pub fn all() -> Self {
        Self { tasks: [true; TaskKind::ALL.len()], placing: true, sweep: true }
    }

    fn note(&mut self, effect: &Effect) {
        match effect {
            Effect::Task { kind, .. } | Effect::TaskNext { kind, .. } => self.tasks[kind.index()] = true,
            Effect::Queued { .. } => (self.placing, self.sweep) = (true, true),
            Effect::Line { .. } | Effect::Brakes(_) | Effect::Freed { .. } => self.placing = true,
            Effect::Deadline { .. } => self.sweep = true,
            Effect::Unqueued { .. } | Effect::TaskDone { .. } | Effect::NoDeadline { .. } => {}
        }
    }
}

/// The index.
#[derive(Default)]
pub struct Index {
    board: Board,
    deadlines: BTreeSet<(Time, Deadline, CallId)>,
    work: [Work; TaskKind::ALL.len()],
}

impl Index {
    /// Reads everything that is not over.
    pub fn rebuild(&mut self, trees: &Trees) -> Result<(), StoreError> {
        let broken = |e: ::sled::Error| StoreError::Broken(e.to_string());
        let (policies, pools) = self.board.take_configuration();
        let rules = self.board.rules();
        // Runs that are under way go on while the store is reopened: their tasks must not be taken a second time meanwhile.
        let running = std::mem::take(&mut self.work).map(|work| work.running);
        *self = Index::default();
        for (work, running) in self.work.iter_mut().zip(running) {
            work.running = running;
        }
        if let Some(bytes) = trees.get(Tree::Meta, keys::BRAKES).map_err(broken)? {
            self.board.set_brakes(codec::decode(&bytes)?);
        }
        for row in trees.under(Tree::Lines, &[]) {
            let (key, value) = row.map_err(broken)?;
            let name = key.split(|b| *b == 0).nth(1).map(|n| String::from_utf8_lossy(n).into_owned()).unwrap_or_default();
            self.board.set_state(&LineId::new(&name), codec::decode(&value)?);
        }
        for row in trees.under(Tree::Index, b"L") {
            let (key, _) = row.map_err(broken)?;
            let Some(id) = keys::id_of(&key[1..]) else { continue };
            if let Some(bytes) = trees.get(Tree::Calls, &id).map_err(broken)? {
                self.revive(codec::decode(&bytes)?);
            }
        }
        for row in trees.under(Tree::Tasks, &[]) {
            let task: Task = codec::decode(&row.map_err(broken)?.1)?;
            self.task(task.kind, task.subject, task.due);
        }
        self.board.configure(policies, pools);
        self.board.set_rules(rules);
        Ok(())
    }

    /// Puts a call that was alive when the process ended back to where it was.
    fn revive(&mut self, call: Alive) {
        match call.state {
            State::Queued => {
                let delay = own_hold(call.hold);
                let pool = PoolId::of(call.connection.as_ref(), &call.origin, &call.workspace);
                let (interactive, wished, expires, number) = (call.interactive, call.wished_at, call.expires_at, short(&call.phone));
                let waiting = Waiting { call: call.id, pool, pinned: call.lines, owner: call.owner, interactive, wished, expires, number };
                self.board.add(waiting, delay);
            }
            // Its sender is gone: it may have been sent.
            State::Placing => {
                self.deadlines.insert((Time(0), Deadline::Lease, call.id));
            }
            _ => {}
        }
        if let Some(at) = call.deadline {
            self.deadlines.insert((at, Deadline::Report, call.id));
        }
        if let Some(state) = call.line.as_ref().and_then(|line| self.board.state(line))
            && let Some(until) = state.in_flight.get(&call.id)
        {
            self.deadlines.insert((*until, Deadline::Slot, call.id));
        }
    }

    /// Whether the configuration still lets the claimed call go over the claimed line.
    pub fn allows(&self, claim: &Claim) -> bool {
        self.board.allows(claim)
    }

    /// What the configuration says; lines and pools that it does not name keep their calls waiting.
    pub fn configure(&mut self, policies: Vec<LinePolicy>, pools: Vec<Pool>) {
        self.board.configure(policies, pools);
    }

    pub fn set_rules(&mut self, rules: Rules) {
        self.board.set_rules(Arc::new(rules));
    }

    pub fn rules(&self) -> Arc<Rules> {
        self.board.rules()
    }

    pub fn policy(&self, line: &LineId) -> Option<LinePolicy> {
        self.board.policy(line).cloned()
    }

    pub fn noticed(&self, line: &LineId) -> Option<SetBack> {
        self.board.noticed(line)
    }

    pub fn brakes(&self) -> &Brakes {
        self.board.brakes()
    }

    pub fn waiting(&self, line: &LineId) -> LineQueue {
        self.board.waiting(line)
    }

    pub fn queued(&self) -> usize {
        self.board.queued()
    }

    /// Brings committed changes in; what there is to do by them.
    pub fn apply(&mut self, effects: Vec<Effect>) -> News {
        let mut news = News::default();
        for effect in effects {
            news.note(&effect);
            match effect {
                Effect::Queued { waiting, delay } => self.board.add(*waiting, delay),
                Effect::Freed { number } => self.board.wake_number(number),
                // A rule refused it when it was claimed, or its time was over: the line is the next one's, at once.
                Effect::Unqueued { call } => news.placing |= self.board.remove(call),
                Effect::Line { line, state } => self.board.set_state(&line, *state),
                Effect::Brakes(brakes) => self.board.set_brakes(brakes),
                Effect::Task { kind, subject, due } => self.task(kind, subject, due),
                Effect::TaskNext { kind, subject, due } => {
                    let work = &mut self.work[kind.index()];
                    work.running.remove(&subject);
                    let due = work.again.remove(&subject).unwrap_or(due);
                    self.task(kind, subject, due);
                }
                Effect::TaskDone { kind, subject } => {
                    let work = &mut self.work[kind.index()];
                    work.running.remove(&subject);
                    work.again.remove(&subject);
                    if let Some(due) = work.at.remove(&subject) {
                        work.due.remove(&(due, subject));
                    }
                }
                Effect::Deadline { at, kind, call } => self.deadline(at, kind, call),
                Effect::NoDeadline { at, kind, call } => {
                    self.deadlines.remove(&(at, kind, call));
                }
            }
        }
        news
    }

    /// A claim whose step failed or was told to wait.
    pub fn unclaim(&mut self, claim: &Claim, not_before: Option<Time>) {
        self.board.unclaim(claim, not_before);
    }

    /// Claims that may be tried now, each with a line that is free for it.
    pub fn next_calls(&mut self, now: Time, max: usize) -> Next {
        self.board.next_calls(now, max)
    }

    /// The lines that these calls may go over now.
    pub fn lines_of_all(&self, calls: impl Iterator<Item = CallId>) -> LinesOf {
        self.board.lines_of_all(calls)
    }

    /// The queued calls that may go to this number.
    pub fn calls_to(&self, phone: &Phone) -> Vec<CallId> {
        self.board.calls_to(phone)
    }

    /// The same of several numbers, as digits.
    pub fn calls_among(&self, numbers: &[u64]) -> Vec<CallId> {
        self.board.calls_among(numbers)
    }

    fn task(&mut self, kind: TaskKind, subject: Subject, due: Time) {
        let work = &mut self.work[kind.index()];
        if work.running.contains(&subject) {
            work.again.insert(subject, due);
            return;
        }
        if let Some(old) = work.at.insert(subject, due) {
            work.due.remove(&(old, subject));
        }
        work.due.insert((due, subject));
    }

    /// Subjects whose task is due, marked as running.
    pub fn take_tasks(&mut self, kind: TaskKind, now: Time, max: usize) -> Vec<Subject> {
        let work = &mut self.work[kind.index()];
        let mut taken = Vec::new();
        while taken.len() < max {
            let Some((due, subject)) = work.due.first().copied().filter(|(due, _)| *due <= now) else { break };
            work.due.remove(&(due, subject));
            work.at.remove(&subject);
            work.running.insert(subject);
            taken.push(subject);
        }
        taken
    }

    /// Puts a taken task back unless a step has already said what becomes of it.
    pub fn release_task(&mut self, kind: TaskKind, subject: Subject, due: Time) {
        if self.work[kind.index()].running.remove(&subject) {
            let due = self.work[kind.index()].again.remove(&subject).unwrap_or(due);
            self.task(kind, subject, due);
        }
    }

    pub fn next_task_at(&self, kind: TaskKind) -> Option<Time> {
        self.work[kind.index()].due.first().map(|(due, _)| *due)
    }

    pub fn backlog(&self, kind: TaskKind) -> usize {
        let work = &self.work[kind.index()];
        work.due.len() + work.running.len()
    }

    /// Deadlines that are over, taken out; the sweep looks at each call's record.
    pub fn take_deadlines(&mut self, now: Time, max: usize) -> Vec<(Time, Deadline, CallId)> {
        let mut taken = Vec::new();
        while taken.len() < max {
            let expiry = self.board.next_expiry().map(|(at, call)| (at, Deadline::Expiry, call));
            let other = self.deadlines.first().copied();
            let Some(first) = expiry.into_iter().chain(other).min().filter(|(at, ..)| *at <= now) else { break };
            if Some(first) == expiry {
                self.board.take_expiry();
            } else {
                self.deadlines.remove(&first);
            }
            taken.push(first);
        }
        taken
    }

    pub fn put_deadlines(&mut self, deadlines: &[(Time, Deadline, CallId)]) {
        deadlines.iter().for_each(|(at, kind, call)| self.deadline(*at, *kind, *call));
    }

    pub fn next_deadline(&self) -> Option<Time> {
        let expiry = self.board.next_expiry().map(|(at, _)| at);
        expiry.into_iter().chain(self.deadlines.first().map(|(at, ..)| *at)).min()
    }

    /// Expiry of what waits is the board's; one whose request is under way waits no more.
    fn deadline(&mut self, at: Time, kind: Deadline, call: CallId) {
        if kind != Deadline::Expiry || !self.board.expires_at(call, at) {
            self.deadlines.insert((at, kind, call));
        }
    }
}
