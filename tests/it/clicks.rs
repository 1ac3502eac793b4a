//! Clicks: somebody waits. What would come too late is refused at once, and who clicks again when that is over is called.

use std::time::Duration;

use callbridge::domain::call::State;
use callbridge::domain::connection::Purpose;
use callbridge::domain::id::CallId;
use callbridge::domain::item::Outcome;
use callbridge::domain::time::Time;
use callbridge::domain::write_back::Status;
use callbridge::error::Code;
use callbridge::simulator::mood::Mood;
use callbridge::store::{Change, Changed};
use serde_json::json;

use crate::bridge::{CUSTOMER, Fixture};
use crate::rules::{pause, setup};

const PHONE: &str = "0912345678";

async fn click(f: &Fixture, phone: &str) -> CallId {
    f.wish_with(phone, json!({"priority": "interactive"})).await
}

async fn cancel(f: &Fixture, call: CallId, write_back: bool) {
    assert_eq!(f.change(Change::Cancel { call, write_back }).await, Changed::Ok);
}

/// Everything that is said of calls is said.
async fn finish(f: Fixture) {
    f.advance(Duration::from_secs(60)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_refused_because_the_line_was_paused_clicks_again_when_it_goes_on() {
    let f = setup().start_by_hand().await;
    pause(&f).await;
    let refused = click(&f, PHONE).await;
    assert_eq!((f.call(refused).state, f.call(refused).refusal), (State::Refused, Some(Code::RefusedPaused)));
    f.logged(refused).await;
    let impatient = click(&f, PHONE).await;
    assert_eq!((f.call(impatient).state, f.call(impatient).refusal), (State::Refused, Some(Code::RefusedPaused)), "heard again, by who asked");
    assert_eq!((f.call(impatient).write_back.status, f.notes(refused).len()), (Status::None, 1), "the record says it already");
    f.resume_line().await;
    let called = click(&f, PHONE).await;
    f.reaches(called, State::Ended).await;
    // And now it is one: the customer was called.
    f.deliver(&json!({"event_id": "more", "phone": PHONE, "record_id": CUSTOMER, "priority": "interactive"})).await;
    assert!(matches!(f.outcomes().await[..], [Outcome::Refused { code: Code::DuplicateCall, .. }]));
    finish(f).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waited_in_vain_for_a_busy_line_clicks_again() {
    let f = setup().start_by_hand().await;
    f.mood(Mood::ReportLost);
    let talks = f.wish("0987654321").await;
    f.reaches(talks, State::Placed).await;
    let waited = click(&f, PHONE).await;
    f.deliver(&json!({"event_id": "twice", "phone": PHONE, "record_id": CUSTOMER, "priority": "interactive"})).await;
    assert!(matches!(f.outcomes().await[..], [Outcome::Refused { code: Code::DuplicateCall, .. }]), "the first one may go at any moment");
    f.advance(Duration::from_secs(121)).await;
    f.reaches(waited, State::Expired).await;
    f.logged(waited).await;
    let again = click(&f, PHONE).await;
    assert_eq!(f.call(again).state, State::Queued);
    f.mood(Mood::Answers);
    assert_eq!(f.report(talks, &json!({"CallDetail": {"AnswerDuration": 9, "ResponseStatus": 1}})).await.status, 200);
    f.reaches(again, State::Ended).await;
    finish(f).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_agrees_a_moment_later_is_called() {
    let f = setup().connection(|c| c.purpose = Purpose::Advertising).start_by_hand().await;
    f.set_clock(Time::parse_rfc3339("2026-12-04T09:00:00+07:00").unwrap());
    let refused = f.wish(PHONE).await;
    assert_eq!(f.call(refused).refusal, Some(Code::MissingConsent));
    f.logged(refused).await;
    let agreed = f.wish_with(PHONE, json!({"consent": true})).await;
    f.reaches(agreed, State::Ended).await;
    finish(f).await;
}

/// The entry that says so may bring the next delivery of the record: that is no wish.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_cancelled_is_not_asked_for_again_by_the_note_that_says_so() {
    let f = setup().start_by_hand().await;
    pause(&f).await;
    let noted = f.wish(PHONE).await;
    cancel(&f, noted, true).await;
    f.logged(noted).await;
    f.deliver(&json!({"event_id": "echo", "phone": PHONE, "record_id": CUSTOMER})).await;
    assert!(matches!(f.outcomes().await[..], [Outcome::Refused { code: Code::DuplicateCall, .. }]));
    let silent = f.wish("0987654321").await;
    cancel(&f, silent, false).await;
    let again = f.wish("0987654321").await;
    assert_eq!(f.call(again).state, State::Queued, "nothing was written: somebody asks anew");
    cancel(&f, again, false).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_would_have_to_wait_for_the_line_s_rate_hears_it_at_once() {
    let f = setup().with(|s| s.lines[0].rate = Some("1/h".parse().unwrap())).start_by_hand().await;
    let first = click(&f, PHONE).await;
    f.reaches(first, State::Ended).await;
    let second = click(&f, "0987654321").await;
    assert_eq!((f.call(second).state, f.call(second).refusal), (State::Refused, Some(Code::RefusedRate)));
    f.logged(second).await;
    assert!(f.note(second).text.contains("không gọi: máy đã đạt giới hạn tốc độ gọi"), "{}", f.note(second).text);
    f.advance(Duration::from_secs(3600 - 60)).await;
    let soon = click(&f, "0987654321").await;
    assert_eq!(f.call(soon).state, State::Queued, "a minute can be waited");
    f.advance(Duration::from_secs(60)).await;
    f.reaches(soon, State::Ended).await;
    finish(f).await;
}
