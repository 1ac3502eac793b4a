//! Webhooks that our own writes cause: quiet is the very record that was written to, and only when something was sent.

use std::time::Duration;

use callbridge::domain::call::State;
use callbridge::domain::item::{Ignored, Outcome};
use callbridge::simulator::mood::Mood;
use serde_json::{Value, json};

use super::bridge::{Fixture, Setup, connection};
use super::far_end::{self, FarEnd};
use super::wire;

const KEY: &str = "hook-key-of-the-quiet";
const MANIFEST: &str = r#"
[[receive]]
name = "one"

[receive.map]
event_id = "$.event"
record_type = "$.type"
record_id = "$.id"
phone = "$.phone"
priority = [{ value = "interactive", if = [{ value = "$.priority", to = "interactive" }] }, "automation"]

[receive.loop_guard]
quiet = "2m"

[write_back.note]
title = { vi = "Ghi chú", en = "Note" }
identity = "none"
if = [{ value = "$.report.sim", op = "exists" }]

[[write_back.note.create]]
name = "create"
path = "/notes"
json = { text = "{{note.text}}" }
"#;

async fn bridge(dir: &std::path::Path, crm: &FarEnd) -> Fixture {
    far_end::plugin(dir, "quiet", MANIFEST);
    let mut connection = connection("quiet", "quiet", KEY, &[("site", &crm.url())]);
    connection.duplicate_window = Duration::ZERO;
    let setup = Setup::new(Mood::ReportLost).with(|settings| {
        settings.plugins.path = Some(dir.to_owned());
        settings.lines[0].max_in_flight = 10;
        settings.connections = vec![connection];
    });
    setup.start_by_hand().await
}

/// What becomes of a delivery about a record.
async fn delivered(f: &Fixture, event: &str, kind: &str) -> Outcome {
    wished(f, event, kind, "automation").await
}

async fn wished(f: &Fixture, event: &str, kind: &str, priority: &str) -> Outcome {
    let body = json!({"event": event, "type": kind, "id": "7", "phone": "0912345678", "priority": priority}).to_string();
    let answer = wire::post(&f.address, &format!("/hooks/quiet/{KEY}"), &["Content-Type: application/json"], body.as_bytes()).await;
    assert_eq!(answer.status, 202);
    f.outcomes().await.remove(0)
}

/// A call of deal 7 with this report, as far as it is written back.
async fn called(f: &Fixture, detail: Value) {
    assert!(matches!(delivered(f, "wish", "deal").await, Outcome::Called { .. }));
    let call = f.until("it is placed", |f| f.calls().into_iter().find(|c| c.state == State::Placed)).await;
    assert_eq!(f.report(call.id, &json!({"CallDetail": detail})).await.status, 200);
    f.run_due().await;
}

#[tokio::test]
async fn only_the_record_that_was_written_to_is_quiet() {
    let (dir, crm) = (tempfile::tempdir().unwrap(), FarEnd::start(|_| (200, r#"{"id": "1"}"#.to_owned())).await);
    let f = bridge(dir.path(), &crm).await;
    called(&f, json!({"AnswerDuration": 74, "ResponseStatus": 1, "CallBySim": "1"})).await;
    assert_eq!(crm.lines(), ["POST /notes"]);
    assert_eq!(delivered(&f, "own", "deal").await, Outcome::Ignored { why: Ignored::OwnWrite });
    assert!(matches!(delivered(&f, "other", "contact").await, Outcome::Called { .. }), "a contact with the same number as the deal");
    assert!(matches!(wished(&f, "pressed", "deal", "interactive").await, Outcome::Called { .. }), "what a person pressed is no echo");
    f.finish().await;
}

#[tokio::test]
async fn a_result_that_is_not_written_makes_nothing_quiet() {
    let (dir, crm) = (tempfile::tempdir().unwrap(), FarEnd::start(|_| (200, r#"{"id": "1"}"#.to_owned())).await);
    let f = bridge(dir.path(), &crm).await;
    called(&f, json!({"AnswerDuration": 74, "ResponseStatus": 1})).await;
    assert!(crm.lines().is_empty());
    assert!(matches!(delivered(&f, "again", "deal").await, Outcome::Called { .. }));
    f.finish().await;
}

/// A deal whose result goes to its customer, and records that are known by their number only.
const OTHER: &str = r#"
[[receive]]
name = "one"
keep = { customer = "$.customer" }

[receive.map]
event_id = "$.event"
record_type = "$.type"
record_id = "$.id"
phone = "$.phone"

[receive.loop_guard]
quiet = "2m"

[[lookup]]
name = "search"
needs = ["record_id"]
path = "/search"
query = { phone = "{{item.phone}}" }
[lookup.map]
record_id = "$.id"

[write_back.note]
title = { vi = "Ghi chú", en = "Note" }
identity = "none"

[[write_back.note.create]]
name = "create"
path = "/customers/{{url event.customer}}"
json = { text = "{{note.text}}" }
writes = { type = "customer", id = "{{event.customer}}" }
"#;

#[tokio::test]
async fn another_record_that_a_step_writes_to_is_quiet_also_where_only_a_look_up_knows_it() {
    let (dir, crm) = (tempfile::tempdir().unwrap(), FarEnd::start(|_| (200, r#"{"id": "70"}"#.to_owned())).await);
    far_end::plugin(dir.path(), "quiet", OTHER);
    let mut connection = connection("quiet", "quiet", KEY, &[("site", &crm.url())]);
    connection.duplicate_window = Duration::ZERO;
    let setup = Setup::new(Mood::ReportLost).with(|settings| {
        settings.plugins.path = Some(dir.path().to_owned());
        settings.lines[0].max_in_flight = 10;
        settings.connections = vec![connection];
    });
    let f = setup.start_by_hand().await;
    let outcome = async |event: &str, record: Value| {
        let mut body = json!({"event": event, "phone": "0912345678"});
        body.as_object_mut().unwrap().extend(record.as_object().unwrap().clone());
        let answer = wire::post(&f.address, &format!("/hooks/quiet/{KEY}"), &["Content-Type: application/json"], body.to_string().as_bytes()).await;
        assert_eq!(answer.status, 202);
        f.run_due().await;
        f.outcomes().await.remove(0)
    };
    assert!(matches!(outcome("wish", json!({"type": "deal", "id": "7", "customer": "70"})).await, Outcome::Called { .. }));
    let call = f.until("it is placed", |f| f.calls().into_iter().find(|c| c.state == State::Placed)).await;
    assert_eq!(f.report(call.id, &json!({"CallDetail": {"AnswerDuration": 74, "ResponseStatus": 1}})).await.status, 200);
    f.run_due().await;
    assert_eq!(crm.lines(), ["POST /customers/70"]);
    let own = Outcome::Ignored { why: Ignored::OwnWrite };
    assert_eq!(outcome("deal", json!({"type": "deal", "id": "7"})).await, own, "the deal that asked, too");
    assert_eq!(outcome("customer", json!({"type": "customer", "id": "70"})).await, own);
    assert_eq!(outcome("found", json!({"type": "customer"})).await, own, "the look-up finds customer 70");
    assert!(matches!(outcome("other", json!({"type": "customer", "id": "71"})).await, Outcome::Called { .. }));
    f.finish().await;
}
