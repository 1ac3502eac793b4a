//! What is kept of a subscription, sealed: its secret, what the CRM's answers gave, and whether a request may have left.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::id::ConnectionId;
use crate::domain::time::Time;
use crate::plugin::manifest::SubscriptionSecret;
use crate::plugin::subscribe::{Learnt, Subscription};
use crate::store::{Kept, SledStore, Store, StoreError};

const SLOT: &str = "subscription/";
/// What is ours among the kept values; no stored name begins so.
const OWN: char = '@';
/// A request to make it may have left, with this digest of what it asks.
const MAKING: &str = "@making";
/// It is registered, with this digest.
const MADE_OF: &str = "@made_of";
/// Where: for a person, when the connection is gone.
const BASE: &str = "@base";
const SINCE: &str = "@since";
const RENEWED: &str = "@renewed";
/// Where it lives for a stated time and nothing says how long before its end it is renewed: a quarter of that time, at most this.
const RENEW_BEFORE_AT_MOST: Duration = Duration::from_secs(86_400);
/// A subscription that is shorter than its `renew_before` is not renewed without end.
const RENEW_LEAST: Duration = Duration::from_secs(60);

/// The name under which a connection keeps a subscription.
pub(super) fn slot(name: &str) -> String {
    format!("{SLOT}{name}")
}

/// What a connection's subscriptions keep, as `subscription.<name>.<key>`.
pub fn texts(store: &SledStore, connection: &ConnectionId) -> Result<BTreeMap<String, String>, StoreError> {
    let mut texts = BTreeMap::new();
    for (slot, kept) in store.all_kept(connection)? {
        let Some(name) = slot.strip_prefix(SLOT) else { continue };
        texts.extend(shown(&kept).map(|(key, value)| (format!("subscription.{name}.{key}"), value.clone())));
    }
    Ok(texts)
}

fn shown(kept: &Kept) -> impl Iterator<Item = (&String, &String)> {
    kept.values.iter().filter(|(key, _)| !key.starts_with(OWN))
}

/// A subscription as it is kept.
#[derive(Default)]
pub(super) struct Record(pub Kept);

impl Record {
    fn time(&self, key: &str) -> Option<Time> {
        self.0.values.get(key)?.parse().ok().map(Time)
    }

    pub fn is_made(&self) -> bool {
        self.0.values.contains_key(MADE_OF)
    }

    /// The request that makes it may have left, and nobody knows what became of it.
    pub fn is_in_doubt(&self) -> bool {
        self.0.values.contains_key(MAKING)
    }

    /// That request asked for the same as one would now.
    pub fn asked_for(&self, digest: &str) -> bool {
        self.0.values.get(MAKING).is_some_and(|making| making == digest)
    }

    pub fn is_made_of(&self, digest: &str) -> bool {
        self.0.values.get(MADE_OF).is_some_and(|made| made == digest)
    }

    pub fn since(&self) -> Option<Time> {
        self.time(SINCE)
    }

    pub fn id(&self) -> Option<&str> {
        self.0.values.get("id").map(String::as_str)
    }

    /// Scheme and host of the CRM.
    pub fn base(&self) -> Option<&str> {
        self.0.values.get(BASE).map(String::as_str)
    }

    pub fn texts(&self) -> impl Iterator<Item = (&String, &String)> {
        shown(&self.0)
    }

    /// What must not be shown anywhere.
    pub fn secrets(&self) -> impl Iterator<Item = String> + '_ {
        self.texts().filter(|(key, _)| !matches!(key.as_str(), "id" | "url" | "expires_at" | "expires_in")).map(|(_, value)| value.clone())
    }

    /// When it is to be renewed.
    pub fn renew_at(&self, of: &Subscription) -> Option<Time> {
        let renewed = self.time(RENEWED).or_else(|| self.since())?;
        let by_age = of.renew_every.map(|every| renewed.plus(every));
        let before = |end: Time| of.renew_before.unwrap_or_else(|| (end.since(renewed) / 4).min(RENEW_BEFORE_AT_MOST));
        let by_end = self.0.ends_at.filter(|_| of.renew_before.is_some() || of.renew_every.is_none());
        let by_end = by_end.map(|end| minus(end, before(end)).max(renewed.plus(RENEW_LEAST)));
        by_age.into_iter().chain(by_end).min()
    }

    fn next(&self, now: Time) -> Kept {
        Kept { at: now, version: self.0.version + 1, ends_at: self.0.ends_at, values: self.0.values.clone() }
    }

    /// On disk before the request that makes it leaves; with a secret of our own where one is wanted.
    pub fn making(&self, of: &Subscription, url: &str, base: &str, digest: &str, now: Time) -> Option<Kept> {
        let mut next = self.only_secret(now);
        if of.secret != SubscriptionSecret::None && !next.values.contains_key("secret") {
            next.values.insert("secret".to_owned(), secret(of.secret)?);
        }
        next.values.insert("url".to_owned(), url.to_owned());
        next.values.insert(BASE.to_owned(), base.to_owned());
        next.values.insert(MAKING.to_owned(), digest.to_owned());
        Some(next)
    }

    /// It is registered.
    pub fn made(&self, learnt: Learnt, digest: &str, now: Time) -> Kept {
        let mut next = self.next(now);
        next.values.remove(MAKING);
        next.values.insert(MADE_OF.to_owned(), digest.to_owned());
        next.values.insert(SINCE.to_owned(), now.0.to_string());
        next.values.insert(RENEWED.to_owned(), now.0.to_string());
        next.values.extend(learnt.values);
        next.ends_at = learnt.ends_at;
        next
    }

    /// An answer said something new about it; `None`: it did not.
    pub fn learnt(&self, learnt: Learnt, renewed: bool, now: Time) -> Option<Kept> {
        let mut next = self.next(now);
        next.values.extend(learnt.values);
        next.ends_at = learnt.ends_at.or(next.ends_at);
        if renewed {
            next.values.insert(RENEWED.to_owned(), now.0.to_string());
        }
        (next.values != self.0.values || next.ends_at != self.0.ends_at).then_some(next)
    }

    /// It is no longer registered. The secret stays: what was signed with it may still be on its way.
    pub fn only_secret(&self, now: Time) -> Kept {
        let mut next = self.next(now);
        next.values.retain(|key, _| key == "secret");
        next.ends_at = None;
        next
    }
}

fn minus(at: Time, by: Duration) -> Time {
    Time(at.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
}

/// 32 random bytes.
fn secret(kind: SubscriptionSecret) -> Option<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(if kind == SubscriptionSecret::Hex { hex::encode(bytes) } else { STANDARD.encode(bytes) })
}
