//! Alerts: each trouble is told once when it begins and once when it is over, also across a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use callbridge::config::Settings;
use callbridge::domain::alert::AlertKind;
use callbridge::domain::call::State;
use callbridge::domain::schedule::{Pause, Stopped};
use callbridge::error::Code;
use callbridge::pipeline::alert;
use callbridge::simulator::mood::Mood;
use callbridge::store::{Change, Changed, TaskKind};
use serde_json::{Value, json};

use super::bridge::{Fixture, LINE, Setup};
use super::far_end::FarEnd;
use super::wire;

const PHONE: &str = "0912345678";
const TOKEN: &str = "123456:token-of-the-tests";

/// A fake of Telegram's bot API; answers with this status until it is changed.
async fn telegram() -> (FarEnd, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(200));
    let answers = Arc::clone(&status);
    (FarEnd::start(move |_| (answers.load(Ordering::Relaxed), r#"{"ok":true}"#.to_owned())).await, status)
}

fn tells(far: &FarEnd) -> impl FnOnce(&mut Settings) {
    let entry = json!({"name": "boss", "template": "telegram", "url": far.url(), "parameters": {"token": TOKEN, "chat_id": "-100200"}});
    move |settings| {
        settings.alerts = vec![serde_json::from_value(entry).unwrap()];
        settings.lines[0].name = Some("Máy chị Hoa".into());
    }
}

fn texts(far: &FarEnd) -> Vec<String> {
    far.requests()
        .iter()
        .map(|request| {
            assert_eq!(request.path(), format!("/bot{TOKEN}/sendMessage"));
            let body: Value = request.json();
            assert_eq!(body["chat_id"], "-100200");
            body["text"].as_str().unwrap().to_owned()
        })
        .collect()
}

fn lets_look(settings: &mut Settings) {
    settings.api_keys = vec![serde_json::from_value(json!({"name": "ops", "key": "api-key-of-the-tests-0001", "role": "viewer"})).unwrap()];
}

/// What the list of connections says of this one, and that it alone says the same.
async fn the_connection(f: &Fixture, id: &str) -> Value {
    let get = async |path: &str| wire::get(&f.address, path, &["Authorization: Bearer api-key-of-the-tests-0001"]).await.json();
    let page = get("/api/v1/connections").await;
    let listed = page["items"].as_array().unwrap().iter().find(|one| one["id"] == id).unwrap().clone();
    assert_eq!(get(&format!("/api/v1/connections/{id}")).await, listed);
    listed
}

async fn told(f: &Fixture) {
    f.until("everybody is told", |f| (f.backlog(TaskKind::Alert) == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_line_is_told_once_and_its_recovery_once_across_a_restart() {
    let (far, _) = telegram().await;
    let mut f = Setup::new(Mood::SwitchedOff).with(tells(&far)).start_by_hand().await;
    let id = f.wish(PHONE).await;
    f.until("the line is paused", |f| f.line().pause).await;
    told(&f).await;
    let first = texts(&far);
    assert_eq!(first.len(), 1);
    for part in ["⚠️ CẢNH BÁO: máy gọi Máy chị Hoa (line-1)", "2116", "Cấu hình gọi điện qua API", "Đang chờ: 1 cuộc gọi"] {
        assert!(first[0].contains(part), "{}", first[0]);
    }

    f.restart().await;
    // A probe after 15 minutes fails as well: the same trouble.
    f.advance(Duration::from_secs(15 * 60)).await;
    f.until("the probe went", |f| (f.dialled(id).asked == 2).then_some(())).await;
    told(&f).await;
    assert_eq!(texts(&far).len(), 1, "{:?}", texts(&far));
    assert_eq!(f.alerts()[0].times, 2);

    f.mood(Mood::Answers);
    f.advance(Duration::from_secs(15 * 60)).await;
    f.reaches(id, State::Ended).await;
    told(&f).await;
    f.restart().await;
    f.advance(Duration::from_secs(3600)).await;
    told(&f).await;
    let all = texts(&far);
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all[1].contains("✅ ĐÃ ỔN LẠI: máy gọi Máy chị Hoa (line-1)") && all[1].contains("kéo dài 30 phút"), "{}", all[1]);
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_cannot_be_delivered_is_a_stored_task() {
    let (far, status) = telegram().await;
    status.store(500, Ordering::Relaxed);
    let mut f = Setup::new(Mood::WrongKey).with(tells(&far)).start_by_hand().await;
    f.wish(PHONE).await;
    f.until("it was tried", |f| (!far.requests().is_empty() && f.next_task_at(TaskKind::Alert).is_some()).then_some(())).await;
    let due = f.next_task_at(TaskKind::Alert).unwrap();
    f.restart().await;
    assert_eq!(f.next_task_at(TaskKind::Alert), Some(due), "neither lost nor hurried");
    status.store(200, Ordering::Relaxed);
    f.advance(due.since(f.now())).await;
    told(&f).await;
    assert_eq!(far.requests().len(), 2);
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_phone_is_told_and_its_first_report_ends_it() {
    let (far, _) = telegram().await;
    let f = Setup::new(Mood::ReportLost).with(tells(&far)).start_by_hand().await;
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Placed).await;
    f.advance(Duration::from_secs(300)).await;
    told(&f).await;
    assert!(texts(&far)[0].contains("điện thoại không phản hồi"), "{:?}", texts(&far));
    let body = json!({"CallDetail": {"AnswerDuration": 0, "ResponseStatus": 3}});
    assert_eq!(f.report(id, &body).await.status, 200);
    told(&f).await;
    assert!(texts(&far)[1].contains("ĐÃ ỔN LẠI"), "{:?}", texts(&far));
    f.advance(Duration::from_secs(1)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crm_that_refuses_us_is_told_until_it_takes_something() {
    let (far, _) = telegram().await;
    let f = Setup::new(Mood::Answers).with(tells(&far)).with(lets_look).start_by_hand().await;
    let plan = json!({"status": 403, "times": 2, "after_storing": false}).to_string();
    assert_eq!(wire::post(&f.crm.address.to_string(), "/_crm/fail", &["Content-Type: application/json"], plan.as_bytes()).await.status, 200);
    let id = f.wish(PHONE).await;
    f.reaches(id, State::Ended).await;
    f.until("the CRM refused", |f| f.alerts().into_iter().find(|a| a.kind == AlertKind::ConnectionFailing)).await;
    told(&f).await;
    assert!(texts(&far)[0].contains("CRM từ chối") && texts(&far)[0].contains("kết nối crm"), "{:?}", texts(&far));
    let shown = the_connection(&f, "crm").await;
    let waiting = &shown["waiting"];
    assert_eq!((&shown["state"], &waiting["results"], &waiting["results_again"]), (&json!("failing"), &json!(1), &json!(1)), "{shown}");
    assert_eq!((&waiting["last_try"]["call"], &waiting["last_try"]["status"]), (&json!(id.to_string()), &json!(403)), "{shown}");
    let trouble = &shown["troubles"][0];
    assert_eq!((&trouble["kind"], &trouble["of"], trouble["since"].as_str()), (&json!("connection_failing"), &Value::Null, Some(&*f.now().rfc3339())));
    assert!(trouble["reason"]["sentence"]["vi"].as_str().unwrap().contains("CRM từ chối") && !trouble["detail"].as_str().unwrap().is_empty(), "{shown}");
    while let Some(due) = f.next_task_at(TaskKind::WriteBack) {
        f.advance(due.since(f.now())).await;
    }
    f.logged(id).await;
    told(&f).await;
    assert_eq!(texts(&far).len(), 2, "{:?}", texts(&far));
    let shown = the_connection(&f, "crm").await;
    assert_eq!((&shown["state"], &shown["troubles"], &shown["waiting"]["results"]), (&json!("ok"), &json!([]), &json!(0)), "{shown}");
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_that_grows_is_told_once_and_its_end_once() {
    let (far, _) = telegram().await;
    let watched = |settings: &mut Settings| {
        settings.monitor.look_every = Duration::from_millis(20);
        settings.monitor.calls_waiting = 4;
    };
    let f = Setup::new(Mood::Answers).with(tells(&far)).with(watched).start().await;
    let pause = Pause { code: Code::HoldPaused, since: f.now(), until: None, by: "lan".into(), detail: String::new(), key: String::new() };
    assert_eq!(f.change(Change::PauseLine { workspace: "main".into(), line: LINE.into(), pause }).await, Changed::Ok);
    let backlog = |f: &Fixture| f.alerts().into_iter().find(|alert| alert.kind == AlertKind::Backlog);
    for n in 0..900 {
        f.wish(&format!("0912345{n:03}")).await;
        assert!(n >= 4 || backlog(&f).is_none(), "{n} calls are not too many");
        if n > 6 && backlog(&f).is_some() {
            break;
        }
        // What grows is seen by two looks: the first may come late.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    f.until("it is told", |_| (!texts(&far).is_empty()).then_some(())).await;
    let raised = backlog(&f).unwrap();
    // It goes on growing: that is known.
    for n in 900..904 {
        f.wish(&format!("0912345{n:03}")).await;
    }
    f.resume_line().await;
    f.until("its end is told", |_| (texts(&far).len() > 1).then_some(())).await;
    f.until("all are over", |f| f.calls().iter().all(|call| call.state == State::Ended).then_some(())).await;
    let texts = texts(&far);
    assert_eq!(texts.len(), 2, "{texts:#?}");
    for part in ["⚠️ CẢNH BÁO: hàng chờ cuộc gọi\n", "số lượng đang chờ ngày càng tăng", "callbridge line list", "\nĐang chờ: "] {
        assert!(texts[0].contains(part), "{}", texts[0]);
    }
    assert!(!texts.concat().replace("callbridge line list", "").contains("call"), "{texts:#?}");
    assert!(texts[1].contains("✅ ĐÃ ỔN LẠI: hàng chờ cuộc gọi\n"), "{}", texts[1]);
    assert_eq!((raised.times, backlog(&f).unwrap().raised_at), (1, raised.raised_at), "one episode");
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_brake_is_told_with_the_commands_that_release_and_cancel() {
    let (far, _) = telegram().await;
    let f = Setup::new(Mood::Answers).with(tells(&far)).connection(|c| c.max_new_calls = "1/h".parse().unwrap()).start_by_hand().await;
    for n in 0..3 {
        f.wish(&format!("091234567{n}")).await;
    }
    f.run_due().await;
    told(&f).await;
    let first = texts(&far);
    assert_eq!(first.len(), 1, "{first:#?}");
    for part in [
        "callbridge call release --connection crm --hold brake\n",
        "callbridge call release --connection crm --hold brake --count 50 --yes",
        "callbridge call cancel --connection crm --hold brake\n",
        "thêm --yes=SỐ",
        "Chi tiết: max_new_calls = 1/h",
    ] {
        assert!(first[0].contains(part), "{}", first[0]);
    }
    let held = f.calls().into_iter().filter(|call| call.hold.is_some()).map(|call| call.id).collect();
    assert_eq!(f.change(Change::CancelAll { calls: held }).await, Changed::Count(2));
    told(&f).await;
    assert!(!texts(&far)[1].contains("callbridge"), "{}", texts(&far)[1]);
    f.until("the first went", |f| f.calls().iter().all(|c| matches!(c.state, State::Ended | State::Cancelled)).then_some(())).await;
    f.advance(Duration::from_secs(60)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_is_used_up_is_over_when_the_line_may_place_again_and_not_when_a_person_resumes_it() {
    let (far, _) = telegram().await;
    let mut f = Setup::new(Mood::Answers).with(tells(&far)).with(|s| s.lines[0].monthly_quota = Some(2)).start_by_hand().await;
    for n in 0..2 {
        let id = f.wish(&format!("091234560{n}")).await;
        f.reaches(id, State::Ended).await;
        f.advance(Duration::from_secs(1)).await;
    }
    told(&f).await;
    assert_eq!(texts(&far).len(), 1, "{:#?}", texts(&far));
    let waits = f.wish("0912345609").await;
    f.resume_line().await;
    told(&f).await;
    assert_eq!((texts(&far).len(), f.alerts()[0].is_open(), f.call(waits).state), (1, true, State::Queued), "{:#?}", texts(&far));
    assert_eq!(f.change(Change::CancelAll { calls: vec![waits] }).await, Changed::Count(1));
    // The quota is changed in the settings: no call has to go for that to be noticed.
    for (quota, so_many, part) in [(3, 2, "✅ ĐÃ ỔN LẠI"), (1, 3, "monthly_quota = 1")] {
        f.settings.lines[0].monthly_quota = Some(quota);
        f.restart().await;
        alert::watch(f.app(), &mut alert::Seen::default()).await.unwrap();
        told(&f).await;
        let all = texts(&far);
        assert!(all.len() == so_many && all[so_many - 1].contains(part), "{all:#?}");
    }
    f.abandon().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stop_button_is_told_with_who_pressed_it() {
    let (far, _) = telegram().await;
    let f = Setup::new(Mood::Answers).with(tells(&far)).start_by_hand().await;
    let stopped = Stopped { by: "lan".into(), since: f.now(), reason: "khách phàn nàn".into() };
    assert_eq!(f.change(Change::StopAll(stopped.clone())).await, Changed::Ok);
    assert_eq!(f.change(Change::StopAll(stopped)).await, Changed::Ok);
    told(&f).await;
    assert_eq!(f.change(Change::ResumeAll).await, Changed::Ok);
    told(&f).await;
    let texts = texts(&far);
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].contains("lan: khách phàn nàn"), "{}", texts[0]);
    assert!(texts[0].starts_with("⚠️ CẢNH BÁO: nút dừng\n"), "`all` is no name that people know: {}", texts[0]);
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_lists_what_is_wrong_and_what_was() {
    let f = Setup::new(Mood::KeyExpired).with(lets_look).start_by_hand().await;
    f.wish(PHONE).await;
    f.until("the line is paused", |f| f.line().pause).await;
    let get = async |path: &str| wire::get(&f.address, path, &["Authorization: Bearer api-key-of-the-tests-0001"]).await.json();
    let page = get("/api/v1/alerts").await;
    let alert = &page["items"][0];
    assert_eq!((&alert["kind"], &alert["subject"], &alert["reason"]["code"]), (&json!("line_paused"), &json!("line-1"), &json!("dialer_2117")), "{page}");
    assert!(alert["reason"]["advice"]["vi"].as_str().unwrap().contains("LẤY"));
    f.mood(Mood::Answers);
    f.resume_line().await;
    assert_eq!(get("/api/v1/alerts").await["items"], json!([]));
    assert_eq!(get("/api/v1/alerts?all=true").await["items"][0]["recovered"], true);
    f.until("the call went", |f| f.calls().iter().all(|c| c.state == State::Ended).then_some(())).await;
    f.advance(Duration::from_secs(1)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_ends_soon_is_told_until_it_has_a_new_date() {
    const MANIFEST: &str = r#"
spec = 1
id = "ender"
name = "Ender"
[[parameters]]
id = "api_key"
title = { vi = "Mã", en = "Key" }
secret = true
ends = { on = "api_key_ends", alarm = "14d" }
[[parameters]]
id = "api_key_ends"
title = { vi = "Hết hạn", en = "Ends on" }
type = "date"
[bases.api]
url = "https://crm.example.vn"
allow_hosts = ["crm.example.vn"]
[[auth]]
kind = "bearer"
token = "{{param.api_key}}"
[[receive]]
name = "all"
[receive.map]
phone = "$.phone"
"#;
    let plugins = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(plugins.path().join("ender")).unwrap();
    std::fs::write(plugins.path().join("ender/plugin.toml"), MANIFEST).unwrap();
    let path = plugins.path().to_owned();
    let in_days = |days: u64| callbridge::clock::Clock::System.now().plus(Duration::from_secs(86_400 * days)).rfc3339()[..10].to_owned();
    let parameters = [("api_key", "key-of-the-ender"), ("api_key_ends", &in_days(10))];
    let connection = super::bridge::connection("ender", "ender", "hook-key-of-the-ender", &parameters);
    let setup = Setup::new(Mood::Answers).with(|s| {
        s.plugins.path = Some(path);
        s.monitor.look_every = Duration::from_millis(50);
        s.connections = vec![connection];
        lets_look(s);
    });
    let mut f = setup.start().await;
    let ends = |f: &super::bridge::Fixture| f.alerts().into_iter().find(|alert| alert.kind == AlertKind::SecretEnds);
    let alert = f.until("the admin is told", ends).await;
    assert_eq!((alert.subject.as_str(), alert.code.as_str()), ("ender/api_key", "secret_ends"));
    let shown = the_connection(&f, "ender").await;
    assert_eq!((&shown["state"], &shown["troubles"][0]["of"]), (&json!("ends_soon"), &json!("api_key")), "{shown}");
    assert_eq!((&shown["ends"][0]["parameter"], &shown["ends"][0]["state"]), (&json!("api_key"), &json!("soon")), "{shown}");

    f.settings.connections[0].parameters.insert("api_key_ends".into(), "2020-02-20".into());
    f.restart().await;
    f.until("it has ended", |f| ends(f).filter(|alert| alert.code.as_str() == "secret_ended")).await;
    assert_eq!(the_connection(&f, "ender").await["state"], "failing");
    f.settings.connections[0].parameters.insert("api_key_ends".into(), in_days(80).as_str().into());
    f.restart().await;
    f.until("a new date ends the alarm", |f| ends(f).filter(|alert| !alert.is_open())).await;
    assert_eq!(the_connection(&f, "ender").await["state"], "ok");
    f.finish().await;
}
