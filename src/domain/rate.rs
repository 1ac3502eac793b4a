//! Rates such as `6/min`, and the pure limiter (GCRA) that spaces calls out.
//!
//! The arithmetic is governor's, but the state is an absolute time (nanoseconds since 1970) that can be kept in a record: limits then
//! survive restarts and hold across nodes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::span;

/// So many (`count`, at least 1) in so long (`period`, more than zero).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub period: Duration,
}

/// Text that is not a rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a rate; write how many in how long, such as 6/min, 50/s, 60/h, 3/24h or 100/10s")]
pub struct BadRate(pub String);

impl Rate {
    /// `count` and `period` as they are; `None` if one of them is zero.
    pub fn new(count: u32, period: Duration) -> Option<Self> {
        (count > 0 && !period.is_zero()).then_some(Self { count, period })
    }

    /// The time from one to the next, in nanoseconds, at least 1.
    pub fn interval_ns(self) -> i64 {
        let period = i64::try_from(self.period.as_nanos()).unwrap_or(i64::MAX);
        (period / i64::from(self.count.max(1))).max(1)
    }
}

impl FromStr for Rate {
    type Err = BadRate;
    fn from_str(text: &str) -> Result<Self, BadRate> {
        let bad = || BadRate(text.to_owned());
        let (count, period) = text.split_once('/').ok_or_else(bad)?;
        let count = count.trim().parse().map_err(|_| bad())?;
        let period = period.trim();
        let period = match span::unit_ms(period) {
            Some(ms) => Duration::from_millis(ms),
            None => span::parse(period).map_err(|_| bad())?,
        };
        Rate::new(count, period).ok_or_else(bad)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = span::show(self.period);
        match period.as_str() {
            "1s" => write!(f, "{}/s", self.count),
            "1m" => write!(f, "{}/min", self.count),
            "1h" => write!(f, "{}/h", self.count),
            "1d" => write!(f, "{}/24h", self.count),
            _ => write!(f, "{}/{period}", self.count),
        }
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A rate, or no limit at all (`"off"`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Off,
    Rate(Rate),
}

impl Limit {
    pub fn rate(self) -> Option<Rate> {
        match self {
            Limit::Off => None,
            Limit::Rate(rate) => Some(rate),
        }
    }
}

impl FromStr for Limit {
    type Err = BadRate;
    fn from_str(text: &str) -> Result<Self, BadRate> {
        if text.trim() == "off" { Ok(Limit::Off) } else { text.parse().map(Limit::Rate) }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Off => f.write_str("off"),
            Limit::Rate(rate) => rate.fmt(f),
        }
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The generic cell rate algorithm over one number, the *theoretical arrival time* (TAT).
///
/// `6/min` with burst 1 lets one go every 10 s; burst 3 lets three go at once after a pause, then one every 10 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gcra {
    /// Emission interval: time that one cell weighs, in nanoseconds, at least 1.
    pub period_ns: i64,
    /// Cells that may go at once, at least 1.
    pub burst: u32,
}

impl Gcra {
    pub fn new(rate: Rate, burst: u32) -> Self {
        Self { period_ns: rate.interval_ns(), burst: burst.max(1) }
    }

    /// Whether one may go `now`: `Ok(the new TAT to keep)`, or `Err(the earliest time at which one may go)`. Times are nanoseconds since 1970;
    /// nothing gone yet = any `tat` in the past, such as 0.
    ///
    /// A `tat` of a clock that was set back since is its keeper's to bring into now, once: to clamp it at each look would put the wait off for ever.
    pub fn check(&self, tat: i64, now: i64) -> Result<i64, i64> {
        let period = self.period_ns.max(1);
        let earliest = tat.saturating_sub(period.saturating_mul(i64::from(self.burst.max(1) - 1)));
        if now < earliest { Err(earliest) } else { Ok(tat.max(now).saturating_add(period)) }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use governor::clock::FakeRelativeClock;
    use governor::{Quota, RateLimiter};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rates_are_read_and_shown() {
        for (text, count, secs, shown) in [
            ("6/min", 6, 60, "6/min"),
            ("50/s", 50, 1, "50/s"),
            ("100/10s", 100, 10, "100/10s"),
            ("60/h", 60, 3600, "60/h"),
            ("3/24h", 3, 86_400, "3/24h"),
            ("1 / day", 1, 86_400, "1/24h"),
            ("90/1m30s", 90, 90, "90/90s"),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.count, rate.period), (count, Duration::from_secs(secs)), "{text}");
            assert_eq!(rate.to_string(), shown);
            assert_eq!(shown.parse::<Rate>().unwrap(), rate);
        }
        for text in ["", "6", "0/min", "6/", "/min", "6/0s", "-1/s", "six/min", "6/fortnight"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        assert_eq!("off".parse(), Ok(Limit::Off));
        assert_eq!(serde_json::to_string(&Limit::Off).unwrap(), r#""off""#);
    }

    #[test]
    fn six_a_minute_is_one_every_ten_seconds() {
        let gcra = Gcra::new("6/min".parse().unwrap(), 1);
        let start = 1_700_000_000_000_000_000;
        let tat = gcra.check(0, start).unwrap();
        assert_eq!(gcra.check(tat, start), Err(start + 10_000_000_000));
        assert!(gcra.check(tat, start + 10_000_000_000).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn never_more_than_the_burst_and_the_rate_in_any_window(count in 1u32..50, secs in 1u64..120, burst in 1u32..8,
            steps in prop::collection::vec(0i64..5_000_000_000, 1..120)) {
            let gcra = Gcra::new(Rate::new(count, Duration::from_secs(secs)).unwrap(), burst);
            let (mut now, mut tat, mut gone) = (1_700_000_000_000_000_000i64, 0, Vec::new());
            for step in steps {
                now += step;
                if let Ok(next) = gcra.check(tat, now) {
                    tat = next;
                    gone.push(now);
                }
            }
            for (i, from) in gone.iter().enumerate() {
                for (j, to) in gone.iter().enumerate().skip(i) {
                    let allowed = i64::from(burst) + (to - from) / gcra.period_ns;
                    prop_assert!((j - i + 1) as i64 <= allowed, "{} in {} ns, allowed {allowed}", j - i + 1, to - from);
                }
            }
        }

        #[test]
        fn decides_as_governor_does(count in 1u32..50, secs in 1u64..120, burst in 1u32..8,
            steps in prop::collection::vec(0u64..5_000_000_000, 1..120)) {
            let rate = Rate::new(count, Duration::from_secs(secs)).unwrap();
            let gcra = Gcra::new(rate, burst);
            let quota = Quota::with_period(Duration::from_nanos(gcra.period_ns as u64)).unwrap().allow_burst(NonZeroU32::new(burst).unwrap());
            let clock = FakeRelativeClock::default();
            let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
            let (mut now, mut tat) = (0i64, 0i64);
            for step in steps {
                clock.advance(Duration::from_nanos(step));
                now += step as i64;
                let ours = gcra.check(tat, now);
                prop_assert_eq!(ours.is_ok(), limiter.check().is_ok());
                tat = ours.unwrap_or(tat);
            }
        }
    }
}
