//! What arrives: a handshake, a delivery that is believed or not, records that are polled; and what the sender is told.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;

use super::ask::{Asking, Unasked};
use super::compare;
use super::run::Run;
use crate::domain::event::Delivery;
use crate::domain::request::{Answer, Verdict};
use crate::error::Code;
use crate::plugin::poll::{Fetched, Place, Poll};
use crate::plugin::{Mapped, Params, ParseError, Plugin, Reply, ReplySpec, Request, Shaken, Told, Variant, VerifyError};

/// The id of every event in a case.
const EVENT_ID: &str = "evt_00000000000000000000000000";

/// Why a delivery is not taken, and by whose words that is told.
struct Refusal<'a> {
    variant: Option<&'a Variant>,
    code: Code,
    reply: Reply,
}

fn unbelieved(error: &VerifyError) -> (Code, Reply) {
    match error {
        VerifyError::Missing => (Code::MissingSignature, Reply::BadSignature),
        VerifyError::Mismatch => (Code::BadSignature, Reply::BadSignature),
        VerifyError::Stale { .. } => (Code::StaleSignature, Reply::Stale),
    }
}

/// Variant, sender, readable body.
fn examine<'a>(plugin: &'a Plugin, delivery: &Delivery, params: &Params) -> Result<(&'a Variant, Json), Refusal<'a>> {
    let selected = plugin.select(delivery, params).map_err(|code| {
        // A body that nobody can read fits no variant: that is said rather than "no variant".
        let why = plugin.variants().first().and_then(|variant| plugin.parse(variant, delivery).err());
        let code = why.filter(|_| code == Code::NoVariant).map_or(code, |error| error.code);
        Refusal { variant: None, code, reply: Reply::Unreadable }
    })?;
    let variant = selected.variant;
    plugin.verify(variant, delivery, selected.body.as_ref(), params).map_err(|error| {
        let (code, reply) = unbelieved(&error);
        Refusal { variant: Some(variant), code, reply }
    })?;
    let unreadable = |error: ParseError| Refusal { variant: Some(variant), code: error.code, reply: Reply::Unreadable };
    let body = selected.body.map_or_else(|| plugin.parse(variant, delivery).map_err(unreadable), Ok)?;
    Ok((variant, body))
}

impl<'a> Run<'a> {
    /// The delivery of the case; gives what is called.
    pub(super) fn deliver(&mut self) -> Vec<Mapped> {
        let (plugin, delivery) = (self.plugin, self.webhook);
        if let Some(shaken) = plugin.handshake(delivery, &self.params) {
            self.shake(&shaken);
            return Vec::new();
        }
        match examine(plugin, delivery, &self.params) {
            Ok((variant, body)) => {
                self.answers(Some(variant), true);
                let spec = self.words(Some(variant), Reply::Stored);
                if self.case.expect.status == Some(spec.status) {
                    self.prove_answer(Some(variant), Reply::Stored, self.case.expect.body.is_some(), &BTreeMap::new());
                }
                self.told(&spec);
                self.event(variant, delivery, &body)
            }
            Err(refusal) => {
                self.answers(refusal.variant, false);
                self.told(&self.words(refusal.variant, refusal.reply));
                self.result.outcomes.push(format!("rejected:{}", refusal.code));
                Vec::new()
            }
        }
    }

    /// A stored event: its items.
    fn event(&mut self, variant: &Variant, delivery: &Delivery, body: &Json) -> Vec<Mapped> {
        self.result.took.insert(format!("variant {}", variant.name));
        match self.plugin.split(variant, body) {
            Ok(items) if items.is_empty() => {
                self.result.outcomes.push("ignored:filter".to_owned());
                Vec::new()
            }
            Ok(items) => self.items(variant, delivery, &items, body),
            Err(error) => {
                self.result.outcomes.push(format!("failed:{}", error.code));
                Vec::new()
            }
        }
    }

    fn shake(&mut self, shaken: &Shaken<'_>) {
        let (plugin, delivery, params) = (self.plugin, self.webhook, self.params.clone());
        let refused = match plugin.verify_handshake(shaken, delivery, &params) {
            Err(error) => Some(unbelieved(&error)),
            Ok(_) => match plugin.captured(shaken, delivery, &params) {
                Ok(values) if shaken.handshake.captures() && values.is_empty() => Some((Code::MissingSignature, Reply::BadSignature)),
                Ok(values) => {
                    if values != self.case.expect.captured {
                        self.miss(format!("the handshake hands over {values:?}, the case says {:?}", self.case.expect.captured));
                    }
                    None
                }
                Err(_) => Some((Code::MapFailed, Reply::BadSignature)),
            },
        };
        if let Some((code, reply)) = refused {
            self.told(&self.words(None, reply));
            self.result.outcomes.push(format!("rejected:{code}"));
            return;
        }
        self.result.took.insert(format!("handshake {}", shaken.handshake.name));
        match plugin.answer_handshake(shaken, delivery, &params) {
            Ok(spec) => self.told(&spec),
            Err(error) => self.miss(error.to_string()),
        }
        self.result.outcomes.push("handshake".to_owned());
    }

    fn words(&self, variant: Option<&Variant>, reply: Reply) -> ReplySpec {
        self.words_after(variant, reply, None)
    }

    pub(super) fn words_after(&self, variant: Option<&Variant>, reply: Reply, after: Option<Duration>) -> ReplySpec {
        let told = Told { params: Some(&self.params), query: &self.webhook.query, event_id: EVENT_ID };
        self.plugin.answer(variant, reply, told, after)
    }

    /// What the sender is told, beside what the case says.
    fn told(&mut self, spec: &ReplySpec) {
        if let Some(status) = self.case.expect.status.filter(|status| *status != spec.status) {
            self.miss(format!("the CRM was to be told {status}, it is told {}", spec.status));
        }
        if let Some(body) = &self.case.expect.body {
            compare::body("the body that the CRM is told", body, &spec.body, false, &mut self.result.mismatches);
        }
    }

    /// Asks for records, acknowledges them and takes what came as events.
    pub(super) fn poll(&mut self) -> Vec<Mapped> {
        let plugin = self.plugin;
        let mut called = Vec::new();
        let due: Vec<&'a Poll> = plugin.polls().iter().filter(|poll| plugin.polls_now(poll, &self.params)).collect();
        if due.is_empty() {
            self.miss("1-poll.http: nothing is polled with these parameters".to_owned());
        }
        for poll in due {
            match self.pages(poll) {
                Ok(pages) => called.extend(pages),
                Err(Unasked::Login) => self.result.outcomes.push("waiting".to_owned()),
                Err(Unasked::Fault(fault)) => self.miss(fault),
            }
        }
        called
    }

    fn pages(&mut self, poll: &Poll) -> Result<Vec<Mapped>, Unasked> {
        let (plugin, now) = (self.plugin, self.case.clock);
        let fault = |error: &dyn std::fmt::Display| Unasked::Fault(error.to_string());
        let cursor = plugin.poll_start(poll, Place { cursor: "", page: 1, now }, &self.params).map_err(|error| fault(&error))?;
        let mut events = Vec::new();
        for page in 1..=poll.pages_at_most {
            let place = Place { cursor: &cursor, page, now };
            let compose = |with: &Params| plugin.compose_poll(poll, place, with, &BTreeMap::new());
            let (answer, verdict) = self.ask_poll(poll.request(), &compose)?;
            if verdict != Verdict::Done {
                self.result.outcomes.push("waiting".to_owned());
                break;
            }
            let fetched: Fetched = plugin.read_poll(poll, &answer, place, &self.params).map_err(|error| fault(&error))?;
            let more = fetched.more;
            events.push((answer, fetched));
            if !more {
                break;
            }
        }
        let place = Place { cursor: &cursor, page: 1, now };
        for item in events.iter().flat_map(|(_, fetched)| &fetched.items) {
            if let (true, Some(request)) = (plugin.wants_ack(poll, item, place, &self.params)?, poll.ack_request()) {
                let compose = |with: &Params| plugin.compose_ack(request, item, place, with, &BTreeMap::new());
                self.ask_poll(request, &compose)?;
            }
        }
        Ok(events.into_iter().filter(|(_, fetched)| !fetched.items.is_empty()).flat_map(|(answer, _)| self.fetched(poll, &answer)).collect())
    }

    fn ask_poll(
        &mut self,
        request: &Request,
        compose: &dyn Fn(&Params) -> Result<crate::domain::request::Outbound, crate::plugin::ComposeError>,
    ) -> Result<(Answer, Verdict), Unasked> {
        let mut polls = std::mem::take(&mut self.polls);
        let asked = self.ask(&Asking { request, compose, place: "poll", lookup: None, unreadable: None }, &mut polls);
        self.polls = polls;
        asked
    }

    /// An answer as the event that it is stored as.
    fn fetched(&mut self, poll: &Poll, answer: &Answer) -> Vec<Mapped> {
        let kind = answer.header("content-type").unwrap_or("application/json").to_owned();
        let delivery = Delivery { headers: vec![("content-type".to_owned(), kind)], body: answer.body.clone(), ..self.webhook.clone() };
        let Some(variant) = self.plugin.variant(&poll.variant) else {
            self.miss(format!("there is no receive variant `{}`", poll.variant));
            return Vec::new();
        };
        match self.plugin.parse(variant, &delivery) {
            Ok(body) => self.event(variant, &delivery, &body),
            Err(error) => {
                self.result.outcomes.push(format!("failed:{}", error.code));
                Vec::new()
            }
        }
    }
}
