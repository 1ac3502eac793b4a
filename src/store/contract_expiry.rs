//! What every store must do about the time of a call of automation: only what was its own counts, to the second.

use std::time::Duration;

use super::contract::{Fixture, T0, after, at, attempt, gate, line};
use super::contract_rules::{made, rules};
use super::*;
use crate::domain::call::State;
use crate::domain::connection::Purpose;
use crate::domain::id::{CallId, WorkspaceId};
use crate::domain::pool::{Pool, PoolId};
use crate::domain::schedule::{Pause, Stopped};
use crate::error::Code;

const HOUR: u64 = 3600;

fn two_lines(f: &Fixture) {
    let pool = Pool::first(PoolId::Connection("c".into()), vec!["a".into(), "b".into()]);
    f.store.configure(vec![line("a", 1), line("b", 1)], vec![pool], T0);
}

async fn pause(f: &Fixture, line: &str, secs: u64) {
    let pause = Pause { code: Code::HoldPaused, since: at(secs), until: None, by: "lan".into(), detail: String::new(), key: String::new() };
    f.store.change(at(secs), "lan".into(), Change::PauseLine { workspace: WorkspaceId::default(), line: line.into(), pause }).await.unwrap();
}

async fn resume(f: &Fixture, line: &str, secs: u64) {
    f.store.change(at(secs), "lan".into(), Change::ResumeLine { workspace: WorkspaceId::default(), line: line.into() }).await.unwrap();
}

/// Lets the clocks run until then, each at its time; gives when the call expired.
async fn runs_until(f: &Fixture, id: CallId, secs: u64) -> Option<u64> {
    while let Some(next) = f.store.next_sweep_at().filter(|next| *next <= at(secs)) {
        f.store.sweep(next, SweepPolicy::default()).await.unwrap();
        if f.call(id).state == State::Expired {
            return Some(next.since(T0).as_secs());
        }
    }
    None
}

#[tokio::test]
async fn what_waits_behind_a_call_that_is_not_placed_after_all_is_woken_at_once() {
    let f = Fixture::new();
    f.store.set_rules(rules(|_| {}));
    // A click that is too old when its turn comes, and one that a rule does not let go any more.
    made(&f, 1, T0, true).await;
    made(&f, 2, T0, false).await;
    made(&f, 3, at(1), false).await;
    let woken = async |claim: Claim, now| {
        let mut woken = std::pin::pin!(f.store.wake(Wake::Placing).notified());
        woken.as_mut().enable();
        let begun = f.store.begin_placing(now, claim, gate()).await.unwrap();
        tokio::time::timeout(Duration::from_secs(1), woken).await.map(|()| begun)
    };
    let claim = f.store.next_calls(at(150), 10).claims.remove(0);
    assert_eq!(claim.call, CallId([1; 16]));
    assert!(matches!(woken(claim, at(150)).await, Ok(Begun::Gone)), "too old");
    let claim = f.store.next_calls(at(150), 10).claims.remove(0);
    assert_eq!(claim.call, CallId([2; 16]));
    f.store.set_rules(rules(|c| c.purpose = Purpose::Advertising));
    assert!(matches!(woken(claim, at(150)).await, Ok(Begun::Refused { code: Code::MissingConsent })), "refused");
    assert_eq!(f.store.next_calls(at(150), 10).claims[0].call, CallId([3; 16]));
}

#[tokio::test]
async fn a_pause_at_the_beginning_is_given_back_whole() {
    let f = Fixture::new();
    f.store.set_rules(rules(|_| {}));
    let id = made(&f, 1, T0, false).await.id;
    pause(&f, "a", 0).await;
    assert_eq!(runs_until(&f, id, 20 * HOUR).await, None);
    resume(&f, "a", 20 * HOUR).await;
    assert_eq!(runs_until(&f, id, 100 * HOUR).await, Some(44 * HOUR));
}

#[tokio::test]
async fn a_pause_over_the_end_leaves_what_was_left_before_it_also_over_a_restart() {
    let f = Fixture::new();
    f.store.set_rules(rules(|_| {}));
    let id = made(&f, 1, T0, false).await.id;
    pause(&f, "a", 20 * HOUR).await;
    assert_eq!(runs_until(&f, id, 50 * HOUR).await, None, "it waits as long as the pause lasts");
    let f = f.reopened();
    f.store.set_rules(rules(|_| {}));
    resume(&f, "a", 50 * HOUR).await;
    assert_eq!(runs_until(&f, id, 200 * HOUR).await, Some(54 * HOUR));
}

#[tokio::test]
async fn a_call_whose_other_line_was_free_gets_nothing_back() {
    let f = Fixture::new();
    two_lines(&f);
    f.store.set_rules(rules(|_| {}));
    let id = made(&f, 1, T0, false).await.id;
    pause(&f, "a", 0).await;
    pause(&f, "b", 5 * HOUR).await;
    resume(&f, "a", 8 * HOUR).await;
    resume(&f, "b", 9 * HOUR).await;
    assert_eq!(runs_until(&f, id, 100 * HOUR).await, Some(27 * HOUR), "both were paused for three hours");
}

#[tokio::test]
async fn the_stop_button_and_a_pause_that_overlap_count_once() {
    let f = Fixture::new();
    f.store.set_rules(rules(|_| {}));
    let id = made(&f, 1, T0, false).await.id;
    pause(&f, "a", HOUR).await;
    f.store.change(at(2 * HOUR), "lan".into(), Change::StopAll(Stopped { by: "lan".into(), since: at(2 * HOUR), reason: String::new() })).await.unwrap();
    resume(&f, "a", 3 * HOUR).await;
    f.store.change(at(5 * HOUR), "lan".into(), Change::ResumeAll).await.unwrap();
    assert_eq!(runs_until(&f, id, 100 * HOUR).await, Some(28 * HOUR));
}

#[tokio::test]
async fn nothing_waits_longer_than_its_age_allows() {
    let f = Fixture::new();
    f.store.set_rules(rules(|c| c.max_age = Some(Duration::from_secs(48 * HOUR))));
    let id = made(&f, 1, T0, false).await.id;
    pause(&f, "a", 0).await;
    assert_eq!(runs_until(&f, id, 100 * HOUR).await, Some(48 * HOUR));
}

/// A number that was called at T0 and is wished again an hour later, with a cap of one a day.
async fn called_an_hour_ago(f: &Fixture) -> CallId {
    f.store.set_rules(rules(|c| c.max_per_number = Some("1/24h".parse().unwrap())));
    let first = f.placing(1, T0).await;
    f.end(first, Placing::Taken, at(1)).await;
    f.store.report(at(5), first, bytes::Bytes::from_static(b"{}"), None, after()).await.unwrap();
    made(f, 2, at(HOUR), false).await.id
}

#[tokio::test]
async fn the_clock_of_a_call_stands_still_while_the_cap_holds_its_number_also_before_its_turn() {
    let f = Fixture::new();
    let id = called_an_hour_ago(&f).await;
    assert_eq!(f.call(id).expires_at, at(25 * HOUR));
    assert_eq!(runs_until(&f, id, 100 * HOUR).await, Some(48 * HOUR), "its day began when the cap let it go");
    // Its turn comes late, and the cap holds it for one hour more.
    let f = Fixture::new();
    let id = called_an_hour_ago(&f).await;
    let late = at(23 * HOUR);
    let claim = f.store.next_calls(late, 1).claims.remove(0);
    let begun = f.store.begin_placing(late, claim, gate()).await.unwrap();
    assert!(matches!(begun, Begun::Hold { code: Code::HoldCap, until: Some(until) } if until == at(24 * HOUR)), "{begun:?}");
    assert_eq!(f.call(id).expires_at, at(48 * HOUR));
    assert_eq!(runs_until(&f, id, 100 * HOUR).await, Some(48 * HOUR));
}

#[tokio::test]
async fn only_time_inside_the_hours_is_given_back() {
    let f = Fixture::new();
    f.store.set_rules(rules(|c| {
        c.hours = vec!["08:00-18:00".parse().unwrap()];
        c.expire_automation = Some(Duration::from_secs(10 * HOUR));
    }));
    // T0 is 2026-11-22 16:00:22 in Vietnam, a Sunday: two hours are left of the day, eight of the next.
    let id = made(&f, 1, T0, false).await.id;
    assert_eq!(f.call(id).expires_at, at(24 * HOUR));
    pause(&f, "a", HOUR).await;
    // Until 09:00:22 of the next day: two open hours are lost with it, and 22 seconds of them do not fit into that day. Tuesday is a day off.
    resume(&f, "a", 17 * HOUR).await;
    assert_eq!(runs_until(&f, id, 400 * HOUR).await, Some(64 * HOUR));
}

#[tokio::test]
async fn what_was_looked_at_late_in_a_pause_is_not_dialled_after_its_time() {
    let f = Fixture::new();
    f.store.set_rules(rules(|_| {}));
    let id = made(&f, 1, T0, false).await.id;
    // A minute before its end; the next look is a quarter of an hour later.
    pause(&f, "a", 24 * HOUR - 60).await;
    assert_eq!(runs_until(&f, id, 24 * HOUR).await, None);
    resume(&f, "a", 24 * HOUR + 30).await;
    let claim = f.store.next_calls(at(24 * HOUR + 100), 1).claims.remove(0);
    assert!(matches!(f.store.begin_placing(at(24 * HOUR + 100), claim, gate()).await.unwrap(), Begun::Gone));
    assert_eq!(f.call(id).state, State::Expired);

    let f = Fixture::new();
    f.store.set_rules(rules(|_| {}));
    let id = made(&f, 1, T0, false).await.id;
    pause(&f, "a", 24 * HOUR - 60).await;
    runs_until(&f, id, 24 * HOUR).await;
    resume(&f, "a", 24 * HOUR + 30).await;
    let claim = f.store.next_calls(at(24 * HOUR + 50), 1).claims.remove(0);
    assert!(matches!(f.store.begin_placing(at(24 * HOUR + 50), claim, gate()).await.unwrap(), Begun::Go(_)), "forty seconds are left");
    f.store.end_placing(at(24 * HOUR + 51), id, Placing::Taken, attempt(1), AfterReport::default()).await.unwrap();
}
