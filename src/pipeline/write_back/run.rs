//! One run of a call's write-back task.

use std::time::Duration;

use super::super::app::App;
use super::facts::Facts;
use super::kind::{Turn, Work};
use crate::domain::id::CallId;
use crate::domain::retry;
use crate::domain::write_back::{Status, WriteBack};
use crate::store::{NextTry, Store, StoreError, Task, Written};

/// Writes what can be written now and keeps what was learnt.
pub async fn run(app: &App, task: &Task, id: CallId) -> Result<(), StoreError> {
    let Some(call) = app.store.call(id)? else { return app.store.finish_write_back(app.clock.now(), id, Written::default()).await };
    let version = u16::try_from(call.report_digests.len()).unwrap_or(u16::MAX);
    let mut learnt = call.write_back.clone();
    let failed = |mut learnt: WriteBack, sentence: &str| {
        learnt.status = Status::Failed;
        learnt.kinds.entry("all".into()).or_default().failed = Some(sentence.to_owned());
        Written { version, learnt, ..Written::default() }
    };
    let Some(wired) = call.connection.as_ref().and_then(|c| app.connection(c)) else {
        return app.store.finish_write_back(app.clock.now(), id, failed(learnt, "its connection was taken out of the configuration")).await;
    };
    let Some(plugin) = app.plugins.version(&wired.connection.plugin, &call.plugin_hash) else {
        return app.store.finish_write_back(app.clock.now(), id, failed(learnt, "its plugin is not loaded")).await;
    };
    // What is sent now could not be written down, and would be sent again.
    if let Some(why) = app.store.trouble() {
        return Err(StoreError::Broken(why));
    }
    let facts = match Facts::new(app, &wired, &call) {
        Ok(facts) => facts,
        Err(error) => return app.store.finish_write_back(app.clock.now(), id, failed(learnt, &error.to_string())).await,
    };
    let mut attempts = Vec::new();
    let mut next = NextTry::Done;
    for name in &wired.connection.write_back {
        let Some(kind) = plugin.kind(name.as_str(), &wired.params) else { continue };
        let mut state = learnt.kinds.remove(kind.name).unwrap_or_default();
        let mut work = Work {
            app,
            wired: &wired,
            plugin: &plugin,
            facts: &facts,
            kind,
            version,
            tries: task.tries,
            maybe_sent: task.epoch != app.store.epoch(),
            sent_at: task.due.max(app.started_at),
            attempts: std::mem::take(&mut attempts),
        };
        let sent_before = work.attempts.len();
        let turn = work.turn(&mut state).await;
        attempts = work.attempts;
        let sent = attempts.len() > sent_before;
        let now = app.clock.now();
        let stop = match turn {
            Turn::Done => None,
            Turn::Keep => Some(NextTry::At { due: now, counted: false }),
            Turn::Wait { until } => Some(NextTry::At { due: until, counted: false }),
            Turn::GiveUp { sentence } => {
                tracing::warn!(call.id = %id, kind = kind.name, sentence, "a result could not be written into the CRM");
                state.failed = Some(sentence);
                None
            }
            Turn::Again { after } => match retry::WRITE_BACK.pause(task.tries + 1, now.since(task.first_due), after, app.dice()) {
                Some(pause) => Some(NextTry::At { due: now.plus(pause), counted: true }),
                None => {
                    state.failed = Some(attempts.last().map(|a| a.detail.clone()).unwrap_or_default());
                    None
                }
            },
        };
        learnt.kinds.insert(kind.name.to_owned(), state);
        let left = wired.connection.write_back.iter().rev().take_while(|k| *k != name).any(|k| plugin.kind(k.as_str(), &wired.params).is_some());
        match stop {
            Some(at) => {
                next = at;
                break;
            }
            // What was made is kept before the next kind makes something.
            None if sent && left => {
                next = NextTry::At { due: now, counted: false };
                break;
            }
            None => {}
        }
    }
    if let (NextTry::At { due, counted: true }, Some(last)) = (&next, attempts.last_mut()) {
        last.next_at = Some(*due);
    }
    learnt.status = status(&learnt, &next);
    keep(app, id, Written { version, learnt, attempts, next }).await
}

/// What was learnt must reach the disk before anything is sent again: an entry that nobody remembers would be made twice.
async fn keep(app: &App, id: CallId, written: Written) -> Result<(), StoreError> {
    let mut last = Ok(());
    for _ in 0..60 {
        match app.store.finish_write_back(app.clock.now(), id, written.clone()).await {
            Ok(()) => return Ok(()),
            // A reopened store has a new epoch: the next run looks in the CRM first.
            Err(error @ (StoreError::Broken(_) | StoreError::Shut)) => return Err(error),
            Err(error) => last = Err(error),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    last
}

fn status(learnt: &WriteBack, next: &NextTry) -> Status {
    match next {
        NextTry::At { .. } => Status::Pending,
        NextTry::Done if learnt.kinds.values().any(|k| k.failed.is_some()) => Status::Failed,
        NextTry::Done if learnt.kinds.values().any(|k| !k.steps.is_empty() || k.entry.is_some()) => Status::Logged,
        NextTry::Done => Status::None,
    }
}
