//! Records that we fetch: what a CRM holds becomes calls, once, through outages and restarts.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callbridge::config::{ApiKey, ApiRole};
use callbridge::domain::alert::AlertKind;
use callbridge::domain::call::State;
use callbridge::domain::secret::SecretText;
use callbridge::domain::source::Source;
use callbridge::simulator::mood::Mood;
use serde_json::json;

use super::bridge::{Fixture, Setup, connection};
use super::far_end::{self, FarEnd, Request};
use super::wire;

const MANIFEST: &str = r#"
[[poll]]
name = "leads"
variant = "polled"
every = "1m"
path = "/leads?after={{cursor}}&page={{page}}"
items = "$.data[*]"
cursor = { start = "0", value = "$.data[-1].id" }
more = [{ value = "$.next", op = "exists" }]

[poll.ack]
method = "POST"
path = "/leads/{{url item.id}}/taken"

[[receive]]
name = "polled"
methods = []

[receive.items]
split = "$.data[*]"

[receive.map]
event_id = "{{item.id}}"
record_type = "lead"
record_id = "$.id"
phone = "$.phone"
"#;

/// A CRM that holds leads, two on a page, and can be down.
#[derive(Default)]
struct Crm {
    leads: AtomicU32,
    down: AtomicBool,
    taken: Mutex<Vec<String>>,
}

impl Crm {
    fn answer(&self, request: &Request) -> (u16, String) {
        if self.down.load(Ordering::SeqCst) {
            return (503, "{}".to_owned());
        }
        if request.method == "POST" {
            self.taken.lock().unwrap().push(request.path().trim_start_matches("/leads/").trim_end_matches("/taken").to_owned());
            return (200, "{}".to_owned());
        }
        let of = |name: &str| -> u32 {
            let query = request.target.split_once('?').unwrap().1;
            query.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap().parse().unwrap()
        };
        let (after, page) = (of("after="), of("page="));
        let all: Vec<u32> = (after + 1..=self.leads.load(Ordering::SeqCst)).collect();
        let begin = (page as usize - 1) * 2;
        let data: Vec<_> = all.iter().skip(begin).take(2).map(|id| json!({"id": id, "phone": format!("09123456{id:02}")})).collect();
        let next = (all.len() > begin + 2).then_some("more");
        (200, json!({"data": data, "next": next}).to_string())
    }
}

async fn bridge(dir: &Path, url: &str) -> Fixture {
    bridge_of(dir, url, MANIFEST).await
}

async fn bridge_of(dir: &Path, url: &str, manifest: &str) -> Fixture {
    far_end::plugin(dir, "fetcher", manifest);
    let connection = connection("fetcher", "fetcher", "hook-key-of-the-fetcher", &[("site", url)]);
    let setup = Setup::new(Mood::ReportLost).with(|settings| {
        settings.plugins.path = Some(dir.to_owned());
        settings.connections = vec![connection];
    });
    setup.start_by_hand().await
}

/// The leads that were called, in order.
fn called(f: &Fixture) -> Vec<String> {
    let mut ids: Vec<String> = f.calls().into_iter().map(|call| call.record.id).collect();
    ids.sort();
    ids
}

fn source(f: &Fixture) -> Source {
    let sources = f.sources();
    assert_eq!(sources.len(), 1, "{sources:?}");
    sources.into_iter().next().unwrap()
}

#[tokio::test]
async fn records_become_calls_once_through_an_outage_and_restarts() {
    let crm = Arc::new(Crm::default());
    crm.leads.store(3, Ordering::SeqCst);
    let answers = Arc::clone(&crm);
    let far = FarEnd::start(move |request| answers.answer(request)).await;
    let dir = tempfile::tempdir().unwrap();
    let mut f = bridge(dir.path(), &far.url()).await;

    f.until("the first three are called", |f| (f.calls().len() == 3).then_some(())).await;
    f.run_due().await;
    assert_eq!(called(&f), ["1", "2", "3"]);
    assert_eq!(*crm.taken.lock().unwrap(), ["1", "2", "3"], "each is acknowledged once");
    let gets = |far: &FarEnd| far.requests().into_iter().filter(|r| r.method == "GET").map(|r| r.target).collect::<Vec<_>>();
    assert_eq!(gets(&far), ["/leads?after=0&page=1", "/leads?after=0&page=2"], "the pages of one fetch have one cursor");
    assert_eq!(source(&f).poll.cursor.as_deref(), Some("3"));

    // Nothing new: no event. Not before its time: no request.
    f.advance(Duration::from_secs(59)).await;
    assert_eq!(gets(&far).len(), 2);
    f.advance(Duration::from_secs(1)).await;
    assert_eq!((gets(&far).len(), f.events().len()), (3, 2));

    crm.down.store(true, Ordering::SeqCst);
    crm.leads.store(5, Ordering::SeqCst);
    f.advance(Duration::from_secs(60)).await;
    assert!(source(&f).problem.unwrap().contains("503"), "the admin is told");
    f.restart().await;
    f.advance(Duration::from_secs(20)).await;
    assert_eq!(called(&f).len(), 3);
    crm.down.store(false, Ordering::SeqCst);
    f.advance(Duration::from_secs(60)).await;
    assert_eq!(called(&f), ["1", "2", "3", "4", "5"], "what came during the outage is fetched");
    assert_eq!(source(&f).problem, None);

    f.restart().await;
    f.advance(Duration::from_secs(120)).await;
    assert_eq!((called(&f).len(), crm.taken.lock().unwrap().len()), (5, 5), "nothing twice");
    assert!(gets(&far).last().unwrap().starts_with("/leads?after=5&"));
    f.finish().await;
}

#[tokio::test]
async fn a_poll_that_nobody_asks_for_rests_and_goes_on_where_it_ended() {
    let crm = Arc::new(Crm::default());
    crm.leads.store(1, Ordering::SeqCst);
    let answers = Arc::clone(&crm);
    let far = FarEnd::start(move |request| answers.answer(request)).await;
    let dir = tempfile::tempdir().unwrap();
    let mut f = bridge(dir.path(), &far.url()).await;
    f.until("the first is called", |f| (f.calls().len() == 1).then_some(())).await;
    f.run_due().await;
    let connections = std::mem::take(&mut f.settings.connections);
    f.restart().await;
    crm.leads.store(2, Ordering::SeqCst);
    let asked = far.requests().len();
    f.advance(Duration::from_secs(3600)).await;
    assert_eq!((far.requests().len(), source(&f).wanted), (asked, false));
    f.settings.connections = connections;
    f.restart().await;
    f.advance(Duration::from_secs(1)).await;
    assert_eq!(called(&f), ["1", "2"]);
    f.finish().await;
}

/// Leads that stand there until they are unticked; what the CRM says to unticking the first of them.
struct Ticked {
    leads: Mutex<Vec<u32>>,
    says: AtomicU32,
}

impl Ticked {
    fn answer(&self, request: &Request) -> (u16, String) {
        let mut leads = self.leads.lock().unwrap();
        match (request.method.as_str(), request.path()) {
            ("POST", "/notes") => (201, r#"{"id": "1"}"#.to_owned()),
            ("POST", "/leads/1/taken") => (u16::try_from(self.says.load(Ordering::SeqCst)).unwrap(), "{}".to_owned()),
            ("POST", path) => {
                leads.retain(|id| path != format!("/leads/{id}/taken"));
                (200, "{}".to_owned())
            }
            _ => (200, json!({"data": leads.iter().map(|id| json!({"id": id, "phone": format!("09123456{id:02}")})).collect::<Vec<_>>()}).to_string()),
        }
    }
}

/// The problems that the API tells of the connection; its state says the same.
async fn problems(f: &Fixture) -> Vec<String> {
    let request = format!("GET /api/v1/connections/fetcher HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {VIEWER}\r\nConnection: close\r\n\r\n");
    let shown = wire::send(&f.address, request.as_bytes()).await.unwrap().json();
    let problems: Vec<String> = serde_json::from_value(shown["problems"].clone()).unwrap();
    let troubles = shown["troubles"].as_array().unwrap();
    assert_eq!((shown["state"] == "failing", troubles.len()), (!problems.is_empty(), problems.len()), "{shown}");
    assert!(troubles.iter().all(|trouble| trouble["of"] == "leads"), "{shown}");
    problems
}

const VIEWER: &str = "viewer-key-of-the-poll-test";

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_crm_says_is_not_there_holds_up_no_other_and_is_called_once() {
    for says in [410, 404] {
        let crm = Arc::new(Ticked { leads: Mutex::new(vec![1]), says: AtomicU32::new(says) });
        let answers = Arc::clone(&crm);
        let far = FarEnd::start(move |request| answers.answer(request)).await;
        let dir = tempfile::tempdir().unwrap();
        let cursor = MANIFEST.lines().filter(|line| !line.starts_with("cursor") && !line.starts_with("more")).collect::<Vec<_>>().join("\n");
        let manifest = cursor.replace("/leads?after={{cursor}}&page={{page}}", "/leads");
        far_end::plugin(dir.path(), "fetcher", &[&manifest, far_end::NOTE].concat());
        let mut connection = connection("fetcher", "fetcher", "", &[("site", &far.url())]);
        connection.hook_key = None;
        let key = ApiKey { name: "wall".into(), key: SecretText::new(VIEWER), role: ApiRole::Viewer, workspace: "main".into() };
        let setup = Setup::new(Mood::ReportLost).with(|settings| {
            settings.plugins.path = Some(dir.path().to_owned());
            settings.connections = vec![connection];
            settings.api_keys = vec![key];
        });
        let f = setup.start_by_hand().await;
        let untold = |far: &FarEnd| far.lines().iter().filter(|line| *line == "POST /leads/1/taken").count();
        let open = |f: &Fixture| {
            f.alerts().into_iter().find(|alert| alert.is_open() && alert.kind == AlertKind::ConnectionFailing).map(|alert| (alert.kind, alert.subject))
        };

        let first = f.until("the first is called", |f| f.calls().first().cloned()).await;
        f.until("the CRM would not be told", |f| source(f).problem.clone()).await;
        assert_eq!(open(&f), Some((AlertKind::ConnectionFailing, "fetcher/leads".to_owned())));
        let said = problems(&f).await;
        assert!(said.len() == 1 && said[0].starts_with("poll `leads`: ") && said[0].contains(&says.to_string()), "{said:?}");

        // What works elsewhere says nothing about it.
        f.reaches(first.id, State::Placed).await;
        assert_eq!(f.report(first.id, &json!({"CallDetail": {"AnswerDuration": 5, "CallDuration": 9, "ResponseStatus": 1}})).await.status, 200);
        f.logged(first.id).await;
        assert!(open(&f).is_some());

        crm.leads.lock().unwrap().push(2);
        f.advance(Duration::from_secs(60)).await;
        assert_eq!(called(&f), ["1", "2"]);
        assert_eq!(*crm.leads.lock().unwrap(), [1], "the second was unticked");
        for _ in 0..10 {
            f.advance(Duration::from_secs(60)).await;
        }
        assert_eq!((called(&f).len(), f.events().len(), untold(&far)), (2, 3, 3), "nobody is called twice, and not every look is an event");
        assert!(open(&f).is_some());

        crm.leads.lock().unwrap().clear();
        f.advance(Duration::from_secs(60)).await;
        assert_eq!((source(&f).problem, open(&f), problems(&f).await), (None, None, vec![]));
        f.finish().await;
    }
}

/// It would be called again with each change of it: nothing is fetched until a person has looked, and nothing that works hides that.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_which_the_crm_refuses_to_be_told_is_called_once_and_the_alert_stays() {
    let crm = Arc::new(Ticked { leads: Mutex::new(vec![1]), says: AtomicU32::new(400) });
    let answers = Arc::clone(&crm);
    let far = FarEnd::start(move |request| answers.answer(request)).await;
    let dir = tempfile::tempdir().unwrap();
    let f = bridge_of(dir.path(), &far.url(), &[MANIFEST, far_end::NOTE].concat()).await;
    let first = f.until("the first is called", |f| f.calls().first().cloned()).await;
    f.until("the CRM refused", |f| source(f).problem.clone()).await;
    f.reaches(first.id, State::Placed).await;
    assert_eq!(f.report(first.id, &json!({"CallDetail": {"AnswerDuration": 5, "CallDuration": 9, "ResponseStatus": 1}})).await.status, 200);
    f.logged(first.id).await;
    let open = |f: &Fixture| f.alerts().into_iter().any(|alert| alert.is_open() && alert.subject == "fetcher/leads");
    assert!(open(&f), "what works elsewhere says nothing about it");
    f.advance(Duration::from_secs(900)).await;
    assert_eq!((called(&f).len(), open(&f)), (1, true));
    crm.says.store(200, Ordering::SeqCst);
    f.advance(Duration::from_secs(3600)).await;
    assert_eq!((source(&f).problem, open(&f)), (None, false));
    f.finish().await;
}
