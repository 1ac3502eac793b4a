//! One test per case and per file of vectors of each plugin that ships: `cargo test --test cases hubspot`.

use std::collections::BTreeSet;
use std::sync::Arc;

use callbridge::plugin::case::{Case, CaseResult, OUTCOMES};
use callbridge::plugin::{Params, Plugin, load};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let trials = load::built_in().flat_map(|(id, files)| match load::load(&id, files) {
        Ok(plugin) => of_plugin(&id, &Arc::new(plugin)),
        Err(error) => vec![Trial::test(format!("{id}::loads"), move || Err(error.to_string().into()))],
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn of_plugin(id: &str, plugin: &Arc<Plugin>) -> Vec<Trial> {
    let warnings = plugin.warnings().iter().map(ToString::to_string).collect::<Vec<_>>();
    let unshown =
        ["README.md", "icon.svg"].iter().filter(|file| plugin.file(file).is_none_or(<[u8]>::is_empty)).map(|file| format!("{file} is not there")).collect();
    let (vectors, own, gaps, kinds, told) = (Arc::clone(plugin), Arc::clone(plugin), Arc::clone(plugin), Arc::clone(plugin), Arc::clone(plugin));
    let mut trials = vec![
        Trial::test(format!("{id}::loads"), move || none(warnings)),
        Trial::test(format!("{id}::vectors"), move || match vectors.run_vectors() {
            (0, faults) if faults.is_empty() => Err("there is no vector: a signature that nothing proves".into()),
            (_, faults) => none(faults),
        }),
        Trial::test(format!("{id}::everything_has_a_case"), move || none(gaps.gaps().iter().map(ToString::to_string).collect())),
        Trial::test(format!("{id}::has_the_nine_kinds_of_case"), move || none(lacking(&kinds))),
        Trial::test(format!("{id}::says_what_its_senders_are_told"), move || none(untold(&told))),
        Trial::test(format!("{id}::has_a_guide_and_an_icon"), move || none(unshown)),
        Trial::test(format!("{id}::has_cases"), move || if own.case_names().is_empty() { Err("there is no case".into()) } else { Ok(()) }),
    ];
    for name in plugin.case_names() {
        let plugin = Arc::clone(plugin);
        trials.push(Trial::test(format!("{id}::{name}"), move || {
            let case = plugin.case(&name)?;
            none(plugin.run_case(&case).mismatches)
        }));
    }
    trials
}

/// Outcomes of which no case says what the sender of a variant is told. What it does then (sends again, stops for good, disables the
/// webhook) stands in the fact sheets: a case says it once more, beside `[answers]`, so that neither changes alone.
fn untold(plugin: &Plugin) -> Vec<String> {
    let cases = plugin.case_names().into_iter().filter_map(|name| plugin.case(&name).ok());
    let stated: BTreeSet<_> = cases.flat_map(|case| plugin.run_case(&case).stated).collect();
    let variants = plugin.variants().iter().filter(|variant| !variant.methods().is_empty());
    let all = variants.flat_map(|variant| OUTCOMES.map(|(name, _)| (variant.name.clone(), name)));
    all.filter(|one| !stated.contains(one)).map(|(variant, name)| format!("no case says what the sender of `{variant}` is told: {name}")).collect()
}

/// The kinds of case that every plugin is to have, and does not.
fn lacking(plugin: &Plugin) -> Vec<String> {
    let cases: Vec<_> = plugin.case_names().iter().filter_map(|name| plugin.case(name).ok()).map(|case| (plugin.run_case(&case), case)).collect();
    let has = |test: &dyn Fn(&CaseResult, &Case) -> bool| cases.iter().any(|(result, case)| test(result, case));
    let outcome = |word: &'static str| has(&move |result, _| result.outcomes.iter().any(|outcome| outcome.starts_with(word)));
    let class = |words: &'static [&str]| has(&move |result, _| result.classes.iter().any(|class| words.iter().any(|word| class.starts_with(word))));
    let called = |result: &CaseResult| result.outcomes.iter().any(|outcome| outcome == "called");
    let writes = |case: &Case, round: usize| case.rounds.get(round).is_some_and(|round| !round.exchanges.is_empty());
    let logs_in = plugin.auths(&plugin.with_defaults(&Params::new())).any(|auth| auth.login.is_some());
    let kinds = [
        ("happy: called and written back", has(&|result, case| called(result) && case.rounds.iter().any(|r| r.report.is_some() && !r.exchanges.is_empty()))),
        ("id only: looked up, then called", plugin.lookups().is_empty() || has(&|result, case| called(result) && !case.lookups.is_empty())),
        ("a signature or key that is wrong", outcome("rejected:bad_signature") || outcome("rejected:missing_signature")),
        ("the same delivery again", has(&|result, case| case.repeat > 1 && called(result) && result.outcomes.iter().any(|o| o == "ignored:duplicate"))),
        ("no phone number", outcome("refused:missing_phone")),
        ("too many requests", class(&["retry"])),
        ("an expired token", class(if logs_in { &["refresh_token"] } else { &["misconfigured"] })),
        ("a permanent error", class(&["give_up", "misconfigured", "gone"])),
        ("a second report", has(&|_, case| case.rounds.len() > 1 && writes(case, 0))),
    ];
    kinds.iter().filter(|(_, there)| !there).map(|(kind, _)| format!("there is no case of this kind: {kind}")).collect()
}

fn none(faults: Vec<String>) -> Result<(), Failed> {
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n").into()) }
}
