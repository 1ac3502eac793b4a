//! `[auth]` and `[connect]`: how we prove who we are, and how the proof is got.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::request::with_request;
use super::several::{ModeSpec, OneOrMany};
use super::value::{At, ValueSpec};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSpec {
    /// What requests and [connect] call it by; `main` where absent.
    pub id: Option<At<String>>,
    /// Of the header or query field.
    pub name: Option<At<String>>,
    pub mode: ModeSpec,
    #[serde(default)]
    pub kind: AuthKind,
    pub token: Option<At<String>>,
    pub value: Option<At<String>>,
    pub user: Option<At<String>>,
    pub password: Option<At<String>>,
    pub base: Option<At<String>>,
    #[serde(default)]
    pub bases: Vec<At<String>>,
    /// What the first login begins with.
    #[serde(default)]
    pub start: BTreeMap<String, At<ValueSpec>>,
    #[serde(default)]
    pub refresh: Refresh,
    /// Of a token whose answer does not say it.
    pub lifetime: Option<At<String>>,
    /// Log in at least this often.
    pub keep_alive: Option<At<String>>,
    pub jwt: Option<JwtSpec>,
    #[serde(default)]
    pub login: Vec<LoginSpec>,
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

/// When a token is got anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refresh {
    /// Before it ends.
    #[default]
    Early,
    /// Only when the CRM refuses the old one.
    OnError,
}

/// A signed assertion that a login shows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtSpec {
    pub algorithm: JwtAlgorithm,
    pub key: At<String>,
    #[serde(default)]
    pub claims: BTreeMap<String, At<String>>,
    pub lifetime: Option<At<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum JwtAlgorithm {
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "HS256")]
    Hs256,
}

with_request! {
    /// One request of a login.
    pub struct LoginSpec {
        pub name: Option<At<String>>,
    }
}

/// The connect button.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectSpec {
    pub mode: ModeSpec,
    /// Whose tokens it fetches; the only `[[auth]]` where absent.
    pub auth: Option<At<String>>,
    pub base: Option<At<String>>,
    pub path: At<String>,
    #[serde(default)]
    pub query: BTreeMap<String, At<String>>,
    #[serde(default = "yes")]
    pub pkce: bool,
    pub token: ConnectTokenSpec,
}

fn yes() -> bool {
    true
}

with_request! {
    /// The code for tokens.
    pub struct ConnectTokenSpec {
    }
}

impl AuthSpec {
    /// Every `[[auth]]`.
    pub fn each(at: Option<&At<OneOrMany<AuthSpec>>>) -> Vec<At<&AuthSpec>> {
        at.map(OneOrMany::each).unwrap_or_default()
    }
}
