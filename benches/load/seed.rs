//! Stores made through the library: many steps at once, so that the committer groups them.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use callbridge::clock::Clock;
use callbridge::domain::call::Origin;
use callbridge::domain::event::Event;
use callbridge::domain::id::{AttemptId, CallId, EventId, LineId, WorkspaceId};
use callbridge::domain::item::{Item, Outcome};
use callbridge::domain::phone;
use callbridge::domain::pool::{Pool, PoolId};
use callbridge::domain::record::{Customer, RecordRef};
use callbridge::domain::report::Report;
use callbridge::domain::schedule::LinePolicy;
use callbridge::domain::time::Time;
use callbridge::domain::write_back::{Status, WriteBack};
use callbridge::pipeline::wish;
use callbridge::store::sled::Options;
use callbridge::store::{AfterReport, Attempt, Begun, Gate, Leg, MappedItem, NextTry, Placing, SledStore, Store, SweepPolicy, TaskKind, Written};
use futures_util::future::try_join_all;

use super::webhook;

/// Steps that wait at the same time.
const AT_ONCE: usize = 512;

/// The same headers as the webhooks of the load carry.
pub fn event(connection: usize, now: Time) -> Event {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Event {
        id: EventId::from_uuid(Clock::System.uuid()),
        workspace: WorkspaceId::default(),
        connection: webhook::connection_id(connection).as_str().into(),
        variant: "record".into(),
        hook: String::new(),
        method: "POST".into(),
        tail: String::new(),
        query: String::new(),
        headers: vec![
            header("host", "bridge.example.vn"),
            header("user-agent", "bench/1.0"),
            header("accept", "*/*"),
            header("content-type", "application/json"),
            header("x-signature", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
            header("content-length", "600"),
        ],
        body_bytes: 600,
        body: None,
        received_at: now,
        sealed: String::new(),
        replays: 0,
        let_in: None,
        items: 0,
    }
}

/// What mapping makes of the n-th webhook.
pub fn mapped(event: &Event, n: usize, lines: Vec<LineId>, now: Time) -> anyhow::Result<MappedItem> {
    let number = phone::normalise(&format!("09{:08}", 10_000_000 + n % 80_000_000)).map_err(|e| anyhow::anyhow!("{e}"))?;
    let id = CallId::from_uuid(Clock::System.uuid());
    let customer = Customer {
        phone: number.national(), name: "Nguyễn Thị Minh Khai".into(), gender: None, info: "khách hỏi giá và hẹn gọi lại; ".repeat(8)
    };
    let record = RecordRef { kind: "lead".into(), id: n.to_string() };
    let mut call = wish::blank(id, event.workspace.clone(), Origin::Item { event: event.id, index: 0 }, number, now, now);
    call.connection = Some(event.connection.clone());
    call.customer = customer.clone();
    call.record = record.clone();
    call.lines = lines;
    call.interactive = false;
    call.expires_at = now.plus(Duration::from_secs(86_400));
    call.plugin_hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into();
    Ok(MappedItem {
        index: 0,
        item: Item { outcome: Outcome::Called { call: id }, record, customer, at: now },
        call: Some(Box::new(call)),
        event_key: Some((format!("\u{0}sha256:{n:032x}"), Duration::from_secs(900))),
        duplicate_window: Some(Duration::from_secs(600)),
        lookup_due: None,
        exposed: None,
        tell: None,
    })
}

pub fn gate() -> Gate {
    Gate {
        slot_timeout: Duration::from_secs(300),
        report_deadline: Duration::from_secs(7200),
        public_url: "https://bridge.example.vn".into(),
        sweep: SweepPolicy::default(),
    }
}

pub fn attempt(leg: Leg, now: Time) -> Attempt {
    let id = AttemptId::from_uuid(Clock::System.uuid());
    Attempt { id, leg, number: 1, at: now, duration_ms: 7, status: Some(200), class: "ok".into(), detail: String::new(), next_at: None }
}

/// A line that takes so many calls at once.
pub fn policy(n: usize, at_once: u32) -> LinePolicy {
    LinePolicy {
        id: LineId::new(&webhook::line_id(n)),
        workspace: WorkspaceId::default(),
        rate: None,
        max_in_flight: at_once,
        monthly_quota: None,
        paused: false,
    }
}

/// The lines of a connection.
pub fn pool(connection: usize, lines: std::ops::Range<usize>) -> Pool {
    let id = PoolId::Connection(webhook::connection_id(connection).as_str().into());
    Pool::first(id, lines.map(|line| LineId::new(&webhook::line_id(line))).collect())
}

/// Queues calls `from..from + count`; `way` gives the connection of each, and the lines it is pinned to.
pub async fn queue(store: &SledStore, from: usize, count: usize, way: impl Fn(usize) -> (usize, Vec<LineId>)) -> anyhow::Result<()> {
    let now = Clock::System.now();
    for start in (from..from + count).step_by(AT_ONCE) {
        let range = start..(start + AT_ONCE).min(from + count);
        let events: Vec<(usize, Event)> = range.map(|n| (n, event(way(n).0, now))).collect();
        try_join_all(events.iter().map(|(n, event)| store.accept(now, event.clone(), Bytes::from(webhook::body(*n))))).await?;
        let mut steps = Vec::with_capacity(AT_ONCE);
        for (n, event) in &events {
            steps.push(store.finish_map(now, event.id, vec![mapped(event, *n, way(*n).1, now)?]));
        }
        try_join_all(steps).await?;
    }
    Ok(())
}

/// Takes `count` calls all the way: every step and every record of a real one.
pub async fn finished(dir: &Path, count: usize) -> anyhow::Result<()> {
    const LINES: usize = 64;
    let mut options = Options::new(&dir.join("store"));
    options.cache_bytes = 256 * 1024 * 1024;
    let store = SledStore::open(options)?;
    store.configure((0..LINES).map(|n| policy(n, 1_000)).collect(), vec![pool(0, 0..LINES)], Clock::System.now());
    let mut made = 0;
    while made < count {
        let batch = AT_ONCE.min(count - made);
        queue(&store, made, batch, |n| (0, vec![LineId::new(&webhook::line_id(n % LINES))])).await?;
        let now = Clock::System.now();
        let claims = store.next_calls(now, batch).claims;
        if claims.len() != batch {
            bail!("{} of {batch} calls could be placed", claims.len());
        }
        let calls: Vec<CallId> = claims.iter().map(|claim| claim.call).collect();
        let begun = try_join_all(claims.into_iter().map(|claim| store.begin_placing(now, claim, gate()))).await?;
        if begun.iter().any(|b| !matches!(b, Begun::Go(_))) {
            bail!("a call was not placed");
        }
        try_join_all(calls.iter().map(|id| store.end_placing(now, *id, Placing::Taken, attempt(Leg::Place, now), AfterReport::default()))).await?;
        try_join_all(calls.iter().map(|id| report(&store, now, *id))).await?;
        store.take_tasks(TaskKind::WriteBack, now, AT_ONCE)?;
        try_join_all(calls.iter().map(|id| store.finish_write_back(now, *id, written(now)))).await?;
        made += batch;
    }
    Ok(())
}

async fn report(store: &SledStore, now: Time, call: CallId) -> anyhow::Result<()> {
    let raw = format!(
        "{{\"CallId\":\"{call}\",\"CustomerPhone\":\"0912345678\",\"CallDetail\":{{\"CallStatus\":1,\"CallDuration\":31,\"AnswerDuration\":24}},\"ResponseStatus\":1,\"CallNotes\":\"Khách quan tâm, hẹn gọi lại chiều mai lúc 15h.\"}}"
    );
    let read = Report::read(raw.as_bytes()).map_err(|e| anyhow::anyhow!("{e}"))?;
    let after = AfterReport { write_back_after: Some(Duration::ZERO), body_digest: format!("{call}")[5..21].to_owned(), ..AfterReport::default() };
    store.report(now, call, Bytes::from(raw), Some(read), after).await?;
    Ok(())
}

fn written(now: Time) -> Written {
    let leg = Leg::WriteBack { kind: "note".into(), step: "send".into() };
    let learnt = WriteBack { status: Status::Logged, ..WriteBack::default() };
    Written { version: 1, learnt, attempts: vec![attempt(leg, now)], next: NextTry::Done }
}
