//! Waiting of our own (turns, limits, a bridge that was down) costs a customer's item nothing: neither tries nor the time in which they are made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use callbridge::domain::call::State;
use callbridge::simulator::mood::Mood;
use serde_json::json;

use super::bridge::{Fixture, Setup, connection};
use super::far_end::{self, FarEnd};
use super::wire;

const KEY: &str = "hook-key-of-the-patient";

/// A CRM that says "not there" or "broken" this many times before it goes on as it should.
async fn crm(bad: u32) -> FarEnd {
    let left = Arc::new(AtomicU32::new(bad));
    FarEnd::start(move |request| {
        if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
            return (if request.method == "GET" { 404 } else { 500 }, "{}".to_owned());
        }
        (200, json!({"id": "7", "phone": "0912345678"}).to_string())
    })
    .await
}

async fn bridge(dir: &std::path::Path, crm: &FarEnd) -> Fixture {
    far_end::plugin(dir, "patient", &[far_end::ONE, far_end::LOOKUP, far_end::NOTE].concat());
    let connection = connection("patient", "patient", KEY, &[("site", &crm.url())]);
    let setup = Setup::new(Mood::ReportLost).with(|settings| {
        settings.plugins.path = Some(dir.to_owned());
        settings.connections = vec![connection];
    });
    setup.start_by_hand().await
}

/// Nothing of the connection has its turn before this time is over.
fn hold(f: &Fixture, wait: Duration) {
    f.app().connection(&"patient".into()).unwrap().turns.hold(f.now().plus(wait));
}

async fn deliver(f: &Fixture, body: &str) {
    let answer = wire::post(&f.address, &format!("/hooks/patient/{KEY}"), &["Content-Type: application/json"], body.as_bytes()).await;
    assert_eq!(answer.status, 202);
}

#[tokio::test]
async fn a_record_that_is_not_there_yet_is_asked_for_again_though_its_turn_came_late() {
    const LATE: Duration = Duration::from_secs(600);
    let dir = tempfile::tempdir().unwrap();
    let crm = crm(1).await;
    let f = bridge(dir.path(), &crm).await;
    hold(&f, LATE);
    deliver(&f, r#"{"id": "7"}"#).await;
    f.run_due().await;
    assert!(crm.lines().is_empty(), "{:?}", crm.lines());
    f.advance(LATE).await;
    assert_eq!(crm.lines(), ["GET /leads/7"]);
    f.advance(Duration::from_secs(2)).await;
    f.until("the record is there, and a call", |f| f.calls().first().map(|call| call.id)).await;
    assert_eq!(crm.lines().len(), 2);
    f.finish().await;
}

#[tokio::test]
async fn a_result_is_tried_again_though_its_turn_came_days_late() {
    const DAYS: Duration = Duration::from_secs(5 * 86_400);
    let dir = tempfile::tempdir().unwrap();
    let crm = crm(1).await;
    let f = bridge(dir.path(), &crm).await;
    deliver(&f, r#"{"id": "7", "phone": "0912345678"}"#).await;
    let call = f.until("it is placed", |f| f.calls().into_iter().find(|c| c.state == State::Placed)).await;
    hold(&f, DAYS);
    assert_eq!(f.report(call.id, &json!({"CallDetail": {"AnswerDuration": 74, "ResponseStatus": 1}})).await.status, 200);
    f.run_due().await;
    assert!(crm.lines().is_empty(), "{:?}", crm.lines());
    f.advance(DAYS).await;
    assert_eq!(crm.lines(), ["POST /notes"]);
    f.advance(Duration::from_secs(60)).await;
    f.logged(call.id).await;
    assert_eq!(crm.lines().len(), 2);
    f.finish().await;
}

/// A CRM that finds every record, and says this beside it: by the number of the request, from 1.
async fn saying(says: impl Fn(u32) -> (u16, Vec<(&'static str, String)>) + Send + Sync + 'static) -> FarEnd {
    let asked = AtomicU32::new(0);
    FarEnd::telling(move |request| {
        let (status, headers) = says(asked.fetch_add(1, Ordering::SeqCst) + 1);
        let id = request.path().rsplit('/').next().unwrap_or_default().to_owned();
        (status, headers, json!({"id": id, "phone": format!("09123456{id:0>2}")}).to_string())
    })
    .await
}

async fn limited(dir: &std::path::Path, crm: &FarEnd, limits: &str) -> Fixture {
    far_end::plugin(dir, "patient", &[limits, far_end::ONE, far_end::LOOKUP, far_end::NOTE].concat());
    let connection = connection("patient", "patient", KEY, &[("site", &crm.url())]);
    let setup = Setup::new(Mood::ReportLost).with(|settings| {
        settings.plugins.path = Some(dir.to_owned());
        settings.connections = vec![connection];
    });
    setup.start_by_hand().await
}

#[tokio::test]
async fn a_budget_that_the_crm_says_is_used_up_holds_everybody_until_it_is_full_again() {
    // Down to what is kept with the second answer; with a time at which it is full, and without one.
    for (more, told) in [(r#", reset = "X-Reset", unit = "milliseconds""#, Some(("X-Reset", "300000"))), (r#", wait = "5m""#, None)] {
        let dir = tempfile::tempdir().unwrap();
        let crm = saying(move |n| {
            let left = [("X-Left", if n == 1 { "3" } else { "2" }.to_owned())];
            (200, left.into_iter().chain(told.map(|(name, value)| (name, value.to_owned()))).collect())
        })
        .await;
        let f = limited(dir.path(), &crm, &format!("[limits]\nremaining = {{ header = \"X-Left\", keep = 2{more} }}\n")).await;
        for id in ["1", "2", "3"] {
            deliver(&f, &json!({"id": id}).to_string()).await;
            f.run_due().await;
        }
        assert_eq!(crm.lines(), ["GET /leads/1", "GET /leads/2"], "{more}: three are left after the first, two after the second");
        f.advance(Duration::from_secs(299)).await;
        assert_eq!(crm.lines().len(), 2, "{more}");
        f.advance(Duration::from_secs(1)).await;
        assert_eq!(crm.lines().last().unwrap(), "GET /leads/3", "{more}");
        f.finish().await;
    }
}

#[tokio::test]
async fn a_crm_that_asks_one_request_for_patience_is_asked_nothing_by_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let crm = saying(|n| if n == 1 { (429, vec![("Retry-After", "120".to_owned())]) } else { (200, Vec::new()) }).await;
    let f = limited(dir.path(), &crm, "").await;
    for id in ["1", "2"] {
        deliver(&f, &json!({"id": id}).to_string()).await;
        f.run_due().await;
    }
    assert_eq!(crm.lines(), ["GET /leads/1"]);
    f.advance(Duration::from_secs(119)).await;
    assert_eq!(crm.lines().len(), 1);
    f.advance(Duration::from_secs(2)).await;
    let mut lines = crm.lines();
    lines.sort();
    assert_eq!(lines, ["GET /leads/1", "GET /leads/1", "GET /leads/2"]);
    f.finish().await;
}
