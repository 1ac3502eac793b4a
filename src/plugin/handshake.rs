//! Deliveries that are answered before anything is verified and are no events: challenges, and secrets that a CRM hands over.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Params;
use super::extract::ParseOr;
use super::modes::in_mode;
use super::plugin::Plugin;
use super::respond::ReplySpec;
use super::select::{Peeked, Select, pairs};
use super::template::{RenderError, Template};
use super::template_scope::Scope;
use super::value::{Source, Value};
use super::verify::{Evidence, Held, Scheme, VerifyError, verify};
use crate::domain::event::Delivery;

/// A compiled handshake.
#[derive(Debug)]
pub struct Handshake {
    pub name: String,
    pub(super) modes: Vec<String>,
    pub(super) select: Select,
    pub(super) verify: Vec<Scheme>,
    /// What is kept of it, by name. Not empty: only in the window that the admin opened.
    pub(super) capture: BTreeMap<String, Value>,
    pub(super) status: u16,
    pub(super) headers: Vec<(String, Template)>,
    pub(super) body: Template,
}

/// A handshake that fits a delivery, with the body it brought.
#[derive(Debug)]
pub struct Shaken<'a> {
    pub handshake: &'a Handshake,
    body: Json,
}

impl Handshake {
    /// Whether it keeps a secret.
    pub fn captures(&self) -> bool {
        !self.capture.is_empty()
    }
}

impl Plugin {
    /// Whether any handshake keeps secrets.
    pub fn captures(&self) -> bool {
        self.handshakes.iter().any(Handshake::captures)
    }

    /// The handshake this delivery is, if it is one.
    pub fn handshake(&self, delivery: &Delivery, params: &Params) -> Option<Shaken<'_>> {
        let mut peeked = Peeked::default();
        let handshake =
            self.handshakes.iter().find(|h| in_mode(&h.modes, params) && h.select.fits(delivery, params, &self.manifest.empty, &mut peeked).is_ok())?;
        let body = peeked.take(&handshake.select, delivery).or_parse(&handshake.select, delivery).unwrap_or(Json::Null);
        Some(Shaken { handshake, body })
    }

    /// Its own check.
    pub fn verify_handshake(&self, shaken: &Shaken<'_>, delivery: &Delivery, params: &Params) -> Result<Held, VerifyError> {
        verify(&shaken.handshake.verify, &Evidence { delivery, body: Some(&shaken.body), params })
    }

    /// What it hands over, by name; empty values are left out.
    pub fn captured(&self, shaken: &Shaken<'_>, delivery: &Delivery, params: &Params) -> Result<BTreeMap<String, String>, RenderError> {
        let query = pairs(&delivery.query);
        let source = Source { document: &shaken.body, scope: shaken.scope(delivery, params, &query), empty: &self.manifest.empty };
        let mut kept = BTreeMap::new();
        for (name, value) in &shaken.handshake.capture {
            let text = value.text(&source)?;
            if !text.is_empty() {
                kept.insert(name.clone(), text);
            }
        }
        Ok(kept)
    }

    /// The answer that this handshake wants.
    pub fn answer_handshake(&self, shaken: &Shaken<'_>, delivery: &Delivery, params: &Params) -> Result<ReplySpec, RenderError> {
        let query = pairs(&delivery.query);
        let scope = shaken.scope(delivery, params, &query);
        let headers = shaken.handshake.headers.iter().map(|(name, value)| Ok((name.clone(), value.render(&scope)?))).collect::<Result<Vec<_>, _>>()?;
        // A header that would be two lines, or is empty, is not sent.
        let headers = headers.into_iter().filter(|(_, value)| !value.is_empty() && !value.chars().any(char::is_control)).collect();
        Ok(ReplySpec { status: shaken.handshake.status, headers, body: shaken.handshake.body.render(&scope)? })
    }
}

impl Shaken<'_> {
    fn scope<'s>(&'s self, delivery: &'s Delivery, params: &'s Params, query: &'s [(String, String)]) -> Scope<'s> {
        Scope { params: Some(params), item: Some(&self.body), body: Some(&self.body), query: Some(query), headers: Some(&delivery.headers), ..Scope::default() }
    }
}
