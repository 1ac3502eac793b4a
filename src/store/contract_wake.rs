//! What every store must do about calls that the rules held: they go as soon as what held them is gone, not at the time that was said.

use std::collections::HashMap;
use std::time::Duration;

use super::contract::{Fixture, T0, after, at, attempt, call, gate, line, pools};
use super::contract_rules::{made, rules};
use super::*;
use crate::domain::call::{Call, Origin, State};
use crate::domain::connection::Connection;
use crate::domain::id::CallId;
use crate::domain::pool::{Pool, PoolId};
use crate::domain::rule::{OfNobody, Waits};
use crate::domain::schedule::Pause;
use crate::domain::time::Time;
use crate::domain::workspace::Workspace;
use crate::error::Code;

fn capped(count: u32) -> Rules {
    rules(|c: &mut Connection| c.max_per_number = Some(format!("{count}/24h").parse().unwrap()))
}

fn two_lines(f: &Fixture) {
    let pool = Pool::first(PoolId::Connection("c".into()), vec!["a".into(), "b".into()]);
    f.store.configure(vec![line("a", 1), line("b", 1)], vec![pool], T0);
}

/// A call to the one number, over this line only.
async fn over(f: &Fixture, n: u8, line: &str) -> CallId {
    let call = Call { lines: vec![line.into()], expires_at: at(86_400), ..call(n) };
    f.store.create_call(T0, NewCall { call: Box::new(call), idempotency: None, max_queued: None }).await.unwrap();
    CallId([n; 16])
}

async fn begin(f: &Fixture, claim: Claim, now: Time) -> Begun {
    f.store.begin_placing(now, claim, gate()).await.unwrap()
}

/// The calls that go now, over which line each; what is only held again is no news.
async fn go(f: &Fixture, now: Time) -> Vec<(CallId, String)> {
    let mut went = Vec::new();
    loop {
        let claims = f.store.next_calls(now, 10).claims;
        if claims.is_empty() {
            return went;
        }
        for claim in claims {
            if let Begun::Go(call) = begin(f, claim.clone(), now).await {
                went.push((call.id, claim.line.to_string()));
            }
        }
    }
}

fn bad_key() -> Placing {
    Placing::LineTrouble { pause: Pause { code: Code::Dialer2117, since: at(4), until: None, by: String::new(), detail: String::new(), key: String::new() } }
}

#[tokio::test]
async fn a_placing_that_is_taken_back_lets_the_call_go_that_the_cap_held() {
    let f = Fixture::new();
    two_lines(&f);
    f.store.set_rules(capped(1));
    let (first, second) = (over(&f, 1, "a").await, over(&f, 2, "b").await);
    assert_eq!(go(&f, T0).await, [(first, "a".to_owned())]);
    assert_eq!(f.call(second).hold.map(|hold| (hold.code, hold.until)), Some((Code::HoldCap, Some(at(86_400)))));
    assert!(f.store.next_calls(at(3), 10).claims.is_empty(), "it is not asked about again and again");
    let mut woken = std::pin::pin!(f.store.wake(Wake::Placing).notified());
    woken.as_mut().enable();
    f.end(first, bad_key(), at(4)).await;
    tokio::time::timeout(Duration::from_secs(1), woken).await.expect("the placing loop looks again");
    assert_eq!(go(&f, at(4)).await, [(second, "b".to_owned())], "nobody was called: it is the other one's turn");
    let moved = f.call(second);
    assert_eq!((moved.state, moved.hold), (State::Placing, None));
    f.end(second, Placing::Taken, at(5)).await;
}

#[tokio::test]
async fn a_placing_that_is_taken_back_while_the_cap_is_being_told_lets_it_go_too() {
    let f = Fixture::new();
    two_lines(&f);
    f.store.set_rules(capped(1));
    let (first, second) = (over(&f, 1, "a").await, over(&f, 2, "b").await);
    let claims = f.store.next_calls(T0, 10).claims;
    assert!(matches!(begin(&f, claims[0].clone(), T0).await, Begun::Go(_)));
    // One after the other in the store, but the first one's caller hears of it after both.
    let (held, _) = tokio::join!(begin(&f, claims[1].clone(), at(4)), f.store.end_placing(at(4), first, bad_key(), attempt(1), after()));
    assert!(matches!(held, Begun::Hold { code: Code::HoldCap, .. }), "{held:?}");
    assert_eq!(go(&f, at(4)).await, [(second, "b".to_owned())]);
}

#[tokio::test]
async fn a_higher_cap_lets_go_what_the_old_one_held_also_after_a_restart() {
    for restart in [false, true] {
        let mut f = Fixture::new();
        f.store.set_rules(capped(1));
        let first = f.placing(1, T0).await;
        f.end(first, Placing::Taken, at(1)).await;
        f.store.report(at(2), first, bytes::Bytes::from_static(b"{}"), None, after()).await.unwrap();
        let second = made(&f, 2, at(9), false).await.id;
        assert_eq!(go(&f, at(10)).await, []);
        if restart {
            f = f.reopened();
        }
        f.store.set_rules(capped(1));
        assert_eq!(go(&f, at(11)).await, [], "the same rules say the same");
        let hold = f.call(second).hold.unwrap();
        assert_eq!((hold.code, hold.since, hold.until), (Code::HoldCap, at(10), Some(at(86_400))), "nothing was written anew");
        assert_eq!(f.store.waiting(&"a".into()), LineQueue { ready: 0, later: 1 });
        if restart {
            f = f.reopened();
        }
        f.store.set_rules(capped(5));
        assert_eq!(go(&f, at(12)).await, [(second, "a".to_owned())]);
    }
}

#[tokio::test]
async fn a_day_off_that_is_taken_out_holds_nobody_s_call_no_longer() {
    let f = Fixture::new();
    let nobody = |days: &[&str]| {
        let workspace = Workspace { holidays: days.iter().map(|day| day.parse().unwrap()).collect(), ..Workspace::default() };
        Rules::Said { connections: HashMap::new(), nobody: OfNobody::new(Waits::default(), &[workspace]) }
    };
    f.store.configure(vec![line("a", 1)], pools(), T0);
    f.store.set_rules(nobody(&["2026-11-22"]));
    let call = Call { connection: None, origin: Origin::Api { key: "erp".into() }, expires_at: at(86_400), ..call(1) };
    f.store.create_call(T0, NewCall { call: Box::new(call), idempotency: None, max_queued: None }).await.unwrap();
    assert_eq!(go(&f, T0).await, []);
    f.store.set_rules(nobody(&[]));
    assert_eq!(go(&f, T0).await, [(CallId([1; 16]), "a".to_owned())]);
}
