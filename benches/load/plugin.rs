//! What the plugin engine takes for one event: mapping it, and composing everything that is written back.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use callbridge::domain::report::{DurationUnit, Report};
use callbridge::plugin::case::{Case, CaseResult};
use callbridge::plugin::context::{CallFacts, ReportFacts, WriteBack, of_kind};
use callbridge::plugin::note::{NoteKind, Notes};
use callbridge::plugin::{MapContext, Params, Plugin, Registry, Tokens};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Map;

use super::Args;
use super::table::{median, print, verdict};

/// The limit, in microseconds.
const TARGET_US: f64 = 100.0;
/// How long one case is run.
const EACH: Duration = Duration::from_millis(20);

/// Measures and prints: of every case that is called and written back, choosing the variant, parsing, splitting and mapping its delivery,
/// the note's text, and the requests of all its kinds. In processor time of this thread: others on the machine do not count.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let (plugins, problems) = Registry::open(None);
    anyhow::ensure!(problems.is_empty(), "{problems:?}");
    let mut rows = Vec::new();
    for plugin in plugins.all() {
        let files = plugin.files().map(|(path, bytes)| (path.to_owned(), bytes.to_vec())).collect();
        let begun = worked();
        drop(callbridge::plugin::load::load(plugin.id(), files));
        let load_ms = (worked() - begun).as_secs_f64() * 1000.0;
        let cases: Vec<Case> = plugin.case_names().iter().filter_map(|name| plugin.case(name).ok()).collect();
        let mut took = Vec::new();
        for case in cases.iter().filter(|case| case.polls.is_none()) {
            let found = plugin.run_case(case);
            if case.rounds.first().is_some_and(|round| round.report.is_some()) && !found.entries.is_empty() {
                took.push((one(&plugin, case, &found, args.rounds)?, case.name.as_str()));
            }
        }
        took.sort_by(|a, b| a.0.total_cmp(&b.0));
        let all: Vec<f64> = took.iter().map(|(us, _)| *us).collect();
        let (worst, name) = took.last().copied().unwrap_or((f64::NAN, "-"));
        rows.push(vec![
            plugin.id().to_owned(),
            took.len().to_string(),
            format!("{load_ms:.1}"),
            format!("{:.1}", median(&all)),
            format!("{worst:.1} ({name})"),
            format!("< {TARGET_US:.0}: {}", verdict(worst < TARGET_US)),
        ]);
    }
    print("Plugin: one event mapped, its write-backs composed (µs)", &["plugin", "cases", "load ms", "median", "worst case", "target"], &rows, &[]);
    Ok(())
}

/// The time that this thread has worked.
fn worked() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// The median time of one event, in microseconds.
fn one(plugin: &Plugin, case: &Case, found: &CaseResult, rounds: usize) -> anyhow::Result<f64> {
    let mut params = plugin.with_defaults(&case.parameters);
    params.extend(case.stored.clone());
    let params = Tokens { values: case.tokens.clone(), ends_at: None }.over(&params);
    let report = Report::read(case.rounds[0].report.as_deref().unwrap_or_default())?;
    let mut medians = Vec::new();
    for _ in 0..rounds.max(1) {
        let (until, mut runs) = (worked() + EACH, Vec::new());
        while worked() < until || runs.is_empty() {
            let begun = worked();
            event(plugin, case, found, &params, &report)?;
            runs.push((worked() - begun).as_secs_f64() * 1e6);
        }
        medians.push(median(&runs));
    }
    Ok(median(&medians))
}

/// Maps the delivery and composes what its result would send.
fn event(plugin: &Plugin, case: &Case, found: &CaseResult, params: &Params, report: &Report) -> anyhow::Result<()> {
    let delivery = &case.webhook;
    let selected = plugin.select(delivery, params).map_err(|code| anyhow::anyhow!("{}: {code}", case.name))?;
    let body = selected.body.map_or_else(|| plugin.parse(selected.variant, delivery), Ok)?;
    let pieces = plugin.split(selected.variant, &body)?;
    let context = MapContext { params, body: &body, query: &delivery.query, headers: &delivery.headers, lookups: &Map::new() };
    let mapped = plugin.map(selected.variant, pieces.first().context("no item")?, &context)?;

    let (call_seconds, answer_seconds) = report.seconds(DurationUnit::Auto, None);
    let moment = Some(case.clock);
    let call =
        CallFacts { id: "call_00000000000000000000000000".to_owned(), created_at: moment, ended_at: moment, kept: mapped.keep.clone(), ..CallFacts::default() };
    let facts = Some(ReportFacts { report, call_seconds, answer_seconds, version: 1 });
    let parts = WriteBack { record: &mapped.record, owner: mapped.owner.as_deref(), customer: &mapped.customer, call: &call, report: facts, language: "vi" };
    let note_kind = NoteKind::from(report.disposition());
    let context = parts.for_note();
    let note = Notes::shipped().render(note_kind, "vi", None, &context)?;
    let common = parts.with_note(context, &note);
    for (name, (entry, steps)) in &found.entries {
        let Some(kind) = plugin.kind(name, params) else { continue };
        for step in kind.create.iter().filter(|step| plugin.in_mode(&step.request, params)) {
            let context = of_kind(common.clone(), kind.name, entry.as_deref(), steps);
            if plugin.holds(&step.conditions, &context, params)? {
                // A case of a look-up has no record here: what cannot be composed was rendered all the same.
                drop(std::hint::black_box(plugin.compose(&step.request, &context, params, &BTreeMap::new(), case.clock)));
            }
        }
    }
    Ok(())
}
