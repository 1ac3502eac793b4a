//! Takes due work and runs it, at most so many at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::domain::time::Time;
use crate::pipeline::turn::Turn;
use crate::pipeline::{App, alert, forward, lookup, map, place, standing, write_back};
use crate::store::{Claim, Store, StoreError, Subject, Task, TaskKind, Wake};

/// A task whose run failed or panicked is tried again after this; the store says what is durable.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Work whose plugin is broken is looked at again after this.
const HELD: Duration = Duration::from_secs(30);
/// Nothing wakes a loop later than this, whatever was missed.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The loop of one kind of stored task.
pub async fn tasks(app: Arc<App>, kind: TaskKind, at_once: usize, mut stop: watch::Receiver<bool>) {
    let permits = Arc::new(Semaphore::new(at_once));
    while !*stop.borrow() {
        // One free place first: the sleep below must not end for work that cannot start.
        let Ok(first) = Arc::clone(&permits).acquire_owned().await else { return };
        let notified = app.store.wake(Wake::Task(kind)).notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        let now = app.clock.now();
        let free = permits.available_permits() + 1;
        match app.store.take_tasks(kind, now, free) {
            Ok(taken) if !taken.is_empty() => start(&app, taken, first, &permits),
            Ok(_) => {
                drop(first);
                sleep(&app, app.store.next_task_at(kind), notified, &mut stop).await;
            }
            Err(error) => {
                tracing::error!(error = %error, "tasks cannot be read");
                drop(first);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
    let _ = permits.acquire_many(u32::try_from(at_once).unwrap_or(u32::MAX)).await;
}

fn start(app: &Arc<App>, taken: Vec<Task>, first: OwnedSemaphorePermit, permits: &Arc<Semaphore>) {
    let mut permit = Some(first);
    for task in taken {
        let permit = permit.take().or_else(|| Arc::clone(permits).try_acquire_owned().ok());
        let app = Arc::clone(app);
        tokio::spawn(async move {
            let _permit = permit;
            run_one(&app, &task).await;
        });
    }
}

/// Runs a task when its CRM's turn has come, else gives it back until then.
async fn run_one(app: &Arc<App>, task: &Task) {
    // Without its plugin it would fail for good, and the admin is about to mend that.
    let needs_plugin = matches!(task.kind, TaskKind::Map | TaskKind::Lookup | TaskKind::WriteBack);
    if needs_plugin && task.connection.as_ref().is_some_and(|id| app.is_held(id)) {
        return app.store.release_task(task.kind, task.subject, app.clock.now().plus(HELD));
    }
    let wired =
        task.connection.as_ref().filter(|_| matches!(task.kind, TaskKind::Lookup | TaskKind::WriteBack | TaskKind::Poll)).and_then(|id| app.connection(id));
    let _place = match wired.as_ref().map(|wired| wired.turns.ask(task.subject, app.clock.now())) {
        Some(Turn::Now(place)) => Some(place),
        Some(Turn::At(at)) => return app.store.release_task(task.kind, task.subject, at),
        None => None,
    };
    let mut guard = Release { app: Arc::clone(app), kind: task.kind, subject: task.subject, settled: false };
    match one(app, task).await {
        Ok(()) => guard.settled = true,
        Err(error) => tracing::error!(task = ?task.subject, error = %error, "a task could not be settled; it is tried again"),
    }
}

/// Gives a task back that no step has settled, also after a panic. A settled one may run again already: it is left alone.
struct Release {
    app: Arc<App>,
    kind: TaskKind,
    subject: Subject,
    settled: bool,
}

impl Drop for Release {
    fn drop(&mut self) {
        if !self.settled {
            self.app.store.release_task(self.kind, self.subject, self.app.clock.now().plus(AFTER_FAILURE));
        }
    }
}

async fn one(app: &App, task: &Task) -> Result<(), StoreError> {
    match (task.kind, task.subject) {
        (TaskKind::Map, Subject::Event(id)) => map::run(app, id).await,
        (TaskKind::Lookup, Subject::Item(event, index)) => lookup::run(app, task, event, index).await,
        (TaskKind::WriteBack, Subject::Call(id)) => write_back::run(app, task, id).await,
        (TaskKind::Poll, Subject::Source(id)) => standing::run(app, id).await,
        (TaskKind::WriteBack, Subject::Item(event, index)) => write_back::run_item(app, task, event, index).await,
        (TaskKind::Forward, Subject::Call(id)) => forward::run(app, task, id).await,
        (TaskKind::Alert, Subject::Alert(id)) => alert::run(app, task, id).await,
        _ => Err(StoreError::Record(format!("a {:?} task about {:?}", task.kind, task.subject))),
    }
}

/// The placing loop: event-driven, never a poll over all lines.
pub async fn placing(app: Arc<App>, at_once: usize, mut stop: watch::Receiver<bool>) {
    // A client that is still reading the root certificates would leave `placing` on disk for a while without its request.
    let warm = Arc::clone(&app);
    let _ = tokio::task::spawn_blocking(move || warm.dialer.warm_up()).await;
    if let Err(error) = place::resume_new_keys(&app).await {
        tracing::error!(error = %error, "lines with a new secret key could not be resumed");
    }
    let permits = Arc::new(Semaphore::new(at_once));
    while !*stop.borrow() {
        let Ok(first) = Arc::clone(&permits).acquire_owned().await else { return };
        let notified = app.store.wake(Wake::Placing).notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        let next = app.store.next_calls(app.clock.now(), permits.available_permits() + 1);
        if next.claims.is_empty() {
            drop(first);
            sleep(&app, next.wake_at, notified, &mut stop).await;
            continue;
        }
        let mut permit = Some(first);
        for claim in next.claims {
            let permit = permit.take().or_else(|| Arc::clone(&permits).try_acquire_owned().ok());
            let app = Arc::clone(&app);
            tokio::spawn(async move {
                let _permit = permit;
                place_one(&app, claim).await;
            });
        }
    }
    let _ = permits.acquire_many(u32::try_from(at_once).unwrap_or(u32::MAX)).await;
}

/// Tries one claim. After a store error `begin_placing` has given it back already.
async fn place_one(app: &Arc<App>, claim: Claim) {
    let mut guard = Unclaim { app: Arc::clone(app), claim: claim.clone(), settled: false };
    if let Err(error) = place::run(app, claim).await {
        tracing::error!(error = %error, "a call could not be placed or its outcome not kept");
        tokio::time::sleep(AFTER_FAILURE).await;
    }
    guard.settled = true;
}

/// Gives a claim back after a panic. A call that is `placing` is no longer claimed.
struct Unclaim {
    app: Arc<App>,
    claim: Claim,
    settled: bool,
}

impl Drop for Unclaim {
    fn drop(&mut self) {
        if !self.settled {
            self.app.store.unclaim(&self.claim, None);
        }
    }
}

/// Sleeps until something was committed, the time has come, or the end.
async fn sleep(app: &App, until: Option<Time>, notified: impl Future<Output = ()>, stop: &mut watch::Receiver<bool>) {
    let pause = until.map_or(LONGEST_SLEEP, |at| at.since(app.clock.now()).min(LONGEST_SLEEP));
    tokio::select! {
        () = notified => {}
        () = tokio::time::sleep(pause) => {}
        _ = stop.changed() => {}
    }
}

/// Runs what is due now, one after the other; true if there was anything.
pub async fn run_due(app: &Arc<App>) -> bool {
    let now = app.clock.now();
    let mut any = super::sweep::once(app).await;
    for kind in TaskKind::ALL {
        for task in app.store.take_tasks(kind, now, 64).unwrap_or_default() {
            any = true;
            run_one(app, &task).await;
        }
    }
    for claim in app.store.next_calls(now, 64).claims {
        any = true;
        place_one(app, claim).await;
    }
    any
}
