//! The command line: one file per command.

mod alert;
mod args;
mod backup;
mod brakes;
pub mod bridge;
mod call;
mod call_view;
mod check;
mod client;
mod config;
mod connection;
mod demo;
mod dnc;
mod dnc_off;
mod event;
mod line;
mod line_test;
mod output;
mod plugin;
mod plugin_new;
mod plugin_test;
mod reload;
mod serve;
mod simulate;

pub use args::main;
