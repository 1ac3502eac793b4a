//! One run of a write-back task: of a call, or of an item that was refused.

use std::time::Duration;

use super::super::app::{App, Wired};
use super::facts::Facts;
use super::kind::{Turn, Work};
use crate::domain::id::{CallId, EventId};
use crate::domain::item::Outcome;
use crate::domain::time::Time;
use crate::domain::write_back::{Status, WriteBack};
use crate::plugin::Plugin;
use crate::store::{NextTry, Store, StoreError, Task, Written};

/// Writes a call's result as far as it can be written now, and keeps what was learnt.
pub async fn run(app: &App, task: &Task, id: CallId) -> Result<(), StoreError> {
    let Some(call) = app.store.call(id)? else { return app.store.finish_write_back(app.clock.now(), id, Written::default()).await };
    let version = u16::try_from(call.report_digests.len()).unwrap_or(u16::MAX);
    let job = Job { task, about: About::Call(id), version, learnt: call.write_back.clone() };
    let Some(wired) = call.connection.as_ref().and_then(|c| app.connection(c)) else { return job.fail(app, CONNECTION_GONE).await };
    let Some(plugin) = app.plugins.version(&wired.connection.plugin, &call.plugin_hash) else { return job.fail(app, PLUGIN_GONE).await };
    match Facts::of_call(app, &wired, &call) {
        Ok(facts) => job.run(app, &wired, &plugin, &facts).await,
        Err(error) => job.fail(app, &error.to_string()).await,
    }
}

/// Writes why an item was refused.
pub async fn run_item(app: &App, task: &Task, event: EventId, index: u16) -> Result<(), StoreError> {
    let about = About::Item(event, index);
    let refused = app.store.item(event, index)?.and_then(|item| match item.outcome {
        Outcome::Refused { code, .. } => Some((code, item)),
        // It was taken up again since, and the call will have its own entry.
        _ => None,
    });
    let (Some((code, item)), Some(stored)) = (refused, app.store.event(event)?) else {
        return app.store.finish_item_write_back(app.clock.now(), event, index, Written::default()).await;
    };
    let job = Job { task, about, version: 0, learnt: app.store.item_write_back(event, index)? };
    let Some(wired) = app.connection(&stored.connection) else { return job.fail(app, CONNECTION_GONE).await };
    let Some(plugin) = app.plugins.get(&wired.connection.plugin) else { return job.fail(app, PLUGIN_GONE).await };
    match Facts::of_item(&wired, event, index, &item, code) {
        Ok(facts) => job.run(app, &wired, &plugin, &facts).await,
        Err(error) => job.fail(app, &error.to_string()).await,
    }
}

const CONNECTION_GONE: &str = "its connection was taken out of the configuration";
const PLUGIN_GONE: &str = "its plugin is not loaded";

/// What is written about.
#[derive(Debug, Clone, Copy)]
enum About {
    Call(CallId),
    Item(EventId, u16),
}

/// One run.
struct Job<'a> {
    task: &'a Task,
    about: About,
    /// The report version that is shown.
    version: u16,
    learnt: WriteBack,
}

impl Job<'_> {
    async fn fail(mut self, app: &App, sentence: &str) -> Result<(), StoreError> {
        self.learnt.status = Status::Failed;
        self.learnt.kinds.entry("all".into()).or_default().failed = Some(sentence.to_owned());
        finish(app, self.about, Written { version: self.version, learnt: self.learnt, ..Written::default() }).await
    }

    async fn run(self, app: &App, wired: &Wired, plugin: &Plugin, facts: &Facts<'_>) -> Result<(), StoreError> {
        let Job { task, about, version, mut learnt } = self;
        // What is sent now could not be written down, and would be sent again.
        if let Some(why) = app.store.trouble() {
            return Err(StoreError::Broken(why));
        }
        let sent_at = task.due.max(app.started_at);
        if task.epoch != app.store.epoch() {
            doubt(&mut learnt, wired, plugin, version, sent_at);
        }
        let mut attempts = Vec::new();
        let mut next = NextTry::Done;
        for name in &wired.connection.write_back {
            let Some(kind) = plugin.kind(name.as_str(), &wired.params) else { continue };
            let mut state = learnt.kinds.remove(kind.name).unwrap_or_default();
            let mut work =
                Work { app, wired, plugin, facts, kind, version, tries: task.tries, sent_at, attempts: std::mem::take(&mut attempts), unclear: false };
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
                    tracing::warn!(about = ?about, kind = kind.name, sentence, "a result could not be written into the CRM");
                    state.failed = Some(sentence);
                    None
                }
                Turn::Again { after } => match app.tuning.write_back.pause(task.tries + 1, task.tried_for(), after, app.dice()) {
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
        keep(app, about, Written { version, learnt, attempts, next }).await
    }
}

/// An earlier process may have sent a request whose answer nobody kept, for any kind that is not done. It stands with each kind until a search
/// has answered: this run may end at the first of them, and the task is this process's then.
fn doubt(learnt: &mut WriteBack, wired: &Wired, plugin: &Plugin, version: u16, sent_at: Time) {
    for kind in wired.connection.write_back.iter().filter_map(|name| plugin.kind(name.as_str(), &wired.params)) {
        let state = learnt.kinds.entry(kind.name.to_owned()).or_default();
        if state.version != Some(version) {
            state.unclear = true;
            state.unclear_at = Some(sent_at);
        }
    }
}

/// What was learnt must reach the disk before anything is sent again: an entry that nobody remembers would be made twice.
async fn keep(app: &App, about: About, written: Written) -> Result<(), StoreError> {
    let mut last = Ok(());
    for _ in 0..60 {
        match finish(app, about, written.clone()).await {
            Ok(()) => return Ok(()),
            // A reopened store has a new epoch: the next run looks in the CRM first.
            Err(error @ (StoreError::Broken(_) | StoreError::Shut)) => return Err(error),
            Err(error) => last = Err(error),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    last
}

async fn finish(app: &App, about: About, written: Written) -> Result<(), StoreError> {
    let now = app.clock.now();
    match about {
        About::Call(id) => app.store.finish_write_back(now, id, written).await,
        About::Item(event, index) => app.store.finish_item_write_back(now, event, index, written).await,
    }
}

fn status(learnt: &WriteBack, next: &NextTry) -> Status {
    match next {
        NextTry::At { .. } => Status::Pending,
        NextTry::Done if learnt.kinds.values().any(|k| k.failed.is_some()) => Status::Failed,
        NextTry::Done if learnt.kinds.values().any(|k| !k.steps.is_empty() || k.entry.is_some()) => Status::Logged,
        NextTry::Done => Status::None,
    }
}
