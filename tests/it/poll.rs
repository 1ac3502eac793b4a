//! Records that we fetch: what a CRM holds becomes calls, once, through outages and restarts.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callbridge::domain::source::Source;
use callbridge::simulator::mood::Mood;
use serde_json::json;

use super::bridge::{Fixture, Setup, connection};
use super::far_end::{self, FarEnd, Request};

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
    far_end::plugin(dir, "fetcher", MANIFEST);
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
