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
