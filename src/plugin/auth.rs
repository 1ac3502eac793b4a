//! How a connection proves who it is: which proof goes with which request, and logging in where the proof must be fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::Params;
use super::body::decode_json;
use super::compose::ComposeError;
use super::jwt::Jwt;
use super::manifest::{AuthKind, Refresh};
use super::modes::in_mode;
use super::plugin::Plugin;
use super::request::{AuthChoice, Request};
use super::template::Template;
use super::template_scope::Scope;
use super::value::{Condition, Source, Value, all};
use crate::domain::request::{Answer, Outbound, Verdict};
use crate::domain::time::Time;

/// How long before its end a token is got anew.
const EARLY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Auth {
    pub name: String,
    pub(super) modes: Vec<String>,
    pub kind: AuthKind,
    /// bearer: the token · header, query: the value · basic: the password.
    pub(super) secret: Template,
    /// header, query: the name · basic: the user.
    pub(super) shown: Template,
    /// It is sent to these bases only.
    pub(super) bases: Vec<String>,
    pub login: Option<Login>,
}

/// How the proof is fetched.
#[derive(Debug)]
pub struct Login {
    pub(super) steps: Vec<LoginStep>,
    pub(super) start: BTreeMap<String, Value>,
    /// It cannot be made from the parameters alone: what it begins with is written down, or a person connects.
    pub begins: bool,
    /// Parameters by which its tokens are those of one account at one place: what its requests and bases are made of, without secrets.
    pub(super) made_of: Vec<String>,
    /// The tokens that requests show.
    pub(super) proof: BTreeSet<String>,
    pub refresh: Refresh,
    pub lifetime: Option<Duration>,
    pub keep_alive: Option<Duration>,
    pub(super) jwt: Option<Jwt>,
}

impl Login {
    /// Its requests in their order.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        self.steps.iter().map(|step| &step.request)
    }

    /// Whether a good answer brought what requests show, or anything at all: a maintenance page is no login, and nothing is kept of it.
    pub(super) fn brought(&self, store: &BTreeMap<String, Value>, kept: &Map<String, Json>, answer: &Answer) -> Result<(), LoginError> {
        let must = || store.iter().filter(|(name, value)| !value.may_be_empty() && !is_end(name)).map(|(name, _)| name);
        let none = must().next().filter(|_| !must().any(|name| kept.contains_key(name)));
        let Some(name) = must().find(|name| self.proof.contains(*name) && !kept.contains_key(*name)).or(none) else { return Ok(()) };
        let detail = format!("status {}, but there is no `{name}` in the answer", answer.status);
        Err(LoginError::Refused { verdict: Verdict::Retry { after: None }, detail, says: None })
    }
}

/// A name under which the end of tokens is stored.
pub(super) fn is_end(name: &str) -> bool {
    matches!(name, "expires_in" | "expires_at")
}

#[derive(Debug)]
pub struct LoginStep {
    pub(super) name: String,
    pub(super) conditions: Vec<Condition>,
    pub(super) request: Request,
    pub(super) store: BTreeMap<String, Value>,
}

/// What a login gave: texts by name, and when they end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    pub values: BTreeMap<String, String>,
    pub ends_at: Option<Time>,
}

impl Tokens {
    /// Whether they are still good for a request now.
    pub fn good(&self, login: &Login, now: Time) -> bool {
        self.ends_at.is_none_or(|end| login.refresh == Refresh::OnError || now.plus(EARLY) < end)
    }

    /// The parameters with these tokens among them.
    pub fn over(&self, params: &Params) -> Params {
        let mut params = params.clone();
        params.extend(self.values.iter().map(|(name, value)| (format!("token.{name}"), value.clone())));
        params
    }
}

/// Why a login did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    #[error("{0}")]
    Compose(#[from] ComposeError),
    /// Nothing is there yet that it could begin with.
    #[error("nobody has connected it at the CRM yet: press Connect first, or install the app there while its window is open (callbridge connection capture)")]
    NotConnected,
    #[error("the login was refused: {detail}")]
    Refused { verdict: Verdict, detail: String, says: Option<(String, String)> },
}

impl Plugin {
    /// The proof that goes with a request.
    pub fn auth_of(&self, request: &Request, params: &Params) -> Option<&Auth> {
        let mut there = self.auths.iter().filter(|auth| in_mode(&auth.modes, params));
        match &request.auth {
            AuthChoice::None => None,
            AuthChoice::Named(name) => there.find(|auth| auth.name == *name),
            AuthChoice::OfBase => there.find(|auth| auth.bases.contains(&request.base)),
        }
    }

    /// The `[[auth]]` of this name that is in force.
    pub fn auth_named(&self, name: &str, params: &Params) -> Option<&Auth> {
        self.auths.iter().find(|auth| auth.name == name && in_mode(&auth.modes, params))
    }

    /// Every `[[auth]]` in force.
    pub fn auths<'a>(&'a self, params: &'a Params) -> impl Iterator<Item = &'a Auth> {
        self.auths.iter().filter(|auth| in_mode(&auth.modes, params))
    }

    /// What a login begins with, from the parameters.
    pub fn login_start(&self, login: &Login, params: &Params) -> BTreeMap<String, String> {
        let source = Source { document: &Json::Null, scope: Scope { params: Some(params), ..Scope::default() }, empty: &self.manifest.empty };
        let text = |value: &Value| value.text(&source).ok().filter(|text| !text.is_empty());
        login.start.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
    }

    /// The parameters by which its tokens are what they are. A secret proves who asks, it does not change whose tokens they are; what a
    /// login begins with is told by [`Plugin::login_start`].
    pub fn login_made_of(&self, login: &Login, params: &Params) -> BTreeMap<String, String> {
        login.made_of.iter().filter_map(|id| Some((id.clone(), params.get(id)?.clone()))).collect()
    }

    /// Begins a login with what is known from before.
    pub fn log_in<'a>(&'a self, login: &'a Login, params: &Params, before: &BTreeMap<String, String>, now: Time) -> Result<LoginRun<'a>, LoginError> {
        let mut values = self.login_start(login, params);
        values.extend(before.iter().map(|(name, value)| (name.clone(), value.clone())));
        let jwt = match &login.jwt {
            Some(jwt) => Some(jwt.sign(params, now).map_err(|why| LoginError::Refused { verdict: Verdict::Misconfigured, detail: why, says: None })?),
            None => None,
        };
        Ok(LoginRun { plugin: self, login, params: params.clone(), values, steps: Map::new(), jwt, at: 0, ends_at: None })
    }
}

/// A login on its way: ask for the next request, hand in its answer.
#[derive(Debug)]
pub struct LoginRun<'a> {
    plugin: &'a Plugin,
    login: &'a Login,
    params: Params,
    values: BTreeMap<String, String>,
    steps: Map<String, Json>,
    jwt: Option<String>,
    at: usize,
    ends_at: Option<Time>,
}

impl<'p> LoginRun<'p> {
    fn known(&self) -> Params {
        Tokens { values: self.values.clone(), ends_at: None }.over(&self.params)
    }

    fn whole(&self) -> Json {
        serde_json::json!({"steps": self.steps, "jwt": self.jwt})
    }

    /// The next request; `None`: the login is done.
    pub fn next(&mut self, bases: &BTreeMap<String, String>) -> Result<Option<Outbound>, LoginError> {
        Ok(self.next_request(bases)?.map(|(_, outbound)| outbound))
    }

    /// The next request, with the recipe it was made by.
    pub fn next_request(&mut self, bases: &BTreeMap<String, String>) -> Result<Option<(&'p Request, Outbound)>, LoginError> {
        let (params, whole) = (self.known(), self.whole());
        let scope = Scope { params: Some(&params), whole: Some(&whole), ..Scope::default() };
        let login = self.login;
        while let Some(step) = login.steps.get(self.at) {
            let source = Source { document: &whole, scope, empty: &self.plugin.manifest.empty };
            if in_mode(&step.request.modes, &params) && all(&step.conditions, &source).unwrap_or(false) {
                if login.begins && self.values.is_empty() && step.request.uses("token") {
                    return Err(LoginError::NotConnected);
                }
                return Ok(Some((&step.request, self.plugin.request(&step.request, &scope, &params, bases)?)));
            }
            self.at += 1;
        }
        Ok(None)
    }

    /// Reads the answer to the request that `next` gave.
    pub fn answer(&mut self, answer: &Answer, now: Time) -> Result<(), LoginError> {
        let Some(step) = self.login.steps.get(self.at) else { return Ok(()) };
        let params = self.known();
        let (verdict, says) = self.plugin.verdict(&step.request, &params, answer, now);
        let body = decode_json(&answer.body).unwrap_or(Json::Null);
        if verdict != Verdict::Done {
            let said = ["error_description", "error", "message"].iter().find_map(|key| body.get(key)?.as_str()).unwrap_or_default();
            return Err(LoginError::Refused { verdict, detail: format!("status {} {said}", answer.status).trim_end().to_owned(), says });
        }
        let whole = self.whole();
        let scope = Scope { params: Some(&params), whole: Some(&whole), ..Scope::default() };
        let source = Source { document: &body, scope, empty: &self.plugin.manifest.empty };
        let mut kept = Map::new();
        for (name, value) in &step.store {
            if let Some(text) = value.text(&source).ok().filter(|text| !text.is_empty()) {
                kept.insert(name.clone(), text.into());
            }
        }
        self.login.brought(&step.store, &kept, answer)?;
        self.values.extend(kept.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))));
        self.ends_at = ends_at(&kept, now).or(self.ends_at);
        self.steps.insert(step.name.clone(), Json::Object(kept));
        self.at += 1;
        Ok(())
    }

    /// What the whole login gave.
    pub fn done(self, now: Time) -> Tokens {
        let mut values = self.values;
        for word in ["expires_in", "expires_at"] {
            values.remove(word);
        }
        Tokens { values, ends_at: self.ends_at.or_else(|| self.login.lifetime.map(|lifetime| now.plus(lifetime))) }
    }
}

/// `expires_in` in seconds, or `expires_at` as RFC 3339 or seconds since 1970.
pub fn ends_at(kept: &Map<String, Json>, now: Time) -> Option<Time> {
    let text = |name: &str| kept.get(name).and_then(Json::as_str).map(str::trim);
    if let Some(seconds) = text("expires_in").and_then(|text| text.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(seconds).ok().map(|lifetime| now.plus(lifetime));
    }
    let at = text("expires_at")?;
    Time::parse_rfc3339(at).or_else(|| at.parse::<i64>().ok().map(|s| Time(s.saturating_mul(1000))))
}
