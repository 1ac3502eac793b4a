//! One record inside an event, and what became of it.

use serde::{Deserialize, Serialize};

use super::id::CallId;
use super::record::{Customer, RecordRef};
use super::time::Time;
use crate::error::Code;

/// What became of an item. The equation of promise 5 sums over these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    Called {
        call: CallId,
    },
    Ignored {
        why: Ignored,
    },
    Refused {
        code: Code,
        detail: String,
    },
    Failed {
        code: Code,
        detail: String,
    },
    /// Waits for a lookup.
    Waiting,
}

/// Why an item never meant a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ignored {
    Filter,
    Duplicate,
    OwnWrite,
}

impl Outcome {
    /// The name it is counted under.
    pub fn counter(&self) -> String {
        match self {
            Outcome::Called { .. } => "called".into(),
            Outcome::Ignored { why: Ignored::Filter } => "ignored.filter".into(),
            Outcome::Ignored { why: Ignored::Duplicate } => "ignored.duplicate".into(),
            Outcome::Ignored { why: Ignored::OwnWrite } => "ignored.own_write".into(),
            Outcome::Refused { code, .. } => format!("refused.{code}"),
            Outcome::Failed { .. } => "failed".into(),
            Outcome::Waiting => "waiting".into(),
        }
    }
}

/// One record of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    #[serde(flatten)]
    pub outcome: Outcome,
    #[serde(default)]
    pub record: RecordRef,
    #[serde(default)]
    pub customer: Customer,
    pub at: Time,
}
