//! Takes a delivery: hook, limit, handshake or variant, sender; then stores it, then answers. It waits for nobody and decides nothing else.

use std::net::IpAddr;
use std::time::Duration;

use crate::domain::connection::Mode;
use crate::domain::event::{Delivery, Event};
use crate::domain::id::{ConnectionId, EventId};
use crate::error::Code;
use crate::failpoint;
use crate::plugin::manifest::SenderRetries;
use crate::plugin::{self, Plugin, Reply, ReplySpec, Variant, VerifyError};
use crate::store::{Rejected, Store, StoreError};

use super::app::{App, Wired, WiredHook};
use super::greet;

/// What the sender is told.
#[derive(Debug)]
pub struct Told {
    pub reply: ReplySpec,
    /// Why it was not stored.
    pub problem: Option<(Code, String)>,
    pub event: Option<EventId>,
}

/// Headers that never leave the request: what they carry was used to verify the sender and is used for nothing else.
const NOT_STORED: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "x-api-key"];

/// Query and headers are kept in one record, which has its limit; they are a part of it.
const HEAD_BYTES: usize = 8 * 1024;

/// The longest excerpt of a refused body that is kept.
const EXCERPT: usize = 500;

/// What one delivery is taken with.
pub(super) struct Desk<'a> {
    pub app: &'a App,
    pub wired: &'a Wired,
    pub hook: &'a WiredHook,
    pub plugin: &'a Plugin,
    pub delivery: &'a Delivery,
}

/// A refusal: what the sender is told, by which variant's words, and why.
pub(super) struct Refusal<'a> {
    pub variant: Option<&'a Variant>,
    pub reply: Reply,
    pub code: Code,
    pub detail: String,
}

impl Refusal<'_> {
    /// Its signature is right, only its time is not, and its sender never tries again: it is kept for a person also above the limit.
    fn is_only_late(&self) -> bool {
        self.reply == Reply::Stale && self.variant.is_some_and(|variant| variant.sender_retries == SenderRetries::None)
    }
}

/// Takes one delivery on `connection` with `key`. `too_large`: the body was cut off at the limit. `from`: who sent it.
pub async fn ingest(app: &App, connection: &str, key: &str, delivery: Delivery, too_large: bool, from: Option<IpAddr>) -> Told {
    let Some(wired) = app.connection(&ConnectionId::new(connection)) else { return bare(Code::UnknownHook, None) };
    let Some(plugin) = app.plugins.get(&wired.connection.plugin) else { return bare(Code::PluginMissing, Some(Duration::from_secs(60))) };
    let Some(hook) = wired.hook(key) else { return unknown_key(app, &wired, &plugin, &delivery).await };
    let desk = Desk { app, wired: &wired, hook, plugin: &plugin, delivery: &delivery };
    let over_limit = hook.limiter.check().err().map(|not| not.wait_time_from(governor::clock::Clock::now(hook.limiter.clock())));
    if wired.connection.mode == Mode::Off {
        // By whose words depends on what was sent; that it is not taken does not.
        let variant = if too_large { None } else { plugin.select(&delivery, &hook.params).ok().map(|selected| selected.variant) };
        return desk.turn_away(Refusal { variant, reply: Reply::Paused, code: Code::ConnectionOff, detail: String::new() }, None).await;
    }
    if let Some(wait) = hook.doorman.as_ref().and_then(|doorman| doorman.admit(from, delivery.received_at).err()) {
        // Also from senders that never try again: what anybody can send is not worth a disk.
        return desk.refuse(Refusal { variant: None, reply: Reply::OverLimit, code: Code::ExposedLimit, detail: String::new() }, Some(wait));
    }
    if too_large || delivery.query.len() > HEAD_BYTES {
        return desk.reject(Refusal { variant: None, reply: Reply::TooLarge, code: Code::TooLarge, detail: String::new() }).await;
    }
    if let Some(told) = greet::greet(&desk, over_limit).await {
        return told;
    }
    let variant = match desk.examine() {
        Ok(variant) => variant,
        // A flood of refused deliveries is told about the limit, and costs no disk.
        Err(refusal) if over_limit.is_some() && !refusal.is_only_late() => {
            return desk.turn_away(Refusal { reply: Reply::OverLimit, code: Code::OverLimit, ..refusal }, over_limit).await;
        }
        Err(refusal) => return desk.reject(refusal).await,
    };
    // A sender that never tries again must not lose a wish to our limit: it is stored and placed later.
    if over_limit.is_some() && variant.sender_retries != SenderRetries::None {
        return desk.turn_away(Refusal { variant: Some(variant), reply: Reply::OverLimit, code: Code::OverLimit, detail: String::new() }, over_limit).await;
    }
    let event = desk.event(variant);
    let id = event.id;
    let stored = app.store.accept(delivery.received_at, event, delivery.body.clone()).await;
    failpoint::hit(failpoint::HOOKS_ANSWER.before);
    match stored {
        Ok(()) => Told { reply: desk.words(Some(variant), Reply::Stored, &id.to_string(), None), problem: None, event: Some(id) },
        Err(error) => desk.cannot_store(Some(variant), &error),
    }
}

/// Some CRMs stop for good after a 4xx, also where only the key was changed: their plugin has words of its own.
async fn unknown_key(app: &App, wired: &Wired, plugin: &Plugin, delivery: &Delivery) -> Told {
    match wired.hooks.first() {
        Some(hook) => {
            let desk = Desk { app, wired, hook, plugin, delivery };
            desk.turn_away(Refusal { variant: None, reply: Reply::UnknownKey, code: Code::UnknownHook, detail: String::new() }, None).await
        }
        None => bare(Code::UnknownHook, None),
    }
}

/// An answer without a plugin's words.
fn bare(code: Code, after: Option<Duration>) -> Told {
    let headers = after.map(|d| ("retry-after".to_owned(), d.as_secs().max(1).to_string())).into_iter().collect();
    Told { reply: ReplySpec { status: code.entry().status, headers, body: String::new() }, problem: Some((code, String::new())), event: None }
}

/// A failed verification as what the sender is told.
pub(super) fn unbelieved(error: VerifyError) -> (Reply, Code, String) {
    match error {
        VerifyError::Missing => (Reply::BadSignature, Code::MissingSignature, String::new()),
        VerifyError::Mismatch => (Reply::BadSignature, Code::BadSignature, String::new()),
        VerifyError::Stale { .. } => (Reply::Stale, Code::StaleSignature, error.to_string()),
    }
}

impl<'a> Desk<'a> {
    /// Variant, sender, readable body. The sender is verified before a byte of the body is believed.
    fn examine(&self) -> Result<&'a Variant, Refusal<'a>> {
        let (plugin, delivery, params) = (self.plugin, self.delivery, &self.hook.params);
        let unreadable = |variant, code, detail| Refusal { variant, reply: Reply::Unreadable, code, detail };
        let selected = plugin.select(delivery, params).map_err(|code| {
            // A body that nobody can read fits no variant: say that rather than "no variant".
            let why = plugin.variants().first().and_then(|v| plugin.parse(v, delivery).err());
            match why {
                Some(error) if code == Code::NoVariant => unreadable(None, error.code, error.detail),
                _ => unreadable(None, code, String::new()),
            }
        })?;
        let variant = selected.variant;
        let held = plugin.verify(variant, delivery, selected.body.as_ref(), params).map_err(|error| {
            let (reply, code, detail) = unbelieved(error);
            Refusal { variant: Some(variant), reply, code, detail }
        })?;
        let no = |error: plugin::ParseError| unreadable(Some(variant), error.code, error.detail);
        let body = selected.body.map_or_else(|| plugin.parse(variant, delivery), Ok).map_err(no)?;
        // Too many records at once are never mapped: the sender has to hear it.
        plugin.split(variant, &body).map_err(no)?;
        if !held.0.is_empty() {
            tracing::debug!(connection.id = %self.wired.connection.id, variant = %variant.name, scheme = %held.0, "a sender was verified");
        }
        Ok(variant)
    }

    fn event(&self, variant: &Variant) -> Event {
        let (app, delivery) = (self.app, self.delivery);
        let redactor = app.redactor.load();
        let mut room = HEAD_BYTES.saturating_sub(delivery.query.len());
        let mut keep = |name: &str, value: &str| {
            let value = if NOT_STORED.contains(&name) { "[secret]".into() } else { redactor.text(value) };
            let fits = name.len() + value.len() <= room;
            room = room.saturating_sub(name.len() + value.len());
            (name.to_owned(), if fits { value.into_owned() } else { "[cut]".to_owned() })
        };
        let headers = delivery.headers.iter().map(|(name, value)| keep(name, value)).collect();
        Event {
            id: EventId::from_uuid(app.clock.uuid()),
            workspace: self.wired.connection.workspace.clone(),
            connection: self.wired.connection.id.clone(),
            variant: variant.name.clone(),
            hook: self.hook.hook.name.clone(),
            method: delivery.method.clone(),
            tail: delivery.tail.clone(),
            query: redactor.text(&delivery.query).into_owned(),
            headers,
            body_bytes: u32::try_from(delivery.body.len()).unwrap_or(u32::MAX),
            body: None,
            received_at: delivery.received_at,
            sealed: String::new(),
            replays: 0,
            let_in: None,
            items: 0,
        }
    }

    /// The plugin's words for an outcome.
    fn words(&self, variant: Option<&Variant>, reply: Reply, event_id: &str, after: Option<Duration>) -> ReplySpec {
        let told = plugin::Told { params: Some(&self.hook.params), query: &self.delivery.query, event_id };
        self.plugin.answer(variant, reply, told, after)
    }

    pub fn refuse(&self, refusal: Refusal<'_>, after: Option<Duration>) -> Told {
        let mut reply = self.words(refusal.variant, refusal.reply, "", after);
        if refusal.code == Code::MethodNotAllowed && reply.status >= 400 {
            reply.status = refusal.code.entry().status;
        }
        Told { reply, problem: Some((refusal.code, refusal.detail)), event: None }
    }

    /// Refuses what costs no disk, unless the sender is told 2xx all the same: then it is in the list of rejected deliveries first.
    async fn turn_away(&self, refusal: Refusal<'_>, after: Option<Duration>) -> Told {
        let told_good = (200..300).contains(&self.words(refusal.variant, refusal.reply, "", after).status);
        if told_good { self.reject(refusal).await } else { self.refuse(refusal, after) }
    }

    pub fn cannot_store(&self, variant: Option<&Variant>, error: &StoreError) -> Told {
        tracing::error!(error = %error, error.code = %Code::CannotStore, "a delivery could not be stored");
        let refusal = Refusal { variant, reply: Reply::CannotStore, code: Code::CannotStore, detail: error.to_string() };
        self.refuse(refusal, Some(Duration::from_secs(5)))
    }

    /// Refuses a delivery and keeps it in the bounded list the admin sees. Where the CRM is told 2xx all the same, it is on disk first.
    pub async fn reject(&self, refusal: Refusal<'_>) -> Told {
        let body = &self.delivery.body;
        // What a handshake hands over is a secret, also where it is refused.
        let shown = if refusal.code == Code::CaptureClosed { 0 } else { body.len().min(EXCERPT) };
        let excerpt: String = String::from_utf8_lossy(&body[..shown]).into_owned();
        let variant = refusal.variant;
        // Only its time is wrong: a person who knows why may let it in.
        let stale = variant.filter(|variant| refusal.code == Code::StaleSignature && self.plugin.parse(variant, self.delivery).is_ok());
        let held = stale.map(|variant| (self.event(variant), body.clone()));
        let kept = Rejected {
            at: self.delivery.received_at,
            workspace: self.wired.connection.workspace.clone(),
            connection: self.wired.connection.id.clone(),
            code: refusal.code,
            detail: refusal.detail.clone(),
            method: self.delivery.method.clone(),
            body_bytes: body.len() as u64,
            excerpt: self.app.redact(&excerpt),
            held: held.as_ref().map(|(event, _)| event.id),
            let_in: None,
        };
        let told = self.refuse(refusal, None);
        match self.app.store.reject(kept, held).await {
            Err(error) if (200..300).contains(&told.reply.status) => self.cannot_store(variant, &error),
            _ => told,
        }
    }
}
