//! Takes a delivery: hook, limit, variant, sender; then stores it, then answers. It waits for nobody and decides nothing else.

use std::net::IpAddr;
use std::time::Duration;

use crate::domain::connection::Mode;
use crate::domain::event::{Delivery, Event};
use crate::domain::id::{ConnectionId, EventId};
use crate::error::Code;
use crate::failpoint;
use crate::plugin::manifest::SenderRetries;
use crate::plugin::{Plugin, Reply, ReplySpec, VerifyError};
use crate::store::{Rejected, Store, StoreError};

use super::app::{App, Wired, WiredHook};

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

/// Takes one delivery on `connection` with `key`. `too_large`: the body was cut off at the limit. `from`: who sent it.
pub async fn ingest(app: &App, connection: &str, key: &str, delivery: Delivery, too_large: bool, from: Option<IpAddr>) -> Told {
    let unknown = |code| refuse(None, Reply::UnknownKey, code, String::new(), None);
    let Some(wired) = app.connection(&ConnectionId::new(connection)) else { return unknown(Code::UnknownHook) };
    let Some(hook) = wired.hook(key) else { return unknown(Code::UnknownHook) };
    let Some(plugin) = app.plugins.get(&wired.connection.plugin) else {
        return refuse(None, Reply::CannotStore, Code::PluginMissing, String::new(), Some(Duration::from_secs(60)));
    };
    if wired.connection.mode == Mode::Off {
        return refuse(Some(&plugin), Reply::UnknownKey, Code::ConnectionOff, String::new(), None);
    }
    if let Some(wait) = hook.doorman.as_ref().and_then(|doorman| doorman.admit(from, delivery.received_at).err()) {
        // Also from senders that never try again: what anybody can send is not worth a disk.
        return refuse(Some(&plugin), Reply::OverLimit, Code::ExposedLimit, String::new(), Some(wait));
    }
    let over_limit = hook.limiter.check().err().map(|not| not.wait_time_from(governor::clock::Clock::now(hook.limiter.clock())));
    if too_large || delivery.query.len() > HEAD_BYTES {
        return rejected(app, &wired, &plugin, &delivery, Reply::TooLarge, Code::TooLarge, String::new()).await;
    }
    let taken = match examine(&plugin, hook, &delivery) {
        Ok(taken) => taken,
        // A flood of refused deliveries is told about the limit, and costs no disk.
        Err(_) if over_limit.is_some() => return refuse(Some(&plugin), Reply::OverLimit, Code::OverLimit, String::new(), over_limit),
        Err((reply, code, detail)) => return rejected(app, &wired, &plugin, &delivery, reply, code, detail).await,
    };
    // A sender that never tries again must not lose a wish to our limit: it is stored and placed later.
    if over_limit.is_some() && taken.retries != SenderRetries::None {
        return refuse(Some(&plugin), Reply::OverLimit, Code::OverLimit, String::new(), over_limit);
    }
    let event = event_of(app, &wired, hook, taken.variant, &delivery);
    let id = event.id;
    let stored = app.store.accept(delivery.received_at, event, delivery.body.clone()).await;
    failpoint::hit(failpoint::HOOKS_ANSWER.before);
    match stored {
        Ok(()) => Told { reply: plugin.reply(Reply::Stored, None), problem: None, event: Some(id) },
        Err(error) => cannot_store(&plugin, &error),
    }
}

struct Taken {
    variant: String,
    retries: SenderRetries,
}

/// Variant, sender, readable body. The sender is verified before a byte of the body is believed.
fn examine(plugin: &Plugin, hook: &WiredHook, delivery: &Delivery) -> Result<Taken, (Reply, Code, String)> {
    let selected = plugin.select(delivery).map_err(|code| {
        // A body that nobody can read fits no variant: say that rather than "no variant".
        let why = plugin.variants().first().and_then(|v| plugin.parse(v, delivery).err());
        match why {
            Some(error) if code == Code::NoVariant => (Reply::Unreadable, error.code, error.detail),
            _ => (Reply::Unreadable, code, String::new()),
        }
    })?;
    plugin.verify(selected.variant, delivery, &hook.params).map_err(|error| match error {
        VerifyError::Missing => (Reply::BadSignature, Code::MissingSignature, String::new()),
        VerifyError::Mismatch => (Reply::BadSignature, Code::BadSignature, String::new()),
        VerifyError::Stale { .. } => (Reply::Stale, Code::StaleSignature, error.to_string()),
    })?;
    if selected.body.is_none() {
        plugin.parse(selected.variant, delivery).map_err(|e| (Reply::Unreadable, e.code, e.detail))?;
    }
    Ok(Taken { variant: selected.variant.name.clone(), retries: selected.variant.sender_retries })
}

fn event_of(app: &App, wired: &Wired, hook: &WiredHook, variant: String, delivery: &Delivery) -> Event {
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
        workspace: wired.connection.workspace.clone(),
        connection: wired.connection.id.clone(),
        variant,
        hook: hook.hook.name.clone(),
        method: delivery.method.clone(),
        tail: delivery.tail.clone(),
        query: redactor.text(&delivery.query).into_owned(),
        headers,
        body_bytes: u32::try_from(delivery.body.len()).unwrap_or(u32::MAX),
        received_at: delivery.received_at,
        sealed: String::new(),
        replays: 0,
        items: 0,
    }
}

fn refuse(plugin: Option<&Plugin>, reply: Reply, code: Code, detail: String, after: Option<Duration>) -> Told {
    let reply = match plugin {
        Some(plugin) => plugin.reply(reply, after),
        None => ReplySpec {
            status: code.entry().status,
            headers: after.map(|d| ("retry-after".to_owned(), d.as_secs().max(1).to_string())).into_iter().collect(),
            body: String::new(),
        },
    };
    Told { reply, problem: Some((code, detail)), event: None }
}

fn cannot_store(plugin: &Plugin, error: &StoreError) -> Told {
    tracing::error!(error = %error, error.code = %Code::CannotStore, "a delivery could not be stored");
    refuse(Some(plugin), Reply::CannotStore, Code::CannotStore, error.to_string(), Some(Duration::from_secs(5)))
}

/// Refuses a delivery and keeps it in the bounded list the admin sees. Where the CRM is told 2xx all the same, it is on disk first.
async fn rejected(app: &App, wired: &Wired, plugin: &Plugin, delivery: &Delivery, reply: Reply, code: Code, detail: String) -> Told {
    let excerpt: String = String::from_utf8_lossy(&delivery.body[..delivery.body.len().min(EXCERPT)]).into_owned();
    let kept = Rejected {
        at: delivery.received_at,
        workspace: wired.connection.workspace.clone(),
        connection: wired.connection.id.clone(),
        code,
        detail: detail.clone(),
        method: delivery.method.clone(),
        body_bytes: delivery.body.len() as u64,
        excerpt: app.redact(&excerpt),
    };
    let told = refuse(Some(plugin), reply, code, detail, None);
    match app.store.reject(kept).await {
        Err(error) if (200..300).contains(&told.reply.status) => cannot_store(plugin, &error),
        _ => told,
    }
}
