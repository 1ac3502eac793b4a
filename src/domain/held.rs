//! Stretches of time in which a line, or everything, took no calls: that time is not the calls' own.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::Time;

/// Shorter ones are not worth remembering.
const SHORTEST: Duration = Duration::from_secs(60);
/// Kept at most: then the two that lie closest become one, and the pause between them counts as held. A call rather lives too long.
const KEPT: usize = 32;

/// Disjoint stretches in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Held(Vec<(Time, Time)>);

impl Held {
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Remembers a stretch that is over.
    pub fn push(&mut self, from: Time, to: Time) {
        if to.since(from) < SHORTEST {
            return;
        }
        *self = self.or(&Held(vec![(from, to)]));
        while self.0.len() > KEPT {
            let closest = (1..self.0.len()).min_by_key(|n| self.0[*n].0.since(self.0[n - 1].1)).unwrap_or(1);
            let (_, end) = self.0.remove(closest);
            self.0[closest - 1].1 = end;
        }
    }

    /// With one that goes on, from then until now.
    pub fn until_now(mut self, since: Option<Time>, now: Time) -> Held {
        if let Some(from) = since.filter(|from| *from < now) {
            self = self.or(&Held(vec![(from, now)]));
        }
        self
    }

    /// When the stretch ends that holds at that moment; that moment, if none does.
    pub fn ends(&self, now: Time) -> Time {
        self.0.iter().find(|(from, to)| *from <= now && now < *to).map_or(now, |(_, to)| *to)
    }

    /// Held by either.
    pub fn or(&self, other: &Held) -> Held {
        let mut all: Vec<(Time, Time)> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_unstable();
        let mut joined: Vec<(Time, Time)> = Vec::with_capacity(all.len());
        for (from, to) in all {
            match joined.last_mut() {
                Some((_, end)) if from <= *end => *end = to.max(*end),
                _ => joined.push((from, to)),
            }
        }
        Held(joined)
    }

    /// Held by both.
    pub fn and(&self, other: &Held) -> Held {
        let both = self.0.iter().flat_map(|(a, b)| other.0.iter().map(move |(c, d)| (*a.max(c), *b.min(d))));
        Held(both.filter(|(from, to)| from < to).collect())
    }

    /// The parts of a stretch that are held.
    pub fn within(&self, from: Time, to: Time) -> impl Iterator<Item = (Time, Time)> {
        self.0.iter().map(move |(a, b)| ((*a).max(from), (*b).min(to))).filter(|(a, b)| a < b)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn minutes(stretches: &[(i64, i64)]) -> Held {
        let mut held = Held::default();
        stretches.iter().for_each(|(from, to)| held.push(Time(from * 60_000), Time(to * 60_000)));
        held
    }

    #[test]
    fn what_overlaps_becomes_one_and_what_is_short_is_forgotten() {
        assert_eq!(minutes(&[(10, 20), (15, 30), (40, 41), (5, 5)]), Held(vec![(Time(600_000), Time(1_800_000)), (Time(2_400_000), Time(2_460_000))]));
        assert!(minutes(&[(20, 10)]).is_none(), "the clock was set back");
    }

    #[test]
    fn a_call_is_held_only_while_all_its_lines_are() {
        assert_eq!(minutes(&[(0, 10), (20, 30)]).and(&minutes(&[(5, 25)])), minutes(&[(5, 10), (20, 25)]));
        assert!(minutes(&[(0, 10)]).and(&Held::default()).is_none());
    }

    #[test]
    fn a_line_that_comes_and_goes_keeps_a_bounded_memory() {
        let held = minutes(&(0..500).map(|n| (n * 10, n * 10 + 5)).collect::<Vec<_>>());
        assert_eq!(held.0.len(), KEPT);
        assert_eq!((held.0[0].0, held.0[KEPT - 1].1), (Time(0), Time(4995 * 60_000)));
    }

    proptest! {
        #[test]
        fn any_moment_is_held_by_either_or_both_as_by_each(a in prop::collection::vec((0i64..500, 1i64..60), 0..8), b in prop::collection::vec((0i64..500, 1i64..60), 0..8), at in 0i64..600) {
            let of = |list: &[(i64, i64)]| minutes(&list.iter().map(|(from, long)| (*from, from + long)).collect::<Vec<_>>());
            let (a, b, at) = (of(&a), of(&b), Time(at * 60_000 + 1));
            let holds = |held: &Held| held.within(at, Time(at.0 + 1)).next().is_some();
            prop_assert_eq!(holds(&a.or(&b)), holds(&a) || holds(&b));
            prop_assert_eq!(holds(&a.and(&b)), holds(&a) && holds(&b));
        }
    }
}
