//! `[[parameters]]`: what the admin fills in.

use serde::{Deserialize, Serialize};

use super::root::Words;
use super::several::Several;

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
    /// Of a `table`: the one of `[tables]` it adds to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    #[serde(default)]
    pub scope: ParameterScope,
    /// Asked for and required in these modes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Several<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Ends>,
}

/// A secret that ends by itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ends {
    /// The id of a `date` parameter, or `jwt`: the token says it itself.
    pub on: String,
    /// How long before the admin is told.
    #[serde(default = "two_weeks")]
    pub alarm: String,
}

fn two_weeks() -> String {
    "14d".to_owned()
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
    /// `2027-02-20`.
    Date,
    /// Lines `word = word`.
    Table,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterScope {
    #[default]
    Connection,
    Hook,
}
