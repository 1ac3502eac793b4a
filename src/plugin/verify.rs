//! Whether a delivery really comes from the CRM: signatures and tokens over the raw bytes, compared in constant time.
//!
//! Any one of a variant's schemes is enough. A right signature on an old delivery is told apart from a wrong one.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Params;
use super::manifest::{Algorithm, Encoding, KeyEncoding, TimestampUnit, VerifyKind};
use super::template::{Scope, Template};
use crate::domain::event::Delivery;
use crate::domain::time::Time;

/// Padding or none, as senders differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// The tolerance of Standard Webhooks.
const STANDARD_TOLERANCE: Duration = Duration::from_secs(300);

/// Why a delivery is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("the delivery carries no signature")]
    Missing,
    #[error("the signature does not match")]
    Mismatch,
    #[error("the signature is right, but its time is {by:?} away from now")]
    Stale { by: Duration },
}

/// One compiled way to verify.
#[derive(Debug, Clone)]
pub struct Scheme {
    pub kind: VerifyKind,
    pub algorithm: Algorithm,
    pub secret: Template,
    pub user: Option<Template>,
    pub key_encoding: KeyEncoding,
    pub message: Vec<Part>,
    pub place: Place,
    pub encoding: Encoding,
    pub prefix: Option<Template>,
    pub if_header: Option<(String, Option<String>)>,
    pub timestamp: Option<Timestamp>,
    pub optional: bool,
}

/// Where the signature or token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Lower case.
    Header(String),
    Query(String),
}

/// A piece of the signed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Method,
    Uri,
    UriDecoded,
    Body,
    Secret,
    Header(String),
    Param(String),
    Text(String),
}

#[derive(Debug, Clone)]
pub struct Timestamp {
    pub header: String,
    pub unit: TimestampUnit,
    pub tolerance: Duration,
}

/// Tries the schemes in order. None listed, or only optional ones without a secret: the hook key alone was the proof.
pub fn verify(schemes: &[Scheme], delivery: &Delivery, params: &Params) -> Result<(), VerifyError> {
    let mut worst = None;
    let mut asked = false;
    for scheme in schemes {
        let secret = text(&scheme.secret, params);
        if secret.trim().is_empty() {
            // Without its secret a scheme can prove nothing: it is left out if it may be, else it fails.
            asked |= !scheme.optional;
            continue;
        }
        asked = true;
        match scheme.check(delivery, params, &secret) {
            Ok(()) => return Ok(()),
            Err(error) => worst = Some(worse(worst, error)),
        }
    }
    if asked { Err(worst.unwrap_or(VerifyError::Missing)) } else { Ok(()) }
}

/// The error that says most: stale before wrong before missing.
fn worse(old: Option<VerifyError>, new: VerifyError) -> VerifyError {
    let rank = |e: VerifyError| match e {
        VerifyError::Missing => 0,
        VerifyError::Mismatch => 1,
        VerifyError::Stale { .. } => 2,
    };
    old.filter(|old| rank(*old) >= rank(new)).unwrap_or(new)
}

/// A parameter template that fails to render proves nothing: it is read as empty.
fn text<'a>(template: &'a Template, params: &'a Params) -> Cow<'a, str> {
    Cow::Owned(template.render(&Scope { params: Some(params), ..Scope::default() }).unwrap_or_default())
}

impl Scheme {
    fn check(&self, delivery: &Delivery, params: &Params, secret: &str) -> Result<(), VerifyError> {
        if let Some((name, value)) = &self.if_header {
            let found = delivery.header(name).ok_or(VerifyError::Missing)?;
            if value.as_deref().is_some_and(|value| value != found.trim()) {
                return Err(VerifyError::Missing);
            }
        }
        match self.kind {
            VerifyKind::StandardWebhooks => return self.standard(delivery, secret),
            VerifyKind::Basic => return self.basic(delivery, params, secret),
            _ => {}
        }
        let given = self.given(delivery).ok_or(VerifyError::Missing)?;
        let prefix = self.prefix.as_ref().map(|prefix| text(prefix, params)).unwrap_or_default();
        let right = match self.kind {
            VerifyKind::Token => given.strip_prefix(&*prefix).is_some_and(|given| any_secret(secret, |one| same(given.as_bytes(), one.as_bytes()))),
            _ => {
                let signature = self.decode(&given, &prefix).ok_or(VerifyError::Mismatch)?;
                any_secret(secret, |one| self.signs(delivery, params, one, &signature))
            }
        };
        if !right {
            return Err(VerifyError::Mismatch);
        }
        match &self.timestamp {
            Some(timestamp) => timestamp.check(delivery),
            None => Ok(()),
        }
    }

    fn given<'a>(&self, delivery: &'a Delivery) -> Option<Cow<'a, str>> {
        match &self.place {
            Place::Header(name) => delivery.header(name).map(|value| Cow::Borrowed(value.trim())),
            Place::Query(name) => {
                url::form_urlencoded::parse(delivery.query.as_bytes()).find(|(n, _)| n == name).map(|(_, value)| Cow::Owned(value.into_owned()))
            }
        }
        .filter(|value| !value.is_empty())
    }

    /// The signature's bytes.
    fn decode(&self, given: &str, prefix: &str) -> Option<Vec<u8>> {
        match self.encoding {
            Encoding::Hex => hex::decode(given.strip_prefix(prefix)?).ok(),
            Encoding::Base64 => BASE64.decode(given.strip_prefix(prefix)?).ok(),
            Encoding::Base64OfPrefixedRaw => Some(BASE64.decode(given).ok()?.strip_prefix(prefix.as_bytes())?.to_vec()),
            Encoding::Base64OfPrefixedHex => hex::decode(BASE64.decode(given).ok()?.strip_prefix(prefix.as_bytes())?).ok(),
        }
    }

    fn signs(&self, delivery: &Delivery, params: &Params, secret: &str, signature: &[u8]) -> bool {
        let feed = |sink: &mut dyn FnMut(&[u8])| {
            for part in &self.message {
                part.feed(delivery, params, secret, sink);
            }
        };
        let computed = match (self.kind, self.algorithm) {
            (VerifyKind::Hash, _) => {
                let mut hash = Sha256::new();
                feed(&mut |bytes| hash.update(bytes));
                hash.finalize().to_vec()
            }
            (_, Algorithm::Sha512) => return false,
            (_, Algorithm::Sha256) => {
                let Some(mut mac) = key(self.key_encoding, secret).and_then(|key| Hmac::<Sha256>::new_from_slice(&key).ok()) else { return false };
                feed(&mut |bytes| mac.update(bytes));
                mac.finalize().into_bytes().to_vec()
            }
            (_, Algorithm::Sha1) => {
                let Some(mut mac) = key(self.key_encoding, secret).and_then(|key| Hmac::<Sha1>::new_from_slice(&key).ok()) else { return false };
                feed(&mut |bytes| mac.update(bytes));
                mac.finalize().into_bytes().to_vec()
            }
        };
        same(&computed, signature)
    }

    fn basic(&self, delivery: &Delivery, params: &Params, secret: &str) -> Result<(), VerifyError> {
        let header = delivery.header("authorization").ok_or(VerifyError::Missing)?;
        let (kind, encoded) = header.trim().split_once(' ').ok_or(VerifyError::Missing)?;
        if !kind.eq_ignore_ascii_case("basic") {
            return Err(VerifyError::Missing);
        }
        let given = BASE64.decode(encoded.trim()).map_err(|_| VerifyError::Mismatch)?;
        let user = self.user.as_ref().map(|user| text(user, params)).unwrap_or_default();
        let right = any_secret(secret, |one| same(&given, format!("{user}:{one}").as_bytes()));
        if right { Ok(()) } else { Err(VerifyError::Mismatch) }
    }

    /// <https://www.standardwebhooks.com>: `v1,` signatures over `id.timestamp.body`, several with a space between; also with svix's header names.
    fn standard(&self, delivery: &Delivery, secret: &str) -> Result<(), VerifyError> {
        let header = |name: &str| delivery.header(&format!("webhook-{name}")).or_else(|| delivery.header(&format!("svix-{name}")));
        let (Some(id), Some(time), Some(signatures)) = (header("id"), header("timestamp"), header("signature")) else { return Err(VerifyError::Missing) };
        let signatures: Vec<Vec<u8>> =
            signatures.split_whitespace().filter_map(|one| one.strip_prefix("v1,")).filter_map(|one| BASE64.decode(one).ok()).collect();
        let right = any_secret(secret, |one| {
            standard_keys(one).iter().any(|key| {
                let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return false };
                for part in [id.as_bytes(), b".", time.as_bytes(), b".", &delivery.body] {
                    mac.update(part);
                }
                let computed = mac.finalize().into_bytes();
                signatures.iter().any(|signature| same(&computed, signature))
            })
        });
        if !right {
            return Err(VerifyError::Mismatch);
        }
        let tolerance = self.timestamp.as_ref().map_or(STANDARD_TOLERANCE, |t| t.tolerance);
        near(read_time(time, TimestampUnit::S).ok_or(VerifyError::Mismatch)?, delivery.received_at, tolerance)
    }
}

/// The signature header of Standard Webhooks, as we send it ourselves.
pub(super) fn sign_standard(secret: &str, id: &str, time: &str, body: &[u8]) -> Option<String> {
    let key = standard_keys(secret).into_iter().next()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    for part in [id.as_bytes(), b".", time.as_bytes(), b".", body] {
        mac.update(part);
    }
    Some(format!("v1,{}", BASE64.encode(mac.finalize().into_bytes())))
}

/// `whsec_` and base64; a secret without that beginning may also be meant as it is.
fn standard_keys(secret: &str) -> Vec<Vec<u8>> {
    match secret.strip_prefix("whsec_") {
        Some(encoded) => BASE64.decode(encoded).into_iter().filter(|key| !key.is_empty()).collect(),
        None => std::iter::once(secret.as_bytes().to_vec()).chain(BASE64.decode(secret).ok().filter(|key| !key.is_empty())).collect(),
    }
}

fn key(encoding: KeyEncoding, secret: &str) -> Option<Cow<'_, [u8]>> {
    match encoding {
        KeyEncoding::Utf8 => Some(Cow::Borrowed(secret.as_bytes())),
        KeyEncoding::Hex => hex::decode(secret).ok().map(Cow::Owned),
        KeyEncoding::Base64 => BASE64.decode(secret).ok().map(Cow::Owned),
        KeyEncoding::Base64Text => Some(Cow::Owned(BASE64.encode(secret).into_bytes())),
        KeyEncoding::Whsec => standard_keys(secret).into_iter().next().map(Cow::Owned),
    }
}

/// Several secrets stand with white space between them while one is being rotated.
fn any_secret(secrets: &str, right: impl Fn(&str) -> bool) -> bool {
    secrets.split_whitespace().any(right)
}

fn same(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

impl Part {
    /// Reads a part as the manifest writes it.
    pub fn parse(text: &str) -> Option<Part> {
        match text.split_once(':') {
            Some(("header", name)) => Some(Part::Header(name.to_ascii_lowercase())),
            Some(("param", id)) => Some(Part::Param(id.to_owned())),
            Some(("text", literal)) => Some(Part::Text(literal.to_owned())),
            Some(_) => None,
            None => match text {
                "method" => Some(Part::Method),
                "uri" => Some(Part::Uri),
                "uri_decoded" => Some(Part::UriDecoded),
                "body" => Some(Part::Body),
                "secret" => Some(Part::Secret),
                _ => None,
            },
        }
    }

    fn feed(&self, delivery: &Delivery, params: &Params, secret: &str, sink: &mut dyn FnMut(&[u8])) {
        match self {
            Part::Method => sink(delivery.method.as_bytes()),
            Part::Uri => sink(delivery.uri.as_bytes()),
            Part::UriDecoded => sink(uri_decoded(&delivery.uri).as_bytes()),
            Part::Body => sink(&delivery.body),
            Part::Secret => sink(secret.as_bytes()),
            Part::Header(name) => sink(delivery.header(name).unwrap_or_default().as_bytes()),
            Part::Param(id) => sink(params.get(id).map(String::as_bytes).unwrap_or_default()),
            Part::Text(text) => sink(text.as_bytes()),
        }
    }
}

/// The URI with `%3A %2F %3F %40 %21 %24 %27 %28 %29 %2A %2C %3B` decoded and every other escape kept.
fn uri_decoded(uri: &str) -> Cow<'_, str> {
    if !uri.contains('%') {
        return Cow::Borrowed(uri);
    }
    let mut out = String::with_capacity(uri.len());
    let mut rest = uri;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let decoded = rest.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok()).map(char::from).filter(|c| ":/?@!$'()*,;".contains(*c));
        match decoded {
            Some(c) => {
                out.push(c);
                rest = &rest[at + 3..];
            }
            None => {
                out.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

impl Timestamp {
    fn check(&self, delivery: &Delivery) -> Result<(), VerifyError> {
        let given = delivery.header(&self.header).ok_or(VerifyError::Missing)?;
        near(read_time(given, self.unit).ok_or(VerifyError::Mismatch)?, delivery.received_at, self.tolerance)
    }
}

fn read_time(text: &str, unit: TimestampUnit) -> Option<Time> {
    match unit {
        TimestampUnit::Ms => text.trim().parse().ok().map(Time),
        TimestampUnit::S => text.trim().parse::<i64>().ok().map(|s| Time(s.saturating_mul(1000))),
        TimestampUnit::Rfc3339 => Time::parse_rfc3339(text),
    }
}

fn near(given: Time, now: Time, tolerance: Duration) -> Result<(), VerifyError> {
    let by = now.since(given).max(given.since(now));
    if by <= tolerance { Ok(()) } else { Err(VerifyError::Stale { by }) }
}
