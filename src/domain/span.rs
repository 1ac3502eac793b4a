//! Lengths of time as people write them: `10s`, `500ms`, `5m`, `2h`, `14d`, `1h30m`.

use std::time::Duration;

/// Text that is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a length of time; write a number and a unit, such as 500ms, 10s, 5m, 2h or 14d")]
pub struct BadSpan(pub String);

/// Units with their length in milliseconds, longest first (the order in which [`show`] tries them).
const UNITS: [(&str, u64); 6] = [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Milliseconds of a unit's name: those of [`UNITS`] and the longer words people try.
pub(crate) fn unit_ms(name: &str) -> Option<u64> {
    let short = match name {
        "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "hr" | "hour" | "hours" => "h",
        "day" | "days" => "d",
        "week" | "weeks" => "w",
        other => other,
    };
    UNITS.iter().find(|(unit, _)| *unit == short).map(|(_, ms)| *ms)
}

/// Reads one or more numbers with units; plain `0` needs none.
pub fn parse(text: &str) -> Result<Duration, BadSpan> {
    let bad = || BadSpan(text.to_owned());
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total: u64 = 0;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
        let after = rest[digits..].trim_start();
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let unit = unit_ms(&after[..end]).ok_or_else(bad)?;
        total = number.checked_mul(unit).and_then(|ms| total.checked_add(ms)).ok_or_else(bad)?;
        rest = after[end..].trim_start();
    }
    Ok(Duration::from_millis(total))
}

/// The shortest text that [`parse`] reads as the same length, in one unit; parts of a millisecond are dropped.
pub fn show(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".to_owned();
    }
    // Weeks are read, but nobody thinks of 14 days as "2w".
    let (unit, length) = UNITS[1..].iter().find(|(_, length)| ms.is_multiple_of(*length)).copied().unwrap_or(("ms", 1));
    format!("{}{unit}", ms / length)
}

/// For `#[serde(with = "span::text")]`.
pub mod text {
    use super::{Duration, parse, show};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(duration: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&show(*duration))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        parse(&String::deserialize(d)?).map_err(D::Error::custom)
    }
}

/// For `#[serde(default, with = "span::optional")]`.
pub mod optional {
    use super::{Duration, parse, show};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(duration: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => s.serialize_some(&show(*duration)),
            None => s.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
        Option::<String>::deserialize(d)?.map(|text| parse(&text).map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_read() {
        for (text, ms) in
            [("10s", 10_000), ("500ms", 500), ("5m", 300_000), ("5 min", 300_000), ("2h", 7_200_000), ("1h30m", 5_400_000), ("14d", 1_209_600_000), ("0", 0)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "10", "s", "-5s", "1.5h", "10 bananas", "99999999999999999999s", "9999999999999999w"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        for ms in [0, 1, 999, 1000, 60_000, 90_000, 86_400_000, 1_209_600_000] {
            let length = Duration::from_millis(ms);
            assert_eq!(parse(&show(length)), Ok(length));
        }
        assert_eq!(show(Duration::from_secs(90)), "90s");
        assert_eq!(show(Duration::from_secs(14 * 86_400)), "14d");
    }
}
