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

/// Leads that stand there until they are unticked; what the CRM says to unticking the first ones.
struct Ticked {
    leads: Mutex<Vec<u32>>,
    /// Leads up to this number are not unticked …
    refuses: u32,
    /// … while it says this.
    says: AtomicU32,
    /// Stands in every lead: each change of it changes them all.
    version: AtomicU32,
}

impl Ticked {
    fn new(leads: &[u32], refuses: u32, says: u32) -> Arc<Ticked> {
        Arc::new(Ticked { leads: Mutex::new(leads.to_vec()), refuses, says: AtomicU32::new(says), version: AtomicU32::new(1) })
    }

    fn answer(&self, request: &Request) -> (u16, String) {
        let mut leads = self.leads.lock().unwrap();
        let says = u16::try_from(self.says.load(Ordering::SeqCst)).unwrap();
        match (request.method.as_str(), request.path()) {
            ("POST", "/notes") => (201, r#"{"id": "1"}"#.to_owned()),
            ("POST", path) => {
                let id: u32 = path.trim_start_matches("/leads/").trim_end_matches("/taken").parse().unwrap();
                if id <= self.refuses && says != 200 {
                    return (says, "{}".to_owned());
                }
                leads.retain(|lead| *lead != id);
                (200, "{}".to_owned())
            }
            _ => {
                let version = self.version.load(Ordering::SeqCst);
                let data: Vec<_> = leads.iter().map(|id| json!({"id": id, "phone": format!("0912345{id:03}"), "version": version})).collect();
                (200, json!({"data": data}).to_string())
            }
        }
    }

    fn stands(&self) -> Vec<u32> {
        self.leads.lock().unwrap().clone()
    }
}

/// The manifest without a cursor; a lead that was changed is another event, as in SuiteCRM.
fn ticked() -> String {
    let lines = MANIFEST.lines().filter(|line| !line.starts_with("cursor") && !line.starts_with("more")).collect::<Vec<_>>().join("\n");
    let manifest = lines.replace("/leads?after={{cursor}}&page={{page}}", "/leads").replace("{{item.id}}\"\nrecord", "{{item.id}}-{{item.version}}\"\nrecord");
    assert!(manifest.contains("{{item.id}}-{{item.version}}"));
    [&manifest, far_end::NOTE].concat()
}

fn asks_of(far: &FarEnd, line: &str) -> usize {
    far.lines().iter().filter(|l| *l == line).count()
}

fn open_alert(f: &Fixture) -> Option<(String, String)> {
    f.alerts().into_iter().find(|alert| alert.is_open() && alert.kind == AlertKind::ConnectionFailing).map(|alert| (alert.subject, alert.detail))
}

/// The problems that the API tells of the connection.
async fn problems(f: &Fixture) -> Vec<String> {
    let request = format!("GET /api/v1/connections/fetcher HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {VIEWER}\r\nConnection: close\r\n\r\n");
    let shown = wire::send(&f.address, request.as_bytes()).await.unwrap().json();
    serde_json::from_value(shown["problems"].clone()).unwrap()
}

const VIEWER: &str = "viewer-key-of-the-poll-test";

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_which_the_crm_refuses_to_be_told_holds_up_no_other_and_is_called_once() {
    for says in [400, 403, 404, 410] {
        let crm = Ticked::new(&[1], 1, says);
        let answers = Arc::clone(&crm);
        let far = FarEnd::start(move |request| answers.answer(request)).await;
        let dir = tempfile::tempdir().unwrap();
        far_end::plugin(dir.path(), "fetcher", &ticked());
        let mut connection = connection("fetcher", "fetcher", "", &[("site", &far.url())]);
        connection.hook_key = None;
        let key = ApiKey { name: "wall".into(), key: SecretText::new(VIEWER), role: ApiRole::Viewer, workspace: "main".into() };
        let setup = Setup::new(Mood::ReportLost).with(|settings| {
            settings.plugins.path = Some(dir.path().to_owned());
            settings.connections = vec![connection];
            settings.api_keys = vec![key];
        });
        let mut f = setup.start_by_hand().await;

        let first = f.until("the first is called", |f| f.calls().first().cloned()).await;
        f.until("the CRM would not be told", |f| source(f).problem.clone()).await;
        let (subject, detail) = open_alert(&f).unwrap();
        assert!(subject == "fetcher/leads" && detail.contains("lead 1 ") && detail.contains(&says.to_string()), "{subject} {detail}");
        let said = problems(&f).await;
        assert!(said.len() == 1 && said[0].starts_with("poll `leads`: ") && said[0].contains(&says.to_string()), "{said:?}");

        // What works elsewhere says nothing about it.
        f.reaches(first.id, State::Placed).await;
        assert_eq!(f.report(first.id, &json!({"CallDetail": {"AnswerDuration": 5, "CallDuration": 9, "ResponseStatus": 1}})).await.status, 200);
        f.logged(first.id).await;
        assert!(open_alert(&f).is_some());

        // Our own write-back changed it: another event id, which must not be another wish.
        crm.version.store(2, Ordering::SeqCst);
        crm.leads.lock().unwrap().push(2);
        f.advance(Duration::from_secs(60)).await;
        assert_eq!((called(&f), crm.stands()), (vec!["1".to_owned(), "2".into()], vec![1]), "the second was called and unticked");
        for version in 3..13 {
            f.restart().await;
            crm.version.store(version, Ordering::SeqCst);
            f.advance(Duration::from_secs(60)).await;
        }
        assert_eq!((called(&f).len(), f.events().len()), (2, 2), "nobody is called twice, and no look is an event");
        let alerts: Vec<_> = f.alerts().into_iter().filter(|alert| alert.kind == AlertKind::ConnectionFailing).collect();
        assert_eq!((alerts.len(), alerts[0].is_open(), alerts[0].times), (1, true, 1), "the admin is told once: {alerts:?}");

        // A person unticks it, and ticks it again later: a new wish.
        crm.leads.lock().unwrap().clear();
        f.advance(Duration::from_secs(60)).await;
        f.advance(Duration::from_secs(60)).await;
        assert_eq!((source(&f).problem, open_alert(&f), problems(&f).await), (None, None, vec![]));
        f.advance(Duration::from_secs(3600)).await;
        crm.leads.lock().unwrap().push(1);
        crm.says.store(200, Ordering::SeqCst);
        f.advance(Duration::from_secs(60)).await;
        assert_eq!((called(&f).len(), crm.stands()), (3, vec![]));
        f.finish().await;
    }
}

#[tokio::test]
async fn a_record_that_may_be_told_of_again_is_told_of_at_its_time_or_when_it_changed() {
    let crm = Ticked::new(&[1], 1, 400);
    let answers = Arc::clone(&crm);
    let far = FarEnd::start(move |request| answers.answer(request)).await;
    let dir = tempfile::tempdir().unwrap();
    let mut f = bridge_of(dir.path(), &far.url(), &ticked()).await;
    f.until("the CRM would not be told", |f| source(f).problem.clone()).await;
    f.advance(Duration::from_secs(300)).await;
    assert_eq!(asks_of(&far, "POST /leads/1/taken"), 1, "not with every look");
    crm.version.store(2, Ordering::SeqCst);
    f.advance(Duration::from_secs(300)).await;
    assert_eq!(asks_of(&far, "POST /leads/1/taken"), 2, "once as it was changed");
    crm.says.store(200, Ordering::SeqCst);
    f.restart().await;
    f.advance(Duration::from_secs(3600)).await;
    assert_eq!((crm.stands(), called(&f).len(), f.events().len()), (vec![], 1, 1));
    assert_eq!((source(&f).problem, open_alert(&f)), (None, None));
    f.finish().await;
}

/// What is not left alone would be called again with each change of it: nothing is fetched until a person has looked.
#[tokio::test]
async fn too_many_refused_records_hold_the_poll_until_the_crm_takes_them() {
    let ids: Vec<u32> = (1..=81).collect();
    let crm = Ticked::new(&ids, 81, 400);
    let answers = Arc::clone(&crm);
    let far = FarEnd::start(move |request| answers.answer(request)).await;
    let dir = tempfile::tempdir().unwrap();
    // Without a phone nobody is called.
    let f = bridge_of(dir.path(), &far.url(), &ticked().replace("phone = \"$.phone\"", "phone = \"$.none\"")).await;
    for _ in 0..30 {
        f.advance(Duration::from_secs(10)).await;
    }
    assert_eq!((asks_of(&far, "POST /leads/80/taken"), asks_of(&far, "POST /leads/81/taken")), (1, 1), "each is told of once: {} requests", far.lines().len());
    f.advance(Duration::from_secs(500)).await;
    assert_eq!((asks_of(&far, "GET /leads"), f.events().len()), (1, 1), "it holds");
    assert!(open_alert(&f).is_some() && source(&f).problem.is_some_and(|p| p.contains("400")));
    crm.says.store(200, Ordering::SeqCst);
    for _ in 0..60 {
        f.advance(Duration::from_secs(300)).await;
    }
    assert_eq!((crm.stands(), f.events().len(), source(&f).problem, open_alert(&f)), (vec![], 1, None, None));
    f.finish().await;
}

/// Behind a cursor it is not fetched again: what is on disk is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_record_behind_a_cursor_is_told_of_again_from_what_is_on_disk() {
    let crm = Arc::new(Crm::default());
    crm.leads.store(1, Ordering::SeqCst);
    let (answers, says) = (Arc::clone(&crm), Arc::new(AtomicU32::new(400)));
    let said = Arc::clone(&says);
    let far = FarEnd::start(move |request| match (request.method.as_str(), request.path(), said.load(Ordering::SeqCst)) {
        ("POST", "/leads/1/taken", 400) => (400, "{}".to_owned()),
        _ => answers.answer(request),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let f = bridge_of(dir.path(), &far.url(), MANIFEST).await;
    f.until("the CRM refused", |f| source(f).problem.clone()).await;
    crm.leads.store(3, Ordering::SeqCst);
    f.advance(Duration::from_secs(120)).await;
    assert_eq!((called(&f), crm.taken.lock().unwrap().clone()), (vec!["1".to_owned(), "2".into(), "3".into()], vec!["2".to_owned(), "3".into()]));
    assert!(open_alert(&f).is_some(), "the first is not told of yet");
    says.store(200, Ordering::SeqCst);
    f.advance(Duration::from_secs(3600)).await;
    assert_eq!((crm.taken.lock().unwrap().len(), source(&f).problem, open_alert(&f), called(&f).len()), (3, None, None, 3));
    f.finish().await;
}
