//! What the CRM is told per outcome of a delivery, and what its own answers mean.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value as Json, json};

use super::Params;
use super::body::decode_json;
use super::kinds::{Find, Step};
use super::manifest::{RequestKind, ResponseClass, RetryUnit, StatusSpec, WaitUnit, Words};
use super::modes::in_mode;
use super::plugin::{AnswerRule, Plugin, Variant};
use super::request::Request;
use super::select::pairs;
use super::template::Template;
use super::template_scope::Scope;
use super::value::{Condition, Source, Value, all, text_of};
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
}

impl Reply {
    /// What is said where the plugin says nothing: the HTTP contract.
    fn status(self) -> u16 {
        match self {
            Reply::Stored | Reply::Duplicate => 202,
            Reply::BadSignature | Reply::Stale => 401,
            Reply::UnknownKey | Reply::Paused => 404,
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
            Reply::Paused => Some(Reply::UnknownKey),
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
    #[error("the answer to step `{step}` is a web page, as of a login or of maintenance")]
    Page { step: String },
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
        let rule = self.answer_rule(variant, outcome);
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

    /// The words of the manifest for an outcome, where it has some.
    pub fn answer_rule<'r>(&'r self, variant: Option<&'r Variant>, outcome: Reply) -> Option<&'r AnswerRule> {
        let outcomes = [Some(outcome), outcome.like()];
        outcomes.into_iter().flatten().find_map(|outcome| variant.and_then(|v| v.answers.get(&outcome)).or_else(|| self.answers.get(&outcome)))
    }

    /// What an answer of the CRM leads to, and the plugin's sentence (vi, en) for it: the request's own rules, the plugin's, the defaults.
    pub fn verdict(&self, request: &Request, params: &Params, answer: &Answer, now: Time) -> (Verdict, Option<(String, String)>) {
        match self.ruled(request, params, answer, now) {
            Some((rule, verdict)) => (verdict, rule.say.as_ref().map(|say| (say.vi.clone(), say.en.clone()))),
            None => (self.usual(request, params, answer, now), None),
        }
    }

    /// The rule that says what an answer means, where one does.
    pub fn rule_for<'r>(&'r self, request: &'r Request, params: &Params, answer: &Answer, now: Time) -> Option<&'r ResponseRule> {
        self.ruled(request, params, answer, now).map(|(rule, _)| rule)
    }

    fn ruled<'r>(&'r self, request: &'r Request, params: &Params, answer: &Answer, now: Time) -> Option<(&'r ResponseRule, Verdict)> {
        let parsed = OnceCell::new();
        let body = || parsed.get_or_init(|| decode_json(&answer.body).unwrap_or(Json::Null));
        let status = json!({"status": answer.status});
        let scope = Scope { params: Some(params), headers: Some(&answer.headers), whole: Some(&status), ..Scope::default() };
        for rule in request.responses.iter().chain(&self.responses) {
            let for_this = rule.requests.is_empty() || rule.requests.iter().any(|kind| covers(*kind, request.kind));
            let status = rule.status.is_empty() || rule.status.iter().any(|range| (range.0..=range.1).contains(&answer.status));
            if !for_this || !status || !in_mode(&rule.modes, params) {
                continue;
            }
            let source = |body| Source { document: body, scope, empty: &self.manifest.empty };
            if !rule.body.is_empty() && !all(&rule.body, &source(body())).unwrap_or(false) {
                continue;
            }
            let verdict = match rule.class {
                ResponseClass::Done => Verdict::Done,
                ResponseClass::Retry => Verdict::Retry { after: rule.retry_after.wait(answer, &source(body()), now) },
                ResponseClass::RefreshToken => Verdict::RefreshToken,
                ResponseClass::Misconfigured => Verdict::Misconfigured,
                ResponseClass::GiveUp => Verdict::GiveUp,
                ResponseClass::Gone => Verdict::Gone,
                ResponseClass::NotFound => Verdict::NotFound,
            };
            return Some((rule, verdict));
        }
        None
    }

    /// The verdict where no rule says anything.
    fn usual(&self, request: &Request, params: &Params, answer: &Answer, now: Time) -> Verdict {
        let login = request.kind == RequestKind::Login;
        if login
            && answer.status < 500
            && decode_json(&answer.body).is_ok_and(|body| body.get("error").is_some_and(|e| !matches!(e, Json::Null | Json::Bool(false))))
        {
            return if matches!(answer.status, 408 | 425 | 429) { Verdict::Retry { after: retry_after(answer, now) } } else { Verdict::Misconfigured };
        }
        match answer.status {
            200..=299 => Verdict::Done,
            400 if login => Verdict::Misconfigured,
            401 if self.auth_of(request, params).is_some_and(|auth| auth.login.is_some()) => Verdict::RefreshToken,
            401 | 403 => Verdict::Misconfigured,
            404 | 410 => Verdict::Gone,
            408 | 425 | 429 | 500..=599 => Verdict::Retry { after: retry_after(answer, now) },
            400..=499 => Verdict::GiveUp,
            // A redirect or anything stranger: the address is not the CRM's.
            _ => Verdict::Misconfigured,
        }
    }

    /// What a step keeps: JSONPaths look at its answer, templates at the context it was rendered from.
    pub fn stored(&self, step: &Step, answer: &Answer, context: &Json, params: &Params) -> Result<Map<String, Json>, StoreError> {
        let needs_body = step.store.values().any(Value::looks_at_document);
        let body = match decode_json(&answer.body) {
            Ok(body) => body,
            Err(_) if needs_body => return Err(StoreError::NotJson { step: step.name.clone() }),
            Err(_) if self.is_strange_page(&step.request, params, answer) => return Err(StoreError::Page { step: step.name.clone() }),
            Err(_) => Json::Null,
        };
        let scope = Scope { params: Some(params), whole: Some(context), ..Scope::default() };
        let source = Source { document: &body, scope, empty: &self.manifest.empty };
        kept(&step.store, &source).map_err(|key| StoreError::Absent { step: step.name.clone(), key })
    }

    /// An HTML page says nothing about what we asked a program for, unless a rule of the manifest takes it for done.
    pub fn is_strange_page(&self, request: &Request, params: &Params, answer: &Answer) -> bool {
        let said_done = || self.ruled(request, params, answer, Time(0)).is_some_and(|(rule, _)| rule.class == ResponseClass::Done);
        is_page(answer) && !said_done()
    }

    /// What a search found: the entry's `id`, and beside it what `find` stores. Empty where there is no such entry; an answer that is no
    /// JSON says nothing about that.
    pub fn found(&self, find: &Find, answer: &Answer, context: &Json, params: &Params) -> Result<Map<String, Json>, StoreError> {
        if answer.body.iter().all(u8::is_ascii_whitespace) && !answer.truncated {
            return Ok(Map::new());
        }
        let body = decode_json(&answer.body).map_err(|_| StoreError::NotJson { step: "find".to_owned() })?;
        let scope = Scope { params: Some(params), whole: Some(context), ..Scope::default() };
        let pieces = find.items.as_ref().map_or_else(|| vec![&body], |items| items.query(&body).all());
        for document in pieces {
            let source = Source { document, scope, empty: &self.manifest.empty };
            if !all(&find.matches, &source).unwrap_or(false) {
                continue;
            }
            let Some(id) = find.id.text(&source).ok().filter(|id| !id.is_empty()) else { continue };
            // What else is wanted of it may be missing: that it is there counts more.
            let mut found = kept(&find.store, &source).unwrap_or_default();
            found.insert("id".to_owned(), id.into());
            return Ok(found);
        }
        Ok(Map::new())
    }
}

/// Looked at in its first bytes, for PHP calls a bare `OK` HTML, and what stands before a server may call its page JSON.
fn is_page(answer: &Answer) -> bool {
    let body = answer.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&answer.body).trim_ascii_start();
    let begins = |word: &str| body.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()));
    let html = || answer.header("content-type").is_some_and(|kind| kind.to_ascii_lowercase().contains("html"));
    begins("<!doctype html") || begins("<html") || (begins("<") && html())
}

/// What `store` keeps of an answer: texts, and `true` and `false` as they are. The error names what is not there.
pub(super) fn kept(store: &BTreeMap<String, Value>, source: &Source<'_>) -> Result<Map<String, Json>, String> {
    let mut kept = Map::new();
    for (key, value) in store {
        let found = value.there(source).ok().flatten();
        let json = match found.as_deref() {
            Some(Json::Bool(b)) => Json::Bool(*b),
            Some(other) => text_of(other).into(),
            None if value.may_be_empty() => String::new().into(),
            None => return Err(key.clone()),
        };
        kept.insert(key.clone(), json);
    }
    Ok(kept)
}

/// Whether a rule for `rule` is one for `asked`.
fn covers(rule: RequestKind, asked: RequestKind) -> bool {
    rule == asked || (rule == RequestKind::WriteBack && matches!(asked, RequestKind::Call | RequestKind::Note | RequestKind::Field))
}

/// A rule about the CRM's answers.
#[derive(Debug)]
pub struct ResponseRule {
    /// Where it stands in plugin.toml: its first byte and its line.
    pub at: usize,
    pub line: usize,
    pub requests: Vec<RequestKind>,
    pub modes: Vec<String>,
    pub status: Vec<StatusSpec>,
    pub body: Vec<Condition>,
    pub class: ResponseClass,
    pub retry_after: RetryAfter,
    pub say: Option<Words>,
}

/// Where the CRM tells how long to wait.
#[derive(Debug)]
pub enum RetryAfter {
    Header(String, WaitUnit),
    Body(Value, WaitUnit),
    Fixed(Duration),
}

impl RetryAfter {
    fn wait(&self, answer: &Answer, body: &Source<'_>, now: Time) -> Option<Duration> {
        match self {
            RetryAfter::Header(name, unit) => read_wait(answer.header(name)?, *unit, now),
            RetryAfter::Body(value, unit) => read_wait(&value.text(body).ok()?, *unit, now),
            RetryAfter::Fixed(wait) => Some(*wait),
        }
    }
}

fn retry_after(answer: &Answer, now: Time) -> Option<Duration> {
    read_wait(answer.header("retry-after")?, WaitUnit::Seconds, now)
}

/// How long to wait, as a CRM writes it; a date is read in every unit.
pub fn read_wait(text: &str, unit: WaitUnit, now: Time) -> Option<Duration> {
    let text = text.trim();
    if unit == WaitUnit::None {
        return None;
    }
    let Ok(number) = text.parse::<f64>() else {
        let date = httpdate::parse_http_date(text).ok().and_then(|date| i64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok());
        return Some(date.map(Time).or_else(|| Time::parse_rfc3339(text))?.since(now));
    };
    let now_s = Duration::from_millis(u64::try_from(now.0).unwrap_or(0)).as_secs_f64();
    let seconds = match unit {
        WaitUnit::Milliseconds => number / 1000.0,
        WaitUnit::Epoch => (number - now_s).max(0.0),
        WaitUnit::EpochMs => (number / 1000.0 - now_s).max(0.0),
        _ => number,
    };
    Duration::try_from_secs_f64(seconds).ok()
}
