//! What a phone's report does, however it is written and whenever it comes.

use std::time::Duration;

use callbridge::domain::call::State;
use callbridge::domain::connection::Kind;
use callbridge::domain::report::{Disposition, Interest};
use callbridge::domain::write_back::Status;
use callbridge::simulator::mood::Mood;
use serde_json::{Value, json};

use super::bridge::{Fixture, Setup};
use super::far_end::FarEnd;
use super::wire;

const PHONE: &str = "0912345678";

/// The vendor's own names.
fn report(call: &str, notes: &str) -> Value {
    json!({"Phone": PHONE, "Name": "Nguyễn Thị Lan", "Gender": "Nữ", "Info": "", "CallId": call, "CallDetail": {
        "CallStatus": 1, "CallBySim": "SIM 2", "CallDuration": 42, "AnswerDuration": 31, "SendSms": true, "SmsContent": "Cảm ơn chị.",
        "ResponseStatus": 1, "CallNotes": notes}})
}

/// The same with every name changed.
fn renamed(value: &Value, rename: fn(&str) -> String) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (rename(name), renamed(value, rename))).collect(),
        other => other.clone(),
    }
}

fn camel(name: &str) -> String {
    name[..1].to_lowercase() + &name[1..]
}

fn snake(name: &str) -> String {
    name.chars().enumerate().flat_map(|(n, c)| (c.is_uppercase() && n > 0).then_some('_').into_iter().chain(c.to_lowercase())).collect()
}

/// A bridge whose simulated phone never reports: the test does.
async fn silent_phone() -> Fixture {
    Setup::new(Mood::ReportLost).connection(|c| c.duplicate_window = Duration::ZERO).start_by_hand().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_case_says_the_same() {
    let f = silent_phone().await;
    for rename in [str::to_owned, camel, snake, str::to_lowercase, str::to_uppercase] as [fn(&str) -> String; 5] {
        let id = f.wish(PHONE).await;
        f.reaches(id, State::Placed).await;
        let body = renamed(&report(&id.to_string(), "hẹn chiều mai"), rename);
        assert_eq!(f.report(id, &body).await.status, 200, "{body}");
        let call = f.call(id);
        let read = call.report.unwrap();
        assert_eq!((call.state, read.disposition(), read.interest()), (State::Ended, Disposition::Answered, Interest::Interested), "{body}");
        assert_eq!((read.notes.as_str(), read.sim.as_str(), read.sms_content.as_str(), read.call_duration), ("hẹn chiều mai", "SIM 2", "Cảm ơn chị.", 42));
        assert!(!call.report_mismatch, "{body}");
        f.advance(Duration::from_secs(1)).await;
        assert_eq!(f.notes(id).len(), 1);
    }
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_enough_without_a_call_id() {
    let f = silent_phone().await;
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Placed).await;
    let body = json!({"callDetail": {"answerDuration": "0", "responseStatus": "3"}});
    assert_eq!(f.report(id, &body).await.json(), json!({"status": "stored"}));
    let call = f.call(id);
    assert_eq!((call.state, call.report.unwrap().disposition(), call.report_mismatch), (State::Ended, Disposition::NoAnswer, false));
    f.advance(Duration::from_secs(1)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_for_another_call_or_phone_is_stored_and_flagged() {
    let f = silent_phone().await;
    for body in [report("call_of_somebody_else", ""), json!({"Phone": "0987654321", "CallDetail": {"AnswerDuration": 3, "ResponseStatus": 1}})] {
        let id = f.wish(PHONE).await;
        f.reaches(id, State::Placed).await;
        assert_eq!(f.report(id, &body).await.status, 200);
        let call = f.call(id);
        assert!(call.state == State::Ended && call.report_mismatch, "{call:?}");
        f.advance(Duration::from_secs(1)).await;
    }
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_seen_before_never_replaces_a_newer_one() {
    let f = silent_phone().await;
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Placed).await;
    let (old, new) = (report(&id.to_string(), "lần một"), report(&id.to_string(), "lần hai"));
    for body in [&old, &new, &old, &new, &old] {
        assert_eq!(f.report(id, body).await.status, 200);
    }
    let call = f.call(id);
    assert_eq!((call.report.unwrap().notes.as_str(), call.report_digests.len()), ("lần hai", 2));
    f.advance(Duration::from_secs(1)).await;
    let note = f.note(id);
    assert!(note.text.contains("lần hai") && !note.text.contains("lần một"), "{}", note.text);
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_for_a_call_that_was_never_sent_changes_nothing() {
    let f = Setup::new(Mood::Answers).with(|s| s.lines[0].paused = true).start_by_hand().await;
    let id = f.wish(PHONE).await;
    assert_eq!(f.report(id, &report(&id.to_string(), "")).await.status, 200);
    let call = f.call(id);
    assert_eq!((call.state, call.report.is_none(), call.report_digests.len()), (State::Queued, true, 1), "kept, and nothing else");
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_after_the_deadline_still_lands() {
    let f = silent_phone().await;
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Placed).await;
    f.advance(Duration::from_secs(2 * 3600)).await;
    f.logged(id).await;
    assert_eq!((f.call(id).state, f.note(id).outcome.unwrap().state.as_str()), (State::Lost, "lost"));
    f.advance(Duration::from_secs(86_400)).await;
    assert_eq!(f.report(id, &report(&id.to_string(), "máy vừa bật lại")).await.status, 200);
    f.advance(Duration::from_secs(1)).await;
    let note = f.note(id);
    assert_eq!((f.call(id).state, note.changes, note.outcome.unwrap().state.as_str()), (State::Ended, 1, "ended"));
    assert!(note.text.contains("máy vừa bật lại"), "{}", note.text);
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_its_call_until_a_week_after_the_deadline() {
    let f = silent_phone().await;
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Placed).await;
    f.advance(Duration::from_secs(2 * 3600)).await;
    f.advance(Duration::from_secs(7 * 86_400 + 1)).await;
    let answer = f.report(id, &report(&id.to_string(), "")).await;
    assert_eq!((answer.status, f.call(id).state), (404, State::Lost));
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_token_is_404_and_no_work() {
    let f = silent_phone().await;
    for token in ["x", &"0".repeat(52), "../../healthz", "%00", &"%C4%83".repeat(30)] {
        let answer = wire::post(&f.address, &format!("/callbacks/{token}"), &["Content-Type: application/json"], report("x", "").to_string().as_bytes()).await;
        assert_eq!(answer.status, 404, "{token}");
    }
    let answer = wire::post(&f.address, "/callbacks/x", &[], b"{}").await;
    assert_eq!(answer.json()["code"], "not_found");
    assert_eq!((answer.header("referrer-policy").as_deref(), answer.header("cache-control").as_deref()), (Some("no-referrer"), Some("no-store")));
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_cannot_be_read_is_kept_and_flagged_and_a_better_one_is_taken() {
    let f = silent_phone().await;
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Placed).await;
    let answer = f.report(id, &json!({"hello": 1})).await;
    assert_eq!(answer.status, 200);
    let call = f.call(id);
    assert!(call.state == State::Ended && call.report.is_none() && call.report_mismatch, "{call:?}");
    assert_eq!(f.report(id, &report(&id.to_string(), "")).await.status, 200, "a better one is still taken");
    assert!(f.call(id).report.is_some());
    f.advance(Duration::from_secs(1)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_after_one_that_the_crm_refused_is_written() {
    let far = FarEnd::start(|r| if String::from_utf8_lossy(&r.body).contains("lần một") { (400, "{}".into()) } else { (200, r#"{"id":"n1"}"#.into()) }).await;
    let f = Setup::new(Mood::ReportLost).connection(|c| c.write_back = vec![Kind::Note]).parameter("result_url", &far.url()).start_by_hand().await;
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Placed).await;
    assert_eq!(f.report(id, &report(&id.to_string(), "lần một")).await.status, 200);
    f.advance(Duration::from_secs(1)).await;
    assert_eq!((f.call(id).write_back.status, far.requests().len()), (Status::Failed, 1));
    assert_eq!(f.report(id, &report(&id.to_string(), "lần hai")).await.status, 200);
    f.advance(Duration::from_secs(1)).await;
    assert_eq!((f.call(id).write_back.status, far.requests().len()), (Status::Logged, 2));
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_the_next_day_does_not_change_the_unit_of_the_durations() {
    let f = silent_phone().await;
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Placed).await;
    let (mut body, wait) = (report(&id.to_string(), "lần một"), Duration::from_secs(90));
    body["CallDetail"]["CallDuration"] = 42_000.into();
    body["CallDetail"]["AnswerDuration"] = 31_000.into();
    f.advance(wait).await;
    assert_eq!(f.report(id, &body).await.status, 200);
    f.advance(Duration::from_secs(86_400)).await;
    body["CallDetail"]["CallNotes"] = "lần hai".into();
    assert_eq!(f.report(id, &body).await.status, 200);
    assert_eq!(f.call(id).longest_secs(), Some(90));
    f.advance(Duration::from_secs(1)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_cannot_be_read_is_shown_as_it_came() {
    let key = json!({"name": "boss", "key": "boss-key-of-the-tests-01", "role": "viewer"});
    let f = Setup::new(Mood::ReportLost).with(|s| s.api_keys = vec![serde_json::from_value(key).unwrap()]).start_by_hand().await;
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Placed).await;
    assert_eq!(f.report(id, &json!({"hello": super::bridge::LINE_KEY, "long": "x".repeat(40_000)})).await.status, 200);
    let shown = wire::get(&f.address, &format!("/api/v1/calls/{id}"), &["Authorization: Bearer boss-key-of-the-tests-01"]).await.json();
    let body = shown["flagged_reports"][0].as_str().unwrap();
    assert!(body.starts_with(r#"{"hello":"#) && !body.contains(super::bridge::LINE_KEY) && body.chars().count() == 2_000, "{shown}");
    f.advance(Duration::from_secs(1)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_broken_loop_is_not_ready() {
    let f = silent_phone().await;
    let ready = async || wire::get(&f.address, "/readyz", &[]).await;
    assert_eq!(ready().await.status, 200);
    f.loops().fell("place");
    let answer = ready().await;
    assert!(answer.status == 503 && answer.json()["why"].as_str().unwrap().contains("place"), "{answer:?}");
    f.loops().runs("place");
    assert_eq!(ready().await.status, 200);
    f.finish().await;
}
