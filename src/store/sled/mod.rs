//! The embedded store: sled 0.34, used by the rules its measurements paid for.
//!
//! - `flush()` is not an fsync on Linux: a step is durable after `flush()` and `sync_data` on a second handle of `<dir>/db`.
//! - One committer thread applies waiting steps in groups, each group in one batch of one sled tree (`commit`, `layout`).
//! - No value is larger than 16 KiB; raw bodies lie in chunks (`keys`).
//! - What schedules calls is an index in memory, changed after the group's sync and rebuilt at start (`schedule`; `board` and `pairing`
//!   are its part about lines).

mod alerts;
mod at_crm;
mod board;
#[cfg(test)]
mod board_tests;
mod calls;
mod commit;
mod dnc;
mod dnc_undo;
mod gates;
mod history;
mod intake;
mod kept;
mod keys;
mod later;
mod layout;
mod lookup;
mod open;
mod pairing;
mod person;
mod placing;
mod prune;
mod read;
mod result;
mod schedule;
mod sealed;
mod snapshot;
mod source;
mod stale;
mod store;
mod sweep;
mod tx;
mod work;

pub use open::{OpenError, Options};
pub use snapshot::{BackupError, folder as snapshot_folder, restore, scheduled as scheduled_snapshots, verify};
pub use store::SledStore;
