//! Both far ends of the bridge, for tests, the demo and trying things out: a stand-in for the vendor's callone API with its
//! phones, and a small demo CRM with a web page.
//!
//! They meet the bridge only over HTTP and use none of its other modules, so nothing here can know more than the real
//! ones would. Reading order: `mood` (names), `script` (what each mood does, pure), `phone` (plays it), `dialer` (the API).

mod body;
mod client;
mod control;
pub mod crm;
pub mod dialer;
mod error;
pub mod mood;
mod phone;
mod run;
mod sample;
pub mod script;
pub mod stats;

pub use error::Error;
pub use run::{Addresses, Options, run, start};
pub use sample::demo_moods;

#[cfg(test)]
mod tests;
