//! `[[hooks]]`: the webhook addresses of a connection.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::root::Words;
use super::several::Several;

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HookSpec {
    pub name: String,
    pub title: Words,
    #[serde(default)]
    pub help: Option<Words>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Several<String>>,
    /// The end of the address.
    #[serde(default)]
    pub tail: String,
    /// Parameters of scope `hook` it asks for; absent = all of them.
    pub parameters: Option<Vec<String>>,
    /// Parameters of scope `hook` it sets itself.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    /// Whether a connection may have several of it.
    #[serde(default)]
    pub many: bool,
}
