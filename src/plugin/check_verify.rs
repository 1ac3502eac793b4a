//! `[verify]`: schemes as written to schemes that run.

use super::compile::Compiler;
use super::manifest::{Algorithm, At, KeyEncoding, Manifest, VerifyKind, VerifyRef, VerifySpec};
use super::names::Shape;
use super::problem::did_you_mean;
use super::template::{Escape, Template};
use super::verify::{PART_WORDS, Part, Place, Scheme, Timestamp};

/// The most combinations of algorithm, key encoding, encoding and prefix.
const MAX_COMBINATIONS: usize = 32;

pub fn verify_ref(c: &mut Compiler<'_>, manifest: &Manifest, at: &At<VerifyRef>, params: &Shape) -> Option<Scheme> {
    match at.get_ref() {
        VerifyRef::Named(name) => named(c, manifest, &At::new(at.span(), name.clone()), params, true),
        VerifyRef::Here(spec) => {
            let name = format!("{:?}", spec.kind).to_lowercase();
            verify(c, manifest, &At::new(at.span(), spec), &name, params, true)
        }
    }
}

fn named(c: &mut Compiler<'_>, manifest: &Manifest, at: &At<String>, params: &Shape, may_hold_others: bool) -> Option<Scheme> {
    let name = at.get_ref();
    let Some(spec) = manifest.verify.get(name) else {
        let hint = did_you_mean(name, manifest.verify.keys().map(String::as_str));
        c.error(at, format!("there is no scheme `{name}` in [verify]{hint}"));
        return None;
    };
    verify(c, manifest, &At::new(spec.span(), spec.get_ref()), name, params, may_hold_others)
}

fn verify(c: &mut Compiler<'_>, manifest: &Manifest, at: &At<&VerifySpec>, name: &str, params: &Shape, may_hold_others: bool) -> Option<Scheme> {
    let spec = *at.get_ref();
    if spec.kind == VerifyKind::All {
        if !may_hold_others || spec.of.is_empty() {
            c.error(at, "`all` names in `of` the schemes that must hold, none of them of kind `all`");
            return None;
        }
        let of = spec.of.iter().filter_map(|one| named(c, manifest, one, params, false)).collect();
        return Some(Scheme { of, modes: c.modes(&spec.mode), ..bare(spec, name) });
    }
    let public = matches!(spec.kind, VerifyKind::Ed25519 | VerifyKind::Rsa);
    let (secret, key) = if public { (&spec.public_key, "public_key") } else { (&spec.secret, "secret") };
    let Some(secret) = secret else {
        c.error(at, format!("verification has no `{key}`"));
        return None;
    };
    let place = place(c, at)?;
    let scheme = Scheme {
        secret: c.template(secret, Escape::Text, params),
        user: spec.user.as_ref().map(|user| c.template(user, Escape::Text, params)),
        message: message(c, at, params),
        prefixes: prefixes(c, spec, params),
        timestamp: timestamp(c, at),
        modes: c.modes(&spec.mode),
        place,
        ..bare(spec, name)
    };
    doubts(c, at, &scheme);
    Some(scheme)
}

/// What needs no compiling.
fn bare(spec: &VerifySpec, name: &str) -> Scheme {
    let or = |list: &[Algorithm]| if list.is_empty() { vec![Algorithm::Sha256] } else { list.to_vec() };
    Scheme {
        name: name.to_owned(),
        modes: Vec::new(),
        kind: spec.kind,
        algorithms: or(&spec.algorithm.0),
        key_encodings: if spec.key_encoding.0.is_empty() { vec![KeyEncoding::default()] } else { spec.key_encoding.0.clone() },
        encodings: spec.encoding.0.clone(),
        prefixes: Vec::new(),
        secret: Template::nothing(),
        user: None,
        message: Vec::new(),
        place: Place::Header(String::new()),
        if_header: spec.if_header.as_ref().map(|on| (on.name.to_ascii_lowercase(), on.value.clone())),
        timestamp: None,
        optional: spec.optional,
        first: spec.first,
        of: Vec::new(),
    }
}

fn place(c: &mut Compiler<'_>, at: &At<&VerifySpec>) -> Option<Place> {
    let spec = at.get_ref();
    match (&spec.header, &spec.query, &spec.body) {
        (Some(header), None, None) => Some(Place::Header(header.to_ascii_lowercase())),
        (None, Some(query), None) => Some(Place::Query(query.clone())),
        (None, None, Some(body)) => c.json_path(body).map(|path| Place::Body(Box::new(path))),
        (None, None, None) if matches!(spec.kind, VerifyKind::Basic | VerifyKind::StandardWebhooks) => Some(Place::Header(String::new())),
        _ => {
            c.error(at, "verification needs one of `header`, `query` and `body`");
            None
        }
    }
}

fn prefixes(c: &mut Compiler<'_>, spec: &VerifySpec, params: &Shape) -> Vec<Template> {
    let Some(list) = &spec.prefix else { return Vec::new() };
    list.get_ref().0.iter().map(|prefix| c.template(&At::new(list.span(), prefix.clone()), Escape::Text, params)).collect()
}

/// What would prove nothing, or costs too much.
fn doubts(c: &mut Compiler<'_>, at: &At<&VerifySpec>, scheme: &Scheme) {
    let spec = at.get_ref();
    let signed = matches!(spec.kind, VerifyKind::Hmac | VerifyKind::Hash | VerifyKind::Ed25519 | VerifyKind::Rsa);
    if signed && !scheme.message.iter().any(|part| matches!(part, Part::Body | Part::Uri | Part::UriDecoded)) {
        c.error(at, "the signed message holds neither body nor uri: it would prove nothing");
    }
    if spec.kind == VerifyKind::Hash && !scheme.message.contains(&Part::Secret) {
        c.error(at, "a plain hash without `secret` in its message can be made by anybody");
    }
    if matches!(spec.kind, VerifyKind::Hash | VerifyKind::Rsa) && scheme.algorithms != [Algorithm::Sha256] {
        c.error(at, "a plain hash and an RSA signature are sha256 only");
    }
    if signed && scheme.encodings.is_empty() {
        c.error(at, "verification needs `encoding`: base64, hex, base64_of_prefixed_hex or base64_of_prefixed_raw");
    }
    if spec.first.is_some_and(|first| first < 8 || spec.kind != VerifyKind::Token) {
        c.error(at, "`first` is for tokens, and of less than 8 characters nothing is proved");
    }
    let combinations = scheme.algorithms.len() * scheme.key_encodings.len() * scheme.encodings.len().max(1) * scheme.prefixes.len().max(1);
    if combinations > MAX_COMBINATIONS {
        c.error(at, format!("{combinations} combinations of algorithm, key_encoding, encoding and prefix; at most {MAX_COMBINATIONS} are tried"));
    }
}

fn message(c: &mut Compiler<'_>, at: &At<&VerifySpec>, params: &Shape) -> Vec<Part> {
    let spec = at.get_ref();
    let Some(list) = &spec.message else {
        let signed = matches!(spec.kind, VerifyKind::Hmac | VerifyKind::Ed25519 | VerifyKind::Rsa);
        return if signed { vec![Part::Body] } else { Vec::new() };
    };
    let mut parts = Vec::new();
    for text in list.get_ref() {
        match Part::parse(text) {
            Some(part) => {
                if let Part::Param(id) = &part {
                    let known = params.child("param");
                    if known.is_none_or(|known| known.child(id).is_none()) {
                        let hint = did_you_mean(id, known.into_iter().flat_map(Shape::children));
                        c.error(list, format!("there is no parameter `{id}`{hint}"));
                    }
                    c.used_params.insert(id.clone());
                }
                parts.push(part);
            }
            None => {
                let hint = did_you_mean(text, PART_WORDS);
                c.error(list, format!("`{text}` is not a part of a signed message{hint}"));
            }
        }
    }
    parts
}

fn timestamp(c: &mut Compiler<'_>, at: &At<&VerifySpec>) -> Option<Timestamp> {
    let spec = at.get_ref();
    let timestamp = spec.timestamp.as_ref()?;
    let (place, part) = match (&timestamp.header, &timestamp.query, &timestamp.body) {
        (Some(header), None, None) => (Place::Header(header.to_ascii_lowercase()), format!("header:{}", header.to_ascii_lowercase())),
        (None, Some(query), None) => (Place::Query(query.clone()), format!("query:{query}")),
        (None, None, Some(body)) => (Place::Body(Box::new(c.json_path(body)?)), "body".to_owned()),
        (None, None, None) if spec.kind == VerifyKind::StandardWebhooks => (Place::Header(String::new()), String::new()),
        _ => {
            c.error(at, "the timestamp needs one of `header`, `query` and `body`");
            return None;
        }
    };
    // Without `message` it is the body that is signed.
    let signed = match &spec.message {
        Some(message) => message.get_ref().iter().any(|given| given.eq_ignore_ascii_case(&part)),
        None => part == "body",
    };
    let tokens = matches!(spec.kind, VerifyKind::StandardWebhooks | VerifyKind::Token | VerifyKind::Basic);
    if !signed && !tokens {
        c.warning(at, "the timestamp is not part of the signed message: an old delivery can be sent again with a new one");
    }
    Some(Timestamp { place, unit: timestamp.unit, tolerance: c.duration(&timestamp.tolerance) })
}
