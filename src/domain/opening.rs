//! When calls may be placed: windows, days off and a time zone, asked for moments.
//!
//! The answer for a moment is always what its own local time says, so that a clock change, a summer time or an hour that comes twice
//! never lets a call go outside the hours. Only the answer to "until when" has to find the next change.

use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::hours::{Window, is_open};
use super::time::Time;
use super::workspace::Holiday;
use crate::error::Code;

/// Windows in a zone, without the days off.
#[derive(Debug, Clone, PartialEq)]
pub struct Opening {
    /// None: at any time.
    pub windows: Vec<Window>,
    pub zone: TimeZone,
    pub days_off: Vec<Holiday>,
}

/// What holds at a moment, and when that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Why it is shut; `None`: open.
    pub shut: Option<Code>,
    /// The next change; `None`: there is none within a year.
    pub until: Option<Time>,
}

/// Windows repeat each week; only days off can push an opening further away.
const LOOK_AHEAD_DAYS: usize = 400;

impl Opening {
    /// At any time, on every day.
    pub fn always() -> Self {
        Self { windows: Vec::new(), zone: TimeZone::UTC, days_off: Vec::new() }
    }

    fn is_always(&self) -> bool {
        self.windows.is_empty() && self.days_off.is_empty()
    }

    fn local(&self, at: Time) -> DateTime {
        self.zone.to_datetime(at.timestamp())
    }

    /// The day of a moment, by its own clock.
    pub fn day(&self, at: Time) -> Date {
        self.local(at).date()
    }

    fn off(&self, day: Date) -> bool {
        self.days_off.iter().any(|holiday| holiday.contains(day))
    }

    /// Why no call may go at this moment; `None`: one may.
    pub fn shut(&self, at: Time) -> Option<Code> {
        if self.is_always() {
            return None;
        }
        let local = self.local(at);
        if self.off(local.date()) {
            Some(Code::HoldHoliday)
        } else if is_open(&self.windows, local) {
            None
        } else if self.windows.iter().any(|window| window.on(local.weekday())) {
            Some(Code::HoldWindow)
        } else {
            Some(Code::HoldDay)
        }
    }

    pub fn status(&self, now: Time) -> Status {
        let shut = self.shut(now);
        Status { shut, until: if self.is_always() { None } else { self.next_change(now, shut.is_none()) } }
    }

    /// The first open moment from then on; as given, if none is known.
    pub fn open_from(&self, from: Time) -> Time {
        let status = self.status(from);
        status.shut.and(status.until).unwrap_or(from)
    }

    /// The first moment after `now` at which open and shut change.
    fn next_change(&self, now: Time, open: bool) -> Option<Time> {
        let mut day = self.local(now).date();
        let mut shifts = self.zone.following(now.timestamp()).map(|shift| Time(shift.timestamp().as_millisecond())).peekable();
        for _ in 0..LOOK_AHEAD_DAYS {
            let tomorrow = day.tomorrow().ok()?;
            let end = self.moments(tomorrow, 0)[1];
            let mut edges = self.edges(day);
            edges.extend(self.moments(tomorrow, 0));
            while let Some(shift) = shifts.next_if(|at| *at <= end) {
                edges.push(shift);
            }
            edges.sort_unstable();
            if let Some(edge) = edges.into_iter().find(|at| *at > now && self.shut(*at).is_none() != open) {
                return Some(edge);
            }
            day = tomorrow;
        }
        None
    }

    /// Every moment of a day at which a window may begin or end.
    fn edges(&self, day: Date) -> Vec<Time> {
        let windows = self.windows.iter().filter(|window| window.on(day.weekday()));
        windows.flat_map(|window| [window.from_min, window.to_min]).flat_map(|minute| self.moments(day, minute)).collect()
    }

    /// A local minute as a moment, in both readings of an hour that comes twice. A minute that is skipped is where the gap ends or begins;
    /// the zone's own changes are edges of their own.
    fn moments(&self, day: Date, minute: u16) -> [Time; 2] {
        let (day, minute) = if minute >= 1440 { (day.tomorrow().unwrap_or(day), 0) } else { (day, minute) };
        let local = day.at(i8::try_from(minute / 60).unwrap_or(0), i8::try_from(minute % 60).unwrap_or(0), 0, 0);
        let read = |at: Result<jiff::Timestamp, jiff::Error>| at.map_or(Time::NEVER, |at| Time(at.as_millisecond()));
        [read(self.zone.to_ambiguous_timestamp(local).earlier()), read(self.zone.to_ambiguous_timestamp(local).later())]
    }

    /// How long it is open from one moment to another.
    pub fn between(&self, from: Time, to: Time) -> Duration {
        let (mut at, mut open) = (from, Duration::ZERO);
        while at < to {
            let status = self.status(at);
            let until = status.until.unwrap_or(Time::NEVER).min(to);
            if status.shut.is_none() {
                open += until.since(at);
            }
            at = until;
        }
        open
    }

    /// The moment at which it has been open for `length` since `from`, or `limit` if that comes first.
    pub fn after(&self, from: Time, length: Duration, limit: Time) -> Time {
        let (mut at, mut left) = (from, length);
        while at < limit {
            let status = self.status(at);
            let until = status.until.unwrap_or(Time::NEVER);
            if status.shut.is_none() {
                let end = at.plus(left);
                if end <= until {
                    return end.min(limit);
                }
                left = left.saturating_sub(until.since(at));
            }
            at = until;
        }
        limit
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn opening(zone: &str, windows: &[&str], off: &[&str]) -> Opening {
        Opening {
            windows: windows.iter().map(|w| w.parse().unwrap()).collect(),
            zone: TimeZone::get(zone).unwrap(),
            days_off: off.iter().map(|d| d.parse().unwrap()).collect(),
        }
    }

    fn time(text: &str) -> Time {
        Time::parse_rfc3339(text).unwrap()
    }

    const WEEK: [&str; 2] = ["Mon-Fri 08:00-17:30", "Sat 08:00-12:00"];

    #[test]
    fn it_says_why_it_is_shut_and_until_when() {
        let saigon = opening("Asia/Ho_Chi_Minh", &WEEK, &["2026-11-24"]);
        for (now, shut, until) in [
            ("2026-11-23T08:00:00+07:00", None, "2026-11-23T17:30:00+07:00"),
            ("2026-11-23T17:30:00+07:00", Some(Code::HoldWindow), "2026-11-25T08:00:00+07:00"),
            ("2026-11-24T10:00:00+07:00", Some(Code::HoldHoliday), "2026-11-25T08:00:00+07:00"),
            ("2026-11-22T10:00:00+07:00", Some(Code::HoldDay), "2026-11-23T08:00:00+07:00"),
            ("2026-11-28T11:59:59+07:00", None, "2026-11-28T12:00:00+07:00"),
        ] {
            assert_eq!(saigon.status(time(now)), Status { shut, until: Some(time(until)) }, "{now}");
        }
        assert_eq!(Opening::always().status(Time(0)), Status { shut: None, until: None });
    }

    #[test]
    fn windows_that_touch_or_overlap_are_one() {
        let night = opening("Asia/Ho_Chi_Minh", &["20:00-24:00", "00:00-02:00"], &[]);
        assert_eq!(night.status(time("2026-11-23T21:00:00+07:00")).until, Some(time("2026-11-24T02:00:00+07:00")));
        let both = opening("Asia/Ho_Chi_Minh", &["08:00-12:00", "Mon 11:00-14:00"], &[]);
        assert_eq!(both.status(time("2026-11-23T09:00:00+07:00")).until, Some(time("2026-11-23T14:00:00+07:00")));
    }

    #[test]
    fn summer_time_neither_opens_early_nor_late() {
        // In Berlin 2026-03-29 02:00 becomes 03:00, and on 2026-10-25 03:00 becomes 02:00.
        let berlin = opening("Europe/Berlin", &["02:30-04:00"], &[]);
        assert_eq!(berlin.status(time("2026-03-29T00:30:00Z")).until, Some(time("2026-03-29T01:00:00Z")), "the gap ends inside the window");
        let twice = opening("Europe/Berlin", &["02:30-02:45"], &[]);
        assert_eq!(twice.status(time("2026-10-25T00:00:00Z")).until, Some(time("2026-10-25T00:30:00Z")));
        assert_eq!(twice.status(time("2026-10-25T00:50:00Z")).until, Some(time("2026-10-25T01:30:00Z")), "the hour comes twice");
        assert_eq!(twice.shut(time("2026-03-29T01:15:00Z")), Some(Code::HoldWindow));
    }

    #[test]
    fn nothing_opens_when_every_day_is_off() {
        let never = opening("Asia/Ho_Chi_Minh", &WEEK, &["1960-01-01..2100-01-01"]);
        assert_eq!(never.status(time("2026-11-23T09:00:00+07:00")), Status { shut: Some(Code::HoldHoliday), until: None });
        assert_eq!(never.after(Time(0), Duration::from_secs(60), Time(1_000_000)), Time(1_000_000));
    }

    #[test]
    fn only_open_time_counts() {
        let saigon = opening("Asia/Ho_Chi_Minh", &WEEK, &[]);
        let limit = time("2026-12-31T00:00:00Z");
        // Friday 17:00 + 24 h of calling hours: half an hour on Friday, 4 on Saturday, 9½ each on Monday and Tuesday, the rest on Wednesday.
        assert_eq!(saigon.after(time("2026-11-27T17:00:00+07:00"), Duration::from_secs(86_400), limit), time("2026-12-02T08:30:00+07:00"));
        assert_eq!(Opening::always().after(Time(0), Duration::from_secs(5), limit), Time(5000));
        let day = saigon.between(time("2026-11-27T17:00:00+07:00"), time("2026-12-02T08:30:00+07:00"));
        assert_eq!(day, Duration::from_secs(86_400), "the same way back");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Between a moment and its `until` nothing changes, and at `until` it does: compared minute by minute, in zones with and without summer time.
        #[test]
        fn until_is_the_next_change(zone in prop::sample::select(vec!["Asia/Ho_Chi_Minh", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo"]),
            start in 0i64..600_000, windows in prop::collection::vec((0u8..127, 0u16..1439, 1u16..700), 1..4), off in prop::collection::vec(0i64..400, 0..6)) {
            let windows = windows.into_iter().map(|(days, from, long)| Window { days: days | 1, from_min: from, to_min: (from + long).min(1440) }).collect();
            let first: Date = "2026-01-01".parse().unwrap();
            let days_off = off.into_iter().map(|n| { let day = first.checked_add(jiff::Span::new().days(n)).unwrap(); Holiday { first: day, last: day } }).collect();
            let opening = Opening { windows, zone: TimeZone::get(zone).unwrap(), days_off };
            let now = Time(1_767_225_600_000 + start * 60_000);
            let status = opening.status(now);
            prop_assert_eq!(status.shut, opening.shut(now));
            let until = status.until.unwrap();
            prop_assert!(opening.shut(until).is_none() != status.shut.is_none());
            let mut at = now;
            while at < until {
                prop_assert_eq!(opening.shut(at).is_none(), status.shut.is_none(), "{} of {}..{}", at, now, until);
                at = Time(at.0 + 60_000);
            }
        }
    }
}
