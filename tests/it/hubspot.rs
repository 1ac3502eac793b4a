//! The plugin `hubspot` end to end: deliveries with real signatures, and a CRM that answers as recorded in the plugin's cases.

use std::time::Duration;

use base64::Engine;
use callbridge::domain::call::State;
use callbridge::domain::id::CallId;
use callbridge::error::Code;
use callbridge::plugin::case::Case;
use callbridge::plugin::{Plugin, Registry};
use callbridge::simulator::mood::Mood;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::bridge::{Fixture, Setup, connection};
use super::far_end::FarEnd;
use super::wire::{self, Raw};

const KEY: &str = "hubspot-hook-key-of-the-tests";

/// A case of a shipped plugin.
pub fn case(plugin: &str, name: &str) -> Case {
    let (plugins, _) = Registry::open(None);
    let plugin: std::sync::Arc<Plugin> = plugins.get(plugin).unwrap();
    plugin.case(name).unwrap()
}

/// A bridge whose only connection uses the case's parameters against `crm`. Its phone never reports: the test does.
pub async fn bridge(plugin: &str, case: &Case, crm: &FarEnd, base: &str, key: &str) -> Fixture {
    let parameters: Vec<(&str, &str)> = case.parameters.iter().map(|(id, value)| (id.as_str(), value.as_str())).collect();
    let mut connection = connection(plugin, plugin, key, &parameters);
    connection.base_url = Some(format!("{}{base}", crm.url()));
    connection.write_back.push(callbridge::domain::connection::Kind::Field);
    Setup::new(Mood::ReportLost).with(|s| s.connections = vec![connection]).start_by_hand().await
}

/// The n-th report of a case, with the call's id in it, delivered; then everything due is run.
pub async fn report(f: &Fixture, case: &Case, n: usize, id: CallId) {
    let bytes = case.rounds[n].report.as_ref().unwrap();
    let mut body: Value = serde_json::from_slice(bytes).unwrap();
    body["CallId"] = id.to_string().into();
    assert_eq!(f.report(id, &body).await.status, 200);
    f.advance(Duration::from_secs(1)).await;
}

/// Signed as version 3: method, address, body and time.
async fn deliver(f: &Fixture, body: &[u8], secret: &str, at_ms: i64) -> Raw {
    let path = format!("/hooks/hubspot/{KEY}");
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("POSThttp://{}{path}", f.address).as_bytes());
    mac.update(body);
    mac.update(at_ms.to_string().as_bytes());
    let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    let (at, signature) = (format!("X-HubSpot-Request-Timestamp: {at_ms}"), format!("X-HubSpot-Signature-v3: {signature}"));
    wire::post(&f.address, &path, &["Content-Type: application/json", &at, &signature], body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_calls_and_its_call_and_note_come_back_once() {
    let case = case("hubspot", "second-report");
    let crm = FarEnd::recorded(&[&case]).await;
    let f = bridge("hubspot", &case, &crm, "", KEY).await;
    let secret = &case.parameters["client_secret"];
    let answer = deliver(&f, &case.webhook.body, secret, f.now().0).await;
    assert_eq!((answer.status, answer.json()), (200, serde_json::json!({})), "what a workflow expects");
    let id = f.until("it is placed", |f| f.calls().into_iter().find(|c| c.state == State::Placed)).await.id;

    report(&f, &case, 0, id).await;
    f.logged(id).await;
    let lines = crm.lines();
    let creates = |lines: &[String], path: &str| lines.iter().filter(|l| **l == format!("POST {path}")).count();
    assert_eq!((creates(&lines, "/crm/v3/objects/calls"), creates(&lines, "/crm/v3/objects/notes")), (1, 1), "{lines:?}");
    for request in crm.requests() {
        assert_eq!(request.header("authorization"), Some(format!("Bearer {}", case.parameters["access_token"]).as_str()));
    }
    let call = crm.requests().into_iter().find(|r| r.path() == "/crm/v3/objects/calls").unwrap().json();
    assert_eq!(call["properties"]["hs_call_external_id"], id.to_string());

    let before = crm.lines().len();
    report(&f, &case, 1, id).await;
    f.logged(id).await;
    let lines = crm.lines();
    assert!(lines[before..].iter().all(|l| l.starts_with("PATCH ")), "the second report changes what is there: {lines:?}");
    assert!(lines.len() >= before + 2, "{lines:?}");
    let notes = call_notes(&case, 1);
    assert!(crm.requests().iter().skip(before).any(|r| String::from_utf8_lossy(&r.body).contains(&notes)));
    f.finish().await;
}

fn call_notes(case: &Case, round: usize) -> String {
    let body: Value = serde_json::from_slice(case.rounds[round].report.as_ref().unwrap()).unwrap();
    body["CallDetail"]["CallNotes"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_ids_is_looked_up_and_each_record_called() {
    let case = case("hubspot", "app-webhook-batch");
    let crm = FarEnd::recorded(&[&case]).await;
    let f = bridge("hubspot", &case, &crm, "", KEY).await;
    let secret = &case.parameters["client_secret"];
    // What happened a day ago is no longer called: the events are of this moment.
    let body: serde_json::Value = serde_json::from_slice(&case.webhook.body).unwrap();
    let events = body.as_array().unwrap().iter().cloned().map(|mut event| {
        event["occurredAt"] = f.now().0.into();
        event
    });
    let body = serde_json::Value::Array(events.collect()).to_string().into_bytes();
    assert_eq!(deliver(&f, &body, secret, f.now().0).await.status, 200);
    f.until("all three are calls", |f| (f.calls().len() == 3).then_some(())).await;
    let mut phones: Vec<String> = f.calls().iter().map(|c| c.phone.national()).collect();
    phones.sort();
    assert_eq!(phones, ["02838221234", "0912345678", "0987654321"]);
    assert_eq!(crm.lines().len(), 4, "three records and one contact of a deal");
    // The sender delivers it again, as it does after a lost answer: nobody is called twice.
    assert_eq!(deliver(&f, &body, secret, f.now().0).await.status, 200);
    f.outcomes().await;
    f.run_due().await;
    assert_eq!((f.calls().len(), f.events().len()), (3, 2));
    f.advance(std::time::Duration::from_secs(5)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_or_old_delivery_is_refused_and_kept_for_the_admin() {
    let case = case("hubspot", "workflow-custom-body");
    let crm = FarEnd::recorded(&[&case]).await;
    let f = bridge("hubspot", &case, &crm, "", KEY).await;
    let secret = &case.parameters["client_secret"];
    assert_eq!(deliver(&f, &case.webhook.body, "another-secret", f.now().0).await.status, 401);
    assert_eq!(deliver(&f, &case.webhook.body, secret, f.now().0 - 301_000).await.status, 401);
    let codes: Vec<Code> = f.rejected().iter().map(|r| r.code).collect();
    assert!(codes.contains(&Code::BadSignature) && codes.contains(&Code::StaleSignature) && codes.len() == 2, "{codes:?}");
    assert!(f.events().is_empty() && crm.lines().is_empty());
    f.finish().await;
}

/// Version 1, which older workflows carry: a digest of secret and body.
#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_signature_is_still_read() {
    let case = case("hubspot", "workflow-custom-body");
    let crm = FarEnd::recorded(&[&case]).await;
    let f = bridge("hubspot", &case, &crm, "", KEY).await;
    let digest = Sha256::new().chain_update(case.parameters["client_secret"].as_bytes()).chain_update(&case.webhook.body).finalize();
    let signature = format!("X-HubSpot-Signature: {}", hex::encode(digest));
    let path = format!("/hooks/hubspot/{KEY}");
    let headers = ["Content-Type: application/json", "X-HubSpot-Signature-Version: v1", &signature];
    assert_eq!(wire::post(&f.address, &path, &headers, &case.webhook.body).await.status, 200);
    f.until("it is a call", |f| f.calls().pop()).await;
    f.finish().await;
}
