//! What it costs to decide which call goes next, and to write it down, by the number of queued calls and lines.

use std::path::Path;
use std::time::Instant;

use callbridge::clock::Clock;
use callbridge::error::Code;
use callbridge::store::sled::Options;
use callbridge::store::{AfterReport, Begun, Claim, Leg, Placing, SledStore, Store};
use futures_util::future::try_join_all;

use super::table::{median, print, verdict, whole};
use super::{Args, seed};

/// Lines of one connection.
const LINES_EACH: usize = 10;
const DECISIONS: usize = 2_000;
const SINGLE: usize = 200;
const GROUP: usize = 64;

struct Cost {
    n: usize,
    decide_us: f64,
    single_us: f64,
    grouped_us: f64,
}

/// Measures and prints.
pub async fn run(args: &Args, dir: &Path) -> anyhow::Result<()> {
    let mut costs = Vec::new();
    for n in [10, 1_000, 100_000] {
        let n = n.min(args.placing.max(10));
        if costs.last().is_none_or(|last: &Cost| last.n != n) {
            costs.push(measure(&dir.join(n.to_string()), n).await?);
        }
    }
    let rows: Vec<Vec<String>> = costs
        .iter()
        .map(|c| {
            #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
            let n = whole(c.n as f64);
            vec![n, format!("{:.2}", c.decide_us), format!("{:.0}", c.single_us), format!("{:.0}", c.grouped_us)]
        })
        .collect();
    let grows = |get: fn(&Cost) -> f64| costs.last().zip(costs.get(1).or(costs.first())).map_or(f64::NAN, |(most, some)| get(most) / get(some));
    let (decide, single) = (grows(|c| c.decide_us), grows(|c| c.single_us));
    let notes = [format!(
        "As many lines as calls, {LINES_EACH} to a connection; medians. From the second to the last row the decision costs {decide:.1} ×, the durable placing {single:.1} × (not growing: {}).",
        verdict(single < 1.5 && decide < 4.0)
    )];
    let columns = ["queued calls = lines", "decide, index alone (µs)", "decide and write `placing`, one at a time (µs)", "the same, 64 at a time (µs each)"];
    print("Cost of placing", &columns, &rows, &notes);
    Ok(())
}

async fn measure(dir: &Path, n: usize) -> anyhow::Result<Cost> {
    let store = SledStore::open(Options::new(&dir.join("store")))?;
    let policies = (0..n).map(|line| seed::policy(line, 1)).collect();
    let pools = (0..n.div_ceil(LINES_EACH)).map(|c| seed::pool(c, c * LINES_EACH..((c + 1) * LINES_EACH).min(n))).collect();
    store.configure(policies, pools, Clock::System.now());
    seed::queue(&store, 0, n, |call| (call / LINES_EACH, Vec::new())).await?;
    // The first pass over the lines after the calls came in is the arrivals' cost, not the decision's.
    let all = store.next_calls(Clock::System.now(), n);
    all.claims.iter().for_each(|claim| store.unclaim(claim, None));
    let decide_us = decide(&store)?;
    let single_us = placings(&store, SINGLE, 1).await?;
    let grouped_us = placings(&store, SINGLE / 10, GROUP.min(n)).await?;
    Ok(Cost { n, decide_us, single_us, grouped_us })
}

fn decide(store: &SledStore) -> anyhow::Result<f64> {
    let mut costs = Vec::with_capacity(DECISIONS);
    for _ in 0..DECISIONS {
        let now = Clock::System.now();
        let begun = Instant::now();
        let next = store.next_calls(now, 1);
        costs.push(begun.elapsed().as_secs_f64() * 1e6);
        let Some(claim) = next.claims.first() else { anyhow::bail!("nothing to place") };
        store.unclaim(claim, None);
    }
    Ok(median(&costs))
}

/// µs per call: decide and make `placing` durable; then, not counted, back to the queue.
async fn placings(store: &SledStore, rounds: usize, at_once: usize) -> anyhow::Result<f64> {
    let mut costs = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let now = Clock::System.now();
        let begun = Instant::now();
        let claims: Vec<Claim> = store.next_calls(now, at_once).claims;
        anyhow::ensure!(!claims.is_empty(), "nothing to place");
        let calls: Vec<_> = claims.iter().map(|c| c.call).collect();
        let answers = try_join_all(claims.into_iter().map(|claim| store.begin_placing(now, claim, seed::gate()))).await?;
        #[expect(clippy::cast_precision_loss, reason = "at most 64")]
        costs.push(begun.elapsed().as_secs_f64() * 1e6 / calls.len() as f64);
        anyhow::ensure!(answers.iter().all(|a| matches!(a, Begun::Go(_))), "a claim was held");
        let not_sent = Placing::NotSent { code: Code::DialerUnreachable, dialer_until: None };
        try_join_all(calls.into_iter().map(|id| store.end_placing(now, id, not_sent.clone(), seed::attempt(Leg::Place, now), AfterReport::default()))).await?;
    }
    Ok(median(&costs))
}
