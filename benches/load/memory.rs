//! Resident memory: idle, and with many queued calls on a paused line.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use super::bridge::{Place, Setup};
use super::client::{Until, hammer};
use super::table::{print, verdict, whole};
use super::{Args, webhook};

/// Measures and prints. Leaves the store with the queued calls for the start part.
pub async fn run(args: &Args, dir: &Path) -> anyhow::Result<()> {
    let place = Place::new(dir, &Setup::paused())?;
    let bridge = place.serve("all")?;
    let at_once = bridge.rss_mib();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = bridge.rss_mib();
    fill(&bridge, args.queued).await?;
    let queued = bridge.metrics().await?.get("callbridge_queued_calls").copied().unwrap_or(0.0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let full = bridge.rss_mib();
    bridge.stop()?;
    let again = place.serve("all")?;
    let restarted = again.rss_mib();
    again.stop()?;
    let rows = vec![
        vec!["idle, right after `/readyz`".into(), format!("{at_once:.1}"), String::new()],
        vec!["idle, 2 s later".into(), format!("{idle:.1}"), format!("< 25: {}", verdict(idle.max(at_once) < 25.0))],
        vec![format!("{} queued calls, taken by webhook", whole(queued)), format!("{full:.1}"), format!("< 150: {}", verdict(full < 150.0))],
        vec!["the same after a restart".into(), format!("{restarted:.1}"), format!("< 150: {}", verdict(restarted < 150.0))],
    ];
    print("Memory (MiB resident)", &["state", "MiB", "target"], &rows, &["One connection, one line, which is paused; settings otherwise as they ship.".into()]);
    Ok(())
}

/// Sends so many webhooks and waits until they are calls.
pub async fn fill(bridge: &super::bridge::Bridge, count: usize) -> anyhow::Result<()> {
    for from in (0..count).step_by(20_000) {
        let requests = Arc::new(webhook::requests(1, from, 20_000.min(count - from)));
        let sample = hammer(bridge.address, 16, requests, Arc::new(AtomicUsize::new(0)), Until::Sent).await?;
        anyhow::ensure!(sample.refused == 0, "{} webhooks were refused", sample.refused);
    }
    bridge.drained().await
}
