//! The flow, one stage per file: ingest, lookup, map, place, report, write_back; and forward for drop-in callers.
//! Beside it: `asked` makes calls that no webhook asked for, `outlook` says what a call waits for.
//!
//! A stage decides and calls others; what it decides from is pure (`domain`, `plugin`), what it keeps goes through one verb of
//! the store. No stage knows HTTP's server side.

pub mod app;
pub mod asked;
pub mod forward;
pub mod ingest;
pub mod lookup;
pub mod map;
pub mod outlook;
pub mod place;
pub mod poll;
pub mod report;
pub mod token;
pub mod turn;
pub mod wish;
pub mod write_back;

pub use app::{App, Live, Tuning, Wired};
