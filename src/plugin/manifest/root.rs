//! The whole manifest: its parts in the order a call flows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::auth::{AuthSpec, ConnectSpec};
use super::base::{BaseSpec, Limits};
use super::field::FieldSpec;
use super::handshake::HandshakeSpec;
use super::hook::HookSpec;
use super::lookup::LookupSpec;
use super::map::MapSpec;
use super::param::Parameter;
use super::poll::PollSpec;
use super::receive::{Answers, ReceiveSpec};
use super::responses::ResponseSpec;
use super::several::OneOrMany;
use super::subscribe::SubscribeSpec;
use super::value::{At, Conditions};
use super::verify::VerifySpec;
use super::write_back::KindSpec;

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
    /// Conditions on parameters by which blocks are there or not.
    #[serde(default)]
    pub modes: BTreeMap<String, At<Conditions>>,
    /// Words and what they become; `"*"` is everything else.
    #[serde(default)]
    pub tables: BTreeMap<String, At<BTreeMap<String, Json>>>,
    /// Mappings that several variants or look-ups begin with.
    #[serde(default)]
    pub maps: BTreeMap<String, At<MapSpec>>,
    #[serde(default)]
    pub bases: BTreeMap<String, At<OneOrMany<BaseSpec>>>,
    pub auth: Option<At<OneOrMany<AuthSpec>>>,
    pub connect: Option<At<OneOrMany<ConnectSpec>>>,
    pub limits: Option<At<OneOrMany<Limits>>>,
    #[serde(default)]
    pub hooks: Vec<At<HookSpec>>,
    #[serde(default)]
    pub subscribe: Vec<At<SubscribeSpec>>,
    #[serde(default)]
    pub poll: Vec<At<PollSpec>>,
    #[serde(default)]
    pub verify: BTreeMap<String, At<VerifySpec>>,
    #[serde(default)]
    pub handshake: Vec<At<HandshakeSpec>>,
    #[serde(default)]
    pub answers: Answers,
    #[serde(default)]
    pub receive: Vec<At<ReceiveSpec>>,
    #[serde(default)]
    pub fields: Vec<At<FieldSpec>>,
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
#[serde(deny_unknown_fields, expecting = "a text in both languages, { vi = \"…\", en = \"…\" }")]
pub struct Words {
    pub vi: String,
    pub en: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteBackSpec {
    pub call: Option<At<OneOrMany<KindSpec>>>,
    pub note: Option<At<OneOrMany<KindSpec>>>,
    pub field: Option<At<OneOrMany<KindSpec>>>,
}
