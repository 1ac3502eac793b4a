//! Flow tests: a real bridge, the simulated phone and the fake CRM, each on a socket of its own. Tidy and fuzz live here too, so that
//! they cost no link of their own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

mod after;
mod alerts;
mod api;
mod backlog;
mod bad_input;
mod bridge;
mod callone;
mod cli;
mod clicks;
mod espocrm;
mod far_end;
mod fuzz;
mod greet;
mod hubspot;
mod let_in;
mod lines;
mod listed;
mod login;
mod lookup_batch;
mod million;
mod moods;
mod patience;
mod plugin_docs;
mod poll;
mod preview;
mod quiet;
mod rate;
mod reload;
mod reports;
mod restart;
mod rules;
mod say;
mod steps;
mod subscribe;
mod tidy;
mod unclear;
mod vectors;
mod wire;
