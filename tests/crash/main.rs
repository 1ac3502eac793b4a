//! Nothing lost, nobody dialled twice: the real program is killed, at random and at every named failure point, and its disk
//! is cut off; then the simulated phone, the fake CRM and the program's own sums are asked what happened.
//!
//! ```text
//! cargo test --test crash -- --nocapture                                   100 kills, every failure point, 20 power cuts
//! CALLBRIDGE_KILLS=2000 cargo test --test crash -- kills --nocapture       the long series
//! CALLBRIDGE_CUTS=100 cargo test --test crash -- power_cuts --nocapture    needs root and loop devices
//! CALLBRIDGE_SEED=7 …                                                      the same random choices again
//! CALLBRIDGE_NO_POWER_CUTS=1 …                                             no power cuts, where there are no loop devices
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::type_complexity, reason = "a test or a measurement ends where it cannot go on")]

mod dice;
mod disk;
mod equations;
mod fetch;
mod kill;
mod load;
mod points;
mod power_cut;
mod records;
mod server;
mod table;
mod world;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One series at a time: they measure, and two cores are few.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number from the environment.
fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
