//! `[[receive]]` and `[answers]`: what arrives, and what its sender is told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::map::MapSpec;
use super::several::{ModeSpec, Several};
use super::value::{At, Conditions, ValueSpec};
use super::verify::VerifyRef;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiveSpec {
    pub name: At<String>,
    pub mode: ModeSpec,
    #[serde(default = "post")]
    pub methods: Vec<String>,
    #[serde(default)]
    pub body: BodyKind,
    /// Fields of the body that hold JSON as text.
    #[serde(default)]
    pub json_fields: Vec<String>,
    /// XML elements that are lists though there be only one.
    #[serde(default)]
    pub lists: Vec<String>,
    #[serde(default)]
    pub sender_retries: SenderRetries,
    #[serde(default)]
    pub select: SelectSpec,
    #[serde(default)]
    pub verify: Vec<At<VerifyRef>>,
    /// What write-back needs of the delivery.
    #[serde(default)]
    pub keep: BTreeMap<String, At<ValueSpec>>,
    pub items: Option<ItemsSpec>,
    #[serde(default)]
    pub map: MapSpec,
    #[serde(default)]
    pub ignore: Vec<IgnoreSpec>,
    pub loop_guard: Option<LoopGuardSpec>,
    pub changed: Option<ChangedSpec>,
    /// Values by the id of `[[fields]]`.
    #[serde(default)]
    pub fields: BTreeMap<String, At<ValueSpec>>,
    #[serde(default)]
    pub answers: Answers,
}

pub(super) fn post() -> Vec<String> {
    vec!["POST".to_owned()]
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyKind {
    #[default]
    Json,
    Form,
    Multipart,
    Xml,
    Query,
    Sniff,
}

/// How long this CRM sends the same delivery again; event ids are remembered at least as long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SenderRetries {
    None,
    Soon,
    #[default]
    Hours,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectSpec {
    pub tail: Option<String>,
    pub content: Option<Content>,
    pub has: Option<At<String>>,
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    #[serde(default)]
    pub header: BTreeMap<String, String>,
    pub hook: Option<At<String>>,
    #[serde(rename = "if", default)]
    pub conditions: Conditions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    Array,
    Object,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemsSpec {
    /// Several paths go down step by step.
    pub split: At<Several<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IgnoreSpec {
    pub code: IgnoreCode,
    pub mode: ModeSpec,
    #[serde(rename = "if")]
    pub conditions: Conditions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IgnoreCode {
    OwnWrite,
    Filter,
}

/// Against webhooks caused by our own writes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoopGuardSpec {
    #[serde(default)]
    pub only_changed: Vec<String>,
    pub quiet: Option<At<String>>,
}

/// Which fields changed: names as texts, or the keys of objects.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangedSpec {
    pub names: Option<At<String>>,
    pub keys: Option<At<Several<String>>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    pub stored: Option<AnswerSpec>,
    pub duplicate: Option<AnswerSpec>,
    pub bad_signature: Option<AnswerSpec>,
    pub stale: Option<AnswerSpec>,
    pub unknown_key: Option<AnswerSpec>,
    pub unreadable: Option<AnswerSpec>,
    pub too_large: Option<AnswerSpec>,
    pub over_limit: Option<AnswerSpec>,
    pub cannot_store: Option<AnswerSpec>,
    /// The connection is switched off.
    pub paused: Option<AnswerSpec>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerSpec {
    pub status: At<u16>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: String,
    pub retry_after: Option<RetryUnit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryUnit {
    Seconds,
    Milliseconds,
    None,
}
