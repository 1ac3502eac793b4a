//! Until `tests/it/main.rs` names them: the tests of the API and of the commands.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

#[path = "it/api.rs"]
mod api;
#[path = "it/cli.rs"]
mod cli;
