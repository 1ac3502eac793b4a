//! Builds a plugin out of its manifest, piece by piece in the order a call flows, and says everything that is wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::assemble;
use super::check_receive;
use super::compile::{Compiler, MANIFEST};
use super::ends;
use super::load::Files;
use super::manifest::{At, Level, Manifest, MapSpec, OneOrMany, ParameterKind};
use super::modes;
use super::names;
use super::plugin::{Plugin, Variant};
use super::poll;
use super::problem::{Problem, did_you_mean};
use super::subscribe;

/// The format's version that this program reads.
const SPEC: u32 = 1;

/// The plugin and its problems; with an error among them the plugin is not to be used.
pub fn build(id: &str, source: &str, manifest: Manifest, files: &Files, hash: String) -> (Plugin, Vec<Problem>) {
    let mut c = Compiler::new(source, files, &manifest);
    head(&mut c, id, &manifest);
    let params = names::fixed(&manifest);
    let modes = modes::compile(&mut c, &manifest, &params);
    // What a mode is made of (a style of notes) says nothing about an account.
    let of_modes = std::mem::take(&mut c.used_params);
    let bases = assemble::bases(&mut c, &manifest, &params);
    c.base_params = c.used_params.clone();
    c.used_params.extend(of_modes);
    let auths = assemble::auths(&mut c, &manifest, &params);
    let connects = assemble::connects(&mut c, &manifest, &params);
    let limits = assemble::limits(&mut c, &manifest, &params);
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
    let mut known = BTreeMap::new();
    let lookups = manifest.lookup.iter().map(|spec| assemble::lookup(&mut c, &manifest, spec.get_ref(), &params, &mut known)).collect();
    let polls = manifest.poll.iter().filter_map(|at| poll::compile(&mut c, &manifest, at, &params)).collect();
    doubles(&mut c, manifest.poll.iter().map(|p| &p.get_ref().name), "polls");
    let subscriptions = manifest.subscribe.iter().map(|at| subscribe::compile(&mut c, &manifest, at, &params)).collect();
    doubles(&mut c, manifest.subscribe.iter().map(|s| &s.get_ref().name), "subscriptions");
    let kinds = assemble::kinds(&mut c, &manifest, &params);
    let responses = manifest.responses.iter().map(|spec| c.response(spec, &params)).collect();
    manifest.parameters.iter().for_each(|parameter| parameter_parts(&mut c, &manifest, parameter));
    for parameter in &manifest.parameters {
        if !c.used_params.contains(&parameter.get_ref().id) {
            let message = format!("nothing uses the parameter `{}`", parameter.get_ref().id);
            c.warning(parameter, message);
        }
    }
    for name in manifest.modes.iter().filter(|(name, _)| !c.used_modes.contains(*name)).map(|(_, at)| at.clone()).collect::<Vec<_>>() {
        c.warning(&name, "no block is in this mode");
    }
    for (name, at) in &manifest.tables {
        if !c.used_tables.contains(name) {
            c.warning(at, format!("nothing uses the table `{name}`"));
        }
    }
    c.check_files();
    let mut problems = c.problems;
    problems.sort_by(|a, b| (a.severity, &a.file, a.line).cmp(&(b.severity, &b.file, b.line)));
    problems.dedup();
    let plugin = Plugin {
        manifest,
        hash,
        modes,
        bases,
        auths,
        connects,
        limits,
        variants,
        handshakes,
        answers,
        polls,
        subscriptions,
        lookups,
        kinds,
        responses,
        warnings: Vec::new(),
        files: BTreeMap::new(),
    };
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

/// What a parameter names: modes, its table, the date at which it ends.
fn parameter_parts(c: &mut Compiler<'_>, manifest: &Manifest, at: &At<super::manifest::Parameter>) {
    let p = at.get_ref();
    ends::check(c, manifest, at);
    if let Some(modes) = &p.mode {
        c.modes(&Some(At::new(at.span(), modes.clone())));
    }
    if let Some(table) = &p.table {
        if !c.tables.has(table) {
            let hint = did_you_mean(table, manifest.tables.keys().map(String::as_str));
            c.error(at, format!("there is no table `{table}` in [tables]{hint}"));
        }
        // Its words are read wherever the table is.
        c.used_params.insert(p.id.clone());
    }
    if (p.kind == ParameterKind::Table) != p.table.is_some() {
        c.error(at, "a parameter of type table names its `table`, and only such a one does");
    }
}

pub fn doubles<'a>(c: &mut Compiler<'_>, named: impl Iterator<Item = &'a At<String>>, what: &str) {
    let mut seen = BTreeSet::new();
    for name in named {
        if !seen.insert(name.get_ref().as_str()) {
            c.error(name, format!("two {what} are called `{}`", name.get_ref()));
        }
    }
}

/// A map with what it is `like` below it.
pub fn map_of(c: &mut Compiler<'_>, manifest: &Manifest, spec: &MapSpec) -> MapSpec {
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
