//! One test per mood of the simulated dialer and its phone: what becomes of the call, its line and its entry in the CRM.

use std::time::Duration;

use callbridge::domain::call::State;
use callbridge::domain::id::CallId;
use callbridge::error::Code;
use callbridge::simulator::mood::Mood;
use callbridge::store::{Leg, TaskKind};

use super::bridge::{Fixture, Setup};

const PHONE: &str = "0912345678";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// A call that was asked for once, dialled once, reported, and written back once.
async fn one_good_call(f: &Fixture, disposition: &str, interest: &str) -> CallId {
    let id = f.wish(PHONE).await;
    let call = f.reaches(id, State::Ended).await;
    assert_eq!((call.placings, call.report_digests.len(), call.report_mismatch, call.hold), (1, 1, false, None));
    f.logged(id).await;
    let seen = f.dialled(id);
    assert_eq!((seen.asked, seen.dialled), (1, 1), "asked and dialled once");
    let note = f.note(id);
    let outcome = note.outcome.unwrap();
    assert_eq!((outcome.state.as_str(), outcome.disposition.as_str(), outcome.interest.as_str()), ("ended", disposition, interest));
    assert!(note.text.contains(&id.to_string()) && note.text.contains(PHONE), "{}", note.text);
    line_is_free(f);
    id
}

fn line_is_free(f: &Fixture) {
    let line = f.line();
    assert!(line.in_flight.is_empty() && line.pause.is_none() && line.silent_since.is_none(), "{line:?}");
}

/// It is asked for once, whatever the time, until it is lost; that stands on the record.
async fn lost_without_another_try(f: &Fixture, id: CallId) {
    f.advance(5 * MINUTE).await;
    let line = f.line();
    assert!(line.in_flight.is_empty() && line.silent_since.is_some(), "the slot is free, the line counts as silent: {line:?}");
    f.advance(2 * HOUR).await;
    let call = f.call(id);
    assert_eq!((call.state, call.refusal), (State::Lost, Some(Code::Lost)));
    f.logged(id).await;
    assert_eq!(f.note(id).outcome.unwrap().state, "lost");
    f.advance(30 * DAY).await;
    assert_eq!(f.dialled(id).asked, 1, "it was never asked for again");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers() {
    let f = Setup::new(Mood::Answers).start().await;
    one_good_call(&f, "answered", "interested").await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mixed() {
    let f = Setup::new(Mood::Mixed).connection(|c| c.duplicate_window = Duration::ZERO).start().await;
    for n in 0..5 {
        let id = f.wish(&format!("091234560{n}")).await;
        f.logged(id).await;
        assert_eq!((f.call(id).state, f.dialled(id).dialled, f.notes(id).len()), (State::Ended, 1, 1));
    }
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer() {
    let f = Setup::new(Mood::NoAnswer).start().await;
    one_good_call(&f, "no_answer", "no_response").await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn busy() {
    let f = Setup::new(Mood::Busy).start().await;
    one_good_call(&f, "unreachable", "unreachable").await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_interested() {
    let f = Setup::new(Mood::NotInterested).start().await;
    one_good_call(&f, "answered", "not_interested").await;
    f.finish().await;
}

/// An answer that only a person can change: the line is paused with the reason, its calls wait, nothing more is asked for; resumed,
/// everything goes.
async fn pauses_the_line_until_a_person_resumes_it(mood: Mood, code: Code) {
    let f = Setup::new(mood).start_by_hand().await;
    let first = f.wish(PHONE).await;
    let call = f.until("the line is paused", |f| Some(f.call(first)).filter(|_| f.line().pause.is_some())).await;
    let hold = call.hold.unwrap();
    assert_eq!((call.state, hold.code, hold.until), (State::Queued, code, None));
    let pause = f.line().pause.unwrap();
    assert_eq!((pause.code, pause.until), (code, None));
    assert!(!code.advice("vi").is_empty() && pause.detail.contains("errorCode"), "the admin is told what to do and what was answered: {pause:?}");
    let second = f.wish("0912345679").await;
    f.advance(20 * HOUR).await;
    assert_eq!((f.dialled(first).asked, f.dialled(second).asked, f.sim.totals().dialled), (1, 0, 0));
    f.mood(Mood::Answers);
    f.resume_line().await;
    f.logged(first).await;
    f.logged(second).await;
    assert_eq!((f.dialled(first).dialled, f.dialled(second).dialled), (1, 1));
    line_is_free(&f);
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_key() {
    pauses_the_line_until_a_person_resumes_it(Mood::WrongKey, Code::Dialer2112).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn account_not_found() {
    pauses_the_line_until_a_person_resumes_it(Mood::AccountNotFound, Code::Dialer2113).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn account_not_activated() {
    pauses_the_line_until_a_person_resumes_it(Mood::AccountNotActivated, Code::Dialer2114).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api_not_allowed() {
    pauses_the_line_until_a_person_resumes_it(Mood::ApiNotAllowed, Code::Dialer2115).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_expired() {
    pauses_the_line_until_a_person_resumes_it(Mood::KeyExpired, Code::Dialer2117).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_code() {
    pauses_the_line_until_a_person_resumes_it(Mood::UnknownCode, Code::DialerUnknownCode).await;
}

/// 2116: a probe every quarter of an hour, one call each, until one is taken.
#[tokio::test(flavor = "multi_thread")]
async fn switched_off() {
    let f = Setup::new(Mood::SwitchedOff).start_by_hand().await;
    let first = f.wish(PHONE).await;
    let second = f.wish("0912345679").await;
    f.run_due().await;
    assert_eq!(f.line().pause.unwrap().code, Code::Dialer2116);
    f.advance(15 * MINUTE - Duration::from_secs(1)).await;
    assert_eq!(f.sim.totals().asked, 1, "it waits");
    f.advance(Duration::from_secs(1)).await;
    assert_eq!((f.sim.totals().asked, f.call(first).state), (2, State::Queued), "one probe, and the line is paused again");
    f.mood(Mood::Answers);
    f.advance(15 * MINUTE).await;
    f.logged(first).await;
    f.logged(second).await;
    assert_eq!((f.dialled(first).dialled, f.dialled(second).dialled), (1, 1));
    line_is_free(&f);
    f.finish().await;
}

/// 2118: the reset day is not documented, so one probe a day.
#[tokio::test(flavor = "multi_thread")]
async fn quota_used_up() {
    let f = Setup::new(Mood::QuotaUsedUp).connection(|c| c.expire_automation = Some(2 * DAY)).start_by_hand().await;
    let id = f.wish(PHONE).await;
    f.until("the line is paused", |f| f.line().pause.map(|p| assert_eq!(p.code, Code::Dialer2118))).await;
    f.mood(Mood::Answers);
    for _ in 0..23 {
        f.advance(HOUR).await;
    }
    f.advance(HOUR - Duration::from_secs(1)).await;
    assert_eq!((f.call(id).state, f.dialled(id).asked), (State::Queued, 1));
    f.advance(Duration::from_secs(1)).await;
    f.logged(id).await;
    assert_eq!((f.dialled(id).asked, f.dialled(id).dialled), (2, 1));
    line_is_free(&f);
    f.finish().await;
}

/// 429: every line waits as long as Retry-After says; nothing is counted against the line.
#[tokio::test(flavor = "multi_thread")]
async fn rate_limited() {
    let f = Setup::new(Mood::RateLimited).start_by_hand().await;
    let id = f.wish(PHONE).await;
    let held = f.until("the dialer is on hold", |f| f.brakes().dialer).await;
    assert_eq!((held.code, held.until.since(f.now())), (Code::DialerBusy, Duration::from_secs(2)));
    assert_eq!((f.call(id).state, f.line().month_used, f.line().in_flight.len()), (State::Queued, 0, 0));
    f.mood(Mood::Answers);
    f.advance(Duration::from_millis(1999)).await;
    assert_eq!(f.dialled(id).asked, 1, "it waits");
    f.advance(Duration::from_millis(1)).await;
    f.logged(id).await;
    assert_eq!((f.dialled(id).asked, f.dialled(id).dialled, f.line().month_used), (2, 1, 1));
    assert_eq!(f.attempts(id)[0].status, Some(429));
    assert_eq!(f.brakes().dialer, None);
    f.finish().await;
}

/// 503 may come after the phone was told: never again by machine.
#[tokio::test(flavor = "multi_thread")]
async fn unavailable() {
    let f = Setup::new(Mood::Unavailable).start_by_hand().await;
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Unconfirmed).await;
    lost_without_another_try(&f, id).await;
    assert_eq!(f.dialled(id).dialled, 0);
    f.finish().await;
}

/// The same where the admin knows that a 503 of this dialer means that nothing was placed.
#[tokio::test(flavor = "multi_thread")]
async fn unavailable_and_trusted() {
    let f = Setup::new(Mood::Unavailable).with(|s| s.dialer.retry_503 = true).start_by_hand().await;
    let id = f.wish(PHONE).await;
    f.until("the dialer is on hold", |f| f.brakes().dialer).await;
    assert_eq!(f.call(id).state, State::Queued);
    f.mood(Mood::Answers);
    f.advance(MINUTE).await;
    f.logged(id).await;
    assert_eq!((f.dialled(id).asked, f.dialled(id).dialled), (2, 1));
    f.finish().await;
}

/// 2222 goes back to the queue twice, half a minute apart; then nobody knows.
#[tokio::test(flavor = "multi_thread")]
async fn system_error() {
    let f = Setup::new(Mood::SystemError).start_by_hand().await;
    let id = f.wish(PHONE).await;
    f.until("it was asked for", |f| (f.call(id).system_errors == 1).then_some(())).await;
    for asked in 1..=2 {
        assert_eq!((f.call(id).state, f.call(id).hold.unwrap().code, f.dialled(id).asked), (State::Queued, Code::HoldBackoff, asked));
        f.advance(Duration::from_secs(29)).await;
        assert_eq!(f.dialled(id).asked, asked, "not before half a minute");
        f.advance(Duration::from_secs(1)).await;
    }
    assert_eq!((f.call(id).state, f.dialled(id).asked), (State::Unconfirmed, 3));
    f.advance(3 * HOUR).await;
    f.logged(id).await;
    assert_eq!((f.call(id).state, f.dialled(id).asked, f.dialled(id).dialled), (State::Lost, 3, 0));
    f.finish().await;
}

/// Unless the admin does not believe it.
#[tokio::test(flavor = "multi_thread")]
async fn system_error_not_trusted() {
    let f = Setup::new(Mood::SystemError).with(|s| s.dialer.retry_2222 = false).start_by_hand().await;
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Unconfirmed).await;
    lost_without_another_try(&f, id).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unavailable_after_dialling() {
    let f = Setup::new(Mood::UnavailableAfterDialling).start().await;
    one_good_call(&f, "answered", "interested").await;
    f.finish().await;
}

/// The report takes the call out of the queue before its second try.
#[tokio::test(flavor = "multi_thread")]
async fn system_error_after_dialling() {
    let f = Setup::new(Mood::SystemErrorAfterDialling).start_by_hand().await;
    let id = one_good_call(&f, "answered", "interested").await;
    f.advance(DAY).await;
    assert_eq!((f.dialled(id).asked, f.dialled(id).dialled), (1, 1), "never again");
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow() {
    let f = Setup::new(Mood::Slow).pace(|p| p.ring_secs = 0.5).start().await;
    let id = one_good_call(&f, "answered", "interested").await;
    assert!(f.call(id).placed_at.is_some(), "the answer was waited for");
    f.finish().await;
}

/// Slower than `dialer.timeout`: nobody knows, and the report tells.
#[tokio::test(flavor = "multi_thread")]
async fn slower_than_the_timeout() {
    let f = Setup::new(Mood::Slow).pace(|p| (p.slow_secs, p.ring_secs) = (3.0, 1.0)).with(|s| s.dialer.timeout = Duration::from_millis(200)).start().await;
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Unconfirmed).await;
    f.reaches(id, State::Ended).await;
    f.logged(id).await;
    assert_eq!((f.dialled(id).asked, f.dialled(id).dialled, f.notes(id).len()), (1, 1, 1));
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn html_error() {
    let f = Setup::new(Mood::HtmlError).start_by_hand().await;
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Unconfirmed).await;
    lost_without_another_try(&f, id).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_after_placing() {
    let f = Setup::new(Mood::CutAfterPlacing).pace(|p| p.ring_secs = 0.5).start().await;
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Unconfirmed).await;
    f.reaches(id, State::Ended).await;
    f.logged(id).await;
    assert_eq!((f.dialled(id).asked, f.dialled(id).dialled, f.notes(id).len()), (1, 1, 1));
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn report_lost() {
    let f = Setup::new(Mood::ReportLost).start_by_hand().await;
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Placed).await;
    lost_without_another_try(&f, id).await;
    assert_eq!(f.dialled(id).dialled, 1);
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn report_before_answer() {
    let f = Setup::new(Mood::ReportBeforeAnswer).pace(|p| p.slow_secs = 5.0).start().await;
    let id = one_good_call(&f, "answered", "interested").await;
    let attempt = f.until("the answer is kept too", |f| f.attempts(id).into_iter().find(|a| a.class == "ok" && a.leg == Leg::Place)).await;
    assert_eq!((attempt.status, f.call(id).state), (Some(200), State::Ended));
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn report_twice() {
    let f = Setup::new(Mood::ReportTwice).start().await;
    let id = one_good_call(&f, "answered", "interested").await;
    f.until("both reports came", |f| (f.dialled(id).reports_sent == 2).then_some(())).await;
    assert_eq!((f.call(id).report_digests.len(), f.note(id).changes), (1, 0), "a repeat changes nothing");
    f.finish().await;
}

/// Both reports within `report_settle`: the newest is written, once.
#[tokio::test(flavor = "multi_thread")]
async fn report_late_with_notes() {
    let f = Setup::new(Mood::ReportLateWithNotes).with(|s| s.dialer.report_settle = Duration::from_secs(20)).start_by_hand().await;
    let id = f.wish(PHONE).await;
    let call = f.until("both reports came", |f| Some(f.call(id)).filter(|c| c.report_digests.len() == 2)).await;
    assert_eq!((f.notes(id).len(), f.backlog(TaskKind::WriteBack)), (0, 1), "it settles first");
    f.advance(Duration::from_secs(20)).await;
    f.logged(id).await;
    let (note, report) = (f.note(id), call.report.unwrap());
    assert!(!report.notes.is_empty() && note.text.contains(&report.notes), "{}", note.text);
    assert_eq!((note.changes, note.outcome.unwrap().interest.as_str()), (0, "interested"));
    f.finish().await;
}

/// The second report comes after the first was written: the same entry is changed.
#[tokio::test(flavor = "multi_thread")]
async fn report_late_with_notes_after_the_first_was_written() {
    let f = Setup::new(Mood::ReportLateWithNotes).pace(|p| p.late_secs = 2.0).start().await;
    let id = f.wish(PHONE).await;
    f.until("the first is written", |f| f.notes(id).pop()).await;
    let call = f.until("the second came", |f| Some(f.call(id)).filter(|c| c.report_digests.len() == 2)).await;
    let notes = call.report.unwrap().notes;
    let note = f.until("the entry is changed", |f| f.notes(id).pop().filter(|n| n.text.contains(&notes))).await;
    assert_eq!((note.changes, f.notes(id).len()), (1, 1));
    f.finish().await;
}

/// A phone that is off would dial everything it was sent when it comes back: nothing is piled onto it but one probe now and then.
#[tokio::test(flavor = "multi_thread")]
async fn phone_off() {
    let f = Setup::new(Mood::PhoneOff).start_by_hand().await;
    let first = f.wish(PHONE).await;
    f.reaches(first, State::Placed).await;
    let second = f.wish("0912345679").await;
    f.advance(5 * MINUTE).await;
    assert!(f.line().silent_since.is_some() && f.line().in_flight.is_empty());
    assert_eq!((f.sim.totals().asked, f.call(second).state), (1, State::Queued), "automation waits while the line is silent");
    f.advance(10 * MINUTE).await;
    assert_eq!((f.sim.totals().asked, f.sim.totals().dialled), (2, 0), "one probe");
    f.sim.switch(None, true);
    f.reaches(first, State::Ended).await;
    f.reaches(second, State::Ended).await;
    f.logged(first).await;
    f.logged(second).await;
    assert_eq!((f.dialled(first).dialled, f.dialled(second).dialled), (1, 1));
    line_is_free(&f);
    f.finish().await;
}

/// Someone who clicked and waits is not held by a silent line.
#[tokio::test(flavor = "multi_thread")]
async fn phone_off_and_somebody_clicks() {
    let f = Setup::new(Mood::PhoneOff).start_by_hand().await;
    f.wish(PHONE).await;
    f.advance(6 * MINUTE).await;
    let click = f.wish_with("0912345679", serde_json::json!({"priority": "interactive"})).await;
    f.reaches(click, State::Placed).await;
    f.sim.switch(None, true);
    f.logged(click).await;
    f.finish().await;
}
