//! The server's side of HTTP. The whole route table is [`routes::configure`].

pub mod answer;
pub mod api;
pub mod callbacks;
pub mod callone;
mod connect;
pub mod health;
pub mod hooks;
pub mod problem;
pub mod routes;
pub mod sender;
pub mod server;

pub use routes::State;
