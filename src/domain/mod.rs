//! The vocabulary and the pure decisions: no I/O, no clock, no randomness.

pub mod after;
pub mod alert;
pub mod call;
pub mod connection;
pub mod dnc;
pub mod event;
pub mod foreign;
pub mod held;
pub mod holiday;
pub mod hours;
pub mod id;
pub mod item;
pub mod ledger;
pub mod line;
pub mod number_list;
pub mod opening;
pub mod param;
pub mod phone;
#[cfg(test)]
mod phone_tests;
pub mod pool;
pub mod rate;
pub mod record;
pub mod report;
pub mod request;
pub mod retry;
pub mod row;
pub mod rule;
#[cfg(test)]
mod rule_tests;
pub mod schedule;
pub mod secret;
pub mod set_back;
pub mod source;
pub mod span;
pub mod time;
pub mod trigger;
pub mod untold;
pub mod window;
pub mod workspace;
pub mod write_back;
