//! `[[receive]]`, `[[handshake]]` and `[answers]`: as written to what runs.

use std::collections::BTreeMap;

use super::body::Format;
use super::check_verify::verify_ref;
use super::compile::Compiler;
use super::handshake::Handshake;
use super::manifest::{AnswerSpec, Answers, At, BodyKind, HandshakeSpec, IgnoreCode, Manifest, MapSpec, ReceiveSpec, SelectSpec, ValueSpec};
use super::names::{self, Shape};
use super::plugin::{AnswerRule, AnswerRules, Changed, Ignore, Variant};
use super::problem::did_you_mean;
use super::respond::Reply;
use super::select::Select;
use super::template::{Escape, Template};
use super::value::Value;

/// The format a body kind stands for; `None`: by the content.
fn format_of(kind: BodyKind) -> Option<Format> {
    match kind {
        BodyKind::Json => Some(Format::Json),
        BodyKind::Form => Some(Format::Form),
        BodyKind::Multipart => Some(Format::Multipart),
        BodyKind::Xml => Some(Format::Xml),
        BodyKind::Query => Some(Format::Query),
        BodyKind::Sniff => None,
    }
}

/// Values by the ids of `[[fields]]`.
pub fn fields(c: &mut Compiler<'_>, manifest: &Manifest, specs: &BTreeMap<String, At<ValueSpec>>, names: &Shape) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    for (id, value) in specs {
        if !manifest.fields.iter().any(|field| field.get_ref().id == *id) {
            let hint = did_you_mean(id, manifest.fields.iter().map(|field| field.get_ref().id.as_str()));
            c.error(value, format!("there is no [[fields]] with id `{id}`{hint}"));
        }
        c.used_fields.insert(id.clone());
        fields.insert(id.clone(), c.value(value, names));
    }
    fields
}

/// `receive` with the map that is already put together.
pub fn receive(c: &mut Compiler<'_>, manifest: &Manifest, at: &At<ReceiveSpec>, map: &MapSpec, params: &Shape) -> Variant {
    let spec = at.get_ref();
    let names = names::receive(params);
    if map.record_id.is_none() && map.phone.is_none() {
        c.error(&spec.name, "receive.map has neither record_id nor phone: nothing could ever be called");
    }
    let select = select(c, manifest, &spec.name, &spec.select, &spec.methods, &names);
    let split = spec.items.as_ref().map_or_else(Vec::new, |items| {
        let paths = items.split.get_ref().0.iter().map(|path| At::new(items.split.span(), path.clone())).collect::<Vec<_>>();
        paths.iter().filter_map(|path| c.json_path(path)).collect()
    });
    let fields = fields(c, manifest, &spec.fields, &names);
    Variant {
        name: spec.name.get_ref().clone(),
        modes: c.modes(&spec.mode),
        sender_retries: spec.sender_retries,
        select: Select { format: format_of(spec.body), json_fields: spec.json_fields.clone(), lists: spec.lists.clone(), ..select },
        verify: spec.verify.iter().filter_map(|at| verify_ref(c, manifest, at, params)).collect(),
        split,
        map: c.mapping(map, &names),
        ignore: spec
            .ignore
            .iter()
            .map(|rule| Ignore {
                code: match rule.code {
                    IgnoreCode::OwnWrite => "own_write",
                    IgnoreCode::Filter => "filter",
                },
                modes: c.modes(&rule.mode),
                conditions: c.conditions(&rule.conditions, &names),
            })
            .collect(),
        keep: spec.keep.iter().map(|(name, value)| (name.clone(), c.value(value, &names))).collect(),
        fields,
        changed: changed(c, spec),
        only_changed: spec.loop_guard.as_ref().map(|guard| guard.only_changed.clone()).unwrap_or_default(),
        quiet: spec.loop_guard.as_ref().and_then(|guard| guard.quiet.as_ref()).map(|quiet| c.duration(quiet)),
        answers: answers(c, &spec.answers, params),
    }
}

fn changed(c: &mut Compiler<'_>, spec: &ReceiveSpec) -> Option<Changed> {
    let guarded = spec.loop_guard.as_ref().is_some_and(|guard| !guard.only_changed.is_empty());
    match spec.changed.as_ref().map(|changed| (&changed.names, &changed.keys)) {
        Some((Some(names), None)) => c.json_path(names).map(Changed::Names),
        Some((None, Some(keys))) => {
            let paths = keys.get_ref().0.iter().map(|path| At::new(keys.span(), path.clone())).collect::<Vec<_>>();
            Some(Changed::Keys(paths.iter().filter_map(|path| c.json_path(path)).collect()))
        }
        Some(_) => {
            c.error(&spec.name, "receive.changed has either `names` or `keys`");
            None
        }
        None => {
            if guarded {
                c.error(&spec.name, "loop_guard.only_changed needs receive.changed");
            }
            None
        }
    }
}

fn select(c: &mut Compiler<'_>, manifest: &Manifest, at: &At<String>, spec: &SelectSpec, methods: &[String], names: &Shape) -> Select {
    for method in methods {
        if !matches!(method.as_str(), "GET" | "POST" | "PUT" | "PATCH" | "DELETE") {
            c.error(at, format!("`{method}` is not a method: GET, POST, PUT, PATCH or DELETE"));
        }
    }
    if let Some(hook) = &spec.hook
        && !manifest.hooks.iter().any(|known| known.get_ref().name == *hook.get_ref())
    {
        let hint = did_you_mean(hook.get_ref(), manifest.hooks.iter().map(|known| known.get_ref().name.as_str()));
        c.error(hook, format!("there is no [[hooks]] called `{}`{hint}", hook.get_ref()));
    }
    Select {
        methods: methods.to_vec(),
        tail: spec.tail.clone(),
        content: spec.content,
        has: spec.has.as_ref().and_then(|has| c.json_path(has)),
        query: spec.query.clone(),
        header: spec.header.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect(),
        hook: spec.hook.as_ref().map(|hook| hook.get_ref().clone()),
        conditions: c.conditions(&spec.conditions, names),
        ..Select::default()
    }
}

pub fn handshake(c: &mut Compiler<'_>, manifest: &Manifest, at: &At<HandshakeSpec>, params: &Shape) -> Handshake {
    let spec = at.get_ref();
    let names = names::receive(params);
    let select = select(c, manifest, &spec.name, &spec.select, &spec.methods, &names);
    let answer = &spec.answer;
    status(c, &answer.status);
    Handshake {
        name: spec.name.get_ref().clone(),
        modes: c.modes(&spec.mode),
        select: Select { format: format_of(spec.body), ..select },
        verify: spec.verify.iter().filter_map(|at| verify_ref(c, manifest, at, params)).collect(),
        capture: spec.capture.iter().map(|(name, value)| (name.clone(), c.value(value, &names))).collect(),
        status: *answer.status.get_ref(),
        headers: answer.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), c.template(value, Escape::Text, &names))).collect(),
        body: answer.body.as_ref().map_or_else(Template::nothing, |body| c.template(body, Escape::Text, &names)),
    }
}

fn status(c: &mut Compiler<'_>, at: &At<u16>) {
    if !(200..=599).contains(at.get_ref()) {
        c.error(at, format!("{} is not a status to answer with", at.get_ref()));
    }
}

/// What the CRM is told per outcome, for all variants or for one.
pub fn answers(c: &mut Compiler<'_>, spec: &Answers, params: &Shape) -> AnswerRules {
    let list = [
        (Reply::Stored, &spec.stored),
        (Reply::Duplicate, &spec.duplicate),
        (Reply::BadSignature, &spec.bad_signature),
        (Reply::Stale, &spec.stale),
        (Reply::UnknownKey, &spec.unknown_key),
        (Reply::Unreadable, &spec.unreadable),
        (Reply::TooLarge, &spec.too_large),
        (Reply::OverLimit, &spec.over_limit),
        (Reply::CannotStore, &spec.cannot_store),
        (Reply::Paused, &spec.paused),
    ];
    let names = names::answer(params);
    list.into_iter().filter_map(|(reply, spec)| Some((reply, answer(c, spec.as_ref()?, &names)))).collect::<BTreeMap<_, _>>()
}

fn answer(c: &mut Compiler<'_>, spec: &AnswerSpec, names: &Shape) -> AnswerRule {
    status(c, &spec.status);
    let line = c.line(&spec.status);
    let mut template = |text: &String| c.template(&At::new(spec.status.span(), text.clone()), Escape::Text, names);
    AnswerRule {
        line,
        status: *spec.status.get_ref(),
        headers: spec.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), template(value))).collect(),
        body: template(&spec.body),
        retry_after: spec.retry_after,
    }
}
