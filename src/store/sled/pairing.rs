//! The pairing of calls and lines: which line is free for what, and which call it gets.

use std::collections::VecDeque;

use super::board::{AUTOMATION, Board, CLICKS, Serves, Takes};
use super::calls::{Place, Slot};
use crate::domain::connection::LineChoice;
use crate::domain::pool::PoolId;
use crate::domain::schedule::may_place;
use crate::domain::time::Time;
use crate::store::verbs::{Claim, Next};

/// How far a call that another queue has first on the chosen line is followed.
const HOPS: usize = 4;

struct Candidate {
    queue: usize,
    kind: usize,
    key: (Time, Slot),
}

impl Board {
    /// Claims that may be tried now, each with a line that is free for it.
    pub fn next_calls(&mut self, now: Time, max: usize) -> Next {
        self.turn_gates(now);
        while let Some((at, call)) = self.delayed.first().copied().filter(|(at, _)| *at <= now) {
            self.awake(at, call);
        }
        while let Some((at, call)) = self.owner_waits.first().copied().filter(|(at, _)| *at <= now) {
            self.owner_waits.remove(&(at, call));
            if let Some(call) = self.calls.slot(call) {
                self.choose_queue(call, false);
            }
        }
        while let Some((at, line)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, line));
            self.lines[line].timer = None;
            self.mark(line);
        }
        while let Some(line) = self.dirty.pop_front() {
            self.lines[line].dirty = false;
            self.look_at(line, now);
        }
        let mut claims = Vec::new();
        while claims.len() < max
            && let Some(claim) = self.next_claim(now)
        {
            claims.push(claim);
        }
        let timers = [self.timers.first().map(|t| t.0), self.delayed.first().map(|t| t.0), self.owner_waits.first().map(|t| t.0), self.gates.next()];
        let wake_at = if self.ready.iter().all(VecDeque::is_empty) { timers.into_iter().flatten().filter(|at| *at < Time::NEVER).min() } else { Some(now) };
        Next { claims, wake_at }
    }

    /// Decides what a line would take now, and from when on if nothing.
    fn look_at(&mut self, line: usize, now: Time) {
        self.set_free(line, false);
        let entry = &mut self.lines[line];
        if let Some(at) = entry.timer.take() {
            self.timers.remove(&(at, line));
        }
        // Also after a start, when it was read as it is stored.
        entry.set_back(now);
        let Some(policy) = &entry.policy else { return };
        let may = |interactive| may_place(policy, &entry.state, &self.brakes, interactive, entry.claimed.len(), now);
        let (takes, until) = match may(true) {
            Err(not) => (Takes::Nothing, not.until),
            Ok(()) => match may(false) {
                Err(not) => (Takes::Clicks, not.until),
                Ok(()) => (Takes::All, None),
            },
        };
        entry.silent = entry.state.silent_since.is_some();
        entry.busy = (entry.state.taken(now) + entry.claimed.len(), entry.state.last_placing.map_or(0, |t| t.0));
        entry.takes = takes;
        // Also for a line that nothing waits for: the call that comes next finds it free, and needs to look at no line.
        if let Some(at) = until {
            entry.timer = Some(at);
            self.timers.insert((at, line));
        }
        self.set_free(line, true);
    }

    /// Puts a line into the free sets of its queues, or takes it out.
    fn set_free(&mut self, line: usize, free: bool) {
        let (takes, silent, busy) = (self.lines[line].takes, self.lines[line].silent, self.lines[line].busy);
        if takes == Takes::Nothing {
            return;
        }
        let queues: Vec<(usize, u32)> = self.lines[line].serves.iter().flat_map(|s| s.queues.iter().copied()).collect();
        for (queue, place) in queues {
            let (by_load, last) = if self.queues[queue].choice == LineChoice::LeastBusy { busy } else { (0, 0) };
            let rank = (silent, by_load, last, place);
            for kind in [CLICKS, AUTOMATION].into_iter().filter(|kind| takes.kind(*kind)) {
                if free {
                    self.queues[queue].free[kind].insert(rank);
                    self.make_ready(queue, kind);
                } else {
                    self.queues[queue].free[kind].remove(&rank);
                }
            }
        }
        if !free {
            self.lines[line].takes = Takes::Nothing;
        }
    }

    fn next_claim(&mut self, now: Time) -> Option<Claim> {
        for kind in [CLICKS, AUTOMATION] {
            while let Some(queue) = self.ready[kind].pop_front() {
                self.queues[queue].ready[kind] = false;
                let Some((line, candidate)) = Some(queue).filter(|queue| !self.queues[*queue].shut).and_then(|queue| self.pair(queue, kind)) else { continue };
                let claim = self.claim(line, candidate, now);
                // Behind the other queues: none of them starves while few requests may be under way.
                self.make_ready(queue, kind);
                return Some(claim);
            }
        }
        None
    }

    /// The line that this queue's next call would choose, and the call that is next on it.
    fn pair(&self, queue: usize, kind: usize) -> Option<(usize, Candidate)> {
        let mut found: Option<(usize, Candidate)> = None;
        let (mut queue, mut kind) = (queue, kind);
        for _ in 0..HOPS {
            let Some(line) = self.best_line(queue, kind) else { break };
            let Some(candidate) = self.candidate(line) else { break };
            let same = candidate.queue == queue;
            (queue, kind) = (candidate.queue, candidate.kind);
            found = Some((line, candidate));
            if same {
                break;
            }
        }
        found
    }

    /// The free line that the first call of this queue goes over, by the pool's choice.
    fn best_line(&self, queue: usize, kind: usize) -> Option<usize> {
        let entry = &self.queues[queue];
        let (_, call) = entry.waiting[kind].first()?;
        let free = &entry.free[kind];
        let first = free.first()?;
        if entry.choice == LineChoice::Owner
            && let Some(own) = self.own_line(*call, &entry.pool)
            && self.lines[own].takes.kind(kind)
        {
            return Some(own);
        }
        let place = match entry.choice {
            LineChoice::RoundRobin => free.range((first.0, 0, 0, entry.turn)..).next().filter(|rank| rank.0 == first.0).unwrap_or(first).3,
            LineChoice::First | LineChoice::Owner | LineChoice::LeastBusy => first.3,
        };
        entry.lines.get(place as usize).copied()
    }

    fn own_line(&self, call: Slot, pool: &PoolId) -> Option<usize> {
        let owner = Some(self.calls[call].owner as usize).filter(|owner| *owner > 0)?;
        self.line_of.get(self.pools.get(pool)?.owner_line(self.owners.get(owner - 1).map(String::as_str))?).copied()
    }

    /// The call that is next on this line: clicks before automation, the oldest first; automation takes turns between pools.
    fn candidate(&self, line: usize) -> Option<Candidate> {
        let entry = &self.lines[line];
        let oldest = |kind: usize, serves: &Serves| {
            let queues = serves
                .queues
                .iter()
                .filter(|(queue, _)| !self.queues[*queue].shut)
                .filter_map(|(queue, _)| Some((*self.queues[*queue].waiting[kind].first()?, *queue)));
            queues.min().map(|(key, queue)| Candidate { queue, kind, key })
        };
        if entry.takes.kind(CLICKS)
            && let Some(click) = entry.serves.iter().filter_map(|s| oldest(CLICKS, s)).min_by_key(|c| c.key)
        {
            return Some(click);
        }
        let n = entry.serves.len();
        let mut turns = (0..n).map(|i| &entry.serves[(entry.turn + i) % n]);
        if entry.takes.kind(AUTOMATION) { turns.find_map(|s| oldest(AUTOMATION, s)) } else { None }
    }

    fn claim(&mut self, line: usize, candidate: Candidate, now: Time) -> Claim {
        let Candidate { queue, kind, key } = candidate;
        self.queues[queue].waiting[kind].remove(&key);
        let call = &mut self.calls[key.1];
        call.place = Place::Claimed(u32::try_from(line).unwrap_or(u32::MAX));
        let call = call.id;
        let entry = &mut self.lines[line];
        entry.claimed.insert(call);
        let serves = entry.serves.iter().enumerate().find(|(_, s)| s.pool == self.queues[queue].pool);
        if let Some((turn, serves)) = serves {
            if kind == AUTOMATION {
                entry.turn = turn + 1;
            }
            let place = serves.queues.iter().find(|(q, _)| *q == queue).map_or(0, |(_, place)| *place);
            self.queues[queue].turn = place + 1;
        }
        let claim = Claim { call, line: entry.id.clone() };
        self.look_at(line, now);
        claim
    }
}
