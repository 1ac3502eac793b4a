//! A do-not-call file comes in while calls wait: those to its numbers are refused, and the others cost nothing.

use std::time::{Duration, Instant};

use callbridge::config::{ApiKey, ApiRole};
use callbridge::domain::call::{Origin, State};
use callbridge::domain::id::{CallId, WorkspaceId};
use callbridge::domain::phone;
use callbridge::domain::schedule::Pause;
use callbridge::domain::secret::SecretText;
use callbridge::error::Code;
use callbridge::pipeline::wish;
use callbridge::simulator::mood::Mood;
use callbridge::store::{Change, Changed, Made, NewCall, Store};
use serde_json::Value;

use super::bridge::{Fixture, LINE, Setup};
use super::wire;

const KEY: &str = "operator-key-0123456789";

/// Calls that wait for a line that is paused, made as one does by the API; their numbers follow each other.
async fn queue(f: &Fixture, from: usize, calls: usize) -> Vec<CallId> {
    let mut ids = Vec::with_capacity(calls);
    for slice in (from..from + calls).collect::<Vec<_>>().chunks(500) {
        let made = slice.iter().map(|n| {
            let phone = phone::normalise(&format!("09{n:08}")).unwrap();
            let origin = Origin::Api { key: "erp".into() };
            let mut call = wish::blank(CallId::from_uuid(f.app().clock.uuid()), WorkspaceId::default(), origin, phone, f.now(), f.now());
            call.expires_at = f.now().plus(Duration::from_secs(86_400));
            f.store().create_call(f.now(), NewCall { call: Box::new(call), idempotency: None, max_queued: None })
        });
        for made in futures_util::future::join_all(made).await {
            let Made::Call(call) = made.unwrap() else { panic!("a call is made") };
            ids.push(call);
        }
    }
    ids
}

/// Imports these numbers; gives how many queued calls were refused, and how long it took.
async fn import(f: &Fixture, numbers: &[usize]) -> (u64, Duration) {
    let body: String = numbers.iter().map(|n| format!("09{n:08}\n")).collect();
    let headers = [format!("Authorization: Bearer {KEY}"), "Content-Type: text/csv".to_owned()];
    let begun = Instant::now();
    let answer = wire::post(&f.address, "/api/v1/dnc/import", &headers.each_ref().map(String::as_str), body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{:?}", answer.json());
    let report: Value = answer.json();
    (report["refused_calls"].as_u64().unwrap(), begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_looks_only_at_calls_of_its_numbers() {
    let setup = Setup::new(Mood::Answers).with(|settings| {
        settings.api_keys = vec![ApiKey { name: "lan".into(), key: SecretText::new(KEY), role: ApiRole::Admin, workspace: "main".into() }];
    });
    let f = setup.start_by_hand().await;
    let pause = Pause { code: Code::HoldPaused, since: f.now(), until: None, by: "lan".into(), detail: String::new(), key: String::new() };
    assert_eq!(f.change(Change::PauseLine { workspace: "main".into(), line: LINE.into(), pause }).await, Changed::Ok);
    let few = queue(&f, 10_000_000, 20).await;
    let mut fastest = [Duration::MAX; 2];
    for (n, id) in few.iter().enumerate().take(5) {
        let (refused, took) = import(&f, &[10_000_000 + n, 99_000_000 + n]).await;
        assert_eq!((refused, f.call(*id).state, f.call(*id).refusal), (1, State::Refused, Some(Code::DoNotCall)));
        fastest[0] = fastest[0].min(took);
    }
    let many = queue(&f, 20_000_000, 20_000).await;
    for (n, id) in many.iter().enumerate().take(5) {
        let (refused, took) = import(&f, &[20_000_000 + n, 99_100_000 + n]).await;
        assert_eq!((refused, f.call(*id).state), (1, State::Refused));
        fastest[1] = fastest[1].min(took);
    }
    println!("an import of two numbers among 15 queued calls: {:?}, among 20,000: {:?}", fastest[0], fastest[1]);
    assert!(fastest[1] < fastest[0] * 5 + Duration::from_millis(50), "{fastest:?}");
    // One that lists many: each of theirs, and no other.
    let (refused, took) = import(&f, &(20_000_003..20_001_000).collect::<Vec<_>>()).await;
    println!("an import of 997 numbers, of which 995 wait: {took:?}");
    assert_eq!((refused, f.call(many[999]).state, f.call(many[1000]).state), (995, State::Refused, State::Queued));
    f.abandon().await;
}
