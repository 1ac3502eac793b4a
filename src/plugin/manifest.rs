//! `plugin.toml` as it is written: the keys of `docs/PLUGINS.md`, nothing decided yet. `compile` makes it runnable.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use super::manifest_value::{At, ConditionSpec, Conditions, IfSpec, Op, StatusSpec, ValueSpec};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub spec: u32,
    pub id: At<String>,
    pub name: String,
    /// Words that count as empty beside the usual ones, as `"None"`.
    #[serde(default)]
    pub empty: Vec<String>,
    #[serde(default)]
    pub evidence: Evidence,
    #[serde(default)]
    pub parameters: Vec<At<Parameter>>,
    #[serde(default)]
    pub bases: BTreeMap<String, BaseSpec>,
    #[serde(default)]
    pub auth: AuthSpec,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub answers: Answers,
    #[serde(default)]
    pub receive: Vec<At<ReceiveSpec>>,
    #[serde(default)]
    pub lookup: Vec<At<LookupSpec>>,
    #[serde(default)]
    pub write_back: WriteBackSpec,
    #[serde(default)]
    pub responses: Vec<At<ResponseSpec>>,
}

/// How sure the plugin's author is.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    #[serde(default)]
    pub checked: String,
    #[serde(default)]
    pub level: Level,
    #[serde(default)]
    pub sources: Vec<String>,
    #[serde(default)]
    pub open: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    #[default]
    Documented,
    SdkVector,
    Recorded,
    Live,
}

/// A sentence in both languages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    pub vi: String,
    pub en: String,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    pub id: String,
    pub title: Words,
    #[serde(default)]
    pub help: Option<Words>,
    #[serde(rename = "type", default)]
    pub kind: ParameterKind,
    #[serde(default)]
    pub secret: bool,
    #[serde(default)]
    pub required: bool,
    #[serde(default)]
    pub default: String,
    #[serde(default)]
    pub choices: Vec<String>,
    #[serde(default)]
    pub scope: ParameterScope,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    #[default]
    String,
    Url,
    Choice,
    /// Words separated by commas or lines.
    List,
    Bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterScope {
    #[default]
    Connection,
    Hook,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseSpec {
    pub url: At<String>,
    pub allow_hosts: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSpec {
    #[serde(default)]
    pub kind: AuthKind,
    pub token: Option<At<String>>,
    pub name: Option<At<String>>,
    pub value: Option<At<String>>,
    pub user: Option<At<String>>,
    pub password: Option<At<String>>,
    pub base: Option<At<String>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthKind {
    #[default]
    None,
    Bearer,
    Header,
    Basic,
    Query,
}

/// What the CRM allows us, per connection.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub rate: Option<String>,
    pub burst: Option<u32>,
    pub concurrency: Option<u32>,
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
    /// The connection was deleted.
    pub gone: Option<AnswerSpec>,
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

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiveSpec {
    pub name: At<String>,
    #[serde(default = "post")]
    pub methods: Vec<String>,
    #[serde(default)]
    pub body: BodyKind,
    #[serde(default)]
    pub sender_retries: SenderRetries,
    #[serde(default)]
    pub select: SelectSpec,
    #[serde(default)]
    pub verify: Vec<At<VerifySpec>>,
    pub items: Option<ItemsSpec>,
    #[serde(default)]
    pub map: MapSpec,
    #[serde(default)]
    pub ignore: Vec<IgnoreSpec>,
}

fn post() -> Vec<String> {
    vec!["POST".to_owned()]
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyKind {
    #[default]
    Json,
    Form,
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    Array,
    Object,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifySpec {
    pub kind: VerifyKind,
    pub algorithm: Option<Algorithm>,
    pub secret: Option<At<String>>,
    #[serde(default)]
    pub key_encoding: KeyEncoding,
    pub message: Option<At<Vec<String>>>,
    pub header: Option<String>,
    pub query: Option<String>,
    #[serde(default)]
    pub encoding: Option<Encoding>,
    pub prefix: Option<At<String>>,
    pub if_header: Option<IfHeader>,
    pub timestamp: Option<TimestampSpec>,
    #[serde(default)]
    pub optional: bool,
    pub user: Option<At<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyKind {
    Hmac,
    Hash,
    Token,
    Basic,
    StandardWebhooks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    Sha256,
    Sha1,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyEncoding {
    #[default]
    Utf8,
    Hex,
    Base64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    Base64,
    Hex,
    Base64OfPrefixedHex,
    Base64OfPrefixedRaw,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IfHeader {
    pub name: String,
    pub value: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimestampSpec {
    /// Absent for `standard_webhooks`, whose header is fixed.
    pub header: Option<String>,
    #[serde(default)]
    pub unit: TimestampUnit,
    pub tolerance: At<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestampUnit {
    #[default]
    S,
    Ms,
    Rfc3339,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemsSpec {
    pub split: At<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapSpec {
    pub event_id: Option<At<ValueSpec>>,
    pub occurred_at: Option<OccurredAtSpec>,
    pub priority: Option<At<ValueSpec>>,
    pub record_type: Option<At<ValueSpec>>,
    pub record_id: Option<At<ValueSpec>>,
    pub owner: Option<At<ValueSpec>>,
    pub phone: Option<At<ValueSpec>>,
    pub name: Option<At<ValueSpec>>,
    pub gender: Option<GenderSpec>,
    pub info: Option<At<ValueSpec>>,
    pub consent: Option<At<ValueSpec>>,
    pub note: Option<At<ValueSpec>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OccurredAtSpec {
    pub value: At<ValueSpec>,
    pub unit: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenderSpec {
    pub value: At<ValueSpec>,
    #[serde(default)]
    pub male: Vec<String>,
    #[serde(default)]
    pub female: Vec<String>,
    #[serde(default)]
    pub company: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IgnoreSpec {
    pub code: IgnoreCode,
    #[serde(rename = "if")]
    pub conditions: Conditions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IgnoreCode {
    OwnWrite,
    Filter,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookupSpec {
    pub name: At<String>,
    #[serde(rename = "if", default)]
    pub conditions: Conditions,
    #[serde(default)]
    pub when: When,
    #[serde(default = "phone_only")]
    pub needs: Vec<Field>,
    pub method: Option<String>,
    pub base: Option<At<String>>,
    pub path: At<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, At<String>>,
    pub body: Option<At<String>>,
    pub content_type: Option<String>,
    #[serde(default = "not_found")]
    pub not_found: Vec<u16>,
    #[serde(default)]
    pub map: MapSpec,
}

fn phone_only() -> Vec<Field> {
    vec![Field::Phone]
}

fn not_found() -> Vec<u16> {
    vec![404]
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    #[default]
    Missing,
    Always,
}

/// A field that a look-up may fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    RecordType,
    RecordId,
    Owner,
    Phone,
    Name,
    Gender,
    Info,
    Consent,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteBackSpec {
    pub call: Option<At<KindSpec>>,
    pub note: Option<At<KindSpec>>,
    pub field: Option<At<KindSpec>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindSpec {
    pub title: Words,
    pub identity: Identity,
    #[serde(rename = "if", default)]
    pub conditions: Conditions,
    pub find: Option<FindSpec>,
    pub create: Vec<StepSpec>,
    #[serde(default)]
    pub update: Vec<StepSpec>,
    #[serde(default)]
    pub correction: Vec<StepSpec>,
}

/// How one call gets one entry though a request may have to be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    ClientId,
    Searchable,
    Marker,
    None,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindSpec {
    pub method: Option<String>,
    pub base: Option<At<String>>,
    pub path: At<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, At<String>>,
    pub body: Option<At<String>>,
    pub content_type: Option<String>,
    pub id: At<ValueSpec>,
    pub wait: Option<At<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepSpec {
    pub name: At<String>,
    #[serde(rename = "if", default)]
    pub conditions: Conditions,
    pub method: Option<String>,
    pub base: Option<At<String>>,
    pub path: At<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, At<String>>,
    pub body: Option<At<String>>,
    pub content_type: Option<String>,
    #[serde(default)]
    pub store: BTreeMap<String, At<ValueSpec>>,
    pub sign: Option<SignSpec>,
}

/// How we sign a request of ours.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignSpec {
    pub kind: SignKind,
    pub secret: At<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignKind {
    StandardWebhooks,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponseSpec {
    #[serde(default)]
    pub status: Vec<StatusSpec>,
    #[serde(default)]
    pub body: Conditions,
    pub class: ResponseClass,
    pub retry_after: Option<RetryUnit>,
    pub say: Option<Words>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseClass {
    Done,
    Retry,
    RefreshToken,
    Misconfigured,
    GiveUp,
    Gone,
}
