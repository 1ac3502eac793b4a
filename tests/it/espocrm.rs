//! The plugin `espocrm` end to end: deliveries exactly as a real EspoCRM sent them, and a CRM that answers as it did.

use callbridge::domain::call::State;
use callbridge::error::Code;
use callbridge::plugin::case::Case;

use super::bridge::Fixture;
use super::far_end::FarEnd;
use super::hubspot::{bridge, case, report};
use super::wire::{self, Raw};

const KEY: &str = "espocrm-hook-key-of-the-tests";

/// The recorded request with its recorded signature headers.
async fn deliver(f: &Fixture, case: &Case, body: &[u8]) -> Raw {
    let headers: Vec<String> = case
        .webhook
        .headers
        .iter()
        .filter(|(n, _)| !matches!(n.as_str(), "host" | "content-length" | "connection"))
        .map(|(n, v)| format!("{n}: {v}"))
        .collect();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    wire::post(&f.address, &format!("/hooks/espocrm/{KEY}"), &headers, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_lead_is_called_and_its_call_and_post_come_back_once() {
    let case = case("espocrm", "second-report");
    let crm = FarEnd::recorded(&[&case]).await;
    let f = bridge("espocrm", &case, &crm, "/api/v1", KEY).await;
    assert!((200..300).contains(&deliver(&f, &case, &case.webhook.body).await.status));
    let call = f.until("it is placed", |f| f.calls().into_iter().find(|c| c.state == State::Placed)).await;
    assert_eq!((call.phone.national().as_str(), call.customer.name.as_str()), ("0912345678", "Nguyễn Thị Lan"));

    report(&f, &case, 0, call.id).await;
    f.logged(call.id).await;
    assert_eq!(crm.lines(), ["POST /api/v1/Call", "POST /api/v1/Note", "PUT /api/v1/Lead/6b02c93c37c0515eb"]);
    for request in crm.requests() {
        assert_eq!(request.header("x-api-key"), Some(case.parameters["api_key"].as_str()));
    }
    assert!(String::from_utf8_lossy(&crm.requests()[0].body).contains(&call.id.to_string()));

    report(&f, &case, 1, call.id).await;
    f.logged(call.id).await;
    let (id, note) = ("6b02c998dc6738795", "6b02c999161d59a63");
    assert_eq!(crm.lines()[3..], [format!("PUT /api/v1/Call/{id}"), format!("PUT /api/v1/Note/{note}"), "PUT /api/v1/Lead/6b02c93c37c0515eb".into()]);
    assert!(String::from_utf8_lossy(&crm.requests()[4].body).contains("Khách hẹn gọi lại chiều mai."));
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_lead_is_looked_up_before_it_is_called() {
    let case = case("espocrm", "lead-update-status");
    let crm = FarEnd::recorded(&[&case]).await;
    let f = bridge("espocrm", &case, &crm, "/api/v1", KEY).await;
    assert!((200..300).contains(&deliver(&f, &case, &case.webhook.body).await.status));
    let call = f.until("it is placed", |f| f.calls().into_iter().find(|c| c.state == State::Placed)).await;
    assert!(crm.lines()[0].starts_with("GET /api/v1/Lead/"), "{:?}", crm.lines());
    report(&f, &case, 0, call.id).await;
    f.logged(call.id).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_changed_byte_makes_the_signature_wrong() {
    let case = case("espocrm", "lead-create");
    let crm = FarEnd::recorded(&[&case]).await;
    let f = bridge("espocrm", &case, &crm, "/api/v1", KEY).await;
    let mut body = case.webhook.body.to_vec();
    *body.last_mut().unwrap() = b' ';
    assert_eq!(deliver(&f, &case, &body).await.status, 401);
    assert_eq!(f.rejected().iter().map(|r| r.code).collect::<Vec<_>>(), [Code::BadSignature]);
    assert!(f.events().is_empty() && crm.lines().is_empty());
    f.finish().await;
}

#[test]
fn hooks_and_kinds_that_the_plugin_does_not_have_are_refused_at_the_start() {
    let hook = |name: &str, parameters: serde_json::Value| serde_json::json!({"name": name, "hook_key": "key-of-a-hook-0123456789", "parameters": parameters});
    let faults = |plugin: &str, hook: Option<serde_json::Value>, kinds: &[callbridge::domain::connection::Kind]| {
        let mut settings = callbridge::config::Settings::built_in().unwrap();
        let mut connection = callbridge::domain::connection::Connection::new("crm".into(), plugin);
        connection.hooks = hook.into_iter().map(|hook| serde_json::from_value(hook).unwrap()).collect();
        connection.write_back = kinds.to_vec();
        settings.connections = vec![connection];
        let (plugins, _) = callbridge::plugin::Registry::open(None);
        callbridge::cli::bridge::check_connections(&settings, &plugins).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(faults("espocrm", Some(hook("leads", serde_json::json!({}))), &[]).contains("has no hook `leads` (did you mean `lead`?)"));
    assert!(faults("espocrm", Some(hook("lead", serde_json::json!({"webhok_id": "1"}))), &[]).contains("did you mean `webhook_id`?"));
    let good = faults("espocrm", Some(hook("lead", serde_json::json!({"webhook_id": "1"}))), &[]);
    assert!(!good.contains("hook"), "{good}");
    let kinds = faults("generic", None, &[callbridge::domain::connection::Kind::Field]);
    assert!(kinds.contains("cannot write back `field`"), "{kinds}");
}
