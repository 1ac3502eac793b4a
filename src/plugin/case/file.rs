//! Reading the files of a case.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::answers::Answers;
use super::exchange::{Exchange, Pairs, delivery, pairs, text};
use super::subscribe::Deed;
use super::words;
use crate::domain::connection::Priority;
use crate::domain::event::Delivery;
use crate::domain::time::Time;
use crate::plugin::compile::parse_duration;
use crate::plugin::problem::of_toml;
use crate::plugin::{Params, Plugin};

/// One transcript.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub title: String,
    pub origin: String,
    pub clock: Time,
    /// The tail of the webhook's address.
    pub hook: String,
    pub language: String,
    pub parameters: Params,
    pub expect: Expect,
    /// What is asked for webhooks to come, and what is done in that.
    pub subscriptions: Option<Pairs>,
    pub deeds: Vec<Deed>,
    /// Something is delivered or polled.
    pub arrives: bool,
    /// What is delivered; where records are polled, nothing.
    pub webhook: Delivery,
    /// So many times.
    pub repeat: usize,
    /// What is delivered behind it.
    pub further: Vec<Further>,
    /// What is polled instead.
    pub polls: Option<Pairs>,
    /// The connect button: the CRM's page, and the code for tokens.
    pub connect: Option<Pairs>,
    /// The login's requests.
    pub logins: Option<Pairs>,
    /// What handshakes and subscriptions stored before, under their dotted names.
    pub stored: Params,
    /// What a login gave before, by name.
    pub tokens: Params,
    /// What the connection's own rules say about the result.
    pub after: Params,
    pub lookups: Vec<Pairs>,
    pub call: Option<(String, serde_json::Value)>,
    /// Reports with the write-back that follows; a write-back without a report comes first: the call was lost or refused.
    pub rounds: Vec<Round>,
}

/// A delivery behind the first.
#[derive(Debug, Clone)]
pub struct Further {
    pub delivery: Delivery,
    /// It comes when the results were written back.
    pub after_writing: bool,
}

/// A report and what is written back after it.
#[derive(Debug, Clone, Default)]
pub struct Round {
    pub report: Option<Vec<u8>>,
    pub file: Option<String>,
    pub exchanges: Vec<Exchange>,
}

/// What is to come out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub status: Option<u16>,
    #[serde(default)]
    pub outcome: String,
    #[serde(default)]
    pub code: String,
    pub items: Option<usize>,
    #[serde(default)]
    pub outcomes: Vec<String>,
    /// Of the first that is called: who waits for it, and whether the customer may be called.
    pub priority: Option<Priority>,
    pub consent: Option<bool>,
    /// A piece of the sentence with which a template or the mapping refuses.
    pub fault: Option<String>,
    /// The body that the sender is told.
    pub body: Option<String>,
    /// What the sender is told in other outcomes.
    #[serde(default)]
    pub answers: Answers,
    /// What the connect button gives.
    #[serde(default)]
    pub token: Params,
    /// What a handshake hands over.
    #[serde(default)]
    pub captured: Params,
    /// What is kept of subscriptions in the end.
    #[serde(default)]
    pub subscription: BTreeMap<String, Params>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    title: String,
    #[serde(default)]
    origin: String,
    clock: String,
    #[serde(default)]
    hook: String,
    #[serde(default = "once")]
    repeat: usize,
    /// How long after the delivery before it a further one arrives.
    #[serde(default = "soon")]
    later: String,
    #[serde(default = "vi")]
    language: String,
    #[serde(default)]
    parameters: Params,
    #[serde(default)]
    captured: Params,
    #[serde(default)]
    subscription: BTreeMap<String, Params>,
    #[serde(default)]
    token: Params,
    /// What `[[connections.after]]` of the connection says about the result.
    #[serde(default)]
    after: Params,
    /// What is done with each subscription, in this order.
    #[serde(default = "make")]
    subscribe: Vec<Deed>,
    expect: Expect,
}

impl Head {
    /// What was stored before, under its dotted names.
    fn stored(&self) -> Params {
        let named = |root: &str, map: &Params| map.iter().map(|(name, value)| (format!("{root}.{name}"), value.clone())).collect::<Vec<_>>();
        let subscriptions = self.subscription.iter().flat_map(|(name, map)| named(&format!("subscription.{name}"), map));
        named("captured", &self.captured).into_iter().chain(subscriptions).collect()
    }
}

/// The JSON Schema of `case.toml`.
pub fn schema() -> serde_json::Value {
    crate::plugin::schema::schema::<Head>("callbridge: case.toml")
}

fn soon() -> String {
    "10s".to_owned()
}

fn once() -> usize {
    1
}

fn make() -> Vec<Deed> {
    vec![Deed::Make]
}

fn vi() -> String {
    "vi".to_owned()
}

impl Plugin {
    /// The names of its cases.
    pub fn case_names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.files().filter_map(|(path, _)| path.strip_prefix("cases/")?.split_once('/').map(|(name, _)| name.to_owned())).collect();
        names.dedup();
        names
    }

    /// Reads one case; the error says what is wrong with it.
    pub fn case(&self, name: &str) -> Result<Case, String> {
        let prefix = format!("cases/{name}/");
        let files: BTreeMap<&str, &[u8]> = self.files().filter_map(|(path, bytes)| Some((path.strip_prefix(&prefix)?, bytes))).collect();
        Case::read(name, &files)
    }
}

impl Case {
    pub fn read(name: &str, files: &BTreeMap<&str, &[u8]>) -> Result<Case, String> {
        let (source, place) = (text("case.toml", files.get("case.toml").copied().ok_or("there is no case.toml")?)?, format!("cases/{name}/case.toml"));
        let head: Head = toml::from_str(source).map_err(|error| of_toml(&place, source, &error).to_string())?;
        words::of_outcomes(&place, source, &head.expect)?;
        let clock = Time::parse_rfc3339(&head.clock).ok_or("case.toml: `clock` is not RFC 3339")?;
        let mut numbered: Vec<(u32, &str, &str, &[u8])> = Vec::new();
        for (file, bytes) in files.iter().filter(|(file, _)| **file != "case.toml") {
            let parts = file.split_once('-').and_then(|(number, kind)| Some((number.parse().ok()?, kind)));
            let (number, kind) = parts.ok_or_else(|| format!("{file}: a file of a case is called <number>-<kind>"))?;
            numbered.push((number, kind, file, bytes));
        }
        numbered.sort_by_key(|(number, ..)| *number);
        let there = |wanted: &str| numbered.iter().find(|(_, kind, ..)| *kind == wanted);
        let webhook = match there("webhook.http") {
            Some((_, _, file, bytes)) => delivery(bytes, &head.hook, clock).ok_or_else(|| format!("{file}: this is no HTTP request"))?,
            None if ["poll.http", "subscribe.http", "connect.http"].iter().any(|kind| there(kind).is_some()) => nothing(clock),
            None => return Err("there is none of 0-connect.http, 0-subscribe.http, 1-webhook.http and 1-poll.http".to_owned()),
        };
        let arrives = there("webhook.http").is_some() || there("poll.http").is_some();
        let later = parse_duration(&head.later).ok_or("case.toml: `later` is no duration such as `30s`")?;
        let mut parts = Parts::default();
        let (mut further, mut arrival, mut first) = (Vec::new(), clock, true);
        for (_, kind, file, bytes) in numbered {
            if kind == "webhook.http" && !std::mem::take(&mut first) {
                arrival = arrival.plus(later);
                let delivery = delivery(bytes, &head.hook, arrival).ok_or_else(|| format!("{file}: this is no HTTP request"))?;
                further.push(Further { delivery, after_writing: !parts.rounds.is_empty() });
            }
            parts.add(kind, file, bytes)?;
        }
        let Parts { subscriptions, connect, logins, polls, lookups, call, rounds } = parts;
        Ok(Case {
            name: name.to_owned(),
            stored: head.stored(),
            title: head.title,
            origin: head.origin,
            clock,
            hook: head.hook,
            language: head.language,
            parameters: head.parameters,
            expect: head.expect,
            subscriptions,
            deeds: head.subscribe,
            arrives,
            webhook,
            repeat: head.repeat,
            further,
            polls,
            connect,
            logins,
            tokens: head.token,
            after: head.after,
            lookups,
            call,
            rounds,
        })
    }
}

/// Where nothing is delivered.
fn nothing(clock: Time) -> Delivery {
    Delivery {
        method: "GET".to_owned(),
        uri: String::new(),
        tail: String::new(),
        query: String::new(),
        headers: Vec::new(),
        body: Default::default(),
        received_at: clock,
    }
}

/// What lies beside `case.toml` and the delivery.
#[derive(Default)]
struct Parts {
    subscriptions: Option<Pairs>,
    connect: Option<Pairs>,
    logins: Option<Pairs>,
    polls: Option<Pairs>,
    lookups: Vec<Pairs>,
    call: Option<(String, serde_json::Value)>,
    rounds: Vec<Round>,
}

impl Parts {
    fn add(&mut self, kind: &str, file: &str, bytes: &[u8]) -> Result<(), String> {
        match kind {
            "webhook.http" => {}
            "subscribe.http" => self.subscriptions = Some(pairs(file, bytes)?),
            "connect.http" => self.connect = Some(pairs(file, bytes)?),
            "token.http" => self.logins = Some(pairs(file, bytes)?),
            "poll.http" => self.polls = Some(pairs(file, bytes)?),
            "lookup.http" => self.lookups.push(pairs(file, bytes)?),
            "call.json" => self.call = Some((file.to_owned(), serde_json::from_slice(bytes).map_err(|e| format!("{file}: {e}"))?)),
            "report.json" => self.rounds.push(Round { report: Some(bytes.to_vec()), ..Round::default() }),
            "write-back.http" => {
                let (file, pairs) = pairs(file, bytes)?;
                match self.rounds.last_mut().filter(|round| round.file.is_none()) {
                    Some(round) => (round.file, round.exchanges) = (Some(file), pairs),
                    None => self.rounds.push(Round { report: None, file: Some(file), exchanges: pairs }),
                }
            }
            _ => return Err(format!("{file}: expected one of {} after the number", KINDS.join(", "))),
        }
        Ok(())
    }
}

const KINDS: [&str; 9] =
    ["subscribe.http", "connect.http", "token.http", "webhook.http", "poll.http", "lookup.http", "call.json", "report.json", "write-back.http"];
