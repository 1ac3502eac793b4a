//! The model: random wishes, answers, reports, restarts, clock steps, pauses and rule changes on a clock of their own. Whatever happens:
//! never more in flight than allowed, never faster than the rate, never over the month's quota, never outside the hours, never over the
//! cap, never a number of the do-not-call list, never two placings of one call, and every call is over by its deadline. A phone that is
//! silent takes clicks one at a time and a probe, a pause by a person stays, and the admin is told of each change once. And what must
//! happen: a call that rules and a free line would take is claimed.
//!
//! The same sequences run on the pure decisions alone (`pure.rs`, 10,000 of them) and on an open store (`stored.rs`, 300).
//! `CALLBRIDGE_MODEL_CASES` and `CALLBRIDGE_MODEL_STORE_CASES` change how many.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

mod check;
mod lines;
mod ops;
mod pure;
mod setting;
mod stored;

use proptest::test_runner::{Config, TestRunner};

fn run(cases: &str, default: u32, play: impl Fn(&[ops::Op])) {
    let cases = std::env::var(cases).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let result = TestRunner::new(config).run(&ops::sequence(), |sequence| {
        play(&sequence);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn ten_thousand_sequences_of_the_pure_decisions() {
    run("CALLBRIDGE_MODEL_CASES", 10_000, |sequence| ops::play(pure::Pure::new(), sequence));
}

#[test]
fn three_hundred_sequences_on_an_open_store() {
    run("CALLBRIDGE_MODEL_STORE_CASES", 300, |sequence| ops::play(stored::Stored::new(), sequence));
}
