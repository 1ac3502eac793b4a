//! Runs what is due: map, lookup, place, write_back, forward, sweep. Each loop sleeps until a step or a time wakes it.

mod pump;
mod run;
mod sweep;

pub use run::{Concurrency, run_due, run_forever};
