//! What is kept, durably: a dozen verbs, each one atomic business step.
//!
//! [`Store`] is the contract; [`SledStore`] keeps it on one node. Only this module knows sled. Every verb takes `now` (no
//! store reads a clock), a wrong state is a value and not an error, and no verb hands out an iterator, a guard or a closure.

pub mod codec;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod contract_backup;
#[cfg(test)]
mod contract_clock;
#[cfg(test)]
mod contract_expiry;
#[cfg(test)]
mod contract_held;
#[cfg(test)]
mod contract_reports;
#[cfg(test)]
mod contract_rules;
#[cfg(test)]
mod contract_wake;
#[cfg(test)]
mod golden;
pub mod rules;
pub mod sled;
pub mod task;
pub mod verbs;

pub use self::sled::{BackupError, SledStore, restore as restore_backup};
pub use codec::BadRecord;
pub use rules::Rules;
pub use task::{Subject, Task, TaskKind};
pub use verbs::*;
