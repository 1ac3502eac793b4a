//! A customer company's settings: an agency has ten of them, everybody else only `main`.

use serde::{Deserialize, Serialize};

use super::id::WorkspaceId;

/// One workspace. `main` exists even when nothing names it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workspace {
    pub id: WorkspaceId,
    #[serde(default)]
    pub name: Option<String>,
    /// Days on which nobody is called: `2027-02-05` or `2027-02-05..2027-02-11` (both ends included).
    #[serde(default)]
    pub holidays: Vec<Holiday>,
}

/// A day or a run of days without calls, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holiday {
    pub first: jiff::civil::Date,
    pub last: jiff::civil::Date,
}

impl Holiday {
    pub fn contains(self, day: jiff::civil::Date) -> bool {
        self.first <= day && day <= self.last
    }
}

impl std::str::FromStr for Holiday {
    type Err = BadHoliday;
    fn from_str(text: &str) -> Result<Self, BadHoliday> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let read = |part: &str| part.trim().parse::<jiff::civil::Date>().map_err(|_| BadHoliday(text.to_owned()));
        let (first, last) = (read(first)?, read(last)?);
        if first > last { Err(BadHoliday(text.to_owned())) } else { Ok(Self { first, last }) }
    }
}

/// Text that is not a holiday.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a day; write 2027-02-05, or 2027-02-05..2027-02-11 for several")]
pub struct BadHoliday(pub String);

impl std::fmt::Display for Holiday {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}..{}", self.first, self.last) }
    }
}

impl Serialize for Holiday {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Holiday {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_days_includes_both_ends() {
        let tet: Holiday = "2027-02-05..2027-02-11".parse().unwrap();
        assert!(tet.contains("2027-02-05".parse().unwrap()) && tet.contains("2027-02-11".parse().unwrap()));
        assert!(!tet.contains("2027-02-12".parse().unwrap()));
        assert_eq!(tet.to_string(), "2027-02-05..2027-02-11");
        assert!("2027-02-11..2027-02-05".parse::<Holiday>().is_err() && "Tết".parse::<Holiday>().is_err());
    }
}
