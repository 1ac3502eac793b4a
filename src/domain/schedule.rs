//! May this call go now on this line, else until when? One pure function, used by the store's claim and by `preview`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::held::Held;
use super::id::{CallId, LineId, WorkspaceId};
use super::rate::Gcra;
use super::time::Time;
use crate::error::Code;

/// How long a silent line waits between two probes.
pub const PROBE_EVERY: Duration = Duration::from_secs(15 * 60);

/// What the configuration says about a line.
#[derive(Debug, Clone, PartialEq)]
pub struct LinePolicy {
    pub id: LineId,
    pub workspace: WorkspaceId,
    /// `None`: no rate.
    pub rate: Option<Gcra>,
    pub max_in_flight: u32,
    pub monthly_quota: Option<u64>,
    /// Paused in the file: the admin's own word, without a reason of ours.
    pub paused: bool,
}

/// Why a line is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub code: Code,
    pub since: Time,
    /// When a probe may try again; `None`: a person must resume it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Who paused it; empty: callbridge did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// What the dialer answered, redacted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Digest of the secret key that the dialer would not take: another key ends the pause.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
}

/// What is stored about a line: everything that limits it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LineState {
    /// GCRA's theoretical arrival time, nanoseconds since 1970.
    pub arrival_ns: i64,
    /// Slots taken: which call holds one, and until when at the latest. A set, never a number that can drift.
    pub in_flight: BTreeMap<CallId, Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// Requests that may have reached the vendor, by month of Asia/Ho_Chi_Minh as `2026-11`.
    pub month: String,
    pub month_used: u64,
    /// The month that was counted before it, should the clock be set back over midnight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_month: Option<(String, u64)>,
    /// Since when the phone has not reported after a slot timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent_since: Option<Time>,
    /// When it took no calls, as far as that is over.
    #[serde(skip_serializing_if = "Held::is_none")]
    pub held: Held,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_placing: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_report: Option<Time>,
}

/// What stops every line at once.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Brakes {
    /// Who pressed stop-all and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
    /// The dialer as a whole asks for a pause, or cannot be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialer: Option<DialerHold>,
    /// When one of them held everything, as far as that is over.
    #[serde(skip_serializing_if = "Held::is_none")]
    pub held: Held,
}

impl Brakes {
    /// Calls go again, as far as the button is concerned.
    pub fn release(&mut self, now: Time) {
        if let Some(stopped) = self.stopped.take() {
            self.held.push(stopped.since, now);
        }
    }

    /// The dialer can be used again.
    pub fn dialer_is_well(&mut self, now: Time) {
        if let Some(hold) = self.dialer.take() {
            self.held.push(hold.since, now);
        }
    }

    /// When everything was held, until now.
    pub fn held_until(&self, now: Time) -> Held {
        self.held.clone().until_now(self.stopped.as_ref().map(|s| s.since), now).until_now(self.dialer.as_ref().map(|h| h.since), now)
    }
}

/// The stop-all button.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    pub by: String,
    pub since: Time,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A hold of the dialer as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialerHold {
    pub code: Code,
    pub since: Time,
    pub until: Time,
    /// How many times in a row; sets the back-off.
    pub times: u32,
}

impl DialerHold {
    /// One that began in the future was written before the clock was set back: its end means nothing now.
    pub fn holds(&self, now: Time) -> bool {
        self.since <= now && now < self.until
    }
}

/// Not now, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotNow {
    pub code: Code,
    /// `None`: nobody knows; an event will tell.
    pub until: Option<Time>,
}

impl LineState {
    /// Slots that are really taken at `now`.
    pub fn taken(&self, now: Time) -> usize {
        self.in_flight.values().filter(|until| **until > now).count()
    }

    /// Takes a slot until then at the latest, the rate and the month's quota for a call that is placed now.
    pub fn take(&mut self, policy: &LinePolicy, call: CallId, now: Time, until: Time) {
        self.in_flight.retain(|_, until| *until > now);
        self.in_flight.insert(call, until);
        self.spend(policy, now);
        // Heard before the clock was set back: before this call, whatever the times say.
        self.last_report = self.last_report.filter(|heard| *heard <= now);
    }

    /// Counts a call of now against the rate and the month.
    pub fn spend(&mut self, policy: &LinePolicy, now: Time) {
        if let Some(rate) = &policy.rate
            && let Ok(arrival) = rate.check(self.arrival_of(rate), now.0.saturating_mul(1_000_000))
        {
            self.arrival_ns = arrival;
        }
        let month = month_of(now);
        if self.month != month {
            if let Some(last) = self.last_placing.filter(|_| policy.monthly_quota.is_some_and(|quota| self.month_used >= quota)) {
                self.held.push(last, next_month(last).min(now));
            }
            let used = self.used_in(&month);
            let before = (std::mem::replace(&mut self.month, month), std::mem::replace(&mut self.month_used, used));
            self.other_month = Some(before).filter(|(name, _)| !name.is_empty());
        }
        self.month_used += 1;
        self.last_placing = Some(now);
    }

    /// Until when its rate lets none go, if it does not at that moment.
    pub fn rate_until(&self, policy: &LinePolicy, now: Time) -> Option<Time> {
        let rate = policy.rate.as_ref()?;
        let until_ns = rate.check(self.arrival_of(rate), now.0.saturating_mul(1_000_000)).err()?;
        Some(Time(until_ns.saturating_add(999_999) / 1_000_000))
    }

    /// Pauses it; a pause that it takes the place of is over.
    pub fn pause(&mut self, pause: Pause) {
        if let Some(old) = self.pause.take() {
            self.held.push(old.since, pause.since);
        }
        self.pause = Some(pause);
    }

    /// Ends its pause, if there is one.
    pub fn go_on(&mut self, now: Time) -> bool {
        let pause = self.pause.take();
        pause.iter().for_each(|pause| self.held.push(pause.since, now));
        pause.is_some()
    }

    /// Its phone is there, or a person says so: it was silent until now.
    pub fn heard(&mut self, now: Time) -> bool {
        let silent = self.silent_since.take();
        silent.into_iter().for_each(|since| self.held.push(since, now));
        silent.is_some()
    }

    /// When it took no automation, until now. Since when the file pauses it is not known: all along.
    pub fn held_until(&self, policy: &LinePolicy, now: Time) -> Held {
        let used_up = policy.monthly_quota.is_some_and(|quota| self.used_in(&month_of(now)) >= quota);
        let since = [self.pause.as_ref().map(|p| p.since), self.silent_since, self.last_placing.filter(|_| used_up), policy.paused.then_some(Time(0))];
        since.into_iter().fold(self.held.clone(), |held, since| held.until_now(since, now))
    }

    /// Whether a call placed then was the probe of a pause that ends by one.
    pub fn probed_by(&self, placed: Option<Time>) -> bool {
        self.pause.as_ref().and_then(|pause| pause.until).is_some_and(|until| placed.is_some_and(|at| at >= until))
    }

    /// Requests of that month that may have reached the vendor.
    pub fn used_in(&self, month: &str) -> u64 {
        if self.month == month {
            return self.month_used;
        }
        self.other_month.as_ref().filter(|(name, _)| name == month).map_or(0, |(_, used)| *used)
    }

    /// Nothing of a placing of then reached the vendor: it counts against no month.
    pub fn uncount(&mut self, placed: Time) {
        let month = month_of(placed);
        if self.month == month {
            self.month_used = self.month_used.saturating_sub(1);
        } else if let Some((_, used)) = self.other_month.as_mut().filter(|(name, _)| *name == month) {
            *used = used.saturating_sub(1);
        }
    }
}

/// May a call be placed on this line now? `also_taken`: claims under way that are not in the state yet.
pub fn may_place(policy: &LinePolicy, state: &LineState, brakes: &Brakes, interactive: bool, also_taken: usize, now: Time) -> Result<(), NotNow> {
    let not = |code, until| Err(NotNow { code, until });
    if brakes.stopped.is_some() {
        return not(Code::HoldStopped, None);
    }
    if let Some(hold) = brakes.dialer.as_ref().filter(|hold| hold.holds(now)) {
        return not(Code::HoldDialer, Some(hold.until));
    }
    if policy.paused {
        return not(Code::HoldPaused, None);
    }
    match &state.pause {
        Some(Pause { until: Some(until), since, .. }) if *until > now && *since <= now => return not(Code::HoldPaused, Some(*until)),
        Some(Pause { until: None, .. }) => return not(Code::HoldPaused, None),
        _ => {}
    }
    if policy.monthly_quota.is_some_and(|quota| state.used_in(&month_of(now)) >= quota) {
        return not(Code::HoldQuota, Some(next_month(now)));
    }
    let taken = state.taken(now) + also_taken;
    // A paused line whose time is over, or a silent one, gets one call at a time until it is known to be well.
    let probing = state.pause.is_some() || state.silent_since.is_some();
    let slots = if probing { 1 } else { policy.max_in_flight as usize };
    if taken >= slots {
        let until = state.in_flight.values().filter(|u| **u > now).min().copied();
        return not(Code::HoldBusy, if also_taken > 0 { None } else { until });
    }
    if state.silent_since.is_some() && !interactive {
        let probe_at = state.last_placing.map_or(now, |t| t.plus(PROBE_EVERY));
        if probe_at > now {
            return not(Code::HoldSilent, Some(probe_at));
        }
    }
    match state.rate_until(policy, now) {
        Some(until) => not(Code::HoldRate, Some(until)),
        None => Ok(()),
    }
}

/// The month that quotas count in.
pub fn month_of(now: Time) -> String {
    saigon(now).strftime("%Y-%m").to_string()
}

fn next_month(now: Time) -> Time {
    saigon(now)
        .date()
        .first_of_month()
        .checked_add(jiff::Span::new().months(1))
        .ok()
        .and_then(|date| date.to_zoned(offset()).ok())
        .map_or(now.plus(Duration::from_secs(86_400)), |z| Time(z.timestamp().as_millisecond()))
}

fn saigon(now: Time) -> jiff::Zoned {
    now.timestamp().to_zoned(offset())
}

/// Asia/Ho_Chi_Minh has had no other offset since 1975.
fn offset() -> jiff::tz::TimeZone {
    jiff::tz::TimeZone::fixed(jiff::tz::offset(7))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> LinePolicy {
        LinePolicy { id: "a".into(), workspace: WorkspaceId::default(), rate: None, max_in_flight: 1, monthly_quota: None, paused: false }
    }

    const NOW: Time = Time(1_795_338_022_000);

    fn code(state: &LineState, interactive: bool) -> Option<Code> {
        may_place(&policy(), state, &Brakes::default(), interactive, 0, NOW).err().map(|n| n.code)
    }

    #[test]
    fn a_hold_written_before_the_clock_was_set_back_is_over() {
        let (policy, hour) = (policy(), Duration::from_secs(3600));
        let brakes =
            Brakes { dialer: Some(DialerHold { code: Code::HoldDialer, since: NOW.plus(hour), until: NOW.plus(hour * 2), times: 1 }), ..Brakes::default() };
        let pause = Pause {
            code: Code::HoldPaused,
            since: NOW.plus(hour),
            until: Some(NOW.plus(hour * 2)),
            by: String::new(),
            detail: String::new(),
            key: String::new(),
        };
        let state = LineState { pause: Some(pause), ..LineState::default() };
        assert_eq!(may_place(&policy, &state, &brakes, false, 0, NOW), Ok(()));
        let later = NOW.plus(hour);
        assert!(may_place(&policy, &LineState::default(), &brakes, false, 0, later).is_err());
        assert!(may_place(&policy, &state, &Brakes::default(), false, 0, later).is_err());
    }

    #[test]
    fn a_slot_is_taken_until_its_time_is_over() {
        let mut state = LineState::default();
        state.in_flight.insert(CallId([1; 16]), NOW.plus(Duration::from_secs(1)));
        assert_eq!(code(&state, true), Some(Code::HoldBusy));
        state.in_flight.insert(CallId([1; 16]), NOW);
        assert_eq!(code(&state, true), None);
    }

    #[test]
    fn a_silent_line_takes_a_click_or_a_probe_but_no_automation() {
        let state = LineState { silent_since: Some(NOW), last_placing: Some(NOW), ..LineState::default() };
        assert_eq!(code(&state, true), None);
        assert_eq!(code(&state, false), Some(Code::HoldSilent));
    }

    #[test]
    fn a_used_up_quota_holds_until_the_first_of_next_month_in_vietnam() {
        let policy = LinePolicy { monthly_quota: Some(5), ..policy() };
        let state = LineState { month: month_of(NOW), month_used: 5, ..LineState::default() };
        let not = may_place(&policy, &state, &Brakes::default(), true, 0, NOW).unwrap_err();
        assert_eq!(not.until.unwrap().rfc3339(), "2026-11-30T17:00:00Z");
    }

    #[test]
    fn a_month_keeps_its_count_when_the_clock_is_set_back_over_its_end() {
        let hour = Duration::from_secs(3600);
        let policy = LinePolicy { monthly_quota: Some(2), ..policy() };
        let november = Time::parse_rfc3339("2026-11-30T23:40:00+07:00").unwrap();
        let mut state = LineState::default();
        let take = |state: &mut LineState, n, at: Time| state.take(&policy, CallId([n; 16]), at, at);
        take(&mut state, 1, november);
        take(&mut state, 2, november);
        take(&mut state, 3, november.plus(hour));
        assert_eq!(may_place(&policy, &state, &Brakes::default(), true, 0, november).unwrap_err().code, Code::HoldQuota);
        assert_eq!(may_place(&policy, &state, &Brakes::default(), true, 0, november.plus(hour)), Ok(()));
        // Given back to the month it was taken from.
        state.uncount(november);
        assert_eq!((state.used_in("2026-11"), state.used_in("2026-12")), (1, 1));
        take(&mut state, 4, november);
        assert_eq!((state.used_in("2026-11"), state.used_in("2026-12"), state.used_in("2027-01")), (2, 1, 0));
    }

    #[test]
    fn stop_all_comes_before_everything() {
        let brakes = Brakes { stopped: Some(Stopped { by: "lan".into(), since: NOW, reason: String::new() }), ..Brakes::default() };
        assert_eq!(may_place(&policy(), &LineState::default(), &brakes, true, 0, NOW).unwrap_err().code, Code::HoldStopped);
    }
}
