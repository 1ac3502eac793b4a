//! Asks the CRM for what a delivery did not carry, then finishes mapping the item.

use std::collections::BTreeSet;

use serde_json::Map;

use super::app::{App, Wired};
use super::map::{self, Opened};
use crate::domain::id::{AttemptId, EventId};
use crate::domain::item::Outcome;
use crate::domain::request::Verdict;
use crate::domain::retry;
use crate::domain::time::Time;
use crate::error::Code;
use crate::outbound::SendError;
use crate::plugin::{LookupContext, LookupOutcome, Mapped, Piece, Plugin};
use crate::store::{Attempt, Leg, MappedItem, NextTry, Store, StoreError, Task};

/// The most requests for one item: a plugin's chain is short, a loop is a mistake.
const CHAIN: usize = 8;

/// What a chain of look-ups came to.
enum Found {
    All(Box<Mapped>),
    NotThereYet,
    Again { detail: String, after: Option<std::time::Duration> },
    Never { code: Code, detail: String },
}

/// Looks one item up.
pub async fn run(app: &App, task: &Task, event: EventId, index: u16) -> Result<(), StoreError> {
    let now = app.clock.now();
    let gone = |code, detail| map::failed(index, code, detail, now);
    let Some(stored) = app.store.event(event)? else {
        return done(app, event, gone(Code::MapFailed, "the event is gone".into()), None).await;
    };
    let (opened, plugin, wired) = match map::open(app, stored)? {
        Ok(opened) => opened,
        Err((code, detail)) => return done(app, event, gone(code, detail), None).await,
    };
    let Some(item) = opened.items.get(usize::from(index)) else {
        return done(app, event, gone(Code::MapFailed, "the event has fewer items than before".into()), None).await;
    };
    let mut attempt = None;
    let found = chain(app, &plugin, &wired, &opened, item, task, &mut attempt).await;
    let now = app.clock.now();
    let refused = |code, detail: String| {
        let mut settled = gone(code, detail.clone());
        settled.item.outcome = Outcome::Refused { code, detail };
        settled
    };
    match found {
        Found::All(mapped) => done(app, event, map::maker(app, &opened, &plugin, &wired, now).settle(&opened.event, index, &mapped), attempt).await,
        Found::Never { code: Code::LookupMissing, detail } => done(app, event, refused(Code::LookupMissing, detail), attempt).await,
        Found::Never { code, detail } => done(app, event, gone(code, detail), attempt).await,
        Found::NotThereYet => again(app, task, event, refused(Code::LookupMissing, String::new()), attempt, retry::NOT_THERE_YET, None).await,
        Found::Again { detail, after } => again(app, task, event, gone(Code::LookupFailed, detail), attempt, retry::LOOKUP, after).await,
    }
}

async fn done(app: &App, event: EventId, item: MappedItem, attempt: Option<Attempt>) -> Result<(), StoreError> {
    app.store.finish_lookup(app.clock.now(), item, event, attempt, NextTry::Done).await.map(|_| ())
}

async fn again(
    app: &App,
    task: &Task,
    event: EventId,
    last: MappedItem,
    mut attempt: Option<Attempt>,
    policy: retry::Policy,
    asked: Option<std::time::Duration>,
) -> Result<(), StoreError> {
    let now = app.clock.now();
    let next = match policy.pause(task.tries + 1, now.since(task.first_due), asked, app.dice()) {
        Some(pause) => NextTry::At { due: now.plus(pause), counted: true },
        None => NextTry::Done,
    };
    if let (Some(attempt), NextTry::At { due, .. }) = (&mut attempt, &next) {
        attempt.next_at = Some(*due);
    }
    app.store.finish_lookup(now, last, event, attempt, next).await.map(|_| ())
}

async fn chain(app: &App, plugin: &Plugin, wired: &Wired, opened: &Opened, piece: &Piece, task: &Task, attempt: &mut Option<Attempt>) -> Found {
    let params = wired.params_at(&opened.event.hook);
    let item = piece.item(&opened.body);
    let mut answers = Map::new();
    let mut asked: BTreeSet<String> = BTreeSet::new();
    let mut mapped = match map::map_one(app, wired, plugin, opened, piece, params) {
        Ok(mapped) => mapped,
        Err((code, detail)) => return Found::Never { code, detail },
    };
    for _ in 0..CHAIN {
        let context = LookupContext { params, item, lookups: &answers };
        let lookup = match plugin.next_lookup(&mapped, &context, &asked) {
            Ok(Some(lookup)) => lookup,
            Ok(None) => break,
            Err(error) => return Found::Never { code: Code::MapFailed, detail: error.to_string() },
        };
        let request = match plugin.compose_lookup(lookup, &mapped, &context, &wired.bases) {
            Ok(request) => request,
            Err(error) => return Found::Never { code: Code::MapFailed, detail: app.redact(&error.to_string()) },
        };
        let started = app.clock.now();
        let sent = super::write_back::send(app, wired, &request, asked.is_empty()).await;
        let now = app.clock.now();
        *attempt = Some(attempt_of(app, &lookup.name, task, started, now, &sent));
        let answer = match sent {
            Ok(answer) => answer,
            Err(SendError::Blocked(detail)) => return Found::Never { code: Code::OutboundBlocked, detail: app.redact(&detail) },
            Err(error) => return Found::Again { detail: app.redact(&error.to_string()), after: None },
        };
        let outcome = plugin.apply_lookup(lookup, &answer, &mut mapped, params, item, &mut answers, now);
        asked.insert(lookup.name.clone());
        match outcome {
            LookupOutcome::Applied => {}
            LookupOutcome::NotThereYet => return Found::NotThereYet,
            LookupOutcome::Failed { verdict: Verdict::Retry { after }, detail } => return Found::Again { detail, after },
            LookupOutcome::Failed { verdict: Verdict::Gone, detail } => return Found::Never { code: Code::LookupMissing, detail },
            LookupOutcome::Failed { detail, .. } => return Found::Never { code: Code::LookupFailed, detail },
        }
    }
    map::triggered(plugin, wired, opened, &mut mapped, item, true);
    Found::All(Box::new(mapped))
}

fn attempt_of(app: &App, name: &str, task: &Task, started: Time, now: Time, sent: &Result<crate::domain::request::Answer, SendError>) -> Attempt {
    let (status, class, detail) = match sent {
        Ok(answer) => (Some(answer.status), if answer.status < 300 { "ok" } else { "answer" }, String::new()),
        Err(SendError::NotSent(why)) => (None, "not_sent", why.clone()),
        Err(SendError::Blocked(why)) => (None, "blocked", why.clone()),
        Err(SendError::Unclear(why)) => (None, "unclear", why.clone()),
    };
    Attempt {
        id: AttemptId::from_uuid(app.clock.uuid()),
        leg: Leg::Lookup { name: name.to_owned() },
        number: task.tries + 1,
        at: started,
        duration_ms: u64::try_from(now.since(started).as_millis()).unwrap_or(u64::MAX),
        status,
        class: class.into(),
        detail: app.redact(&detail),
        next_at: None,
    }
}
