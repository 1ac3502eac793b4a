//! The drop-in for the vendor's API: the requests of the vendor's own article, byte for byte, and what comes of them.

use std::time::Duration;

use callbridge::config::{Dedup, GatewayKey};
use callbridge::domain::call::{Call, State};
use callbridge::domain::rate::Rate;
use callbridge::domain::secret::SecretText;
use callbridge::simulator::mood::Mood;
use callbridge::store::{Change, TaskKind};
use serde_json::{Value, json};

use super::bridge::{Fixture, Setup};
use super::far_end::FarEnd;
use super::wire::{self, Raw};

const KEY: &str = "gateway-key-of-the-tests-0001";
const PATH: &str = "/campaign/callone/";
const JQUERY_TYPE: &str = "Content-Type: application/json; charset=UTF-8";

fn gateway_key() -> GatewayKey {
    GatewayKey {
        name: "old-shop".into(),
        key: SecretText::new(KEY),
        lines: Vec::new(),
        dedup: Dedup::None,
        origins: Vec::new(),
        max_queued: 1000,
        paused: false,
        workspace: Default::default(),
    }
}

fn setup(mood: Mood, change: impl FnOnce(&mut GatewayKey)) -> Setup {
    let mut key = gateway_key();
    change(&mut key);
    Setup::new(mood).with(|settings| settings.gateway_keys = vec![key])
}

/// Takes whatever is posted to it, as the caller's own `ListenCallState` does.
async fn listener() -> FarEnd {
    FarEnd::start(|_| (200, String::new())).await
}

fn taken(answer: &Raw) {
    assert_eq!((answer.status, answer.json()), (200, json!({"errorCode": 0, "hasError": false})));
}

async fn refused(f: &Fixture, body: &str, code: u16) {
    let answer = wire::post(&f.address, PATH, &[JQUERY_TYPE], body.as_bytes()).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"errorCode": code, "hasError": true})), "{body}");
}

/// The call is dialled as asked for, and its report reaches the caller under the caller's own id.
async fn dialled_and_reported(f: &Fixture, far: &FarEnd, call_id: &str) -> (Call, Value) {
    let call = f.until("the call ended", |f| f.calls().into_iter().find(|c| c.state == State::Ended)).await;
    assert_eq!(
        (call.phone.national().as_str(), call.customer.name.as_str(), call.customer.info.as_str()),
        ("0912345678", "Nguyễn Thị Lan", "Gói \"Vàng\" / 2 năm")
    );
    assert_eq!(f.dialled(call.id).dialled, 1);
    let request = f.until("the report is forwarded", |_| far.requests().pop()).await;
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/api/ListenCallState"));
    let report = request.json();
    let names: Vec<&String> = report.as_object().unwrap().keys().collect();
    assert_eq!(names, ["Phone", "Name", "Gender", "Info", "CallId", "CallDetail"]);
    let detail: Vec<&String> = report["CallDetail"].as_object().unwrap().keys().collect();
    let expected = ["CallStatus", "CallBySim", "CallDuration", "AnswerDuration", "SendSms", "SmsContent", "ResponseStatus", "CallNotes"];
    assert_eq!(detail, expected);
    assert_eq!((report["CallId"].as_str(), report["Phone"].as_str(), report["Gender"].as_str()), (Some(call_id), Some("0912345678"), Some("Nữ")));
    assert_eq!(report["CallDetail"]["ResponseStatus"], 1);
    (call, report)
}

/// `$.ajax` with `JSON.stringify` in a browser, from a page on another host.
#[tokio::test(flavor = "multi_thread")]
async fn the_article_s_jquery_request() {
    let (f, far) = (setup(Mood::Answers, |k| k.origins = vec!["https://shop.example.vn".into()]).start().await, listener().await);
    let preflight = format!(
        "OPTIONS {PATH} HTTP/1.1\r\nHost: {}\r\nOrigin: https://shop.example.vn\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n",
        f.address
    );
    let answer = wire::send(&f.address, preflight.as_bytes()).await.unwrap();
    assert_eq!((answer.status, answer.header("access-control-allow-origin").as_deref()), (204, Some("https://shop.example.vn")));
    assert!(answer.header("access-control-allow-methods").unwrap().contains("POST"));
    assert!(answer.header("access-control-allow-headers").unwrap().contains("content-type"));

    let body = format!(
        r#"{{"secretKey":"{KEY}","customerPhone":"0912345678","customerName":"Nguyễn Thị Lan","customerGender":"Nữ","customerInfo":"Gói \"Vàng\" / 2 năm","callId":"js-17","apiCallbackUrl":"{}/api/ListenCallState"}}"#,
        far.url()
    );
    let headers = ["Accept: */*", JQUERY_TYPE, "Origin: https://shop.example.vn", "Referer: https://shop.example.vn/", "User-Agent: Mozilla/5.0"];
    let answer = wire::post(&f.address, PATH, &headers, body.as_bytes()).await;
    taken(&answer);
    assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some("https://shop.example.vn"));
    dialled_and_reported(&f, &far, "js-17").await;
    f.finish().await;
}

/// PHP's `json_encode` escapes letters and slashes, curl sends no charset.
#[tokio::test(flavor = "multi_thread")]
async fn the_article_s_php_request() {
    let (f, far) = (setup(Mood::Answers, |_| {}).start().await, listener().await);
    let body = format!(
        r#"{{"secretKey":"{KEY}","customerPhone":"0912345678","customerName":"Nguy\u1ec5n Th\u1ecb Lan","customerGender":"N\u1eef","customerInfo":"G\u00f3i \"V\u00e0ng\" \/ 2 n\u0103m","callId":"php-17","apiCallbackUrl":"{}"}}"#,
        format!("{}/api/ListenCallState", far.url()).replace('/', "\\/")
    );
    taken(&wire::post(&f.address, PATH, &["Accept: */*", "Content-Type:application/json"], body.as_bytes()).await);
    dialled_and_reported(&f, &far, "php-17").await;
    f.finish().await;
}

/// Newtonsoft's default names are the properties': PascalCase.
#[tokio::test(flavor = "multi_thread")]
async fn the_article_s_c_sharp_request() {
    let (f, far) = (setup(Mood::Answers, |_| {}).start().await, listener().await);
    let body = format!(
        r#"{{"SecretKey":"{KEY}","CustomerPhone":"0912345678","CustomerName":"Nguyễn Thị Lan","CustomerGender":"Nữ","CustomerInfo":"Gói \"Vàng\" / 2 năm","CallId":"net-17","ApiCallbackUrl":"{}/api/ListenCallState"}}"#,
        far.url()
    );
    taken(&wire::post(&f.address, PATH, &["Content-Type: application/json; charset=utf-8"], body.as_bytes()).await);
    dialled_and_reported(&f, &far, "net-17").await;
    f.finish().await;
}

/// Without the slash at the end, with nulls where the program had nothing to say.
#[tokio::test(flavor = "multi_thread")]
async fn no_slash_and_only_what_is_needed() {
    let f = setup(Mood::Answers, |_| {}).start().await;
    let body = format!(
        r#"{{"SecretKey":"{KEY}","CustomerPhone":"0912345678","CustomerName":null,"CustomerGender":null,"CustomerInfo":null,"CallId":null,"ApiCallbackUrl":null}}"#
    );
    taken(&wire::post(&f.address, "/campaign/callone", &["Content-Type: application/json"], body.as_bytes()).await);
    f.until("the call ended", |f| f.calls().into_iter().find(|c| c.state == State::Ended)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_is_the_vendor_s_code_with_status_200() {
    let f = setup(Mood::Answers, |_| {}).start().await;
    let with = |key: &str, phone: &str| json!({"secretKey": key, "customerPhone": phone}).to_string();
    for body in ["", "secretKey=x", "[]", "{}", r#"{"customerPhone":"0912345678"}"#] {
        refused(&f, body, 2111).await;
    }
    for phone in ["", "abc", "113", "19001234", "+12025550123", "09123"] {
        refused(&f, &with(KEY, phone), 2111).await;
    }
    for callback in ["ftp://shop.example.vn/", "shop.example.vn", "javascript:alert(1)"] {
        refused(&f, &json!({"secretKey": KEY, "customerPhone": "0912345678", "apiCallbackUrl": callback}).to_string(), 2111).await;
    }
    refused(&f, &with("a-key-that-nobody-has", "0912345678"), 2112).await;
    refused(&f, &format!("{}{}", with(KEY, "0912345678"), " ".repeat(2 << 20)), 2222).await;
    assert!(f.calls().is_empty());
    f.finish().await;

    let f = setup(Mood::Answers, |k| k.paused = true).start().await;
    refused(&f, &with(KEY, "0912345678"), 2116).await;
    f.finish().await;

    let f = setup(Mood::Answers, |_| {}).with(|s| s.store.reserve_mib = u64::MAX / (2 << 20)).start().await;
    refused(&f, &with(KEY, "0912345678"), 2222).await;
    assert!(f.calls().is_empty());
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_queue_limit_is_2118_and_a_rate_only_queues() {
    let f = setup(Mood::Answers, |k| k.max_queued = 2).with(|s| s.lines[0].paused = true).start_by_hand().await;
    let body = |n: u32| json!({"secretKey": KEY, "customerPhone": format!("091234567{n}")}).to_string();
    taken(&wire::post(&f.address, PATH, &[JQUERY_TYPE], body(1).as_bytes()).await);
    taken(&wire::post(&f.address, PATH, &[JQUERY_TYPE], body(2).as_bytes()).await);
    refused(&f, &body(3), 2118).await;
    assert_eq!(f.calls().len(), 2);
    f.change(Change::Cancel { call: f.calls()[0].id, write_back: true }).await;
    taken(&wire::post(&f.address, PATH, &[JQUERY_TYPE], body(3).as_bytes()).await);
    f.finish().await;

    let slow: Rate = "1/h".parse().unwrap();
    let f = setup(Mood::Answers, |_| {}).with(|s| s.lines[0].rate = Some(slow)).start_by_hand().await;
    for n in 0..5 {
        taken(&wire::post(&f.address, PATH, &[JQUERY_TYPE], body(n).as_bytes()).await);
    }
    f.until("the first is over", |f| f.calls().into_iter().find(|c| c.state == State::Ended)).await;
    f.advance(Duration::from_secs(3599)).await;
    assert_eq!(f.sim.totals().dialled, 1);
    f.advance(Duration::from_secs(1)).await;
    assert_eq!(f.sim.totals().dialled, 2);
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_call_id_is_the_same_call_only_where_the_key_says_so() {
    let body = json!({"secretKey": KEY, "customerPhone": "0912345678", "callId": "same"}).to_string();
    let nameless = json!({"secretKey": KEY, "customerPhone": "0912345678", "callId": ""}).to_string();
    for (dedup, calls) in [(Dedup::CallId, 1), (Dedup::None, 3)] {
        let f = setup(Mood::Answers, |k| k.dedup = dedup).with(|s| s.lines[0].paused = true).start_by_hand().await;
        for _ in 0..3 {
            taken(&wire::post(&f.address, PATH, &[JQUERY_TYPE], body.as_bytes()).await);
        }
        assert_eq!(f.calls().len(), calls);
        taken(&wire::post(&f.address, PATH, &[JQUERY_TYPE], nameless.as_bytes()).await);
        taken(&wire::post(&f.address, PATH, &[JQUERY_TYPE], nameless.as_bytes()).await);
        assert_eq!(f.calls().len(), calls + 2, "without an id every request is a call");
        if dedup == Dedup::CallId {
            f.advance(Duration::from_secs(86_401)).await;
            taken(&wire::post(&f.address, PATH, &[JQUERY_TYPE], body.as_bytes()).await);
            assert_eq!(f.calls().len(), calls + 3, "after a day it is a new call");
        }
        f.finish().await;
    }
}

/// Only origins of the key may read the answer; a browser of another page is told nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_is_not_let_in() {
    let f = setup(Mood::Answers, |k| k.origins = vec!["https://shop.example.vn".into()]).start().await;
    let preflight = format!("OPTIONS {PATH} HTTP/1.1\r\nHost: {}\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n", f.address);
    let answer = wire::send(&f.address, preflight.as_bytes()).await.unwrap();
    assert_eq!(answer.header("access-control-allow-origin"), None);
    f.finish().await;
}

/// A call that ends without a report is reported to its caller as one that could not be reached, with our sentence.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_ends_without_a_report_is_told_too() {
    let (f, far) = (setup(Mood::ReportLost, |_| {}).start_by_hand().await, listener().await);
    let url = format!("{}/api/ListenCallState", far.url());
    let body = json!({"secretKey": KEY, "customerPhone": "0912345678", "callId": "theirs", "apiCallbackUrl": url}).to_string();
    taken(&wire::post(&f.address, PATH, &[JQUERY_TYPE], body.as_bytes()).await);
    f.until("it is placed", |f| f.calls().into_iter().find(|c| c.state == State::Placed)).await;
    f.advance(Duration::from_secs(2 * 3600)).await;
    let report = f.until("it is told", |_| far.requests().pop()).await.json();
    assert_eq!(
        (report["CallId"].as_str(), report["CallDetail"]["AnswerDuration"].as_i64(), report["CallDetail"]["ResponseStatus"].as_i64()),
        (Some("theirs"), Some(0), Some(4))
    );
    assert_eq!(report["CallDetail"]["CallNotes"], "điện thoại không báo kết quả cuộc gọi");
    f.finish().await;
}

/// A caller that is down gets its report later; it is never asked for again more often than that.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_down_gets_its_report_later() {
    let f = setup(Mood::Answers, |_| {}).start_by_hand().await;
    let down = std::sync::atomic::AtomicBool::new(true);
    let far = FarEnd::start(move |_| if down.swap(false, std::sync::atomic::Ordering::Relaxed) { (503, String::new()) } else { (200, String::new()) }).await;
    let body = json!({"secretKey": KEY, "customerPhone": "0912345678", "callId": "theirs", "apiCallbackUrl": far.url()}).to_string();
    taken(&wire::post(&f.address, PATH, &[JQUERY_TYPE], body.as_bytes()).await);
    f.until("the first try", |f| (far.requests().len() == 1 && f.backlog(TaskKind::Forward) == 1).then_some(())).await;
    f.advance(Duration::from_secs(10)).await;
    assert_eq!((far.requests().len(), f.backlog(TaskKind::Forward)), (2, 0));
    f.finish().await;
}
