//! From bytes to fields: decode a body, split it into items, read what is wanted of one.

use std::collections::BTreeMap;

use percent_encoding::percent_decode;
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use super::Params;
use super::manifest::{BodyKind, Content, Field};
use super::modes::in_mode;
use super::plugin::{Ignore, Mapping, OccurredAt, Plugin, TimeUnit, Variant};
use super::template::{RenderError, Scope};
use super::value::{Source, all};
use crate::domain::event::Delivery;
use crate::domain::record::{Customer, Gender, RecordRef};
use crate::domain::time::Time;
use crate::error::Code;

/// The deepest nesting that is read.
pub const MAX_DEPTH: usize = 64;
/// The most items of one delivery.
pub const MAX_ITEMS: usize = 500;
/// The most pairs of one form.
const MAX_PAIRS: usize = 2_000;

/// A body that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct ParseError {
    pub code: Code,
    pub detail: String,
}

fn unreadable(code: Code, detail: impl Into<String>) -> ParseError {
    ParseError { code, detail: detail.into() }
}

/// The variant that fits, and the body if it had to be read to know that.
#[derive(Debug)]
pub struct Selected<'a> {
    pub variant: &'a Variant,
    pub body: Option<Json>,
}

/// What is around one item.
#[derive(Debug, Clone, Copy)]
pub struct MapContext<'a> {
    pub params: &'a Params,
    pub body: &'a Json,
    /// The raw query string.
    pub query: &'a str,
    /// Names in lower case.
    pub headers: &'a [(String, String)],
    /// Answers of look-ups, by name.
    pub lookups: &'a Map<String, Json>,
}

/// What was read of one item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mapped {
    /// As the manifest says, else a hash of the item.
    pub event_id: Option<String>,
    pub occurred_at: Option<Time>,
    pub interactive: bool,
    pub record: RecordRef,
    pub owner: Option<String>,
    pub customer: Customer,
    pub consent: Option<bool>,
    /// `own_write` or `filter`.
    pub ignored: Option<&'static str>,
    /// What write-back needs of the delivery, by name.
    pub kept: BTreeMap<String, String>,
}

impl Mapped {
    pub(super) fn lacks(&self, field: Field) -> bool {
        match field {
            Field::RecordType => self.record.kind.is_empty(),
            Field::RecordId => self.record.id.is_empty(),
            Field::Owner => self.owner.is_none(),
            Field::Phone => self.customer.phone.is_empty(),
            Field::Name => self.customer.name.is_empty(),
            Field::Gender => self.customer.gender.is_none(),
            Field::Info => self.customer.info.is_empty(),
            Field::Consent => self.consent.is_none(),
        }
    }
}

/// A map entry whose template failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {source}")]
pub struct MapError {
    pub field: &'static str,
    pub source: RenderError,
}

impl Plugin {
    /// The first variant that fits. The body is parsed only where a condition needs its content.
    pub fn select(&self, delivery: &Delivery, params: &Params) -> Result<Selected<'_>, Code> {
        let mut body: Option<Json> = None;
        let mut parsed_as = None;
        let mut wrong_method = false;
        for variant in self.variants.iter().filter(|variant| in_mode(&variant.modes, params)) {
            let place = variant.select.tail.as_ref().is_none_or(|tail| tail == &delivery.tail);
            if !place || !variant.select.query.iter().all(|(name, value)| query_value(&delivery.query, name).as_deref() == Some(value)) {
                continue;
            }
            if !variant.methods.iter().any(|method| method == &delivery.method) {
                wrong_method = true;
                continue;
            }
            if variant.select.content.is_some_and(|content| shape(variant.body, delivery) != Some(content)) {
                continue;
            }
            let kind = sniffed(variant.body, delivery);
            if let Some(has) = &variant.select.has {
                if parsed_as != Some(kind) {
                    parsed_as = Some(kind);
                    body = decode(kind, delivery).ok();
                }
                if body.as_ref().is_none_or(|body| has.query(body).is_empty()) {
                    continue;
                }
            }
            // What one variant parsed to look into, the next need not parse again.
            let body = if parsed_as == Some(kind) { body } else { None };
            return Ok(Selected { variant, body });
        }
        Err(if wrong_method { Code::MethodNotAllowed } else { Code::NoVariant })
    }

    /// Whether the delivery is believed. Its own time counts as now.
    pub fn verify(&self, variant: &Variant, delivery: &Delivery, params: &Params) -> Result<(), super::verify::VerifyError> {
        super::verify::verify(&variant.verify, delivery, params)
    }

    /// Decodes the body as the variant says.
    pub fn parse(&self, variant: &Variant, delivery: &Delivery) -> Result<Json, ParseError> {
        decode(variant.body, delivery)
    }

    /// The items inside a body; at most 500.
    pub fn split(&self, variant: &Variant, body: Json) -> Result<Vec<Json>, ParseError> {
        let items = match (&variant.split, body) {
            (None, body) => vec![body],
            (Some((_, true)), Json::Array(list)) => list,
            (Some((path, _)), body) => path.query(&body).all().into_iter().cloned().collect(),
        };
        match items.len() {
            0..=MAX_ITEMS => Ok(items),
            n => Err(unreadable(Code::TooManyItems, format!("{n} records"))),
        }
    }

    /// Reads an item: before look-ups, so only what it says itself.
    pub fn map(&self, variant: &Variant, item: &Json, context: &MapContext<'_>) -> Result<Mapped, MapError> {
        let query: Vec<(String, String)> = url::form_urlencoded::parse(context.query.as_bytes()).into_owned().collect();
        let scope = Scope {
            params: Some(context.params),
            item: Some(item),
            body: Some(context.body),
            query: Some(&query),
            headers: Some(context.headers),
            lookups: Some(context.lookups),
            ..Scope::default()
        };
        let source = Source { document: item, scope, empty: &self.manifest.empty };
        let mut mapped = Mapped::default();
        fill(&variant.map, &source, &mut mapped)?;
        if mapped.event_id.is_none() {
            mapped.event_id = Some(item_hash(&variant.name, item));
        }
        for (name, value) in &variant.keep {
            let text = value.text(&source).map_err(|source| MapError { field: "keep", source })?;
            if !text.is_empty() {
                mapped.kept.insert(name.clone(), text);
            }
        }
        mapped.ignored = ignored(&variant.ignore, &source).map_err(|source| MapError { field: "ignore", source })?;
        Ok(mapped)
    }
}

fn ignored(rules: &[Ignore], source: &Source<'_>) -> Result<Option<&'static str>, RenderError> {
    for rule in rules.iter().filter(|rule| source.scope.params.is_none_or(|params| in_mode(&rule.modes, params))) {
        if all(&rule.conditions, source)? {
            return Ok(Some(rule.code));
        }
    }
    Ok(None)
}

/// Fills what is still empty.
pub(super) fn fill(map: &Mapping, source: &Source<'_>, mapped: &mut Mapped) -> Result<(), MapError> {
    let text = |field: &'static str, value: &Option<super::value::Value>| match value {
        Some(value) => value.text(source).map_err(|source| MapError { field, source }),
        None => Ok(String::new()),
    };
    let set = |slot: &mut String, new: String| {
        if slot.is_empty() {
            *slot = new;
        }
    };
    let optional = |text: String| Some(text).filter(|text| !text.is_empty());
    mapped.event_id = mapped.event_id.take().or(optional(text("event_id", &map.event_id)?));
    mapped.interactive |= text("priority", &map.priority)? == "interactive";
    set(&mut mapped.record.kind, text("record_type", &map.record_type)?);
    set(&mut mapped.record.id, text("record_id", &map.record_id)?);
    mapped.owner = mapped.owner.take().or(optional(text("owner", &map.owner)?));
    set(&mut mapped.customer.phone, text("phone", &map.phone)?);
    set(&mut mapped.customer.name, text("name", &map.name)?.split_whitespace().collect::<Vec<_>>().join(" "));
    let info = [text("info", &map.info)?, text("note", &map.note)?];
    set(&mut mapped.customer.info, info.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" · "));
    if let (None, Some(gender)) = (mapped.customer.gender, &map.gender) {
        let word = gender.value.text(source).map_err(|source| MapError { field: "gender", source })?.to_lowercase();
        let own = gender.table.as_ref().map(|(name, tables)| tables.find(name, &word, source.scope.params));
        let word = own.as_ref().and_then(Json::as_str).map_or(word, str::to_owned);
        mapped.customer.gender = gender.words.iter().find(|(_, words)| words.contains(&word)).map(|(gender, _)| *gender);
    }
    if let (None, Some(consent)) = (mapped.consent, &map.consent) {
        mapped.consent = consent.truth(source).map_err(|source| MapError { field: "consent", source })?;
    }
    if let (None, Some(at)) = (mapped.occurred_at, &map.occurred_at) {
        let given = at.value.text(source).map_err(|source| MapError { field: "occurred_at", source })?;
        mapped.occurred_at = read_moment(at, &given);
    }
    Ok(())
}

/// Words of genders where the manifest names none.
pub(super) fn usual_genders() -> Vec<(Gender, Vec<String>)> {
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    vec![
        (Gender::Male, words(&["nam", "male", "m", "man", "mr", "mr.", "ông", "anh"])),
        (Gender::Female, words(&["nữ", "nu", "female", "f", "woman", "ms", "ms.", "mrs", "mrs.", "miss", "bà", "chị", "cô"])),
        (Gender::Company, words(&["công ty", "cong ty", "company"])),
    ]
}

/// A moment nobody can read is no moment: the arrival counts then.
fn read_moment(at: &OccurredAt, text: &str) -> Option<Time> {
    if text.is_empty() {
        return None;
    }
    match &at.unit {
        TimeUnit::Ms => text.parse().ok().map(Time),
        TimeUnit::S => text.parse::<i64>().ok().map(|s| Time(s.saturating_mul(1000))),
        TimeUnit::Rfc3339 => Time::parse_rfc3339(text),
        TimeUnit::Pattern(pattern) => {
            let parsed = jiff::fmt::strtime::parse(pattern, text).ok()?;
            let moment = parsed.to_timestamp().ok().or_else(|| {
                let zoned = parsed.to_datetime().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
                Some(zoned.timestamp())
            });
            moment.map(|t| Time(t.as_millisecond()))
        }
    }
}

/// The id of an item that has none: the same delivery again gives the same.
fn item_hash(variant: &str, item: &Json) -> String {
    let mut hash = Sha256::new();
    hash.update(variant);
    hash.update([0]);
    hash.update(item.to_string());
    format!("sha256:{}", hex::encode(&hash.finalize()[..16]))
}

fn query_value(query: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes()).find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}

/// What kind of JSON a body begins like.
fn peek(body: &[u8]) -> Option<Content> {
    match without_bom(body).iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => Some(Content::Array),
        Some(b'{') => Some(Content::Object),
        _ => None,
    }
}

/// Whether the body is a list or one record; a form always is one record.
fn shape(kind: BodyKind, delivery: &Delivery) -> Option<Content> {
    match kind {
        BodyKind::Json => peek(&delivery.body),
        BodyKind::Form | BodyKind::Multipart | BodyKind::Xml | BodyKind::Query => Some(Content::Object),
        BodyKind::Sniff => peek(&delivery.body).or(Some(Content::Object)),
    }
}

fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// JSON where a body of any kind turns out to be JSON.
fn sniffed(kind: BodyKind, delivery: &Delivery) -> BodyKind {
    let content_type = content_type(delivery);
    let json = kind == BodyKind::Sniff && !content_type.contains("multipart/") && !content_type.contains("form-urlencoded") && peek(&delivery.body).is_some();
    if json { BodyKind::Json } else { kind }
}

fn content_type(delivery: &Delivery) -> String {
    delivery.header("content-type").unwrap_or_default().to_ascii_lowercase()
}

fn decode(kind: BodyKind, delivery: &Delivery) -> Result<Json, ParseError> {
    let content_type = content_type(delivery);
    match kind {
        BodyKind::Json => decode_json(&delivery.body).map_err(|error| match error.code {
            Code::BadJson if content_type.contains("form") || content_type.contains("xml") => {
                unreadable(Code::WrongContentType, format!("`{content_type}`, expected JSON"))
            }
            _ => error,
        }),
        BodyKind::Form => decode_form(&delivery.body),
        BodyKind::Query => decode_form(delivery.query.as_bytes()),
        BodyKind::Multipart | BodyKind::Xml => Err(unreadable(Code::WrongContentType, "multipart and XML bodies are not read")),
        BodyKind::Sniff => match (peek(&delivery.body), content_type.contains("form-urlencoded")) {
            _ if content_type.contains("multipart/") => Err(unreadable(Code::WrongContentType, "multipart bodies are not read")),
            (None, false) if !delivery.body.is_empty() && !may_be_a_form(&content_type) => {
                Err(unreadable(Code::WrongContentType, format!("`{content_type}`, expected JSON or a form")))
            }
            (None, _) if delivery.body.is_empty() => decode_form(delivery.query.as_bytes()),
            (_, true) | (None, _) => decode_form(&delivery.body),
            (Some(_), false) => decode_json(&delivery.body),
        },
    }
}

/// Scripts that post a form say nothing, `text/plain` or JSON as often as the right type; XML or a picture is never a form.
fn may_be_a_form(content_type: &str) -> bool {
    content_type.is_empty() || content_type.starts_with("text/plain") || content_type.contains("json")
}

/// One JSON document in UTF-8, at most 64 levels deep.
pub fn decode_json(body: &[u8]) -> Result<Json, ParseError> {
    let body = without_bom(body);
    let text = std::str::from_utf8(body).map_err(|error| unreadable(Code::BadEncoding, format!("byte {}", error.valid_up_to())))?;
    if too_deep(body) {
        return Err(unreadable(Code::TooDeep, format!("more than {MAX_DEPTH} levels")));
    }
    serde_json::from_str(text).map_err(|error| unreadable(Code::BadJson, format!("line {} column {}", error.line(), error.column())))
}

/// Counts brackets outside strings, before anything is built.
fn too_deep(body: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in body {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// A form, with PHP's brackets unfolded: `a[b][c]=v`, `a[]=v`; a repeated plain name gives a list.
pub fn decode_form(body: &[u8]) -> Result<Json, ParseError> {
    let mut root = Map::new();
    for (count, pair) in without_bom(body).split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).enumerate() {
        if count >= MAX_PAIRS {
            return Err(unreadable(Code::BadForm, format!("more than {MAX_PAIRS} fields")));
        }
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = (form_text(&pair[..at])?, form_text(pair.get(at + 1..).unwrap_or_default())?);
        let keys = form_keys(&name);
        if keys.len() > MAX_DEPTH {
            return Err(unreadable(Code::TooDeep, format!("more than {MAX_DEPTH} levels")));
        }
        insert(&mut root, &keys, value);
    }
    let mut json = Json::Object(root);
    lists(&mut json, true);
    Ok(json)
}

fn form_text(bytes: &[u8]) -> Result<String, ParseError> {
    let spaced: Vec<u8> = bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let decoded = percent_decode(&spaced).decode_utf8().map_err(|_| unreadable(Code::BadEncoding, "a form field is not UTF-8"))?;
    Ok(decoded.into_owned())
}

/// `a[b][]` → `a`, `b`, ``.
fn form_keys(name: &str) -> Vec<String> {
    let Some((first, rest)) = name.split_once('[').filter(|(first, rest)| !first.is_empty() && rest.ends_with(']')) else { return vec![name.to_owned()] };
    let inner = rest.strip_suffix(']').unwrap_or(rest);
    std::iter::once(first).chain(inner.split("][")).map(str::to_owned).collect()
}

fn insert(map: &mut Map<String, Json>, keys: &[String], value: String) {
    let Some((key, rest)) = keys.split_first() else { return };
    let key = if key.is_empty() { map.len().to_string() } else { key.clone() };
    if rest.is_empty() {
        match map.get_mut(&key) {
            Some(Json::Array(list)) => list.push(value.into()),
            Some(old) => *old = Json::Array(vec![old.take(), value.into()]),
            None => {
                map.insert(key, value.into());
            }
        }
        return;
    }
    let slot = map.entry(key).or_insert_with(|| Json::Object(Map::new()));
    if !slot.is_object() {
        *slot = Json::Object(Map::new());
    }
    if let Json::Object(inner) = slot {
        insert(inner, rest, value);
    }
}

/// Makes lists of the maps whose keys are 0, 1, 2 …
fn lists(json: &mut Json, root: bool) {
    let Json::Object(map) = json else { return };
    map.values_mut().for_each(|value| lists(value, false));
    if !root && !map.is_empty() && map.keys().enumerate().all(|(index, key)| *key == index.to_string()) {
        *json = Json::Array(std::mem::take(map).into_iter().map(|(_, value)| value).collect());
    }
}
