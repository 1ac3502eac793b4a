//! The outbound half of a plugin out of its manifest: bases, auth, look-ups, write-back, responses.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;

use super::auth::{Auth, Login, LoginStep};
use super::check::{doubles, map_of};
use super::check_receive::fields;
use super::compile::Compiler;
use super::connect::Connect;
use super::jwt::Jwt;
use super::kinds::{Find, Step, WriteBackKind};
use super::manifest::{
    At, AuthKind, AuthSpec, BaseSpec, ConnectSpec, FindSpec, Identity, KindSpec, Limits, LoginSpec, LookupSpec, Manifest, OneOrMany, RequestKind, RequestParts,
    StepSpec, ValueSpec,
};
use super::modes;
use super::names::{self, Shape};
use super::plugin::{Base, Batch, Limit, Lookup, Remaining};
use super::request::Request;
use super::template::Escape;
use super::value::Value;
use crate::domain::rate::Rate;

/// Every base, each in its modes.
pub fn bases(c: &mut Compiler<'_>, manifest: &Manifest, params: &Shape) -> BTreeMap<String, Vec<Base>> {
    let names = names::with_token(params, manifest);
    let mut bases = BTreeMap::new();
    for (name, at) in &manifest.bases {
        if modes::unreachable(at, |base: &BaseSpec| &base.mode) {
            c.warning(at, format!("a base `{name}` without mode stands before another: that one is never taken"));
        }
        let list = OneOrMany::each(at).into_iter().map(|one| {
            let spec = *one.get_ref();
            Base { modes: c.modes(&spec.mode), url: c.value(&spec.url, &names), allow_hosts: spec.allow_hosts.clone() }
        });
        bases.insert(name.clone(), list.collect());
    }
    bases
}

/// Every `[[auth]]` that shows something.
pub fn auths(c: &mut Compiler<'_>, manifest: &Manifest, params: &Shape) -> Vec<Auth> {
    let list = AuthSpec::each(manifest.auth.as_ref());
    if list.len() > 1 {
        for one in list.iter().filter(|one| one.get_ref().id.is_none() && one.get_ref().mode.is_none()) {
            c.error(one, "where there are several [[auth]], each has an `id` or a `mode`");
        }
    }
    list.iter().filter_map(|at| auth(c, manifest, at, params)).collect()
}

fn auth(c: &mut Compiler<'_>, manifest: &Manifest, at: &At<&AuthSpec>, params: &Shape) -> Option<Auth> {
    let spec = *at.get_ref();
    let names = names::with_token(params, manifest);
    let (secret, shown) = match spec.kind {
        AuthKind::None if spec.login.is_empty() => return None,
        AuthKind::None => (&None, &None),
        AuthKind::Bearer => (&spec.token, &None),
        AuthKind::Header | AuthKind::Query => (&spec.value, &spec.name),
        AuthKind::Basic => (&spec.password, &spec.user),
    };
    let fetched = spec.kind == AuthKind::Bearer && !spec.login.is_empty();
    let needed = match spec.kind {
        AuthKind::None => "",
        AuthKind::Bearer if secret.is_none() && !fetched => "token",
        AuthKind::Basic if secret.is_none() || shown.is_none() => "user and password",
        AuthKind::Header | AuthKind::Query if secret.is_none() || shown.is_none() => "name and value",
        _ => "",
    };
    if !needed.is_empty() {
        c.error(at, format!("[auth] needs {needed}"));
    }
    let own = At::new(at.span(), "{{token.access_token}}".to_owned());
    let secret = c.template_or_empty(secret.as_ref().or(Some(&own).filter(|_| fetched)), &names);
    let shown = c.template_or_empty(shown.as_ref(), &names);
    let bases: Vec<String> = spec.base.iter().chain(&spec.bases).map(|base| c.base_name(base)).collect();
    let bases = if bases.is_empty() { vec![c.usual_base()] } else { bases };
    let name = spec.id.as_ref().map_or_else(|| "main".to_owned(), |id| id.get_ref().clone());
    let login = (!spec.login.is_empty()).then(|| {
        let proof = secret.tokens().chain(shown.tokens()).map(str::to_owned).collect();
        Login { proof, ..login(c, manifest, &name, spec, params) }
    });
    if login.is_none() && (spec.jwt.is_some() || !spec.start.is_empty() || spec.lifetime.is_some() || spec.keep_alive.is_some()) {
        c.error(at, "`start`, `lifetime`, `keep_alive` and `jwt` belong to a login: write [[auth.login]]");
    }
    Some(Auth { name, modes: c.modes(&spec.mode), kind: spec.kind, secret, shown, bases, login })
}

fn login(c: &mut Compiler<'_>, manifest: &Manifest, auth: &str, spec: &AuthSpec, params: &Shape) -> Login {
    // What these requests use is told apart from what others do.
    let others = std::mem::take(&mut c.used_params);
    let names = names::with_token(params, manifest);
    let jwt = spec.jwt.as_ref().map(|jwt| Jwt {
        algorithm: jwt.algorithm,
        key: c.template(&jwt.key, Escape::Text, &names),
        claims: jwt.claims.iter().map(|(name, value)| (name.clone(), c.template(value, Escape::Text, &names))).collect(),
        lifetime: jwt.lifetime.as_ref().map_or(Duration::from_secs(180), |at| c.duration(at)),
    });
    let mut stored: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut steps = Vec::new();
    for (index, step) in spec.login.iter().enumerate() {
        let name = step.name.as_ref().map_or_else(|| format!("login{index}"), |name| name.get_ref().clone());
        let known = names::and(params, [("steps", names::steps(&stored)), ("jwt", Shape::Leaf(json!("1")))]);
        steps.push(login_step(c, step, name.clone(), &known, names::login_document(&stored)));
        stored.insert(name, step.store.keys().cloned().collect());
    }
    let secret = |id: &String| manifest.parameters.iter().any(|at| at.get_ref().id == *id && at.get_ref().secret);
    let made_of = c.used_params.union(&c.base_params).filter(|id| !secret(id)).cloned().collect();
    c.used_params.extend(others);
    let connects = manifest.connect.as_ref().map(OneOrMany::each).unwrap_or_default();
    let connected = connects.iter().any(|one| one.get_ref().auth.as_ref().map_or("main", |id| id.get_ref()) == auth);
    let needs_tokens = steps.iter().any(|step| step.request.uses("token"));
    Login {
        steps,
        made_of,
        proof: BTreeSet::new(),
        start: spec.start.iter().map(|(name, value)| (name.clone(), c.value(value, params))).collect(),
        begins: !spec.start.is_empty() || (connected && needs_tokens),
        refresh: spec.refresh,
        lifetime: spec.lifetime.as_ref().map(|at| c.duration(at)),
        keep_alive: spec.keep_alive.as_ref().map(|at| c.duration(at)),
        jwt,
    }
}

fn login_step(c: &mut Compiler<'_>, spec: &LoginSpec, name: String, names: &Shape, document: Shape) -> LoginStep {
    let at = spec.path.clone().unwrap_or_else(|| At::new(0..0, String::new()));
    let place = format!("auth.login `{name}`");
    let request = c.request(&place, RequestKind::Login, &at, spec.request(), names);
    let store = spec.store.iter().map(|(key, value)| (key.clone(), c.value(value, names))).collect();
    LoginStep { name, conditions: c.conditions_on(document, &spec.conditions, names), request, store }
}

/// Every connect button.
pub fn connects(c: &mut Compiler<'_>, manifest: &Manifest, params: &Shape) -> Vec<Connect> {
    let Some(at) = &manifest.connect else { return Vec::new() };
    OneOrMany::each(at).iter().map(|one| connect(c, manifest, one, params)).collect()
}

fn connect(c: &mut Compiler<'_>, manifest: &Manifest, at: &At<&ConnectSpec>, params: &Shape) -> Connect {
    let spec = *at.get_ref();
    let auth = spec.auth.as_ref().map_or("main", |auth| auth.get_ref()).to_owned();
    let known = AuthSpec::each(manifest.auth.as_ref());
    if !known.iter().any(|one| one.get_ref().id.as_ref().map_or("main", |id| id.get_ref()) == auth && !one.get_ref().login.is_empty()) {
        c.error(at, format!("[connect] fetches tokens for the auth `{auth}`, but there is none of this id that logs in"));
    }
    let page = AuthorizeSpec { base: spec.base.as_ref(), path: &spec.path, query: &spec.query };
    let authorize = c.request("connect", RequestKind::Login, at, page.parts(), params);
    let names = names::and(params, [("connect", names::texts(["code", "redirect_uri", "verifier"]))]);
    let token = c.request("connect.token", RequestKind::Login, at, spec.token.request(), &names);
    let store = spec.token.store.iter().map(|(key, value)| (key.clone(), c.value(value, &names))).collect();
    Connect { modes: c.modes(&spec.mode), auth, authorize, pkce: spec.pkce, token, store }
}

/// The CRM's own page as the request it would be.
struct AuthorizeSpec<'a> {
    base: Option<&'a At<String>>,
    path: &'a At<String>,
    query: &'a BTreeMap<String, At<String>>,
}

impl AuthorizeSpec<'_> {
    fn parts(&self) -> RequestParts<'_> {
        RequestParts { base: self.base, path: Some(self.path), query: self.query, ..RequestParts::none() }
    }
}

pub fn limits(c: &mut Compiler<'_>, manifest: &Manifest, params: &Shape) -> Vec<Limit> {
    let Some(at) = &manifest.limits else { return Vec::new() };
    OneOrMany::each(at)
        .into_iter()
        .map(|one| {
            let spec: &Limits = one.get_ref();
            if let Some(Err(why)) = spec.rate.as_ref().map(|rate| rate.parse::<Rate>()) {
                c.error(&At::new(one.span(), ()), format!("rate: {why}"));
            }
            let mode = spec.mode.as_ref().map(|mode| At::new(one.span(), mode.clone()));
            let remaining = spec.remaining.as_ref().map(|r| {
                let wait = r.wait.as_ref().map(|wait| c.duration(&At::new(one.span(), wait.clone())));
                Remaining {
                    header: r.header.to_ascii_lowercase(),
                    keep: r.keep,
                    reset: r.reset.as_ref().map(|reset| (reset.to_ascii_lowercase(), r.unit)),
                    wait: wait.unwrap_or(Duration::from_secs(10)),
                }
            });
            let share = spec.share.as_ref().map(|share| c.template(&At::new(one.span(), share.clone()), Escape::Text, params));
            Limit { modes: c.modes(&mode), spec: spec.clone(), share, remaining }
        })
        .collect()
}

pub fn lookup(c: &mut Compiler<'_>, manifest: &Manifest, spec: &LookupSpec, params: &Shape, known: &mut BTreeMap<String, Vec<String>>) -> Lookup {
    let name = spec.name.get_ref().clone();
    let names = names::lookup(params, known);
    let place = format!("lookup `{name}`");
    let asks = if spec.batch.is_some() { names::batch(params) } else { names.clone() };
    let request = c.request(&place, RequestKind::Lookup, &spec.name, spec.request(), &asks);
    let conditions = c.conditions(&spec.conditions, &names);
    known.insert(name.clone(), Vec::new());
    let map = map_of(c, manifest, &spec.map);
    let names = names::lookup(params, known);
    let map = c.mapping(&map, &names);
    let fields = fields(c, manifest, &spec.fields, &names);
    let store = values(c, &spec.store, &names);
    known.insert(name.clone(), spec.store.keys().cloned().collect());
    let batch = spec.batch.as_ref().and_then(|batch| {
        if batch.at_most == 0 {
            c.error(&spec.name, "a batch asks for one record at least: `at_most` is 0");
        }
        Some(Batch { at_most: batch.at_most.max(1), items: c.json_path(&batch.items)?, id: c.value(&batch.id, &names) })
    });
    Lookup { fields, name, request, conditions, when: spec.when, needs: spec.needs.clone(), not_found: spec.not_found.clone(), map, store, batch }
}

fn values(c: &mut Compiler<'_>, specs: &BTreeMap<String, At<ValueSpec>>, names: &Shape) -> BTreeMap<String, Value> {
    specs.iter().map(|(key, value)| (key.clone(), c.value(value, names))).collect()
}

/// Every kind of write-back, each in its modes.
pub fn kinds(c: &mut Compiler<'_>, manifest: &Manifest, params: &Shape) -> Vec<WriteBackKind> {
    let all = &manifest.write_back;
    let mut kinds = Vec::new();
    for (name, request, spec) in [("call", RequestKind::Call, &all.call), ("note", RequestKind::Note, &all.note), ("field", RequestKind::Field, &all.field)] {
        let Some(at) = spec else { continue };
        if modes::unreachable(at, |kind: &KindSpec| &kind.mode) {
            c.warning(at, format!("a [write_back.{name}] without mode stands before another: that one is never taken"));
        }
        kinds.extend(OneOrMany::each(at).iter().map(|one| kind(c, manifest, name, request, one, params)).collect::<Vec<_>>());
    }
    kinds
}

fn kind(c: &mut Compiler<'_>, manifest: &Manifest, name: &'static str, request: RequestKind, at: &At<&KindSpec>, params: &Shape) -> WriteBackKind {
    let spec = *at.get_ref();
    let plain = names::write_back(params, manifest, &BTreeMap::new());
    let marked = spec.create.iter().any(|step| !step.done_if.0.is_empty());
    match (spec.identity, &spec.find) {
        (Identity::Marker, None) if marked => {}
        (Identity::Searchable | Identity::Marker, None) => {
            c.error(at, format!("write_back.{name}: identity `searchable` needs `find`, and `marker` needs `find` or a step with `done_if`"))
        }
        (Identity::None | Identity::ClientId, Some(_)) => c.warning(at, format!("write_back.{name}: `find` is there, but identity does not use it")),
        _ => {}
    }
    if spec.create.is_empty() {
        c.error(at, format!("write_back.{name} has no create step"));
    }
    if !spec.update.is_empty() && !spec.create.iter().any(|step| step.store.contains_key("id")) {
        c.warning(at, format!("write_back.{name}: no create step stores `id`, so update has no entry.id"));
    }
    let marks_correction = spec.correction_find.is_some() || spec.correction.iter().any(|step| !step.done_if.0.is_empty());
    if matches!(spec.identity, Identity::Searchable | Identity::Marker) && !spec.correction.is_empty() && !marks_correction {
        c.error(at, format!("write_back.{name}: a correction may be sent twice: it needs `correction_find`, or a step with `done_if` before it"));
    }
    let document = names::write_back_document(manifest, &BTreeMap::new());
    let find = spec.find.as_ref().map(|find| self::find(c, at, &format!("{name}.find"), find, &plain, document.clone()));
    let correction_find = spec.correction_find.as_ref().map(|find| self::find(c, at, &format!("{name}.correction_find"), find, &plain, document.clone()));
    let conditions = c.conditions_on(document, &spec.conditions, &plain);
    let mut stored = BTreeMap::new();
    let mut steps = Steps { manifest, params, kind: name, request, stored: &mut stored };
    let create = steps.of(c, "create", &spec.create);
    let mut updated = steps.stored.clone();
    let update = Steps { stored: &mut updated, ..steps }.of(c, "update", &spec.update);
    let correction = Steps { manifest, params, kind: name, request, stored: &mut stored }.of(c, "correction", &spec.correction);
    WriteBackKind {
        name,
        modes: c.modes(&spec.mode),
        title: spec.title.clone(),
        identity: spec.identity,
        conditions,
        find,
        create,
        update,
        correction,
        correction_find,
    }
}

fn find(c: &mut Compiler<'_>, at: &At<&KindSpec>, name: &str, spec: &FindSpec, names: &Shape, document: Shape) -> Find {
    let place = format!("write_back.{name}");
    let request = c.request(&place, RequestKind::Find, at, spec.request(), names);
    let conditions = c.conditions_on(document, &spec.conditions, names);
    if spec.items.is_none() && !spec.matches.0.is_empty() {
        c.error(&spec.id, "`match` looks at the pieces of a list: `items` says where they are");
    }
    Find {
        request,
        conditions,
        items: spec.items.as_ref().and_then(|items| c.json_path(items)),
        matches: c.conditions(&spec.matches, names),
        id: c.value(&spec.id, names),
        store: values(c, &spec.store, names),
        wait: spec.wait.as_ref().map_or(Duration::ZERO, |wait| c.duration(wait)),
    }
}

/// The steps of one kind, and what those before store.
struct Steps<'a> {
    manifest: &'a Manifest,
    params: &'a Shape,
    kind: &'a str,
    request: RequestKind,
    stored: &'a mut BTreeMap<String, Vec<String>>,
}

impl Steps<'_> {
    fn of(&mut self, c: &mut Compiler<'_>, phase: &str, specs: &[StepSpec]) -> Vec<Step> {
        doubles(c, specs.iter().map(|step| &step.name), &format!("steps of write_back.{}.{phase}", self.kind));
        specs.iter().map(|spec| self.step(c, phase, spec)).collect()
    }

    fn step(&mut self, c: &mut Compiler<'_>, phase: &str, spec: &StepSpec) -> Step {
        let names = names::write_back(self.params, self.manifest, self.stored);
        let name = spec.name.get_ref().clone();
        let place = format!("write_back.{}.{phase} `{name}`", self.kind);
        let request = c.request(&place, self.request, &spec.name, spec.request(), &names);
        let conditions = c.conditions_on(names::write_back_document(self.manifest, self.stored), &spec.conditions, &names);
        let store = values(c, &spec.store, &names);
        self.stored.insert(name.clone(), spec.store.keys().cloned().collect());
        let after = names::write_back(self.params, self.manifest, self.stored);
        let done_if = c.conditions_on(names::write_back_document(self.manifest, self.stored), &spec.done_if, &after);
        let reads = spec.reads || request.only_reads();
        if !done_if.is_empty() && !reads {
            c.warning(&spec.name, "`done_if` stands at a step that writes: what it wrote is there already");
        }
        let writes = self.writes(c, spec, reads, &request, &names);
        Step { name, conditions, request, store, done_if, reads, writes }
    }

    /// The records that a step changes besides the one that asked.
    fn writes(&self, c: &mut Compiler<'_>, spec: &StepSpec, reads: bool, request: &Request, names: &Shape) -> Vec<(Value, Value)> {
        let guarded = self.manifest.receive.iter().any(|at| at.get_ref().loop_guard.as_ref().is_some_and(|guard| guard.quiet.is_some()));
        let Some(at) = &spec.writes else {
            // The address of what is changed comes from the delivery, but not as its record.
            if guarded && !reads && request.path.uses("event") && !request.path.uses("record") {
                c.warning(
                    &spec.name,
                    "this step changes something else than the record that asked: `writes = { type = \"…\", id = \"{{event.…}}\" }` says what, so that the webhook it causes is told from a wish",
                );
            }
            return Vec::new();
        };
        if reads {
            c.error(at, "`writes` stands at a step that only reads");
        } else if !guarded {
            c.error(at, "`writes` is for `receive.loop_guard`, and no variant has a `quiet` time");
        }
        let document = names::write_back_document(self.manifest, self.stored);
        OneOrMany::each(at)
            .iter()
            .map(|one| (c.value_on(document.clone(), &one.get_ref().kind, names), c.value_on(document.clone(), &one.get_ref().id, names)))
            .collect()
    }
}
