//! Runs the clocks that ran out, and forgets what was remembered for a while.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::pipeline::{App, alert, ends};
use crate::store::{Store, Wake};

const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// A server that never lives ten minutes has to forget too; a moment later so that the start is not slowed.
const FIRST_PRUNE: Duration = Duration::from_secs(1);

/// The loop.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut prune_at = app.clock.now().plus(FIRST_PRUNE);
    let (mut watch_at, mut seen) = (app.clock.now().plus(FIRST_PRUNE), alert::Seen::default());
    while !*stop.borrow() {
        let notified = app.store.wake(Wake::Sweep).notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        let now = app.clock.now();
        // First, so that a server with a deadline always due does it as well.
        if prune_at <= now {
            prune_at = now.plus(PRUNE_EVERY);
            if let Err(error) = app.store.prune(now).await {
                tracing::warn!(error = %error, "old keys could not be forgotten");
            }
        }
        if watch_at <= now {
            watch_at = now.plus(app.tuning.backlog_every);
            if let Err(error) = alert::watch(&app, &mut seen).await {
                tracing::warn!(error = %error, "what waits could not be looked at");
            }
            if let Err(error) = ends::watch(&app).await {
                tracing::warn!(error = %error, "which secrets end could not be looked at");
            }
        }
        if app.store.next_sweep_at().is_some_and(|at| at <= now) {
            if !once(&app).await {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            continue;
        }
        let until = app.store.next_sweep_at().unwrap_or(prune_at).min(prune_at).min(watch_at);
        tokio::select! {
            // A new deadline may be nearer than the one slept for; deadlines are long, so a look once a second is soon enough.
            () = async { notified.await; tokio::time::sleep(Duration::from_secs(1)).await } => {}
            () = tokio::time::sleep(until.since(now)) => {}
            _ = stop.changed() => {}
        }
    }
}

/// One slice; false if there was nothing or it failed.
pub async fn once(app: &App) -> bool {
    let now = app.clock.now();
    if app.store.next_sweep_at().is_none_or(|at| at > now) {
        return false;
    }
    let policy = app.live.load().sweep.clone();
    match app.store.sweep(now, policy).await {
        Ok(swept) => {
            for id in &swept.lost {
                tracing::warn!(call.id = %id, "no report came by the deadline: the call is lost");
            }
            for id in &swept.unconfirmed {
                tracing::warn!(call.id = %id, "the process that was placing this call ended: nobody knows whether it was dialled");
            }
            true
        }
        Err(error) => {
            tracing::error!(error = %error, "deadlines could not be swept");
            false
        }
    }
}
