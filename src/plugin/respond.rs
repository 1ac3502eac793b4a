//! What the CRM is told per outcome of a delivery, and what its own answers mean.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value as Json, json};

use super::Params;
use super::body::decode_json;
use super::manifest::{ResponseClass, RetryUnit};
use super::plugin::{Find, Plugin, ResponseRule, Step, Variant};
use super::select::pairs;
use super::template::{Scope, Template};
use super::value::{Source, Value, all};
use crate::domain::request::{Answer, Verdict};
use crate::domain::time::Time;

/// The outcomes of a delivery that a CRM may want to be told in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reply {
    Stored,
    Duplicate,
    BadSignature,
    Stale,
    UnknownKey,
    Unreadable,
    TooLarge,
    OverLimit,
    CannotStore,
    /// The connection is switched off.
    Paused,
    /// The connection was deleted.
    Gone,
}

impl Reply {
    /// What is said where the plugin says nothing: the HTTP contract.
    fn status(self) -> u16 {
        match self {
            Reply::Stored | Reply::Duplicate => 202,
            Reply::BadSignature | Reply::Stale => 401,
            Reply::UnknownKey | Reply::Paused | Reply::Gone => 404,
            Reply::Unreadable => 422,
            Reply::TooLarge => 413,
            Reply::OverLimit => 429,
            Reply::CannotStore => 503,
        }
    }

    /// Whose words are used where it has none of its own: a repeated delivery is as good as stored, an old signature as bad as a wrong one.
    fn like(self) -> Option<Reply> {
        match self {
            Reply::Duplicate => Some(Reply::Stored),
            Reply::Stale => Some(Reply::BadSignature),
            Reply::Gone | Reply::Paused => Some(Reply::UnknownKey),
            _ => None,
        }
    }
}

/// What an answer's templates may know.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told<'a> {
    pub params: Option<&'a Params>,
    /// The raw query string.
    pub query: &'a str,
    pub event_id: &'a str,
}

/// An answer of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplySpec {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// An answer in which what should be kept is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("the answer to step `{step}` is not JSON")]
    NotJson { step: String },
    #[error("the answer to step `{step}` has no `{key}`")]
    Absent { step: String, key: String },
}

impl Plugin {
    /// What to answer; `retry_after` is told in the unit this CRM reads.
    pub fn reply(&self, outcome: Reply, retry_after: Option<Duration>) -> ReplySpec {
        self.answer(None, outcome, Told::default(), retry_after)
    }

    /// What to answer the sender of a variant: its own words before the plugin's.
    pub fn answer(&self, variant: Option<&Variant>, outcome: Reply, told: Told<'_>, retry_after: Option<Duration>) -> ReplySpec {
        let outcomes = [Some(outcome), outcome.like()];
        let rule = outcomes.iter().flatten().find_map(|outcome| variant.and_then(|v| v.answers.get(outcome)).or_else(|| self.answers.get(outcome)));
        let query = pairs(told.query);
        let event = json!({"event": {"id": told.event_id}});
        let scope = Scope { params: told.params, query: Some(&query), whole: Some(&event), ..Scope::default() };
        let text = |template: &Template| template.render(&scope).unwrap_or_default();
        let mut headers: Vec<(String, String)> =
            rule.into_iter().flat_map(|rule| rule.headers.iter().map(|(name, value)| (name.clone(), text(value)))).collect();
        let after = match (retry_after, rule.and_then(|rule| rule.retry_after).unwrap_or(RetryUnit::Seconds)) {
            (Some(after), RetryUnit::Seconds) => Some(after.as_millis().div_ceil(1000).max(1).to_string()),
            (Some(after), RetryUnit::Milliseconds) => Some(after.as_millis().max(1).to_string()),
            _ => None,
        };
        headers.extend(after.map(|value| ("retry-after".to_owned(), value)));
        ReplySpec { status: rule.map_or(outcome.status(), |rule| rule.status), headers, body: rule.map(|rule| text(&rule.body)).unwrap_or_default() }
    }

    /// What an answer of the CRM leads to, and the plugin's sentence (vi, en) for it.
    pub fn verdict(&self, answer: &Answer, now: Time) -> (Verdict, Option<(String, String)>) {
        let mut body: Option<Json> = None;
        for rule in &self.responses {
            let status = rule.status.is_empty() || rule.status.iter().any(|range| (range.0..=range.1).contains(&answer.status));
            if !status {
                continue;
            }
            if !rule.body.is_empty() {
                let body = body.get_or_insert_with(|| decode_json(&answer.body).unwrap_or(Json::Null));
                let source = Source { document: body, scope: Scope::default(), empty: &self.manifest.empty };
                if !all(&rule.body, &source).unwrap_or(false) {
                    continue;
                }
            }
            return (verdict_of(rule, answer, now), rule.say.as_ref().map(|say| (say.vi.clone(), say.en.clone())));
        }
        let verdict = match answer.status {
            200..=299 => Verdict::Done,
            401 | 403 => Verdict::Misconfigured,
            404 | 410 => Verdict::Gone,
            408 | 425 | 429 | 500..=599 => Verdict::Retry { after: retry_after(answer, RetryUnit::Seconds, now) },
            400..=499 => Verdict::GiveUp,
            // A redirect or anything stranger: the address is not the CRM's.
            _ => Verdict::Misconfigured,
        };
        (verdict, None)
    }

    /// What a step keeps: JSONPaths look at its answer, templates at the context it was rendered from.
    pub fn stored(&self, step: &Step, answer: &Answer, context: &Json, params: &Params) -> Result<Map<String, Json>, StoreError> {
        let needs_body = step.store.values().any(|value| matches!(value, Value::Path(_)));
        let body = match decode_json(&answer.body) {
            Ok(body) => body,
            Err(_) if needs_body => return Err(StoreError::NotJson { step: step.name.clone() }),
            Err(_) => Json::Null,
        };
        let scope = Scope { params: Some(params), whole: Some(context), ..Scope::default() };
        let source = Source { document: &body, scope, empty: &self.manifest.empty };
        let mut kept = Map::new();
        for (key, value) in &step.store {
            let text = value.text(&source).unwrap_or_default();
            if text.is_empty() {
                return Err(StoreError::Absent { step: step.name.clone(), key: key.clone() });
            }
            kept.insert(key.clone(), text.into());
        }
        Ok(kept)
    }

    /// The id of the entry that a search found.
    pub fn found(&self, find: &Find, answer: &Answer) -> Option<String> {
        let body = decode_json(&answer.body).ok()?;
        let source = Source { document: &body, scope: Scope::default(), empty: &self.manifest.empty };
        find.id.text(&source).ok().filter(|id| !id.is_empty())
    }
}

fn verdict_of(rule: &ResponseRule, answer: &Answer, now: Time) -> Verdict {
    match rule.class {
        ResponseClass::Done => Verdict::Done,
        ResponseClass::Retry => Verdict::Retry { after: retry_after(answer, rule.retry_after.unwrap_or(RetryUnit::Seconds), now) },
        ResponseClass::RefreshToken => Verdict::RefreshToken,
        ResponseClass::Misconfigured => Verdict::Misconfigured,
        ResponseClass::GiveUp => Verdict::GiveUp,
        ResponseClass::Gone | ResponseClass::NotFound => Verdict::Gone,
    }
}

/// `Retry-After`: a number in the CRM's unit, or an HTTP date.
fn retry_after(answer: &Answer, unit: RetryUnit, now: Time) -> Option<Duration> {
    let text = answer.header("retry-after")?.trim();
    if let Ok(number) = text.parse::<f64>() {
        let seconds = match unit {
            RetryUnit::Seconds => number,
            RetryUnit::Milliseconds => number / 1000.0,
            RetryUnit::None => return None,
        };
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Time(i64::try_from(date.as_millis()).ok()?).since(now))
}
