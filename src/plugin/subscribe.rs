//! `[[subscribe]]`: what to ask a CRM so that it sends us its webhooks, and what its answers say.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use serde_json_path::JsonPath;

use super::Params;
use super::auth;
use super::body::decode_json;
use super::compile::Compiler;
use super::compose::ComposeError;
use super::manifest::{At, HookSpec, Manifest, RequestKind, SubscribeRequestSpec, SubscribeSpec, SubscriptionSecret, Words};
use super::modes::in_mode;
use super::names::{self, Shape};
use super::plugin::Plugin;
use super::problem::{Severity, did_you_mean};
use super::request::Request;
use super::template::RenderError;
use super::template_scope::Scope;
use super::value::{Condition, Source, Value, all};
use crate::domain::request::{Answer, Outbound};
use crate::domain::time::Time;

const CHECK_EVERY: Duration = Duration::from_secs(6 * 3600);
/// No CRM is asked more often.
const LEAST: Duration = Duration::from_secs(60);

/// A compiled `[[subscribe]]`.
#[derive(Debug)]
pub struct Subscription {
    pub name: String,
    pub title: Words,
    modes: Vec<String>,
    conditions: Vec<Condition>,
    /// Which of `[[hooks]]` it sends to.
    pub hook: Option<String>,
    pub secret: SubscriptionSecret,
    pub check_every: Duration,
    pub renew_every: Option<Duration>,
    /// Before what it stored as `expires_at`.
    pub renew_before: Option<Duration>,
    pub find: Option<Part>,
    pub create: Part,
    pub check: Option<Part>,
    pub renew: Option<Part>,
    pub delete: Option<Part>,
    /// The check needs nothing that the making gives: it can be asked before.
    pub check_finds: bool,
}

/// One of its requests.
#[derive(Debug)]
pub struct Part {
    pub request: Request,
    conditions: Vec<Condition>,
    store: BTreeMap<String, Value>,
    alive: Vec<Condition>,
    items: Option<JsonPath>,
    matches: Vec<Condition>,
}

/// What a good answer keeps, and until when the subscription lives if it says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learnt {
    pub values: BTreeMap<String, String>,
    pub ends_at: Option<Time>,
}

/// An answer in which what is needed is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    #[error("the answer to {place} is not JSON")]
    NotJson { place: String },
    #[error("the answer to {place} has no `{key}`")]
    Absent { place: String, key: String },
    #[error(transparent)]
    Template(#[from] RenderError),
}

/// Compiles one.
pub fn compile(c: &mut Compiler<'_>, manifest: &Manifest, at: &At<SubscribeSpec>, params: &Shape) -> Subscription {
    let spec = at.get_ref();
    let name = spec.name.get_ref().clone();
    let names = names::subscribe(params);
    let hooks = || manifest.hooks.iter().map(|hook| hook.get_ref().name.as_str());
    if let Some(hook) = spec.hook.as_ref().filter(|hook| !hooks().any(|known| known == hook.get_ref())) {
        let hint = did_you_mean(hook.get_ref(), hooks());
        c.error(hook, format!("there is no hook `{}` in [[hooks]]{hint}", hook.get_ref()));
    }
    let at = &spec.name;
    if spec.renew_before.is_some() && !stores_an_end(spec) {
        c.error(at, "`renew_before` counts from what is stored as `expires_at` or `expires_in`: store one of them, or write `renew_every`");
    }
    if spec.find.as_ref().is_some_and(|find| find.items.is_none() || find.matches.0.is_empty()) {
        c.error(at, "`find` needs `items` and `match`");
    }
    let [create, check, renew, delete] = [Some(&spec.create), spec.check.as_ref(), spec.renew.as_ref(), spec.delete.as_ref()];
    for part in [create, check, renew, delete].into_iter().flatten().filter(|part| part.items.is_some() || !part.matches.0.is_empty()) {
        c.error(at, format!("`items` and `match` belong to `find`{}", if part.alive.0.is_empty() { "" } else { "; `alive` looks at the whole answer" }));
    }
    // Tried with the names that there are before: what fails only there needs what the making gives.
    let check_finds = check.is_some_and(|check| {
        let mut trial = Compiler::new("", c.files, manifest);
        part(&mut trial, &name, "check", at, check, &names::subscribe_before(params, &name));
        trial.problems.iter().all(|problem| problem.severity != Severity::Error)
    });
    let mut every = |at: &Option<At<String>>| at.as_ref().map(|at| c.duration(at).max(LEAST));
    let (check_every, renew_every, renew_before) = (every(&spec.check_every), every(&spec.renew_every), every(&spec.renew_before));
    let mut one = |phase: &str, spec: &SubscribeRequestSpec| part(c, &name, phase, at, spec, &names);
    Subscription {
        find: spec.find.as_ref().map(|spec| one("find", spec)),
        create: one("create", &spec.create),
        check: check.map(|spec| one("check", spec)),
        renew: renew.map(|spec| one("renew", spec)),
        delete: delete.map(|spec| one("delete", spec)),
        title: spec.title.clone(),
        modes: c.modes(&spec.mode),
        conditions: c.conditions_on(names::nothing(), &spec.conditions, &names),
        hook: spec.hook.as_ref().map(|hook| hook.get_ref().clone()),
        secret: spec.secret,
        check_every: check_every.unwrap_or(CHECK_EVERY),
        renew_every,
        renew_before,
        check_finds,
        name,
    }
}

fn stores_an_end(spec: &SubscribeSpec) -> bool {
    let parts = [Some(&spec.create), spec.check.as_ref(), spec.renew.as_ref(), spec.find.as_ref()];
    parts.into_iter().flatten().any(|part| part.store.contains_key("expires_at") || part.store.contains_key("expires_in"))
}

fn part(c: &mut Compiler<'_>, name: &str, phase: &str, at: &At<String>, spec: &SubscribeRequestSpec, names: &Shape) -> Part {
    let place = format!("subscribe `{name}` {phase}");
    Part {
        request: c.request(&place, RequestKind::Subscribe, at, spec.request(), names),
        conditions: c.conditions_on(names::nothing(), &spec.conditions, names),
        store: spec.store.iter().map(|(key, value)| (key.clone(), c.value(value, names))).collect(),
        alive: c.conditions(&spec.alive, names),
        items: spec.items.as_ref().and_then(|items| c.json_path(items)),
        matches: c.conditions(&spec.matches, names),
    }
}

impl Subscription {
    /// The secret that the CRM signs with comes in its answer: one that is found has none that we know.
    pub fn answers_secret(&self) -> bool {
        self.create.store.contains_key("secret")
    }

    /// Every request of it.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        [self.find.as_ref(), Some(&self.create), self.check.as_ref(), self.renew.as_ref(), self.delete.as_ref()].into_iter().flatten()
    }

    /// Texts of it under the names that templates know them by.
    pub fn named<'a>(&self, values: impl IntoIterator<Item = (&'a String, &'a String)>) -> Params {
        values.into_iter().map(|(key, value)| (format!("subscription.{}.{key}", self.name), value.clone())).collect()
    }

    /// What its requests may know: the parameters of its hook, what is kept of it, and the address it sends to.
    pub fn params<'a>(&self, mut params: Params, url: &str, kept: impl IntoIterator<Item = (&'a String, &'a String)>) -> Params {
        let own = format!("subscription.{}.", self.name);
        params.retain(|key, _| !key.starts_with(&own));
        params.extend(self.named(kept));
        params.insert(format!("{own}url"), url.to_owned());
        params.insert("hook.url".to_owned(), url.to_owned());
        params
    }

    /// Something can tell whether one of ours is there before it is made.
    pub fn can_look(&self) -> bool {
        self.find.is_some() || self.check_finds
    }
}

fn moment(now: Time) -> Json {
    json!({"now": now.rfc3339()})
}

impl Plugin {
    pub fn subscriptions(&self) -> &[Subscription] {
        &self.subscriptions
    }

    pub fn subscription(&self, name: &str) -> Option<&Subscription> {
        self.subscriptions.iter().find(|subscription| subscription.name == name)
    }

    /// The kind of hook it sends to.
    pub fn hook_of(&self, subscription: &Subscription) -> Option<&HookSpec> {
        match &subscription.hook {
            Some(hook) => self.hook_kind(hook),
            None => self.manifest.hooks.first().map(At::get_ref),
        }
    }

    /// Whether it is there in these modes and its conditions hold.
    pub fn subscribes_now(&self, subscription: &Subscription, params: &Params) -> bool {
        in_mode(&subscription.modes, params) && self.conditions_hold(&subscription.conditions, &Json::Null, Time(0), params)
    }

    /// Whether a request of it is there in these modes and its conditions hold.
    pub fn part_is_there(&self, part: &Part, now: Time, params: &Params) -> bool {
        self.in_mode(&part.request, params) && self.conditions_hold(&part.conditions, &Json::Null, now, params)
    }

    pub fn compose_subscribe(&self, part: &Part, now: Time, params: &Params, bases: &BTreeMap<String, String>) -> Result<Outbound, ComposeError> {
        let moment = moment(now);
        self.request(&part.request, &Scope { params: Some(params), whole: Some(&moment), ..Scope::default() }, params, bases)
    }

    /// Whether the answer to a check says that it lives.
    pub fn subscription_lives(&self, part: &Part, answer: &Answer, now: Time, params: &Params) -> bool {
        part.alive.is_empty() || self.conditions_hold(&part.alive, &decode_json(&answer.body).unwrap_or(Json::Null), now, params)
    }

    /// The one of ours among those that `find` brought, and whether it lives. `id`: the one that we know of comes first.
    pub fn subscription_found(
        &self,
        find: &Part,
        answer: &Answer,
        now: Time,
        params: &Params,
        id: Option<&str>,
    ) -> Result<Option<(Learnt, bool)>, SubscribeError> {
        let Some(path) = &find.items else { return Ok(None) };
        let body = match decode_json(&answer.body) {
            Ok(body) => body,
            // 204: there are none.
            Err(_) if answer.body.is_empty() => return Ok(None),
            Err(_) => return Err(SubscribeError::NotJson { place: find.request.place.clone() }),
        };
        let mut first = None;
        for item in path.query(&body).into_iter().filter(|item| self.conditions_hold(&find.matches, item, now, params)) {
            let found = (self.learn(find, item, now, params)?, self.conditions_hold(&find.alive, item, now, params));
            if id.is_none() || found.0.values.get("id").map(String::as_str) == id {
                return Ok(Some(found));
            }
            first.get_or_insert(found);
        }
        Ok(first)
    }

    /// What a good answer keeps.
    pub fn subscription_learnt(&self, part: &Part, answer: &Answer, now: Time, params: &Params) -> Result<Learnt, SubscribeError> {
        let body = match decode_json(&answer.body) {
            Ok(body) => body,
            Err(_) if part.store.values().any(Value::looks_at_document) => {
                return Err(SubscribeError::NotJson { place: part.request.place.clone() });
            }
            Err(_) => Json::Null,
        };
        self.learn(part, &body, now, params)
    }

    fn learn(&self, part: &Part, document: &Json, now: Time, params: &Params) -> Result<Learnt, SubscribeError> {
        let moment = moment(now);
        let scope = Scope { params: Some(params), whole: Some(&moment), ..Scope::default() };
        let source = Source { document, scope, empty: &self.manifest.empty };
        let mut kept = Map::new();
        for (key, value) in &part.store {
            let text = value.text(&source)?;
            if text.is_empty() && !value.may_be_empty() {
                return Err(SubscribeError::Absent { place: part.request.place.clone(), key: key.clone() });
            }
            if !text.is_empty() {
                kept.insert(key.clone(), text.into());
            }
        }
        let ends_at = auth::ends_at(&kept, now);
        Ok(Learnt { values: kept.into_iter().filter_map(|(key, value)| Some((key, value.as_str()?.to_owned()))).collect(), ends_at })
    }

    fn conditions_hold(&self, conditions: &[Condition], document: &Json, now: Time, params: &Params) -> bool {
        let moment = moment(now);
        let scope = Scope { params: Some(params), whole: Some(&moment), ..Scope::default() };
        all(conditions, &Source { document, scope, empty: &self.manifest.empty }).unwrap_or(false)
    }
}
