//! Whether a delivery really comes from the CRM: signatures and tokens over the raw bytes, compared in constant time.
//!
//! `scheme` is one way to prove it, `part` what was signed, `key` the forms of secrets and public keys, `timestamp` when it was
//! signed, `standard` the scheme of Standard Webhooks.

mod key;
mod part;
mod scheme;
mod standard;
mod timestamp;

pub use part::{Part, WORDS as PART_WORDS};
pub use scheme::{Evidence, Held, Place, Scheme, VerifyError, verify};
pub(super) use standard::sign as sign_standard;
pub use timestamp::Timestamp;
