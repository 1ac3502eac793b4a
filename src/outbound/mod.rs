//! Every connection that callbridge opens: one client with limits, a guard against inner addresses, and what answers mean.

pub mod alert;
pub mod dialer;
pub mod forward;
pub mod guard;
pub mod http;
pub mod local;
pub mod probe;

pub use guard::Guard;
pub use http::{Http, Limits, SendError};
