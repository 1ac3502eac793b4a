//! Calls that wait for a time of their own (a back-off, another try, a cap, the brake), and how many wait for a line in all.

use std::collections::BTreeSet;

use super::board::{Board, Place};
use crate::domain::id::{CallId, LineId};
use crate::domain::time::Time;
use crate::store::verbs::LineQueue;

impl Board {
    /// How many calls wait that may go over this line.
    pub fn waiting(&self, line: &LineId) -> LineQueue {
        let Some(line) = self.line_of.get(line) else { return LineQueue::default() };
        let queues = self.lines[*line].serves.iter().flat_map(|serves| &serves.queues).map(|(queue, _)| &self.queues[*queue]);
        queues.fold(LineQueue::default(), |sum, queue| LineQueue {
            ready: sum.ready + queue.waiting.iter().map(BTreeSet::len).sum::<usize>(),
            later: sum.later + queue.later,
        })
    }

    /// A call that stands in no order yet waits until then.
    pub(super) fn delay(&mut self, call: CallId, at: Time) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        entry.place = Place::Delayed(at);
        self.queues[entry.queue as usize].later += 1;
        self.delayed.insert((at, call));
    }

    /// Its time has come.
    pub(super) fn awake(&mut self, at: Time, call: CallId) {
        self.delayed.remove(&(at, call));
        if let Some(entry) = self.calls.get(&call) {
            self.queues[entry.queue as usize].later -= 1;
        }
        self.arrive(call);
    }
}
