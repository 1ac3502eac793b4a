//! A line's stored times when the clock was set back since they were written, or its rate is another one now.

use std::time::Duration;

use super::rate::Gcra;
use super::schedule::LineState;
use super::time::Time;

/// A report frees its line at the latest so long after it.
const SETTLED: Duration = Duration::from_secs(10);

/// Two steps that are written the other way round than they looked at the clock are no clock that was set back.
const MIXED_UP: Duration = Duration::from_secs(1);

/// When it was noticed that the clock was set back: whoever reads the same state later takes the same moment, or every wait would begin anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetBack {
    /// The last placing, as it is stored.
    pub from: Time,
    /// Which is this moment of the clock that is now.
    pub to: Time,
}

impl LineState {
    /// Brings the times of a clock that has been set back since into those of now; true if there were any.
    ///
    /// A slot keeps its length from now on: when its call began, nobody can say any more, and the phone may still talk. So does what is
    /// left of the rate's wait.
    pub fn set_back(&mut self, now: Time) -> bool {
        let Some(last) = self.last_placing.filter(|last| *last > now.plus(MIXED_UP)) else { return false };
        for until in self.in_flight.values_mut() {
            // One that was over already, or was settled by a report since, is not made longer.
            *until = (*until).min(now.plus(until.since(last).max(SETTLED)));
        }
        self.arrival_ns = self.arrival_ns.saturating_sub((last.0 - now.0).saturating_mul(1_000_000));
        self.last_placing = Some(now);
        true
    }

    /// The same for a state that was looked at before: by the moment that was taken then.
    pub fn set_back_as(&mut self, noticed: Option<SetBack>, now: Time) -> bool {
        let same = noticed.filter(|noticed| self.last_placing == Some(noticed.from));
        self.set_back(same.map_or(now, |noticed| noticed.to))
    }

    /// When the rate lets the next one go: after the last placing it is never further ahead than a full bucket, also when the rate was
    /// slower then.
    pub fn arrival_of(&self, rate: &Gcra) -> i64 {
        let full = rate.period_ns.saturating_mul(i64::from(rate.burst));
        self.last_placing.map_or(self.arrival_ns, |last| self.arrival_ns.min(last.0.saturating_mul(1_000_000).saturating_add(full)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{CallId, WorkspaceId};
    use crate::domain::schedule::{Brakes, LinePolicy, may_place};

    const NOW: Time = Time(1_795_338_022_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn policy(rate: &str, burst: u32) -> LinePolicy {
        let rate = Some(Gcra::new(rate.parse().unwrap(), burst));
        LinePolicy { id: "a".into(), workspace: WorkspaceId::default(), rate, max_in_flight: 9, monthly_quota: None, paused: false }
    }

    fn until(policy: &LinePolicy, state: &LineState, now: Time) -> Option<Time> {
        may_place(policy, state, &Brakes::default(), true, 0, now).err().map(|not| not.until.unwrap())
    }

    #[test]
    fn a_clock_set_back_an_hour_holds_the_rate_for_one_period_once() {
        let (policy, mut state) = (policy("6/min", 2), LineState::default());
        for n in 0..2 {
            state.take(&policy, CallId([n; 16]), NOW, NOW.plus(Duration::from_secs(60)));
        }
        let (back, period) = (NOW.minus(HOUR), Duration::from_secs(10));
        assert!(state.set_back(back));
        assert_eq!(until(&policy, &state, back), Some(back.plus(period)));
        let later = back.plus(period);
        assert!(!state.set_back(later), "once");
        assert_eq!(until(&policy, &state, later), None);
    }

    #[test]
    fn who_reads_the_stored_state_later_takes_the_moment_that_was_noticed() {
        let (policy, mut state) = (policy("6/min", 1), LineState::default());
        state.take(&policy, CallId([1; 16]), NOW, NOW);
        let noticed = SetBack { from: NOW, to: NOW.minus(HOUR) };
        let later = noticed.to.plus(Duration::from_secs(10));
        assert!(state.set_back_as(Some(noticed), later));
        assert_eq!(until(&policy, &state, later), None, "the ten seconds are over");
    }

    #[test]
    fn a_rate_that_is_faster_now_does_not_wait_by_the_slow_one() {
        let mut state = LineState::default();
        state.take(&policy("1/h", 1), CallId([1; 16]), NOW, NOW);
        assert_eq!(until(&policy("1/h", 1), &state, NOW), Some(NOW.plus(HOUR)));
        let second = Duration::from_secs(1);
        assert_eq!(until(&policy("60/min", 1), &state, NOW), Some(NOW.plus(second)));
        assert_eq!(until(&policy("60/min", 1), &state, NOW.plus(second)), None);
    }
}
