//! The moods a simulated phone and its API can be in, by name, and which one a request meets.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Error;

macro_rules! moods {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal),* $(,)?) => {
        /// What happens to a call. The text names are those of switches and of the control API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Mood { #[default] $($(#[doc = $doc])* $name),* }

        impl Mood {
            /// Every mood.
            pub const ALL: &[Mood] = &[$(Mood::$name),*];

            /// The text name.
            pub fn as_str(self) -> &'static str {
                match self { $(Mood::$name => $text),* }
            }
        }
    };
}

moods! {
    /// The customer answers, talks and is interested.
    Answers = "answers",
    /// A believable mix of answers, no_answer, busy and not_interested, chosen by the seed.
    Mixed = "mixed",
    NoAnswer = "no_answer",
    Busy = "busy",
    NotInterested = "not_interested",
    /// errorCode 2112, whatever the key.
    WrongKey = "wrong_key",
    /// errorCode 2113.
    AccountNotFound = "account_not_found",
    /// errorCode 2114.
    AccountNotActivated = "account_not_activated",
    /// errorCode 2115.
    ApiNotAllowed = "api_not_allowed",
    /// errorCode 2116.
    SwitchedOff = "switched_off",
    /// errorCode 2117.
    KeyExpired = "key_expired",
    /// errorCode 2118.
    QuotaUsedUp = "quota_used_up",
    /// An errorCode that no document names.
    UnknownCode = "unknown_code",
    /// HTTP 429 with Retry-After; not dialled.
    RateLimited = "rate_limited",
    /// HTTP 503; not dialled.
    Unavailable = "unavailable",
    /// errorCode 2222; not dialled.
    SystemError = "system_error",
    /// HTTP 503, and yet the phone dials.
    UnavailableAfterDialling = "unavailable_after_dialling",
    /// errorCode 2222, and yet the phone dials.
    SystemErrorAfterDialling = "system_error_after_dialling",
    /// Taken and dialled, but the answer comes after `slow_secs`.
    Slow = "slow",
    /// HTTP 500 with a page for people; not dialled.
    HtmlError = "html_error",
    /// Dialled, and the connection closes without one byte of answer.
    CutAfterPlacing = "cut_after_placing",
    /// The call is made; no report is ever sent.
    ReportLost = "report_lost",
    /// The report is posted before the request is answered.
    ReportBeforeAnswer = "report_before_answer",
    /// The same report twice.
    ReportTwice = "report_twice",
    /// A first report without notes, and after `late_secs` one with notes and another opinion.
    ReportLateWithNotes = "report_late_with_notes",
    /// Taken, but dialled only when the phone is switched on again: then everything, back to back.
    PhoneOff = "phone_off",
}

/// All names, for messages and help.
pub fn names() -> String {
    Mood::ALL.iter().map(|m| m.as_str()).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Mood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Mood {
    type Err = Error;

    /// Reads a name; `-` and blanks count as `_`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wanted = text.trim().to_ascii_lowercase().replace(['-', ' '], "_");
        Mood::ALL.iter().copied().find(|m| m.as_str() == wanted).ok_or_else(|| Error::UnknownMood(text.to_owned()))
    }
}

/// Which mood a request meets: its phone number's, else its key's, else everyone's.
#[derive(Debug, Clone, Default)]
pub struct Moods {
    pub everyone: Mood,
    pub by_phone: HashMap<String, Mood>,
    pub by_key: HashMap<String, Mood>,
}

/// For whom a mood is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    Everyone,
    Phone(String),
    Key(String),
}

impl Moods {
    /// The mood of a request.
    pub fn of(&self, phone: &str, key: &str) -> Mood {
        // Two look-ups per request are spared where nobody has a mood of their own, as in load tests.
        let own = if self.by_phone.is_empty() { None } else { self.by_phone.get(phone) };
        let own = own.or_else(|| if self.by_key.is_empty() { None } else { self.by_key.get(key) });
        own.copied().unwrap_or(self.everyone)
    }

    /// Sets a mood, or takes an own mood away (`None`; everyone's goes back to `answers`).
    pub fn set(&mut self, whom: Whom, mood: Option<Mood>) {
        let (map, name) = match whom {
            Whom::Everyone => {
                self.everyone = mood.unwrap_or_default();
                return;
            }
            Whom::Phone(phone) => (&mut self.by_phone, phone),
            Whom::Key(key) => (&mut self.by_key, key),
        };
        match mood {
            Some(mood) => map.insert(name, mood),
            None => map.remove(&name),
        };
    }

    /// Takes `phone_off` away wherever it is set, as switching the phone on does.
    pub fn switch_on(&mut self) {
        self.by_phone.retain(|_, mood| *mood != Mood::PhoneOff);
        self.by_key.retain(|_, mood| *mood != Mood::PhoneOff);
        if self.everyone == Mood::PhoneOff {
            self.everyone = Mood::Answers;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mood_is_read_back_from_its_name() {
        for mood in Mood::ALL {
            assert_eq!(mood.as_str().parse::<Mood>().unwrap(), *mood);
            assert_eq!(serde_json::to_value(mood).unwrap(), mood.as_str());
        }
        assert_eq!("no-answer".parse::<Mood>().unwrap(), Mood::NoAnswer);
        assert!("sleepy".parse::<Mood>().unwrap_err().to_string().contains("report_twice"));
    }

    #[test]
    fn a_phone_s_mood_goes_before_its_key_s() {
        let mut moods = Moods::default();
        moods.set(Whom::Key("k".into()), Some(Mood::Busy));
        moods.set(Whom::Phone("09".into()), Some(Mood::PhoneOff));
        assert_eq!([moods.of("09", "k"), moods.of("08", "k"), moods.of("08", "x")], [Mood::PhoneOff, Mood::Busy, Mood::Answers]);
        moods.switch_on();
        assert_eq!(moods.of("09", "k"), Mood::Busy);
        moods.set(Whom::Key("k".into()), None);
        assert_eq!(moods.of("09", "k"), Mood::Answers);
    }
}
