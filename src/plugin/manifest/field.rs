//! `[[fields]]`: what a connection's trigger may test.

use serde::{Deserialize, Serialize};

use super::root::Words;

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FieldSpec {
    pub id: String,
    pub title: Words,
    #[serde(default)]
    pub help: Option<Words>,
}
