//! Builds a plugin out of its manifest, piece by piece in the order a call flows, and says everything that is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::check_receive;
use super::check_verify::scheme_of;
use super::compile::{Compiler, MANIFEST};
use super::load::Files;
use super::manifest::{
    At, AuthKind, AuthSpec, Identity, KindSpec, Level, LookupSpec, Manifest, MapSpec, OneOrMany, ParameterKind, ResponseSpec, RetryAfterSpec, RetryUnit,
    StepSpec, ValueSpec, VerifyKind, WaitUnit,
};
use super::names::{self, Shape};
use super::not_yet;
use super::plugin::{Auth, Base, Find, Lookup, Plugin, ResponseRule, Step, Variant, WriteBackKind};
use super::problem::{Problem, did_you_mean};
use super::template::Escape;

/// The format's version that this program reads.
const SPEC: u32 = 1;

/// The plugin and its problems; with an error among them the plugin is not to be used.
pub fn build(id: &str, source: &str, manifest: Manifest, files: &Files, hash: String) -> (Plugin, Vec<Problem>) {
    let mut c = Compiler::new(source, files, manifest.bases.keys().cloned());
    head(&mut c, id, &manifest);
    not_yet::refuse(&mut c, &manifest);
    let captured = manifest.handshake.iter().flat_map(|handshake| handshake.get_ref().capture.keys().map(String::as_str));
    let kept: BTreeSet<&str> = manifest.receive.iter().flat_map(|receive| receive.get_ref().keep.keys().map(String::as_str)).collect();
    let params = names::params(manifest.parameters.iter().map(|p| p.get_ref().id.as_str()), captured, kept);
    let bases =
        manifest.bases.iter().filter_map(|(name, base)| Some((name.clone(), base_of(&mut c, OneOrMany::each(base).first()?.get_ref(), &params)))).collect();
    let auth = AuthSpec::each(manifest.auth.as_ref()).first().and_then(|spec| auth(&mut c, spec.get_ref(), &params));
    let variants: Vec<Variant> = manifest
        .receive
        .iter()
        .map(|spec| {
            let map = map_of(&mut c, &manifest, &spec.get_ref().map);
            check_receive::receive(&mut c, &manifest, spec, &map, &params)
        })
        .collect();
    let handshakes = manifest.handshake.iter().map(|spec| check_receive::handshake(&mut c, &manifest, spec, &params)).collect();
    let answers = check_receive::answers(&mut c, &manifest.answers, &params);
    if variants.is_empty() {
        c.problems.push(Problem::error(MANIFEST, 0, "a plugin needs at least one [[receive]]"));
    }
    doubles(&mut c, manifest.receive.iter().map(|r| &r.get_ref().name), "receive variants");
    doubles(&mut c, manifest.lookup.iter().map(|l| &l.get_ref().name), "look-ups");
    let mut known = Vec::new();
    let lookups = manifest.lookup.iter().map(|spec| lookup(&mut c, &manifest, spec.get_ref(), &params, &mut known)).collect();
    let kinds = [("call", &manifest.write_back.call), ("note", &manifest.write_back.note), ("field", &manifest.write_back.field)];
    let kinds = kinds.into_iter().filter_map(|(name, spec)| Some(kind(&mut c, name, OneOrMany::each(spec.as_ref()?).first()?, &params))).collect();
    let responses = manifest.responses.iter().map(|spec| response(&mut c, spec, &params)).collect();
    if !files.contains_key("vectors.json")
        && manifest
            .receive
            .iter()
            .flat_map(|r| &r.get_ref().verify)
            .any(|v| scheme_of(&manifest, v).is_some_and(|v| matches!(v.kind, VerifyKind::Hmac | VerifyKind::Hash | VerifyKind::Ed25519 | VerifyKind::Rsa)))
    {
        c.problems.push(Problem::warning(MANIFEST, 0, "signatures are verified, but there is no vectors.json to prove it"));
    }
    for parameter in &manifest.parameters {
        if !c.used_params.contains(&parameter.get_ref().id) {
            let message = format!("nothing uses the parameter `{}`", parameter.get_ref().id);
            c.warning(parameter, message);
        }
    }
    c.check_files();
    let mut problems = c.problems;
    problems.sort_by(|a, b| (a.severity, &a.file, a.line).cmp(&(b.severity, &b.file, b.line)));
    problems.dedup();
    let plugin = Plugin { manifest, hash, bases, auth, variants, handshakes, answers, lookups, kinds, responses, warnings: Vec::new(), files: BTreeMap::new() };
    (plugin, problems)
}

fn head(c: &mut Compiler<'_>, id: &str, manifest: &Manifest) {
    if manifest.spec != SPEC {
        c.problems.push(Problem::error(MANIFEST, 0, format!("spec = {} is not known; this program reads spec = {SPEC}", manifest.spec)));
    }
    let own = manifest.id.get_ref();
    if own != id {
        c.error(&manifest.id, format!("the id `{own}` is not the folder's name `{id}`"));
    }
    if own.is_empty() || !own.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        c.error(&manifest.id, "an id has lower-case letters, digits and `-` only");
    }
    if manifest.evidence.level >= Level::Recorded && manifest.evidence.sources.is_empty() {
        c.problems.push(Problem::warning(MANIFEST, 0, "evidence names no sources"));
    }
    let mut seen = BTreeSet::new();
    for parameter in &manifest.parameters {
        let p = parameter.get_ref();
        if !seen.insert(p.id.as_str()) {
            c.error(parameter, format!("the parameter `{}` is there twice", p.id));
        }
        if p.id.is_empty() || !p.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
            c.error(parameter, format!("the parameter id `{}` must have lower-case letters, digits and `_` only", p.id));
        }
        match p.kind {
            ParameterKind::Choice if p.choices.is_empty() => c.error(parameter, format!("the choice `{}` has no choices", p.id)),
            ParameterKind::Choice if !p.default.is_empty() && !p.choices.contains(&p.default) => {
                c.error(parameter, format!("the default of `{}` is not one of its choices", p.id));
            }
            _ => {}
        }
    }
    for (name, base) in &manifest.bases {
        for one in OneOrMany::each(base) {
            if one.get_ref().allow_hosts.is_empty() {
                c.error(&one.get_ref().url, format!("the base `{name}` allows no hosts"));
            }
        }
    }
}

fn doubles<'a>(c: &mut Compiler<'_>, named: impl Iterator<Item = &'a At<String>>, what: &str) {
    let mut seen = BTreeSet::new();
    for name in named {
        if !seen.insert(name.get_ref().as_str()) {
            c.error(name, format!("two {what} are called `{}`", name.get_ref()));
        }
    }
}

fn auth(c: &mut Compiler<'_>, spec: &AuthSpec, params: &Shape) -> Option<Auth> {
    let (secret, name) = match spec.kind {
        AuthKind::None => return None,
        AuthKind::Bearer => (&spec.token, &None),
        AuthKind::Header | AuthKind::Query => (&spec.value, &spec.name),
        AuthKind::Basic => (&spec.password, &spec.user),
    };
    if secret.is_none() || (name.is_none() && spec.kind != AuthKind::Bearer) {
        let needed = match spec.kind {
            AuthKind::Bearer => "token",
            AuthKind::Basic => "user and password",
            _ => "name and value",
        };
        c.problems.push(Problem::error(MANIFEST, 0, format!("[auth] needs {needed}")));
    }
    let secret = c.template_or_empty(secret.as_ref(), params);
    let name = c.template_or_empty(name.as_ref(), params);
    Some(Auth { kind: spec.kind, secret, name, base: spec.base.as_ref().map_or_else(|| "api".to_owned(), |base| base.get_ref().clone()) })
}

fn base_of(c: &mut Compiler<'_>, spec: &super::manifest::BaseSpec, params: &Shape) -> Base {
    let url = match spec.url.get_ref() {
        ValueSpec::Text(text) => text.clone(),
        _ => String::new(),
    };
    Base { url: c.template(&At::new(spec.url.span(), url), Escape::Text, params), allow_hosts: spec.allow_hosts.clone() }
}

/// A map with what it is `like` below it.
fn map_of(c: &mut Compiler<'_>, manifest: &Manifest, spec: &MapSpec) -> MapSpec {
    let Some(like) = &spec.like else { return spec.clone() };
    match manifest.maps.get(like.get_ref()) {
        Some(below) if below.get_ref().like.is_none() => return spec.over(below.get_ref()),
        Some(below) => c.error(below, "a map in [maps] is not `like` another"),
        None => {
            let hint = did_you_mean(like.get_ref(), manifest.maps.keys().map(String::as_str));
            c.error(like, format!("there is no map `{}` in [maps]{hint}", like.get_ref()));
        }
    }
    spec.clone()
}

fn lookup(c: &mut Compiler<'_>, manifest: &Manifest, spec: &LookupSpec, params: &Shape, known: &mut Vec<String>) -> Lookup {
    let name = spec.name.get_ref().clone();
    let names = names::lookup(params, known);
    let place = format!("lookup `{name}`");
    let request = c.request(&place, &spec.name, spec.request(), &names);
    let conditions = c.conditions(&spec.conditions, &names);
    known.push(name.clone());
    let map = map_of(c, manifest, &spec.map);
    let map = c.mapping(&map, &names::lookup(params, known));
    Lookup { name, request, conditions, when: spec.when, needs: spec.needs.clone(), not_found: spec.not_found.clone(), map }
}

fn kind(c: &mut Compiler<'_>, name: &'static str, at: &At<&KindSpec>, params: &Shape) -> WriteBackKind {
    let spec = *at.get_ref();
    let mut stored: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let plain = names::write_back(params, &stored);
    match (spec.identity, &spec.find) {
        (Identity::Searchable | Identity::Marker, None) => c.error(at, format!("write_back.{name}: identity `searchable` and `marker` need `find`")),
        (Identity::None | Identity::ClientId, Some(_)) => c.warning(at, format!("write_back.{name}: `find` is there, but identity does not use it")),
        _ => {}
    }
    if spec.create.is_empty() {
        c.error(at, format!("write_back.{name} has no create step"));
    }
    if !spec.update.is_empty() && !spec.create.iter().any(|step| step.store.contains_key("id")) {
        c.warning(at, format!("write_back.{name}: no create step stores `id`, so update has no entry.id"));
    }
    let find = spec.find.as_ref().map(|find| {
        let place = format!("write_back.{name}.find");
        Find {
            request: c.request(&place, at, find.request(), &plain),
            id: c.value(&find.id, &plain),
            wait: find.wait.as_ref().map_or(Duration::ZERO, |wait| c.duration(wait)),
        }
    });
    let conditions = c.conditions(&spec.conditions, &plain);
    let create = steps(c, name, "create", &spec.create, params, &mut stored);
    let update = steps(c, name, "update", &spec.update, params, &mut stored.clone());
    let correction = steps(c, name, "correction", &spec.correction, params, &mut stored);
    WriteBackKind { name, title: spec.title.clone(), identity: spec.identity, conditions, find, create, update, correction }
}

fn steps(c: &mut Compiler<'_>, kind: &str, phase: &str, specs: &[StepSpec], params: &Shape, stored: &mut BTreeMap<String, Vec<String>>) -> Vec<Step> {
    doubles(c, specs.iter().map(|step| &step.name), &format!("steps of write_back.{kind}.{phase}"));
    let mut steps = Vec::new();
    for spec in specs {
        let names = names::write_back(params, stored);
        let name = spec.name.get_ref().clone();
        let place = format!("write_back.{kind}.{phase} `{name}`");
        let mut request = c.request(&place, &spec.name, spec.request(), &names);
        request.sign = spec.sign.as_ref().map(|sign| c.template(&sign.secret, Escape::Text, params));
        let conditions = c.conditions(&spec.conditions, &names);
        let store = spec.store.iter().map(|(key, value)| (key.clone(), c.value(value, &names))).collect();
        stored.insert(name.clone(), spec.store.keys().cloned().collect());
        steps.push(Step { name, conditions, request, store });
    }
    steps
}

fn response(c: &mut Compiler<'_>, at: &At<ResponseSpec>, params: &Shape) -> ResponseRule {
    let spec = at.get_ref();
    if spec.status.is_empty() && spec.body.0.is_empty() {
        c.error(at, "a response rule needs `status` or `body`");
    }
    ResponseRule {
        status: spec.status.clone(),
        body: c.conditions(&spec.body, params),
        class: spec.class,
        retry_after: match spec.retry_after {
            Some(RetryAfterSpec::Header(WaitUnit::Milliseconds)) => Some(RetryUnit::Milliseconds),
            Some(RetryAfterSpec::Header(WaitUnit::None)) => Some(RetryUnit::None),
            Some(_) => Some(RetryUnit::Seconds),
            None => None,
        },
        say: spec.say.clone(),
    }
}
