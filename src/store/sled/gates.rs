//! Gates of the board: which connections may call now by their hours, days off and mode, and when that changes.
//!
//! A gate is looked at when its time comes, never for each call: a shut connection costs nothing while it is shut.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::board::{AUTOMATION, Board, CLICKS, Line};
use super::calls::Slot;
use crate::domain::connection::Mode;
use crate::domain::pool::PoolId;
use crate::domain::set_back::SetBack;
use crate::domain::time::Time;
use crate::store::Rules;

/// What is known about the gates.
#[derive(Default)]
pub struct Gates {
    rules: Option<Arc<Rules>>,
    pub(super) shut: HashSet<PoolId>,
    pub(super) queues: HashMap<PoolId, Vec<usize>>,
    timers: BTreeSet<(Time, PoolId)>,
    /// All have to be looked at: the rules or the clock were changed.
    stale: bool,
    /// The latest moment that was asked about: an earlier one means that the clock was set back.
    seen: Time,
}

impl Gates {
    /// When the next one opens or shuts.
    pub(super) fn next(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }
}

impl Line {
    /// Brings its state into the times of a clock that was set back since, and keeps by which moment.
    pub(super) fn set_back(&mut self, now: Time) {
        let Some(last) = self.state.last_placing else { return };
        if self.state.set_back(now) {
            // Twice: the stored state is of the first of the three clocks.
            let from = self.set_back.filter(|noticed| noticed.to == last).map_or(last, |noticed| noticed.from);
            self.set_back = Some(SetBack { from, to: now });
        }
    }
}

impl Board {
    pub fn set_rules(&mut self, rules: Arc<Rules>) {
        self.gates.rules = Some(rules);
        self.gates.stale = true;
        self.wake_all_ruled();
    }

    pub fn rules(&self) -> Arc<Rules> {
        self.gates.rules.clone().unwrap_or_else(|| Arc::new(Rules::Unsaid))
    }

    /// Opens and shuts what has to be by now.
    pub(super) fn turn_gates(&mut self, now: Time) {
        if now < self.gates.seen {
            self.clock_set_back(now);
        }
        self.gates.seen = now;
        if !self.gates.stale && self.gates.next().is_none_or(|at| at > now) {
            return;
        }
        let Some(rules) = self.gates.rules.clone() else { return };
        let Rules::Said { connections, .. } = &*rules else { return };
        let due: Vec<PoolId> = if std::mem::take(&mut self.gates.stale) {
            self.gates.timers.clear();
            connections.keys().map(|id| PoolId::Connection(id.clone())).collect()
        } else {
            let mut due = Vec::new();
            while let Some((at, _)) = self.gates.timers.first()
                && *at <= now
            {
                due.extend(self.gates.timers.pop_first().map(|(_, pool)| pool));
            }
            due
        };
        for pool in due {
            let PoolId::Connection(id) = &pool else { continue };
            let Some(policy) = connections.get(id) else { continue };
            let status = policy.opening.status(now);
            if let Some(until) = status.until {
                self.gates.timers.insert((until, pool.clone()));
            }
            self.set_gate(pool, status.shut.is_some() || policy.mode == Mode::Off);
        }
    }

    fn set_gate(&mut self, pool: PoolId, shut: bool) {
        let changed = if shut { self.gates.shut.insert(pool.clone()) } else { self.gates.shut.remove(&pool) };
        if !changed {
            return;
        }
        for queue in self.gates.queues.get(&pool).cloned().unwrap_or_default() {
            self.queues[queue].shut = shut;
            self.make_ready(queue, CLICKS);
            self.make_ready(queue, AUTOMATION);
        }
    }

    /// What was to be looked at later is looked at now: its time was one of the clock that is no more.
    fn clock_set_back(&mut self, now: Time) {
        self.gates.stale = true;
        self.lines.iter_mut().for_each(|line| line.set_back(now));
        let timed: Vec<usize> = self.timers.iter().map(|(_, line)| *line).collect();
        timed.into_iter().for_each(|line| self.mark(line));
        let delayed: Vec<(Time, Slot)> = self.delayed.iter().copied().filter(|(at, _)| *at < Time::NEVER).collect();
        for (at, call) in delayed {
            self.awake(at, call);
        }
    }
}
