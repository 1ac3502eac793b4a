//! The subscriptions of a case: what is asked so that a CRM sends us its webhooks, and what its answers leave with us. What
//! `pipeline/subscribe` does from what is on disk is done here in the order that the case names.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ask::{Asking, Transcript, Unasked};
use super::run::Run;
use crate::domain::request::{Answer, Verdict};
use crate::domain::time::Time;
use crate::plugin::Params;
use crate::plugin::auth;
use crate::plugin::manifest::SubscriptionSecret;
use crate::plugin::subscribe::{Learnt, Part, Subscription};

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
    /// Tried again later; trying soon may be of no use.
    Waiting { misconfigured: bool },
    /// The case cannot hold.
    Fault(String),
}

impl Stop {
    fn fault(why: impl ToString) -> Stop {
        Stop::Fault(why.to_string())
    }
}

/// How an answer that can be used, or says that nothing is there, was read.
enum Said {
    Good(Answer),
    Gone,
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
        match deed {
            Deed::Make => self.make(known),
            Deed::Check => self.check(known),
            Deed::Renew => self.renew(known),
            Deed::Delete => {
                self.delete(known, &Learnt::default())?;
                self.forget(known);
                Ok(())
            }
        }
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

    fn there<'p>(&self, part: Option<&'p Part>, known: &Known<'_>) -> Option<&'p Part> {
        part.filter(|part| self.plugin.part_is_there(part, self.case.clock, &self.request_params(known)))
    }

    fn ask_part(&mut self, part: &Part, params: &Params) -> Result<Said, Stop> {
        let (plugin, clock) = (self.plugin, self.case.clock);
        let compose = |tokens: &Params| {
            let shown = tokens.iter().filter(|(key, _)| key.starts_with("token.")).map(|(key, value)| (key.clone(), value.clone()));
            plugin.compose_subscribe(part, clock, &params.clone().into_iter().chain(shown).collect(), &BTreeMap::new())
        };
        let mut transcript: Transcript = std::mem::take(&mut self.subscriptions);
        let asked = self.ask(&Asking { request: &part.request, compose: &compose, place: &part.request.place, lookup: None }, &mut transcript);
        self.subscriptions = transcript;
        match asked {
            Ok((answer, Verdict::Done)) => Ok(Said::Good(answer)),
            Ok((_, Verdict::Gone | Verdict::NotFound)) => Ok(Said::Gone),
            Ok((_, verdict)) => Err(Stop::Waiting { misconfigured: verdict == Verdict::Misconfigured }),
            Err(Unasked::Login) => Err(Stop::Waiting { misconfigured: true }),
            Err(Unasked::Fault(fault)) => Err(Stop::Fault(fault)),
        }
    }

    /// Whether one of ours is there already, and what is known of it.
    fn look(&mut self, known: &Known<'_>) -> Result<Option<(Learnt, bool)>, Stop> {
        let (plugin, now, params) = (self.plugin, self.case.clock, self.request_params(known));
        if let Some(find) = self.there(known.of.find.as_ref(), known) {
            let Said::Good(answer) = self.ask_part(find, &params)? else { return Ok(None) };
            return plugin.subscription_found(find, &answer, now, &params, known.values.get("id").map(String::as_str)).map_err(Stop::fault);
        }
        let Some(check) = self.there(known.of.check.as_ref(), known).filter(|_| known.of.check_finds) else { return Ok(None) };
        match self.ask_part(check, &params)? {
            Said::Good(answer) if plugin.subscription_lives(check, &answer, now, &params) => {
                Ok(Some((plugin.subscription_learnt(check, &answer, now, &params).map_err(Stop::fault)?, true)))
            }
            _ => Ok(None),
        }
    }

    // --- deeds

    fn make(&mut self, known: &mut Known<'a>) -> Result<(), Stop> {
        if let Some((learnt, lives)) = self.look(known)? {
            if lives && known.asked && !known.of.answers_secret() {
                learn(known, learnt, true);
                return Ok(());
            }
            self.delete(known, &learnt)?;
        }
        known.asked = true;
        let params = self.request_params(known);
        let Said::Good(answer) = self.ask_part(&known.of.create, &params)? else { return Err(Stop::Waiting { misconfigured: true }) };
        let learnt = self.plugin.subscription_learnt(&known.of.create, &answer, self.case.clock, &params).map_err(Stop::fault)?;
        learn(known, learnt, true);
        Ok(())
    }

    fn check(&mut self, known: &mut Known<'a>) -> Result<(), Stop> {
        let (plugin, now, params) = (self.plugin, self.case.clock, self.request_params(known));
        let lives = if let Some(check) = self.there(known.of.check.as_ref(), known) {
            match self.ask_part(check, &params)? {
                Said::Good(answer) if plugin.subscription_lives(check, &answer, now, &params) => {
                    Some(plugin.subscription_learnt(check, &answer, now, &params).map_err(Stop::fault)?)
                }
                Said::Good(_) => {
                    self.delete(known, &Learnt::default())?;
                    None
                }
                Said::Gone => None,
            }
        } else if self.there(known.of.find.as_ref(), known).is_some() {
            let id = known.values.get("id").cloned();
            let same = |learnt: &Learnt| id.is_none() || learnt.values.get("id").is_none_or(|found| Some(found) == id.as_ref());
            self.look(known)?.filter(|(learnt, lives)| *lives && same(learnt)).map(|(learnt, _)| learnt)
        } else {
            Some(Learnt::default())
        };
        match lives {
            Some(learnt) => {
                learn(known, learnt, false);
                Ok(())
            }
            None => self.make_again(known),
        }
    }

    fn renew(&mut self, known: &mut Known<'a>) -> Result<(), Stop> {
        let Some(renew) = self.there(known.of.renew.as_ref(), known) else {
            self.delete(known, &Learnt::default())?;
            return self.make_again(known);
        };
        let params = self.request_params(known);
        let answer = match self.ask_part(renew, &params) {
            Ok(Said::Good(answer)) => answer,
            Ok(Said::Gone) => return self.make_again(known),
            // What has ended cannot be renewed, whatever words the CRM has for it.
            Err(Stop::Waiting { misconfigured: true }) if known.ends_at.is_some_and(|end| end <= self.case.clock) => return self.make_again(known),
            Err(stop) => return Err(stop),
        };
        let learnt = self.plugin.subscription_learnt(renew, &answer, self.case.clock, &params).map_err(Stop::fault)?;
        learn(known, learnt, false);
        Ok(())
    }

    fn make_again(&mut self, known: &mut Known<'a>) -> Result<(), Stop> {
        self.forget(known);
        known.asked = false;
        self.make(known)
    }

    /// The secret stays: what was signed with it may still be on its way.
    fn forget(&self, known: &mut Known<'_>) {
        known.values.retain(|key, _| key == "secret");
        known.ends_at = None;
    }

    fn delete(&mut self, known: &Known<'_>, found: &Learnt) -> Result<(), Stop> {
        let mut params = self.request_params(known);
        params.extend(known.of.named(&found.values));
        let there = |part: &&Part| self.plugin.part_is_there(part, self.case.clock, &params);
        let Some(delete) = known.of.delete.as_ref().filter(there) else { return Ok(()) };
        self.ask_part(delete, &params).map(drop)
    }
}

fn learn(known: &mut Known<'_>, learnt: Learnt, made: bool) {
    known.values.extend(learnt.values);
    known.ends_at = if made { learnt.ends_at } else { learnt.ends_at.or(known.ends_at) };
}
