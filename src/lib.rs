//! callbridge connects any CRM, without code, to the phones of Auto Call (goitudong.vn).
//!
//! The order of this list is the reading order and the dependency order: a module uses only modules listed above it
//! (`tests/it/tidy.rs` keeps that true).

pub mod error;
pub mod failpoint;

pub mod domain;

pub mod clock;
pub mod config;
pub mod secrets;
pub mod telemetry;

pub mod cli;
pub mod outbound;
pub mod pipeline;
pub mod plugin;
pub mod simulator;
pub mod store;
pub mod web;
pub mod worker;
