//! `[write_back]`: what is put into the CRM, per kind.

use serde::{Deserialize, Serialize};

use super::request::with_request;
use super::root::Words;
use super::several::{ModeSpec, OneOrMany};
use super::value::{At, Conditions, ValueSpec};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindSpec {
    pub mode: ModeSpec,
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
    pub correction_find: Option<FindSpec>,
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

with_request! {
    /// Looks for the entry of a call, or for its correction.
    pub struct FindSpec {
        pub id: At<ValueSpec>,
        pub wait: Option<At<String>>,
        /// Where the answer is a list: its pieces.
        pub items: Option<At<String>>,
        /// The piece is ours where these hold.
        #[serde(rename = "match", default)]
        pub matches: Conditions,
    }
}

with_request! {
    /// One request of a kind.
    pub struct StepSpec {
        pub name: At<String>,
        /// The kind is done where these hold over what was stored: our marker stands there already.
        #[serde(default)]
        pub done_if: Conditions,
        /// A POST that only reads.
        #[serde(default)]
        pub reads: bool,
        /// The records it changes besides the one that asked.
        pub writes: Option<At<OneOrMany<WritesSpec>>>,
    }
}

/// A record that a step changes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WritesSpec {
    #[serde(rename = "type")]
    pub kind: At<ValueSpec>,
    pub id: At<ValueSpec>,
}
