//! All loops of a process, and the same work by hand.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{pump, sweep};
use crate::pipeline::{App, standing};
use crate::store::TaskKind;

/// How many of each kind run at once.
#[derive(Debug, Clone, Copy)]
pub struct Concurrency {
    pub map: usize,
    pub lookup: usize,
    pub place: usize,
    pub write_back: usize,
    pub forward: usize,
    pub poll: usize,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { map: 64, lookup: 32, place: 256, write_back: 128, forward: 32, poll: 8 }
    }
}

/// Runs until `stop` says so, then lets what is under way finish.
pub async fn run_forever(app: Arc<App>, concurrency: Concurrency, stop: watch::Receiver<bool>) {
    if let Err(error) = standing::want(&app).await {
        tracing::error!(error = %error, "what is to be fetched from CRMs and registered there could not be kept; it is tried at the next start");
    }
    let mut loops = JoinSet::new();
    for (kind, at_once) in [
        (TaskKind::Map, concurrency.map),
        (TaskKind::Lookup, concurrency.lookup),
        (TaskKind::WriteBack, concurrency.write_back),
        (TaskKind::Forward, concurrency.forward),
        (TaskKind::Poll, concurrency.poll),
        (TaskKind::Alert, 4),
    ] {
        loops.spawn(pump::tasks(Arc::clone(&app), kind, at_once, stop.clone()));
    }
    loops.spawn(pump::placing(Arc::clone(&app), concurrency.place, stop.clone()));
    loops.spawn(sweep::run(Arc::clone(&app), stop.clone()));
    while loops.join_next().await.is_some() {}
}

/// Runs everything that is due now, once, in the calling task; true if there was anything. For tests with a clock of their own.
pub async fn run_due(app: &Arc<App>) -> bool {
    pump::run_due(app).await
}
