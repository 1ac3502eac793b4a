//! Settings that load and do nothing, or more than was meant: told as warnings, with what they would mean.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::civil::Date;

use super::settings::Settings;
use super::validate::Found;
use crate::domain::after::AfterRule;
use crate::domain::connection::{Connection, Kind, LineChoice, Purpose};
use crate::domain::report::Interest;
use crate::domain::span;

/// Lines, keys, days off.
pub(super) fn instance(settings: &Settings, today: Option<Date>, found: &mut Found) {
    for line in settings.lines.iter().filter(|line| line.burst > 1 && line.rate.is_none()) {
        found.doubtful(
            format!("lines.{}.burst", line.id),
            "has no effect without `rate`: it says how many calls of the rate may go at once. Give `rate`, or leave it out",
        );
    }
    for key in settings.gateway_keys.iter().filter(|key| key.max_queued == 0 && !key.paused) {
        let at = format!("gateway_keys.{}.max_queued", key.name);
        found.doubtful(at, "is 0: every request is refused with 2118 (used up); `paused = true` says it with 2116 (switched off)");
    }
    days_off(settings, today, found);
}

fn days_off(settings: &Settings, today: Option<Date>, found: &mut Found) {
    let at = "calls.holidays";
    let Some(last) = settings.calls.holidays.holidays().map(|days| days.last).max() else {
        if settings.calls.holidays.is_given() {
            found.doubtful(at, "names no day: people are called on every holiday. Add [[holidays]] entries, or write \"off\" if that is meant");
        }
        return;
    };
    let Some(today) = today.filter(|today| last.year() < today.year()) else { return };
    let says = match settings.calls.holidays.ships() {
        true => "a newer callbridge knows the days of this year, or copy templates/holidays-vietnam.toml, add them and name the copy with \"file:PATH\"",
        false => "add those of this year",
    };
    found.doubtful(at, format!("the last day off is {last}, and it is {}: people are called on every holiday of this year; {says}", today.year()));
}

/// One connection's choice of lines, times and rules.
pub(super) fn connection(connection: &Connection, settings: &Settings, found: &mut Found) {
    choice(connection, found);
    let at = |key: &str| format!("connections.{}.{key}", connection.id);
    let max_age = connection.max_age.unwrap_or(settings.calls.max_age);
    for (key, time) in [("expire_interactive", connection.expire_interactive), ("expire_automation", connection.expire_automation)] {
        if let Some(time) = time.filter(|time| *time > max_age) {
            let (time, max_age) = (span::show(time), span::show(max_age));
            found.doubtful(at(key), format!("is {time}, but no call waits longer than `max_age` ({max_age}): raise that, too, or make this one shorter"));
        }
    }
    for (i, rule) in connection.after.iter().enumerate() {
        after_rule(connection, i, rule, max_age, found);
    }
}

fn choice(connection: &Connection, found: &mut Found) {
    let at = |key: &str| format!("connections.{}.{key}", connection.id);
    match (connection.line_choice == LineChoice::Owner, connection.owners.is_empty()) {
        (true, true) => found.doubtful(at("line_choice"), "is \"owner\", but `owners` names no line for anybody: the first free line is taken"),
        (false, false) => found.doubtful(at("owners"), "has no effect without line_choice = \"owner\": the lines are chosen as if it were not there"),
        _ => {}
    }
    let mut seen = BTreeSet::new();
    for line in connection.lines.iter().filter(|line| !seen.insert(*line)) {
        found.doubtful(at("lines"), format!("names `{line}` twice; once is enough, a line gets no more calls by it"));
    }
}

/// More follow-ups than anybody wants of one wish.
const MOST_AGAIN: u32 = 100;

fn after_rule(connection: &Connection, i: usize, rule: &AfterRule, max_age: Duration, found: &mut Found) {
    let whole = format!("connections.{}.after.{i}", connection.id);
    let at = |key: &str| format!("{whole}.{key}");
    let acts = rule.again.is_some() || rule.do_not_call || !rule.set.is_empty();
    let picks = !rule.disposition.is_empty() || !rule.interest.is_empty();
    match (picks, acts) {
        (_, false) => found.doubtful(&whole, "does nothing: give `again`, `do_not_call` or `set`, or take the entry out"),
        (false, true) if rule.do_not_call => {
            found.doubtful(at("do_not_call"), "has neither `disposition` nor `interest`: everybody who was called goes on the do-not-call list");
        }
        (false, true) if rule.again.is_some() => {
            found.doubtful(at("again"), "has neither `disposition` nor `interest`: also those who answered are called again");
        }
        _ => {}
    }
    if !rule.set.is_empty() && !connection.write_back.contains(&Kind::Field) {
        found.doubtful(at("set"), "is written by the kind \"field\", which is not in `write_back`: nothing but notes of your own can use it");
    }
    let Some(again) = &rule.again else { return };
    if !(1..=MOST_AGAIN).contains(&again.times) {
        found.wrong(at("again.times"), format!("must be 1 to {MOST_AGAIN}; leave `again` out to call nobody again"));
    }
    if again.wait >= max_age {
        found.wrong(at("again.in"), "is not shorter than `max_age`: the call more would be over before its time");
    }
    if again.wait.is_zero() {
        let when = if again.other_hour { "in the next hour that was not tried yet, which may be a minute away" } else { "the moment the phone has reported" };
        found.doubtful(at("again.in"), format!("is zero: the customer is called again {when}; write how long to wait, such as \"2h\""));
    }
    let learnt = connection.learn_do_not_call && rule.interest == [Interest::NotInterested];
    if rule.do_not_call || learnt {
        let why = if rule.do_not_call { "`do_not_call` of this entry" } else { "`learn_do_not_call`" };
        found.doubtful(at("again"), format!("never calls anybody: {why} puts the same number on the do-not-call list"));
    }
    let cap = connection.calls_per_number().rate().filter(|cap| cap.count == 1 && again.wait < cap.period);
    if let Some(cap) = cap.filter(|_| connection.purpose == Purpose::Advertising) {
        found.doubtful(at("again.in"), format!("is sooner than a number may be called for advertising ({cap}): the call more always waits until then"));
    }
}
