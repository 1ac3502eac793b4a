//! The subscriptions of a case: what is asked so that a CRM sends us its webhooks, and what its answers leave with us. What
//! `pipeline/subscribe` does from what is on disk is done here as the case names it, in the same order of requests.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde::Deserialize;

use super::ask::{Asking, Transcript, Unasked};
use super::run::Run;
use crate::domain::request::{Answer, Verdict};
use crate::domain::time::Time;
use crate::plugin::auth;
use crate::plugin::manifest::SubscriptionSecret;
use crate::plugin::registering::{self, Hands, Which};
use crate::plugin::subscribe::{Learnt, Part, Subscription};
use crate::plugin::{Params, Plugin};

/// The address that every case has; behind it the tail of the hook.
const URL: &str = "https://bridge.example.vn/hooks/case/key";

/// What is done with every subscription of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    Make,
    Check,
    Renew,
    Delete,
}

/// What is known of one.
struct Known<'a> {
    of: &'a Subscription,
    values: Params,
    ends_at: Option<Time>,
    /// A request that makes it has left.
    asked: bool,
    /// How it stands, in the words of a case.
    outcome: &'static str,
}

/// Why a deed did not come to its end.
enum Stop {
    /// Tried again later; trying soon may be of no use. `gone`: the CRM has no such thing.
    Waiting { misconfigured: bool, gone: bool },
    /// The case cannot hold.
    Fault(String),
}

/// A secret of ours: the same in every case, so that a delivery of the case can be signed with it.
fn secret(kind: SubscriptionSecret) -> Option<String> {
    match kind {
        SubscriptionSecret::None => None,
        SubscriptionSecret::Hex => Some("0".repeat(64)),
        SubscriptionSecret::Base64 => Some(format!("{}=", "A".repeat(43))),
    }
}

impl<'a> Run<'a> {
    /// Does with each subscription that these parameters ask for what the case says.
    pub(super) fn subscribe(&mut self) {
        let (plugin, case) = (self.plugin, self.case);
        let wanted = plugin.subscriptions().iter().filter(|of| plugin.subscribes_now(of, &self.params));
        let mut all: Vec<Known<'a>> = wanted.map(|of| self.known(of)).collect();
        if all.is_empty() {
            self.miss("0-subscribe.http: nothing is registered with these parameters".to_owned());
        }
        for deed in &case.deeds {
            for known in &mut all {
                known.outcome = match self.deed(*deed, known) {
                    Ok(()) if *deed == Deed::Delete => "unsubscribed",
                    Ok(()) => "subscribed",
                    Err(Stop::Waiting { .. }) => "waiting",
                    Err(Stop::Fault(fault)) => {
                        self.miss(fault);
                        "failed"
                    }
                };
            }
        }
        for known in &all {
            self.kept(known);
            self.params.extend(known.of.named(&known.values));
        }
        if !case.arrives {
            self.result.outcomes.extend(all.iter().map(|known| known.outcome.to_owned()));
        } else if let Some(known) = all.iter().find(|known| known.outcome != "subscribed") {
            self.miss(format!("the subscription `{}` is {}: nothing would arrive", known.of.name, known.outcome));
        }
    }

    /// As it stands before: what the case says was stored, and a secret.
    fn known(&self, of: &'a Subscription) -> Known<'a> {
        let own = format!("subscription.{}.", of.name);
        let mut values: Params = self.params.iter().filter_map(|(key, value)| Some((key.strip_prefix(&own)?.to_owned(), value.clone()))).collect();
        if let Some(secret) = secret(of.secret) {
            values.entry("secret".to_owned()).or_insert(secret);
        }
        let kept = values.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
        Known { of, ends_at: auth::ends_at(&kept, self.case.clock), values, asked: false, outcome: "subscribed" }
    }

    /// What is kept in the end, beside what the case says.
    fn kept(&mut self, known: &Known<'_>) {
        let Some(expected) = self.case.expect.subscription.get(&known.of.name) else { return };
        let mut found: Params = known.values.clone();
        // Ours: they are what the case already says.
        found.retain(|key, _| !matches!(key.as_str(), "secret" | "url") || expected.contains_key(key));
        found.extend(known.ends_at.map(|at| ("ends_at".to_owned(), at.rfc3339())));
        let same = |(key, value): (&String, &String)| expected.get(key).is_some_and(|said| said == value || said == "*");
        if expected.len() != found.len() || !found.iter().all(same) {
            self.miss(format!("of the subscription `{}` is kept {found:?}, the case says {expected:?}", known.of.name));
        }
    }

    fn deed(&mut self, deed: Deed, known: &mut Known<'a>) -> Result<(), Stop> {
        let mut hands = Registering { run: self, known };
        // A transcript answers at once: nothing here ever waits.
        let done = match deed {
            Deed::Make => at_once(registering::make(&mut hands)),
            Deed::Check => at_once(registering::check(&mut hands)),
            Deed::Renew => at_once(registering::renew(&mut hands)),
            Deed::Delete => at_once(registering::delete(&mut hands, &Learnt::default())),
        };
        done.unwrap_or_else(|| Err(Stop::Fault("a case waited for something".to_owned())))?;
        if deed == Deed::Delete {
            forget(known);
        }
        Ok(())
    }

    // --- requests

    fn request_params(&self, known: &Known<'_>) -> Params {
        let kind = self.plugin.hook_of(known.of);
        let mut params = self.params.clone();
        params.extend(kind.iter().flat_map(|kind| kind.values.clone()));
        let tail = kind.map(|kind| kind.tail.trim_matches('/')).filter(|tail| !tail.is_empty());
        let url = tail.map_or_else(|| URL.to_owned(), |tail| format!("{URL}/{tail}"));
        known.of.params(params, &url, &known.values)
    }

    fn ask_part(&mut self, part: &Part, params: &Params) -> Result<Answer, Stop> {
        let (plugin, clock) = (self.plugin, self.case.clock);
        let compose = |tokens: &Params| {
            let shown = tokens.iter().filter(|(key, _)| key.starts_with("token.")).map(|(key, value)| (key.clone(), value.clone()));
            plugin.compose_subscribe(part, clock, &params.clone().into_iter().chain(shown).collect(), &BTreeMap::new())
        };
        let mut transcript: Transcript = std::mem::take(&mut self.subscriptions);
        let asked =
            self.ask(&Asking { request: &part.request, compose: &compose, place: &part.request.place, lookup: None, unreadable: None }, &mut transcript);
        self.subscriptions = transcript;
        match asked {
            Ok((answer, Verdict::Done)) => Ok(answer),
            Ok((_, verdict)) => {
                let gone = matches!(verdict, Verdict::Gone | Verdict::NotFound);
                Err(Stop::Waiting { misconfigured: gone || verdict == Verdict::Misconfigured, gone })
            }
            Err(Unasked::Login) => Err(Stop::Waiting { misconfigured: true, gone: false }),
            Err(Unasked::Fault(fault)) => Err(Stop::Fault(fault)),
        }
    }
}

/// One subscription of a case on its way.
struct Registering<'r, 'a> {
    run: &'r mut Run<'a>,
    known: &'r mut Known<'a>,
}

impl Hands for Registering<'_, '_> {
    type Stop = Stop;

    fn plugin(&self) -> &Plugin {
        self.run.plugin
    }

    fn of(&self) -> &Subscription {
        self.known.of
    }

    fn now(&self) -> Time {
        self.run.case.clock
    }

    fn params(&self) -> Params {
        self.run.request_params(self.known)
    }

    fn id(&self) -> Option<String> {
        self.known.values.get("id").cloned()
    }

    fn may_be_made(&self) -> bool {
        self.known.asked
    }

    fn has_ended(&self) -> bool {
        self.known.ends_at.is_some_and(|end| end <= self.run.case.clock)
    }

    async fn ask(&mut self, which: Which, params: &Params) -> Result<Answer, Stop> {
        let part = self.known.of.part(which).ok_or_else(|| Stop::Fault("there is no such request".to_owned()))?;
        self.run.ask_part(part, params)
    }

    async fn intend(&mut self) -> Result<(), Stop> {
        self.known.asked = true;
        Ok(())
    }

    async fn made(&mut self, learnt: Learnt) -> Result<(), Stop> {
        self.known.values.extend(learnt.values);
        self.known.ends_at = learnt.ends_at;
        Ok(())
    }

    async fn learnt(&mut self, learnt: Learnt, _renewed: bool) -> Result<(), Stop> {
        self.known.values.extend(learnt.values);
        self.known.ends_at = learnt.ends_at.or(self.known.ends_at);
        Ok(())
    }

    async fn only_secret(&mut self, _lost: bool) -> Result<(), Stop> {
        forget(self.known);
        self.known.asked = false;
        Ok(())
    }

    fn wrong(why: impl Display) -> Stop {
        Stop::Fault(why.to_string())
    }

    fn is_gone(stop: &Stop) -> bool {
        matches!(stop, Stop::Waiting { gone: true, .. })
    }

    fn is_misconfigured(stop: &Stop) -> bool {
        matches!(stop, Stop::Waiting { misconfigured: true, .. })
    }
}

/// The secret stays: what was signed with it may still be on its way.
fn forget(known: &mut Known<'_>) {
    known.values.retain(|key, _| key == "secret");
    known.ends_at = None;
}

/// What a future that waits for nothing comes to.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}
