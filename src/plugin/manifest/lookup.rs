//! `[[lookup]]`: what is fetched because the delivery does not carry it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::map::MapSpec;
use super::request::with_request;
use super::value::{At, ValueSpec};

with_request! {
    /// One request of the chain.
    pub struct LookupSpec {
        pub name: At<String>,
        #[serde(default)]
        pub when: When,
        #[serde(default = "phone_only")]
        pub needs: Vec<Field>,
        #[serde(default = "not_found")]
        pub not_found: Vec<u16>,
        #[serde(default)]
        pub map: MapSpec,
        /// Values by the id of `[[fields]]`.
        #[serde(default)]
        pub fields: BTreeMap<String, At<ValueSpec>>,
        pub batch: Option<BatchSpec>,
    }
}

fn phone_only() -> Vec<Field> {
    vec![Field::Phone]
}

fn not_found() -> Vec<u16> {
    vec![404]
}

/// One request for many items of an event.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchSpec {
    pub at_most: usize,
    /// The pieces of the answer.
    pub items: At<String>,
    /// The record id of a piece.
    pub id: At<ValueSpec>,
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
