//! callbridge connects any CRM, without code, to the phones of Auto Call (goitudong.vn).
//!
//! The order of this list is the reading order and the dependency order: a module uses only modules listed above it
//! (`tests/it/tidy.rs` keeps that true). The empty lines keep the formatter from sorting it.

pub mod error;

pub mod failpoint;

pub mod domain;

pub mod clock;

pub mod config;

pub mod secrets;

pub mod telemetry;

pub mod plugin;

pub mod store;

pub mod outbound;

pub mod pipeline;

pub mod worker;

pub mod web;

pub mod simulator;

pub mod cli;
