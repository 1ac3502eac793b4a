//! What a connection's rules make of a result: values for the CRM, and one call more. Data, not code.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::call::Origin;
use super::id::CallId;
use super::opening::Opening;
use super::report::{Disposition, Interest, Report};
use super::span;
use super::time::Time;

/// How far an hour that was not tried yet is looked for.
const HOURS_AHEAD: u64 = 7 * 24;

/// One `[[connections.after]]` entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AfterRule {
    /// How the call has to have gone; empty: however.
    #[serde(default)]
    pub disposition: Vec<Disposition>,
    /// What the customer has to have thought of it; empty: whatever.
    #[serde(default)]
    pub interest: Vec<Interest>,
    #[serde(default)]
    pub again: Option<Again>,
    /// The number goes on the workspace's do-not-call list.
    #[serde(default)]
    pub do_not_call: bool,
    /// Values that the plugin's templates find under `after.<name>`.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
}

/// Call the customer once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Again {
    /// After the report.
    #[serde(rename = "in", with = "span::text")]
    pub wait: Duration,
    /// Calls more at most, over all that follow from one wish.
    #[serde(default = "three")]
    pub times: u32,
    /// At an hour of the day at which nobody tried yet, if there is one.
    #[serde(default = "yes")]
    pub other_hour: bool,
}

fn three() -> u32 {
    3
}
fn yes() -> bool {
    true
}

/// What the connection's rules made of the newest report.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct After {
    /// Values for the CRM, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// The call that a rule made of this one, and when it will be placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<CallId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_at: Option<Time>,
    /// The number stands on the do-not-call list because of this call.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub listed: bool,
}

impl After {
    /// The rules said nothing.
    pub fn is_none(&self) -> bool {
        *self == After::default()
    }
}

/// What the rules say about one result.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    pub set: BTreeMap<String, String>,
    pub again: Option<Again>,
    pub do_not_call: bool,
}

/// Every rule that fits applies; where two say different things, the first is right.
pub fn decide(rules: &[AfterRule], report: &Report) -> Decision {
    let mut decision = Decision::default();
    let (disposition, interest) = (report.disposition(), report.interest());
    for rule in rules {
        let fits = (rule.disposition.is_empty() || rule.disposition.contains(&disposition)) && (rule.interest.is_empty() || rule.interest.contains(&interest));
        if !fits {
            continue;
        }
        for (name, value) in &rule.set {
            decision.set.entry(name.clone()).or_insert_with(|| value.clone());
        }
        decision.do_not_call |= rule.do_not_call;
        decision.again = decision.again.or_else(|| rule.again.clone());
    }
    decision
}

/// How many calls more there were before this one, and the local hours at which they were placed.
pub fn tried(origin: &Origin) -> (u32, &[i8]) {
    match origin {
        Origin::Again { round, hours, .. } => (*round, hours),
        _ => (0, &[]),
    }
}

/// When to call again, from `earliest` on: hour by hour until one is open and new; without `other_hour`, or when every hour was tried, the
/// first open moment. `tried` holds local hours.
pub fn next_time(again: &Again, opening: &Opening, tried: &[i8], earliest: Time) -> Time {
    if again.other_hour {
        let fits = |at: &Time| opening.shut(*at).is_none() && !tried.contains(&hour_of(opening, *at));
        // The earliest moment itself, then the beginnings of the hours after it.
        let begin = Time(earliest.0 - earliest.0.rem_euclid(3_600_000));
        let later = (1..=HOURS_AHEAD).map(|n| begin.plus(Duration::from_secs(n * 3600)));
        if let Some(at) = std::iter::once(earliest).chain(later).find(fits) {
            return at;
        }
    }
    opening.open_from(earliest)
}

/// The local hour of a moment.
pub fn hour_of(opening: &Opening, at: Time) -> i8 {
    at.timestamp().to_zoned(opening.zone.clone()).hour()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn rules(text: &str) -> Vec<AfterRule> {
        #[derive(Deserialize)]
        struct File {
            after: Vec<AfterRule>,
        }
        toml::from_str::<File>(text).unwrap().after
    }

    fn report(answered: i64, status: i64) -> Report {
        Report { answer_duration: answered, response_status: status, ..Report::default() }
    }

    #[test]
    fn every_rule_that_fits_applies_and_the_first_wins() {
        let rules = rules(
            r#"
            [[after]]
            disposition = ["no_answer", "unreachable"]
            again = { in = "2h" }
            set = { stage = "retry", who = "robot" }
            [[after]]
            interest = ["not_interested"]
            do_not_call = true
            set = { stage = "lost" }
            [[after]]
            again = { in = "1d", times = 1, other_hour = false }
            set = { stage = "any", seen = "yes" }
            "#,
        );
        let missed = decide(&rules, &report(0, 3));
        assert_eq!(missed.again, Some(Again { wait: Duration::from_secs(7200), times: 3, other_hour: true }));
        assert_eq!(missed.set, BTreeMap::from([("stage", "retry"), ("who", "robot"), ("seen", "yes")].map(|(a, b)| (a.to_owned(), b.to_owned()))));
        let refused = decide(&rules, &report(20, 2));
        assert!(refused.do_not_call && !missed.do_not_call);
        assert_eq!((refused.set["stage"].as_str(), refused.again.unwrap().times), ("lost", 1));
        assert_eq!(decide(&rules[..2], &report(20, 1)), Decision::default());
    }

    #[test]
    fn the_next_call_is_at_an_open_hour_that_was_not_tried() {
        let zone = TimeZone::get("Asia/Ho_Chi_Minh").unwrap();
        let opening = Opening { windows: vec!["Mon-Fri 08:00-12:00".parse().unwrap()], zone, days_off: vec!["2026-11-25".parse().unwrap()] };
        let again = |hours, other_hour| Again { wait: Duration::from_secs(hours * 3_600_u64), times: 3, other_hour };
        let time = |text: &str| Time::parse_rfc3339(text).unwrap();
        // Monday 2026-11-23; Wednesday is a day off.
        let at = |again: &Again, tried: &[i8], ended: &str| next_time(again, &opening, tried, time(ended).plus(again.wait)).timestamp().to_string();
        assert_eq!(at(&again(2, true), &[8], "2026-11-23T08:10:00+07:00"), "2026-11-23T03:10:00Z", "10:10 is open and new");
        assert_eq!(at(&again(2, true), &[8, 10], "2026-11-23T08:10:00+07:00"), "2026-11-23T04:00:00Z", "10 was tried, 11 not");
        assert_eq!(at(&again(2, true), &[11, 8], "2026-11-23T11:10:00+07:00"), "2026-11-24T02:00:00Z", "the day after, not at 8 again");
        assert_eq!(at(&again(2, true), &[8], "2026-11-24T11:10:00+07:00"), "2026-11-26T02:00:00Z", "nobody is called on a day off");
        assert_eq!(at(&again(2, true), &[8, 9, 10, 11], "2026-11-23T11:10:00+07:00"), "2026-11-24T01:00:00Z", "no hour is left: when it opens");
        assert_eq!(at(&again(2, false), &[10], "2026-11-23T08:10:00+07:00"), "2026-11-23T03:10:00Z");
        assert_eq!(at(&again(2, false), &[], "2026-11-24T11:10:00+07:00"), "2026-11-26T01:00:00Z", "what is promised is when it can go");
    }

    #[test]
    fn a_rule_that_says_something_unknown_is_refused() {
        #[derive(Debug, Deserialize)]
        struct File {
            #[expect(dead_code, reason = "only read")]
            after: Vec<AfterRule>,
        }
        for text in ["after = [{ dispositon = [] }]", "after = [{ disposition = [\"busy\"] }]", "after = [{ again = { times = 2 } }]"] {
            assert!(toml::from_str::<File>(text).is_err(), "{text}");
        }
    }
}
