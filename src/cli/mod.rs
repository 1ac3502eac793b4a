//! The command line: one file per command.

mod args;
pub mod bridge;
mod demo;
mod output;
mod serve;
mod simulate;

pub use args::main;
