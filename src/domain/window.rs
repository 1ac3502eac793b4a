//! At most so many in any stretch of time: the exact count over a sliding window, for caps that must not be exceeded even once.

use std::collections::VecDeque;

use super::rate::Rate;
use super::time::Time;

/// When the last ones went, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recent(pub VecDeque<Time>);

impl Recent {
    /// Counts one more at `now`, or says when there will be room. Times of the future come from a clock that was set back: they are forgotten.
    pub fn take(&mut self, rate: Rate, now: Time) -> Result<(), Time> {
        let from = now.minus(rate.period);
        self.0.retain(|at| *at > from && *at <= now);
        let most = rate.count as usize;
        if self.0.len() >= most {
            let frees = self.0.len() - most;
            return Err(self.0.get(frees).map_or(now, |at| at.plus(rate.period)));
        }
        self.0.push_back(now);
        Ok(())
    }

    /// Nothing of it matters after this.
    pub fn over_at(&self, rate: Rate) -> Time {
        self.0.back().map_or(Time(0), |at| at.plus(rate.period))
    }

    /// Eight bytes for each, for a store.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|at| at.0.to_be_bytes()).collect()
    }

    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.chunks_exact(8).filter_map(|chunk| chunk.try_into().ok().map(|b| Time(i64::from_be_bytes(b)))).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_third_in_a_day_waits_for_the_first_to_be_a_day_old() {
        let rate: Rate = "2/24h".parse().unwrap();
        let mut recent = Recent::default();
        let at = |hours: u64| Time(1_795_338_022_000).plus(Duration::from_secs(hours * 3600));
        assert_eq!((recent.take(rate, at(0)), recent.take(rate, at(20))), (Ok(()), Ok(())));
        assert_eq!(recent.take(rate, at(23)), Err(at(24)));
        assert_eq!((recent.take(rate, at(24)), recent.take(rate, at(25))), (Ok(()), Err(at(44))));
        assert_eq!(Recent::from_bytes(&recent.to_bytes()), recent);
        assert_eq!(recent.take(rate, at(1)), Ok(()), "the clock was set back: what it calls the future does not count");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn never_more_than_allowed_in_any_window(count in 1u32..6, secs in 1u64..60, steps in prop::collection::vec(0u64..20_000, 1..80)) {
            let rate = Rate::new(count, Duration::from_secs(secs)).unwrap();
            let (mut now, mut recent, mut gone) = (Time(1_795_338_022_000), Recent::default(), Vec::new());
            for step in steps {
                now = now.plus(Duration::from_millis(step));
                if recent.take(rate, now).is_ok() {
                    gone.push(now);
                }
            }
            for from in &gone {
                let within = gone.iter().filter(|at| **at >= *from && at.since(*from) < rate.period).count();
                prop_assert!(within <= count as usize);
            }
        }
    }
}
