//! After the call: rules that call again and set values, refusals that reach the record, notes of one's own.

use std::time::Duration;

use callbridge::domain::call::{Origin, State};
use callbridge::domain::connection::Purpose;
use callbridge::domain::dnc::{Note, Scope, Source};
use callbridge::domain::id::CallId;
use callbridge::domain::time::Time;
use callbridge::domain::write_back::Status;
use callbridge::simulator::mood::Mood;
use callbridge::store::{Change, Changed, Store};
use serde_json::{Value, json};

use super::bridge::{CUSTOMER, Fixture, Setup};

const PHONE: &str = "0912345678";

fn missed(notes: &str) -> Value {
    json!({"CallDetail": {"AnswerDuration": 0, "ResponseStatus": 3, "CallNotes": notes}})
}

/// A bridge whose phone is the test's, that calls again two hours after a missed call, twice at most.
async fn persistent() -> Fixture {
    let rules = json!([
        {"disposition": ["no_answer"], "again": {"in": "2h", "times": 2, "other_hour": false}, "set": {"stage": "no-answer"}},
        {"interest": ["not_interested"], "set": {"stage": "lost"}, "do_not_call": true}
    ]);
    Setup::new(Mood::ReportLost).connection(|c| c.after = serde_json::from_value(rules).unwrap()).start_by_hand().await
}

fn follower(f: &Fixture, of: CallId) -> Option<CallId> {
    f.calls().into_iter().find(|c| matches!(c.origin, Origin::Again { of: first, .. } if first == of)).map(|c| c.id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missed_call_is_made_again_twice_and_no_more_also_across_a_restart() {
    let mut f = persistent().await;
    let first = f.wish(PHONE).await;
    f.reaches(first, State::Placed).await;
    assert_eq!(f.report(first, &missed("")).await.status, 200);
    let second = follower(&f, first).expect("a new call waits");
    f.advance(Duration::from_secs(1)).await;
    assert!(f.note(first).text.contains("Sẽ tự gọi lại lúc"), "{}", f.note(first).text);
    assert_eq!(f.call(second).state, State::Queued);
    f.restart().await;
    f.advance(Duration::from_secs(2 * 3600 - 2)).await;
    assert_eq!((f.call(second).state, f.dialled(second).asked), (State::Queued, 0), "not before its time");
    f.advance(Duration::from_secs(2)).await;
    f.reaches(second, State::Placed).await;

    assert_eq!(f.report(second, &missed("")).await.status, 200);
    let third = follower(&f, second).unwrap();
    f.advance(Duration::from_secs(2 * 3600)).await;
    f.reaches(third, State::Placed).await;
    assert_eq!(f.report(third, &missed("")).await.status, 200);
    assert_eq!(follower(&f, third), None, "at most two calls more");
    f.advance(Duration::from_secs(1)).await;
    assert!(f.note(third).text.contains("Lần gọi thứ 3") && !f.note(third).text.contains("Sẽ tự gọi lại"), "{}", f.note(third).text);
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_more_is_promised_for_when_the_cap_lets_it_go() {
    let rules = json!([{"disposition": ["no_answer"], "again": {"in": "2h", "times": 1, "other_hour": false}}]);
    let f = Setup::new(Mood::ReportLost)
        .connection(|c| {
            c.purpose = Purpose::Advertising;
            c.max_per_number = None;
            c.after = serde_json::from_value(rules).unwrap();
        })
        .start_by_hand()
        .await;
    f.set_clock(Time::parse_rfc3339("2026-11-23T09:00:00+07:00").unwrap());
    let first = f.wish_with(PHONE, json!({"consent": true})).await;
    let placed = f.reaches(first, State::Placed).await.placing_at.unwrap();
    assert_eq!(f.report(first, &missed("")).await.status, 200);
    let at = f.call(first).after.again_at.expect("a call more is promised");
    assert!(at >= placed.plus(Duration::from_secs(86_400)), "not before the cap lets it go: {at}");
    let second = follower(&f, first).unwrap();
    f.advance(at.since(f.now())).await;
    f.reaches(second, State::Placed).await;
    f.advance(Duration::from_secs(3 * 3600)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_more_is_promised_for_after_the_others_that_wait_for_the_same_number() {
    let rules = json!([{"disposition": ["no_answer"], "again": {"in": "2h", "times": 1, "other_hour": false}}]);
    let f = Setup::new(Mood::ReportLost)
        .connection(|c| {
            c.max_per_number = Some("1/6h".parse().unwrap());
            c.duplicate_window = Duration::ZERO;
            c.after = serde_json::from_value(rules).unwrap();
        })
        .start_by_hand()
        .await;
    let first = f.wish(PHONE).await;
    let placed = f.reaches(first, State::Placed).await.placing_at.unwrap();
    let other = f.wish_with(PHONE, json!({"record_id": "1002"})).await;
    f.run_due().await;
    assert_eq!(f.call(other).state, State::Queued, "the cap holds it for six hours");
    for _ in 0..2 {
        assert_eq!(f.report(first, &missed("")).await.status, 200);
        let at = f.call(first).after.again_at.expect("a call more is promised");
        assert!(at >= placed.plus(Duration::from_secs(12 * 3600)), "six hours after the other: {at}");
    }
    let more = follower(&f, first).unwrap();
    f.advance(Duration::from_secs(6 * 3600)).await;
    f.reaches(other, State::Placed).await;
    assert_eq!(f.report(other, &json!({"CallDetail": {"AnswerDuration": 9, "ResponseStatus": 1}})).await.status, 200);
    f.advance(f.call(first).after.again_at.unwrap().since(f.now())).await;
    f.reaches(more, State::Placed).await;
    f.advance(Duration::from_secs(3 * 3600)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_report_that_wants_no_more_calls_cancels_the_one_that_waits() {
    let f = persistent().await;
    let first = f.wish(PHONE).await;
    f.reaches(first, State::Placed).await;
    assert_eq!(f.report(first, &missed("")).await.status, 200);
    assert_eq!(f.report(first, &missed("khách gọi lại rồi")).await.status, 200);
    let second = follower(&f, first).unwrap();
    assert_eq!(f.calls().len(), 2, "a second report of the same kind makes no second call");
    let better = json!({"CallDetail": {"AnswerDuration": 20, "ResponseStatus": 1, "CallNotes": "đã nói chuyện"}});
    assert_eq!(f.report(first, &better).await.status, 200);
    assert_eq!((f.call(second).state, f.dialled(second).asked), (State::Cancelled, 0));
    f.advance(Duration::from_secs(1)).await;
    assert!(!f.note(first).text.contains("Sẽ tự gọi lại"), "{}", f.note(first).text);
    assert_eq!(f.notes(second).len(), 0, "nobody needs to read of a call that never was");
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_cannot_be_dialled_says_so_on_its_record_once() {
    let f = Setup::new(Mood::Answers).start_by_hand().await;
    let wish = |event: &str, phone: &str| json!({"event_id": event, "phone": phone, "name": "Lan", "record_id": CUSTOMER});
    for event in ["e1", "e2"] {
        assert_eq!(f.deliver(&wish(event, "0123")).await.status, 200);
        f.outcomes().await;
        f.run_due().await;
    }
    let notes = f.crm.notes_of(CUSTOMER);
    assert_eq!(notes.len(), 1, "the same refusal again is not written again: {notes:#?}");
    let text = &notes[0].text;
    assert!(text.contains("không gọi") && text.contains("Lý do:") && text.contains("Cách xử lý:") && text.contains("0123"), "{text}");
    assert_eq!(notes[0].outcome.as_ref().unwrap().state, "refused");
    assert_eq!(f.deliver(&wish("e3", "")).await.status, 200);
    f.outcomes().await;
    f.run_due().await;
    assert_eq!(f.crm.notes_of(CUSTOMER).len(), 2, "another reason is another sentence");
    assert!(f.calls().is_empty());
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_may_keep_refusals_and_cancellations_off_its_records() {
    let f = Setup::new(Mood::Answers).connection(|c| c.write_back_unreported = false).with(|s| s.lines[0].paused = true).start_by_hand().await;
    assert_eq!(f.deliver(&json!({"event_id": "e1", "phone": "0123", "record_id": CUSTOMER})).await.status, 200);
    f.outcomes().await;
    let id = f.wish(PHONE).await;
    assert_eq!(f.change(Change::Cancel { call: id, write_back: false }).await, Changed::Ok);
    f.run_due().await;
    assert_eq!((f.crm.notes_of(CUSTOMER).len(), f.call(id).write_back.status), (0, Status::None));
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_its_own_words_and_its_rules_are_in_them() {
    let own = "Kết quả: {{report.disposition}} / {{after.stage}} / {{after.nothing}}";
    let rules = json!([{"disposition": ["no_answer"], "set": {"stage": "no-answer"}}]);
    let f = Setup::new(Mood::NoAnswer)
        .connection(|c| {
            c.notes = [("no_answer".to_owned(), own.to_owned())].into();
            c.after = serde_json::from_value(rules).unwrap();
        })
        .start()
        .await;
    let id = f.wish(PHONE).await;
    f.logged(id).await;
    assert_eq!(f.note(id).text, "Kết quả: no_answer / no-answer /");
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_says_that_it_was_one() {
    let f = Setup::new(Mood::Answers)
        .connection(|c| {
            c.mode = callbridge::domain::connection::Mode::Test;
            c.test_phone = Some("0987654321".into());
        })
        .with(|s| s.lines[0].monthly_quota = Some(100))
        .start()
        .await;
    let id = f.wish(PHONE).await;
    f.logged(id).await;
    let text = f.note(id).text;
    assert!(text.starts_with("[GỌI THỬ]") && text.contains("đã gọi số 0987654321 thay cho số của khách"), "{text}");
    f.finish().await;

    let f = Setup::new(Mood::Answers).connection(|c| c.mode = callbridge::domain::connection::Mode::Test).start().await;
    let id = f.wish(PHONE).await;
    f.logged(id).await;
    let text = f.note(id).text;
    assert!(text.contains("chế độ thử: không gọi số nào") && f.dialled(id).asked == 0, "{text}");
    assert_eq!((f.line().month_used, f.call(id).ever_sent), (0, false), "no request left");
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_puts_the_number_on_the_do_not_call_list_and_a_report_nobody_can_read_changes_nothing() {
    let f = persistent().await;
    let first = f.wish(PHONE).await;
    f.reaches(first, State::Placed).await;
    assert_eq!(f.report(first, &missed("")).await.status, 200);
    let second = follower(&f, first).unwrap();
    let _ = f.report(first, &json!({"hello": 1})).await;
    assert_eq!(f.call(second).state, State::Queued, "what was decided stays");
    let refused = json!({"CallDetail": {"AnswerDuration": 9, "ResponseStatus": 2}});
    assert_eq!(f.report(first, &refused).await.status, 200);
    assert_eq!(f.call(second).state, State::Cancelled);
    let answer = f.deliver(&json!({"event_id": "later", "phone": PHONE, "record_id": "1002"})).await;
    assert_eq!(answer.status, 200);
    let third = f.until("the next wish is refused", |f| f.calls().into_iter().find(|c| c.state == State::Refused)).await;
    assert_eq!(third.refusal, Some(callbridge::error::Code::DoNotCall));
    f.advance(Duration::from_secs(1)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_says_no_is_listed_and_nobody_promises_another_call() {
    let rules = json!([{"disposition": ["answered"], "again": {"in": "2h"}}]);
    let f = Setup::new(Mood::ReportLost)
        .connection(|c| {
            c.after = serde_json::from_value(rules).unwrap();
            c.learn_do_not_call = true;
            c.duplicate_window = Duration::ZERO;
        })
        .start_by_hand()
        .await;
    let first = f.wish(PHONE).await;
    f.reaches(first, State::Placed).await;
    let waits = f.wish(PHONE).await;
    let refused = json!({"CallDetail": {"AnswerDuration": 9, "ResponseStatus": 2}});
    assert_eq!(f.report(first, &refused).await.status, 200);
    assert_eq!((f.call(waits).state, f.call(waits).refusal), (State::Refused, Some(callbridge::error::Code::DoNotCall)));
    assert_eq!(follower(&f, first), None);
    f.advance(Duration::from_secs(1)).await;
    let note = f.note(first).text;
    assert!(note.contains("đưa vào danh sách không gọi") && !note.contains("Sẽ tự gọi lại"), "{note}");

    // The agent corrects it: what this call put on the list is taken off, and the rule applies.
    let interested = json!({"CallDetail": {"AnswerDuration": 9, "ResponseStatus": 1}});
    assert_eq!(f.report(first, &interested).await.status, 200);
    let listed = f.store().dnc_of(&"main".into(), &f.call(first).phone).unwrap();
    assert_eq!(listed, None);
    assert_eq!(f.store().audit(1).unwrap()[0].change, format!("took 1 number off the do-not-call list of main: {}", f.call(first).phone.e164()));
    let again = follower(&f, first).expect("now it is wanted");
    f.advance(Duration::from_secs(1)).await;
    assert!(!f.note(first).text.contains("danh sách không gọi"), "{}", f.note(first).text);
    assert!(matches!(f.change(Change::Cancel { call: again, write_back: false }).await, Changed::Ok));
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_is_listed_against_advertising_is_promised_no_call_more_of_it() {
    let rules = json!([{"disposition": ["no_answer"], "again": {"in": "2h", "other_hour": false}}]);
    let f = Setup::new(Mood::ReportLost)
        .connection(|c| {
            c.purpose = Purpose::Advertising;
            c.after = serde_json::from_value(rules).unwrap();
        })
        .start_by_hand()
        .await;
    f.set_clock(Time::parse_rfc3339("2026-11-23T09:00:00+07:00").unwrap());
    let first = f.wish_with(PHONE, json!({"consent": true})).await;
    f.reaches(first, State::Placed).await;
    let note = Note { source: Source::Own, scope: Scope::Advertising, by: "lan".into(), at: f.now(), why: "national list".into() };
    callbridge::pipeline::dnc::add(f.app(), &"main".into(), &[f.call(first).phone], note).await.unwrap();
    assert_eq!(f.report(first, &missed("")).await.status, 200);
    assert_eq!((follower(&f, first), f.call(first).after.again), (None, None));
    f.advance(Duration::from_secs(60)).await;
    assert!(!f.note(first).text.contains("Sẽ tự gọi lại"), "{}", f.note(first).text);
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_more_that_a_report_took_back_is_made_when_the_next_report_wants_it_again() {
    let f = persistent().await;
    let first = f.wish(PHONE).await;
    f.reaches(first, State::Placed).await;
    let answered = json!({"CallDetail": {"AnswerDuration": 9, "ResponseStatus": 1}});
    for report in [missed(""), answered, missed("he did not answer after all")] {
        assert_eq!(f.report(first, &report).await.status, 200);
    }
    let made: Vec<_> = f.calls().into_iter().filter(|c| matches!(c.origin, Origin::Again { .. })).collect();
    let states = |state| made.iter().filter(|c| c.state == state).count();
    assert_eq!((states(State::Queued), states(State::Cancelled), made.len()), (1, 1, 2), "{made:#?}");
    let waits = made.iter().find(|c| c.state == State::Queued).unwrap().id;
    assert_eq!(f.call(first).after.again, Some(waits));
    // What a person cancels is not made again by a report.
    assert!(matches!(f.change(Change::Cancel { call: waits, write_back: false }).await, Changed::Ok));
    assert_eq!(f.report(first, &missed("once more")).await.status, 200);
    assert!(f.calls().iter().all(|c| c.state != State::Queued));
    f.advance(Duration::from_secs(60)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_leaves_what_a_person_put_on_the_list() {
    let f = Setup::new(Mood::ReportLost).connection(|c| c.learn_do_not_call = true).start_by_hand().await;
    let first = f.wish(PHONE).await;
    f.reaches(first, State::Placed).await;
    let note = Note { source: Source::Own, scope: Scope::All, by: "lan".into(), at: f.now(), why: "asked".into() };
    callbridge::pipeline::dnc::add(f.app(), &"main".into(), &[f.call(first).phone], note.clone()).await.unwrap();
    for status in [2, 1] {
        assert_eq!(f.report(first, &json!({"CallDetail": {"AnswerDuration": 9, "ResponseStatus": status}})).await.status, 200);
    }
    assert_eq!(f.store().dnc_of(&"main".into(), &f.call(first).phone).unwrap(), Some(note));
    f.advance(Duration::from_secs(1)).await;
    f.finish().await;
}
