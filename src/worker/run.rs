//! All loops of a process, and the same work by hand.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{pump, sweep};
use crate::pipeline::loops::Loops;
use crate::pipeline::{App, standing};
use crate::store::TaskKind;

/// How long a loop that broke rests.
const PAUSE: Duration = Duration::from_secs(5);

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
    let keep = |name: &'static str, start: Start| keep_up(Arc::clone(&app), name, stop.clone(), start);
    for (kind, at_once) in [
        (TaskKind::Map, concurrency.map),
        (TaskKind::Lookup, concurrency.lookup),
        (TaskKind::WriteBack, concurrency.write_back),
        (TaskKind::Forward, concurrency.forward),
        (TaskKind::Poll, concurrency.poll),
        (TaskKind::Alert, 4),
    ] {
        loops.spawn(keep(kind.as_str(), Box::new(move |app, stop| Box::pin(pump::tasks(app, kind, at_once, stop)))));
    }
    loops.spawn(keep("place", Box::new(move |app, stop| Box::pin(pump::placing(app, concurrency.place, stop)))));
    loops.spawn(keep("sweep", Box::new(|app, stop| Box::pin(sweep::run(app, stop)))));
    while loops.join_next().await.is_some() {}
}

type Start = Box<dyn Fn(Arc<App>, watch::Receiver<bool>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

async fn keep_up(app: Arc<App>, name: &'static str, stop: watch::Receiver<bool>, start: Start) {
    restarted(&app.loops, name, stop.clone(), PAUSE, || start(Arc::clone(&app), stop.clone())).await;
}

/// Runs a loop until it ends by itself. One that panics is started again: what it was to do waits in the store.
async fn restarted<F: Future<Output = ()> + Send + 'static>(
    loops: &Loops,
    name: &'static str,
    mut stop: watch::Receiver<bool>,
    pause: Duration,
    start: impl Fn() -> F,
) {
    loop {
        // In a set of its own, so that it ends with this task.
        let mut one = JoinSet::new();
        one.spawn(start());
        let Some(Err(error)) = one.join_next().await else { return };
        tracing::error!(worker = name, error = %error, "a loop of the workers broke; it is started again");
        loops.fell(name);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.changed() => return,
        }
        loops.runs(name);
    }
}

/// Runs everything that is due now, once, in the calling task; true if there was anything. For tests with a clock of their own.
pub async fn run_due(app: &Arc<App>) -> bool {
    pump::run_due(app).await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_loop_that_panics_is_down_for_a_moment_and_started_again() {
        let (loops, starts, (_keep, stop)) = (Loops::default(), Arc::new(AtomicU32::new(0)), watch::channel(false));
        let start = || {
            let first = starts.fetch_add(1, Ordering::Relaxed) == 0;
            async move { assert!(!first, "the first one breaks") }
        };
        let pause = Duration::from_secs(1);
        let run = restarted(&loops, "map", stop, pause, start);
        tokio::pin!(run);
        assert!(tokio::time::timeout(pause / 2, &mut run).await.is_err());
        assert_eq!(loops.down(), Some("map"));
        run.await;
        assert_eq!((loops.down(), starts.load(Ordering::Relaxed)), (None, 2));
    }
}
