//! From the start of the process to the first 200 of `/readyz`.

use std::path::Path;

use super::Args;
use super::bridge::{Place, Setup};
use super::play::{Played, Role};
use super::table::{median, print, verdict, whole};

/// Measures and prints. `queued` is the directory that the memory part left.
pub async fn run(args: &Args, dir: &Path, queued: &Path) -> anyhow::Result<()> {
    let mut empty = Vec::new();
    for n in 0..args.rounds.max(1) {
        let place = Place::new(&dir.join(format!("empty-{n}")), &Setup::paused())?;
        let bridge = place.serve("all")?;
        empty.push(bridge.ready_after.as_secs_f64());
        bridge.stop()?;
    }
    let (waiting, _) = starts(queued, args.rounds)?;
    let finished = dir.join("finished");
    let begun = std::time::Instant::now();
    drop(Played::start(Role::Finished, &finished, args.finished)?);
    let seeded = begun.elapsed().as_secs_f64();
    let (over, rss) = starts(&finished, args.rounds)?;
    let row = |what: String, secs: &[f64], limit: f64| {
        let worst = secs.iter().copied().fold(0.0, f64::max);
        vec![
            what,
            format!("{:.0}", secs.first().copied().unwrap_or(f64::NAN) * 1000.0),
            format!("{:.0}", median(secs) * 1000.0),
            format!("{:.0}", worst * 1000.0),
            format!("< {:.0}: {}", limit * 1000.0, verdict(worst < limit)),
        ]
    };
    let rows = vec![
        row("an empty store".into(), &empty, 0.1),
        row(format!("{} queued calls", whole(count(args.queued))), &waiting, 1.0),
        row(format!("{} finished calls", whole(count(args.finished))), &over, 5.0),
    ];
    let size = size_mib(&finished.join("store"));
    let notes = [format!(
        "{} starts each; the first start reads the whole log and writes sled's snapshot, later ones begin from it. The store with the finished calls holds every record of each (event, body, item, call, two attempts, report): \
         {size:.0} MiB on disk, {rss:.0} MiB resident after the start, made through the library in {seeded:.0} s ({} calls/s).",
        args.rounds.max(1),
        whole(count(args.finished) / seeded)
    )];
    print("Cold start to ready (ms)", &["store", "first", "median", "worst", "target"], &rows, &notes);
    Ok(())
}

fn starts(dir: &Path, rounds: usize) -> anyhow::Result<(Vec<f64>, f64)> {
    let place = Place::new(dir, &Setup::paused())?;
    let mut secs = Vec::new();
    let mut rss = 0.0;
    for _ in 0..rounds.max(1) {
        let bridge = place.serve("all")?;
        secs.push(bridge.ready_after.as_secs_f64());
        rss = bridge.rss_mib();
        bridge.stop()?;
    }
    Ok((secs, rss))
}

fn size_mib(dir: &Path) -> f64 {
    let bytes: u64 = std::fs::read_dir(dir).into_iter().flatten().flatten().filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum();
    count(usize::try_from(bytes / 1024).unwrap_or(0)) / 1024.0
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn count(n: usize) -> f64 {
    n as f64
}
