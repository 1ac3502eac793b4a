//! Rules and brakes from outside: what a webhook's call meets between its wish and the phone, and what a person can do about it.

use std::time::{Duration, Instant};

use callbridge::config::{ApiKey, ApiRole};
use callbridge::domain::call::State;
use callbridge::domain::connection::{Connection, Mode, Purpose};
use callbridge::domain::id::CallId;
use callbridge::domain::report::Interest;
use callbridge::domain::schedule::Pause;
use callbridge::domain::secret::SecretText;
use callbridge::domain::time::Time;
use callbridge::error::Code;
use callbridge::simulator::mood::{Mood, Whom};
use callbridge::store::{Change, Changed};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::bridge::{CUSTOMER, Fixture, Setup};
use crate::far_end::{FarEnd, Request};
use crate::wire;

pub const KEY: &str = "operator-key-0123456789";

pub fn setup() -> Setup {
    Setup::new(Mood::Answers).with(|settings| {
        settings.api_keys = vec![ApiKey { name: "lan".into(), key: SecretText::new(KEY), role: ApiRole::Operator, workspace: "main".into() }];
    })
}

pub async fn ask(f: &Fixture, method: &str, path: &str, body: &Value) -> (u16, Value) {
    ask_text(f, method, path, "application/json", &body.to_string()).await
}

async fn ask_text(f: &Fixture, method: &str, path: &str, content_type: &str, body: &str) -> (u16, Value) {
    let request = format!(
        "{method} /api/v1{path} HTTP/1.1\r\nHost: bridge\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let raw = wire::send(&f.address, request.as_bytes()).await.expect("the API answers");
    (raw.status, if raw.body.is_empty() { Value::Null } else { raw.json() })
}

async fn shown(f: &Fixture, id: CallId) -> Value {
    ask(f, "GET", &format!("/calls/{id}"), &json!({})).await.1
}

fn time(text: &str) -> Time {
    Time::parse_rfc3339(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_of_the_evening_waits_until_the_morning_and_says_so() {
    let f = setup().connection(|c| c.hours = vec!["Mon-Fri 08:00-17:30".parse().unwrap()]).start_by_hand().await;
    // A Friday evening.
    f.set_clock(time("2026-12-04T18:00:00+07:00"));
    let id = f.wish("0912345678").await;
    f.run_due().await;
    let waits = shown(&f, id).await;
    assert_eq!(
        (&waits["state"], &waits["waits"]["reason"]["code"], &waits["waits"]["until"]),
        (&"queued".into(), &"hold_window".into(), &"2026-12-07T01:00:00Z".into())
    );
    f.set_clock(time("2026-12-07T07:59:59+07:00"));
    f.run_due().await;
    assert_eq!(f.sim.totals().asked, 0, "nothing reaches the dialer outside the hours");
    f.set_clock(time("2026-12-07T08:00:00+07:00"));
    f.run_due().await;
    f.reaches(id, State::Ended).await;
    f.advance(Duration::from_secs(60)).await;
    f.logged(id).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_lunar_new_year_nobody_is_called() {
    let f = setup().connection(|c| c.purpose = Purpose::Advertising).start_by_hand().await;
    f.set_clock(time("2027-02-06T09:00:00+07:00"));
    let id = f.wish_with("0912345678", json!({"consent": true})).await;
    let waits = shown(&f, id).await;
    assert_eq!((&waits["waits"]["reason"]["code"], &waits["waits"]["until"]), (&"hold_holiday".into(), &"2027-02-12T01:00:00Z".into()));
    assert_eq!(
        waits["waits"]["reason"]["sentence"],
        json!({"vi": "chờ hết ngày nghỉ lễ (Tết Nguyên đán Đinh Mùi)", "en": "waits until the holiday is over (Lunar New Year)"})
    );
    let clicked = f.wish_with("0912345679", json!({"consent": true, "priority": "interactive"})).await;
    assert_eq!(shown(&f, clicked).await["refusal"]["sentence"]["en"], "not called: today is a holiday (Lunar New Year)");
    f.run_due().await;
    f.logged(clicked).await;
    let note = f.notes(clicked);
    assert!(note.iter().any(|n| n.text.contains("(Tết Nguyên đán Đinh Mùi)")), "{note:#?}");
    let refused = f.wish("0987654321").await;
    assert_eq!(f.call(refused).refusal, Some(Code::MissingConsent));
    f.run_due().await;
    f.logged(refused).await;
    let note = f.notes(refused);
    assert!(note.iter().any(|n| n.text.contains("chưa có đồng ý")), "the reason stands on the record: {note:#?}");
    let (status, answer) = ask(&f, "POST", "/calls/cancel", &json!({"connection": "crm", "confirm": 1})).await;
    assert_eq!((status, &answer["done"]), (200, &json!(1)), "{answer}");
    f.run_due().await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_customer_is_not_called_more_often_than_allowed_over_two_connections() {
    let f = setup()
        .connection(|c| {
            c.max_per_number = Some("1/24h".parse().unwrap());
            c.duplicate_window = Duration::ZERO;
        })
        .start_by_hand()
        .await;
    let first = f.wish("0912345678").await;
    f.run_due().await;
    f.reaches(first, State::Ended).await;
    let second = f.wish("+84 912 345 678").await;
    f.run_due().await;
    let waits = shown(&f, second).await;
    assert_eq!(waits["waits"]["reason"]["code"], "hold_cap", "{waits}");
    let (_, preview) = ask(&f, "POST", "/calls/preview", &json!({"connection": "crm", "phones": ["0912345678", "0987654321", "0987654321", "113"]})).await;
    let would: Vec<&str> = preview["items"].as_array().unwrap().iter().map(|row| row["would"].as_str().unwrap()).collect();
    assert_eq!(would, ["wait", "place", "wait", "refuse"], "{preview}");
    assert_eq!(preview["items"][2]["waits"]["reason"]["code"], "hold_cap", "the list itself counts");
    f.advance(Duration::from_secs(86_400)).await;
    f.reaches(second, State::Ended).await;
    f.advance(Duration::from_secs(60)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_of_contacts_is_braked_and_a_person_lets_some_go_and_cancels_the_rest() {
    let f = setup().connection(|c| c.max_new_calls = "2/h".parse().unwrap()).start_by_hand().await;
    for n in 0..7 {
        f.wish(&format!("091234567{n}")).await;
    }
    f.run_due().await;
    let filter = json!({"connection": "crm", "state": "queued", "hold": "brake"});
    let with = |name: &str, value: Value| {
        let mut body = filter.clone();
        body[name] = value;
        body
    };
    assert_eq!(ask(&f, "POST", "/calls/release", &filter).await, (200, json!({"matching": 5, "done": null})));
    let (status, problem) = ask(&f, "POST", "/calls/release", &with("confirm", json!(4))).await;
    assert_eq!((status, &problem["code"]), (409, &json!("conflict")), "{problem}");
    let mut some = with("confirm", json!(2));
    some["count"] = json!(2);
    assert_eq!(ask(&f, "POST", "/calls/release", &some).await, (200, json!({"matching": 2, "done": 2})));
    let (_, problem) = ask(&f, "POST", "/calls/cancel", &with("hold", json!("brakes"))).await;
    assert!(problem["detail"].as_str().unwrap().contains("brake"), "{problem}");
    assert_eq!(ask(&f, "POST", "/calls/cancel", &with("confirm", json!(3))).await, (200, json!({"matching": 3, "done": 3})));
    let states = |state| f.calls().iter().filter(|c| c.state == state).count();
    f.until("all are over", |f| f.calls().iter().all(|c| matches!(c.state, State::Ended | State::Cancelled)).then_some(())).await;
    assert_eq!((states(State::Cancelled), states(State::Ended)), (3, 4));
    f.advance(Duration::from_secs(60)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_on_the_do_not_call_list_is_never_dialled() {
    let f = setup().connection(|c| c.learn_do_not_call = true).start_by_hand().await;
    f.change(callbridge::store::Change::StopAll(callbridge::domain::schedule::Stopped { by: "lan".into(), since: f.now(), reason: String::new() })).await;
    let waits = f.wish("0912345678").await;
    let file = "name,phone\n\"An\nLê\",0912 345 678\nBình,hello\nHoa,0987654321\n,,\n";
    let (status, report) = ask_text(&f, "POST", "/dnc/import?why=asked%20by%20mail", "text/csv", file).await;
    assert_eq!((status, &report["rows"], &report["added"], &report["refused_calls"]), (200, &json!(5), &json!(2), &json!(1)), "{report}");
    assert_eq!(
        report["bad_rows"].as_array().unwrap().iter().map(|r| (r["row"].as_u64().unwrap(), r["reason"]["code"].as_str().unwrap())).collect::<Vec<_>>(),
        [(3, "bad_phone"), (5, "missing_phone")]
    );
    assert_eq!((f.call(waits).state, f.call(waits).refusal), (State::Refused, Some(Code::DoNotCall)));
    f.change(callbridge::store::Change::ResumeAll).await;
    let (status, problem) = ask(&f, "POST", "/calls", &json!({"phone": "0912345678", "connection": "crm"})).await;
    assert_eq!((status, &problem["code"]), (409, &json!("do_not_call")), "{problem}");
    let (_, page) = ask(&f, "GET", "/dnc?limit=1", &json!({})).await;
    assert_eq!((&page["items"][0]["phone"], &page["items"][0]["by"], &page["next"]), (&json!("+84912345678"), &json!("lan"), &json!("+84912345678")), "{page}");
    assert_eq!(ask(&f, "DELETE", "/dnc/0912345678", &json!({})).await.0, 204);
    let trail = callbridge::store::Store::audit(f.store(), 9).unwrap();
    let mut said: Vec<&str> = trail.iter().map(|entry| entry.change.as_str()).filter(|change| change.contains("do-not-call")).collect();
    said.sort_unstable();
    let (began, done) = (
        "began import 1 into the do-not-call list of main, which binds every call: asked by mail",
        "import 1 is done: 2 numbers stand on the do-not-call list of main by it",
    );
    assert_eq!(said, [began, done, "took 1 number off the do-not-call list of main: +84912345678"]);
    assert_eq!(ask(&f, "GET", "/dnc/0912345678", &json!({})).await.0, 404);
    f.mood(Mood::NotInterested);
    let (_, made) = ask(&f, "POST", "/calls", &json!({"phone": "0912345678", "connection": "crm"})).await;
    f.run_due().await;
    f.reaches(made["id"].as_str().unwrap().parse().unwrap(), State::Ended).await;
    let (status, learnt) = ask(&f, "GET", "/dnc/0912345678", &json!({})).await;
    assert_eq!((status, &learnt["source"]), (200, &json!("learned")), "{learnt}");
    f.advance(Duration::from_secs(60)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_test_mode_only_the_test_phone_rings_and_the_note_says_so() {
    let f = setup()
        .connection(|c| {
            c.mode = Mode::Test;
            c.test_phone = Some("0900000001".into());
        })
        .start()
        .await;
    f.sim.set_mood(Whom::Phone("0900000001".into()), Some(Mood::NotInterested));
    let id = f.wish("0912345678").await;
    let call = f.logged(id).await;
    assert_eq!(call.report.map(|r| (r.phone.clone(), r.interest())), Some(("0900000001".into(), Interest::NotInterested)), "only that phone says so");
    assert!(f.note(id).text.starts_with("[GỌI THỬ]"), "{:#?}", f.note(id));
    f.finish().await;
    let f = setup().connection(|c| c.mode = Mode::Test).start().await;
    let id = f.wish("0912345678").await;
    f.logged(id).await;
    assert_eq!((f.call(id).state, f.call(id).refusal, f.sim.totals().asked), (State::Refused, Some(Code::TestMode), 0));
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_dialled_a_second_after_stop_all_and_after_a_restart() {
    let mut f = setup().with(|s| s.lines[0].max_in_flight = 3).start().await;
    for n in 0..40 {
        let answer = f.deliver(&json!({"event_id": format!("s{n}"), "phone": format!("09123456{n:02}"), "record_id": CUSTOMER})).await;
        assert_eq!(answer.status, 200);
    }
    f.until("some are placed", |f| (f.sim.totals().asked >= 3).then_some(())).await;
    let pressed = Instant::now();
    let (status, answer) = ask(&f, "POST", "/pause", &json!({"reason": "wrong list"})).await;
    assert_eq!((status, &answer["stopped"]["by"], &answer["stopped"]["reason"]), (200, &json!("lan"), &json!("wrong list")));
    tokio::time::sleep(Duration::from_secs(1).saturating_sub(pressed.elapsed())).await;
    let dialled = f.sim.totals().asked;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(f.sim.totals().asked, dialled, "nothing more after a second");
    f.restart().await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(f.sim.totals().asked, dialled, "and nothing after a restart");
    assert!(dialled < 40, "{dialled}: the test shows nothing if all were placed before");
    assert_eq!(ask(&f, "GET", "/pause", &json!({})).await.1["stopped"]["by"], "lan");
    assert_eq!(ask(&f, "POST", "/resume", &json!({})).await.0, 200);
    f.until("all are placed", |f| f.calls().iter().all(|c| c.state == State::Ended).then_some(())).await;
    f.finish().await;
}

/// A dialer that takes no connection, as behind a network that loses packets, until what fills its queue is dropped.
async fn full() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut others = Vec::new();
    while let Ok(Ok(other)) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        others.push(other);
    }
    (listener, others)
}

fn callone(listener: &TcpListener) -> String {
    format!("http://{}/campaign/callone/", listener.local_addr().unwrap())
}

fn takes_all(_: &Request) -> (u16, String) {
    (200, r#"{"errorCode":0,"hasError":false}"#.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_connection_stands_after_stop_all_does_not_leave() {
    let (listener, others) = full().await;
    let f = setup().with(|s| s.dialer.url = callone(&listener)).start().await;
    let id = f.wish("0912345678").await;
    f.reaches(id, State::Placing).await;
    let pressed = Instant::now();
    assert_eq!(ask(&f, "POST", "/pause", &json!({"reason": "wrong list"})).await.0, 200);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(f.call(id).state, State::Placing, "its connection does not stand yet");
    drop(others);
    let dialer = FarEnd::on(listener, takes_all);
    let call = f.until("nobody waits for its answer any more", |f| Some(f.call(id)).filter(|call| call.state != State::Placing)).await;
    let sent: Vec<String> = dialer.requests().iter().map(|r| String::from_utf8_lossy(&r.body).into_owned()).collect();
    assert!(sent.is_empty(), "{:?} after stop-all: {sent:?}", pressed.elapsed());
    assert_eq!((call.state, call.ever_sent, call.hold), (State::Queued, false, None), "it was surely not sent");
    let attempt = f.attempts(id).pop().unwrap();
    assert_eq!((attempt.class.as_str(), attempt.status), ("not_sent", None), "{attempt:?}");
    assert!(f.brakes().dialer.is_none(), "nothing is wrong with the dialer");
    assert_eq!((f.line().in_flight.len(), f.line().month_used), (0, 0));
    assert_eq!(ask(&f, "POST", "/resume", &json!({})).await.0, 200);
    f.reaches(id, State::Placed).await;
    assert_eq!(dialer.requests().len(), 1, "and now it is, once");
    f.abandon().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_connection_stands_after_the_hours_waits_until_the_morning() {
    let (listener, others) = full().await;
    let hours = |c: &mut Connection| c.hours = vec!["08:00-17:30".parse().unwrap()];
    let f = setup().with(|s| s.dialer.url = callone(&listener)).connection(hours).start_by_hand().await;
    f.set_clock(time("2026-12-04T17:29:58+07:00"));
    f.deliver(&json!({"event_id": "w1", "phone": "0912345678", "record_id": CUSTOMER})).await;
    let later = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        f.set_clock(time("2026-12-04T17:30:01+07:00"));
        drop(others);
        FarEnd::on(listener, takes_all)
    };
    let (_, dialer) = tokio::join!(f.run_due(), later);
    let id = f.calls()[0].id;
    assert_eq!((f.call(id).state, f.call(id).placings, dialer.requests().len()), (State::Queued, 1, 0));
    assert_eq!(shown(&f, id).await["waits"]["reason"]["code"], "hold_window");
    f.set_clock(time("2026-12-05T08:00:00+07:00"));
    f.run_due().await;
    assert_eq!((f.call(id).state, dialer.requests().len()), (State::Placed, 1));
    f.abandon().await;
}

pub async fn pause(f: &Fixture) {
    let (workspace, line) = (f.calls().first().map(|call| call.workspace.clone()).unwrap_or_default(), crate::bridge::LINE.into());
    let pause = Pause { code: Code::HoldPaused, since: f.now(), until: None, by: "lan".into(), detail: String::new(), key: String::new() };
    f.change(Change::PauseLine { workspace, line, pause }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_by_webhook_hears_at_once_that_the_line_is_paused() {
    let f = setup().start_by_hand().await;
    pause(&f).await;
    let click = f.wish_with("0912345678", json!({"priority": "interactive"})).await;
    assert_eq!((f.call(click).state, f.call(click).refusal), (State::Refused, Some(Code::RefusedPaused)));
    f.run_due().await;
    f.logged(click).await;
    let note = f.note(click).text;
    assert!(note.contains("không gọi: máy đang tạm dừng") && !note.contains("Không cần làm gì"), "{note}");
    let waits = f.wish("0987654321").await;
    assert_eq!(f.call(waits).state, State::Queued, "nobody waits for this one");
    assert!(matches!(f.change(Change::Cancel { call: waits, write_back: false }).await, Changed::Ok));
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_time_is_over_says_what_it_waited_for() {
    let f = setup().start_by_hand().await;
    f.mood(Mood::ReportLost);
    let talks = f.wish("0987654321").await;
    f.reaches(talks, State::Placed).await;
    let click = f.wish_with("0912345678", json!({"priority": "interactive"})).await;
    assert_eq!(f.call(click).state, State::Queued, "the phone may be free at any moment");
    pause(&f).await;
    f.advance(Duration::from_secs(121)).await;
    f.reaches(click, State::Expired).await;
    f.logged(click).await;
    assert!(f.note(click).text.contains("máy đang tạm dừng"), "{}", f.note(click).text);
    assert_eq!(shown(&f, click).await["held_by"]["code"], "hold_paused");
    assert_eq!(f.report(talks, &json!({"CallDetail": {"AnswerDuration": 9, "ResponseStatus": 1}})).await.status, 200);
    f.advance(Duration::from_secs(60)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_without_an_id_is_a_repeat_only_within_the_connection_s_window() {
    let f = Setup::new(Mood::NoAnswer).connection(|c| c.duplicate_window = Duration::from_secs(60)).start_by_hand().await;
    let body = json!({"phone": "0912345678", "name": "Lan"});
    for (wait, calls) in [(0, 1), (59, 1), (2, 2)] {
        f.advance(Duration::from_secs(wait)).await;
        assert_eq!(f.deliver(&body).await.status, 200);
        f.outcomes().await;
        assert_eq!(f.calls().len(), calls, "after {wait} s more");
    }
    f.advance(Duration::from_secs(1)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_chosen_line_was_taken_out_says_so_and_can_be_cancelled_by_that() {
    let mut f = setup().line("line-2", "line-key-of-the-tests-0002").start_by_hand().await;
    let (status, paused) = ask(&f, "POST", "/lines/line-2/pause", &json!({})).await;
    assert_eq!(status, 200, "{paused}");
    let (_, call) = ask(&f, "POST", "/calls", &json!({"phone": "0912345678", "line": "line-2"})).await;
    let id: CallId = call["id"].as_str().unwrap().parse().unwrap();
    let (_, old) = ask(&f, "POST", "/calls", &json!({"phone": "0912345679", "line": "line-2"})).await;
    f.settings.lines.retain(|line| line.id.as_str() != "line-2");
    f.restart().await;
    f.run_due().await;
    let waits = shown(&f, id).await["waits"].clone();
    assert_eq!(waits["reason"]["code"], "hold_line_removed", "{waits}");
    let (status, answer) = ask(&f, "POST", "/calls/cancel", &json!({"hold": "line_removed", "count": 1, "confirm": 1})).await;
    assert_eq!((status, &answer["done"]), (200, &json!(1)), "{answer}");
    // The other one is cancelled by nobody.
    f.advance(Duration::from_secs(15 * 86_400)).await;
    let old = shown(&f, old["id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!((&old["state"], &old["held_by"]["code"]), (&json!("expired"), &json!("hold_line_removed")), "{old}");
    f.finish().await;
}
