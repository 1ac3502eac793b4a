//! Lines through the whole bridge: which one is chosen, how fast it goes, what a new key or a full month does.

use std::time::Duration;

use callbridge::config::{ApiKey, ApiRole};
use callbridge::domain::call::State;
use callbridge::domain::connection::LineChoice;
use callbridge::domain::id::{LineId, WorkspaceId};
use callbridge::domain::schedule::Pause;
use callbridge::domain::secret::SecretText;
use callbridge::domain::time::Time;
use callbridge::error::Code;
use callbridge::pipeline::outlook::{self, Outlook};
use callbridge::simulator::mood::{Mood, Whom};
use callbridge::store::Change;
use serde_json::{Value, json};

use super::bridge::{Fixture, LINE, LINE_KEY, Setup};
use super::rules;
use super::wire;

const OTHER: &str = "line-2";
const OTHER_KEY: &str = "line-key-of-the-tests-0002";

/// Two phones that never report, so that each is busy for five minutes.
fn two_lines(choice: LineChoice) -> Setup {
    Setup::new(Mood::ReportLost).line(OTHER, OTHER_KEY).connection(|c| {
        c.lines = vec![LineId::new(LINE), LineId::new(OTHER)];
        c.line_choice = choice;
        c.owners = [("lan".to_owned(), LineId::new(OTHER))].into();
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_over_its_owners_phone_and_after_a_while_over_another() {
    let mut f = two_lines(LineChoice::Owner).start_by_hand().await;
    let first = f.wish_with("0912345601", json!({"owner": "lan"})).await;
    assert_eq!(f.reaches(first, State::Placed).await.line, Some(LineId::new(OTHER)));
    let second = f.wish_with("0912345602", json!({"owner": "lan"})).await;
    f.run_due().await;
    assert_eq!(f.call(second).state, State::Queued, "the other phone is free, but it is not Lan's");
    f.restart().await;
    f.advance(Duration::from_secs(299)).await;
    assert_eq!(f.call(second).state, State::Queued);
    // Lan's phone never reported: it is silent, and after ten minutes another takes the call.
    f.advance(Duration::from_secs(301)).await;
    assert_eq!(f.reaches(second, State::Placed).await.line, Some(LineId::new(LINE)));
    f.advance(Duration::from_secs(3 * 3600)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_waits_for_its_owners_paused_phone_and_goes_over_another_in_time() {
    let f = two_lines(LineChoice::Owner).connection(|c| c.owner_wait = Duration::from_secs(8)).start_by_hand().await;
    let pause = Pause { code: Code::HoldPaused, since: f.now(), until: None, by: "lan".into(), detail: String::new(), key: String::new() };
    f.change(Change::PauseLine { workspace: WorkspaceId::default(), line: LineId::new(OTHER), pause: pause.clone() }).await;
    let click = f.wish_with("0912345601", json!({"owner": "lan", "priority": "interactive"})).await;
    let call = f.call(click);
    assert_eq!((call.state, call.refusal), (State::Queued, None), "the other phone takes it after eight seconds");
    let until = Some(call.wished_at.plus(Duration::from_secs(8)));
    let waits = outlook::of_call(f.app(), &call, f.now()).unwrap();
    assert_eq!(waits, Some(Outlook::Waits { code: Code::HoldOwner, until, line: Some(LineId::new(OTHER)) }));
    f.advance(Duration::from_secs(9)).await;
    assert_eq!(f.reaches(click, State::Placed).await.line, Some(LineId::new(LINE)));
    // When no phone would take it then, who waits hears it at once.
    f.change(Change::PauseLine { workspace: WorkspaceId::default(), line: LineId::new(LINE), pause }).await;
    let vain = f.wish_with("0912345602", json!({"owner": "lan", "priority": "interactive"})).await;
    assert_eq!(f.reaches(vain, State::Refused).await.refusal, Some(Code::RefusedPaused));
    f.advance(Duration::from_secs(3 * 3600)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_knows_the_owners_phone_and_who_waits_for_it_is_found_by_what_it_does() {
    let key = ApiKey { name: "lan".into(), key: SecretText::new(rules::KEY), role: ApiRole::Operator, workspace: "main".into() };
    // The phone may be busy for five minutes.
    let setup = two_lines(LineChoice::Owner).connection(|c| c.owner_wait = Duration::from_secs(120));
    let mut f = setup.with(|settings| settings.api_keys = vec![key]).start_by_hand().await;
    let first = f.wish_with("0912345601", json!({"owner": "lan"})).await;
    f.reaches(first, State::Placed).await;
    let preview = async |f: &Fixture, more: Value| {
        let mut body = json!({"connection": "crm", "phones": ["0912345602"]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, mut page) = rules::ask(f, "POST", "/calls/preview", &body).await;
        assert_eq!(status, 200, "{page}");
        page["items"][0].take()
    };
    let told = |row: &Value| (row["would"].clone(), row["waits"]["line"].clone(), row["waits"]["reason"]["code"].clone());
    let of_lan = preview(&f, json!({"owner": "lan"})).await;
    assert_eq!(told(&of_lan), (json!("wait"), json!(OTHER), json!("hold_owner")), "{of_lan}");
    let from = Time::parse_rfc3339(of_lan["waits"]["until"].as_str().unwrap()).unwrap();
    assert!(from >= f.now().plus(Duration::from_secs(115)) && from <= f.now().plus(Duration::from_secs(120)), "then another takes it: {from}");
    assert_eq!(told(&preview(&f, json!({"owner": "minh"})).await), (json!("place"), json!(LINE), Value::Null));
    assert_eq!(told(&preview(&f, json!({"owner": "lan", "line": LINE})).await), (json!("place"), json!(LINE), Value::Null), "a person said which");
    // What the preview says comes true, and a person who cancels what waits for a busy phone finds it.
    let second = f.wish_with("0912345602", json!({"owner": "lan"})).await;
    f.run_due().await;
    assert_eq!(f.call(second).state, State::Queued);
    for (hold, n) in [("busy", 1), ("hold_owner", 1), ("paused", 0), ("rate", 0)] {
        let answer = rules::ask(&f, "POST", "/calls/cancel", &json!({"connection": "crm", "hold": hold})).await;
        assert_eq!(answer, (200, json!({"matching": n, "done": null})), "{hold}");
    }
    f.settings.connections[0].owner_wait = Duration::ZERO;
    f.restart().await;
    assert_eq!(told(&preview(&f, json!({"owner": "lan"})).await).0, "place", "nobody waits for a phone");
    f.advance(Duration::from_secs(3 * 3600)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn round_robin_gives_each_phone_its_turn() {
    let f = two_lines(LineChoice::RoundRobin).with(|s| s.lines.iter_mut().for_each(|line| line.max_in_flight = 10)).start_by_hand().await;
    let mut lines = Vec::new();
    for n in 0..4 {
        let id = f.wish(&format!("091234560{n}")).await;
        lines.push(f.reaches(id, State::Placed).await.line.unwrap().to_string());
    }
    assert_eq!(lines, [LINE, OTHER, LINE, OTHER]);
    f.advance(Duration::from_secs(3 * 3600)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_key_lets_the_line_go_on_with_its_queue() {
    // An expired key, and an account that is not activated: the new key is another account's.
    for mood in [Mood::KeyExpired, Mood::AccountNotActivated] {
        goes_on_with_a_new_key(mood).await;
    }
}

async fn goes_on_with_a_new_key(mood: Mood) {
    let mut f = Setup::new(Mood::Answers).dialer_key(OTHER_KEY).start().await;
    f.sim.set_mood(Whom::Key(LINE_KEY.to_owned()), Some(mood));
    let id = f.wish("0912345678").await;
    f.until("the line is paused", |f| f.line().pause).await;
    f.restart().await;
    // Whoever let it go on would have asked by then.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(f.line().pause.is_some());
    assert_eq!(f.dialled(id).asked, 1, "the same key is not tried again");
    f.settings.lines[0].secret_key = SecretText::new(OTHER_KEY);
    f.restart().await;
    f.logged(id).await;
    assert_eq!((f.dialled(id).asked, f.dialled(id).dialled), (2, 1));
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn six_a_minute_is_one_every_ten_seconds_also_after_a_restart() {
    let mut f = Setup::new(Mood::ReportLost)
        .with(|s| {
            s.lines[0].rate = Some("6/min".parse().unwrap());
            s.lines[0].max_in_flight = 9;
        })
        .start_by_hand()
        .await;
    let mut calls = Vec::new();
    for n in 0..3 {
        calls.push(f.wish(&format!("091234560{n}")).await);
    }
    let placed = |f: &super::bridge::Fixture| calls.iter().filter(|id| f.call(**id).state == State::Placed).count();
    f.until("the first goes", |f| (placed(f) == 1).then_some(())).await;
    f.advance(Duration::from_millis(9_999)).await;
    assert_eq!(placed(&f), 1);
    f.restart().await;
    f.run_due().await;
    assert_eq!(placed(&f), 1, "a restart gives nothing away");
    f.advance(Duration::from_millis(1)).await;
    f.until("the second goes", |f| (placed(f) == 2).then_some(())).await;
    f.advance(Duration::from_secs(10)).await;
    f.until("the third goes", |f| (placed(f) == 3).then_some(())).await;
    f.advance(Duration::from_secs(3 * 3600)).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_is_used_up_holds_the_line_until_the_next_one() {
    let f = Setup::new(Mood::NoAnswer).with(|s| s.lines[0].monthly_quota = Some(1)).connection(|c| c.max_age = None).start_by_hand().await;
    let first = f.wish("0912345601").await;
    f.reaches(first, State::Ended).await;
    f.advance(Duration::from_secs(1)).await;
    let second = f.wish("0912345602").await;
    f.run_due().await;
    assert_eq!((f.call(second).state, f.line().month_used), (State::Queued, 1));
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_in_key_that_asks_fast_is_queued_and_never_told_another_status_than_200() {
    let key = json!({"name": "shop", "key": "gateway-key-of-the-tests-01", "max_queued": 30});
    let f = Setup::new(Mood::Answers)
        .with(|s| {
            s.gateway_keys = vec![serde_json::from_value(key).unwrap()];
            s.lines[0].rate = Some("1/h".parse().unwrap());
        })
        .start_by_hand()
        .await;
    let mut codes = Vec::new();
    for n in 0..32 {
        let body = json!({"secretKey": "gateway-key-of-the-tests-01", "customerPhone": format!("09123456{n:02}")}).to_string();
        let answer = wire::post(&f.address, "/campaign/callone/", &["Content-Type: application/json"], body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        codes.push(answer.json()["errorCode"].as_u64().unwrap());
    }
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 30, "{codes:?}");
    assert_eq!(codes[30..], [2118, 2118], "only the key's own queue has an end");
    assert_eq!(f.calls().len(), 30);
    f.abandon().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_address_is_capped_by_sender_and_number() {
    let f = Setup::new(Mood::NoAnswer)
        .connection(|c| {
            c.exposed = true;
            c.duplicate_window = Duration::ZERO;
        })
        .with(|s| {
            s.server.trust_proxies = vec!["127.0.0.1".parse().unwrap()];
            s.calls.exposed_per_address = "3/h".parse().unwrap();
            s.calls.exposed_per_number = "1/24h".parse().unwrap();
        })
        .start_by_hand()
        .await;
    let send = async |n: u32, ip: &str, phone: &str| {
        let body = json!({"event_id": format!("x{n}"), "phone": phone, "record_id": super::bridge::CUSTOMER}).to_string();
        f.deliver_bytes(&["Content-Type: application/json", &format!("X-Forwarded-For: {ip}")], body.as_bytes()).await
    };
    for (n, phone) in [(1, "0912345601"), (2, "0912345601"), (3, "0912345602")] {
        assert_eq!(send(n, "192.0.2.1", phone).await.status, 200);
    }
    let over = send(4, "192.0.2.1", "0912345603").await;
    assert_eq!(over.status, 429, "{over:?}");
    assert!(over.header("retry-after").is_some());
    assert_eq!(send(5, "192.0.2.2", "0912345604").await.status, 200, "another sender");
    f.until("all are mapped", |f| (f.calls().len() == 3).then_some(())).await;
    f.run_due().await;
    let refused = f.events().iter().flat_map(|e| f.items(e.id)).filter(|o| format!("{o:?}").contains("ExposedLimit")).count();
    assert_eq!(refused, 1, "the second call to one number");
    f.until("the calls went", |f| f.calls().iter().all(|c| c.state == State::Ended).then_some(())).await;
    f.advance(Duration::from_secs(1)).await;
    f.finish().await;
}
