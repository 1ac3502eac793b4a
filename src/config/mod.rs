//! Settings: `config/default.toml` (compiled in, the reference) < `--config` files < `--config-dir` files < `CALLBRIDGE__SECTION__KEY`.
//!
//! The `config` crate lays the layers over each other; around it stands what it cannot do: lists of tables merge by `id` or `name`, an
//! error names file, line, key and the nearest right word, all errors are told at once, and any text may be `env:NAME` or `file:PATH`.
//! This is the only module that reads the environment.

mod env;
mod explain;
mod layers;
mod load;
mod network;
mod problem;
mod reader;
mod sense;
mod settings;
#[cfg(test)]
mod tests;
mod validate;

pub use env::{arm_failpoint, env};
pub use explain::{Explained, explain};
pub use load::{Sources, load, store};
pub use network::{BadNetwork, Network};
pub use problem::{ConfigError, Problem, io_words};
pub use settings::*;
