//! Transcripts of a plugin (`cases/<name>/`): example, test and *Try it* in one, run without network, clock or store.

mod answers;
mod arrive;
mod ask;
mod compare;
mod connect;
mod exchange;
mod file;
mod items;
mod run;
mod subscribe;
mod words;
mod write;

pub use answers::OUTCOMES;
pub use exchange::Exchange;
pub use file::{Case, Expect, Round, schema};
pub use run::CaseResult;
pub use subscribe::Deed;
