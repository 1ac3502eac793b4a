//! Handshakes, variants, answers and triggers of a plugin of the admin's own, over the wire.

use std::path::Path;
use std::time::Duration;

use callbridge::config::{ApiKey, ApiRole};
use callbridge::domain::id::ConnectionId;
use callbridge::domain::item::Outcome;
use callbridge::error::Code;
use callbridge::simulator::mood::Mood;
use callbridge::store::{Change, Changed, Store};
use serde_json::json;

use super::bridge::{CONNECTION, Fixture, Setup, hook_path};
use super::wire;

const MANIFEST: &str = r##"
spec = 1
id = "hello"
name = "Hello"

[[parameters]]
id = "verify_token"
title = { vi = "x", en = "x" }
secret = true

[[fields]]
id = "stage"
title = { vi = "Giai đoạn", en = "Stage" }

[verify.token]
kind = "token"
query = "hub.verify_token"
secret = "{{param.verify_token}}"

[verify.app]
kind = "token"
body = "$.auth.application_token"
secret = "{{captured.application_token}}"

[[handshake]]
name = "challenge"
methods = ["GET"]
select = { query = { "hub.mode" = "subscribe" } }
body = "query"
verify = ["token"]
answer = { status = 200, headers = { content-type = "text/plain" }, body = "{{query.[hub.challenge]}}" }

[[handshake]]
name = "install"
select = { if = [{ value = "$.event", to = "ONAPPINSTALL" }] }
capture = { application_token = "$.auth.application_token" }
answer = { status = 200, body = "installed" }

[answers]
bad_signature = { status = 200, body = "no" }
paused = { status = 200, body = "paused" }
unknown_key = { status = 200, body = "other key" }

[[receive]]
name = "soap"
body = "xml"
lists = ["Notification"]
select = { tail = "soap" }
sender_retries = "hours"
[receive.items]
split = ["$.Envelope.Body.notifications", "$.Notification[*]"]
[receive.map]
event_id = "$.Id"
record_type = "{{parent.OrganizationId}}"
record_id = "$.sObject.Id"
phone = "$.sObject.Phone"
[receive.answers]
stored = { status = 200, headers = { content-type = "text/xml" }, body = "<Ack>true</Ack>" }

[[receive]]
name = "event"
body = "sniff"
verify = ["app"]
sender_retries = "none"
[receive.map]
record_type = "lead"
record_id = "$.id"
phone = "$.phone"
[receive.changed]
names = "$.changed[*]"
[receive.fields]
stage = "$.stage_id"
[receive.loop_guard]
only_changed = ["comments"]
[receive.answers]
stored = { status = 200, body = "{{event.id}}" }
"##;

fn plugins(dir: &Path) {
    std::fs::create_dir(dir.join("hello")).unwrap();
    std::fs::write(dir.join("hello/plugin.toml"), MANIFEST).unwrap();
}

async fn bridge(dir: &Path, trigger: serde_json::Value, rate: &str) -> Fixture {
    plugins(dir);
    let dir = dir.to_owned();
    let setup = Setup::new(Mood::Answers).with(|s| {
        s.plugins.path = Some(dir);
        s.lines[0].paused = true;
        for (name, role) in [("admin", ApiRole::Admin), ("operator", ApiRole::Operator)] {
            s.api_keys.push(ApiKey { name: name.into(), key: format!("key-of-the-{name}-0001").as_str().into(), role, workspace: Default::default() });
        }
    });
    let setup = setup.connection(|c| {
        c.plugin = "hello".into();
        c.parameters = [("verify_token".to_owned(), "verify-token-of-theirs".into())].into();
        c.trigger = serde_json::from_value(trigger).unwrap();
        c.inbound_rate = rate.parse().unwrap();
    });
    setup.start().await
}

async fn post(f: &Fixture, tail: &str, kind: &str, body: &str) -> wire::Raw {
    wire::post(&f.address, &format!("{}{tail}", hook_path()), &[&format!("Content-Type: {kind}")], body.as_bytes()).await
}

const FORM: &str = "application/x-www-form-urlencoded";
const INSTALL: &str = "event=ONAPPINSTALL&auth[application_token]=token-of-the-installation";

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_echoed_to_who_knows_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let f = bridge(dir.path(), json!(null), "50/s").await;
    let ask = async |token: &str| {
        let path = format!("{}?hub.mode=subscribe&hub.challenge=115820%3C&hub.verify_token={token}", hook_path());
        wire::send(&f.address, format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap()
    };
    let answer = ask("verify-token-of-theirs").await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"115820<"[..]));
    assert_eq!(answer.header("content-type").as_deref(), Some("text/plain"));
    // This CRM stops for good on 4xx: it is told 200, and the admin sees the refusal.
    let answer = ask("another").await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"no"[..]));
    assert_eq!(f.rejected()[0].code, Code::BadSignature);
    assert!(f.events().is_empty());
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_taken_once_while_the_admin_holds_the_window_open() {
    let dir = tempfile::tempdir().unwrap();
    let mut f = bridge(dir.path(), json!(null), "50/s").await;
    let connection = ConnectionId::new(CONNECTION);
    assert_eq!(post(&f, "", FORM, INSTALL).await.body, b"no"[..]);
    assert_eq!(f.rejected()[0].code, Code::CaptureClosed);
    assert!(f.store().captured(&connection).unwrap().is_empty());

    let until = f.now().plus(Duration::from_secs(600));
    assert_eq!(f.change(Change::OpenCapture { connection: connection.clone(), until }).await, Changed::Ok);
    assert_eq!(post(&f, "", FORM, INSTALL).await.body, b"installed"[..]);
    assert_eq!(f.store().captured(&connection).unwrap()["application_token"], "token-of-the-installation");
    assert_eq!(f.store().capture_window(&connection).unwrap(), None, "the first one closes it");
    let other = INSTALL.replace("token-of", "evil-token-of");
    assert_eq!(post(&f, "", FORM, &other).await.body, b"no"[..]);

    // What a login keeps lies beside it and is no hindrance.
    let kept = callbridge::store::Kept { version: 1, ..Default::default() };
    assert!(f.store().keep(connection.clone(), "login/main".into(), kept).await.unwrap());
    // What was captured verifies, before and after a restart.
    let event = |token: &str| format!("id=7&phone=0912345678&stage_id=new&auth[application_token]={token}");
    assert_eq!(post(&f, "", FORM, &event("token-of-the-installation")).await.status, 200);
    assert_eq!(f.events().len(), 1);
    f.restart().await;
    assert_eq!(post(&f, "", FORM, &event("evil-token-of-the-installation")).await.body, b"no"[..]);
    assert_eq!(post(&f, "", FORM, &event("token-of-the-installation").replace("id=7", "id=8")).await.status, 200);
    assert_eq!(f.events().len(), 2);
    let seen: String = f.rejected().iter().map(|r| format!("{} {}\n", r.excerpt, r.detail)).collect();
    assert!(!seen.contains("token-of-the-installation"), "{seen}");
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_admin_opens_the_window_and_not_for_long() {
    let dir = tempfile::tempdir().unwrap();
    let f = bridge(dir.path(), json!(null), "50/s").await;
    let open = async |who: &str, body: serde_json::Value| {
        let key = format!("Authorization: Bearer key-of-the-{who}-0001");
        let path = format!("/api/v1/connections/{CONNECTION}/capture");
        wire::post(&f.address, &path, &[&key, "Content-Type: application/json"], body.to_string().as_bytes()).await
    };
    assert_eq!(open("operator", json!({})).await.status, 403);
    assert_eq!(open("admin", json!({"minutes": 61})).await.status, 400);
    assert_eq!(f.store().capture_window(&ConnectionId::new(CONNECTION)).unwrap(), None);
    let opened = open("admin", json!({"minutes": 5})).await;
    assert_eq!(opened.status, 200, "{opened:?}");
    assert!(opened.json()["capture_until"].is_string());
    assert_eq!(post(&f, "", FORM, INSTALL).await.body, b"installed"[..]);
    let shown = open("admin", json!({})).await.json();
    assert_eq!(shown["captured"], json!(["application_token"]));
    assert!(!shown.to_string().contains("token-of-the-installation"));
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_soap_gets_its_ack_and_gives_each_record_a_call() {
    let dir = tempfile::tempdir().unwrap();
    let f = bridge(dir.path(), json!(null), "50/s").await;
    let record =
        |id: &str, phone: &str| format!("<Notification><Id>n{id}</Id><sObject xsi:type=\"sf:Lead\"><sf:Id>{id}</sf:Id>{phone}</sObject></Notification>");
    let body = format!(
        "<?xml version=\"1.0\"?><s:Envelope><s:Body><notifications><OrganizationId>org</OrganizationId>{}{}</notifications></s:Body></s:Envelope>",
        record("1", "<sf:Phone>0912345678</sf:Phone>"),
        record("2", "")
    );
    let answer = post(&f, "/soap", "text/xml; charset=utf-8", &body).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"<Ack>true</Ack>"[..]));
    assert_eq!(answer.header("content-type").as_deref(), Some("text/xml"));
    let outcomes = f.outcomes().await;
    assert!(matches!(&outcomes[..], [Outcome::Called { .. }, Outcome::Refused { code: Code::MissingPhone, .. }]), "{outcomes:?}");
    let call = &f.calls()[0];
    assert_eq!((call.record.kind.as_str(), call.record.id.as_str()), ("org", "1"));
    let laughs = "<!DOCTYPE l [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><l>&b;</l>";
    assert_eq!(post(&f, "/soap", "text/xml", laughs).await.status, 422);
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_fits_the_trigger_is_called_and_nothing_is_told_429() {
    let dir = tempfile::tempdir().unwrap();
    let f = bridge(dir.path(), json!({"all": [{"field": "stage", "value": "call"}, {"field": "stage", "op": "changed"}]}), "2/h").await;
    let connection = ConnectionId::new(CONNECTION);
    let until = f.now().plus(Duration::from_secs(600));
    f.change(Change::OpenCapture { connection: connection.clone(), until }).await;
    post(&f, "", FORM, INSTALL).await;
    let send = async |id: u32, stage: &str, changed: &str| {
        let body =
            json!({"id": id, "phone": "0912345678", "stage_id": stage, "changed": [changed], "auth": {"application_token": "token-of-the-installation"}});
        // This sender never tries again: far over its 2 an hour, nothing is refused.
        let answer = post(&f, "", "text/plain", &body.to_string()).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body.starts_with(b"evt_"), "{answer:?}");
    };
    send(1, "new", "stage_id").await;
    send(2, "call", "phone").await;
    send(3, "call", "stage_id").await;
    send(4, "call", "comments").await;
    let outcomes = f.until("four items", |f| {
        let items: Vec<Outcome> = f.events().iter().flat_map(|e| f.store().items(e.id).unwrap()).map(|(_, item)| item.outcome).collect();
        (items.len() == 4).then_some(items)
    });
    let mut outcomes: Vec<String> = outcomes.await.iter().map(Outcome::counter).collect();
    outcomes.sort();
    assert_eq!(outcomes, ["called", "ignored.filter", "ignored.filter", "ignored.own_write"]);
    assert_eq!(f.calls()[0].record.id, "3");
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_off_answers_in_the_crm_s_words() {
    let dir = tempfile::tempdir().unwrap();
    plugins(dir.path());
    let path = dir.path().to_owned();
    let setup = Setup::new(Mood::Answers).with(|s| s.plugins.path = Some(path));
    let f =
        setup.connection(|c| (c.plugin, c.mode, c.parameters) = ("hello".into(), callbridge::domain::connection::Mode::Off, Default::default())).start().await;
    let answer = post(&f, "", FORM, "id=1&phone=0912345678").await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"paused"[..]));
    assert!(f.events().is_empty());
    assert_eq!(f.rejected().first().map(|kept| kept.code), Some(Code::ConnectionOff), "who is told 2xx finds it in the list");
    f.finish().await;
}

/// A CRM that stops for good after a 4xx is told 2xx, and what it sent can be found.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_hook_key_is_answered_in_the_crm_s_words_and_leaves_a_trace() {
    let dir = tempfile::tempdir().unwrap();
    plugins(dir.path());
    let path = dir.path().to_owned();
    let setup = Setup::new(Mood::Answers).with(|s| s.plugins.path = Some(path));
    let f = setup.connection(|c| (c.plugin, c.parameters) = ("hello".into(), Default::default())).start().await;
    let at = format!("/hooks/{CONNECTION}/no-such-key-of-this-hook");
    let answer = wire::post(&f.address, &at, &[&format!("Content-Type: {FORM}")], b"id=1&phone=0912345678").await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"other key"[..]));
    assert!(f.events().is_empty());
    assert_eq!(f.rejected().first().map(|kept| kept.code), Some(Code::UnknownHook));
    f.finish().await;
}
