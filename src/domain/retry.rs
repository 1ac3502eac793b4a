//! Retry policies as pure values: how long to wait before try number n.

use std::time::Duration;

/// Exponential back-off with full jitter, bounded in number and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Tries in all, the first included.
    pub tries: u32,
    pub first: Duration,
    pub longest: Duration,
    /// No try later than this after the first.
    pub within: Duration,
}

/// Write-backs as they ship: 12 tries over 72 hours. `write_back.attempts` and `give_up_after` change both.
pub const WRITE_BACK: Policy =
    Policy { tries: 12, first: Duration::from_secs(5), longest: Duration::from_secs(16 * 3600), within: Duration::from_secs(72 * 3600) };

/// Lookups of a record that is not there yet: the sender may not have committed.
pub const NOT_THERE_YET: Policy = Policy { tries: 6, first: Duration::from_millis(500), longest: Duration::from_secs(30), within: Duration::from_secs(120) };

/// Lookups that fail for another reason: a day, in which an admin may mend a right and a CRM's daily quota is new.
pub const LOOKUP: Policy = Policy { tries: 12, first: Duration::from_secs(2), longest: Duration::from_secs(3 * 3600), within: Duration::from_secs(24 * 3600) };

/// Reports forwarded to drop-in callers.
pub const FORWARD: Policy = Policy { tries: 10, first: Duration::from_secs(5), longest: Duration::from_secs(3600), within: Duration::from_secs(24 * 3600) };

impl Policy {
    /// The same with other bounds; the pauses grow to a quarter of the time at most.
    pub fn bounded(self, tries: u32, within: Duration) -> Self {
        Self { tries, within, longest: self.longest.min(within / 4).max(self.first), ..self }
    }

    /// The pause after `tried` tries; `None` when there is none left. `dice` is uniform in 0..=u32::MAX.
    ///
    /// Full jitter between half the step and the step: a lower bound keeps a small number from becoming a hammer.
    pub fn pause(&self, tried: u32, elapsed: Duration, asked: Option<Duration>, dice: u32) -> Option<Duration> {
        if tried >= self.tries {
            return None;
        }
        let factor = 3u32.saturating_pow(tried.saturating_sub(1));
        let step = self.first.saturating_mul(factor).min(self.longest);
        let jittered = step / 2 + (step / 2).mul_f64(f64::from(dice) / f64::from(u32::MAX));
        let pause = jittered.max(asked.unwrap_or_default());
        (elapsed + pause <= self.within).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_backs_try_twelve_times_within_three_days() {
        let mut elapsed = Duration::ZERO;
        let mut tries = 1;
        while let Some(pause) = WRITE_BACK.pause(tries, elapsed, None, u32::MAX / 2) {
            elapsed += pause;
            tries += 1;
        }
        assert_eq!(tries, 12);
        assert!(elapsed > Duration::from_secs(24 * 3600) && elapsed <= WRITE_BACK.within, "{elapsed:?}");
    }

    #[test]
    fn other_bounds_are_kept_and_those_that_ship_change_nothing() {
        assert_eq!(WRITE_BACK.bounded(WRITE_BACK.tries, WRITE_BACK.within).tries, WRITE_BACK.tries);
        let short = WRITE_BACK.bounded(3, Duration::from_secs(3600));
        assert!(short.pause(2, Duration::from_secs(60), None, 0).is_some());
        assert_eq!(short.pause(3, Duration::from_secs(60), None, 0), None, "three tries in all");
        assert_eq!(short.pause(2, Duration::from_secs(3600), None, 0), None, "nothing after an hour");
    }

    #[test]
    fn a_longer_pause_that_was_asked_for_is_kept() {
        let asked = Some(Duration::from_secs(900));
        assert_eq!(WRITE_BACK.pause(1, Duration::ZERO, asked, 0), asked);
    }
}
