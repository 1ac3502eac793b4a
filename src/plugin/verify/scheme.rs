//! One way to prove the sender, and the rule that any one of a variant's ways is enough.
//!
//! A right signature on an old delivery is told apart from a wrong one.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine;
use serde_json::Value as Json;
use serde_json_path::JsonPath;
use sha2::{Digest, Sha256};

use super::key::{self, BASE64};
use super::part::Part;
use super::standard;
use super::timestamp::Timestamp;
use crate::domain::event::Delivery;
use crate::plugin::Params;
use crate::plugin::body::query_value;
use crate::plugin::manifest::{Algorithm, Encoding, KeyEncoding, VerifyKind};
use crate::plugin::modes::in_mode;
use crate::plugin::template::Template;
use crate::plugin::template_scope::Scope;
use crate::plugin::value::text_of;

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

/// What held: the scheme's name and, where its manifest leaves several ways open, which one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held(pub String);

impl Held {
    /// The names of the schemes.
    pub fn schemes(&self) -> impl Iterator<Item = &str> {
        self.0.split(" + ").filter_map(|one| one.split(" (").next()).filter(|name| !name.is_empty())
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    pub delivery: &'a Delivery,
    /// Read only where a scheme looks into it.
    pub body: Option<&'a Json>,
    pub params: &'a Params,
}

/// One compiled way to verify.
#[derive(Debug, Clone)]
pub struct Scheme {
    pub name: String,
    pub modes: Vec<String>,
    pub kind: VerifyKind,
    /// Where there are several of these four, every combination is tried.
    pub algorithms: Vec<Algorithm>,
    pub key_encodings: Vec<KeyEncoding>,
    pub encodings: Vec<Encoding>,
    pub prefixes: Vec<Template>,
    /// The secrets, or the public keys.
    pub secret: Template,
    pub user: Option<Template>,
    pub message: Vec<Part>,
    pub place: Place,
    pub if_header: Option<(String, Option<String>)>,
    pub timestamp: Option<Timestamp>,
    pub optional: bool,
    /// How many characters of a token count; `None`: all.
    pub first: Option<usize>,
    /// Of `all`.
    pub of: Vec<Scheme>,
}

/// Where the signature, token or time is.
#[derive(Debug, Clone)]
pub enum Place {
    /// Lower case.
    Header(String),
    Query(String),
    Body(Box<JsonPath>),
}

impl Place {
    pub(super) fn find<'a>(&self, evidence: &Evidence<'a>) -> Option<Cow<'a, str>> {
        match self {
            Place::Header(name) => evidence.delivery.header(name).map(|value| Cow::Borrowed(value.trim())),
            Place::Query(name) => query_value(&evidence.delivery.query, name).map(Cow::Owned),
            Place::Body(path) => path.query(evidence.body?).first().map(|json| Cow::Owned(text_of(json))),
        }
        .filter(|value| !value.is_empty())
    }
}

/// Tries the schemes in order. None listed, or only optional ones without a secret: the hook key alone was the proof.
pub fn verify(schemes: &[Scheme], evidence: &Evidence<'_>) -> Result<Held, VerifyError> {
    let mut worst = None;
    let mut asked = false;
    for scheme in schemes.iter().filter(|scheme| in_mode(&scheme.modes, evidence.params)) {
        match scheme.check(evidence) {
            // Without its secret a scheme can prove nothing: it is left out if it may be, else it fails.
            None => asked |= !scheme.optional,
            Some(Ok(held)) => return Ok(held),
            Some(Err(error)) => {
                asked = true;
                worst = Some(worse(worst, error));
            }
        }
    }
    if asked { Err(worst.unwrap_or(VerifyError::Missing)) } else { Ok(Held::default()) }
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

/// A template that fails to render proves nothing: it is read as empty.
fn text(template: &Template, params: &Params) -> String {
    template.render(&Scope { params: Some(params), ..Scope::default() }).unwrap_or_default()
}

impl Scheme {
    /// Whether it looks into the body.
    pub fn reads_body(&self) -> bool {
        let time = self.timestamp.as_ref().is_some_and(|timestamp| matches!(timestamp.place, Place::Body(_)));
        time || matches!(self.place, Place::Body(_)) || self.of.iter().any(Scheme::reads_body)
    }

    /// The parameters in which its secrets stand; public keys are none.
    pub fn secret_params(&self) -> Vec<&str> {
        match self.kind {
            VerifyKind::Ed25519 | VerifyKind::Rsa => Vec::new(),
            VerifyKind::All => self.of.iter().flat_map(Scheme::secret_params).collect(),
            _ => self.secret.params().collect(),
        }
    }

    /// `None`: it has no secret.
    fn check(&self, evidence: &Evidence<'_>) -> Option<Result<Held, VerifyError>> {
        if self.kind == VerifyKind::All {
            return Some(self.all(evidence));
        }
        let secret = text(&self.secret, evidence.params);
        if secret.trim().is_empty() {
            return None;
        }
        Some(self.with(evidence, &secret))
    }

    /// Every one must hold; an optional one without a secret is left out, but not all of them.
    fn all(&self, evidence: &Evidence<'_>) -> Result<Held, VerifyError> {
        let mut held = Vec::new();
        for scheme in &self.of {
            match scheme.check(evidence) {
                None if scheme.optional => {}
                None => return Err(VerifyError::Missing),
                Some(result) => held.push(result?.0),
            }
        }
        if held.is_empty() { Err(VerifyError::Missing) } else { Ok(Held(held.join(" + "))) }
    }

    fn with(&self, evidence: &Evidence<'_>, secret: &str) -> Result<Held, VerifyError> {
        if let Some((name, value)) = &self.if_header {
            let found = evidence.delivery.header(name).ok_or(VerifyError::Missing)?;
            if value.as_deref().is_some_and(|value| value != found.trim()) {
                return Err(VerifyError::Missing);
            }
        }
        let held = match self.kind {
            VerifyKind::StandardWebhooks => {
                standard::check(evidence, secret, self.timestamp.as_ref().map(|t| t.tolerance))?;
                return Ok(Held(self.name.clone()));
            }
            VerifyKind::Basic => self.basic(evidence, secret)?,
            VerifyKind::Token => self.token(evidence, secret)?,
            _ => self.signature(evidence, secret)?,
        };
        match &self.timestamp {
            Some(timestamp) => timestamp.check(evidence).map(|()| held),
            None => Ok(held),
        }
    }

    fn token(&self, evidence: &Evidence<'_>, secret: &str) -> Result<Held, VerifyError> {
        let given = self.place.find(evidence).ok_or(VerifyError::Missing)?;
        let right = self.prefixes(evidence.params).iter().any(|prefix| {
            let given = given.strip_prefix(prefix.as_str());
            given.is_some_and(|given| key::each(secret).any(|one| key::same(self.counting(given), self.counting(one))))
        });
        if right { Ok(Held(self.name.clone())) } else { Err(VerifyError::Mismatch) }
    }

    /// What counts of a token. One that is shorter is compared whole, so it is never the same as a longer one.
    fn counting<'t>(&self, token: &'t str) -> &'t [u8] {
        let bytes = token.as_bytes();
        self.first.and_then(|first| bytes.get(..first)).unwrap_or(bytes)
    }

    fn basic(&self, evidence: &Evidence<'_>, secret: &str) -> Result<Held, VerifyError> {
        let header = evidence.delivery.header("authorization").ok_or(VerifyError::Missing)?;
        let (kind, encoded) = header.trim().split_once(' ').ok_or(VerifyError::Missing)?;
        if !kind.eq_ignore_ascii_case("basic") {
            return Err(VerifyError::Missing);
        }
        let given = BASE64.decode(encoded.trim()).map_err(|_| VerifyError::Mismatch)?;
        let user = self.user.as_ref().map(|user| text(user, evidence.params)).unwrap_or_default();
        let right = key::each(secret).any(|one| key::same(&given, format!("{user}:{one}").as_bytes()));
        if right { Ok(Held(self.name.clone())) } else { Err(VerifyError::Mismatch) }
    }

    /// The given prefixes, or none as the one there is.
    fn prefixes(&self, params: &Params) -> Vec<String> {
        let given: Vec<String> = self.prefixes.iter().map(|prefix| text(prefix, params)).collect();
        if given.is_empty() { vec![String::new()] } else { given }
    }

    /// Every combination of prefix, encoding, algorithm and key encoding; the first that holds is named.
    fn signature(&self, evidence: &Evidence<'_>, secret: &str) -> Result<Held, VerifyError> {
        let given = self.place.find(evidence).ok_or(VerifyError::Missing)?;
        for prefix in self.prefixes(evidence.params) {
            for encoding in &self.encodings {
                let Some(signature) = decoded(*encoding, &given, &prefix) else { continue };
                if let Some(how) = self.signs(evidence, secret, &signature) {
                    let how = [how, if self.encodings.len() > 1 { format!("{encoding:?}") } else { String::new() }];
                    let how: Vec<String> = how.into_iter().chain((self.prefixes.len() > 1).then(|| format!("prefix `{prefix}`"))).collect();
                    let how = how.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ").to_lowercase();
                    return Ok(Held(if how.is_empty() { self.name.clone() } else { format!("{} ({how})", self.name) }));
                }
            }
        }
        Err(VerifyError::Mismatch)
    }

    /// Which algorithm and key encoding made this signature, in words where there was a choice.
    fn signs(&self, evidence: &Evidence<'_>, secret: &str, signature: &[u8]) -> Option<String> {
        match self.kind {
            VerifyKind::Hash => key::each(secret).any(|one| key::same(&self.hashed(evidence, one), signature)).then(String::new),
            VerifyKind::Ed25519 | VerifyKind::Rsa => {
                let mut message = Vec::with_capacity(evidence.delivery.body.len());
                self.message.iter().for_each(|part| part.feed(evidence.delivery, evidence.params, "", &mut |bytes| message.extend_from_slice(bytes)));
                let holds = if self.kind == VerifyKind::Rsa { key::rsa } else { key::ed25519 };
                key::each_public(secret).iter().any(|public| holds(public, &message, signature)).then(String::new)
            }
            _ => self.hmac(evidence, secret, signature),
        }
    }

    fn hashed(&self, evidence: &Evidence<'_>, secret: &str) -> Vec<u8> {
        let mut hash = Sha256::new();
        self.message.iter().for_each(|part| part.feed(evidence.delivery, evidence.params, secret, &mut |bytes| hash.update(bytes)));
        hash.finalize().to_vec()
    }

    fn hmac(&self, evidence: &Evidence<'_>, secret: &str, signature: &[u8]) -> Option<String> {
        let open = self.algorithms.len() > 1 || self.key_encodings.len() > 1;
        for algorithm in &self.algorithms {
            for encoding in &self.key_encodings {
                let right = key::each(secret).any(|one| {
                    let Some(key) = key::key(*encoding, one) else { return false };
                    let computed = key::hmac(*algorithm, &key, |sink| {
                        self.message.iter().for_each(|part| part.feed(evidence.delivery, evidence.params, one, sink));
                    });
                    computed.is_some_and(|computed| key::same(&computed, signature))
                });
                if right {
                    return Some(if open { format!("{algorithm:?}, key {encoding:?}") } else { String::new() });
                }
            }
        }
        None
    }
}

/// The signature's bytes.
fn decoded(encoding: Encoding, given: &str, prefix: &str) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Hex => hex::decode(given.strip_prefix(prefix)?).ok(),
        Encoding::Base64 => BASE64.decode(given.strip_prefix(prefix)?).ok(),
        Encoding::Base64OfPrefixedRaw => Some(BASE64.decode(given).ok()?.strip_prefix(prefix.as_bytes())?.to_vec()),
        Encoding::Base64OfPrefixedHex => hex::decode(BASE64.decode(given).ok()?.strip_prefix(prefix.as_bytes())?).ok(),
    }
    .filter(|bytes| !bytes.is_empty())
}
