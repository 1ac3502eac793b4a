//! Many phones: 10,000 lines with 100 queued calls each. What one decision costs at every size, what it costs to hold, and what an
//! idle bridge uses when nothing is due.

use std::path::Path;
use std::time::{Duration, Instant};

use callbridge::clock::Clock;
use callbridge::store::sled::Options;
use callbridge::store::{Claim, SledStore, Store};

use super::bridge::{Place, Setup};
use super::table::{median, print, verdict, whole};
use super::{Args, machine, seed};

/// Lines of one connection: clients of an agency, each with a call centre.
const LINES_EACH: usize = 100;
const EACH: usize = 100;
const DECISIONS: usize = 5_000;
const IDLE: Duration = Duration::from_secs(20);
const SETTLE: Duration = Duration::from_secs(15);

/// Measures and prints.
pub async fn run(args: &Args, dir: &Path) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut worst: f64 = 0.0;
    for lines in [100, 1_000, args.many_lines] {
        let dir = dir.join(lines.to_string());
        let connections = lines.div_ceil(LINES_EACH);
        let place = Place::new(&dir, &Setup { connections, lines_each: LINES_EACH, ..Setup::paused() })?;
        let (one, turn) = decide(&dir, lines).await?;
        worst = worst.max(one).max(turn);
        let bridge = place.serve("all")?;
        let ready = bridge.ready_after;
        // What a start leaves to be done in the background (a snapshot of the log, memory given back) is not idling.
        tokio::time::sleep(SETTLE).await;
        let before = machine::cpu_secs(bridge.pid());
        tokio::time::sleep(IDLE).await;
        let cpu = (machine::cpu_secs(bridge.pid()) - before) / IDLE.as_secs_f64() * 100.0;
        let rss = bridge.rss_mib();
        bridge.stop()?;
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let (n, queued) = (whole(lines as f64), whole((lines * EACH) as f64));
        let limit = if lines * EACH >= 1_000_000 { format!(" (< 400: {})", verdict(rss < 400.0)) } else { String::new() };
        rows.push(vec![
            n,
            queued,
            format!("{one:.1}"),
            format!("{turn:.1}"),
            format!("{rss:.0}{limit}"),
            format!("{:.1}", ready.as_secs_f64()),
            format!("{cpu:.2} ({})", verdict(cpu < 0.5)),
        ]);
    }
    let notes = [format!(
        "{LINES_EACH} lines to a connection, {EACH} calls to a line. One decision at most {worst:.1} µs at any size (< 20: {}). Memory, start and idle \
         are those of a bridge on that store whose lines are all paused: nothing is due. Idle over {} s.",
        verdict(worst < 20.0),
        IDLE.as_secs()
    )];
    let columns = ["lines", "queued calls", "one decision, median (µs)", "each of 256 at once (µs)", "resident (MiB)", "ready after (s)", "idle (% of a core)"];
    print("Many lines", &columns, &rows, &notes);
    Ok(())
}

/// Fills the store, and measures the decision alone and in groups as the placing loop takes them.
async fn decide(dir: &Path, lines: usize) -> anyhow::Result<(f64, f64)> {
    let store = SledStore::open(Options::new(&dir.join("store")))?;
    let pools = (0..lines.div_ceil(LINES_EACH)).map(|c| seed::pool(c, c * LINES_EACH..((c + 1) * LINES_EACH).min(lines))).collect();
    store.configure((0..lines).map(|line| seed::policy(line, 1)).collect(), pools, Clock::System.now());
    seed::queue(&store, 0, lines * EACH, |call| (call / (LINES_EACH * EACH), Vec::new())).await?;
    let give_back = |claims: &[Claim]| claims.iter().for_each(|claim| store.unclaim(claim, None));
    // The first look at all lines is the arrivals' cost.
    give_back(&store.next_calls(Clock::System.now(), lines).claims);
    let (mut one, mut turn) = (Vec::with_capacity(DECISIONS), Vec::new());
    for _ in 0..DECISIONS {
        let begun = Instant::now();
        let claims = store.next_calls(Clock::System.now(), 1).claims;
        one.push(begun.elapsed().as_secs_f64() * 1e6);
        anyhow::ensure!(claims.len() == 1, "nothing to place");
        give_back(&claims);
    }
    for _ in 0..DECISIONS / 100 {
        let begun = Instant::now();
        let claims = store.next_calls(Clock::System.now(), 256).claims;
        #[expect(clippy::cast_precision_loss, reason = "at most 256")]
        turn.push(begun.elapsed().as_secs_f64() * 1e6 / claims.len().max(1) as f64);
        give_back(&claims);
    }
    Ok((median(&one), median(&turn)))
}
