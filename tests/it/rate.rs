//! The rate of a line as the dialer sees it, over restarts: never more in any stretch of time than the rate and the burst allow.
//!
//! `CALLBRIDGE_RATE_SECONDS` says how long (10 by itself, 60 in the suite), `CALLBRIDGE_RATE` how fast (60/min: ten times a phone's 6/min).
//! Five minutes: `CALLBRIDGE_RATE_SECONDS=300 CALLBRIDGE_RATE=6/min cargo test --test it rate::`.

use std::time::{Duration, Instant};

use callbridge::domain::rate::Rate;
use callbridge::simulator::mood::Mood;
use serde_json::json;

use super::bridge::{CUSTOMER, LINE_KEY, Setup};

const RESTARTS: u32 = 4;

fn env<T: std::str::FromStr>(name: &str, default: &str) -> T {
    let text = std::env::var(name).unwrap_or_else(|_| default.to_owned());
    text.parse().unwrap_or_else(|_| panic!("{name}={text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_never_faster_than_its_rate_over_restarts() {
    let secs: u64 = env("CALLBRIDGE_RATE_SECONDS", "10");
    let rate: Rate = env("CALLBRIDGE_RATE", "60/min");
    let burst = 2;
    let mut f = Setup::new(Mood::Answers)
        .with(|s| {
            s.lines[0].rate = Some(rate);
            s.lines[0].burst = burst;
            s.lines[0].max_in_flight = 20;
        })
        .start()
        .await;
    let period_ms = rate.interval_ns() / 1_000_000;
    let wanted = secs * 1000 / u64::try_from(period_ms).unwrap() + 20;
    for n in 0..wanted {
        let body = json!({"event_id": format!("r{n}"), "phone": format!("09{:08}", 10_000_000 + n), "record_id": CUSTOMER});
        assert_eq!(f.deliver(&body).await.status, 200);
    }
    let from = Instant::now();
    for _ in 0..RESTARTS {
        tokio::time::sleep(Duration::from_millis(secs * 1000 / u64::from(RESTARTS + 1))).await;
        f.restart().await;
    }
    tokio::time::sleep(Duration::from_secs(secs).saturating_sub(from.elapsed())).await;
    let arrivals: Vec<i64> = f.sim.keys()[LINE_KEY].arrivals_ms.clone().into();
    let mut placed: Vec<i64> = f.calls().iter().filter_map(|call| Some(call.placing_at?.0)).collect();
    placed.sort_unstable();
    // The law itself, without any tolerance: what was written down before each request left.
    let allowed = |from: i64, to: i64| i64::from(burst) + (to - from) / period_ms;
    let over = |times: &[i64], late: i64| {
        let pairs = (0..times.len()).flat_map(|i| (i..times.len()).map(move |j| (i, j)));
        pairs.map(|(i, j)| i64::try_from(j - i + 1).unwrap() - allowed(times[i], times[j] + late)).max().unwrap_or(0)
    };
    assert!(over(&placed, 0) <= 0, "{} more placed than allowed in some stretch of time", over(&placed, 0));
    // At the dialer the same holds but for the time that a request is under way (the disk, the connection): as long as the slowest was.
    let late = placed.iter().zip(&arrivals).map(|(placed, arrived)| arrived - placed).max().unwrap_or(0).max(0);
    assert!(over(&arrivals, late) <= 0, "{} more arrived than allowed; the slowest took {late} ms", over(&arrivals, late));
    let worst = over(&arrivals, 0);
    let (n, full) = (i64::try_from(arrivals.len()).unwrap(), i64::try_from(secs).unwrap() * 1000 / period_ms);
    println!(
        "{n} requests in {secs} s with {RESTARTS} restarts at {rate}, burst {burst}; at most {worst} over the line at the dialer, the slowest was {late} ms under way"
    );
    assert!(n <= full + i64::from(burst) + 2, "{n} in {secs} s");
    assert!(n >= full / 2, "{n} of {full}: the line was kept waiting");
    f.abandon().await;
}
