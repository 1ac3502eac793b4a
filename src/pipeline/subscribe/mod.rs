//! Webhooks that we register at a CRM ourselves: made, checked, renewed before they end, made again when they are gone, deleted
//! when nobody wants them. What is known of one lies sealed (`record`); where nothing can be deleted any more that is told (`left`); what is to be done next follows from it (`run`), in
//! the order of `plugin/registering.rs`, by the requests and records of `hands`.

mod hands;
mod left;
mod record;
mod run;

pub use record::texts;
pub use run::run;
