//! Bounded memories of times: placings of a number, and new calls of a connection.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::CallId;
use super::rate::Rate;
use super::time::Time;

/// The placings of one number on one day (UTC): what a cap counts. 24 bytes each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NumberDay(pub Vec<(Time, CallId)>);

const DAY_MS: i64 = 86_400_000;
const ENTRY: usize = 24;

/// No cap looks further back than this; older days are forgotten.
pub const LONGEST_CAP: Duration = Duration::from_secs(31 * 86_400);

/// The day that a moment is kept under.
pub fn day_of(at: Time) -> i64 {
    at.0.div_euclid(DAY_MS)
}

/// The days that a cap of this length has to look at. One day ahead too: the clock may have been set back.
pub fn days(now: Time, period: Duration) -> std::ops::RangeInclusive<i64> {
    day_of(now.minus(period))..=day_of(now) + 1
}

impl NumberDay {
    pub fn read(bytes: &[u8]) -> Self {
        let entries = bytes.chunks_exact(ENTRY).filter_map(|chunk| {
            let (at, id) = chunk.split_at(8);
            Some((Time(i64::from_be_bytes(at.try_into().ok()?)), CallId(id.try_into().ok()?)))
        });
        Self(entries.collect())
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(at, id)| at.0.to_be_bytes().into_iter().chain(id.0)).collect()
    }

    /// When the day is of no use any more.
    pub fn forgotten_at(day: i64) -> Time {
        Time((day + 1).saturating_mul(DAY_MS)).plus(LONGEST_CAP)
    }
}

/// How many new calls a connection made lately: the brake's memory. Counted in sixtieths of the period, and a part that has begun counts
/// whole, so that there are never more than allowed in any stretch of one period.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Arrivals {
    /// Length of a part in milliseconds; with another setting the count starts anew.
    part_ms: i64,
    parts: Vec<(i64, u32)>,
    /// Calls were braked since then, and no person has acted: for the alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub braking_since: Option<Time>,
    /// Calls that wait for a person because of it.
    #[serde(default)]
    pub held: u32,
}

const PARTS: i64 = 60;

impl Arrivals {
    fn tidy(&mut self, brake: Rate, now: Time) -> i64 {
        let part_ms = (i64::try_from(brake.period.as_millis()).unwrap_or(i64::MAX) / PARTS).max(1);
        if part_ms != self.part_ms {
            self.part_ms = part_ms;
            self.parts.clear();
        }
        let part = now.0.div_euclid(part_ms);
        // Those of the future stay: the clock was set back, and they did happen.
        self.parts.retain(|(n, _)| *n >= part - PARTS);
        part
    }

    /// How many more may be made now.
    pub fn room(&self, brake: Rate, now: Time) -> u32 {
        let mut this = self.clone();
        this.tidy(brake, now);
        brake.count.saturating_sub(this.parts.iter().map(|(_, n)| *n).fold(0, u32::saturating_add))
    }

    /// Counts one; false if it is one too many, and then it is not counted.
    pub fn take(&mut self, brake: Rate, now: Time) -> bool {
        if self.room(brake, now) == 0 {
            return false;
        }
        let part = self.tidy(brake, now);
        match self.parts.iter_mut().find(|(n, _)| *n == part) {
            Some((_, n)) => *n += 1,
            None => self.parts.push((part, 1)),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Time = Time(1_795_399_222_000);

    #[test]
    fn a_day_of_placings_is_read_as_it_was_written() {
        let day = NumberDay(vec![(NOW, CallId([7; 16])), (NOW.plus(Duration::from_secs(60)), CallId([8; 16]))]);
        assert_eq!(NumberDay::read(&day.bytes()), day);
        assert_eq!(NumberDay::read(b""), NumberDay::default());
        assert_eq!(days(NOW, Duration::from_secs(86_400)).count(), 3);
    }

    #[test]
    fn the_sixty_first_call_of_an_hour_is_braked_and_the_next_hour_starts_anew() {
        let brake: Rate = "60/h".parse().unwrap();
        let mut arrivals = Arrivals::default();
        assert_eq!((0..100).filter(|_| arrivals.take(brake, NOW)).count(), 60);
        assert!(!arrivals.take(brake, NOW.plus(Duration::from_secs(3599))));
        assert!(arrivals.take(brake, NOW.plus(Duration::from_secs(3700))));
    }

    proptest! {
        #[test]
        fn never_more_than_allowed_in_any_period(count in 1u32..8, secs in 1u64..4000, steps in prop::collection::vec(0u64..900, 1..150)) {
            let brake = Rate::new(count, Duration::from_secs(secs)).unwrap();
            let (mut now, mut arrivals, mut made) = (NOW, Arrivals::default(), Vec::new());
            for step in steps {
                now = now.plus(Duration::from_secs(step));
                if arrivals.take(brake, now) {
                    made.push(now);
                }
            }
            for (i, from) in made.iter().enumerate() {
                prop_assert!(made[i..].iter().filter(|at| at.since(*from) <= brake.period).count() <= count as usize);
            }
        }
    }
}
