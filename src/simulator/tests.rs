//! Both simulators on real sockets, with a receiver that stands in for the bridge.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::dialer::{self, Running};
use super::mood::{Mood, Moods, Whom};
use super::script::Pace;
use super::{crm, demo_moods};

/// Reads one HTTP request with a length, answers 202, and keeps the bodies.
struct Receiver {
    url: String,
    bodies: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Receiver {
    async fn start() -> Receiver {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/callbacks/x", listener.local_addr().unwrap());
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bodies);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                tokio::spawn(async move {
                    let mut seen = Vec::new();
                    let mut chunk = [0; 4096];
                    loop {
                        let n = socket.read(&mut chunk).await.unwrap_or(0);
                        seen.extend_from_slice(&chunk[..n]);
                        let text = String::from_utf8_lossy(&seen).into_owned();
                        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                        let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ").map(|v| v.parse::<usize>().unwrap()));
                        if body.len() >= length.unwrap_or(0) {
                            kept.lock().unwrap().push((head.to_owned(), serde_json::from_str(body).unwrap_or_default()));
                            let _ = socket.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}").await;
                            return;
                        }
                        if n == 0 {
                            return;
                        }
                    }
                });
            }
        });
        Receiver { url, bodies }
    }

    fn bodies(&self) -> Vec<Value> {
        self.bodies.lock().unwrap().iter().map(|(_, body)| body.clone()).collect()
    }

    async fn wait_for(&self, count: usize) -> Vec<Value> {
        until(|| self.bodies().len() >= count).await;
        self.bodies()
    }
}

async fn until(mut true_now: impl FnMut() -> bool) {
    for _ in 0..500 {
        if true_now() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen within 5 s");
}

fn free_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn quick() -> dialer::Options {
    dialer::Options { pace: Pace { ring_secs: 0.0, talk_secs: 0.0, slow_secs: 0.3, late_secs: 0.0 }, speed: 10.0, ..dialer::Options::default() }
}

async fn ask(sim: &Running, call_id: &str, phone: &str, callback_url: &str) -> reqwest::Result<(u16, String)> {
    let body = json!({"secretKey": "key-1", "customerPhone": phone, "customerName": "An", "callId": call_id, "apiCallbackUrl": callback_url});
    let answer = super::client::new(Duration::from_secs(5)).unwrap().post(&sim.url).json(&body).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

#[tokio::test]
async fn a_taken_call_is_dialled_once_and_reported_in_the_vendor_s_case() {
    let receiver = Receiver::start().await;
    let sim = dialer::start(quick(), free_port()).unwrap();
    assert_eq!(ask(&sim, "c1", "0912345678", &receiver.url).await.unwrap(), (200, r#"{"errorCode":0,"hasError":false}"#.to_owned()));
    let report = receiver.wait_for(1).await.remove(0);
    assert_eq!((&report["CallId"], &report["Phone"], &report["CallDetail"]["ResponseStatus"]), (&json!("c1"), &json!("0912345678"), &json!(1)));
    assert!(report["CallDetail"]["AnswerDuration"].as_i64().unwrap() > 0);
    until(|| sim.call("c1").reports_sent == 1).await;
    assert_eq!((sim.call("c1").asked, sim.call("c1").dialled, sim.totals().dialled_twice), (1, 1, 0));
    sim.stop().await;
}

#[tokio::test]
async fn what_the_real_api_would_not_read_is_not_dialled() {
    let sim = dialer::start(dialer::Options { keys: ["key-1".to_owned()].into(), ..quick() }, free_port()).unwrap();
    let client = super::client::new(Duration::from_secs(5)).unwrap();
    let post = |url: String, kind: &'static str, body: &'static str| {
        let client = client.clone();
        async move {
            let answer = client.post(url).header("content-type", kind).body(body).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    };
    let url = sim.url.clone();
    let good = r#"{"secretKey":"key-1","customerPhone":"0912345678"}"#;
    assert_eq!(post(url.trim_end_matches('/').to_owned(), "application/json", good).await.0, 404);
    assert_eq!(post(url.clone(), "application/x-www-form-urlencoded", "secretKey=key-1").await.0, 415);
    assert_eq!(post(url.clone(), "application/json", "{").await.0, 400);
    assert_eq!(client.get(&url).send().await.unwrap().status().as_u16(), 405);
    for (body, code) in
        [(r#"{"secretKey":"","customerPhone":"09"}"#, "2111"), (r#"{"SecretKey":"key-1"}"#, "2111"), (r#"{"secretKey":"x","customerPhone":"09"}"#, "2112")]
    {
        assert_eq!(post(url.clone(), "application/json; charset=UTF-8", body).await, (200, format!(r#"{{"errorCode":{code},"hasError":true}}"#)));
    }
    assert_eq!(sim.totals().dialled, 0);
    sim.stop().await;
}

#[tokio::test]
async fn each_answer_of_a_mood_is_the_one_it_names() {
    let sim = dialer::start(quick(), free_port()).unwrap();
    for (mood, status, dialled) in [
        (Mood::RateLimited, Some(429), 0),
        (Mood::Unavailable, Some(503), 0),
        (Mood::UnavailableAfterDialling, Some(503), 1),
        (Mood::HtmlError, Some(500), 0),
        (Mood::QuotaUsedUp, Some(200), 0),
        (Mood::SystemErrorAfterDialling, Some(200), 1),
        (Mood::CutAfterPlacing, None, 1),
    ] {
        sim.set_mood(Whom::Everyone, Some(mood));
        let answer = ask(&sim, mood.as_str(), "0912345678", "").await;
        assert_eq!(answer.as_ref().ok().map(|(status, _)| *status), status, "{mood}");
        until(|| sim.call(mood.as_str()).dialled == dialled).await;
    }
    sim.stop().await;
}

#[tokio::test]
async fn a_cut_answer_has_not_one_byte() {
    let sim = dialer::start(dialer::Options { moods: Moods { everyone: Mood::CutAfterPlacing, ..Moods::default() }, ..quick() }, free_port()).unwrap();
    let mut socket = tokio::net::TcpStream::connect(sim.address).await.unwrap();
    let body = r#"{"secretKey":"k","customerPhone":"0912345678"}"#;
    let head = format!("POST /campaign/callone/ HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    assert_eq!(String::from_utf8_lossy(&answer), "");
    until(|| sim.totals().dialled == 1).await;
    sim.stop().await;
}

#[tokio::test]
async fn reports_come_before_the_answer_twice_late_or_never() {
    let receiver = Receiver::start().await;
    let sim = dialer::start(quick(), free_port()).unwrap();
    sim.set_mood(Whom::Everyone, Some(Mood::ReportBeforeAnswer));
    ask(&sim, "before", "0912345678", &receiver.url).await.unwrap();
    assert_eq!(receiver.bodies().len(), 1, "the report was there when the answer came");
    sim.set_mood(Whom::Everyone, Some(Mood::ReportTwice));
    ask(&sim, "twice", "0912345678", &receiver.url).await.unwrap();
    let bodies = receiver.wait_for(3).await;
    assert_eq!(bodies[1], bodies[2]);
    sim.set_mood(Whom::Everyone, Some(Mood::ReportLateWithNotes));
    ask(&sim, "late", "0912345678", &receiver.url).await.unwrap();
    let bodies = receiver.wait_for(5).await;
    assert_eq!(bodies[3]["CallDetail"]["CallNotes"], "");
    assert_ne!(bodies[4]["CallDetail"]["CallNotes"], "");
    sim.set_mood(Whom::Phone("0911111111".into()), Some(Mood::ReportLost));
    ask(&sim, "lost", "0911111111", &receiver.url).await.unwrap();
    until(|| sim.call("lost").dialled == 1).await;
    assert_eq!(receiver.bodies().len(), 5);
    sim.stop().await;
}

#[tokio::test]
async fn a_phone_that_was_off_dials_everything_in_order_when_it_comes_back() {
    let receiver = Receiver::start().await;
    let sim = dialer::start(quick(), free_port()).unwrap();
    sim.switch(None, false);
    for id in ["c1", "c2", "c3"] {
        assert_eq!(ask(&sim, id, "0912345678", &receiver.url).await.unwrap().0, 200);
    }
    assert_eq!((sim.totals().taken, sim.totals().dialled, sim.totals().most_at_once), (3, 0, 3));
    sim.switch(None, true);
    receiver.wait_for(3).await;
    assert_eq!((sim.totals().dialled, sim.totals().dialled_twice), (3, 0));
    sim.stop().await;
}

#[tokio::test]
async fn the_control_api_sets_moods_and_counts() {
    let sim = dialer::start(quick(), free_port()).unwrap();
    let client = super::client::new(Duration::from_secs(5)).unwrap();
    let post = |path: &str, body: Value| client.post(format!("{}/{path}", sim.control_url)).json(&body).send();
    assert_eq!(post("mood", json!({"mood": "sleepy"})).await.unwrap().status().as_u16(), 422);
    assert_eq!(post("mood", json!({"key": "key-1", "mood": "switched_off"})).await.unwrap().status().as_u16(), 200);
    assert!(ask(&sim, "c1", "0912345678", "").await.unwrap().1.contains("2116"));
    let stats = client.get(format!("{}/stats?calls=1&keys=1", sim.control_url)).send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!((&stats["calls"]["c1"]["asked"], &stats["replies"]["2116"], &stats["by_key"]["key-1"]["asked"]), (&json!(1), &json!(1), &json!(1)));
    post("reset", json!({})).await.unwrap();
    ask(&sim, "c2", "0912345678", "").await.unwrap();
    let calls = client.get(format!("{}/calls", sim.control_url)).send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!((calls["calls"].as_array().unwrap().len(), &calls["calls"][0]["line"]), (1, &json!("…ey-1")));
    sim.stop().await;
}

#[tokio::test]
async fn many_phones_ring_at_once_and_each_call_once() {
    let receiver = Receiver::start().await;
    let sim = dialer::start(quick(), free_port()).unwrap();
    let client = super::client::new(Duration::from_secs(5)).unwrap();
    let asks = (0..300).map(|n| {
        let body = json!({"secretKey": format!("k{}", n % 100), "customerPhone": "0912345678", "callId": format!("c{n}"), "apiCallbackUrl": receiver.url});
        let request = client.post(&sim.url).json(&body);
        async move { request.send().await.unwrap().status().as_u16() }
    });
    assert!(futures_util::future::join_all(asks).await.into_iter().all(|status| status == 200));
    receiver.wait_for(300).await;
    until(|| sim.totals().reports_sent == 300).await;
    assert_eq!((sim.totals().dialled, sim.totals().dialled_twice, sim.totals().keys), (300, 0, 100));
    sim.stop().await;
}

#[test]
fn the_demo_s_moods_are_for_numbers_its_customers_have() {
    let moods = demo_moods();
    assert!(moods.by_phone.keys().all(|phone| phone.starts_with('0') && phone.len() >= 10));
    assert!(moods.by_phone.len() >= 9);
}

// ---- the demo CRM

fn crm_at(options: crm::Options) -> crm::Running {
    crm::start(options, free_port()).unwrap()
}

async fn send(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn pressing_call_posts_a_signed_webhook_and_the_result_becomes_one_note() {
    let receiver = Receiver::start().await;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned();
    let running =
        crm_at(crm::Options { hook_url: Some(receiver.url.clone()), hook_secret: Some(secret), token: Some("t0k".into()), ..crm::Options::default() });
    let client = super::client::new(Duration::from_secs(5)).unwrap();
    let (status, ask) = send(client.post(format!("{}page/customers/1001/call", running.url))).await;
    assert_eq!((status, &ask["state"], &ask["status"]), (200, &json!("accepted"), &json!(202)));
    let (head, body) = receiver.bodies.lock().unwrap()[0].clone();
    assert!(head.contains("webhook-signature: v1,"));
    assert_eq!((&body["record_id"], &body["priority"], &body["phone"]), (&json!("1001"), &json!("interactive"), &json!("0912 345 678")));

    let result = json!({"call_id": "c1", "record_id": "1001", "disposition": "answered", "interest": "interested", "note": "Đã nghe máy", "version": 1});
    assert_eq!(send(client.post(&running.results_url).json(&result)).await.0, 401);
    let post = |body: Value| send(client.post(&running.results_url).bearer_auth("t0k").json(&body));
    assert_eq!(post(result.clone()).await.0, 201);
    assert_eq!(post(result.clone()).await.1["changed"], false);
    let mut newer = result.clone();
    (newer["version"], newer["note"]) = (json!(2), json!("Đã nghe máy, hẹn lại"));
    assert_eq!(post(newer).await.0, 200);
    assert_eq!(post(result).await.1["changed"], false, "an older version never replaces a newer one");
    let notes = running.notes_of("1001");
    assert_eq!((notes.len(), notes[0].text.as_str(), notes[0].changes), (1, "Đã nghe máy, hẹn lại", 1));
    let (_, detail) = send(client.get(format!("{}page/customers/1001", running.url))).await;
    assert_eq!(detail["asks"][0]["state"], "done");
    running.stop().await;
}

#[tokio::test]
async fn a_failure_after_storing_leaves_an_entry_that_can_be_found() {
    let running = crm_at(crm::Options::default());
    let client = super::client::new(Duration::from_secs(5)).unwrap();
    let base = running.url.clone();
    let note = json!({"text": "gọi", "call_id": "c1", "client_id": "x"});
    send(client.post(format!("{base}_crm/fail")).json(&json!({"status": 0, "after_storing": true}))).await;
    assert!(client.post(format!("{base}api/customers/1001/notes")).json(&note).send().await.is_err(), "the connection was cut");
    let (_, found) = send(client.get(format!("{base}api/notes?call_id=c1"))).await;
    assert_eq!(found["results"].as_array().unwrap().len(), 1);
    send(client.post(format!("{base}_crm/switches")).json(&json!({"client_id": true}))).await;
    assert_eq!(send(client.post(format!("{base}api/customers/1001/notes")).json(&note)).await.0, 200);
    assert_eq!(send(client.get(format!("{base}api/notes?call_id=c1"))).await.0, 404, "search is off now");
    send(client.post(format!("{base}_crm/fail")).json(&json!({"status": 503, "times": 2, "retry_after": 1}))).await;
    let made = || send(client.post(format!("{base}api/customers/1001/notes")).json(&json!({"text": "a", "call_id": "c2"})));
    assert_eq!([made().await.0, made().await.0, made().await.0, made().await.0], [503, 503, 201, 201]);
    let (_, stats) = send(client.get(format!("{base}_crm/stats?calls=1"))).await;
    assert_eq!((&stats["calls"], &stats["doubled"], &stats["failures"]), (&json!({"c1": 1, "c2": 2}), &json!(1), &json!(3)));
    running.stop().await;
}

#[tokio::test]
async fn an_open_page_hears_of_a_new_note() {
    let running = crm_at(crm::Options::default());
    let client = super::client::new(Duration::from_secs(5)).unwrap();
    let mut events = client.get(format!("{}page/events", running.url)).send().await.unwrap();
    assert!(String::from_utf8_lossy(&events.chunk().await.unwrap().unwrap()).contains("\"kind\":\"phone\""));
    let note = json!({"text": "xin chào", "call_id": "c1"});
    assert_eq!(send(client.post(format!("{}api/customers/1002/notes", running.url)).json(&note)).await.0, 201);
    let event = String::from_utf8_lossy(&events.chunk().await.unwrap().unwrap()).into_owned();
    assert!(event.starts_with("data: {\"kind\":\"note\"") && event.contains("xin chào"), "{event}");
    running.stop().await;
}

#[tokio::test]
async fn customers_are_made_changed_and_looked_up() {
    let running = crm_at(crm::Options { sample: false, ..crm::Options::default() });
    let client = super::client::new(Duration::from_secs(5)).unwrap();
    let base = format!("{}api/customers", running.url);
    let (status, made) = send(client.post(&base).json(&json!({"count": 3}))).await;
    assert_eq!((status, made["ids"].as_array().unwrap().len()), (201, 3));
    assert_eq!(send(client.post(&base).json(&json!([{"id": "x", "name": "An", "phone": "0912345678"}]))).await.0, 201);
    assert_eq!(send(client.put(format!("{base}/x")).json(&json!({"last_call": "answered"}))).await.0, 200);
    assert_eq!(send(client.get(format!("{base}/x"))).await.1["last_call"], "answered");
    assert_eq!(send(client.get(format!("{base}/nobody"))).await.0, 404);
    running.stop().await;
}
