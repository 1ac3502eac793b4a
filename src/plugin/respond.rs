//! What the CRM is told per outcome of a delivery, and what its own answers mean.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value as Json};

use super::Params;
use super::body::decode_json;
use super::manifest::{AnswerSpec, ResponseClass, RetryUnit};
use super::plugin::{Find, Plugin, ResponseRule, Step};
use super::template::Scope;
use super::value::{Source, Value, all};
use crate::domain::request::{Answer, Verdict};
use crate::domain::time::Time;

/// The outcomes of a delivery that a CRM may want to be told in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// The connection was deleted.
    Gone,
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
        let answers = &self.manifest.answers;
        let (own, status): (&Option<AnswerSpec>, u16) = match outcome {
            Reply::Stored => (&answers.stored, 202),
            Reply::Duplicate => (&answers.duplicate, 202),
            Reply::BadSignature => (&answers.bad_signature, 401),
            Reply::Stale => (&answers.stale, 401),
            Reply::UnknownKey => (&answers.unknown_key, 404),
            Reply::Unreadable => (&answers.unreadable, 422),
            Reply::TooLarge => (&answers.too_large, 413),
            Reply::OverLimit => (&answers.over_limit, 429),
            Reply::CannotStore => (&answers.cannot_store, 503),
            Reply::Gone => (&answers.gone, 404),
        };
        // A repeated delivery is as good as stored, and an old signature as bad as a wrong one.
        let own = match outcome {
            Reply::Duplicate => own.as_ref().or(answers.stored.as_ref()),
            Reply::Stale => own.as_ref().or(answers.bad_signature.as_ref()),
            Reply::Gone => own.as_ref().or(answers.unknown_key.as_ref()),
            _ => own.as_ref(),
        };
        let mut headers: Vec<(String, String)> = own.into_iter().flat_map(|own| own.headers.clone()).collect();
        let told = match (retry_after, own.and_then(|own| own.retry_after).unwrap_or(RetryUnit::Seconds)) {
            (Some(after), RetryUnit::Seconds) => Some(after.as_millis().div_ceil(1000).max(1).to_string()),
            (Some(after), RetryUnit::Milliseconds) => Some(after.as_millis().max(1).to_string()),
            _ => None,
        };
        headers.extend(told.map(|value| ("retry-after".to_owned(), value)));
        ReplySpec { status: own.map_or(status, |own| *own.status.get_ref()), headers, body: own.map(|own| own.body.clone()).unwrap_or_default() }
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
