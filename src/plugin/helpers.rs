//! The closed list of template helpers, and one handlebars registry per escaping.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, JsonRender, JsonTruthy, Output, RenderContext, RenderError, RenderErrorReason, ScopedJson,
};
use hmac::{Hmac, Mac};
use md5::Md5;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::template::{Escape, TABLES, encode_component};
use super::{phone, tables};
use crate::domain::span;
use crate::domain::time::Time;

/// Block helpers; everything else in [`NAMES`] is a function.
pub const BLOCKS: &[&str] = &["if", "unless", "each", "with"];

type Function = fn(&[&Json]) -> Result<Json, String>;

/// A helper: how many arguments it takes at least and at most, and what it does.
const FUNCTIONS: &[(&str, usize, usize, Function)] = &[
    ("json", 1, 1, |a| Ok(a[0].clone())),
    ("default", 2, 2, |a| Ok(if blank(a[0]) { a[1].clone() } else { a[0].clone() })),
    ("e164", 1, 1, |a| Ok(phone::forms(&text(a[0])).0.into())),
    ("national", 1, 1, |a| Ok(phone::forms(&text(a[0])).1.into())),
    ("spellings", 1, 2, spellings),
    ("date", 2, 3, date),
    ("iso", 1, 1, |a| on_time(a[0], |t| t.rfc3339().into())),
    ("epoch_ms", 1, 1, |a| on_time(a[0], |t| t.0.into())),
    ("epoch_s", 1, 1, |a| on_time(a[0], |t| t.0.div_euclid(1000).into())),
    ("plus", 2, 2, plus),
    ("ms", 1, 1, |a| Ok(number(a[0])?.map_or(Json::Null, |n| n.saturating_mul(1000).into()))),
    ("duration", 1, 2, duration),
    ("minutes", 1, 1, |a| Ok(number(a[0])?.map_or(Json::Null, |s| (s.max(0) + 59).div_euclid(60).into()))),
    ("mmss", 1, 1, |a| Ok(number(a[0])?.map_or(Json::Null, |s| clock(s.max(0), false)))),
    ("hhmmss", 1, 1, |a| Ok(number(a[0])?.map_or(Json::Null, |s| clock(s.max(0), true)))),
    ("map", 1, usize::MAX, map),
    // Looked up in the tables of the rendering, see `TableCall`.
    ("table", 2, 2, |_| Ok(Json::Null)),
    ("pick", 1, usize::MAX, |a| Ok(a.iter().find(|v| !blank(v)).map_or(Json::Null, |v| (*v).clone()))),
    ("upper", 1, 1, |a| Ok(text(a[0]).to_uppercase().into())),
    ("lower", 1, 1, |a| Ok(text(a[0]).to_lowercase().into())),
    ("trim", 1, 1, |a| Ok(text(a[0]).trim().into())),
    ("truncate", 2, 2, truncate),
    ("base64", 1, 1, |a| Ok(STANDARD.encode(text(a[0])).into())),
    ("url", 1, 1, |a| Ok(encode_component(&text(a[0])).into())),
    ("hash", 1, 1, |a| Ok(hex::encode(Sha256::digest(text(a[0]))).into())),
    ("md5", 1, 1, |a| Ok(hex::encode(Md5::digest(text(a[0]))).into())),
    ("hmac", 2, 2, hmac_hex),
    ("uuid", 1, 1, |a| Ok(own_uuid(&text(a[0])).into())),
    ("number_id", 1, 1, |a| Ok(number_id(&text(a[0])).into())),
    ("int", 1, 1, int),
    ("split", 3, 3, split),
    ("replace", 3, 3, replace),
    ("join", 2, 2, join),
    ("concat", 1, usize::MAX, |a| Ok(a.iter().map(|v| text(v)).collect::<String>().into())),
    ("eq", 2, 2, |a| Ok((text(a[0]) == text(a[1])).into())),
    ("ne", 2, 2, |a| Ok((text(a[0]) != text(a[1])).into())),
    ("and", 1, usize::MAX, |a| Ok(a.iter().all(|v| v.is_truthy(false)).into())),
    ("or", 1, usize::MAX, |a| Ok(a.iter().any(|v| v.is_truthy(false)).into())),
    ("not", 1, 1, |a| Ok((!a[0].is_truthy(false)).into())),
];

/// Every helper that may be called as `{{name …}}` or `(name …)`.
pub const NAMES: &[&str] = &{
    let mut names = [""; FUNCTIONS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = FUNCTIONS[at].0;
        at += 1;
    }
    names
};

pub fn is_helper(name: &str) -> bool {
    NAMES.contains(&name)
}

/// What is wrong with calling `name` with this many arguments.
pub fn wrong_count(name: &str, count: usize) -> Option<String> {
    let (_, least, most, _) = FUNCTIONS.iter().find(|f| f.0 == name)?;
    (count < *least || count > *most).then(|| match least == most {
        true => format!("`{name}` takes {least} argument(s), {count} given"),
        false if count < *least => format!("`{name}` takes at least {least} arguments, {count} given"),
        false => format!("`{name}` takes at most {most} arguments, {count} given"),
    })
}

/// The registry of an escaping. Templates are kept apart from it; it only knows helpers.
pub fn registry(escape: Escape) -> &'static Handlebars<'static> {
    static TEXT: LazyLock<Handlebars<'static>> = LazyLock::new(|| build(Escape::Text));
    static JSON: LazyLock<Handlebars<'static>> = LazyLock::new(|| build(Escape::Json));
    static HTML: LazyLock<Handlebars<'static>> = LazyLock::new(|| build(Escape::Html));
    static URL: LazyLock<Handlebars<'static>> = LazyLock::new(|| build(Escape::Url));
    match escape {
        Escape::Text => &TEXT,
        Escape::Json => &JSON,
        Escape::Html => &HTML,
        Escape::Url => &URL,
    }
}

fn build(escape: Escape) -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.register_escape_fn(move |text| escape.apply(text));
    registry.register_helper("table", Box::new(TableCall));
    for call in NAMES.iter().filter_map(|name| call(name, escape)) {
        registry.register_helper(call.name, Box::new(call));
    }
    registry
}

/// A helper that is a function, in a file of this escaping.
pub fn call(name: &str, escape: Escape) -> Option<Call> {
    let (name, _, _, run) = FUNCTIONS.iter().find(|function| function.0 == name && name != "table")?;
    // `json` outside a JSON file is the JSON text, escaped as that file needs.
    let raw = *name == "url" || (*name == "json" && escape == Escape::Json);
    // An `int` stands bare in a JSON file, where nothing at all would be no JSON.
    let as_json = *name == "json" || (*name == "int" && escape == Escape::Json);
    Some(Call { name, run: *run, raw, as_json, escape })
}

/// One helper, called.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    name: &'static str,
    run: Function,
    /// Its result is safe and not escaped again.
    raw: bool,
    as_json: bool,
    escape: Escape,
}

impl Call {
    pub fn value(&self, arguments: &[&Json]) -> Result<Json, String> {
        wrong_count(self.name, arguments.len()).map_or(Ok(()), Err)?;
        (self.run)(arguments).map_err(|message| format!("`{}`: {message}", self.name))
    }

    pub fn written(&self, value: &Json) -> String {
        let written = if self.as_json { value.to_string() } else { value.render() };
        if self.raw { written } else { self.escape.apply(&written) }
    }

    fn of(&self, helper: &Helper<'_>) -> Result<Json, RenderError> {
        self.value(&helper.params().iter().map(|p| p.value()).collect::<Vec<_>>()).map_err(|message| RenderErrorReason::Other(message).into())
    }
}

/// `table "name" v`: the word that `v` becomes.
struct TableCall;

impl HelperDef for TableCall {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        context: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let argument = |index: usize| helper.param(index).map(|p| text(p.value())).unwrap_or_default();
        let words = context.data().get(TABLES).and_then(|tables| tables.get(argument(0))).and_then(Json::as_object);
        Ok(ScopedJson::Derived(words.map_or(Json::Null, |words| tables::look(words, &argument(1)))))
    }
}

impl HelperDef for Call {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        self.of(helper).map(ScopedJson::Derived)
    }

    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        out.write(&self.written(&self.of(helper)?))?;
        Ok(())
    }
}

fn text(value: &Json) -> String {
    value.render()
}

fn blank(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::String(s) => s.trim().is_empty(),
        Json::Array(list) => list.is_empty(),
        Json::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn number(value: &Json) -> Result<Option<i64>, String> {
    match value {
        _ if blank(value) => Ok(None),
        #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
        Json::Number(n) => Ok(n.as_i64().or_else(|| n.as_f64().map(|f| f as i64))),
        other => text(other).trim().parse().map(Some).map_err(|_| format!("`{}` is not a number", text(other))),
    }
}

/// RFC 3339 text, or a number of milliseconds.
fn on_time(value: &Json, then: impl Fn(Time) -> Json) -> Result<Json, String> {
    if blank(value) {
        return Ok(Json::Null);
    }
    let time = match value {
        Json::Number(n) => n.as_i64().map(Time),
        other => Time::parse_rfc3339(&text(other)),
    };
    time.map(then).ok_or_else(|| format!("`{}` is not a time (RFC 3339)", text(value)))
}

fn date(arguments: &[&Json]) -> Result<Json, String> {
    let zone = match arguments.get(2).map(|z| text(z)).filter(|z| !z.is_empty()) {
        None => jiff::tz::TimeZone::UTC,
        Some(name) => jiff::tz::TimeZone::get(&name).map_err(|_| format!("there is no time zone `{name}`"))?,
    };
    let format = text(arguments[1]);
    let out = on_time(arguments[0], |time| match jiff::fmt::strtime::format(&format, &time.timestamp().to_zoned(zone.clone())) {
        Ok(written) => written.into(),
        Err(_) => Json::Null,
    })?;
    if out.is_null() && !blank(arguments[0]) {
        return Err(format!("`{format}` is not a strftime pattern"));
    }
    Ok(out)
}

/// A time so much later, as RFC 3339.
fn plus(arguments: &[&Json]) -> Result<Json, String> {
    let ahead = span::parse(&text(arguments[1])).map_err(|error| error.to_string())?;
    on_time(arguments[0], |time| time.plus(ahead).rfc3339().into())
}

/// All spellings of a phone number, or the n-th from 0.
fn spellings(a: &[&Json]) -> Result<Json, String> {
    let all = phone::spellings(&text(a[0]));
    let Some(which) = a.get(1) else { return Ok(all.into()) };
    let n = number(which)?.and_then(|n| usize::try_from(n).ok());
    Ok(n.and_then(|n| all.into_iter().nth(n)).into())
}

/// As people write it: `1 phút 35 giây`, `1 min 35 s`.
fn duration(arguments: &[&Json]) -> Result<Json, String> {
    let Some(seconds) = number(arguments[0])? else { return Ok(Json::Null) };
    let vi = arguments.get(1).is_none_or(|language| text(language) != "en");
    let (day, hour, minute, second) = if vi { ("ngày", "giờ", "phút", "giây") } else { ("d", "h", "min", "s") };
    let s = seconds.max(0);
    let parts = if s < 86_400 { [(s / 3600, hour), (s / 60 % 60, minute), (s % 60, second)] } else { [(s / 86_400, day), (s / 3600 % 24, hour), (0, second)] };
    let written: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n} {unit}")).collect();
    Ok(if written.is_empty() { format!("0 {second}") } else { written.join(" ") }.into())
}

/// `map v "from" "to" … "*" "else"`.
fn map(arguments: &[&Json]) -> Result<Json, String> {
    let (value, pairs) = (text(arguments[0]), arguments.get(1..).unwrap_or_default());
    if pairs.len() % 2 != 0 {
        return Err("every word needs the word it becomes".to_owned());
    }
    let found = pairs.chunks_exact(2).find(|pair| text(pair[0]) == value || text(pair[0]) == "*");
    Ok(found.map_or(Json::Null, |pair| pair[1].clone()))
}

fn clock(seconds: i64, hours: bool) -> Json {
    match hours {
        true => format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
        false => format!("{:02}:{:02}", seconds / 60, seconds % 60),
    }
    .into()
}

fn hmac_hex(arguments: &[&Json]) -> Result<Json, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(text(arguments[1]).as_bytes()).map_err(|error| error.to_string())?;
    mac.update(text(arguments[0]).as_bytes());
    Ok(hex::encode(mac.finalize().into_bytes()).into())
}

/// A UUID in the shape of version 5, which every checker takes: the same for the same text.
pub(super) fn own_uuid(text: &str) -> String {
    let digest = Sha256::digest(format!("callbridge:{text}"));
    let mut bytes: [u8; 16] = std::array::from_fn(|i| digest[i]);
    bytes[6] = bytes[6] & 0x0f | 0x50;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    uuid::Uuid::from_bytes(bytes).to_string()
}

/// Between 1 and 2^53, which every reader of JSON keeps exactly.
fn number_id(text: &str) -> u64 {
    let digest = Sha256::digest(format!("callbridge:{text}"));
    let bytes: [u8; 8] = std::array::from_fn(|i| digest[i]);
    (u64::from_be_bytes(bytes) >> 11).max(1)
}

/// The integer as a number of JSON; what is no integer is an error, so that data never becomes two ids.
fn int(arguments: &[&Json]) -> Result<Json, String> {
    if blank(arguments[0]) {
        return Ok(Json::Null);
    }
    let whole = text(arguments[0]);
    whole.trim().parse::<i64>().map(Json::from).map_err(|_| format!("`{whole}` is not an integer"))
}

/// `split v "_" n`: the n-th piece from 0, from the end where n is negative; nothing where there are fewer.
fn split(arguments: &[&Json]) -> Result<Json, String> {
    let (whole, between) = (text(arguments[0]), text(arguments[1]));
    let Some(n) = number(arguments[2])? else { return Ok(Json::Null) };
    if between.is_empty() {
        return Err("there is nothing to split at".to_owned());
    }
    let pieces: Vec<&str> = whole.split(&between).collect();
    let index = usize::try_from(n).ok().or_else(|| pieces.len().checked_sub(usize::try_from(n.unsigned_abs()).ok()?));
    Ok(index.and_then(|index| pieces.get(index)).map_or(Json::Null, |piece| (*piece).into()))
}

fn replace(arguments: &[&Json]) -> Result<Json, String> {
    let from = text(arguments[1]);
    let whole = text(arguments[0]);
    Ok(if from.is_empty() { whole } else { whole.replace(&from, &text(arguments[2])) }.into())
}

fn join(arguments: &[&Json]) -> Result<Json, String> {
    let between = text(arguments[1]);
    Ok(match arguments[0] {
        Json::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(&between).into(),
        one => text(one).into(),
    })
}

fn truncate(arguments: &[&Json]) -> Result<Json, String> {
    let most = number(arguments[1])?.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let whole = text(arguments[0]);
    if whole.chars().count() <= most {
        return Ok(whole.into());
    }
    let mut cut: String = whole.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    Ok(cut.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_we_choose_are_the_same_for_the_same_text_and_fit_everywhere() {
        assert_eq!(own_uuid("call_1"), own_uuid("call_1"));
        assert_ne!(own_uuid("call_1"), own_uuid("call_2"));
        let id = uuid::Uuid::parse_str(&own_uuid("call_1")).unwrap();
        assert_eq!((id.get_version_num(), id.get_variant()), (5, uuid::Variant::RFC4122));
        assert!((1..=1 << 53).contains(&number_id("call_1")));
    }

    #[test]
    fn lengths_are_written_as_crms_want_them() {
        let call = |name: &str, n: i64| FUNCTIONS.iter().find(|f| f.0 == name).unwrap().3(&[&n.into()]).unwrap();
        assert_eq!((call("minutes", 74), call("minutes", 60), call("minutes", 0)), (Json::from(2), Json::from(1), Json::from(0)));
        assert_eq!((call("mmss", 74), call("mmss", 3700)), (Json::from("01:14"), Json::from("61:40")));
        assert_eq!((call("hhmmss", 3700), call("duration", 86_399)), ("01:01:40".into(), "23 giờ 59 phút 59 giây".into()));
        assert_eq!(call("duration", 73 * 3600), "3 ngày 1 giờ", "nobody counts 73 hours");
    }

    #[test]
    fn a_time_ahead_is_a_time_for_the_others() {
        let call = |name: &str, arguments: &[Json]| FUNCTIONS.iter().find(|f| f.0 == name).unwrap().3(&arguments.iter().collect::<Vec<_>>());
        let ahead = call("plus", &["2026-11-22T23:50:00Z".into(), "15m".into()]).unwrap();
        assert_eq!((&ahead, call("epoch_s", std::slice::from_ref(&ahead))), (&"2026-11-23T00:05:00Z".into(), Ok(1_795_392_300.into())));
        assert_eq!(call("plus", &[1_795_391_400_000_i64.into(), "15m".into()]), Ok(ahead));
        assert!(call("plus", &[Json::Null, "1d".into()]) == Ok(Json::Null) && call("plus", &[0.into(), "15".into()]).is_err());
    }

    #[test]
    fn integers_stay_one_number_and_pieces_are_counted_from_both_ends() {
        let call = |name: &str, arguments: &[Json]| FUNCTIONS.iter().find(|f| f.0 == name).unwrap().3(&arguments.iter().collect::<Vec<_>>());
        assert_eq!((call("int", &[" 42".into()]), call("int", &["".into()])), (Ok(42.into()), Ok(Json::Null)));
        assert!(call("int", &["1,2".into()]).is_err() && call("int", &["1.5".into()]).is_err());
        let piece = |n: i64| call("split", &["DYNAMIC_1046_15".into(), "_".into(), n.into()]).unwrap();
        assert_eq!((piece(0), piece(-1), piece(2), piece(3), piece(-4)), ("DYNAMIC".into(), "15".into(), "15".into(), Json::Null, Json::Null));
    }
}
