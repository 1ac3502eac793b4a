//! The small demo CRM: a page with a Call button, a REST interface to write results into, and switches that make it fail.
//!
//! It is also the fake CRM of crash tests: every entry that was ever made is counted per call id.

mod book;
mod call;
mod fail;
mod live;
mod page;
mod rest;
mod results;
mod server;
mod sign;

pub use book::{Customer, Note, Outcome, Totals};
pub use server::{Options, Running, start};
