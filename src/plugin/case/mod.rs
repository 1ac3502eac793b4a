//! Transcripts of a plugin (`cases/<name>/`): example, test and *Try it* in one, run without network, clock or store.

mod ask;
mod compare;
mod file;
mod run;

pub use file::{Case, Exchange, Expect, schema};
pub use run::CaseResult;
