//! `[[subscribe]]`: webhooks that we register at the CRM ourselves.

use serde::Deserialize;

use super::request::with_request;
use super::root::Words;
use super::several::ModeSpec;
use super::value::{At, Conditions};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscribeSpec {
    pub name: At<String>,
    pub title: Words,
    pub mode: ModeSpec,
    #[serde(rename = "if", default)]
    pub conditions: Conditions,
    /// Which of `[[hooks]]` it sends to.
    pub hook: Option<At<String>>,
    #[serde(default)]
    pub secret: SubscriptionSecret,
    pub check_every: Option<At<String>>,
    pub renew_every: Option<At<String>>,
    /// Before the stored `expires_at`.
    pub renew_before: Option<At<String>>,
    /// Asked before one is made: is there one of ours already? Without `check` it is the check, too.
    pub find: Option<SubscribeRequestSpec>,
    pub create: SubscribeRequestSpec,
    pub check: Option<SubscribeRequestSpec>,
    pub renew: Option<SubscribeRequestSpec>,
    pub delete: Option<SubscribeRequestSpec>,
}

/// A secret that we make for the CRM to sign with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionSecret {
    #[default]
    None,
    Hex,
    Base64,
}

with_request! {
    /// One of its requests.
    pub struct SubscribeRequestSpec {
        /// Of a check, and of the item of `find`: the subscription lives where these hold.
        #[serde(default)]
        pub alive: Conditions,
        /// Of `find`: the subscriptions there are.
        pub items: Option<At<String>>,
        /// Of `find`: which of them is ours.
        #[serde(rename = "match", default)]
        pub matches: Conditions,
    }
}
