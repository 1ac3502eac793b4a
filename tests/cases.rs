//! One test per case and per file of vectors of each plugin that ships: `cargo test --test cases hubspot`.

use std::sync::Arc;

use callbridge::plugin::{Plugin, load};
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
    let (vectors, own) = (Arc::clone(plugin), Arc::clone(plugin));
    let mut trials = vec![
        Trial::test(format!("{id}::loads"), move || none(warnings)),
        Trial::test(format!("{id}::vectors"), move || match vectors.run_vectors() {
            (0, faults) if faults.is_empty() => Err("there is no vector: a signature that nothing proves".into()),
            (_, faults) => none(faults),
        }),
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

fn none(faults: Vec<String>) -> Result<(), Failed> {
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n").into()) }
}
