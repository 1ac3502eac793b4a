//! A delivery whose signature is right and only its time too old: refused, kept whole, and let in by a person.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use callbridge::config::{ApiKey, ApiRole};
use callbridge::domain::item::{Ignored, Outcome};
use callbridge::simulator::mood::Mood;
use callbridge::store::Store;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::bridge::{Fixture, Setup};
use super::wire::{self, Raw};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn bridge() -> Setup {
    let keys = [("boss", ApiRole::Admin), ("desk", ApiRole::Operator)];
    let key = |(name, role): (&str, ApiRole)| ApiKey {
        name: name.into(),
        key: format!("key-of-the-{name}-0001").as_str().into(),
        role,
        workspace: Default::default(),
    };
    Setup::new(Mood::Answers).parameter("webhook_secret", SECRET).with(|s| s.api_keys.extend(keys.map(key)))
}

/// Sends what Standard Webhooks sign, with a time of so many seconds ago.
async fn send(f: &Fixture, id: &str, body: &str, ago: i64) -> u16 {
    let at = f.now().0 / 1000 - ago;
    let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap()).unwrap();
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let headers = [
        "Content-Type: application/json".to_owned(),
        format!("webhook-id: {id}"),
        format!("webhook-timestamp: {at}"),
        format!("webhook-signature: v1,{signature}"),
    ];
    f.deliver_bytes(&headers.each_ref().map(String::as_str), body.as_bytes()).await.status
}

async fn post(f: &Fixture, who: &str, path: &str) -> Raw {
    wire::post(&f.address, &format!("/api/v1{path}"), &[&format!("Authorization: Bearer key-of-the-{who}-0001")], b"").await
}

async fn get(f: &Fixture, path: &str) -> Value {
    wire::get(&f.address, &format!("/api/v1{path}"), &["Authorization: Bearer key-of-the-boss-0001"]).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_delivery_is_let_in_by_an_admin_and_makes_one_call() {
    let f = bridge().start().await;
    let body = json!({"phone": "0912345678", "record_id": "1001", "padding": "ễ\"x".repeat(8_000)}).to_string();
    assert_eq!(send(&f, "msg_1", &body, 3600).await, 401);
    let wrong = f.deliver_bytes(&["Content-Type: application/json", "webhook-id: m", "webhook-timestamp: 1", "webhook-signature: v1,AAAA"], b"{}").await;
    assert_eq!(wrong.status, 401);

    // Both are shown; only the one with the right signature can be let in, and only by an admin.
    let list = get(&f, "/rejected").await;
    let states: Vec<(&str, bool)> = list["items"].as_array().unwrap().iter().map(|item| (item["state"].as_str().unwrap(), item["id"].is_string())).collect();
    assert!(states.len() == 2 && states.contains(&("held", true)) && states.contains(&("refused", false)), "{list}");
    let id = list["items"].as_array().unwrap().iter().find_map(|item| item["id"].as_str()).unwrap().to_owned();
    let accept = format!("/rejected/{id}/accept");
    assert_eq!(post(&f, "desk", &accept).await.status, 403);
    assert_eq!(post(&f, "boss", "/rejected/evt_01m83b8kh7er48ghp2hax2nk2p/accept").await.status, 404);
    assert!(f.events().is_empty());

    let event = post(&f, "boss", &accept).await;
    assert_eq!((event.status, event.json()["id"].as_str()), (200, Some(id.as_str())), "{event:?}");
    assert_eq!(f.store().body(f.events()[0].id).unwrap(), body.as_bytes(), "byte for byte");
    let call = f.until("it is called", |f| f.calls().pop()).await;
    f.logged(call.id).await;
    // Once more, and the CRM's own next try: one event of it, one call.
    assert_eq!(post(&f, "boss", &accept).await.status, 200);
    assert_eq!(f.events().len(), 1);
    assert_eq!(send(&f, "msg_1", &body, 0).await, 200);
    f.until("the next try is a duplicate", |f| f.items(f.events()[0].id).contains(&Outcome::Ignored { why: Ignored::Duplicate }).then_some(())).await;
    assert_eq!((f.events().len(), f.calls().len()), (2, 1));

    let list = get(&f, "/rejected").await;
    assert!(list["items"].as_array().unwrap().iter().any(|item| item["state"] == "accepted" && item["accepted_at"].is_string()), "{list}");
    assert_eq!(get(&f, "/audit").await.to_string().matches("LetIn").count(), 1);
    f.finish().await;
}

/// What was wished hours ago is wished by the person who lets it in now: it does not expire on the way.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_wished_when_it_is_let_in_and_dropped_after_a_week() {
    let f = bridge().with(|s| s.lines[0].paused = true).start_by_hand().await;
    for id in ["msg_1", "msg_2"] {
        assert_eq!(send(&f, id, r#"{"phone":"0912345678"}"#, 3600).await, 401);
    }
    let held = |list: &Value| {
        list["items"].as_array().unwrap().iter().filter(|item| item["state"] == "held").map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let ids = held(&get(&f, "/rejected").await);
    f.advance(Duration::from_secs(3 * 86_400)).await;
    assert_eq!(post(&f, "boss", &format!("/rejected/{}/accept", ids[0])).await.status, 200);
    let call = f.until("it is called", |f| f.calls().pop()).await;
    assert!(f.now().since(call.wished_at) < Duration::from_secs(3600), "{call:?}");

    f.advance(Duration::from_secs(5 * 86_400)).await;
    f.store().prune(f.now()).await.unwrap();
    let list = get(&f, "/rejected").await;
    assert_eq!((held(&list).len(), list["items"].as_array().unwrap().len()), (0, 2), "its line stays: {list}");
    assert_eq!(post(&f, "boss", &format!("/rejected/{}/accept", ids[1])).await.status, 404);
    f.abandon().await;
}
