//! The do-not-call list of a workspace: which numbers, why, and how they are kept.

use serde::{Deserialize, Serialize};

use super::phone::Phone;
use super::time::Time;

/// How a number came onto the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A person put it there.
    Own,
    Import,
    /// The customer said no on the phone.
    Learned,
}

/// Whom it binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Only advertising calls: the national list.
    Advertising,
    /// Every call.
    #[default]
    All,
}

/// Who put numbers on the list, when and why; shared by all numbers of one import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub source: Source,
    #[serde(default)]
    pub scope: Scope,
    pub by: String,
    pub at: Time,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// One number of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub phone: Phone,
    pub note: Note,
    /// The number of the note.
    pub id: u32,
}

/// A number as digits: `+84912345678` is 84912345678. Any E.164 number fits.
pub fn digits(phone: &Phone) -> u64 {
    phone.e164().bytes().filter(u8::is_ascii_digit).fold(0, |n, digit| n * 10 + u64::from(digit - b'0'))
}

/// The number of these digits.
pub fn phone_of(digits: u64) -> Option<Phone> {
    Phone::of_e164(&format!("+{digits}"))
}

/// Numbers that lie next to each other are kept in one record: a million rows would cost a million records otherwise.
/// A record of 2,000 numbers at 6 bytes each stays below the store's 16 KiB.
pub const RUN: u64 = 2000;

/// The numbers of one record, sorted: the offset in the record and the number of their note.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Run(pub Vec<(u16, u32)>);

const ROW: usize = 6;

impl Run {
    pub fn read(bytes: &[u8]) -> Self {
        let rows = bytes.chunks_exact(ROW).map(|row| (u16::from_be_bytes([row[0], row[1]]), u32::from_be_bytes([row[2], row[3], row[4], row[5]])));
        Self(rows.collect())
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(offset, note)| offset.to_be_bytes().into_iter().chain(note.to_be_bytes())).collect()
    }

    pub fn note(&self, offset: u16) -> Option<u32> {
        self.0.binary_search_by_key(&offset, |row| row.0).ok().map(|at| self.0[at].1)
    }

    /// Puts numbers in (sorted offsets); gives how many are new. One that is there already keeps its note unless `replace` says so.
    pub fn add(&mut self, offsets: &[u16], note: u32, replace: impl Fn(u32) -> bool) -> usize {
        let mut new = 0;
        for offset in offsets {
            match self.0.binary_search_by_key(offset, |row| row.0) {
                Ok(at) if replace(self.0[at].1) => self.0[at].1 = note,
                Ok(_) => {}
                Err(at) => {
                    self.0.insert(at, (*offset, note));
                    new += 1;
                }
            }
        }
        new
    }

    /// Takes a number out; its note if it was there.
    pub fn remove(&mut self, offset: u16) -> Option<u32> {
        self.0.binary_search_by_key(&offset, |row| row.0).ok().map(|at| self.0.remove(at).1)
    }
}

/// The record a number is kept in, and its offset there.
pub fn place(digits: u64) -> (u64, u16) {
    (digits / RUN, u16::try_from(digits % RUN).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_found_by_its_digits() {
        let phone = crate::domain::phone::normalise("0912 345 678").unwrap();
        assert_eq!(digits(&phone), 84_912_345_678);
        assert_eq!(phone_of(84_912_345_678), Some(phone));
        assert_eq!(place(84_912_345_678), (42_456_172, 1678));
    }

    #[test]
    fn what_stands_there_keeps_its_note_unless_the_new_one_binds_more() {
        let mut run = Run::default();
        assert_eq!(run.add(&[1, 5, 1999], 1, |_| false), 3);
        assert_eq!(run.add(&[5, 6], 2, |old| old == 1), 1);
        assert_eq!((run.note(5), run.note(1), run.note(7)), (Some(2), Some(1), None));
        assert_eq!((run.remove(5), run.remove(5)), (Some(2), None));
        let full = Run((0..2000).map(|n| (n, u32::MAX)).collect());
        assert!(full.bytes().len() <= 16 * 1024);
    }

    proptest! {
        #[test]
        fn a_run_is_read_as_it_was_written(rows in prop::collection::btree_map(0u16..2000, any::<u32>(), 0..300)) {
            let run = Run(rows.into_iter().collect());
            prop_assert_eq!(Run::read(&run.bytes()), run);
        }
    }
}
