//! Requests to the CRM: address, headers, body. Data never chooses the host and never leaves its place in the path.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use url::Url;

use super::Params;
use super::manifest::AuthKind;
use super::modes::in_mode;
use super::plugin::Plugin;
use super::request::{BodyError, Request};
use super::template::{RenderError, Template, encode_component};
use super::template_scope::Scope;
use super::value::Source;
use super::verify::sign_standard;
use crate::domain::request::Outbound;
use crate::domain::time::Time;

/// A request that cannot be made from this data or these settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    #[error("{place}: {source}")]
    Template { place: String, source: RenderError },
    #[error("{place}: the plugin has no base `{base}`")]
    NoBase { place: String, base: String },
    #[error("{place}: the address of base `{base}` is not usable: {why}")]
    BadBase { place: String, base: String, why: &'static str },
    #[error("{place}: the path is not usable: {why}")]
    BadPath { place: String, why: &'static str },
    #[error("{place}: the header `{name}` may not hold control characters")]
    BadHeader { place: String, name: String },
    #[error("{place}: the body is not JSON after filling in: {why}")]
    BadBody { place: String, why: String },
}

impl Plugin {
    /// Composes a request of the write-back. `bases` are the connection's own addresses by base name; `now` goes into signatures.
    pub fn compose(&self, request: &Request, context: &Json, params: &Params, bases: &BTreeMap<String, String>, now: Time) -> Result<Outbound, ComposeError> {
        let scope = Scope { params: Some(params), whole: Some(context), ..Scope::default() };
        let mut outbound = self.request(request, &scope, params, bases)?;
        let version = context.pointer("/report/version").and_then(Json::as_u64).unwrap_or(0);
        let id = format!("{}_{version}", context.pointer("/call/id").and_then(Json::as_str).unwrap_or_default());
        self.sign(request, &scope, &id, now, &mut outbound)?;
        Ok(outbound)
    }

    /// Adds the signature that a request wants.
    pub(super) fn sign(&self, request: &Request, scope: &Scope<'_>, id: &str, now: Time, outbound: &mut Outbound) -> Result<(), ComposeError> {
        let Some(secret) = &request.sign else { return Ok(()) };
        let secret = secret.render(scope).map_err(|source| ComposeError::Template { place: request.place.clone(), source })?;
        outbound.headers.extend(standard_signature(secret.trim(), id, now, &outbound.body));
        Ok(())
    }

    pub(super) fn request(&self, request: &Request, scope: &Scope<'_>, params: &Params, bases: &BTreeMap<String, String>) -> Result<Outbound, ComposeError> {
        let filled =
            |template: &Template, scope: &Scope<'_>| template.render(scope).map_err(|source| ComposeError::Template { place: request.place.clone(), source });
        let own = Scope { params: Some(params), ..Scope::default() };
        let (base, allow_hosts) = self.base(request, params, bases)?;
        let mut url = address(request, &base, filled(&request.path, scope)?.trim())?;
        for (name, template) in &request.query {
            let value = filled(template, scope)?.trim().to_owned();
            if !value.is_empty() {
                add_query(&mut url, name, &value);
            }
        }
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, template) in &request.headers {
            let value = filled(template, scope)?.trim().to_owned();
            if !value.is_empty() {
                headers.push((name.clone(), value));
            }
        }
        // A token goes to the bases of its own auth only, whatever a request names.
        if let Some(auth) = self.auth_of(request, params).filter(|auth| auth.bases.contains(&request.base)) {
            let (name, secret) = (filled(&auth.shown, &own)?, filled(&auth.secret, &own)?);
            authorise(auth.kind, name.trim(), secret.trim(), &mut headers, &mut url);
        }
        let body = request.body.write(scope, request.content_type.as_deref()).map_err(|error| match error {
            BodyError::Template(source) => ComposeError::Template { place: request.place.clone(), source },
            BodyError::NotJson(why) => ComposeError::BadBody { place: request.place.clone(), why },
        })?;
        let usual = body.content_type.as_deref().or(request.content_type.as_deref()).filter(|_| request.body.is_some());
        for (name, value) in [("content-type", usual), ("accept", Some("application/json"))] {
            if let (Some(value), false) = (value, headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))) {
                headers.push((name.to_owned(), value.to_owned()));
            }
        }
        // A line break in a value would begin a header of its own.
        if let Some((name, _)) = headers.iter().find(|(_, value)| value.chars().any(|c| c.is_control() && c != '\t')) {
            return Err(ComposeError::BadHeader { place: request.place.clone(), name: name.clone() });
        }
        Ok(Outbound { method: request.method.clone(), url: url.into(), headers, body: body.bytes, allow_hosts })
    }

    fn base(&self, request: &Request, params: &Params, bases: &BTreeMap<String, String>) -> Result<(Url, Vec<String>), ComposeError> {
        let place = || request.place.clone();
        let there = self.bases.get(&request.base).into_iter().flatten().find(|base| in_mode(&base.modes, params));
        let base = there.ok_or_else(|| ComposeError::NoBase { place: place(), base: request.base.clone() })?;
        let bad = |why| ComposeError::BadBase { place: place(), base: request.base.clone(), why };
        let overridden = bases.get(&request.base).filter(|url| !url.trim().is_empty());
        let text = match overridden {
            Some(url) => url.clone(),
            None => {
                let source = Source { document: &Json::Null, scope: Scope { params: Some(params), ..Scope::default() }, empty: &[] };
                base.url.text(&source).map_err(|source| ComposeError::Template { place: place(), source })?
            }
        };
        let url = Url::parse(text.trim()).map_err(|_| bad("it is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(bad("it is not http or https"));
        }
        let whole = request.path.source().trim().is_empty();
        if !url.username().is_empty() || url.password().is_some() || (url.query().is_some() && !whole) || url.fragment().is_some() {
            return Err(bad("it may have a host and a path only"));
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        if overridden.is_some() {
            return Ok((url, vec![host]));
        }
        if !base.allow_hosts.iter().any(|pattern| host_matches(pattern, &host)) {
            return Err(bad("its host is not among allow_hosts"));
        }
        Ok((url, base.allow_hosts.clone()))
    }
}

/// The three headers of <https://www.standardwebhooks.com>; none without a secret.
fn standard_signature(secret: &str, id: &str, now: Time, body: &[u8]) -> Vec<(String, String)> {
    let time = now.0.div_euclid(1000).to_string();
    let Some(signature) = secret.split_whitespace().next().and_then(|secret| sign_standard(secret, id, &time, body)) else { return Vec::new() };
    vec![("webhook-id".to_owned(), id.to_owned()), ("webhook-timestamp".to_owned(), time), ("webhook-signature".to_owned(), signature)]
}

/// `*`, an exact name, or `*.name` for the names below it.
pub fn host_matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) => host.len() > domain.len() + 1 && host.to_ascii_lowercase().ends_with(&format!(".{}", domain.to_ascii_lowercase())),
        None => pattern == "*" || pattern.eq_ignore_ascii_case(host),
    }
}

/// Base and path together; the path was percent-encoded piece by piece, so only dots and emptiness are left to refuse.
fn address(request: &Request, base: &Url, path: &str) -> Result<Url, ComposeError> {
    let bad = |why| ComposeError::BadPath { place: request.place.clone(), why };
    if path.is_empty() && request.path.source().trim().is_empty() {
        return Ok(base.clone());
    }
    let (plain, query) = path.split_once('?').map_or((path, None), |(plain, query)| (plain, Some(query)));
    if plain.contains(['\\', '#']) || plain.chars().any(char::is_control) {
        return Err(bad("it holds a character no path has"));
    }
    let segments: Vec<&str> = plain.split('/').skip(1).collect();
    if segments.iter().any(|segment| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")) {
        return Err(bad("a segment is `.` or `..`"));
    }
    let ends_open = request.path.source().split('?').next().unwrap_or_default().trim().ends_with('/');
    let empty_inside = segments.iter().rev().skip(1).any(|segment| segment.is_empty());
    if empty_inside || (segments.last().is_some_and(|last| last.is_empty()) && !ends_open) {
        return Err(bad("a piece of it is empty: the record or entry has no id"));
    }
    let whole = match query {
        Some(query) => format!("{}{plain}?{}", base.as_str().trim_end_matches('/'), query.replace('#', "%23")),
        None => format!("{}{plain}", base.as_str().trim_end_matches('/')),
    };
    let url = Url::parse(&whole).map_err(|_| bad("it does not make a URL"))?;
    let same = (url.scheme(), url.host_str(), url.port_or_known_default()) == (base.scheme(), base.host_str(), base.port_or_known_default());
    if !same || !url.username().is_empty() || !url.path().starts_with(base.path().trim_end_matches('/')) {
        return Err(bad("it leads away from its base"));
    }
    Ok(url)
}

/// An empty secret is not sent: the CRM's own refusal says more.
fn authorise(kind: AuthKind, name: &str, secret: &str, headers: &mut Vec<(String, String)>, url: &mut Url) {
    match kind {
        AuthKind::None => {}
        _ if secret.is_empty() => {}
        AuthKind::Bearer => headers.push(("authorization".to_owned(), format!("Bearer {secret}"))),
        AuthKind::Header if name.is_empty() => {}
        AuthKind::Header => headers.push((name.to_owned(), secret.to_owned())),
        AuthKind::Basic => headers.push(("authorization".to_owned(), format!("Basic {}", STANDARD.encode(format!("{name}:{secret}"))))),
        AuthKind::Query => add_query(url, name, secret),
    }
}

fn add_query(url: &mut Url, name: &str, value: &str) {
    let pair = format!("{}={}", encode_component(name), encode_component(value));
    let query = url.query().filter(|query| !query.is_empty()).map_or_else(|| pair.clone(), |query| format!("{query}&{pair}"));
    url.set_query(Some(&query));
}
