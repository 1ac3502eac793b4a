//! Which variant or handshake a delivery is for: by method, tail, query, header, hook and content.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use serde_json_path::JsonPath;

use super::Params;
use super::body::{self, Format, Reading, query_value};
use super::manifest::Content;
use super::template_scope::Scope;
use super::value::{Condition, Source, all};
use crate::domain::event::Delivery;

/// Every given part must fit.
#[derive(Debug, Default)]
pub struct Select {
    pub methods: Vec<String>,
    pub tail: Option<String>,
    pub content: Option<Content>,
    pub has: Option<JsonPath>,
    pub query: BTreeMap<String, String>,
    /// By lower-case name.
    pub header: BTreeMap<String, String>,
    pub hook: Option<String>,
    pub conditions: Vec<Condition>,
    pub format: Option<Format>,
    pub json_fields: Vec<String>,
    pub lists: Vec<String>,
}

/// Why a delivery does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// Everything about its address fits, but not the method.
    Method,
    Other,
}

/// A body that was read on the way, with how it was read: the next reader may want it the same way.
#[derive(Debug, Default)]
pub struct Peeked {
    read: Option<Read>,
}

/// Format, JSON fields, lists, and the body if it could be read so.
type Read = (Option<Format>, Vec<String>, Vec<String>, Option<Json>);

impl Peeked {
    fn body(&mut self, select: &Select, delivery: &Delivery) -> Option<&Json> {
        let same = self.read.as_ref().is_some_and(|(format, fields, lists, _)| {
            *format == Some(body::format(select.format, delivery)) && *fields == select.json_fields && *lists == select.lists
        });
        if !same {
            let body = body::decode(select.reading(), delivery).ok();
            self.read = Some((Some(body::format(select.format, delivery)), select.json_fields.clone(), select.lists.clone(), body));
        }
        self.read.as_ref().and_then(|(.., body)| body.as_ref())
    }

    /// The body as this selector's owner reads it, if it was read so.
    pub fn take(self, select: &Select, delivery: &Delivery) -> Option<Json> {
        let (format, fields, lists, body) = self.read?;
        let same = format == Some(body::format(select.format, delivery)) && fields == select.json_fields && lists == select.lists;
        body.filter(|_| same)
    }
}

impl Select {
    pub fn reading(&self) -> Reading<'_> {
        Reading { format: self.format, json_fields: &self.json_fields, lists: &self.lists }
    }

    /// Whether this delivery fits. The body is read only where a part looks into it.
    pub fn fits(&self, delivery: &Delivery, params: &Params, empty: &[String], peeked: &mut Peeked) -> Result<(), Misfit> {
        let place = self.tail.as_ref().is_none_or(|tail| tail.trim_matches('/') == delivery.tail)
            && self.hook.as_ref().is_none_or(|hook| params.get("hook.kind").or(params.get("hook.name")) == Some(hook))
            && self.query.iter().all(|(name, value)| query_value(&delivery.query, name).as_ref() == Some(value))
            && self.header.iter().all(|(name, value)| delivery.header(name).is_some_and(|found| found.trim() == value));
        if !place {
            return Err(Misfit::Other);
        }
        if !self.methods.contains(&delivery.method) {
            return Err(Misfit::Method);
        }
        let list = self.content.map(|content| content == Content::Array);
        if list.is_some_and(|list| body::is_list(body::format(self.format, delivery), delivery) != Some(list)) {
            return Err(Misfit::Other);
        }
        if self.has.is_none() && self.conditions.is_empty() {
            return Ok(());
        }
        let inside = peeked.body(self, delivery).is_some_and(|body| {
            self.has.as_ref().is_none_or(|has| !has.query(body).is_empty()) && (self.conditions.is_empty() || self.holds(body, delivery, params, empty))
        });
        if inside { Ok(()) } else { Err(Misfit::Other) }
    }

    fn holds(&self, body: &Json, delivery: &Delivery, params: &Params, empty: &[String]) -> bool {
        let query = pairs(&delivery.query);
        let scope =
            Scope { params: Some(params), item: Some(body), body: Some(body), query: Some(&query), headers: Some(&delivery.headers), ..Scope::default() };
        all(&self.conditions, &Source { document: body, scope, empty }).unwrap_or(false)
    }
}

/// The pairs of a raw query string.
pub fn pairs(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}
