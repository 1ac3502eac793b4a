//! What a preview says of a list is what happens to it.

use std::time::Duration;

use callbridge::domain::call::State;
use callbridge::domain::line::LineSettings;
use callbridge::domain::schedule::Stopped;
use callbridge::domain::time::Time;
use callbridge::store::Change;
use serde_json::{Value, json};

use crate::bridge::Fixture;
use crate::rules::{ask, pause, setup};

const PHONES: [&str; 5] = ["0912345671", "0912345672", "0912345673", "0912345674", "0912345675"];

async fn bridge(line: impl FnOnce(&mut LineSettings)) -> Fixture {
    setup().with(|settings| line(&mut settings.lines[0])).start_by_hand().await
}

async fn asked(f: &Fixture, phones: &[&str], priority: &str, before: Value) -> Value {
    let (status, page) = ask(f, "POST", "/calls/preview", &json!({"connection": "crm", "phones": phones, "priority": priority, "before": before})).await;
    assert_eq!(status, 200, "{page}");
    page
}

/// What becomes of each number: the word, why, and after how many seconds it goes.
fn rows(f: &Fixture, page: &Value) -> Vec<String> {
    let row = |row: &Value| {
        let code = [&row["refusal"], &row["waits"]["reason"]].into_iter().find_map(|reason| reason["code"].as_str());
        let until = row["waits"]["until"].as_str().map(|until| Time::parse_rfc3339(until).unwrap().since(f.now()).as_millis());
        let secs = until.map(|ms| ms.div_ceil(1000).to_string());
        let words = [row["would"].as_str(), code, secs.as_deref().filter(|_| code == Some("hold_rate"))];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    page["items"].as_array().unwrap().iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_goes_at_the_line_s_rate_until_its_month_is_used_up() {
    let f = bridge(|line| {
        (line.rate, line.max_in_flight, line.monthly_quota) = (Some("6/min".parse().unwrap()), 5, Some(4));
    })
    .await;
    let said = ["place", "wait hold_rate 10", "wait hold_rate 20", "wait hold_rate 30", "wait hold_quota"];
    assert_eq!(rows(&f, &asked(&f, &PHONES, "automation", json!({})).await), said);
    let (mut carry, mut one_by_one) = (json!({}), Vec::new());
    for phone in PHONES {
        let page = asked(&f, &[phone], "automation", carry).await;
        one_by_one.extend(rows(&f, &page));
        carry = page["carry"].clone();
    }
    assert_eq!(one_by_one, said, "a list that is asked about in several requests");
    for phone in PHONES {
        f.wish(phone).await;
    }
    for placed in [1, 2, 3, 4, 4, 4] {
        f.run_due().await;
        assert_eq!(f.sim.totals().asked, placed, "and so it is");
        f.until("they are over", |f| (f.calls().iter().filter(|call| call.state == State::Ended).count() as u64 == placed).then_some(())).await;
        f.advance(Duration::from_secs(10)).await;
    }
    let last = f.calls().into_iter().find(|call| call.state == State::Queued).unwrap();
    f.change(Change::Cancel { call: last.id, write_back: false }).await;
    f.advance(Duration::from_secs(60)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_the_month_is_shared_by_the_whole_list() {
    let f = bridge(|line| (line.rate, line.monthly_quota) = (Some("60/min".parse().unwrap()), Some(2))).await;
    let said = ["place", "wait hold_busy", "wait hold_quota", "wait hold_quota", "wait hold_quota"];
    assert_eq!(rows(&f, &asked(&f, &PHONES, "automation", json!({})).await), said, "one slot, and two calls are left");
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn someone_who_waits_is_told_the_refusal_that_the_call_would_meet() {
    let f = bridge(|line| (line.rate, line.max_in_flight) = (Some("1/min".parse().unwrap()), 5)).await;
    let clicks = async || rows(&f, &asked(&f, &PHONES[..4], "interactive", json!({})).await);
    assert_eq!(clicks().await, ["place", "wait hold_rate 60", "wait hold_rate 120", "refuse refused_rate"]);
    pause(&f).await;
    assert_eq!(clicks().await, ["refuse refused_paused"; 4]);
    assert_eq!(rows(&f, &asked(&f, &PHONES[..1], "automation", json!({})).await), ["wait hold_paused"]);
    f.resume_line().await;
    f.change(Change::StopAll(Stopped { by: "lan".into(), since: f.now(), reason: String::new() })).await;
    assert_eq!(clicks().await, ["refuse refused_stopped"; 4]);
    f.finish().await;
}
