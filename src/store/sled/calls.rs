//! The calls that wait, each once. The board's orders name a call by its place here: four bytes for sixteen, of a million calls.

use std::hash::{BuildHasher, RandomState};
use std::ops::{Index, IndexMut};

use hashbrown::HashTable;

use crate::domain::id::CallId;
use crate::domain::time::Time;

/// Where a call stands in [`Calls`], as long as it waits. Another call may have it later.
pub(super) type Slot = u32;

#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) id: CallId,
    pub(super) queue: u32,
    /// Place in `owners`, plus one; 0: nobody's.
    pub(super) owner: u32,
    /// The low digits of its number: `lookup.rs`.
    pub(super) number: u32,
    pub(super) interactive: bool,
    pub(super) expires: Second,
    pub(super) wished: Time,
    pub(super) place: Place,
}

/// A time in whole seconds of Unix time, rounded up; half as long as a [`Time`], and what is not urgent is in time a second later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Second(u32);

impl From<Time> for Second {
    fn from(time: Time) -> Self {
        let ms = time.0.max(0);
        Self(u32::try_from(ms / 1000 + i64::from(ms % 1000 > 0)).unwrap_or(u32::MAX))
    }
}

impl From<Second> for Time {
    fn from(second: Second) -> Self {
        if second.0 == u32::MAX { Time::NEVER } else { Time(i64::from(second.0) * 1000) }
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
    Waiting,
    Delayed(Delay),
    Claimed(u32),
}

/// How long a call waits by a hold of its own, whatever its lines say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    pub until: Time,
    /// By what was placed to its number, or by a day off: a placing that is taken back and other rules may end it earlier.
    pub ruled: bool,
}

impl Delay {
    /// Nothing but that time ends it.
    pub fn fixed(until: Time) -> Self {
        Self { until, ruled: false }
    }

    pub fn ruled(until: Time) -> Self {
        Self { until, ruled: true }
    }
}

#[derive(Default)]
pub(super) struct Calls {
    by_id: HashTable<Slot>,
    entries: Vec<Entry>,
    free: Vec<Slot>,
    hasher: RandomState,
}

impl Calls {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Slot> {
        self.by_id.iter().copied()
    }

    pub(super) fn slot(&self, call: CallId) -> Option<Slot> {
        self.by_id.find(self.hasher.hash_one(call), |slot| self[*slot].id == call).copied()
    }

    pub(super) fn get(&self, call: CallId) -> Option<&Entry> {
        self.slot(call).map(|slot| &self[slot])
    }

    /// A call that is not there yet.
    pub(super) fn insert(&mut self, entry: Entry) -> Slot {
        let slot = match self.free.pop() {
            Some(slot) => {
                self[slot] = entry;
                slot
            }
            None => {
                self.entries.push(entry);
                Slot::try_from(self.entries.len() - 1).unwrap_or(Slot::MAX)
            }
        };
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.by_id.insert_unique(hasher.hash_one(entry.id), slot, |slot| hasher.hash_one(entries[*slot as usize].id));
        slot
    }

    pub(super) fn remove(&mut self, call: CallId) -> Option<(Slot, Entry)> {
        let entries = &self.entries;
        let found = self.by_id.find_entry(self.hasher.hash_one(call), |slot| entries[*slot as usize].id == call).ok()?;
        let (slot, _) = found.remove();
        self.free.push(slot);
        Some((slot, self[slot]))
    }
}

impl Index<Slot> for Calls {
    type Output = Entry;

    fn index(&self, slot: Slot) -> &Entry {
        &self.entries[slot as usize]
    }
}

impl IndexMut<Slot> for Calls {
    fn index_mut(&mut self, slot: Slot) -> &mut Entry {
        &mut self.entries[slot as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u16, wished: i64) -> Entry {
        let id = CallId([n.to_be_bytes(); 8].concat().try_into().unwrap());
        Entry { id, queue: 0, owner: 0, number: 0, interactive: false, wished: Time(wished), expires: Time::NEVER.into(), place: Place::Waiting }
    }

    #[test]
    fn seconds_are_never_before_the_time() {
        for (time, second) in [(0, 0), (1, 1_000), (1_000, 1_000), (1_795_338_022_001, 1_795_338_023_000), (-5, 0)] {
            assert_eq!(Time::from(Second::from(Time(time))), Time(second));
        }
        assert_eq!(Time::from(Second::from(Time::NEVER)), Time::NEVER);
        assert_eq!(size_of::<Entry>(), 64, "of a million calls");
    }

    #[test]
    fn a_call_is_found_until_it_is_taken_out_and_its_slot_is_used_again() {
        let mut calls = Calls::default();
        let slots: Vec<Slot> = (0..2_000).map(|n| calls.insert(entry(n, i64::from(n)))).collect();
        for n in (0..2_000).step_by(2) {
            let (slot, gone) = calls.remove(entry(n, 0).id).unwrap();
            assert_eq!((slot, gone.wished), (slots[usize::from(n)], Time(i64::from(n))));
            assert!(calls.remove(gone.id).is_none() && calls.get(gone.id).is_none());
        }
        let again: Vec<Slot> = (2_000..3_000).map(|n| calls.insert(entry(n, i64::from(n)))).collect();
        assert!(again.iter().all(|slot| slots.contains(slot)), "no room is lost");
        assert_eq!((calls.len(), calls.iter().count(), calls.entries.len()), (2_000, 2_000, 2_000));
        for n in (1..2_000).step_by(2).chain(2_000..3_000) {
            assert_eq!(calls.get(entry(n, 0).id).map(|e| e.wished), Some(Time(i64::from(n))));
        }
    }
}
