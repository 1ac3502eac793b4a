//! Asks the CRM for what a delivery did not carry, then finishes mapping the item.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::app::{App, Wired};
use super::ask::{AskError, Asking, ask, class_of};
use super::batch;
use super::map::{self, Opened};
use crate::domain::id::{AttemptId, EventId};
use crate::domain::item::Outcome;
use crate::domain::request::Verdict;
use crate::domain::retry;
use crate::domain::time::Time;
use crate::error::Code;
use crate::outbound::SendError;
use crate::plugin::{Learnt, LoginError, LookupContext, LookupOutcome, Mapped, Params, Plugin};
use crate::store::{Attempt, Leg, MappedItem, NextTry, Store, StoreError, Task};

/// How long until a refused login is tried again for an item.
const LOGIN_REFUSED: std::time::Duration = std::time::Duration::from_secs(60);

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
    let mut attempt = None;
    let found = chain(app, &plugin, &wired, &opened, index, task, &mut attempt).await;
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
    let next = match policy.pause(task.tries + 1, task.tried_for(), asked, app.dice()) {
        Some(pause) => NextTry::At { due: now.plus(pause), counted: true },
        None => NextTry::Done,
    };
    if let (Some(attempt), NextTry::At { due, .. }) = (&mut attempt, &next) {
        attempt.next_at = Some(*due);
    }
    app.store.finish_lookup(now, last, event, attempt, next).await.map(|_| ())
}

async fn chain(app: &App, plugin: &Plugin, wired: &Wired, opened: &Opened, index: u16, task: &Task, attempt: &mut Option<Attempt>) -> Found {
    let params = wired.params_at(&opened.event.hook);
    let Some(piece) = opened.items.get(usize::from(index)) else {
        return Found::Never { code: Code::MapFailed, detail: "the event has fewer items than before".into() };
    };
    let item = piece.item(&opened.body);
    let mut learnt = Learnt::default();
    let mut asked: BTreeSet<String> = BTreeSet::new();
    let mut mapped = match map::map_one(app, wired, plugin, opened, piece, params) {
        Ok(mapped) => mapped,
        Err((code, detail)) => return Found::Never { code, detail },
    };
    loop {
        let context = LookupContext { params, item, learnt: &learnt };
        let lookup = match plugin.next_lookup(&mapped, &context, &asked) {
            Ok(Some(lookup)) => lookup,
            Ok(None) => break,
            Err(error) => return Found::Never { code: Code::MapFailed, detail: error.to_string() },
        };
        let started = app.clock.now();
        let asking = Asking { app, wired, plugin, request: &lookup.request, params, first: asked.is_empty() };
        let ids = match batch::ids(app, plugin, wired, opened, lookup, &mapped) {
            Ok(ids) => ids,
            Err(error) => return not_asked(app, wired, error.into()),
        };
        let compose = |params: &Params| plugin.compose_lookup(lookup, &mapped, &LookupContext { params, ..context }, &ids, &wired.bases, started);
        let request = || async { ask(asking, compose).await.map(|asked| asked.answer) };
        let sent = match &lookup.batch {
            None => request().await.map(|answer| (Arc::new(answer), true)),
            Some(_) => {
                let key = (opened.event.id, lookup.name.clone(), mapped.record.kind.clone());
                let asker = batch::Asker { index, record: &mapped.record.id, now: started };
                app.batches.answer(key, asker, ids.clone(), request).await
            }
        };
        let now = app.clock.now();
        if sent.as_ref().map_or(true, |(_, own)| *own) {
            *attempt = Some(attempt_of(app, &lookup.name, task, started, now, sent.as_ref().map(|(answer, _)| answer.status)));
        }
        let (answer, own) = match sent {
            Ok(sent) => sent,
            Err(error) => return not_asked(app, wired, error),
        };
        let outcome = plugin.apply_lookup(lookup, &answer, &mut mapped, params, item, &mut learnt, now);
        asked.insert(lookup.name.clone());
        match outcome {
            LookupOutcome::Applied => {}
            LookupOutcome::NotThereYet => return Found::NotThereYet,
            LookupOutcome::Failed { verdict, detail, says } => {
                let detail = says.map_or(detail, |says| wired.connection.language.of(says));
                if let Some(attempt) = attempt.as_mut().filter(|_| own) {
                    attempt.detail.clone_from(&detail);
                }
                return not_good(verdict, detail);
            }
        }
    }
    // Which record it is may be known only now.
    map::echo(app, wired, opened, &mut mapped);
    map::triggered(plugin, wired, opened, &mut mapped, item, true);
    Found::All(Box::new(mapped))
}

/// What a look-up whose answer is not good comes to.
fn not_good(verdict: Verdict, detail: String) -> Found {
    match verdict {
        Verdict::Retry { after } => Found::Again { detail, after },
        Verdict::Gone => Found::Never { code: Code::LookupMissing, detail },
        // A person has to act: try again, but seldom.
        Verdict::Misconfigured | Verdict::RefreshToken => Found::Again { detail, after: Some(LOGIN_REFUSED) },
        _ => Found::Never { code: Code::LookupFailed, detail },
    }
}

/// What a look-up without an answer comes to.
fn not_asked(app: &App, wired: &Wired, error: AskError) -> Found {
    let detail = app.redact(&error.sentence(wired.connection.language));
    match error {
        AskError::Compose(_) | AskError::Login(LoginError::Compose(_)) => Found::Never { code: Code::MapFailed, detail },
        AskError::Send(SendError::Blocked(_)) | AskError::LoginUnsent(SendError::Blocked(_)) => Found::Never { code: Code::OutboundBlocked, detail },
        AskError::Login(LoginError::Refused { verdict: Verdict::Retry { after }, .. }) => Found::Again { detail, after },
        // A person has to act, and may do so before this is given up.
        AskError::Login(_) => Found::Again { detail, after: Some(LOGIN_REFUSED) },
        AskError::Send(_) | AskError::LoginUnsent(_) | AskError::Store(_) => Found::Again { detail, after: None },
    }
}

fn attempt_of(app: &App, name: &str, task: &Task, started: Time, now: Time, sent: Result<u16, &AskError>) -> Attempt {
    let (status, class, detail) = match sent {
        Ok(status) => (Some(status), if status < 300 { "ok" } else { "answer" }, String::new()),
        Err(error) => (None, class_of(error), error.to_string()),
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
