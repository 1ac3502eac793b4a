//! A restart in a pause: what was to be tried later is neither lost nor hurried.

use std::time::Duration;

use callbridge::domain::call::State;
use callbridge::domain::write_back::Status;
use callbridge::simulator::mood::Mood;
use callbridge::store::TaskKind;
use serde_json::json;

use super::bridge::{Fixture, Setup};
use super::wire;

const PHONE: &str = "0912345678";

/// The next `times` writes into the CRM fail with this status.
async fn crm_fails(f: &Fixture, status: u16, times: u32, after_storing: bool) {
    let plan = json!({"status": status, "times": times, "after_storing": after_storing}).to_string();
    let address = f.crm.address.to_string();
    assert_eq!(wire::post(&address, "/_crm/fail", &["Content-Type: application/json"], plan.as_bytes()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_retry_is_neither_lost_nor_hurried() {
    let mut f = Setup::new(Mood::Answers).start_by_hand().await;
    crm_fails(&f, 503, 1, false).await;
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Ended).await;
    f.advance(Duration::from_secs(1)).await;
    assert_eq!((f.call(id).write_back.status, f.crm.totals().failures), (Status::Pending, 1));
    let due = f.next_task_at(TaskKind::WriteBack).expect("it is tried again");
    let pause = due.since(f.now());
    assert!(pause > Duration::from_millis(100), "{pause:?}");

    f.restart().await;
    assert_eq!(f.next_task_at(TaskKind::WriteBack), Some(due), "not lost");
    f.run_due().await;
    f.advance(pause - Duration::from_millis(1)).await;
    assert_eq!((f.crm.totals().creates, f.call(id).write_back.status), (0, Status::Pending), "not hurried");
    f.advance(Duration::from_millis(1)).await;
    f.logged(id).await;
    assert_eq!(f.notes(id).len(), 1);
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_settles_is_written_after_the_restart() {
    let mut f = Setup::new(Mood::Answers).with(|s| s.dialer.report_settle = Duration::from_secs(20)).start_by_hand().await;
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Ended).await;
    f.restart().await;
    f.advance(Duration::from_secs(19)).await;
    assert_eq!((f.notes(id).len(), f.call(id).write_back.status), (0, Status::Waiting));
    f.advance(Duration::from_secs(1)).await;
    f.logged(id).await;
    assert_eq!((f.notes(id).len(), f.dialled(id).dialled), (1, 1));
    f.finish().await;
}

/// The entry was made but its answer lost: it is not made twice, whatever happened in between.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_whose_answer_was_lost_is_not_doubled() {
    let mut f = Setup::new(Mood::Answers).start_by_hand().await;
    crm_fails(&f, 0, 1, true).await;
    let id = f.wish(PHONE).await;
    f.until("the first try", |f| (f.crm.totals().failures == 1).then_some(())).await;
    f.restart().await;
    f.advance(Duration::from_secs(60)).await;
    f.logged(id).await;
    assert_eq!(f.notes(id).len(), 1);
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_line_waits_on() {
    let mut f = Setup::new(Mood::SwitchedOff).start_by_hand().await;
    let first = f.wish(PHONE).await;
    let second = f.wish("0912345679").await;
    f.until("the line is paused", |f| f.line().pause).await;
    f.restart().await;
    f.mood(Mood::Answers);
    f.advance(Duration::from_secs(899)).await;
    assert_eq!(f.sim.totals().asked, 1, "the pause is kept");
    f.advance(Duration::from_secs(1)).await;
    f.logged(first).await;
    f.logged(second).await;
    assert_eq!((f.dialled(first).dialled, f.dialled(second).dialled), (1, 1));
    f.finish().await;
}

/// The half minute after a system error is a stored pause too.
#[tokio::test(flavor = "multi_thread")]
async fn a_back_off_is_kept() {
    let mut f = Setup::new(Mood::SystemError).start_by_hand().await;
    let id = f.wish(PHONE).await;
    f.until("it was asked for", |f| (f.call(id).system_errors == 1).then_some(())).await;
    f.restart().await;
    f.mood(Mood::Answers);
    f.advance(Duration::from_secs(29)).await;
    assert_eq!(f.dialled(id).asked, 1, "not hurried");
    f.advance(Duration::from_secs(1)).await;
    f.logged(id).await;
    assert_eq!((f.dialled(id).asked, f.dialled(id).dialled), (2, 1));
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_deadline_goes_on() {
    let mut f = Setup::new(Mood::ReportLost).start_by_hand().await;
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Placed).await;
    f.advance(Duration::from_secs(3600)).await;
    f.restart().await;
    f.advance(Duration::from_secs(3599)).await;
    assert_eq!(f.call(id).state, State::Placed);
    f.advance(Duration::from_secs(1)).await;
    f.logged(id).await;
    assert_eq!(f.call(id).state, State::Lost);
    f.finish().await;
}

/// Everything at once with real workers: nothing of what was acknowledged is lost, nobody is dialled twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_under_load_loses_nothing() {
    // A report that comes while the bridge is down is posted again; one that is not would leave its call to the deadline.
    let mut f = Setup::new(Mood::Answers).with(|s| s.lines[0].max_in_flight = 8).report_retries(15).start().await;
    for n in 0..30 {
        let body = json!({"event_id": format!("e{n}"), "phone": format!("09123450{n:02}"), "record_id": "1001"});
        assert_eq!(f.deliver(&body).await.status, 200);
        if n % 10 == 9 {
            f.restart().await;
        }
    }
    f.until("all are written back", |f| {
        let calls = f.calls();
        (calls.len() == 30 && calls.iter().all(|c| c.write_back.status == Status::Logged)).then_some(())
    })
    .await;
    assert_eq!((f.sim.totals().call_ids, f.sim.totals().dialled, f.crm.totals().notes), (30, 30, 30));
    f.finish().await;
}
