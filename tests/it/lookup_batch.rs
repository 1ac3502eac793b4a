//! Look-ups that ask for many records at once: one request for all items of a delivery, and again only for those that were not there yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use callbridge::simulator::mood::Mood;
use serde_json::{Value, json};

use super::bridge::{Fixture, Setup, connection};
use super::far_end::{self, FarEnd, Request};
use super::wire;

const KEY: &str = "hook-key-of-the-batches";
const MANIFEST: &str = r#"
[[receive]]
name = "ids"

[receive.items]
split = "$.ids[*]"

[receive.map]
record_type = "lead"
record_id = "{{item}}"

[[lookup]]
name = "lead"
path = "/leads"
query = { type = "{{record.type}}", ids = '{{join batch.ids ","}}' }
batch = { at_most = 3, items = "$.data[*]", id = "$.id" }
store = { owner = "$.owner" }

[lookup.map]
phone = "$.phone"

[[lookup]]
name = "owner"
when = "always"
path = "/owners/{{url steps.lead.owner}}"

[lookup.map]
owner = "$.name"
"#;

/// The ids that a request asks for.
fn ids(request: &Request) -> Vec<String> {
    let query = url::Url::parse(&format!("http://x{}", request.target)).unwrap();
    let ids = query.query_pairs().find(|(name, _)| name == "ids").map(|(_, ids)| ids.into_owned()).unwrap_or_default();
    ids.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

/// A CRM that has every lead but the fourth, which comes `late`.
async fn crm(late: Arc<AtomicBool>) -> FarEnd {
    FarEnd::start(move |request| {
        if let Some(user) = request.path().strip_prefix("/owners/") {
            return (200, json!({"name": format!("name of {user}")}).to_string());
        }
        let there = |id: &String| id != "4" || late.load(Ordering::SeqCst);
        let data: Vec<Value> =
            ids(request).iter().filter(|id| there(id)).map(|id| json!({"id": id, "phone": format!("091234567{id}"), "owner": format!("u{id}")})).collect();
        (200, json!({"data": data}).to_string())
    })
    .await
}

async fn bridge(dir: &std::path::Path, crm: &FarEnd) -> Fixture {
    far_end::plugin(dir, "batches", MANIFEST);
    let connection = connection("batches", "batches", KEY, &[("site", &crm.url())]);
    let setup = Setup::new(Mood::ReportLost).with(|settings| {
        settings.plugins.path = Some(dir.to_owned());
        settings.connections = vec![connection];
    });
    setup.start_by_hand().await
}

/// What was asked for, request by request.
fn asked(crm: &FarEnd) -> Vec<String> {
    crm.requests().iter().filter(|request| request.path() == "/leads").map(|request| ids(request).join(",")).collect()
}

#[tokio::test]
async fn one_request_asks_for_all_that_wait_and_a_late_record_is_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let late = Arc::new(AtomicBool::new(false));
    let crm = crm(Arc::clone(&late)).await;
    let f = bridge(dir.path(), &crm).await;
    let answer = wire::post(&f.address, &format!("/hooks/batches/{KEY}"), &["Content-Type: application/json"], br#"{"ids": [1, 2, 3, 4]}"#).await;
    assert_eq!(answer.status, 202);
    f.until("three are calls", |f| (f.calls().len() == 3).then_some(())).await;
    let mut first = asked(&crm);
    first.sort();
    assert_eq!(first, ["1,2,3", "4"], "three at most in one request");
    let mut owners: Vec<String> = f.calls().into_iter().filter_map(|call| call.owner).collect();
    owners.sort();
    assert_eq!(owners, ["name of u1", "name of u2", "name of u3"], "each read its own piece");

    late.store(true, Ordering::SeqCst);
    f.advance(Duration::from_secs(600)).await;
    f.until("the fourth is a call, too", |f| (f.calls().len() == 4).then_some(())).await;
    assert!(asked(&crm)[2..].iter().all(|ids| ids == "4"), "{:?}", asked(&crm));
    f.finish().await;
}
