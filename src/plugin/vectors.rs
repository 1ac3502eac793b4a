//! `vectors.json`: deliveries whose signatures are known to be right or wrong, run against what the plugin declares.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;

use super::{Held, Params, Plugin, VerifyError};
use crate::domain::event::Delivery;
use crate::domain::time::Time;

/// One vector.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    pub title: String,
    pub variant: String,
    #[serde(default)]
    pub parameters: Params,
    pub clock: String,
    #[serde(default = "post")]
    pub method: String,
    /// Whole, with scheme and host.
    pub uri: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: String,
    pub expected: Expected,
}

fn post() -> String {
    "POST".to_owned()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    Accept,
    Reject,
}

impl Vector {
    fn delivery(&self, clock: Time) -> Delivery {
        Delivery {
            method: self.method.clone(),
            uri: self.uri.clone(),
            tail: String::new(),
            query: self.uri.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default(),
            headers: self.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect(),
            body: Bytes::from(self.body.clone()),
            received_at: clock,
        }
    }
}

impl Plugin {
    /// Runs the plugin's vectors: how many there are, and what did not come out as it should.
    pub fn run_vectors(&self) -> (usize, Vec<String>) {
        let Some(bytes) = self.file("vectors.json") else { return (0, Vec::new()) };
        match serde_json::from_slice::<Vec<Vector>>(bytes) {
            Ok(vectors) => (vectors.len(), vectors.iter().filter_map(|vector| self.run_vector(vector)).collect()),
            Err(error) => (0, vec![format!("vectors.json: {error}")]),
        }
    }

    /// By which scheme a vector's delivery is believed.
    pub fn holds_by(&self, vector: &Vector) -> Option<Held> {
        self.vector_held(vector, Time::parse_rfc3339(&vector.clock)?).ok()
    }

    fn vector_held(&self, vector: &Vector, clock: Time) -> Result<Held, VerifyError> {
        let (delivery, params) = (vector.delivery(clock), self.with_defaults(&vector.parameters));
        match self.variant(&vector.variant) {
            Some(variant) => self.verify(variant, &delivery, None, &params),
            None => {
                let shaken = self.handshake(&delivery, &params).filter(|shaken| shaken.handshake.name == vector.variant);
                self.verify_handshake(&shaken.ok_or(VerifyError::Missing)?, &delivery, &params)
            }
        }
    }

    fn run_vector(&self, vector: &Vector) -> Option<String> {
        let fault = |why: String| Some(format!("{}: {why}", vector.title));
        let Some(clock) = Time::parse_rfc3339(&vector.clock) else { return fault("`clock` is not RFC 3339".to_owned()) };
        let there = self.manifest.handshake.iter().any(|at| at.get_ref().name.get_ref() == &vector.variant);
        match self.variant(&vector.variant) {
            None if !there => return fault(format!("there is no receive variant `{}`", vector.variant)),
            Some(variant) if variant.verify.is_empty() => return fault("the variant verifies nothing".to_owned()),
            _ => {}
        }
        match (self.vector_held(vector, clock), vector.expected) {
            (Ok(_), Expected::Accept) | (Err(_), Expected::Reject) => None,
            (Ok(_), Expected::Reject) => fault("was to be rejected and is accepted".to_owned()),
            (Err(error), Expected::Accept) => fault(format!("was to be accepted: {error}")),
        }
    }
}
