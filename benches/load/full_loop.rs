//! The whole way of a call: hook, callone, report, write-back; everything on this machine, each in its own process.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::bridge::{Bridge, Place, Setup};
use super::client::{self, Client};
use super::play::{Played, Role};
use super::table::{median, print, verdict, whole};
use super::{Args, machine, webhook};

pub const LINES_EACH: usize = 10;
/// Calls that are under way at the same time when the load goes as fast as calls come out: more than there are lines, so that no line is idle.
const WINDOW: u64 = 6_000;
const SENDERS: usize = 64;

/// The bridge with its stand-ins.
pub struct Stage {
    pub bridge: Bridge,
    pub dialer: Played,
    pub crm: Played,
    pub connections: usize,
}

impl Stage {
    /// `lines` lines, ten to a connection; `role` of the bridge.
    pub fn place(args: &Args, dir: &Path) -> anyhow::Result<(Place, Played, Played, usize)> {
        let lines = args.lines;
        let connections = lines.div_ceil(LINES_EACH).max(1);
        let dialer = Played::start(if args.simulator { Role::Dialer } else { Role::Phones }, dir, connections * LINES_EACH)?;
        let crm = Played::start(Role::Crm, dir, 0)?;
        let setup = Setup {
            connections,
            lines_each: LINES_EACH,
            paused: false,
            dialer_url: format!("http://{}/campaign/callone/", dialer.at()?),
            result_url: format!("http://{}/results", crm.at()?),
        };
        Ok((Place::new(dir, &setup)?, dialer, crm, connections))
    }

    pub async fn written(&self) -> anyhow::Result<u64> {
        Ok(client::get(self.crm.at()?, "/count").await?.parse()?)
    }

    fn cpu(&self) -> [f64; 4] {
        [self.bridge.pid(), self.dialer.pid(), self.crm.pid(), std::process::id()].map(machine::cpu_secs)
    }
}

/// Sends webhooks while fewer than the window are under way, or at a rate.
struct Load {
    address: SocketAddr,
    connections: usize,
    sent: AtomicU64,
    allowed: AtomicU64,
    refused: AtomicU64,
    until: Instant,
}

async fn send(load: Arc<Load>) -> anyhow::Result<()> {
    let mut client = Client::connect(load.address).await?;
    while Instant::now() < load.until {
        let n = load.sent.load(Ordering::Relaxed);
        if n >= load.allowed.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(2)).await;
            continue;
        }
        load.sent.store(n + 1, Ordering::Relaxed);
        let n = usize::try_from(n)?;
        let (status, _) = client.exchange(&webhook::request(n % load.connections, n)).await?;
        if !(200..300).contains(&status) {
            load.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Where things stood when the loop had warmed up.
struct Steady {
    at: Instant,
    written: u64,
    cpu: [f64; 4],
    threads: Vec<(String, f64)>,
}

/// Measures and prints.
pub async fn run(args: &Args, dir: &Path) -> anyhow::Result<()> {
    let (place, dialer, crm, connections) = Stage::place(args, dir)?;
    let stage = Stage { bridge: place.serve("all")?, dialer, crm, connections };
    let warm = Duration::from_secs_f64((args.loop_secs / 6.0).clamp(1.0, 5.0));
    let length = Duration::from_secs_f64(args.loop_secs);
    let begun = Instant::now();
    let load = Arc::new(Load {
        address: stage.bridge.address,
        connections: stage.connections,
        sent: AtomicU64::new(0),
        allowed: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        until: begun + warm + length,
    });
    let senders: Vec<_> = (0..SENDERS).map(|_| tokio::spawn(send(Arc::clone(&load)))).collect();
    let mut steady = None;
    let mut each_second = vec![(Instant::now(), 0u64)];
    while Instant::now() < load.until {
        tokio::time::sleep(Duration::from_millis(25)).await;
        let written = stage.written().await?;
        let allowed = match args.loop_rate {
            0 => written + WINDOW,
            rate => u64::try_from(begun.elapsed().as_millis())? * rate / 1000,
        };
        load.allowed.store(allowed, Ordering::Relaxed);
        if steady.is_none() && begun.elapsed() >= warm {
            steady = Some(Steady { at: Instant::now(), written, cpu: stage.cpu(), threads: machine::cpu_by_thread(stage.bridge.pid()) });
            each_second = vec![(Instant::now(), written)];
        } else if each_second.last().is_some_and(|(at, _)| at.elapsed() >= Duration::from_secs(1)) {
            each_second.push((Instant::now(), written));
        }
    }
    let (written, cpu, end) = (stage.written().await?, stage.cpu(), Instant::now());
    let threads = machine::cpu_by_thread(stage.bridge.pid());
    let metrics = stage.bridge.metrics().await?;
    let rss = stage.bridge.rss_mib();
    for sender in senders {
        sender.await??;
    }
    let Some(before) = steady else { anyhow::bail!("the loop was too short") };
    let secs = (end - before.at).as_secs_f64();
    let split: Vec<f64> = cpu.iter().zip(before.cpu).map(|(after, before)| (after - before) / secs).collect();
    let stats = client::get(stage.dialer.at()?, "/_sim/stats").await?;
    show(
        args,
        &Outcome {
            per_second: per_second(&each_second),
            rate: count(written - before.written) / secs,
            secs,
            split,
            rss,
            stats,
            metrics,
            sent: load.sent.load(Ordering::Relaxed),
            refused: load.refused.load(Ordering::Relaxed),
        },
    );
    let busy: Vec<String> = threads
        .iter()
        .map(|(name, after)| (name, (after - before.threads.iter().find(|(n, _)| n == name).map_or(0.0, |(_, b)| *b)) / secs))
        .filter(|(_, share)| *share > 0.005)
        .map(|(name, share)| format!("{name} {share:.2}"))
        .collect();
    println!("\nCores used by the bridge's threads: {}.", busy.join(", "));
    Ok(())
}

struct Outcome {
    rate: f64,
    per_second: Vec<f64>,
    secs: f64,
    split: Vec<f64>,
    rss: f64,
    stats: String,
    metrics: std::collections::BTreeMap<String, f64>,
    sent: u64,
    refused: u64,
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn count(n: u64) -> f64 {
    n as f64
}

fn per_second(marks: &[(Instant, u64)]) -> Vec<f64> {
    marks.windows(2).map(|w| count(w[1].1 - w[0].1) / (w[1].0 - w[0].0).as_secs_f64()).collect()
}

fn show(args: &Args, found: &Outcome) {
    let backlog = |kind: &str| found.metrics.get(&format!("callbridge_backlog{{kind=\"{kind}\"}}")).copied().unwrap_or(0.0);
    let total: f64 = found.split.iter().sum();
    let stats: serde_json::Value = serde_json::from_str(&found.stats).unwrap_or_default();
    let least = found.per_second.iter().copied().fold(f64::INFINITY, f64::min);
    let rows = vec![
        vec!["calls written back per second".into(), whole(found.rate), format!("≥ 2,000: {}", verdict(found.rate >= 2_000.0))],
        vec!["per second: median · least".into(), format!("{} · {}", whole(median(&found.per_second)), whole(least)), String::new()],
        vec!["webhooks sent · not answered 2xx".into(), format!("{} · {}", whole(count(found.sent)), found.refused), String::new()],
        vec![
            "left at the end: to map · queued · to write back".into(),
            format!("{} · {} · {}", backlog("map"), found.metrics.get("callbridge_queued_calls").copied().unwrap_or(0.0), backlog("write_back")),
            String::new(),
        ],
        vec![
            "cores used: bridge · phones and dialer · CRM · load".into(),
            format!("{:.2} · {:.2} · {:.2} · {:.2} (together {total:.2})", found.split[0], found.split[1], found.split[2], found.split[3]),
            String::new(),
        ],
        vec!["processor time of the bridge per call".into(), format!("{:.0} µs", found.split[0] / found.rate * 1e6), String::new()],
        vec!["memory of the bridge at the end".into(), format!("{:.0} MiB", found.rss), String::new()],
        vec!["call ids dialled twice".into(), stats["dialled_twice"].to_string(), format!("0: {}", verdict(stats["dialled_twice"] == 0))],
    ];
    let offered =
        if args.loop_rate == 0 { format!("as many webhooks as calls come out ({WINDOW} under way)") } else { format!("{} webhooks/s", args.loop_rate) };
    let note = format!(
        "{:.0} s after warming up, {} lines, {LINES_EACH} to a connection, {offered}; phones ring and talk 0.6 s on average. Dialer's answers: {}.",
        found.secs, args.lines, stats["replies"]
    );
    print("Full loop: hook → callone → report → write-back", &["what", "measured", "target"], &rows, &[note]);
}
