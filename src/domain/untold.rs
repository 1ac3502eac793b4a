//! Records that were taken from a CRM which refuses to be told so. It hands them out again in every answer, changed or not (our own
//! write-back changes them): they are left alone, so that nobody is called twice and the records behind them are not held up.

use serde::{Deserialize, Serialize};

use super::id::EventId;
use super::time::Time;

/// More are not left alone: nothing is fetched then until a person has mended it. All of them have to fit into one record of the store, 16 KiB.
pub const AT_MOST: usize = 80;

/// Of a digest: enough that no two of so few records share one.
pub const DIGEST_CHARS: usize = 16;
/// Of the sentence for the admin.
pub const SAYS_CHARS: usize = 500;

/// An answer may leave a record out once though it still stands there: what was unticked meanwhile moves the others between two pages.
const ABSENT: u8 = 2;

/// All such records of one poll.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Refused>,
    /// What the admin is told: the record that was refused last, and the CRM's answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub says: String,
    /// The most records that one answer ever held: one with fewer was not cut off.
    #[serde(default, skip_serializing_if = "is_zero")]
    most: u32,
}

/// One of them; short names on disk, for there may be many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Digest of which record it is.
    #[serde(rename = "r")]
    pub record: String,
    /// Digest of what it held when the CRM was told last: with other content it may be told again at once.
    #[serde(rename = "c")]
    pub content: String,
    /// Where it lies on disk.
    #[serde(rename = "e")]
    pub event: EventId,
    #[serde(rename = "n")]
    pub item: u32,
    /// Told again then, and how often that was refused.
    #[serde(rename = "at")]
    pub again: Time,
    #[serde(rename = "t", default)]
    pub tries: u32,
    /// Of how many whole fetches in a row it was missing, and whether it was in the one that is under way.
    #[serde(rename = "m", default, skip_serializing_if = "is_none_missing")]
    missing: u8,
    #[serde(rename = "s", default, skip_serializing_if = "std::ops::Not::not")]
    seen: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none_missing(n: &u8) -> bool {
    *n == 0
}

impl Refused {
    pub fn new(record: String, content: String, event: EventId, item: u32, again: Time) -> Refused {
        Refused { record, content, event, item, again, tries: 1, missing: 0, seen: false }
    }
}

impl Untold {
    pub fn is_nothing(&self) -> bool {
        *self == Untold::default()
    }

    pub fn is_empty(&self) -> bool {
        self.refused.is_empty()
    }

    pub fn len(&self) -> usize {
        self.refused.len()
    }

    /// Keeps one; `false`, and it is not kept, when there are too many.
    pub fn add(&mut self, refused: Refused) -> bool {
        if let Some(known) = self.refused.iter_mut().find(|known| known.record == refused.record) {
            *known = refused;
            return true;
        }
        let room = self.refused.len() < AT_MOST;
        if room {
            self.refused.push(refused);
        }
        room
    }

    pub fn remove(&mut self, record: &str) {
        self.refused.retain(|refused| refused.record != record);
    }

    /// A fetch begins with its first page.
    pub fn begin(&mut self) {
        self.refused.iter_mut().for_each(|refused| refused.seen = false);
    }

    /// One of an answer's records: whether it is left alone.
    pub fn meet(&mut self, record: &str) -> bool {
        let known = self.refused.iter_mut().find(|refused| refused.record == record);
        known.map(|refused| (refused.seen, refused.missing) = (true, 0)).is_some()
    }

    /// An answer without pages held so many records: whether these were all that stand there.
    pub fn was_whole(&mut self, records: usize) -> bool {
        let records = u32::try_from(records).unwrap_or(u32::MAX);
        self.most = self.most.max(records);
        records == 0 || records < self.most
    }

    /// All that stand there were fetched: those that were not among them are gone from there.
    pub fn end(&mut self) {
        for refused in self.refused.iter_mut().filter(|refused| !refused.seen) {
            refused.missing += 1;
        }
        self.refused.retain(|refused| refused.missing < ABSENT);
    }

    pub fn all(&self) -> impl Iterator<Item = &Refused> {
        self.refused.iter()
    }

    pub fn find_mut(&mut self, record: &str) -> Option<&mut Refused> {
        self.refused.iter_mut().find(|refused| refused.record == record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(record: &str) -> Refused {
        Refused::new(record.to_owned(), "c".to_owned(), EventId([1; 16]), 0, Time(0))
    }

    #[test]
    fn a_record_is_left_alone_until_it_is_missing_from_two_whole_fetches_in_a_row() {
        let mut untold = Untold::default();
        assert!(untold.add(refused("a")) && untold.add(refused("b")));
        let mut fetch = |records: &[&str]| {
            untold.begin();
            let alone = records.iter().map(|record| untold.meet(record)).collect::<Vec<_>>();
            if untold.was_whole(records.len()) {
                untold.end();
            }
            alone
        };
        assert_eq!(fetch(&["a", "b", "c"]), [true, true, false]);
        assert_eq!(fetch(&["x", "y", "z"]), [false; 3], "as many as there ever were: the others may stand behind them");
        assert_eq!(fetch(&["b"]), [true]);
        assert_eq!(fetch(&["a"]), [true], "it was missing once only");
        assert_eq!(fetch(&["a"]), [true]);
        assert_eq!(fetch(&["a", "b"]), [true, false], "the other was missing twice");
    }

    #[test]
    fn there_is_an_end_to_them_and_the_same_record_counts_once() {
        let mut untold = Untold::default();
        for n in 0..AT_MOST {
            assert!(untold.add(refused(&n.to_string())));
        }
        assert!(!untold.add(refused("more")) && untold.add(refused("7")));
        assert_eq!(untold.len(), AT_MOST);
        untold.remove("7");
        assert!(untold.add(refused("more")));
    }

    #[test]
    fn all_of_them_leave_room_in_a_record_of_the_store() {
        let mut untold = Untold { says: "ế".repeat(SAYS_CHARS), most: 1000, ..Untold::default() };
        for n in 0..AT_MOST {
            let (record, content) = (format!("{n:0>DIGEST_CHARS$}"), "c".repeat(DIGEST_CHARS));
            let last = Refused::new(record, content, EventId([255; 16]), 999, Time(1_795_479_465_469));
            assert!(untold.add(Refused { tries: 9999, missing: 1, seen: true, ..last }));
        }
        let bytes = serde_json::to_vec(&untold).unwrap().len();
        // The sentence stands in the record twice, beside the events of ten pages.
        assert!(bytes < 13_000, "{bytes} of 16384");
    }
}
