//! `[bases]` and `[limits]`: where the CRM is and how fast it may be asked.

use serde::{Deserialize, Serialize};

use super::several::{ModeSpec, Several};
use super::value::{At, ValueSpec};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseSpec {
    pub mode: ModeSpec,
    pub url: At<ValueSpec>,
    pub allow_hosts: Vec<String>,
}

/// What the CRM allows us, per connection.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Several<String>>,
    pub rate: Option<String>,
    pub burst: Option<u32>,
    pub concurrency: Option<u32>,
    /// Connections with the same text share one budget: a template over parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<RemainingSpec>,
    /// Look-up requests for one item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_at_most: Option<u32>,
}

/// Where the CRM tells what is left of the budget.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RemainingSpec {
    pub header: String,
    /// At so many left we wait.
    #[serde(default)]
    pub keep: u64,
    /// The header that tells when the budget is full again.
    pub reset: Option<String>,
    #[serde(default)]
    pub unit: super::responses::WaitUnit,
    /// How long to wait where no header tells it.
    pub wait: Option<String>,
}
