//! The calendar of public holidays: the one that ships, an own one, or none.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::workspace::Holiday;

/// Vietnam's days off, compiled in and meant to be copied and edited.
const VIETNAM: &str = include_str!("../../templates/holidays-vietnam.toml");

/// One entry of a calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DayOff {
    pub days: Holiday,
    #[serde(default)]
    pub vi: String,
    #[serde(default)]
    pub en: String,
}

impl DayOff {
    /// In `language` (`vi`, else English); in the other one where it has no name in this. Empty: it has none.
    pub fn name(&self, language: &str) -> &str {
        let (own, other) = if language == "vi" { (&self.vi, &self.en) } else { (&self.en, &self.vi) };
        if own.is_empty() { other } else { own }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    holidays: Vec<DayOff>,
}

/// Text that is not a calendar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a calendar: write \"vietnam\", \"off\", or \"file:holidays.toml\" with [[holidays]] entries like those of templates/holidays-vietnam.toml ({0})"
)]
pub struct BadCalendar(pub String);

/// Days off, as the settings give them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// The text that it was read from: `vietnam`, `off` or a file's.
    text: String,
    pub days: Vec<DayOff>,
}

impl Calendar {
    /// `vietnam`, `off`, or the text of a file.
    pub fn read(text: &str) -> Result<Self, BadCalendar> {
        let file = match text.trim() {
            "off" => "",
            "vietnam" => VIETNAM,
            other if !other.contains("[[") && !other.contains('#') => return Err(BadCalendar(format!("`{other}`"))),
            _ => text,
        };
        let days = toml::from_str::<File>(file).map_err(|error| BadCalendar(error.message().to_owned()))?.holidays;
        Ok(Self { text: text.to_owned(), days })
    }

    /// Whether it is the one that ships.
    pub fn ships(&self) -> bool {
        self.text.trim() == "vietnam"
    }

    /// Whether somebody wants days off at all.
    pub fn is_given(&self) -> bool {
        self.text.trim() != "off"
    }

    /// The days alone.
    pub fn holidays(&self) -> impl Iterator<Item = Holiday> + '_ {
        self.days.iter().map(|entry| entry.days)
    }
}

impl Serialize for Calendar {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Calendar {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Calendar::read(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn off(day: &str) -> bool {
        let day = day.parse().unwrap();
        Calendar::read("vietnam").unwrap().holidays().any(|h| h.contains(day))
    }

    #[test]
    fn the_calendar_that_ships_knows_both_lunar_new_years() {
        for day in ["2026-02-17", "2026-02-22", "2026-09-02", "2027-02-06", "2027-04-16", "2027-05-03"] {
            assert!(off(day), "{day}");
        }
        for day in ["2026-02-13", "2026-02-23", "2026-12-25", "2027-02-12"] {
            assert!(!off(day), "{day}");
        }
    }

    #[test]
    fn an_own_calendar_replaces_it_and_off_has_none() {
        let own = Calendar::read("[[holidays]]\ndays = \"2026-12-24..2026-12-26\"\nen = \"Christmas\"\n").unwrap();
        assert_eq!(own.days.len(), 1);
        assert!(Calendar::read("off").unwrap().days.is_empty());
        for wrong in ["vietnm", "[[holidays]]\ndays = \"2026-13-01\"", "[[holiday]]\ndays = \"2026-12-24\"", "[[holidays]]\ndays = \"2026-12-26..2026-12-24\""]
        {
            let error = Calendar::read(wrong).unwrap_err().to_string();
            assert!(error.contains("vietnam"), "{error}");
        }
    }
}
