//! The committer: one thread that applies waiting steps in groups, syncs once, then answers each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use super::open::{self, Options, Trees};
use super::schedule::{Effect, Index, News};
use super::tx::{Overlay, Tx};
use crate::failpoint::{self, Step};
use crate::store::task::TaskKind;
use crate::store::verbs::{StoreError, Wake};

/// At most this many steps in one transaction; groups of this size came through every power cut that was tried.
const GROUP_STEPS: usize = 64;
/// At most about this many bytes in one transaction.
const GROUP_BYTES: usize = 256 * 1024;
/// Steps that may wait; one more is answered with `Full`.
const QUEUE: usize = 8192;

/// A step that waits for its turn.
trait Job: Send {
    fn step(&self) -> Step;
    /// Runs the step; `true` keeps its writes.
    fn apply(&mut self, tx: &mut Tx<'_>) -> bool;
    fn answer(self: Box<Self>, failed: Option<StoreError>);
}

struct Work<T, F> {
    step: Step,
    run: Option<F>,
    out: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Work<T, F>
where
    T: Send,
    F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn step(&self) -> Step {
        self.step
    }

    fn apply(&mut self, tx: &mut Tx<'_>) -> bool {
        let Some(run) = self.run.take() else { return false };
        let out = catch_unwind(AssertUnwindSafe(|| run(tx))).unwrap_or_else(|_| Err(StoreError::Record(format!("the step {} panicked", self.step.name()))));
        let keep = out.is_ok();
        self.out = Some(out);
        keep
    }

    fn answer(self: Box<Self>, failed: Option<StoreError>) {
        let result = match (self.out, failed) {
            (Some(Ok(_)), Some(error)) => Err(error),
            (Some(out), _) => out,
            (None, error) => Err(error.unwrap_or(StoreError::Shut)),
        };
        // Nobody waits any more: the step stands all the same.
        let _ = self.reply.send(result);
    }
}

/// What the committer shares with readers.
pub struct Shared {
    pub options: Options,
    /// `None` while the store is reopened after a write error.
    pub trees: ArcSwapOption<Trees>,
    pub index: Mutex<Index>,
    pub wake: Waiting,
    pub trouble: Mutex<Option<String>>,
    /// While a snapshot copies: keys written since it began, as they lie in the store.
    pub dirty: Mutex<Option<Vec<Vec<u8>>>>,
    /// One snapshot at a time.
    pub copying: Semaphore,
}

/// Those who wait for something new to do.
#[derive(Default)]
pub struct Waiting {
    tasks: [Notify; TaskKind::ALL.len()],
    placing: Notify,
    sweep: Notify,
}

impl Waiting {
    pub fn of(&self, what: Wake) -> &Notify {
        match what {
            Wake::Task(kind) => &self.tasks[kind.index()],
            Wake::Placing => &self.placing,
            Wake::Sweep => &self.sweep,
        }
    }

    fn tell(&self, news: &News) {
        for (notify, _) in self.tasks.iter().zip(news.tasks).filter(|(_, new)| *new) {
            notify.notify_waiters();
        }
        if news.placing {
            self.placing.notify_waiters();
        }
        if news.sweep {
            self.sweep.notify_waiters();
        }
    }
}

impl Shared {
    pub fn index(&self) -> std::sync::MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// The sending side: cheap to clone; the thread ends when the last one is gone.
#[derive(Clone)]
pub struct Committer {
    jobs: mpsc::Sender<Box<dyn Job>>,
}

impl Committer {
    /// Starts the thread.
    pub fn start(shared: Arc<Shared>) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new().name("committer".into()).spawn(move || run(&shared, queue))?;
        Ok((Self { jobs }, thread))
    }

    /// Runs a step durably and gives its answer.
    pub async fn run<T, F>(&self, step: Step, run: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let work = Work { step, run: Some(run), out: None, reply };
        self.jobs.try_send(Box::new(work)).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => StoreError::Full,
            mpsc::error::TrySendError::Closed(_) => StoreError::Shut,
        })?;
        answer.await.unwrap_or(Err(StoreError::Shut))
    }
}

fn run(shared: &Shared, mut queue: mpsc::Receiver<Box<dyn Job>>) {
    while let Some(first) = queue.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP_STEPS
            && let Ok(job) = queue.try_recv()
        {
            group.push(job);
        }
        while !group.is_empty() {
            group = commit(shared, group);
        }
    }
}

/// Applies, syncs and answers as many of the jobs as fit; gives back those that did not.
fn commit(shared: &Shared, mut group: Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
    let Some(trees) = shared.trees.load_full() else {
        group.into_iter().for_each(|job| job.answer(Some(StoreError::Broken("it is being reopened".into()))));
        return Vec::new();
    };
    let no_space = lacks_space(&shared.options);
    let mut overlay = Overlay::default();
    let mut effects: Vec<Effect> = Vec::new();
    let mut fit = 0;
    let mut skipped = Vec::with_capacity(group.len());
    for job in &mut group {
        if overlay.bytes > GROUP_BYTES {
            break;
        }
        fit += 1;
        let skip = no_space && matches!(job.step(), Step::Accept | Step::FetchEvent | Step::CreateCall | Step::Reject | Step::BeginPlacing);
        skipped.push(skip);
        if skip {
            continue;
        }
        failpoint::hit(job.step().around().before);
        let mut tx = Tx::new(&trees, &overlay);
        let keep = job.apply(&mut tx);
        let (step, step_effects) = (tx.step, tx.effects);
        if keep {
            overlay.merge(step);
            effects.extend(step_effects);
        }
    }
    let rest = group.split_off(fit);
    // sled panics on some I/O errors: the committer must outlive them, or every later step would wait for nobody.
    let write = || catch_unwind(AssertUnwindSafe(|| write(shared, &trees, &overlay))).unwrap_or_else(|_| Err("sled panicked while writing".into()));
    let written = if overlay.is_empty() { Ok(()) } else { write() };
    match written {
        Ok(()) => {
            let news = shared.index().apply(effects);
            for (job, skip) in group.into_iter().zip(skipped) {
                failpoint::hit(job.step().around().after);
                job.answer(skip.then_some(StoreError::NoSpace { reserve_mib: shared.options.reserve_mib }));
            }
            shared.wake.tell(&news);
        }
        Err(why) => {
            tracing::error!(error = %why, "the store does not write; it is reopened");
            let error = StoreError::Broken(why);
            // Before anybody hears of it: nothing more may be sent whose outcome could not be kept.
            shared.set_trouble(Some(error.to_string()));
            group.into_iter().for_each(|job| job.answer(Some(error.clone())));
            drop(trees);
            reopen(shared);
        }
    }
    rest
}

fn write(shared: &Shared, trees: &Trees, overlay: &Overlay) -> Result<(), String> {
    let mut batch = sled::Batch::default();
    for (key, value) in &overlay.writes {
        match value {
            Some(value) => batch.insert(key.as_slice(), value.as_slice()),
            None => batch.remove(key.as_slice()),
        }
    }
    trees.write(batch).map_err(|e| format!("{e:?}"))?;
    failpoint::hit(failpoint::COMMIT_APPLIED);
    trees.sync()?;
    failpoint::hit(failpoint::COMMIT_SYNCED);
    if let Some(dirty) = shared.dirty.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        dirty.extend(overlay.writes.keys().cloned());
    }
    Ok(())
}

/// After one write error sled answers every write with it, even when there is space again: closing and opening cures it.
fn reopen(shared: &Shared) {
    let Some(old) = shared.trees.swap(None) else { return };
    // Readers hold the trees only for the length of one read.
    let mut patience = 500;
    while Arc::strong_count(&old) > 1 && patience > 0 {
        std::thread::sleep(std::time::Duration::from_millis(10));
        patience -= 1;
    }
    // Closing flushes, which may fail the same way.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(old)));
    loop {
        match open::open(&shared.options) {
            Ok(trees) => {
                let trees = Arc::new(trees);
                let rebuilt = shared.index().rebuild(&trees);
                match rebuilt {
                    Ok(()) => {
                        shared.trees.store(Some(trees));
                        shared.set_trouble(None);
                        shared.wake.tell(&News::all());
                        tracing::info!("the store was reopened");
                        return;
                    }
                    Err(why) => shared.set_trouble(Some(why.to_string())),
                }
            }
            Err(why) => shared.set_trouble(Some(why.to_string())),
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

fn lacks_space(options: &Options) -> bool {
    let Ok(stat) = rustix::fs::statvfs(&options.path) else { return false };
    stat.f_bavail.saturating_mul(stat.f_frsize) < options.reserve_mib * 1024 * 1024
}
