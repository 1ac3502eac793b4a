//! Webhook intake beside a handler that does only the storing, and beside one that does even less.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};
use callbridge::clock::Clock;
use callbridge::store::sled::Options;
use callbridge::store::{SledStore, Store};
use tokio::sync::oneshot;

use super::bridge::{Bridge, Place, Setup};
use super::client::{Until, hammer};
use super::play::{Played, Role};
use super::table::{median, percentile_ms, print, verdict, whole};
use super::{Args, seed, webhook};

const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// Bodies that go round: far more than fit in one group, few enough to stay in memory.
const BODIES: usize = 20_000;
const KINDS: [&str; 4] = ["bare handler", "callbridge, intake", "callbridge, with its workers", "plain insert"];

#[derive(Default, Clone)]
struct Found {
    per_second: Vec<f64>,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    refused: usize,
}

/// Measures and prints.
pub async fn run(args: &Args, dir: &Path) -> anyhow::Result<()> {
    let bare = Played::start(Role::Bare, &dir.join("bare"), 0)?;
    let plain = Played::start(Role::Plain, &dir.join("plain"), 0)?;
    let web = Place::new(&dir.join("web"), &Setup::paused())?.serve("web")?;
    let all = Place::new(&dir.join("all"), &Setup::paused())?.serve("all")?;
    let addresses = [bare.at()?, web.address, all.address, plain.at()?];
    let requests = Arc::new(webhook::requests(1, 0, BODIES));
    let next = Arc::new(AtomicUsize::new(0));
    let mut found = vec![vec![Found::default(); KINDS.len()]; CONNECTIONS.len()];
    for round in 0..args.rounds {
        for (c, connections) in CONNECTIONS.into_iter().enumerate() {
            for turn in 0..KINDS.len() {
                // Each round begins with another one.
                let kind = (turn + round) % KINDS.len();
                let mut sample = hammer(addresses[kind], connections, Arc::clone(&requests), Arc::clone(&next), Until::Time(args.measure())).await?;
                let cell = &mut found[c][kind];
                cell.per_second.push(sample.per_second());
                cell.p50_ms.push(percentile_ms(&mut sample.latencies_us, 0.50));
                cell.p99_ms.push(percentile_ms(&mut sample.latencies_us, 0.99));
                cell.refused += sample.refused;
                settle(&all).await?;
            }
        }
    }
    show(args, &found);
    Ok(())
}

/// What one measurement left to do must not disturb the next.
async fn settle(all: &Bridge) -> anyhow::Result<()> {
    all.drained().await?;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    Ok(())
}

fn ratios(a: &Found, b: &Found) -> f64 {
    median(&a.per_second.iter().zip(&b.per_second).map(|(a, b)| a / b).collect::<Vec<_>>())
}

fn show(args: &Args, found: &[Vec<Found>]) {
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    for (cells, connections) in found.iter().zip(CONNECTIONS) {
        for (kind, cell) in cells.iter().enumerate() {
            let ratio = ratios(cell, &cells[0]);
            let p99 = median(&cell.p99_ms);
            let target = match (kind, connections) {
                (1, 1) => format!("{:.2} × the time, at most 1.3: {}", 1.0 / ratio, verdict(1.0 / ratio <= 1.3)),
                (1, 16) => format!("≥ 0.8 and p99 < 10 ms: {}", verdict(ratio >= 0.8 && p99 < 10.0)),
                (1, _) => format!("≥ 0.8: {}", verdict(ratio >= 0.8)),
                _ => String::new(),
            };
            rows.push(vec![
                connections.to_string(),
                KINDS[kind].to_owned(),
                whole(median(&cell.per_second)),
                format!("{:.2}", median(&cell.p50_ms)),
                format!("{p99:.2}"),
                format!("{ratio:.2}"),
                target,
            ]);
            if cell.refused > 0 {
                notes.push(format!("**{} answers of {} at {connections} connections were not 2xx.**", cell.refused, KINDS[kind]));
            }
        }
    }
    notes.push(format!(
        "Medians of {} interleaved rounds of {} s; the ratio is taken within each round. Intake: hook key, limit, variant, HMAC over the body, JSON, durable event, answer (`--role web`); \
         with its workers: the same process also maps each event into a call, in the same store. The bare handler parses the JSON and stores a ready-made event through the same `SledStore::accept`; \
         plain insert: one key, own small sled, one `flush` and `sync_data` per group.",
        args.rounds, args.secs
    ));
    print("Webhook intake", &["connections", "server", "requests/s", "p50 ms", "p99 ms", "÷ bare", "target"], &rows, &notes);
}

/// Parse JSON, store the event with the same keys in the same kind of group, 202.
pub fn bare(dir: &Path, listener: TcpListener) -> anyhow::Result<()> {
    let mut options = Options::new(&dir.join("store"));
    options.cache_bytes = 64 * 1024 * 1024;
    let store = SledStore::open(options)?;
    let server = HttpServer::new(move || App::new().app_data(Data::new(store.clone())).default_service(web::to(take_bare)));
    tokio::spawn(server.backlog(4096).disable_signals().listen(listener)?.run());
    Ok(())
}

async fn take_bare(body: Bytes, store: Data<SledStore>) -> HttpResponse {
    if serde_json::from_slice::<serde_json::Value>(&body).is_err() {
        return HttpResponse::BadRequest().finish();
    }
    let now = Clock::System.now();
    match store.accept(now, seed::event(0, now), body).await {
        Ok(()) => HttpResponse::Accepted().finish(),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

type Insert = (Bytes, oneshot::Sender<()>);

/// Parse JSON, insert one key, one flush and sync per group, 202.
pub fn plain(dir: &Path, listener: TcpListener) -> anyhow::Result<()> {
    let path = dir.join("plain");
    let db = sled::Config::new().path(&path).mode(sled::Mode::HighThroughput).cache_capacity(64 << 20).segment_size(8 << 20).flush_every_ms(None).open()?;
    let file = std::fs::File::options().read(true).write(true).open(path.join("db"))?;
    let (inserts, queue) = mpsc::channel::<Insert>();
    std::thread::spawn(move || {
        while let Ok(first) = queue.recv() {
            let mut waiting = Vec::new();
            for (body, reply) in std::iter::once(first).chain(queue.try_iter().take(63)) {
                if db.insert(Clock::System.uuid().as_bytes(), &body[..]).is_ok() {
                    waiting.push(reply);
                }
            }
            if db.flush().is_err() || file.sync_data().is_err() {
                return;
            }
            for reply in waiting {
                // Nobody waits any more: the body is stored all the same.
                let _ = reply.send(());
            }
        }
    });
    let server = HttpServer::new(move || App::new().app_data(Data::new(inserts.clone())).default_service(web::to(take_plain)));
    tokio::spawn(server.backlog(4096).disable_signals().listen(listener)?.run());
    Ok(())
}

async fn take_plain(body: Bytes, inserts: Data<mpsc::Sender<Insert>>) -> HttpResponse {
    if serde_json::from_slice::<serde_json::Value>(&body).is_err() {
        return HttpResponse::BadRequest().finish();
    }
    let (reply, stored) = oneshot::channel();
    if inserts.send((body, reply)).is_err() || stored.await.is_err() {
        return HttpResponse::ServiceUnavailable().finish();
    }
    HttpResponse::Accepted().finish()
}
