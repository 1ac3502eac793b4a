//! How long a webhook waits for its answer while a large backlog drains: mapped, placed, reported, written back.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use super::client::{Client, Until, hammer};
use super::full_loop::Stage;
use super::table::{percentile_ms, print, verdict, whole};
use super::{Args, webhook};

/// Senders that each send one webhook every tenth of a second.
const SENDERS: usize = 8;
const PAUSE: Duration = Duration::from_millis(100);
/// The drain is watched for at most this long.
const LONGEST: Duration = Duration::from_secs(120);

/// Measures and prints.
pub async fn run(args: &Args, dir: &Path) -> anyhow::Result<()> {
    let (place, dialer, crm, connections) = Stage::place(args, dir)?;
    let web = place.serve("web")?;
    for from in (0..args.queued).step_by(20_000) {
        let requests = Arc::new(webhook::requests(connections, from, 20_000.min(args.queued - from)));
        hammer(web.address, 16, requests, Arc::new(AtomicUsize::new(0)), Until::Sent).await?;
    }
    let before = web.backlog().await?;
    web.stop()?;
    let stage = Stage { bridge: place.serve("all")?, dialer, crm, connections };
    let begun = Instant::now();
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let next = Arc::new(AtomicUsize::new(args.queued));
    let senders: Vec<_> = (0..SENDERS).map(|_| tokio::spawn(probe(stage.bridge.address, connections, Arc::clone(&next), Arc::clone(&over)))).collect();
    let mut mapped_after = None;
    let drained_after = loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let metrics = stage.bridge.metrics().await?;
        let left = |name: &str| metrics.get(name).copied().unwrap_or(0.0);
        // The probes' own calls are always on their way: "drained" means that only those are left.
        let few = 4.0 * SENDERS as f64 * 10.0;
        if mapped_after.is_none() && left("callbridge_backlog{kind=\"map\"}") < few {
            mapped_after = Some(begun.elapsed());
        }
        let written = stage.written().await?;
        if written >= args.queued as u64 || begun.elapsed() > LONGEST {
            break (written, begun.elapsed());
        }
    };
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut latencies = Vec::new();
    let mut refused = 0;
    for sender in senders {
        let (one, not) = sender.await??;
        latencies.extend(one);
        refused += not;
    }
    let count = latencies.len();
    let worst = percentile_ms(&mut latencies, 1.0);
    let rows = vec![vec![
        whole(before),
        mapped_after.map_or("–".into(), |t| format!("{:.1}", t.as_secs_f64())),
        format!("{:.1} ({} written back)", drained_after.1.as_secs_f64(), whole(drained_after.0 as f64)),
        format!("{count} · {refused}"),
        format!("{:.1}", percentile_ms(&mut latencies, 0.5)),
        format!("{:.1}", percentile_ms(&mut latencies, 0.99)),
        format!("{worst:.1}"),
        format!("worst < 1,000 ms: {}", verdict(worst < 1000.0 && refused == 0)),
    ]];
    let columns = ["events to map at the start", "mapped after s", "drained after s", "webhooks meanwhile · not 2xx", "p50 ms", "p99 ms", "worst ms", "target"];
    let note = format!("{SENDERS} senders, one webhook each every {} ms, beside the drain; {} lines.", PAUSE.as_millis(), args.lines);
    print("Webhooks while a backlog drains", &columns, &rows, &[note]);
    Ok(())
}

async fn probe(
    address: std::net::SocketAddr,
    connections: usize,
    next: Arc<AtomicUsize>,
    over: Arc<std::sync::atomic::AtomicBool>,
) -> anyhow::Result<(Vec<u32>, usize)> {
    use std::sync::atomic::Ordering::Relaxed;
    let mut client = Client::connect(address).await?;
    let mut latencies = Vec::new();
    let mut refused = 0;
    while !over.load(Relaxed) {
        let n = next.fetch_add(1, Relaxed);
        let request = webhook::request(n % connections, n);
        let sent = Instant::now();
        let (status, _) = client.exchange(&request).await?;
        latencies.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
        refused += usize::from(!(200..300).contains(&status));
        tokio::time::sleep(PAUSE).await;
    }
    Ok((latencies, refused))
}
