//! The flow, one stage per file: ingest, lookup, map, place, report, write_back; and forward for drop-in callers.
//! Beside it: `ask` and `login` make requests to CRMs, `alert` tells the admin, `asked` makes calls that no webhook asked for,
//! `standing` fetches records (`poll`), registers our webhooks (`subscribe`) and keeps logins alive, `ends` warns of keys that end,
//! `outlook` says what a call waits for, `many` lets go or cancels many at once, `dnc` fills the do-not-call list.
//!
//! A stage decides and calls others; what it decides from is pure (`domain`, `plugin`), what it keeps goes through one verb of
//! the store. No stage knows HTTP's server side.

pub mod alert;
pub mod app;
pub mod ask;
pub mod asked;
pub mod batch;
pub mod connect;
pub mod dnc;
pub mod ends;
pub mod exposed;
pub mod forward;
mod greet;
pub mod ingest;
mod keep_alive;
pub mod login;
pub mod lookup;
pub mod loops;
pub mod many;
pub mod map;
pub mod outlook;
pub mod own_writes;
pub mod place;
mod poll;
pub mod report;
pub mod standing;
pub mod subscribe;
pub mod token;
pub mod turn;
mod untold;
pub mod wish;
pub mod write_back;

pub use app::{App, Common, Live, Tuning, Wired};
pub use login::Logins;
