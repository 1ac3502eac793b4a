//! `[[poll]]`: what to ask, what the answer holds, where to go on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use serde_json_path::{JsonPath, PathElement};

use super::Params;
use super::body::decode_json;
use super::compile::Compiler;
use super::compose::ComposeError;
use super::extract::MapContext;
use super::manifest::{At, Manifest, PollSpec, RequestKind};
use super::names::{self, Shape};
use super::plugin::Plugin;
use super::problem::did_you_mean;
use super::request::Request;
use super::template::RenderError;
use super::template_scope::Scope;
use super::value::{Condition, Source, Value, all};
use crate::domain::record::RecordRef;
use crate::domain::request::{Answer, Outbound};
use crate::domain::time::Time;

/// No CRM is asked more often.
const LEAST: Duration = Duration::from_secs(10);
const PAGES_AT_MOST: u32 = 10;

/// A compiled `[[poll]]`.
#[derive(Debug)]
pub struct Poll {
    pub name: String,
    /// The receive variant that reads what comes.
    pub variant: String,
    pub every: Duration,
    pub pages_at_most: u32,
    pub(super) conditions: Vec<Condition>,
    pub(super) request: Request,
    pub(super) items: JsonPath,
    pub(super) cursor: Option<Cursor>,
    pub(super) more: Vec<Condition>,
    pub(super) ack: Option<Ack>,
}

#[derive(Debug)]
pub struct Cursor {
    start: Value,
    value: Value,
}

#[derive(Debug)]
pub struct Ack {
    conditions: Vec<Condition>,
    request: Request,
}

/// Where a poll stands.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub cursor: &'a str,
    /// From 1.
    pub page: u32,
    pub now: Time,
}

/// What an answer holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetched {
    pub items: Vec<Json>,
    /// Where the next fetch begins, where the answer says it.
    pub cursor: Option<String>,
    /// There is a further page.
    pub more: bool,
}

/// An answer that is no answer to a poll.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PollError {
    #[error("the answer is not JSON: {0}")]
    NotJson(String),
    #[error(transparent)]
    Template(#[from] RenderError),
}

/// Compiles one.
pub fn compile(c: &mut Compiler<'_>, manifest: &Manifest, at: &At<PollSpec>, params: &Shape) -> Option<Poll> {
    let spec = at.get_ref();
    let with_token = names::with_token(params, manifest);
    let (asks, acks) = (names::poll(&with_token), names::poll_ack(&with_token));
    let name = spec.name.get_ref().clone();
    let variants = || manifest.receive.iter().map(|variant| variant.get_ref().name.get_ref().as_str());
    if !variants().any(|variant| variant == spec.variant.get_ref()) {
        let hint = did_you_mean(spec.variant.get_ref(), variants());
        c.error(&spec.variant, format!("there is no receive variant `{}`{hint}", spec.variant.get_ref()));
    }
    let every = c.duration(&spec.every);
    if every < LEAST {
        c.error(&spec.every, "a poll is made every 10s at most");
    }
    if !spec.store.is_empty() || spec.sign.is_some() {
        c.error(&spec.name, "a poll has no `store` and no `sign`");
    }
    let request = c.request(&format!("poll `{name}`"), RequestKind::Poll, &spec.name, spec.request(), &asks);
    let ack = spec.ack.as_ref().map(|ack| Ack {
        conditions: c.conditions(&ack.conditions, &acks),
        request: c.request(&format!("poll `{name}` ack"), RequestKind::Poll, &spec.name, ack.request(), &acks),
    });
    Some(Poll {
        name,
        variant: spec.variant.get_ref().clone(),
        every,
        pages_at_most: spec.pages_at_most.unwrap_or(PAGES_AT_MOST).max(1),
        conditions: c.conditions_on(names::nothing(), &spec.conditions, &asks),
        request,
        items: c.json_path(&spec.items)?,
        cursor: spec.cursor.as_ref().map(|cursor| Cursor { start: c.value(&cursor.start, &asks), value: c.value(&cursor.value, &asks) }),
        more: c.conditions(&spec.more, &asks),
        ack,
    })
}

impl Poll {
    pub fn request(&self) -> &Request {
        &self.request
    }

    pub fn ack_request(&self) -> Option<&Request> {
        self.ack.as_ref().map(|ack| &ack.request)
    }

    pub fn has_cursor(&self) -> bool {
        self.cursor.is_some()
    }

    pub fn acknowledges(&self) -> bool {
        self.ack.is_some()
    }

    /// Whether an answer says that there are further ones.
    pub fn has_pages(&self) -> bool {
        !self.more.is_empty()
    }
}

fn context(place: Place<'_>) -> Json {
    json!({"cursor": place.cursor, "page": place.page, "now": place.now.rfc3339()})
}

impl Plugin {
    pub fn polls(&self) -> &[Poll] {
        &self.polls
    }

    pub fn poll(&self, name: &str) -> Option<&Poll> {
        self.polls.iter().find(|poll| poll.name == name)
    }

    /// Whether its conditions hold for these parameters.
    pub fn polls_now(&self, poll: &Poll, params: &Params) -> bool {
        let empty = Json::Null;
        let source = Source { document: &empty, scope: Scope { params: Some(params), ..Scope::default() }, empty: &self.manifest.empty };
        self.in_mode(&poll.request, params) && all(&poll.conditions, &source).unwrap_or(false)
    }

    /// Whether records are fetched at all: such a connection needs no webhook.
    pub fn fetches(&self, params: &Params) -> bool {
        self.polls.iter().any(|poll| self.polls_now(poll, params))
    }

    /// Where the very first fetch begins.
    pub fn poll_start(&self, poll: &Poll, place: Place<'_>, params: &Params) -> Result<String, RenderError> {
        let context = context(place);
        let scope = Scope { params: Some(params), whole: Some(&context), ..Scope::default() };
        let source = Source { document: &context, scope, empty: &self.manifest.empty };
        poll.cursor.as_ref().map_or_else(|| Ok(String::new()), |cursor| cursor.start.text(&source))
    }

    pub fn compose_poll(&self, poll: &Poll, place: Place<'_>, params: &Params, bases: &BTreeMap<String, String>) -> Result<Outbound, ComposeError> {
        let context = context(place);
        self.request(&poll.request, &Scope { params: Some(params), whole: Some(&context), ..Scope::default() }, params, bases)
    }

    /// Reads a good answer.
    pub fn read_poll(&self, poll: &Poll, answer: &Answer, place: Place<'_>, params: &Params) -> Result<Fetched, PollError> {
        let body = decode_json(&answer.body).map_err(|error| PollError::NotJson(error.detail))?;
        let context = context(place);
        let scope = Scope { params: Some(params), whole: Some(&context), headers: Some(&answer.headers), ..Scope::default() };
        let source = Source { document: &body, scope, empty: &self.manifest.empty };
        let items: Vec<Json> = poll.items.query(&body).into_iter().cloned().collect();
        let cursor = match &poll.cursor {
            Some(cursor) if !items.is_empty() => Some(cursor.value.text(&source)?).filter(|cursor| !cursor.is_empty()),
            _ => None,
        };
        let more = !poll.more.is_empty() && !items.is_empty() && all(&poll.more, &source)?;
        Ok(Fetched { items, cursor, more })
    }

    /// The items of a stored answer again, in the order in which they are acknowledged.
    pub fn poll_items(&self, poll: &Poll, body: &[u8]) -> Vec<Json> {
        decode_json(body).map(|body| poll.items.query(&body).into_iter().cloned().collect()).unwrap_or_default()
    }

    /// Which record each item of an answer is, as the variant reads it; nothing where it does not say, or divides the answer otherwise.
    pub fn poll_records(&self, poll: &Poll, body: &[u8], params: &Params) -> Vec<RecordRef> {
        let Ok(body) = decode_json(body) else { return Vec::new() };
        let items = poll.items.query(&body).len();
        let unknown = || vec![RecordRef::default(); items];
        let Some((variant, pieces)) = self.variant(&poll.variant).and_then(|variant| Some((variant, self.split(variant, &body).ok()?))) else {
            return unknown();
        };
        if pieces.len() != items {
            return unknown();
        }
        let context = MapContext { params, body: &body, query: "", headers: &[], lookups: &Map::new() };
        pieces.iter().map(|piece| self.map(variant, piece, &context).map(|mapped| mapped.record).unwrap_or_default()).collect()
    }

    /// The answer without these of its items.
    pub fn poll_without(&self, poll: &Poll, body: &[u8], left_out: &BTreeSet<usize>) -> Vec<u8> {
        let Ok(mut body) = decode_json(body) else { return Vec::new() };
        let mut places: Vec<(String, Option<usize>, String)> = Vec::new();
        for (_, node) in poll.items.query_located(&body).iter().enumerate().filter(|(n, _)| left_out.contains(n)) {
            let (index, name) = match node.location().iter().last() {
                Some(PathElement::Index(index)) => (Some(*index), String::new()),
                Some(PathElement::Name(name)) => (None, (*name).to_owned()),
                None => continue,
            };
            let whole = node.location().to_json_pointer();
            places.push((whole.rsplit_once('/').unwrap_or_default().0.to_owned(), index, name));
        }
        places.sort();
        places.dedup();
        // From the end, so that the places before it stay true.
        for (parent, index, name) in places.iter().rev() {
            match (body.pointer_mut(parent), index) {
                (Some(Json::Array(list)), Some(index)) if *index < list.len() => drop(list.remove(*index)),
                (Some(Json::Object(map)), None) => drop(map.remove(name)),
                _ => {}
            }
        }
        body.to_string().into_bytes()
    }

    /// Whether the CRM is told that this item was taken.
    pub fn wants_ack(&self, poll: &Poll, item: &Json, place: Place<'_>, params: &Params) -> Result<bool, ComposeError> {
        let Some(ack) = poll.ack.as_ref().filter(|ack| self.in_mode(&ack.request, params)) else { return Ok(false) };
        let context = context(place);
        let scope = Scope { params: Some(params), whole: Some(&context), item: Some(item), ..Scope::default() };
        let source = Source { document: item, scope, empty: &self.manifest.empty };
        all(&ack.conditions, &source).map_err(|source| ComposeError::Template { place: ack.request.place.clone(), source })
    }

    /// Tells the CRM that an item was taken.
    pub fn compose_ack(
        &self,
        request: &Request,
        item: &Json,
        place: Place<'_>,
        params: &Params,
        bases: &BTreeMap<String, String>,
    ) -> Result<Outbound, ComposeError> {
        let context = context(place);
        let scope = Scope { params: Some(params), whole: Some(&context), item: Some(item), ..Scope::default() };
        self.request(request, &scope, params, bases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::load::load;

    const MANIFEST: &str = r#"
spec = 1
id = "fetcher"
name = "Fetcher"
[[parameters]]
id = "how"
title = { vi = "Cách", en = "How" }
default = "push"
[modes]
pull = { value = "{{param.how}}", to = "pull" }
acks = { value = "{{param.how}}", to = "never" }
[bases.api]
url = "https://crm.example.vn"
allow_hosts = ["crm.example.vn"]
[[poll]]
name = "leads"
mode = "pull"
variant = "polled"
every = "1m"
path = "/leads"
items = "$[*]"
[poll.ack]
mode = "acks"
path = "/taken"
[[receive]]
name = "polled"
methods = []
[receive.map]
phone = "$.phone"
"#;

    #[test]
    fn a_poll_is_made_and_told_of_in_its_modes_only() {
        let plugin = load("fetcher", [("plugin.toml".to_owned(), MANIFEST.as_bytes().to_vec())].into()).unwrap();
        let poll = plugin.poll("leads").unwrap();
        let params = |how: &str| plugin.with_defaults(&[("how".to_owned(), how.to_owned())].into());
        assert!(!plugin.polls_now(poll, &plugin.with_defaults(&Params::new())));
        assert!(plugin.polls_now(poll, &params("pull")));
        let place = Place { cursor: "", page: 1, now: Time(0) };
        assert!(!plugin.wants_ack(poll, &json!({}), place, &params("pull")).unwrap());
        assert!(plugin.wants_ack(poll, &json!({}), place, &params("never")).unwrap());
    }

    #[test]
    fn items_are_named_by_their_records_and_can_be_left_out() {
        let manifest = MANIFEST.replace("items = \"$[*]\"", "items = \"$.data[*]\"");
        let manifest = manifest.replace("[receive.map]", "[receive.items]\nsplit = \"$.data[*]\"\n[receive.map]\nrecord_type = \"lead\"\nrecord_id = \"$.id\"");
        let plugin = load("fetcher", [("plugin.toml".to_owned(), manifest.into_bytes())].into()).unwrap();
        let (poll, params) = (plugin.poll("leads").unwrap(), plugin.with_defaults(&Params::new()));
        let body = br#"{"data": [{"id": 1}, {"id": 2}, {"id": 18446744073709551616}, {"no": 4}], "next": "x"}"#;
        let ids: Vec<String> = plugin.poll_records(poll, body, &params).into_iter().map(|record| record.id).collect();
        assert_eq!(ids, ["1", "2", "18446744073709551616", ""]);
        let rest: Json = serde_json::from_slice(&plugin.poll_without(poll, body, &[0, 1, 3].into())).unwrap();
        assert_eq!(rest, json!({"data": [{"id": "18446744073709551616"}], "next": "x"}));
    }
}
