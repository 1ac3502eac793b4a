//! Calls that wait for a time of their own (a back-off, another try, a cap, the brake), and how many wait for a line in all.

use std::collections::BTreeSet;

use super::board::Board;
use super::calls::{Delay, Place, Slot};
use crate::domain::id::{CallId, LineId};
use crate::domain::time::Time;
use crate::store::verbs::LineQueue;

impl Board {
    /// How many calls wait that may go over this line; one that is only claimed for it still does.
    pub fn waiting(&self, line: &LineId) -> LineQueue {
        let Some(line) = self.line_of.get(line) else { return LineQueue::default() };
        let queues = self.lines[*line].serves.iter().flat_map(|serves| &serves.queues).map(|(queue, _)| &self.queues[*queue]);
        let claimed = self.lines[*line].policy.as_ref().map_or(0, |_| self.lines[*line].claimed.len());
        let claimed = LineQueue { ready: claimed, later: 0 };
        queues
            .fold(claimed, |sum, queue| LineQueue { ready: sum.ready + queue.waiting.iter().map(BTreeSet::len).sum::<usize>(), later: sum.later + queue.later })
    }

    /// A call that stands in no order yet waits until then.
    pub(super) fn delay(&mut self, call: Slot, delay: Delay) {
        let entry = &mut self.calls[call];
        entry.place = Place::Delayed(delay);
        self.queues[entry.queue as usize].later += 1;
        self.delayed.insert((delay.until, call));
    }

    /// Its time has come.
    pub(super) fn awake(&mut self, at: Time, call: Slot) {
        self.delayed.remove(&(at, call));
        self.queues[self.calls[call].queue as usize].later -= 1;
        self.arrive(call);
    }

    /// A placing of this number was taken back: its calls that wait for the cap are claimed again, which says what holds them now.
    pub fn wake_number(&mut self, number: u32) {
        let calls: Vec<Slot> = self.numbers.range((number, 0)..=(number, Slot::MAX)).map(|(_, call)| *call).collect();
        calls.into_iter().for_each(|call| self.wake_ruled(call));
    }

    /// The rules are others than those by which these calls wait.
    pub(super) fn wake_all_ruled(&mut self) {
        let calls: Vec<Slot> = self.delayed.iter().map(|(_, call)| *call).collect();
        calls.into_iter().for_each(|call| self.wake_ruled(call));
    }

    fn wake_ruled(&mut self, call: Slot) {
        if let Place::Delayed(Delay { until, ruled: true }) = self.calls[call].place {
            self.awake(until, call);
        }
    }

    /// A call that waits expires then. `false`: it does not wait.
    pub fn expires_at(&mut self, call: CallId, at: Time) -> bool {
        let Some(slot) = self.calls.slot(call) else { return false };
        self.expiries.remove(&(self.calls[slot].expires, slot));
        self.calls[slot].expires = at.into();
        self.expiries.insert((at.into(), slot));
        true
    }

    /// The call that expires next.
    pub fn next_expiry(&self) -> Option<(Time, CallId)> {
        self.expiries.first().map(|(at, call)| ((*at).into(), self.calls[*call].id))
    }

    /// Takes it out: it is being looked at.
    pub fn take_expiry(&mut self) {
        self.expiries.pop_first();
    }
}
