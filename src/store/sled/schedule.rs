//! What may be done next: an index in memory over the stored calls, lines and tasks, rebuilt at start.
//!
//! A line is always in one of four places: *dirty* (to be looked at), *idle* (nothing waits for it; an arrival makes it dirty),
//! *timed* (looked at again then), or waiting for an effect (a report, a resume). Each question costs the same however many
//! calls and lines there are.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::keys::{self, Tree};
use super::open::Trees;
use crate::domain::call::{Call, Hold, State};
use crate::domain::id::{CallId, ConnectionId, LineId};
use crate::domain::connection::Mode;
use crate::domain::opening::Status;
use crate::domain::schedule::{Brakes, LinePolicy, LineState, may_place};
use crate::domain::time::Time;
use crate::error::Code;
use crate::store::codec;
use crate::store::task::{Subject, Task, TaskKind};
use crate::store::verbs::{Claim, Next, Rules, StoreError};

/// A change that a committed step made to what is scheduled.
#[derive(Debug)]
pub enum Effect {
    Queued {
        call: CallId,
        connection: Option<ConnectionId>,
        lines: Vec<LineId>,
        interactive: bool,
        wished: Time,
        expires: Time,
        not_before: Option<Time>,
    },
    Unqueued {
        call: CallId,
        expires: Time,
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
        Effect::Queued {
            call: call.id,
            connection: call.connection.clone(),
            lines: call.lines.clone(),
            interactive: call.interactive,
            wished: call.wished_at,
            expires: call.expires_at,
            not_before: not_before.or_else(|| own_hold(call.hold)),
        }
    }
}

/// How long a call waits by a hold of its own, whatever its lines say. A brake ends only by a person.
fn own_hold(hold: Option<Hold>) -> Option<Time> {
    match hold? {
        Hold { code: Code::HoldBrake, .. } => Some(Time::NEVER),
        Hold { code: Code::HoldBackoff | Code::HoldCap, until, .. } => until,
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

struct LineEntry {
    id: LineId,
    policy: Option<LinePolicy>,
    state: LineState,
    queues: Vec<usize>,
    /// Claims given out whose step has not come back.
    claimed: HashSet<CallId>,
    /// Which queue is served next, so that connections get their turn.
    turn: usize,
    timer: Option<Time>,
    dirty: bool,
}

struct Queue {
    connection: Option<ConnectionId>,
    /// What the calendar said last, and from when to when that holds; `None`: it has to be asked.
    calendar: Option<(Time, Status)>,
    lines: Vec<usize>,
    waiting: [BTreeSet<(Time, CallId)>; 2],
    idle: BTreeSet<usize>,
    turn: usize,
}

/// Queue, whether someone waits, and the call's place in the queue.
type Candidate = (usize, bool, (Time, CallId));

struct Entry {
    queue: usize,
    interactive: bool,
    wished: Time,
    place: Place,
}

#[derive(PartialEq)]
enum Place {
    Waiting,
    Delayed(Time),
    Claimed(usize),
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
    state: State,
    connection: Option<ConnectionId>,
    lines: Vec<LineId>,
    line: Option<LineId>,
    interactive: bool,
    wished_at: Time,
    expires_at: Time,
    hold: Option<Hold>,
    deadline: Option<Time>,
}

/// The index.
#[derive(Default)]
pub struct Index {
    lines: Vec<LineEntry>,
    line_of: HashMap<LineId, usize>,
    queues: Vec<Queue>,
    queue_of: HashMap<(Option<ConnectionId>, Vec<LineId>), usize>,
    calls: HashMap<CallId, Entry>,
    delayed: BTreeSet<(Time, CallId)>,
    dirty: VecDeque<usize>,
    timers: BTreeSet<(Time, usize)>,
    brakes: Brakes,
    deadlines: BTreeSet<(Time, Deadline, CallId)>,
    work: [Work; 4],
    rules: Option<Arc<Rules>>,
    /// The latest moment that was asked about: an earlier one means that the clock was set back.
    seen: Time,
}

impl Index {
    /// Reads everything that is not over.
    pub fn rebuild(&mut self, trees: &Trees) -> Result<(), StoreError> {
        let broken = |e: ::sled::Error| StoreError::Broken(e.to_string());
        let rules = self.rules.take();
        let policies: Vec<LinePolicy> = self.lines.iter_mut().filter_map(|l| l.policy.take()).collect();
        // Runs that are under way go on while the store is reopened: their tasks must not be taken a second time meanwhile.
        let running = std::mem::take(&mut self.work).map(|work| work.running);
        *self = Index { rules, ..Index::default() };
        for (work, running) in self.work.iter_mut().zip(running) {
            work.running = running;
        }
        if let Some(bytes) = trees.get(Tree::Meta, keys::BRAKES).map_err(broken)? {
            self.brakes = codec::decode(&bytes)?;
        }
        for row in &trees.trees[Tree::Lines as usize] {
            let (key, value) = row.map_err(broken)?;
            let name = key.split(|b| *b == 0).nth(1).map(|n| String::from_utf8_lossy(n).into_owned()).unwrap_or_default();
            let line = self.line(&LineId::new(&name));
            self.lines[line].state = codec::decode(&value)?;
        }
        for row in trees.trees[Tree::Index as usize].scan_prefix(b"L") {
            let (key, _) = row.map_err(broken)?;
            let Some(id) = keys::id_of(&key[1..]) else { continue };
            if let Some(bytes) = trees.get(Tree::Calls, &id).map_err(broken)? {
                self.revive(codec::decode(&bytes)?);
            }
        }
        for row in &trees.trees[Tree::Tasks as usize] {
            let task: Task = codec::decode(&row.map_err(broken)?.1)?;
            self.task(task.kind, task.subject, task.due);
        }
        self.configure(policies);
        Ok(())
    }

    /// Puts a call that was alive when the process ended back to where it was.
    fn revive(&mut self, call: Alive) {
        match call.state {
            State::Queued => {
                let not_before = own_hold(call.hold);
                self.apply(vec![Effect::Queued {
                    call: call.id,
                    connection: call.connection,
                    lines: call.lines,
                    interactive: call.interactive,
                    wished: call.wished_at,
                    expires: call.expires_at,
                    not_before,
                }]);
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
        if let Some(line) = call.line.as_ref().and_then(|l| self.line_of.get(l))
            && let Some(until) = self.lines[*line].state.in_flight.get(&call.id)
        {
            self.deadlines.insert((*until, Deadline::Slot, call.id));
        }
    }

    /// What the configuration says; lines not named keep their calls waiting.
    pub fn configure(&mut self, policies: Vec<LinePolicy>) {
        for entry in &mut self.lines {
            entry.policy = None;
        }
        for policy in policies {
            let line = self.line(&policy.id);
            self.lines[line].policy = Some(policy);
        }
        for line in 0..self.lines.len() {
            self.mark(line);
        }
    }

    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = Some(Arc::new(rules));
        for queue in &mut self.queues {
            queue.calendar = None;
        }
        (0..self.lines.len()).for_each(|line| self.mark(line));
    }

    pub fn rules(&self) -> Arc<Rules> {
        self.rules.clone().unwrap_or_else(|| Arc::new(Rules::Unsaid))
    }

    /// Whether a queue's connection may call now; if not, until when, if that is known.
    fn shut(&mut self, queue: usize, now: Time) -> Option<Option<Time>> {
        let queue = &mut self.queues[queue];
        let connection = queue.connection.as_ref()?;
        let Some(Rules::Said { connections, .. }) = self.rules.as_deref() else { return None };
        let Some(policy) = connections.get(connection).filter(|policy| policy.mode != Mode::Off) else { return Some(None) };
        let status = match queue.calendar {
            Some((from, status)) if from <= now && status.until.is_none_or(|until| now < until) => status,
            _ => {
                let status = policy.opening.status(now);
                queue.calendar = Some((now, status));
                status
            }
        };
        status.shut.map(|_| status.until)
    }

    pub fn policy(&self, line: &LineId) -> Option<LinePolicy> {
        self.lines[*self.line_of.get(line)?].policy.clone()
    }

    pub fn brakes(&self) -> &Brakes {
        &self.brakes
    }

    pub fn waiting(&self, line: &LineId) -> usize {
        let Some(line) = self.line_of.get(line) else { return 0 };
        self.lines[*line].queues.iter().map(|q| self.queues[*q].waiting.iter().map(BTreeSet::len).sum::<usize>()).sum()
    }

    pub fn queued(&self) -> usize {
        self.calls.len()
    }

    fn line(&mut self, id: &LineId) -> usize {
        if let Some(line) = self.line_of.get(id) {
            return *line;
        }
        let line = self.lines.len();
        self.lines.push(LineEntry {
            id: id.clone(),
            policy: None,
            state: LineState::default(),
            queues: Vec::new(),
            claimed: HashSet::new(),
            turn: 0,
            timer: None,
            dirty: false,
        });
        self.line_of.insert(id.clone(), line);
        line
    }

    fn queue(&mut self, connection: Option<ConnectionId>, ids: Vec<LineId>) -> usize {
        if let Some(queue) = self.queue_of.get(&(connection.clone(), ids.clone())) {
            return *queue;
        }
        let lines: Vec<usize> = ids.iter().map(|id| self.line(id)).collect();
        let queue = self.queues.len();
        for line in &lines {
            self.lines[*line].queues.push(queue);
        }
        self.queues.push(Queue {
            connection: connection.clone(),
            calendar: None,
            idle: lines.iter().copied().collect(),
            lines,
            waiting: Default::default(),
            turn: 0,
        });
        self.queue_of.insert((connection, ids), queue);
        queue
    }

    /// Brings committed changes in.
    pub fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Queued { call, connection, lines, interactive, wished, expires, not_before } => {
                    let queue = self.queue(connection, lines);
                    self.deadlines.insert((expires, Deadline::Expiry, call));
                    self.forget(call);
                    self.calls.insert(call, Entry { queue, interactive, wished, place: Place::Waiting });
                    match not_before {
                        Some(at) => self.delay(call, at),
                        None => self.arrive(call),
                    }
                }
                Effect::Unqueued { call, expires } => {
                    self.forget(call);
                    self.deadlines.remove(&(expires, Deadline::Expiry, call));
                }
                Effect::Line { line, state } => {
                    let line = self.line(&line);
                    self.lines[line].state = *state;
                    self.mark(line);
                }
                Effect::Brakes(brakes) => {
                    self.brakes = brakes;
                    (0..self.lines.len()).for_each(|line| self.mark(line));
                }
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
                Effect::Deadline { at, kind, call } => {
                    self.deadlines.insert((at, kind, call));
                }
                Effect::NoDeadline { at, kind, call } => {
                    self.deadlines.remove(&(at, kind, call));
                }
            }
        }
    }

    /// Takes a call out of wherever it waits.
    fn forget(&mut self, call: CallId) {
        let Some(entry) = self.calls.remove(&call) else { return };
        match entry.place {
            Place::Waiting => {
                self.queues[entry.queue].waiting[usize::from(!entry.interactive)].remove(&(entry.wished, call));
            }
            Place::Delayed(at) => {
                self.delayed.remove(&(at, call));
            }
            Place::Claimed(line) => {
                self.lines[line].claimed.remove(&call);
                self.mark(line);
            }
        }
    }

    fn delay(&mut self, call: CallId, at: Time) {
        if let Some(entry) = self.calls.get_mut(&call) {
            entry.place = Place::Delayed(at);
            self.delayed.insert((at, call));
        }
    }

    /// A call is ready to go: put it in its queue and wake one line that was idle.
    fn arrive(&mut self, call: CallId) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        entry.place = Place::Waiting;
        let queue = &mut self.queues[entry.queue];
        queue.waiting[usize::from(!entry.interactive)].insert((entry.wished, call));
        let turn = queue.turn;
        let next = queue.idle.range(turn..).next().or_else(|| queue.idle.iter().next()).copied();
        if let Some(line) = next {
            queue.turn = line + 1;
            self.mark(line);
        }
    }

    fn mark(&mut self, line: usize) {
        let entry = &mut self.lines[line];
        if !entry.dirty {
            entry.dirty = true;
            self.dirty.push_back(line);
        }
    }

    /// A claim whose step failed or was told to wait.
    pub fn unclaim(&mut self, claim: &Claim, not_before: Option<Time>) {
        let Some(entry) = self.calls.get(&claim.call) else { return };
        let Place::Claimed(line) = entry.place else { return };
        self.lines[line].claimed.remove(&claim.call);
        self.mark(line);
        match not_before {
            Some(at) => self.delay(claim.call, at),
            None => self.arrive(claim.call),
        }
    }

    /// Claims that may be tried now, each with a line that is free for it.
    pub fn next_calls(&mut self, now: Time, max: usize) -> Next {
        if now < self.seen {
            // The clock was set back: what was to be looked at later is looked at now, and waits for the new time.
            let timed: Vec<usize> = self.timers.iter().map(|(_, line)| *line).collect();
            timed.into_iter().for_each(|line| self.mark(line));
            let delayed: Vec<(Time, CallId)> = self.delayed.iter().copied().filter(|(at, _)| *at < Time::NEVER).collect();
            for (at, call) in delayed {
                self.delayed.remove(&(at, call));
                self.arrive(call);
            }
        }
        self.seen = now;
        while let Some((at, call)) = self.delayed.first().copied().filter(|(at, _)| *at <= now) {
            self.delayed.remove(&(at, call));
            self.arrive(call);
        }
        while let Some((at, line)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, line));
            self.lines[line].timer = None;
            self.mark(line);
        }
        let mut claims = Vec::new();
        while claims.len() < max {
            let Some(line) = self.dirty.pop_front() else { break };
            self.lines[line].dirty = false;
            if let Some(call) = self.look_at(line, now) {
                claims.push(Claim { call, line: self.lines[line].id.clone() });
                self.mark(line);
            }
        }
        let wake_at = if self.dirty.is_empty() { [self.timers.first().map(|t| t.0), self.delayed.first().map(|t| t.0)].into_iter().flatten().filter(|at| *at < Time::NEVER).min() } else { Some(now) };
        Next { claims, wake_at }
    }

    /// Decides about one line: a call to place on it, or where the line waits.
    fn look_at(&mut self, line: usize, now: Time) -> Option<CallId> {
        if let Some(at) = self.lines[line].timer.take() {
            self.timers.remove(&(at, line));
        }
        let (candidate, opens) = self.candidate(line, now);
        let entry = &self.lines[line];
        let (Some((queue, interactive, key)), Some(policy)) = (candidate, entry.policy.as_ref()) else {
            self.set_idle(line, true);
            if let Some(at) = opens {
                self.lines[line].timer = Some(at);
                self.timers.insert((at, line));
            }
            return None;
        };
        match may_place(policy, &entry.state, &self.brakes, interactive, entry.claimed.len(), now) {
            Ok(()) => {
                self.set_idle(line, false);
                self.queues[queue].waiting[usize::from(!interactive)].remove(&key);
                if let Some(call) = self.calls.get_mut(&key.1) {
                    call.place = Place::Claimed(line);
                }
                let entry = &mut self.lines[line];
                entry.claimed.insert(key.1);
                entry.turn = entry.queues.iter().position(|q| *q == queue).map_or(0, |p| p + 1);
                Some(key.1)
            }
            Err(not) => {
                // A silent line still takes a click: an arrival must be able to wake it.
                self.set_idle(line, not.code == Code::HoldSilent);
                if let Some(at) = not.until {
                    self.lines[line].timer = Some(at);
                    self.timers.insert((at, line));
                }
                None
            }
        }
    }

    /// The call that is next on this line: clicks before automation, the oldest first; automation takes turns between connections.
    ///
    /// A connection outside its hours is passed over; the second value is when the first of those opens.
    fn candidate(&mut self, line: usize, now: Time) -> (Option<Candidate>, Option<Time>) {
        let (n, turn) = (self.lines[line].queues.len(), self.lines[line].turn);
        let mut clicked: Option<Candidate> = None;
        let mut automatic: Option<Candidate> = None;
        let mut opens: Option<Time> = None;
        for i in 0..n {
            let q = self.lines[line].queues[(turn + i) % n];
            let [clicks, calls] = &self.queues[q].waiting;
            let (click, call) = (clicks.first().copied(), calls.first().copied());
            if click.is_none() && call.is_none() {
                continue;
            }
            match self.shut(q, now) {
                Some(until) => opens = opens.into_iter().chain(until).min(),
                None => {
                    if let Some(key) = click.filter(|key| clicked.is_none_or(|(_, _, first)| *key < first)) {
                        clicked = Some((q, true, key));
                    }
                    automatic = automatic.or(call.map(|key| (q, false, key)));
                }
            }
        }
        (clicked.or(automatic), opens)
    }

    fn set_idle(&mut self, line: usize, idle: bool) {
        for i in 0..self.lines[line].queues.len() {
            let queue = self.lines[line].queues[i];
            if idle {
                self.queues[queue].idle.insert(line);
            } else {
                self.queues[queue].idle.remove(&line);
            }
        }
    }

    /// Lines that may take a queued call now, for the answer to "why does it wait".
    pub fn lines_of(&self, call: CallId) -> Vec<LineId> {
        self.calls.get(&call).map(|e| self.queues[e.queue].lines.iter().map(|l| self.lines[*l].id.clone()).collect()).unwrap_or_default()
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
            let Some(first) = self.deadlines.first().copied().filter(|(at, ..)| *at <= now) else { break };
            self.deadlines.remove(&first);
            taken.push(first);
        }
        taken
    }

    pub fn put_deadlines(&mut self, deadlines: &[(Time, Deadline, CallId)]) {
        self.deadlines.extend(deadlines.iter().copied());
    }

    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(at, ..)| *at)
    }
}
