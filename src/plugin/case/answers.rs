//! What the sender of a case's delivery is told in outcomes that the case does not bring about: above the limit, with a wrong key,
//! when nothing can be stored.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::compare;
use super::run::Run;
use crate::plugin::manifest::SenderRetries;
use crate::plugin::{Reply, ReplySpec, Variant};

/// How long the sender is asked to wait, where it is asked.
const WAIT: Duration = Duration::from_secs(10);

/// The outcomes, as `[answers]` of a plugin calls them.
pub const OUTCOMES: [(&str, Reply); 9] = [
    ("stored", Reply::Stored),
    ("bad_signature", Reply::BadSignature),
    ("stale", Reply::Stale),
    ("unknown_key", Reply::UnknownKey),
    ("unreadable", Reply::Unreadable),
    ("too_large", Reply::TooLarge),
    ("over_limit", Reply::OverLimit),
    ("cannot_store", Reply::CannotStore),
    ("paused", Reply::Paused),
];

/// `[expect.answers]`: what the sender is to be told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    stored: Option<Answered>,
    bad_signature: Option<Answered>,
    stale: Option<Answered>,
    unknown_key: Option<Answered>,
    unreadable: Option<Answered>,
    too_large: Option<Answered>,
    over_limit: Option<Answered>,
    cannot_store: Option<Answered>,
    paused: Option<Answered>,
}

impl Answers {
    /// Whether something is written.
    pub fn any(&self) -> bool {
        self.each().next().is_some()
    }

    /// Those that are written.
    fn each(&self) -> impl Iterator<Item = (&'static str, Reply, &Answered)> {
        let written = [
            &self.stored,
            &self.bad_signature,
            &self.stale,
            &self.unknown_key,
            &self.unreadable,
            &self.too_large,
            &self.over_limit,
            &self.cannot_store,
            &self.paused,
        ];
        OUTCOMES.into_iter().zip(written).filter_map(|((name, reply), answered)| Some((name, reply, answered.as_ref()?)))
    }
}

/// One of them: `503`, `"stored"` where it is not refused, or a table.
#[derive(Debug, Clone)]
pub enum Answered {
    Word(String),
    Told(ToldSpec),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToldSpec {
    status: u16,
    /// As it is written where ten seconds are asked for: `10` or `10000`. Absent: none is told.
    retry_after: Option<String>,
    /// Those that are compared.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
}

impl<'de> Deserialize<'de> for Answered {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Answered;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status such as 503, \"stored\", or { status = 503, retry_after = \"10\" }")
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Answered, E> {
                let status = u16::try_from(n).map_err(|_| E::invalid_value(de::Unexpected::Signed(n), &self))?;
                Ok(Answered::Told(ToldSpec { status, ..ToldSpec::default() }))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Answered, E> {
                Ok(Answered::Word(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Answered, A::Error> {
                Ok(Answered::Told(ToldSpec::deserialize(MapAccessDeserializer::new(map))?))
            }
        }
        d.deserialize_any(V)
    }
}

impl Run<'_> {
    /// Compares what the case says with what a server would tell; `taken`: the delivery is good. Of the first delivery only.
    pub(super) fn answers(&mut self, variant: Option<&Variant>, taken: bool) {
        if std::mem::replace(&mut self.answered, true) {
            return;
        }
        let case = self.case;
        for (name, reply, expected) in case.expect.answers.each() {
            // Who sent it is not looked at where the key is wrong or the body too large.
            let of = variant.filter(|_| !matches!(reply, Reply::UnknownKey | Reply::TooLarge));
            let after = matches!(reply, Reply::OverLimit | Reply::CannotStore).then_some(WAIT);
            let waits = taken && reply == Reply::OverLimit && of.is_some_and(|variant| variant.sender_retries == SenderRetries::None);
            let spec = self.words_after(of, reply, after);
            match expected {
                Answered::Word(word) if word != "stored" || reply != Reply::OverLimit => {
                    self.miss(format!("answers.{name}: `{word}` is no status; `stored` is for `over_limit`"));
                }
                Answered::Word(_) if !waits => {
                    self.miss(format!("answers.{name}: the sender is refused with {}: `sender_retries` does not say that it never tries again", spec.status));
                }
                Answered::Told(_) if waits => self.miss(format!("answers.{name}: the sender never tries again, so this is \"stored\" and not refused")),
                Answered::Word(_) => {}
                Answered::Told(expected) => {
                    self.compare_answer(name, expected, &spec);
                    self.prove_answer(of, reply, expected.body.is_some(), &expected.headers);
                }
            }
            if let Some(variant) = variant {
                self.result.stated.insert((variant.name.clone(), name));
            }
        }
    }

    fn compare_answer(&mut self, name: &str, expected: &ToldSpec, told: &ReplySpec) {
        let place = format!("answers.{name}");
        let header = |wanted: &str| told.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str());
        let mut missed = Vec::new();
        if expected.status != told.status {
            missed.push(format!("{place}: expected {}, found {}", expected.status, told.status));
        }
        let shown = |value: Option<&str>| value.map_or_else(|| "none".to_owned(), |value| format!("`{value}`"));
        let after = header("retry-after");
        if expected.retry_after.as_deref() != after {
            missed.push(format!("{place}: expected the Retry-After {}, found {}", shown(expected.retry_after.as_deref()), shown(after)));
        }
        for (name, value) in expected.headers.iter().filter(|(name, value)| header(name) != Some(value.as_str())) {
            missed.push(format!("{place}: expected the header {name} `{value}`, found {}", shown(header(name))));
        }
        if let Some(body) = &expected.body {
            compare::body(&format!("{place}: body"), body, &told.body, false, &mut missed);
        }
        self.result.mismatches.extend(missed);
    }

    /// Remembers the words that this proves: all of them, or the case says only a part.
    pub(super) fn prove_answer(&mut self, variant: Option<&Variant>, reply: Reply, body: bool, headers: &BTreeMap<String, String>) {
        let Some(rule) = self.plugin.answer_rule(variant, reply) else { return };
        let named = |name: &str| headers.keys().any(|header| header.eq_ignore_ascii_case(name));
        if (body || rule.body.source().is_empty()) && rule.headers.iter().all(|(name, _)| named(name)) {
            self.result.told.insert(rule.line);
        }
    }
}
