//! What the board answers about several calls at once: the lines they may go over, and which of them go to a number.

use std::collections::{BTreeMap, HashMap};

use super::board::Board;
use super::calls::Slot;
use crate::domain::dnc;
use crate::domain::id::CallId;
use crate::domain::phone::Phone;
use crate::domain::schedule::LinePolicy;

/// Under what the calls to a number are found: two numbers may share it, the calls' records tell.
pub fn short(phone: &Phone) -> u32 {
    shortened(dnc::digits(phone))
}

fn shortened(digits: u64) -> u32 {
    u32::try_from(digits % (1 << 32)).unwrap_or(0)
}

impl Board {
    /// The queued calls that may go to this number.
    pub fn calls_to(&self, phone: &Phone) -> Vec<CallId> {
        self.at(short(phone)).collect()
    }

    /// The queued calls that may go to one of these numbers (digits).
    pub fn calls_among(&self, numbers: &[u64]) -> Vec<CallId> {
        numbers.iter().flat_map(|digits| self.at(shortened(*digits))).collect()
    }

    fn at(&self, number: u32) -> impl Iterator<Item = CallId> {
        self.numbers.range((number, 0)..=(number, Slot::MAX)).map(|(_, call)| self.calls[*call].id)
    }
}

/// Lines of several calls, each list once: a thousand calls of a queue have one.
#[derive(Default)]
pub struct LinesOf {
    pub queue_of: HashMap<CallId, usize>,
    pub lines: BTreeMap<usize, Vec<LinePolicy>>,
}

impl Board {
    pub fn lines_of_all(&self, calls: impl Iterator<Item = CallId>) -> LinesOf {
        let mut all = LinesOf::default();
        for call in calls {
            let Some((queue, lines)) = self.lines_of(call) else { continue };
            all.queue_of.insert(call, queue);
            all.lines.entry(queue).or_insert_with(|| lines.filter_map(|line| self.policy(line).cloned()).collect());
        }
        all
    }
}
