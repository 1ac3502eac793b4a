//! The program's own sums over HTTP, and every record of its store read after it stopped: the two must agree.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use callbridge::domain::call::{Call, State};
use callbridge::domain::id::{LineId, WorkspaceId};
use callbridge::domain::item::Item;
use callbridge::store::sled::Options;
use callbridge::store::{CallQuery, SledStore, Store};

use super::load::resume_all;
use super::server::{LINES, Site};
use super::world::World;

const PAGE: usize = 500;

/// `callbridge_count` by name, and `backlog.<kind>`.
pub type Sums = BTreeMap<String, i64>;

/// Everything that is stored.
pub struct Records {
    pub calls: Vec<Call>,
    /// By the sender's event id.
    pub events: HashMap<String, Vec<Item>>,
    pub event_records: usize,
    /// Slots still taken.
    pub in_flight: usize,
}

/// Reads `/metrics`.
pub fn sums(world: &World, site: &Site) -> Sums {
    let text = world.get(&format!("{}/metrics", site.url)).unwrap();
    let mut sums = Sums::new();
    for line in text.lines() {
        let Some((name, value)) = line.rsplit_once(' ') else { continue };
        let Ok(value) = value.parse() else { continue };
        if let Some(rest) = name.strip_prefix("callbridge_count{") {
            let name = rest.split("name=\"").nth(1).and_then(|r| r.split('"').next()).unwrap_or_default();
            *sums.entry(name.to_owned()).or_default() += value;
        } else if let Some(kind) = name.strip_prefix("callbridge_backlog{kind=\"") {
            sums.insert(format!("backlog.{}", kind.trim_end_matches("\"}")), value);
        }
    }
    sums
}

/// Waits until nothing is left to do; the sums of that moment.
pub fn drain(world: &World, site: &Site, limit: Duration) -> Result<Sums, String> {
    let (until, mut resume_at) = (Instant::now() + limit, Instant::now());
    loop {
        let sums = sums(world, site);
        let open = |name: &str| sums.get(name).copied().unwrap_or_default();
        let backlog: i64 = sums.iter().filter(|(name, _)| name.starts_with("backlog.") && *name != "backlog.poll").map(|(_, n)| n).sum();
        let living: i64 = [State::Queued, State::Placing, State::Placed, State::Unconfirmed].iter().map(|s| open(&format!("calls.state.{}", s.as_str()))).sum();
        if backlog + living + open("items.waiting") == 0 {
            return Ok(sums);
        }
        if Instant::now() > until {
            return Err(format!("after {limit:?} there is still something to do: {sums:#?}"));
        }
        if Instant::now() > resume_at {
            world.runtime.block_on(resume_all(&world.client, &site.url));
            resume_at = Instant::now() + Duration::from_secs(1);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Opens the store of a program that stopped.
pub fn read(site: &Site) -> Records {
    let store = SledStore::open(Options::new(&site.data)).unwrap();
    let mut calls: Vec<Call> = Vec::new();
    loop {
        let page = store.calls(&CallQuery { before: calls.last().map(|c| c.id), limit: PAGE, ..CallQuery::default() }).unwrap();
        calls.extend(page.iter().cloned());
        if page.len() < PAGE {
            break;
        }
    }
    let (mut events, mut event_records, mut before) = (HashMap::new(), 0, None);
    loop {
        let page = store.events(before, PAGE).unwrap();
        before = page.last().map(|e| e.id);
        event_records += page.len();
        for event in &page {
            let body: serde_json::Value = serde_json::from_slice(&store.body(event.id).unwrap()).unwrap_or_default();
            let items = store.items(event.id).unwrap().into_iter().map(|(_, item)| item).collect();
            events.insert(body["event_id"].as_str().unwrap_or_default().to_owned(), items);
        }
        if page.len() < PAGE {
            break;
        }
    }
    let line = |n: usize| store.line(&WorkspaceId::default(), &LineId::new(&format!("line-{n}"))).unwrap();
    let in_flight = (1..=LINES).map(|n| line(n).in_flight.len()).sum();
    Records { calls, events, event_records, in_flight }
}
