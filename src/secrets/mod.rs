//! Secrets at rest and in texts: sealing with a key (`seal`), the keys themselves (`keyring`), and taking secrets out of whatever is shown (`redact`).

mod keyring;
mod parts;
mod redact;
mod seal;

pub use keyring::{KeyError, Keyring};
pub use parts::{Parts, put_back, take_out};
pub use redact::Redactor;
pub use seal::{SealError, Sealed};
