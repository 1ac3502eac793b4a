//! Calling hours: `Mon-Fri 08:00-17:30`, `Sat 08:00-12:00`, or `08:00-17:00` for every day.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{DateTime, Weekday};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A span of minutes on some days of the week, in the connection's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Bit 0 = Monday … bit 6 = Sunday.
    pub days: u8,
    /// Minutes after midnight, included.
    pub from_min: u16,
    /// Minutes after midnight, excluded; up to 1440 (24:00).
    pub to_min: u16,
}

/// Text that is not a window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadWindow {
    #[error("`{0}` is not a calling window; write days and hours, such as `Mon-Fri 08:00-17:30`, `Sat 08:00-12:00` or `08:00-17:00`")]
    Shape(String),
    #[error("`{0}` is not a day of the week; the days are Mon Tue Wed Thu Fri Sat Sun (or T2 … T7 CN, Thứ 2 … Thứ 7, Chủ nhật)")]
    Day(String),
    #[error("`{0}` ends before it begins; for a night write two windows, such as `20:00-24:00` and `00:00-02:00`")]
    Backwards(String),
}

const EVERY_DAY: u8 = 0b111_1111;
/// What people call the days, in lower case.
const NAMES: [&[&str]; 7] = [
    &["mon", "monday", "t2", "thứ 2", "thu 2", "thứ hai", "thu hai"],
    &["tue", "tues", "tuesday", "t3", "thứ 3", "thu 3", "thứ ba", "thu ba"],
    &["wed", "wednesday", "t4", "thứ 4", "thu 4", "thứ tư", "thu tu"],
    &["thu", "thur", "thurs", "thursday", "t5", "thứ 5", "thu 5", "thứ năm", "thu nam"],
    &["fri", "friday", "t6", "thứ 6", "thu 6", "thứ sáu", "thu sau"],
    &["sat", "saturday", "t7", "thứ 7", "thu 7", "thứ bảy", "thu bay"],
    &["sun", "sunday", "cn", "chủ nhật", "chu nhat"],
];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl Window {
    /// Decree 91/2020's hours for advertising calls: 08:00–17:00 every day.
    pub const ADVERTISING: Window = Window { days: EVERY_DAY, from_min: 480, to_min: 1020 };

    /// Whether this local moment lies inside.
    pub fn contains(self, local: DateTime) -> bool {
        let minute = minute_of(local);
        self.on(local.weekday()) && self.from_min <= minute && minute < self.to_min
    }

    /// Whether the window is open at some time of this day.
    pub fn on(self, day: Weekday) -> bool {
        self.days & (1 << day.to_monday_zero_offset()) != 0
    }

    /// Whether both are open at some moment.
    pub fn overlaps(self, other: Window) -> bool {
        self.days & other.days != 0 && self.from_min < other.to_min && other.from_min < self.to_min
    }

    /// Whether all of this window lies inside `other`.
    pub fn within(self, other: Window) -> bool {
        self.days & !other.days == 0 && other.from_min <= self.from_min && self.to_min <= other.to_min
    }
}

fn minute_of(local: DateTime) -> u16 {
    u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0)
}

/// Whether any window is open at this local moment; no windows = always open.
pub fn is_open(hours: &[Window], local: DateTime) -> bool {
    hours.is_empty() || hours.iter().any(|window| window.contains(local))
}

impl FromStr for Window {
    type Err = BadWindow;
    fn from_str(text: &str) -> Result<Self, BadWindow> {
        let shape = || BadWindow::Shape(text.to_owned());
        let text_trimmed = text.trim();
        let (days, hours) = match text_trimmed.rsplit_once(char::is_whitespace) {
            Some((days, hours)) => (read_days(days)?, hours),
            None => (EVERY_DAY, text_trimmed),
        };
        let (from, to) = hours.split_once(['-', '–']).ok_or_else(shape)?;
        let (from_min, to_min) = (read_minute(from).ok_or_else(shape)?, read_minute(to).ok_or_else(shape)?);
        if from_min >= to_min { Err(BadWindow::Backwards(text.to_owned())) } else { Ok(Self { days, from_min, to_min }) }
    }
}

fn read_minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (minute < 60 && (hour < 24 || (hour == 24 && minute == 0))).then_some(hour * 60 + minute)
}

fn read_days(text: &str) -> Result<u8, BadWindow> {
    let mut days = 0;
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once(['-', '–']).unwrap_or((part, part));
        let mut day = read_day(first)?;
        // `Thứ 2-6`: the word stands for both.
        let last = last.trim();
        let last = if last.len() == 1 { read_day(&format!("t{last}"))? } else { read_day(last)? };
        days |= 1 << day;
        while day != last {
            day = (day + 1) % 7;
            days |= 1 << day;
        }
    }
    Ok(days)
}

/// Whole words only: `Thu 2` is Vietnamese for Monday, `Thu` English for Thursday.
fn read_day(text: &str) -> Result<u8, BadWindow> {
    let word = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let index = NAMES.iter().position(|names| names.contains(&word.as_str()));
    index.and_then(|i| u8::try_from(i).ok()).ok_or_else(|| BadWindow::Day(text.trim().to_owned()))
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != EVERY_DAY {
            let mut first = 0;
            let mut comma = "";
            while first < 7 {
                if self.days & (1 << first) == 0 {
                    first += 1;
                    continue;
                }
                let last = (first..7).take_while(|d| self.days & (1 << d) != 0).last().unwrap_or(first);
                match last - first {
                    0 => write!(f, "{comma}{}", DAYS[first])?,
                    _ => write!(f, "{comma}{}-{}", DAYS[first], DAYS[last])?,
                }
                comma = ",";
                first = last + 1;
            }
            f.write_str(" ")?;
        }
        write!(f, "{:02}:{:02}-{:02}:{:02}", self.from_min / 60, self.from_min % 60, self.to_min / 60, self.to_min % 60)
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(texts: &[&str]) -> Vec<Window> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    fn at(text: &str) -> DateTime {
        text.parse().unwrap()
    }

    #[test]
    fn windows_are_read_and_shown() {
        for (text, shown) in [
            ("Mon-Fri 08:00-17:30", "Mon-Fri 08:00-17:30"),
            ("Sat 8:00-12:00", "Sat 08:00-12:00"),
            ("Fri-Mon 08:00-24:00", "Mon,Fri-Sun 08:00-24:00"),
            ("monday, Wednesday 09:00-10:00", "Mon,Wed 09:00-10:00"),
            ("T2-T6 08:00–17:00", "Mon-Fri 08:00-17:00"),
            ("Thu 2-Thu 6 08:00-17:00", "Mon-Fri 08:00-17:00"),
            ("Thứ  7 08:00-12:00", "Sat 08:00-12:00"),
            ("Thứ 2-6, chủ nhật 08:00-12:00", "Mon-Fri,Sun 08:00-12:00"),
            ("Thu 08:00-12:00", "Thu 08:00-12:00"),
            ("08:00-17:00", "08:00-17:00"),
        ] {
            let window: Window = text.parse().unwrap();
            assert_eq!(window.to_string(), shown, "{text}");
            assert_eq!(shown.parse::<Window>().unwrap(), window);
        }
        for text in [
            "",
            "Mon",
            "Mon 08:00",
            "Mon 17:00-08:00",
            "Thứ 08:00-09:00",
            "Thu 8 08:00-09:00",
            "Monthly 08:00-09:00",
            "Mon-8 08:00-09:00",
            "Mon 25:00-26:00",
            "Mon 08:60-09:00",
        ] {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
    }

    #[test]
    fn windows_that_only_touch_do_not_overlap() {
        let week = hours(&["Mon-Fri 08:00-12:00", "Mon-Fri 12:00-17:00", "Fri-Sun 11:00-13:00", "Sat,Sun 08:00-11:00"]);
        let overlaps = |a: usize, b: usize| week[a].overlaps(week[b]) && week[b].overlaps(week[a]);
        assert!(overlaps(0, 2) && overlaps(1, 2));
        assert!(!overlaps(0, 1) && !overlaps(2, 3) && !overlaps(0, 3));
    }

    #[test]
    fn a_window_includes_its_first_minute_and_not_its_last() {
        let week = hours(&["Mon-Fri 08:00-17:30", "Sat 08:00-12:00"]);
        assert!(is_open(&week, at("2026-11-23T08:00:00")));
        assert!(is_open(&week, at("2026-11-23T17:29:59")));
        assert!(!is_open(&week, at("2026-11-23T17:30:00")));
        assert!(!is_open(&week, at("2026-11-22T09:00:00")));
        assert!(is_open(&[], at("2026-11-22T03:00:00")));
    }
}
