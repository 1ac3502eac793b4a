//! What a result's way back into the CRM has come to, per kind.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::time::Time;

/// The overall status shown for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing is to be written.
    #[default]
    None,
    /// A report is settling.
    Waiting,
    /// Being written, or waits for another attempt.
    Pending,
    Logged,
    Failed,
}

impl Status {
    /// The public word.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::None => "none",
            Status::Waiting => "waiting",
            Status::Pending => "pending",
            Status::Logged => "logged",
            Status::Failed => "failed",
        }
    }
}

/// What is known of one kind (`call`, `note`, `field`) of one call.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct KindState {
    /// Outputs of the steps that are done, by step name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub steps: BTreeMap<String, serde_json::Value>,
    /// The entry's id in the CRM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// The report version that the entry shows; `None` until something was written. 0 = "ended without a report".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u16>,
    /// A request may have reached the CRM without an answer that we kept: look before creating again.
    #[serde(default)]
    pub unclear: bool,
    /// When that request may have been sent, at the latest: searches lag behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unclear_at: Option<Time>,
    /// The report version that the first step showed, while later steps are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<u16>,
    /// A correction was added for a CRM that cannot update.
    #[serde(default)]
    pub corrected: bool,
    /// Given up, with the sentence for the admin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// The write-back of one call.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WriteBack {
    #[serde(default)]
    pub status: Status,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kinds: BTreeMap<String, KindState>,
}

impl WriteBack {
    /// What was given up is tried again; what was made is still known.
    pub fn forgive(&mut self) {
        for kind in self.kinds.values_mut() {
            kind.failed = None;
        }
    }
}
