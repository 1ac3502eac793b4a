//! `/api/v1`: JSON for programs and for the CLI. The route table is [`routes`]; each noun has its file.

pub mod alerts;
pub mod audit;
pub mod auth;
pub mod backup;
pub mod brakes;
pub mod call_view;
pub mod calls;
pub mod connections;
pub mod dnc;
pub mod dnc_off;
pub mod event_view;
pub mod events;
pub mod fault;
pub mod input;
pub mod lines;
pub mod many;
pub mod openapi;
pub mod plugins;
pub mod preview;
pub mod routes;
pub mod stats;
pub mod subscriptions;
pub mod troubles;
pub mod view;

pub use routes::configure;
