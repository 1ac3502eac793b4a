//! Which call goes next on which line: queues, free lines and the choice between them, in memory.
//!
//! A **line** is *dirty* (to be looked at now), *free* (it would take a call: it stands in the free set of each queue it serves) or
//! neither, and then a timer or an effect (a report, a resume) makes it dirty again. A **queue** holds the calls of one pool that may
//! go over the same lines; it is *ready* when it may have both a call and a free line. Nothing is polled: a question costs the same
//! however many calls and lines there are.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use super::calls::{Calls, Delay, Entry, Place, Second, Slot};
use super::gates::Gates;
use crate::domain::connection::LineChoice;
use crate::domain::id::{CallId, LineId};
use crate::domain::pool::{Pool, PoolId};
use crate::domain::schedule::{Brakes, LinePolicy, LineState};
use crate::domain::set_back::SetBack;
use crate::domain::time::Time;
use crate::store::verbs::Claim;

/// Over which of its pool's lines a call may go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Which {
    All,
    /// For now only its owner's.
    Owner(LineId),
    /// Only these, as a person said.
    Pinned(Vec<LineId>),
}

/// Clicks and automation, as places in arrays.
pub(super) const CLICKS: usize = 0;
pub(super) const AUTOMATION: usize = 1;

/// What a line would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    /// A silent line takes clicks and its probes.
    Clicks,
    All,
}

impl Takes {
    pub(super) fn kind(self, kind: usize) -> bool {
        self == Takes::All || (self == Takes::Clicks && kind == CLICKS)
    }
}

/// The order of free lines: well before silent, then as the choice says, then by their place in the pool.
pub(super) type Rank = (bool, usize, i64, u32);

pub(super) struct Line {
    pub(super) id: LineId,
    pub(super) policy: Option<LinePolicy>,
    pub(super) state: LineState,
    /// The stored state is of a clock that was set back since.
    pub(super) set_back: Option<SetBack>,
    /// Queues by pool: pools take turns.
    pub(super) serves: Vec<Serves>,
    pub(super) turn: usize,
    /// Claims given out whose step has not come back.
    pub(super) claimed: HashSet<CallId>,
    pub(super) timer: Option<Time>,
    pub(super) dirty: bool,
    pub(super) takes: Takes,
    /// How it stands in the free sets now.
    pub(super) silent: bool,
    pub(super) busy: (usize, i64),
}

pub(super) struct Serves {
    pub(super) pool: PoolId,
    /// Queue, and this line's place in it.
    pub(super) queues: Vec<(usize, u32)>,
}

pub(super) struct Queue {
    pub(super) pool: PoolId,
    pub(super) which: Which,
    pub(super) choice: LineChoice,
    pub(super) lines: Vec<usize>,
    pub(super) waiting: [BTreeSet<(Time, Slot)>; 2],
    /// Calls that wait for a time of their own: `later.rs`.
    pub(super) later: usize,
    pub(super) free: [BTreeSet<Rank>; 2],
    pub(super) ready: [bool; 2],
    /// The place that round-robin looks at next.
    pub(super) turn: u32,
    /// Its connection may not call now: `gates.rs`.
    pub(super) shut: bool,
}

/// A call that waits.
#[derive(Debug)]
pub struct Waiting {
    pub call: CallId,
    pub pool: PoolId,
    /// Empty: all of its pool.
    pub pinned: Vec<LineId>,
    pub owner: Option<String>,
    pub interactive: bool,
    pub wished: Time,
    pub expires: Time,
    pub number: u32,
}

/// The whole of it.
#[derive(Default)]
pub struct Board {
    pub(super) lines: Vec<Line>,
    pub(super) line_of: HashMap<LineId, usize>,
    pub(super) queues: Vec<Queue>,
    pub(super) queue_of: HashMap<(PoolId, Which), usize>,
    pub(super) pools: HashMap<PoolId, Pool>,
    pub(super) calls: Calls,
    /// Queued calls by number.
    pub(super) numbers: BTreeSet<(u32, Slot)>,
    /// When calls expire.
    pub(super) expiries: BTreeSet<(Second, Slot)>,
    pub(super) owners: Vec<String>,
    pub(super) owner_of: HashMap<String, u32>,
    pub(super) delayed: BTreeSet<(Time, Slot)>,
    /// When calls stop waiting for their owner's line.
    pub(super) owner_waits: BTreeSet<(Time, CallId)>,
    pub(super) dirty: VecDeque<usize>,
    pub(super) ready: [VecDeque<usize>; 2],
    pub(super) timers: BTreeSet<(Time, usize)>,
    pub(super) brakes: Brakes,
    pub(super) gates: Gates,
}

impl Board {
    pub fn brakes(&self) -> &Brakes {
        &self.brakes
    }

    pub fn set_brakes(&mut self, brakes: Brakes) {
        self.brakes = brakes;
        (0..self.lines.len()).for_each(|line| self.mark(line));
    }

    pub fn policy(&self, line: &LineId) -> Option<&LinePolicy> {
        self.lines[*self.line_of.get(line)?].policy.as_ref()
    }

    pub fn state(&self, line: &LineId) -> Option<&LineState> {
        Some(&self.lines[*self.line_of.get(line)?].state)
    }

    /// Whether and when it was noticed that the clock was set back since the line's last placing.
    pub fn noticed(&self, line: &LineId) -> Option<SetBack> {
        self.lines[*self.line_of.get(line)?].set_back
    }

    pub fn queued(&self) -> usize {
        self.calls.len()
    }

    /// The queue of a call and the lines it may go over now; calls of one queue have the same.
    pub fn lines_of(&self, call: CallId) -> Option<(usize, impl Iterator<Item = &LineId>)> {
        let queue = self.calls.get(call)?.queue as usize;
        Some((queue, self.queues[queue].lines.iter().map(|line| &self.lines[*line].id)))
    }

    /// Whether the configuration still lets this call go over this line.
    pub fn allows(&self, claim: &Claim) -> bool {
        self.line_of.get(&claim.line).is_some_and(|line| self.calls.get(claim.call).is_some_and(|e| self.queues[e.queue as usize].lines.contains(line)))
    }

    /// What the configuration says; lines and pools that it does not name keep their calls waiting.
    pub fn configure(&mut self, policies: Vec<LinePolicy>, pools: Vec<Pool>) {
        for line in &mut self.lines {
            line.policy = None;
            line.serves.clear();
            line.takes = Takes::Nothing;
        }
        for policy in policies {
            let line = self.line(&policy.id);
            self.lines[line].policy = Some(policy);
        }
        self.pools = pools.into_iter().map(|pool| (pool.id.clone(), pool)).collect();
        for queue in 0..self.queues.len() {
            self.queues[queue].free = Default::default();
            self.resolve(queue);
        }
        let owned: Vec<Slot> = self.calls.iter().filter(|slot| self.calls[*slot].owner > 0).collect();
        owned.into_iter().for_each(|call| self.choose_queue(call, true));
        (0..self.lines.len()).for_each(|line| self.mark(line));
    }

    /// The policies and pools in force, taken out for a board that replaces this one.
    pub fn take_configuration(&mut self) -> (Vec<LinePolicy>, Vec<Pool>) {
        (self.lines.iter_mut().filter_map(|l| l.policy.take()).collect(), std::mem::take(&mut self.pools).into_values().collect())
    }

    fn line(&mut self, id: &LineId) -> usize {
        if let Some(line) = self.line_of.get(id) {
            return *line;
        }
        let line = self.lines.len();
        self.lines.push(Line {
            id: id.clone(),
            policy: None,
            state: LineState::default(),
            set_back: None,
            serves: Vec::new(),
            turn: 0,
            claimed: HashSet::new(),
            timer: None,
            dirty: false,
            takes: Takes::Nothing,
            silent: false,
            busy: (0, 0),
        });
        self.line_of.insert(id.clone(), line);
        line
    }

    fn queue(&mut self, pool: &PoolId, which: Which) -> usize {
        let key = (pool.clone(), which);
        if let Some(queue) = self.queue_of.get(&key) {
            return *queue;
        }
        let queue = self.queues.len();
        self.queues.push(Queue {
            pool: key.0.clone(),
            which: key.1.clone(),
            choice: LineChoice::First,
            lines: Vec::new(),
            waiting: Default::default(),
            later: 0,
            free: Default::default(),
            ready: [false; 2],
            turn: 0,
            shut: self.gates.shut.contains(pool),
        });
        self.gates.queues.entry(pool.clone()).or_default().push(queue);
        self.queue_of.insert(key, queue);
        self.resolve(queue);
        queue
    }

    /// Finds the lines of a queue anew and makes them serve it.
    fn resolve(&mut self, queue: usize) {
        let (id, which) = (self.queues[queue].pool.clone(), self.queues[queue].which.clone());
        let (mut ids, mut choice) = (Vec::new(), LineChoice::First);
        if let Some(pool) = self.pools.get(&id) {
            (ids, choice) = match which {
                Which::All => (pool.lines.clone(), pool.choice),
                Which::Owner(line) => (vec![line], LineChoice::First),
                Which::Pinned(lines) => (lines, LineChoice::First),
            };
        }
        let lines: Vec<usize> = ids.iter().map(|id| self.line(id)).collect();
        for (place, line) in (0u32..).zip(&lines) {
            let serves = &mut self.lines[*line].serves;
            match serves.iter_mut().find(|s| s.pool == id) {
                Some(serves) => serves.queues.push((queue, place)),
                None => serves.push(Serves { pool: id.clone(), queues: vec![(queue, place)] }),
            }
            self.mark(*line);
        }
        (self.queues[queue].lines, self.queues[queue].choice) = (lines, choice);
    }

    /// Puts a call among those that wait.
    pub fn add(&mut self, waiting: Waiting, delay: Option<Delay>) {
        self.remove(waiting.call);
        let owner = waiting.owner.map_or(0, |owner| match self.owner_of.get(&owner) {
            Some(place) => *place,
            None => {
                self.owners.push(owner.clone());
                let place = u32::try_from(self.owners.len()).unwrap_or(0);
                self.owner_of.insert(owner, place);
                place
            }
        });
        let which = if waiting.pinned.is_empty() { Which::All } else { Which::Pinned(waiting.pinned) };
        let owner = if which == Which::All { owner } else { 0 };
        let queue = u32::try_from(self.queue(&waiting.pool, which)).unwrap_or(u32::MAX);
        let Waiting { call: id, interactive, wished, number, .. } = waiting;
        let expires = waiting.expires.into();
        let call = self.calls.insert(Entry { id, queue, owner, number, interactive, wished, expires, place: Place::Waiting });
        self.numbers.insert((number, call));
        self.expiries.insert((expires, call));
        self.choose_queue(call, true);
        match delay {
            Some(delay) => self.delay(call, delay),
            None => self.arrive(call),
        }
    }

    /// The queue that fits the call's owner: for a while only the owner's own line, then all.
    pub(super) fn choose_queue(&mut self, call: Slot, wait: bool) {
        let entry = self.calls[call];
        if entry.owner == 0 {
            return;
        }
        let (old, wished, interactive) = (entry.queue as usize, entry.wished, entry.interactive);
        let owner = self.owners.get(entry.owner as usize - 1).map(String::as_str);
        let id = self.queues[old].pool.clone();
        let own = self.pools.get(&id).and_then(|pool| Some((pool.owner_line(owner)?.clone(), wished.plus(pool.owner_wait))));
        let which = match own {
            Some((line, until)) if wait => {
                self.owner_waits.insert((until, entry.id));
                Which::Owner(line)
            }
            _ => Which::All,
        };
        let new = self.queue(&id, which);
        if new == old {
            return;
        }
        let was_waiting = self.queues[old].waiting[usize::from(!interactive)].remove(&(wished, call));
        self.calls[call].queue = u32::try_from(new).unwrap_or(u32::MAX);
        if matches!(entry.place, Place::Delayed(_)) {
            self.queues[old].later -= 1;
            self.queues[new].later += 1;
        }
        if was_waiting {
            self.arrive(call);
        }
    }

    /// Takes a call out of wherever it waits. True if that gives back a line that was claimed for it.
    pub fn remove(&mut self, call: CallId) -> bool {
        let Some((slot, entry)) = self.calls.remove(call) else { return false };
        self.numbers.remove(&(entry.number, slot));
        self.expiries.remove(&(entry.expires, slot));
        match entry.place {
            Place::Waiting => drop(self.queues[entry.queue as usize].waiting[usize::from(!entry.interactive)].remove(&(entry.wished, slot))),
            Place::Delayed(delay) => {
                self.delayed.remove(&(delay.until, slot));
                self.queues[entry.queue as usize].later -= 1;
            }
            Place::Claimed(line) => {
                self.lines[line as usize].claimed.remove(&call);
                self.mark(line as usize);
                return true;
            }
        }
        false
    }

    /// A call is ready to go.
    pub(super) fn arrive(&mut self, call: Slot) {
        let entry = &mut self.calls[call];
        entry.place = Place::Waiting;
        let (queue, kind) = (entry.queue as usize, usize::from(!entry.interactive));
        self.queues[queue].waiting[kind].insert((entry.wished, call));
        self.make_ready(queue, kind);
    }

    pub(super) fn make_ready(&mut self, queue: usize, kind: usize) {
        let entry = &mut self.queues[queue];
        if !entry.shut && !entry.ready[kind] && !entry.free[kind].is_empty() && !entry.waiting[kind].is_empty() {
            entry.ready[kind] = true;
            self.ready[kind].push_back(queue);
        }
    }

    pub(super) fn mark(&mut self, line: usize) {
        let entry = &mut self.lines[line];
        if !entry.dirty {
            entry.dirty = true;
            self.dirty.push_back(line);
        }
    }

    /// A line's stored state changed.
    pub fn set_state(&mut self, line: &LineId, mut state: LineState) {
        let line = self.line(line);
        let set_back = self.lines[line].set_back.filter(|noticed| state.last_placing == Some(noticed.from));
        if let Some(noticed) = set_back {
            state.set_back(noticed.to);
        }
        (self.lines[line].state, self.lines[line].set_back) = (state, set_back);
        self.mark(line);
    }

    /// A claim whose step failed or was told to wait.
    pub fn unclaim(&mut self, claim: &Claim, not_before: Option<Time>) {
        let Some(call) = self.calls.slot(claim.call) else { return };
        let Place::Claimed(line) = self.calls[call].place else { return };
        self.lines[line as usize].claimed.remove(&claim.call);
        match not_before {
            Some(at) => self.delay(call, Delay::fixed(at)),
            None => self.arrive(call),
        }
        self.mark(line as usize);
    }
}
