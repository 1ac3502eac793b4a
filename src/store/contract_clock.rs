//! A clock that is set back, and calls that no gate keeps: what the contract says of their times.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;

use super::contract::{Fixture, T0, after, attempt, call, gate, line, pools};
use super::contract_rules::{made, rules};
use super::*;
use crate::domain::call::{Call, Hold, Origin};
use crate::domain::id::{CallId, WorkspaceId};
use crate::domain::rate::Gcra;
use crate::domain::report::Report;
use crate::domain::rule::{OfNobody, Waits};
use crate::domain::schedule::{LinePolicy, Pause};
use crate::domain::time::Time;
use crate::domain::workspace::{Holiday, Workspace};
use crate::error::Code;

fn time(text: &str) -> Time {
    Time::parse_rfc3339(text).unwrap()
}

#[tokio::test]
async fn a_clock_that_is_set_back_an_hour_neither_loses_nor_hurries_anything() {
    let f = Fixture::new();
    f.store.set_rules(rules(|c| c.hours = vec!["08:00-17:30".parse().unwrap()]));
    let evening = time("2026-11-23T17:30:30+07:00");
    let waits = made(&f, 1, evening, false).await;
    assert!(f.store.next_calls(evening, 10).claims.is_empty());
    // An hour earlier it is open again, by the clock that is now.
    let claims = f.store.next_calls(Time(evening.0 - 3_600_000), 10).claims;
    assert_eq!(claims[0].call, waits.id);
    f.store.unclaim(&claims[0], None);
    assert!(f.store.next_calls(evening, 10).claims.is_empty(), "and set forward it is shut");
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_hurry_a_promised_call() {
    let f = Fixture::new();
    f.store.set_rules(rules(|_| {}));
    let (now, promised) = (time("2026-11-23T10:00:00+07:00"), time("2026-11-23T12:00:00+07:00"));
    let hold = Hold { code: Code::HoldAgain, since: now, until: Some(promised) };
    let expires_at = promised.plus(Duration::from_secs(3600));
    let call = Call { created_at: now, wished_at: now, hold: Some(hold), expires_at, ..call(1) };
    f.store.create_call(now, NewCall { call: Box::new(call), idempotency: None, max_queued: None }).await.unwrap();
    assert!(f.store.next_calls(now, 10).claims.is_empty());
    let back = Time(now.0 - 120_000);
    for claim in f.store.next_calls(back, 10).claims {
        let begun = f.store.begin_placing(back, claim, gate()).await.unwrap();
        assert!(matches!(begun, Begun::Hold { code: Code::HoldAgain, until: Some(until) } if until == promised), "{begun:?}");
    }
    assert!(f.store.next_calls(back, 10).claims.is_empty(), "it waits again");
    let claim = f.store.next_calls(promised, 10).claims.remove(0);
    assert!(matches!(f.store.begin_placing(promised, claim, gate()).await.unwrap(), Begun::Go(_)));
}

#[tokio::test]
async fn a_clock_that_is_set_back_frees_a_slot_in_its_own_time() {
    let f = Fixture::new();
    f.store.set_rules(rules(|_| {}));
    made(&f, 1, T0, false).await;
    made(&f, 2, T0, false).await;
    let claim = f.store.next_calls(T0, 10).claims.remove(0);
    assert!(matches!(f.store.begin_placing(T0, claim, gate()).await.unwrap(), Begun::Go(_)));
    let back = Time(T0.0 - 3_600_000);
    assert!(f.store.next_calls(back, 10).claims.is_empty(), "the phone may still talk");
    // A slot's time by the new clock, once more for what was stored, and a silent line's first probe: a third of an hour at most.
    let (mut now, mut claims) = (back, Vec::new());
    while claims.is_empty() && now < T0 {
        now = now.plus(Duration::from_secs(30));
        for claim in f.store.next_calls(now, 10).claims {
            if let Begun::Go(call) = f.store.begin_placing(now, claim, gate()).await.unwrap() {
                claims.push(call.id);
            }
        }
    }
    assert_eq!(claims, [CallId([2; 16])]);
    assert!(now.since(back) >= gate().slot_timeout && now.since(back) <= gate().slot_timeout * 4, "{:?}", now.since(back));
}

#[tokio::test]
async fn a_clock_that_is_set_back_holds_a_rate_for_one_period_once() {
    let f = Fixture::new();
    f.store.set_rules(rules(|_| {}));
    let rate = Gcra::new("6/min".parse().unwrap(), 1);
    f.store.configure(vec![LinePolicy { rate: Some(rate), ..line("a", 9) }], pools(), T0);
    for n in 1..4 {
        made(&f, n, T0, false).await;
    }
    let claim = f.store.next_calls(T0, 1).claims.remove(0);
    assert!(matches!(f.store.begin_placing(T0, claim, gate()).await.unwrap(), Begun::Go(_)));
    let (back, period) = (Time(T0.0 - 3_600_000), Duration::from_secs(10));
    assert_eq!(f.store.next_calls(back, 10).wake_at, Some(back.plus(period)));
    // The line's state is written anew meanwhile, as a report writes it: it is not the wait of the clock that is no more.
    let pause = Pause { code: Code::HoldPaused, since: T0, until: None, by: "lan".into(), detail: String::new(), key: String::new() };
    let pause = Change::PauseLine { workspace: WorkspaceId::default(), line: "a".into(), pause };
    let resume = Change::ResumeLine { workspace: WorkspaceId::default(), line: "a".into() };
    let soon = back.plus(period / 2);
    f.store.change(soon, "lan".into(), pause).await.unwrap();
    f.store.change(soon, "lan".into(), resume).await.unwrap();
    assert_eq!(f.store.next_calls(soon, 10).wake_at, Some(back.plus(period)));
    for n in 1..3 {
        let now = back.plus(period * n);
        let claim = f.store.next_calls(now, 1).claims.remove(0);
        let begun = f.store.begin_placing(now, claim, gate()).await.unwrap();
        assert!(matches!(begun, Begun::Go(_)), "{n}: {begun:?}");
        assert!(f.store.next_calls(now, 10).claims.is_empty(), "and no faster than the rate");
    }
}

#[tokio::test]
async fn a_day_off_of_the_workspace_holds_calls_of_no_connection() {
    let f = Fixture::new();
    let off: Holiday = "2026-11-23".parse().unwrap();
    let workspace = Workspace { holidays: vec![off], ..Workspace::default() };
    f.store.set_rules(Rules::Said { connections: HashMap::new(), nobody: OfNobody::new(Waits::default(), &[workspace]) });
    let today = time("2026-11-23T10:00:00+07:00");
    let expires_at = today.plus(Duration::from_secs(86_400 * 2));
    let call = Call { connection: None, origin: Origin::Api { key: "erp".into() }, created_at: today, wished_at: today, expires_at, ..call(1) };
    f.store.create_call(today, NewCall { call: Box::new(call), idempotency: None, max_queued: None }).await.unwrap();
    let tomorrow = time("2026-11-24T00:00:00+07:00");
    let claim = f.store.next_calls(today, 10).claims.remove(0);
    let begun = f.store.begin_placing(today, claim, gate()).await.unwrap();
    assert!(matches!(begun, Begun::Hold { code: Code::HoldHoliday, until: Some(until) } if until == tomorrow), "{begun:?}");
    assert!(f.store.next_calls(today, 10).claims.is_empty(), "it is not looked at again and again");
    let claim = f.store.next_calls(tomorrow, 10).claims.remove(0);
    assert!(matches!(f.store.begin_placing(tomorrow, claim, gate()).await.unwrap(), Begun::Go(_)));
}

#[tokio::test]
async fn a_phone_that_reported_after_the_clock_was_set_back_is_left_its_moment() {
    let f = Fixture::new();
    f.store.set_rules(rules(|_| {}));
    let id = f.placing(1, T0).await;
    made(&f, 2, T0, false).await;
    let back = Time(T0.0 - 3_600_000);
    assert!(f.store.next_calls(back, 10).claims.is_empty(), "noticed");
    let reported = back.plus(Duration::from_secs(9));
    f.store.report(reported, id, Bytes::from_static(b"{}"), Some(Report::default()), after()).await.unwrap();
    let ready = reported.plus(after().settle);
    assert!(ready > back.plus(Duration::from_secs(10)), "the test would show nothing");
    assert!(f.store.next_calls(Time(ready.0 - 1), 10).claims.is_empty(), "the phone is not ready yet");
    assert_eq!(f.store.next_calls(ready, 10).claims.len(), 1);
}

#[tokio::test]
async fn a_trouble_that_comes_again_after_the_clock_was_set_back_holds() {
    let f = Fixture::new();
    f.store.set_rules(rules(|_| {}));
    let id = f.placing(1, T0).await;
    let second = || Attempt { number: 2, ..attempt(2) };
    let trouble = |since: Time| {
        let until = Some(since.plus(Duration::from_secs(900)));
        Pause { code: Code::Dialer2116, since, until, by: String::new(), detail: String::new(), key: String::new() }
    };
    f.end(id, Placing::LineTrouble { pause: trouble(T0) }, T0).await;
    let mut now = Time(T0.0 - 3_600_000);
    // The pause of the clock that is no more is over: a probe may go, which finds the same trouble.
    let claim = f.store.next_calls(now, 10).claims.remove(0);
    assert!(matches!(f.store.begin_placing(now, claim, gate()).await.unwrap(), Begun::Go(_)));
    f.store.end_placing(now, id, Placing::LineTrouble { pause: trouble(now) }, second(), after()).await.unwrap();
    now = now.plus(Duration::from_secs(60));
    assert!(f.store.next_calls(now, 10).claims.is_empty(), "it is paused by the clock that is now");
    // The dialer as a whole likewise.
    let f = Fixture::new();
    f.store.set_rules(rules(|_| {}));
    let id = f.placing(1, T0).await;
    let not_sent = |now: Time| Placing::NotSent { code: Code::DialerUnreachable, dialer_until: Some(now.plus(Duration::from_secs(60))) };
    f.end(id, not_sent(T0), T0).await;
    let now = Time(T0.0 - 3_600_000);
    let claim = f.store.next_calls(now, 10).claims.remove(0);
    assert!(matches!(f.store.begin_placing(now, claim, gate()).await.unwrap(), Begun::Go(_)));
    f.store.end_placing(now, id, not_sent(now), second(), after()).await.unwrap();
    assert!(f.store.next_calls(now.plus(Duration::from_secs(30)), 10).claims.is_empty(), "nobody asks the dialer again at once");
}
