//! The plugins that ship load without a warning, and their vectors hold.

use crate::plugin::load::{built_in, load};

#[test]
fn every_shipped_plugin_loads_and_its_vectors_hold() {
    let mut faults = Vec::new();
    for (id, files) in built_in() {
        match load(&id, files) {
            Ok(plugin) => {
                faults.extend(plugin.warnings().iter().map(|problem| format!("{id}: {problem}")));
                faults.extend(plugin.run_vectors().1.into_iter().map(|fault| format!("{id}: {fault}")));
            }
            Err(error) => faults.extend(error.problems.iter().map(|problem| format!("{id}: {problem}"))),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Every case, counted on the way.
#[test]
fn every_shipped_case_holds() {
    crate::plugin::template::tests::compare();
    let mut count = 0;
    let mut faults = Vec::new();
    for (id, files) in built_in() {
        let Ok(plugin) = load(&id, files) else { continue };
        for name in plugin.case_names() {
            count += 1;
            match plugin.case(&name) {
                Ok(case) => faults.extend(plugin.run_case(&case).mismatches.into_iter().map(|fault| format!("{id}/{name}: {fault}"))),
                Err(error) => faults.push(format!("{id}/{name}: {error}")),
            }
        }
    }
    eprintln!("{count} cases");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
