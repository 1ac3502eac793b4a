//! Mapping an event and composing its write-backs stays cheap. `benches/run plugin` measures it; here only a collapse is seen.

use std::time::{Duration, Instant};

use crate::plugin::Registry;

/// Five times what the slowest case took where this was written: 3.5 ms, unoptimised, on a busy machine.
const COLLAPSE: Duration = Duration::from_micros(3_500 * 5);

#[test]
fn no_case_of_one_record_takes_many_times_its_target() {
    let mut slowest = (Duration::ZERO, String::new());
    for plugin in Registry::open(None).0.all() {
        for name in plugin.case_names() {
            let case = plugin.case(&name).unwrap();
            if !case.expect.outcomes.is_empty() {
                continue;
            }
            let run = || {
                let begun = Instant::now();
                plugin.run_case(&case);
                begun.elapsed()
            };
            // The best of several: a busy machine is no collapse.
            let best = (0..20).map(|_| run()).min().unwrap_or_default();
            slowest = slowest.max((best, format!("{}::{name}", plugin.id())));
        }
    }
    println!("slowest case: {} in {:?}", slowest.1, slowest.0);
    assert!(slowest.0 < COLLAPSE, "{} takes {:?}", slowest.1, slowest.0);
}
