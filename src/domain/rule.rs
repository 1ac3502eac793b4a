//! Rules: pure decisions over (call, policy, history, now) that hold or refuse a call before it is placed.
//!
//! Thin for now: hours, do-not-call, caps and consent come with the issue on placing; [`super::schedule`] asks here first.

use super::time::Time;
use crate::error::Code;

/// What the rules say about placing now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    Go,
    Hold { code: Code, until: Option<Time> },
    Refuse { code: Code },
}
