//! Writes a call's result into the CRM: the connection's kinds in order, one entry each, updated by later reports.
//!
//! One run makes at most one request that creates something, then keeps what it learnt before the next: after a crash the
//! store knows of every entry but at most one, and that one is looked for before it is made again.

mod correct;
mod facts;
mod kind;
mod run;

pub use run::{run, run_item};
