//! Forms: pairs whose names may be paths in PHP's brackets, `a[b][c]=v`, `a[]=v`.

use std::borrow::Cow;

use percent_encoding::percent_decode;
use serde_json::{Map, Value as Json};

use super::charset;
use super::limits::{Budget, MAX_DEPTH, MAX_PAIRS, ParseError, too_deep, unreadable};
use crate::error::Code;

/// `application/x-www-form-urlencoded`, or a query string.
pub fn decode(body: &[u8], declared: Option<&str>) -> Result<Json, ParseError> {
    let mut fields = Fields::new();
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = (decoded(&pair[..at], declared)?, decoded(pair.get(at + 1..).unwrap_or_default(), declared)?);
        fields.add(&name, Json::String(visible(value.into_owned())))?;
    }
    Ok(fields.finish())
}

fn decoded<'a>(bytes: &'a [u8], declared: Option<&str>) -> Result<Cow<'a, str>, ParseError> {
    let bytes: Cow<'a, [u8]> =
        if bytes.contains(&b'+') { Cow::Owned(bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect()) } else { Cow::Borrowed(bytes) };
    let bytes: Cow<'_, [u8]> = percent_decode(&bytes).into();
    Ok(Cow::Owned(charset::unmarked(&bytes, declared)?.into_owned()))
}

/// A NUL in a text is shown, as in JSON.
pub(super) fn visible(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// The first value of a name in a raw query string.
pub fn query_value(query: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes()).find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}

/// The fields of a form while they are put together.
pub(super) struct Fields {
    root: Map<String, Json>,
    count: usize,
    budget: Budget,
}

impl Fields {
    pub fn new() -> Fields {
        Fields { root: Map::new(), count: 0, budget: Budget::new() }
    }

    pub fn add(&mut self, name: &str, value: Json) -> Result<(), ParseError> {
        self.count += 1;
        if self.count > MAX_PAIRS {
            return Err(unreadable(Code::BadForm, format!("more than {MAX_PAIRS} fields")));
        }
        let keys = keys(name);
        if keys.len() > MAX_DEPTH {
            return Err(too_deep());
        }
        self.budget.member(name.len())?;
        insert(&mut self.root, &keys, value, &mut self.budget)
    }

    pub fn finish(self) -> Json {
        let mut root = self.root;
        root.values_mut().for_each(lists);
        Json::Object(root)
    }
}

/// `a[b][]` → `a`, `b`, ``. Brackets inside brackets belong to the key; a name that is no such path is one key.
fn keys(name: &str) -> Vec<Cow<'_, str>> {
    let whole = || vec![shown(name)];
    let Some(open) = name.find('[').filter(|open| *open > 0) else { return whole() };
    let mut keys = vec![shown(&name[..open])];
    let mut rest = &name[open..];
    while let Some(inner) = rest.strip_prefix('[') {
        let Some(end) = closing(inner) else { return whole() };
        keys.push(shown(&inner[..end]));
        rest = &inner[end + 1..];
    }
    if rest.is_empty() { keys } else { whole() }
}

fn shown(key: &str) -> Cow<'_, str> {
    if key.contains('\0') { Cow::Owned(key.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(key) }
}

/// Where the bracket that was opened before `text` is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' if depth == 0 => return Some(at),
            b']' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn insert(map: &mut Map<String, Json>, keys: &[Cow<'_, str>], value: Json, budget: &mut Budget) -> Result<(), ParseError> {
    let Some((key, rest)) = keys.split_first() else { return Ok(()) };
    let key = if key.is_empty() { map.len().to_string() } else { key.clone().into_owned() };
    if rest.is_empty() {
        put(map, key, value);
        return Ok(());
    }
    budget.object()?;
    let slot = map.entry(key).or_insert_with(|| Json::Object(Map::new()));
    if !slot.is_object() {
        // A key that was a value is a parent too: the value stands under the empty name.
        *slot = Json::Object(Map::from_iter([(String::new(), slot.take())]));
    }
    match slot {
        Json::Object(inner) => insert(inner, rest, value, budget),
        _ => Ok(()),
    }
}

/// Sets a value; a name that comes again makes a list.
fn put(map: &mut Map<String, Json>, key: String, value: Json) {
    match map.get_mut(&key) {
        None => {
            map.insert(key, value);
        }
        Some(Json::Array(list)) => list.push(value),
        Some(Json::Object(parent)) if value.is_string() => put(parent, String::new(), value),
        Some(old) => *old = Json::Array(vec![old.take(), value]),
    }
}

/// Makes lists of the maps whose keys are 0, 1, 2 …
fn lists(json: &mut Json) {
    let Json::Object(map) = json else { return };
    map.values_mut().for_each(lists);
    if !map.is_empty() && map.keys().enumerate().all(|(index, key)| *key == index.to_string()) {
        *json = Json::Array(std::mem::take(map).into_iter().map(|(_, value)| value).collect());
    }
}
