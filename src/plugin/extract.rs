//! From bytes to fields: decode a body, split it into items, read what is wanted of one.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use super::Params;
use super::body::{self, ParseError};
use super::manifest::Field;
use super::modes::in_mode;
use super::plugin::{Changed, Ignore, Mapping, OccurredAt, Plugin, TimeUnit, Variant};
use super::select::{Misfit, Peeked, Select, pairs};
use super::split::{Piece, pieces};
use super::template::RenderError;
use super::template_scope::Scope;
use super::value::{Source, all, text_of};
use super::verify::{Evidence, Held, Scheme, VerifyError, verify};
use crate::domain::event::Delivery;
use crate::domain::record::{Customer, Gender, RecordRef};
use crate::domain::time::Time;
use crate::error::Code;

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
    /// What write-back needs of the delivery.
    pub keep: BTreeMap<String, String>,
    /// What a trigger may test beside these fields.
    pub fields: BTreeMap<String, String>,
    /// Which fields changed, where the CRM says so.
    pub changed: Option<Vec<String>>,
    /// Ignored for so long after a write of ours to the same record.
    pub quiet: Option<Duration>,
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
        let mut peeked = Peeked::default();
        let mut wrong_method = false;
        for variant in self.variants.iter().filter(|variant| in_mode(&variant.modes, params)) {
            match variant.select.fits(delivery, params, &self.manifest.empty, &mut peeked) {
                Ok(()) => return Ok(Selected { variant, body: peeked.take(&variant.select, delivery) }),
                // A variant that nothing can be sent to, as polled items, is no other method.
                Err(misfit) => wrong_method |= misfit == Misfit::Method && !variant.select.methods.is_empty(),
            }
        }
        Err(if wrong_method { Code::MethodNotAllowed } else { Code::NoVariant })
    }

    /// Whether the delivery is believed, and by which scheme. Its own time counts as now. `body`: where it was read already.
    pub fn verify(&self, variant: &Variant, delivery: &Delivery, body: Option<&Json>, params: &Params) -> Result<Held, VerifyError> {
        let read = match body {
            None if variant.verify.iter().any(Scheme::reads_body) => self.parse(variant, delivery).ok(),
            _ => None,
        };
        verify(&variant.verify, &Evidence { delivery, body: body.or(read.as_ref()), params })
    }

    /// Decodes the body as the variant says.
    pub fn parse(&self, variant: &Variant, delivery: &Delivery) -> Result<Json, ParseError> {
        body::decode(variant.select.reading(), delivery)
    }

    /// Where the items are inside a body; at most 500.
    pub fn split(&self, variant: &Variant, body: &Json) -> Result<Vec<Piece>, ParseError> {
        pieces(&variant.split, body)
    }

    /// Reads an item: before look-ups, so only what it says itself.
    pub fn map(&self, variant: &Variant, piece: &Piece, context: &MapContext<'_>) -> Result<Mapped, MapError> {
        let query = pairs(context.query);
        let item = piece.item(context.body);
        let around = json!({"place": piece.keys});
        let scope = Scope {
            params: Some(context.params),
            item: Some(item),
            parent: Some(piece.parent(context.body)),
            body: Some(context.body),
            query: Some(&query),
            headers: Some(context.headers),
            lookups: Some(context.lookups),
            whole: Some(&around),
            ..Scope::default()
        };
        let source = Source { document: item, scope, empty: &self.manifest.empty };
        let mut mapped = Mapped { quiet: variant.quiet, ..Mapped::default() };
        fill(&variant.map, &source, &mut mapped)?;
        if mapped.event_id.is_none() {
            mapped.event_id = Some(item_hash(&variant.name, piece, item));
        }
        mapped.keep = texts(&variant.keep, &source, "keep")?;
        mapped.fields = texts(&variant.fields, &source, "fields")?;
        mapped.changed = variant.changed.as_ref().map(|changed| changed.fields(item));
        mapped.ignored = ignored(&variant.ignore, &source).map_err(|source| MapError { field: "ignore", source })?;
        if mapped.ignored.is_none() && only_ours(&variant.only_changed, mapped.changed.as_deref()) {
            mapped.ignored = Some("own_write");
        }
        Ok(mapped)
    }
}

pub(super) fn texts(values: &BTreeMap<String, super::value::Value>, source: &Source<'_>, field: &'static str) -> Result<BTreeMap<String, String>, MapError> {
    let text = |value: &super::value::Value| value.text(source).map_err(|source| MapError { field, source });
    values.iter().map(|(name, value)| Ok((name.clone(), text(value)?))).collect()
}

/// Whether nothing but fields that we write ourselves changed. Where nobody knows what changed, it may be anything.
fn only_ours(ours: &[String], changed: Option<&[String]>) -> bool {
    !ours.is_empty() && changed.is_some_and(|changed| !changed.is_empty() && changed.iter().all(|name| ours.contains(name)))
}

impl Changed {
    fn fields(&self, item: &Json) -> Vec<String> {
        match self {
            Changed::Names(path) => path.query(item).all().into_iter().map(text_of).filter(|name| !name.is_empty()).collect(),
            Changed::Keys(paths) => {
                paths.iter().flat_map(|path| path.query(item).all()).filter_map(Json::as_object).flat_map(|map| map.keys().cloned()).collect()
            }
        }
    }
}

/// Reads a body where it was not read on the way.
pub(super) trait ParseOr {
    fn or_parse(self, select: &Select, delivery: &Delivery) -> Result<Json, ParseError>;
}

impl ParseOr for Option<Json> {
    fn or_parse(self, select: &Select, delivery: &Delivery) -> Result<Json, ParseError> {
        self.map_or_else(|| body::decode(select.reading(), delivery), Ok)
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
        let zone = at.zone.as_ref().map(|zone| zone.text(source)).transpose().map_err(|source| MapError { field: "occurred_at", source })?;
        mapped.occurred_at = read_moment(at, &given, zone.as_deref().unwrap_or_default());
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
fn read_moment(at: &OccurredAt, text: &str, zone: &str) -> Option<Time> {
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
                let zone = if zone.is_empty() { jiff::tz::TimeZone::UTC } else { jiff::tz::TimeZone::get(zone).ok()? };
                let zoned = parsed.to_datetime().ok()?.to_zoned(zone).ok()?;
                Some(zoned.timestamp())
            });
            moment.map(|t| Time(t.as_millisecond()))
        }
    }
}

/// The id of an item that has none: the same delivery again gives the same, and two of one batch that say the same do too.
fn item_hash(variant: &str, piece: &Piece, item: &Json) -> String {
    let mut hash = Sha256::new();
    hash.update(variant);
    hash.update([0]);
    hash.update(item.to_string());
    // What the keys on the way say belongs to the item; at which place of a list it stood does not.
    for key in piece.keys.iter().filter(|key| key.parse::<usize>().is_err()) {
        hash.update([0]);
        hash.update(key);
    }
    format!("sha256:{}", hex::encode(&hash.finalize()[..16]))
}
