//! From bytes to fields: decode a body, split it into items, read what is wanted of one.

use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use super::Params;
use super::body::{self, Format, ParseError, Reading, query_value, unreadable};
use super::manifest::{BodyKind, Content, Field};
use super::plugin::{Ignore, Mapping, OccurredAt, Plugin, TimeUnit, Variant};
use super::template::{RenderError, Scope};
use super::value::{Source, all};
use crate::domain::event::Delivery;
use crate::domain::record::{Customer, Gender, RecordRef};
use crate::domain::time::Time;
use crate::error::Code;

/// The most items of one delivery.
pub const MAX_ITEMS: usize = 500;

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
    pub fn select(&self, delivery: &Delivery) -> Result<Selected<'_>, Code> {
        let mut body: Option<Json> = None;
        let mut parsed_as = None;
        let mut wrong_method = false;
        for variant in &self.variants {
            let place = variant.select.tail.as_ref().is_none_or(|tail| tail == &delivery.tail);
            if !place || !variant.select.query.iter().all(|(name, value)| query_value(&delivery.query, name).as_deref() == Some(value)) {
                continue;
            }
            if !variant.methods.iter().any(|method| method == &delivery.method) {
                wrong_method = true;
                continue;
            }
            let kind = body::format(format_of(variant.body), delivery);
            let wanted = variant.select.content.map(|content| content == Content::Array);
            if wanted.is_some_and(|list| body::is_list(kind, delivery) != Some(list)) {
                continue;
            }
            if let Some(has) = &variant.select.has {
                if parsed_as != Some(kind) {
                    parsed_as = Some(kind);
                    body = self.parse(variant, delivery).ok();
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
        body::decode(Reading { format: format_of(variant.body), json_fields: &[], lists: &[] }, delivery)
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
        mapped.ignored = ignored(&variant.ignore, &source).map_err(|source| MapError { field: "ignore", source })?;
        Ok(mapped)
    }
}

fn ignored(rules: &[Ignore], source: &Source<'_>) -> Result<Option<&'static str>, RenderError> {
    for rule in rules {
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

fn format_of(kind: BodyKind) -> Option<Format> {
    match kind {
        BodyKind::Json => Some(Format::Json),
        BodyKind::Form => Some(Format::Form),
        BodyKind::Query => Some(Format::Query),
        BodyKind::Multipart => Some(Format::Multipart),
        BodyKind::Xml => Some(Format::Xml),
        BodyKind::Sniff => None,
    }
}
