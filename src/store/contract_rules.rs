//! What every store must do about rules: hours, caps, the do-not-call list, the brake.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::contract::{Fixture, T0, after, at, attempt, call, gate, line, mapped, pools};
use super::*;
use crate::domain::alert::AlertKind;
use crate::domain::call::{Call, State};
use crate::domain::connection::{Connection, Mode, Purpose};
use crate::domain::dnc::{Note, Scope, Source};
use crate::domain::holiday::Calendar;
use crate::domain::id::{CallId, ConnectionId, WorkspaceId};
use crate::domain::phone::{self, Phone};
use crate::domain::pool::{Pool, PoolId};
use crate::domain::rate::Limit;
use crate::domain::report::Report;
use crate::domain::rule::{OfNobody, Policy, Waits};
use crate::domain::schedule::LinePolicy;
use crate::domain::time::Time;
use crate::error::Code;

/// The rules of the one connection `c`, changed as a test wants them.
pub(super) fn rules(change: impl FnOnce(&mut Connection)) -> Rules {
    let mut connection = Connection::new("c".into(), "p");
    connection.max_new_calls = Limit::Off;
    change(&mut connection);
    let policy = Policy::of(&connection, None, &Calendar::read("vietnam").unwrap(), Waits::default());
    Rules::Said { connections: HashMap::from([(ConnectionId::new("c"), Arc::new(policy))]), nobody: OfNobody::default() }
}

fn main() -> WorkspaceId {
    WorkspaceId::default()
}

fn number() -> Phone {
    phone::normalise("0912345678").unwrap()
}

fn note() -> Note {
    Note { source: Source::Own, scope: Scope::All, by: "lan".into(), at: T0, why: "asked for it".into() }
}

fn two_lines(f: &Fixture) {
    let pool = Pool::first(PoolId::Connection("c".into()), vec!["a".into(), "b".into()]);
    f.store.configure(vec![line("a", 1), line("b", 1)], vec![pool], T0);
}

/// T0 is Saturday 2026-11-22 … whatever the day: these tests say their times themselves.
fn time(text: &str) -> Time {
    Time::parse_rfc3339(text).unwrap()
}

pub(super) async fn made(f: &Fixture, n: u8, now: Time, interactive: bool) -> Call {
    let mut call = Call { created_at: now, wished_at: now, interactive, ..call(n) };
    let rules = f.store.rules_for_tests();
    if let Some(policy) = rules.of(call.connection.as_ref(), &call.workspace) {
        call.expires_at = policy.expires(interactive, now, now);
    }
    f.store.create_call(now, NewCall { call: Box::new(call), idempotency: None, max_queued: None }).await.unwrap();
    f.call(CallId([n; 16]))
}

#[tokio::test]
async fn two_lines_cannot_both_pass_the_cap_of_one_number() {
    let f = Fixture::new();
    two_lines(&f);
    f.store.set_rules(rules(|c| c.max_per_number = Some("1/24h".parse().unwrap())));
    let (first, second) = (f.queued(1).await, f.queued(2).await);
    let claims = f.store.next_calls(T0, 10).claims;
    assert_eq!(claims.len(), 2, "both lines are free, and nothing but the step knows the number");
    let both = tokio::join!(f.store.begin_placing(T0, claims[0].clone(), gate()), f.store.begin_placing(T0, claims[1].clone(), gate()));
    let (went, held) = match both {
        (Ok(Begun::Go(_)), Ok(Begun::Hold { code, until })) => (first, (code, until)),
        (Ok(Begun::Hold { code, until }), Ok(Begun::Go(_))) => (second, (code, until)),
        other => panic!("{other:?}"),
    };
    assert_eq!(held, (Code::HoldCap, Some(at(86_400))));
    let waits = if went == first { second } else { first };
    assert_eq!(f.call(waits).hold.map(|hold| (hold.code, hold.until)), Some(held), "a person can see it");
    let f = f.reopened();
    two_lines(&f);
    f.store.set_rules(rules(|c| c.max_per_number = Some("1/24h".parse().unwrap())));
    let claim = f.store.next_calls(at(86_399), 10).claims.remove(0);
    let begun = f.store.begin_placing(at(86_399), claim, gate()).await.unwrap();
    assert!(matches!(begun, Begun::Hold { code: Code::HoldCap, .. }), "not hurried by a restart: {begun:?}");
    assert!(f.store.next_calls(at(86_399), 10).claims.is_empty());
    assert_eq!(f.store.next_calls(at(86_400), 10).claims.len(), 1);
}

#[tokio::test]
async fn what_was_surely_not_sent_does_not_count_for_the_number() {
    let f = Fixture::new();
    f.store.set_rules(rules(|c| c.max_per_number = Some("1/24h".parse().unwrap())));
    let id = f.placing(1, T0).await;
    f.end(id, Placing::NotSent { code: Code::DialerUnreachable, dialer_until: None }, at(1)).await;
    let claim = f.store.next_calls(at(2), 1).claims.remove(0);
    assert!(matches!(f.store.begin_placing(at(2), claim, gate()).await.unwrap(), Begun::Go(_)));
    f.end(id, Placing::Taken, at(3)).await;
    let second = made(&f, 2, at(4), false).await;
    assert_eq!(second.state, State::Queued);
    let policy = f.store.rules_for_tests().of(Some(&"c".into()), &main()).unwrap();
    assert_eq!(f.store.history(&main(), &number(), &policy, at(4)).unwrap().placed, [at(2)]);
}

#[tokio::test]
async fn advertising_refuses_a_second_call_at_once_and_the_reason_is_due_on_the_record() {
    let f = Fixture::new();
    f.store.set_rules(rules(|c| c.purpose = Purpose::Advertising));
    let now = time("2026-11-23T09:00:00+07:00");
    let refused = made(&f, 1, now, false).await;
    assert_eq!((refused.state, refused.refusal), (State::Refused, Some(Code::MissingConsent)));
    assert_eq!(f.store.take_tasks(TaskKind::WriteBack, now, 10).unwrap().len(), 1);
    assert_eq!((f.counter("calls.state.refused"), f.counter("calls.origin.item")), (1, 1));
    let f2 = Fixture::new();
    f2.store.set_rules(rules(|c| {
        c.purpose = Purpose::Advertising;
        c.write_back_unreported = false;
    }));
    for (n, expected) in [(1, None), (2, Some(Code::NumberCap))] {
        let call = Call { created_at: now, wished_at: now, consent: Some(true), ..call(n) };
        f2.store.create_call(now, NewCall { call: Box::new(call), idempotency: None, max_queued: None }).await.unwrap();
        assert_eq!(f2.call(CallId([n; 16])).refusal, expected);
        if let Some(claim) = f2.store.next_calls(now, 1).claims.pop() {
            assert!(matches!(f2.store.begin_placing(now, claim, gate()).await.unwrap(), Begun::Go(_)));
        }
    }
    assert_eq!(f2.store.take_tasks(TaskKind::WriteBack, now, 10).unwrap().len(), 0, "this connection does not want to hear");
}

#[tokio::test]
async fn a_call_outside_its_hours_waits_until_they_open() {
    let f = Fixture::new();
    f.store.set_rules(rules(|c| c.hours = vec!["Mon-Fri 08:00-17:30".parse().unwrap()]));
    let saturday = time("2026-11-28T10:00:00+07:00");
    let waits = made(&f, 1, saturday, false).await;
    let opens = time("2026-11-30T08:00:00+07:00");
    let next = f.store.next_calls(saturday, 10);
    assert_eq!((next.claims.len(), next.wake_at), (0, Some(opens)));
    assert!(f.store.sweep(opens, SweepPolicy::default()).await.unwrap().expired.is_empty(), "the weekend is not its time");
    let f = f.reopened();
    f.store.set_rules(rules(|c| c.hours = vec!["Mon-Fri 08:00-17:30".parse().unwrap()]));
    assert!(f.store.next_calls(Time(opens.0 - 1), 10).claims.is_empty());
    assert_eq!(f.store.next_calls(opens, 10).claims[0].call, waits.id);
    let click = made(&f, 2, saturday, true).await;
    assert_eq!((click.state, click.refusal), (State::Refused, Some(Code::RefusedDay)), "someone who waits hears it at once");
}

#[tokio::test]
async fn the_clock_of_expiry_counts_open_hours_only() {
    let f = Fixture::new();
    let hours = |c: &mut Connection| {
        c.hours = vec!["Mon-Fri 08:00-16:00".parse().unwrap()];
        c.expire_automation = Some(Duration::from_secs(10 * 3600));
    };
    f.store.set_rules(rules(hours));
    let waits = made(&f, 1, time("2026-11-27T15:00:00+07:00"), false).await;
    assert_eq!(waits.expires_at, time("2026-12-01T09:00:00+07:00"));
    // Shorter days make it longer: the sweep asks the calendar again.
    f.store.set_rules(rules(|c| {
        hours(c);
        c.hours = vec!["Mon-Fri 08:00-12:00".parse().unwrap()];
    }));
    assert!(f.store.sweep(time("2026-12-01T09:00:00+07:00"), SweepPolicy::default()).await.unwrap().expired.is_empty());
    assert_eq!(f.call(waits.id).expires_at, time("2026-12-02T10:00:00+07:00"));
    assert_eq!(f.store.sweep(time("2026-12-02T10:00:00+07:00"), SweepPolicy::default()).await.unwrap().expired, [waits.id]);
}

#[tokio::test]
async fn the_brake_holds_what_is_too_much_until_a_person_lets_it_go() {
    let f = Fixture::new();
    let braked = || rules(|c| c.max_new_calls = "2/h".parse().unwrap());
    f.store.set_rules(braked());
    for n in 1..=4 {
        made(&f, n, T0, false).await;
    }
    let click = made(&f, 5, T0, true).await;
    assert_eq!(click.hold, None, "somebody's own click is no import");
    let held = |f: &Fixture| {
        f.store.queued_after(None, 10).unwrap().iter().filter(|c| c.hold.is_some_and(|h| h.code == Code::HoldBrake)).map(|c| c.id).collect::<Vec<_>>()
    };
    assert_eq!(held(&f), [CallId([3; 16]), CallId([4; 16])]);
    let f = f.reopened();
    f.store.set_rules(braked());
    let policy = f.store.rules_for_tests().of(Some(&"c".into()), &main()).unwrap();
    assert_eq!(f.store.brake_room(&policy, at(3500)).unwrap(), Some(0));
    let mut went = Vec::new();
    while let Some(claim) = f.store.next_calls(at(10), 1).claims.pop() {
        went.push(claim.call);
        f.store.unclaim(&claim, Some(at(10_000)));
    }
    assert_eq!(went.len(), 3, "{went:?}");
    assert!(f.store.sweep(at(86_400 * 2), SweepPolicy::default()).await.unwrap().expired.len() == 3, "a braked call's clock stands still");
    let change = |change| f.store.change(at(20), "lan".into(), change);
    assert_eq!(change(Change::Release { calls: vec![CallId([3; 16]), CallId([1; 16])] }).await.unwrap(), Changed::Count(1));
    let open = |f: &Fixture| f.store.alerts().unwrap().iter().any(|alert| alert.kind == AlertKind::Brake && alert.is_open());
    assert!(open(&f), "one more waits for a person");
    assert_eq!(f.store.next_calls(at(21), 10).claims.iter().map(|c| c.call).collect::<Vec<_>>(), [CallId([3; 16])]);
    assert_eq!(change(Change::CancelAll { calls: held(&f) }).await.unwrap(), Changed::Count(1));
    assert_eq!(f.call(CallId([4; 16])).state, State::Cancelled);
    assert!(!open(&f), "none is held any more");
}

#[tokio::test]
async fn a_number_on_the_list_is_refused_when_made_when_waiting_and_when_claimed() {
    let f = Fixture::new();
    f.store.set_rules(rules(|_| {}));
    let (claimed, waiting) = (f.queued(1).await, f.queued(2).await);
    let claim = f.store.next_calls(T0, 1).claims.remove(0);
    assert_eq!(claim.call, claimed);
    let id = f.store.dnc_note(main(), note(), 2).await.unwrap();
    assert_eq!(f.store.dnc_add(&main(), &[84_912_345_678, 84_912_345_679], id, Scope::All).await.unwrap(), 2);
    assert!(matches!(f.store.begin_placing(at(1), claim, gate()).await.unwrap(), Begun::Refused { code: Code::DoNotCall }));
    assert_eq!(f.store.refuse_listed(at(2), vec![claimed, waiting]).await.unwrap(), 1);
    for id in [claimed, waiting] {
        assert_eq!((f.call(id).state, f.call(id).refusal), (State::Refused, Some(Code::DoNotCall)));
    }
    assert_eq!(made(&f, 3, at(3), false).await.refusal, Some(Code::DoNotCall));
    assert_eq!(f.counter("calls.state.refused"), 3);
    let f = f.reopened();
    assert_eq!(f.store.dnc_of(&main(), &number()).unwrap(), Some(note()));
    assert_eq!(f.store.dnc_of(&"other".into(), &number()).unwrap(), None, "a list belongs to its workspace");
    for gone in [1, 0] {
        assert_eq!(f.store.dnc_remove(T0, "lan".into(), &main(), &[number()]).await.unwrap(), gone);
    }
    let trail: Vec<(String, String)> = f.store.audit(2).unwrap().into_iter().map(|entry| (entry.actor, entry.change)).collect();
    assert_eq!(trail.iter().map(|(actor, _)| actor.as_str()).collect::<Vec<_>>(), ["lan", "lan"]);
    let mut said: Vec<&str> = trail.iter().map(|(_, change)| change.as_str()).collect();
    said.sort_unstable();
    let (put, took) = (
        "put 2 numbers on the do-not-call list of main (note 1, binds every call): asked for it",
        "took 1 number off the do-not-call list of main: +84912345678",
    );
    assert_eq!(said, [put, took]);
    assert_eq!(f.counter("dnc.numbers"), 1);
    assert_eq!(made(&f, 4, at(4), false).await.state, State::Queued);
}

#[tokio::test]
async fn the_list_is_read_in_pages_and_the_stricter_note_stays() {
    let f = Fixture::new();
    let national = Note { source: Source::Import, scope: Scope::Advertising, ..note() };
    let (own, import) = (f.store.dnc_note(main(), note(), 2).await.unwrap(), f.store.dnc_note(main(), national.clone(), 0).await.unwrap());
    let numbers: Vec<u64> = (0..5000).map(|n| 84_900_000_000 + n * 977).collect();
    assert_eq!(f.store.dnc_add(&main(), &numbers, import, Scope::Advertising).await.unwrap(), 5000);
    assert_eq!(f.store.dnc_add(&main(), &numbers[10..20], own, Scope::All).await.unwrap(), 0);
    assert_eq!(f.store.dnc_add(&main(), &numbers, import, Scope::Advertising).await.unwrap(), 0, "an import again changes nothing");
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = f.store.dnc_list(&main(), after, 700).unwrap();
        let Some(last) = page.last() else { break };
        after = Some(crate::domain::dnc::digits(&last.phone));
        seen.extend(page.into_iter().map(|entry| (crate::domain::dnc::digits(&entry.phone), entry.note.scope)));
    }
    let expected: Vec<(u64, Scope)> =
        numbers.iter().enumerate().map(|(i, n)| (*n, if (10..20).contains(&i) { Scope::All } else { Scope::Advertising })).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn an_import_is_taken_back_and_what_stood_there_before_stands_again() {
    let f = Fixture::new();
    let import = |scope| Note { source: Source::Import, scope, ..note() };
    let numbers: Vec<u64> = (0..5000).map(|n| 84_900_000_000 + n * 977).collect();
    let (national, wrong) =
        (f.store.dnc_note(main(), import(Scope::Advertising), 0).await.unwrap(), f.store.dnc_note(main(), import(Scope::All), 0).await.unwrap());
    f.store.dnc_add(&main(), &numbers[..10], national, Scope::Advertising).await.unwrap();
    assert_eq!(f.store.dnc_add(&main(), &numbers, wrong, Scope::All).await.unwrap(), 4990);
    assert_eq!((f.store.dnc_count(&main(), wrong).unwrap(), f.store.dnc_count(&main(), national).unwrap()), (5000, 0));
    assert_eq!(f.store.dnc_undo(at(5), "lan".into(), &main(), wrong).await.unwrap(), 4990);
    let f = f.reopened();
    let left = f.store.dnc_list(&main(), None, 100).unwrap();
    assert_eq!(left.iter().map(|entry| (entry.id, entry.note.scope)).collect::<Vec<_>>(), [(national, Scope::Advertising); 10]);
    assert_eq!((f.counter("dnc.numbers"), f.store.dnc_undo(at(6), "lan".into(), &main(), wrong).await.unwrap()), (10, 0));
    let said: Vec<String> = f.store.audit(10).unwrap().into_iter().map(|entry| entry.change).collect();
    assert!(said.contains(&"takes import 2 back: 5000 numbers of the do-not-call list of main".to_owned()), "{said:#?}");
}

#[tokio::test]
async fn a_customer_who_was_not_interested_is_learnt_where_that_is_switched_on() {
    let f = Fixture::new();
    f.store.set_rules(rules(|_| {}));
    let id = f.placing(1, T0).await;
    f.store.end_placing(T0, id, Placing::Taken, attempt(1), AfterReport::default()).await.unwrap();
    let report = crate::domain::report::Report::read(br#"{"CallDetail":{"AnswerDuration":5,"ResponseStatus":2}}"#).unwrap();
    let learning = AfterReport { learn_do_not_call: true, ..after() };
    f.store.report(at(5), id, bytes::Bytes::from("{}"), Some(report), learning).await.unwrap();
    let learnt = f.store.dnc_of(&main(), &number()).unwrap().unwrap();
    assert_eq!((learnt.source, learnt.scope), (Source::Learned, Scope::All));
    assert!(learnt.why.contains(&id.to_string()), "{learnt:?}");
}

#[tokio::test]
async fn a_connection_set_to_test_never_reaches_the_customer_of_a_call_that_waited() {
    let f = Fixture::new();
    f.store.set_rules(rules(|_| {}));
    let id = f.queued(1).await;
    f.store.set_rules(rules(|c| {
        c.mode = Mode::Test;
        c.test_phone = Some("0987654321".into());
    }));
    let claim = f.store.next_calls(T0, 1).claims.remove(0);
    let Begun::Go(call) = f.store.begin_placing(T0, claim, gate()).await.unwrap() else { panic!() };
    assert_eq!((call.id, call.is_test(), call.test_phone.map(|p| p.national())), (id, true, Some("0987654321".into())));
    let policy = f.store.rules_for_tests().of(Some(&"c".into()), &main()).unwrap();
    assert!(f.store.history(&main(), &number(), &policy, T0).unwrap().placed.is_empty(), "the customer was not called");
    f.store.set_rules(rules(|c| c.mode = Mode::Off));
    let waits = f.event(3).await;
    f.store.take_tasks(TaskKind::Map, T0, 10).unwrap();
    f.store.finish_map(T0, waits, vec![mapped(3, 0)]).await.unwrap();
    assert!(f.store.next_calls(at(1000), 10).claims.is_empty());
}

/// A call to a customer who agreed to be called.
async fn agreed(f: &Fixture, n: u8, now: Time) -> CallId {
    let call = Call { created_at: now, wished_at: now, consent: Some(true), ..call(n) };
    f.store.create_call(now, NewCall { call: Box::new(call), idempotency: None, max_queued: None }).await.unwrap();
    CallId([n; 16])
}

#[tokio::test]
async fn three_texts_a_day_to_one_number_hold_the_next_advertising_call() {
    let f = Fixture::new();
    let advertising = |c: &mut Connection| {
        c.purpose = Purpose::Advertising;
        c.max_per_number = Some(Limit::Off);
        c.hours = vec!["00:00-24:00".parse().unwrap()];
    };
    f.store.set_rules(rules(advertising));
    let texted = Report { send_sms: true, sms_content: "[QC] …".into(), ..Report::default() };
    for n in 1..=3u8 {
        let now = at(u64::from(n) * 600);
        let id = agreed(&f, n, now).await;
        let claim = f.store.next_calls(now, 9).claims.remove(0);
        assert!(matches!(f.store.begin_placing(now, claim, gate()).await.unwrap(), Begun::Go(_)));
        f.end(id, Placing::Taken, now).await;
        let after = AfterReport { body_digest: format!("d{n}"), ..AfterReport::default() };
        f.store.report(now, id, Bytes::from_static(b"{}"), Some(texted.clone()), after.clone()).await.unwrap();
        let again = AfterReport { body_digest: format!("again{n}"), ..after };
        f.store.report(now, id, Bytes::from_static(b"{} "), Some(texted.clone()), again).await.unwrap();
    }
    let fourth = agreed(&f, 4, at(1_999)).await;
    let claim = f.store.next_calls(at(2_000), 9).claims.remove(0);
    let held = f.store.begin_placing(at(2_000), claim, gate()).await.unwrap();
    assert!(matches!(held, Begun::Hold { code: Code::HoldSms, until: Some(until) } if until == at(600 + 86_400)), "{held:?}");
    let waits = f.call(fourth);
    assert_eq!(waits.hold.map(|hold| (hold.code, hold.until)), Some((Code::HoldSms, Some(at(600 + 86_400)))), "a person can see it");
    assert!(waits.expires_at > at(600 + 86_400), "the wait is not its own time");
    let f = f.reopened();
    f.store.set_rules(rules(advertising));
    let claim = f.store.next_calls(at(2_001), 9).claims.remove(0);
    let begun = f.store.begin_placing(at(2_001), claim, gate()).await.unwrap();
    assert!(matches!(begun, Begun::Hold { code: Code::HoldSms, .. }), "{begun:?}");
    assert!(f.store.next_calls(at(2_001), 9).claims.is_empty());
    assert_eq!(f.store.next_calls(at(600 + 86_400), 9).claims.len(), 1, "a day after the first");
}

#[tokio::test]
async fn a_used_up_month_is_told_and_is_over_when_the_line_places_again() {
    let f = Fixture::new();
    let quota = |n| vec![LinePolicy { monthly_quota: Some(n), ..line("a", 1) }];
    f.store.configure(quota(1), pools(), T0);
    let id = f.placing(1, T0).await;
    let open = |f: &Fixture| f.store.alerts().unwrap().iter().find(|alert| alert.is_open()).map(|alert| (alert.kind, alert.code));
    assert_eq!(open(&f), Some((AlertKind::LinePaused, Code::HoldQuota)));
    f.end(id, Placing::Taken, at(1)).await;
    f.store.report(at(2), id, Bytes::from_static(b"{}"), None, after()).await.unwrap();
    f.store.configure(quota(9), pools(), T0);
    f.placing(2, at(10)).await;
    assert_eq!(open(&f), None);
}
