//! What the plugin engine takes for one event: mapping it, and composing everything that is written back.

use std::time::{Duration, Instant};

use callbridge::plugin::case::Case;
use callbridge::plugin::{Plugin, Registry};

use super::Args;
use super::table::{median, print, verdict};

/// The limit, in microseconds.
const TARGET_US: f64 = 100.0;
/// How long one case is run.
const EACH: Duration = Duration::from_millis(200);

/// Measures and prints. Every case of every plugin that ships, whole: choose the variant, verify, parse, split, map, look-ups, the callone
/// request, each write-back request, and the comparison with what the case expects.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let (plugins, problems) = Registry::open(None);
    anyhow::ensure!(problems.is_empty(), "{problems:?}");
    let mut rows = Vec::new();
    for plugin in plugins.all() {
        let begun = Instant::now();
        let loaded = callbridge::plugin::load::load(plugin.id(), plugin.files().map(|(path, bytes)| (path.to_owned(), bytes.to_vec())).collect());
        let load_ms = begun.elapsed().as_secs_f64() * 1000.0;
        drop(loaded);
        let cases: Vec<Case> = plugin.case_names().iter().filter_map(|name| plugin.case(name).ok()).collect();
        let single = cases.iter().filter(|case| case.expect.outcomes.is_empty());
        let mut took: Vec<(f64, &str)> = single.map(|case| (one(&plugin, case, args.rounds), case.name.as_str())).collect();
        took.sort_by(|a, b| a.0.total_cmp(&b.0));
        let all: Vec<f64> = took.iter().map(|(us, _)| *us).collect();
        let (worst, name) = took.last().copied().unwrap_or((f64::NAN, "-"));
        rows.push(vec![
            plugin.id().to_owned(),
            cases.len().to_string(),
            format!("{load_ms:.1}"),
            format!("{:.1}", median(&all)),
            format!("{worst:.1} ({name})"),
            format!("< {TARGET_US:.0}: {}", verdict(worst < TARGET_US)),
        ]);
    }
    print("Plugin: one event mapped, its write-backs composed (µs)", &["plugin", "cases", "load ms", "median", "worst case", "target"], &rows, &[]);
    Ok(())
}

/// The median time of one run, in microseconds.
fn one(plugin: &Plugin, case: &Case, rounds: usize) -> f64 {
    let mut medians = Vec::new();
    for _ in 0..rounds.max(1) {
        let (until, mut runs) = (Instant::now() + EACH / 10, Vec::new());
        while Instant::now() < until || runs.is_empty() {
            let begun = Instant::now();
            std::hint::black_box(plugin.run_case(std::hint::black_box(case)));
            runs.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        medians.push(median(&runs));
    }
    median(&medians)
}
