//! `[[handshake]]`: deliveries that are answered before anything is verified, and are no events.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::receive::{BodyKind, SelectSpec};
use super::several::ModeSpec;
use super::value::{At, ValueSpec};
use super::verify::VerifyRef;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandshakeSpec {
    pub name: At<String>,
    pub mode: ModeSpec,
    #[serde(default = "super::receive::post")]
    pub methods: Vec<String>,
    #[serde(default)]
    pub select: SelectSpec,
    #[serde(default = "sniff")]
    pub body: BodyKind,
    #[serde(default)]
    pub verify: Vec<At<VerifyRef>>,
    /// Kept sealed as `captured.<name>`, only while the admin's window is open.
    #[serde(default)]
    pub capture: BTreeMap<String, At<ValueSpec>>,
    pub answer: HandshakeAnswer,
}

fn sniff() -> BodyKind {
    BodyKind::Sniff
}

/// What the sender is told; headers and body are templates.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandshakeAnswer {
    pub status: At<u16>,
    #[serde(default)]
    pub headers: BTreeMap<String, At<String>>,
    pub body: Option<At<String>>,
}
