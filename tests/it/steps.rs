//! Every durable verb of the store is a step with failure points, and nothing writes around the committer: read from the sources, so
//! that a new verb cannot be forgotten.

use std::path::{Path, PathBuf};

use callbridge::failpoint::{self, Step};

/// Who writes without a step: the committer itself, what happens while a store is opened, and a restore into a directory of its own.
const WRITERS: &[&str] = &["commit.rs", "layout.rs", "open.rs", "snapshot.rs"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(folder().join(path)).unwrap()
}

/// Names that stand right behind `before`.
fn names<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    text.split(before).skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()).collect()
}

/// The steps that an async function of a file takes, itself or in the module that it hands its work to.
fn steps_of(file: &str, verb: &str) -> Vec<Step> {
    let text = read(&format!("sled/{file}"));
    let from = text.find(&format!("async fn {verb}(")).unwrap_or_else(|| panic!("{file} has no `{verb}`"));
    let body = text[from..].split("\n    }\n").next().unwrap_or_default();
    let mut found = names(body, "Step::");
    let other;
    if found.is_empty() {
        let module = body.split("::").next().and_then(|before| before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next()).unwrap_or_default();
        let calls = body.split(&format!("{module}::")).nth(1).is_some_and(|call| call.contains("(self"));
        assert!(calls, "`{verb}` takes no step and hands its work to nobody");
        other = read(&format!("sled/{module}.rs"));
        found = names(&other, "Step::");
    }
    found.iter().filter_map(|name| Step::ALL.iter().copied().find(|step| format!("{step:?}") == *name)).collect()
}

#[test]
fn every_durable_verb_has_its_failure_points() {
    let contract = read("verbs.rs");
    let (_, contract) = contract.split_once("pub trait Store {").unwrap();
    let verbs = names(contract, "async fn ");
    assert!(verbs.len() > 15, "the contract was not found: {verbs:?}");
    let points = failpoint::points();
    let mut taken: Vec<Step> = Vec::new();
    for verb in verbs {
        let steps = steps_of("store.rs", verb);
        assert!(!steps.is_empty(), "the verb `{verb}` is no step: the crash series cannot end the process there");
        for step in steps {
            assert!(points.contains(&step.around().before) && points.contains(&step.around().after), "{}", step.name());
            taken.push(step);
        }
    }
    // Those that are not of the contract: the do-not-call list, what is forgotten.
    for (file, verb) in [("prune.rs", "prune"), ("dnc.rs", "dnc_remove"), ("dnc.rs", "refuse_listed")] {
        taken.extend(steps_of(file, verb));
    }
    let idle: Vec<&str> = Step::ALL.iter().filter(|step| !taken.contains(step)).map(|step| step.name()).collect();
    assert_eq!(idle, Vec::<&str>::new(), "steps that no verb takes");
}

#[test]
fn nothing_writes_around_the_committer() {
    for entry in std::fs::read_dir(folder().join("sled")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if !WRITERS.contains(&name.as_str()) {
            let text = read(&format!("sled/{name}"));
            for write in ["apply_batch(", "trees.write(", ".records.", "Batch::"] {
                assert!(!text.contains(write), "src/store/sled/{name} writes with `{write}`: only the committer may, in a step that has failure points");
            }
        }
    }
}
