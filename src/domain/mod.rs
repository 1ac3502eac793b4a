//! The vocabulary and the pure decisions: no I/O, no clock, no randomness.

pub mod call;
pub mod connection;
pub mod event;
pub mod hours;
pub mod id;
pub mod item;
pub mod line;
pub mod param;
pub mod phone;
pub mod pool;
pub mod rate;
pub mod record;
pub mod report;
pub mod request;
pub mod retry;
pub mod rule;
pub mod schedule;
pub mod secret;
pub mod source;
pub mod span;
pub mod time;
pub mod workspace;
pub mod write_back;
