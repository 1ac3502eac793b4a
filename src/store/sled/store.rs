//! The store itself: open trees, the committer and the index.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};

use super::commit::{Committer, Shared, Waiting};
use super::keys::{self, Tree};
use super::open::{self, OpenError, Options, Trees};
use super::schedule::Index;
use super::tx::Tx;
use super::{alerts, history, intake, person, placing, read, result, sealed, snapshot, source, stale, sweep};
use crate::domain::alert::Alert;
use crate::domain::call::Call;
use crate::domain::event::Event;
use crate::domain::id::{AlertId, CallId, ConnectionId, EventId, LineId, SourceId, WorkspaceId};
use crate::domain::item::Item;
use crate::domain::phone::Phone;
use crate::domain::pool::Pool;
use crate::domain::report::Report;
use crate::domain::rule::{History, Policy};
use crate::domain::schedule::{Brakes, LinePolicy, LineState};
use crate::domain::source::{Source, Wanted};
use crate::domain::time::Time;
use crate::domain::write_back::WriteBack;
use crate::error::Code;
use crate::failpoint::Step;
use crate::store::Rules;
use crate::store::task::{Subject, Task, TaskKind};
use crate::store::verbs::*;

/// The embedded store. Cheap to clone; the last clone closes it.
#[derive(Clone)]
pub struct SledStore {
    pub(super) shared: Arc<Shared>,
    pub(super) committer: Committer,
}

impl SledStore {
    /// Opens or makes the store in a directory.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let path = options.path.clone();
        let trees = open::open(&options)?;
        let mut index = Index::default();
        index.rebuild(&trees).map_err(|e| OpenError::Damaged { path: path.clone(), why: e.to_string() })?;
        let shared = Arc::new(Shared {
            options,
            trees: ArcSwapOption::from(Some(Arc::new(trees))),
            index: Mutex::new(index),
            wake: Waiting::default(),
            trouble: Mutex::new(None),
            dirty: Mutex::new(None),
            copying: Semaphore::new(1),
        });
        let (committer, _thread) = Committer::start(Arc::clone(&shared)).map_err(|e| OpenError::Io(path, e))?;
        Ok(Self { shared, committer })
    }

    pub(super) fn trees(&self) -> Result<Arc<Trees>, StoreError> {
        self.shared.trees.load_full().ok_or_else(|| StoreError::Broken("it is being reopened".into()))
    }

    /// How many calls are queued, over all lines.
    pub fn queued(&self) -> usize {
        self.shared.index().queued()
    }

    /// What the configuration says about calling customers.
    pub(super) fn rules(&self) -> Arc<Rules> {
        self.shared.index().rules()
    }

    #[cfg(test)]
    pub fn rules_for_tests(&self) -> Arc<Rules> {
        self.rules()
    }

    /// Reads of the index tree, outside of steps.
    pub(super) fn index_get(&self) -> impl Fn(&[u8]) -> Result<Option<Vec<u8>>, StoreError> + '_ {
        move |key| read::index_bytes(self, key)
    }

    /// Gives a claim back that was not used.
    pub fn unclaim(&self, claim: &Claim, not_before: Option<Time>) {
        self.shared.index().unclaim(claim, not_before);
        self.shared.wake.of(Wake::Placing).notify_waiters();
    }
}

impl Store for SledStore {
    async fn accept(&self, now: Time, event: Event, body: Bytes) -> Result<(), StoreError> {
        let trees = self.trees()?;
        self.committer.run(Step::Accept, intake::accept(now, event, body, trees.epoch, &trees.keys)?).await
    }

    async fn reject(&self, rejected: Rejected, held: Option<(Event, Bytes)>) -> Result<(), StoreError> {
        match held {
            Some((event, body)) => self.committer.run(Step::Reject, stale::keep(rejected, event, &body, &self.trees()?.keys)?).await,
            None => self.committer.run(Step::Reject, move |tx| intake::reject(tx, &rejected)).await,
        }
    }

    fn take_tasks(&self, kind: TaskKind, now: Time, max: usize) -> Result<Vec<Task>, StoreError> {
        let subjects = self.shared.index().take_tasks(kind, now, max);
        read::tasks(self, kind, &subjects).inspect_err(|_| subjects.iter().for_each(|subject| self.release_task(kind, *subject, now)))
    }

    fn next_task_at(&self, kind: TaskKind) -> Option<Time> {
        self.shared.index().next_task_at(kind)
    }

    fn release_task(&self, kind: TaskKind, subject: Subject, due: Time) {
        self.shared.index().release_task(kind, subject, due);
        self.shared.wake.of(Wake::Task(kind)).notify_waiters();
    }

    async fn finish_map(&self, now: Time, event: EventId, items: Vec<MappedItem>) -> Result<MapSettled, StoreError> {
        let rules = self.rules();
        self.committer.run(Step::FinishMap, move |tx| intake::finish_map(tx, now, event, items, &rules)).await
    }

    async fn finish_lookup(&self, now: Time, item: MappedItem, event: EventId, attempt: Option<Attempt>, next: NextTry) -> Result<MapSettled, StoreError> {
        let rules = self.rules();
        self.committer.run(Step::FinishLookup, move |tx| intake::finish_lookup(tx, now, item, event, attempt, &next, &rules)).await
    }

    async fn create_call(&self, now: Time, new: NewCall) -> Result<Made, StoreError> {
        let rules = self.rules();
        self.committer.run(Step::CreateCall, move |tx| person::create_call(tx, now, new, &rules)).await
    }

    fn next_calls(&self, now: Time, max: usize) -> Next {
        self.shared.index().next_calls(now, max)
    }

    async fn begin_placing(&self, now: Time, claim: Claim, gate: Gate) -> Result<Begun, StoreError> {
        let (policy, noticed, rules) = {
            let index = self.shared.index();
            (index.policy(&claim.line).filter(|_| index.allows(&claim)), index.noticed(&claim.line), index.rules())
        };
        let step_claim = claim.clone();
        let run = move |tx: &mut Tx<'_>| placing::begin(tx, now, &step_claim, (policy.as_ref(), noticed), &rules, &gate);
        let begun = self.committer.run(Step::BeginPlacing, run).await;
        match &begun {
            Ok(Begun::Go(_) | Begun::Gone | Begun::Refused { .. }) => {}
            // The call's own hold: its line is free for the next one.
            Ok(Begun::Hold { code: Code::HoldBackoff | Code::HoldBrake | Code::HoldAgain, until }) => {
                self.unclaim(&claim, Some(until.unwrap_or(Time::NEVER)));
            }
            // Its number's history or a day off (a call of no connection has no gate that would shut): the step itself put it back.
            Ok(Begun::Hold { code: Code::HoldCap | Code::HoldSms | Code::HoldHoliday, .. }) => {}
            // The line is looked at again with the stored state, which says the same and sets its timer.
            Ok(Begun::Hold { .. }) | Err(_) => self.unclaim(&claim, None),
        }
        begun
    }

    async fn end_placing(&self, now: Time, call: CallId, outcome: Placing, attempt: Attempt, after: AfterReport) -> Result<Option<Call>, StoreError> {
        self.committer.run(Step::EndPlacing, move |tx| placing::end(tx, now, call, outcome, &attempt, &after)).await
    }

    async fn report(&self, now: Time, call: CallId, raw: Bytes, report: Option<Report>, after: AfterReport) -> Result<Reported, StoreError> {
        self.committer.run(Step::Report, move |tx| result::report(tx, now, call, &raw, report, &after)).await
    }

    async fn finish_write_back(&self, now: Time, call: CallId, written: Written) -> Result<(), StoreError> {
        self.committer.run(Step::FinishWriteBack, move |tx| result::finish_write_back(tx, now, call, written)).await
    }

    async fn finish_item_write_back(&self, now: Time, event: EventId, index: u16, written: Written) -> Result<(), StoreError> {
        self.committer.run(Step::FinishWriteBack, move |tx| result::finish_item_write_back(tx, now, event, index, written)).await
    }

    async fn finish_forward(&self, call: CallId, version: u16, attempt: Attempt, next: NextTry) -> Result<(), StoreError> {
        self.committer.run(Step::FinishForward, move |tx| result::finish_forward(tx, call, version, &attempt, &next)).await
    }

    async fn want_sources(&self, now: Time, wanted: Vec<Wanted>) -> Result<(), StoreError> {
        let known: Vec<SourceId> = read::sources(self)?.iter().map(|source| source.key.id()).collect();
        self.committer.run(Step::WantSources, move |tx| source::want(tx, now, &wanted, &known)).await
    }

    async fn finish_source(&self, source: Source, event: Option<(Event, Bytes)>, due: Option<Time>) -> Result<(), StoreError> {
        let trees = self.trees()?;
        let accept = event.map(|(event, body)| intake::accept(event.received_at, event, body, trees.epoch, &trees.keys)).transpose()?;
        // With an event it is refused when the disk is nearly full, as any delivery.
        let step = if accept.is_some() { Step::FetchEvent } else { Step::FinishSource };
        let finish = move |tx: &mut Tx<'_>| {
            accept.map_or(Ok(()), |accept| accept(tx))?;
            source::finish(tx, source, due)
        };
        self.committer.run(step, finish).await
    }

    async fn forget_source(&self, id: SourceId) -> Result<(), StoreError> {
        let forget = move |tx: &mut Tx<'_>| {
            tx.end_task(TaskKind::Poll, Subject::Source(id));
            Ok(())
        };
        self.committer.run(Step::FinishSource, forget).await
    }

    async fn finish_alert(&self, now: Time, alert: Alert, next: NextTry) -> Result<(), StoreError> {
        self.committer.run(Step::FinishAlert, move |tx| alerts::finish(tx, now, &alert, &next)).await
    }

    async fn end_alert_task(&self, _now: Time, id: AlertId) -> Result<(), StoreError> {
        let end = move |tx: &mut super::tx::Tx<'_>| {
            tx.end_task(TaskKind::Alert, Subject::Alert(id));
            Ok(())
        };
        self.committer.run(Step::FinishAlert, end).await
    }

    async fn change_alerts(&self, now: Time, changes: Vec<AlertChange>) -> Result<(), StoreError> {
        self.committer.run(Step::ChangeAlerts, move |tx| alerts::change(tx, now, &changes)).await
    }

    async fn keep(&self, connection: ConnectionId, name: String, kept: Kept) -> Result<bool, StoreError> {
        let keys = Arc::clone(&self.trees()?.keys);
        // A change like a person's, made by the program itself.
        self.committer.run(Step::Change, super::kept::keep(connection, name, kept, keys)).await
    }

    async fn forget(&self, connection: ConnectionId, name: String) -> Result<(), StoreError> {
        self.committer
            .run(Step::Change, move |tx| {
                tx.remove(Tree::Meta, keys::kept(&connection, &name));
                Ok(())
            })
            .await
    }

    async fn change(&self, now: Time, actor: String, change: Change) -> Result<Changed, StoreError> {
        let keys = Arc::clone(&self.trees()?.keys);
        let mut prepared = person::Prepared { rules: self.rules(), items: Vec::new(), sealed: Vec::new(), held: None };
        match &change {
            Change::Replay { event } => prepared.items = self.items(*event)?,
            Change::Capture { connection, values } => prepared.sealed = sealed::captured(connection, values, &keys)?,
            Change::LetIn { delivery } => prepared.held = stale::open(self, *delivery)?,
            _ => {}
        }
        self.committer.run(Step::Change, move |tx| person::change(tx, now, &actor, change, prepared, &keys)).await
    }

    async fn sweep(&self, now: Time, policy: SweepPolicy) -> Result<Swept, StoreError> {
        sweep::sweep(self, now, policy).await
    }

    fn next_sweep_at(&self) -> Option<Time> {
        self.shared.index().next_deadline()
    }

    fn configure(&self, lines: Vec<LinePolicy>, pools: Vec<Pool>, _now: Time) {
        self.shared.index().configure(lines, pools);
        self.shared.wake.of(Wake::Placing).notify_waiters();
    }

    fn set_rules(&self, rules: Rules) {
        self.shared.index().set_rules(rules);
        self.shared.wake.of(Wake::Placing).notify_waiters();
    }

    fn history(&self, workspace: &WorkspaceId, phone: &Phone, policy: &Policy, now: Time) -> Result<History, StoreError> {
        history::of_number(&self.index_get(), workspace, phone, policy, now)
    }

    fn brake_room(&self, policy: &Policy, now: Time) -> Result<Option<u32>, StoreError> {
        read::brake_room(self, policy, now)
    }

    fn queued_after(&self, after: Option<CallId>, limit: usize) -> Result<Vec<Call>, StoreError> {
        read::queued_after(self, after, limit)
    }

    fn call(&self, id: CallId) -> Result<Option<Call>, StoreError> {
        read::call(self, id)
    }

    fn calls(&self, query: &CallQuery) -> Result<Vec<Call>, StoreError> {
        read::calls(self, query)
    }

    fn attempts(&self, call: CallId) -> Result<Vec<Attempt>, StoreError> {
        read::attempts(self, call)
    }

    fn event(&self, id: EventId) -> Result<Option<Event>, StoreError> {
        read::event(self, id)
    }

    fn events(&self, before: Option<EventId>, limit: usize) -> Result<Vec<Event>, StoreError> {
        read::events(self, before, limit)
    }

    fn reports(&self, call: CallId) -> Result<Vec<Bytes>, StoreError> {
        read::reports(self, call)
    }

    fn body(&self, id: EventId) -> Result<Bytes, StoreError> {
        read::body(self, id)
    }

    fn items(&self, id: EventId) -> Result<Vec<(u16, Item)>, StoreError> {
        read::items(self, id)
    }

    fn item(&self, id: EventId, index: u16) -> Result<Option<Item>, StoreError> {
        read::item(self, id, index)
    }

    fn source(&self, id: SourceId) -> Result<Option<Source>, StoreError> {
        read::source(self, id)
    }

    fn sources(&self) -> Result<Vec<Source>, StoreError> {
        read::sources(self)
    }

    fn item_write_back(&self, id: EventId, index: u16) -> Result<WriteBack, StoreError> {
        read::item_write_back(self, id, index)
    }

    fn line(&self, workspace: &WorkspaceId, id: &LineId) -> Result<LineState, StoreError> {
        read::line(self, workspace, id)
    }

    fn waiting(&self, line: &LineId) -> LineQueue {
        self.shared.index().waiting(line)
    }

    fn kept(&self, connection: &ConnectionId, name: &str) -> Result<Option<Kept>, StoreError> {
        super::kept::read(self, connection, name)
    }

    fn all_kept(&self, connection: &ConnectionId) -> Result<Vec<(String, Kept)>, StoreError> {
        super::kept::read_all(self, connection)
    }

    fn brakes(&self) -> Brakes {
        self.shared.index().brakes().clone()
    }

    fn captured(&self, connection: &ConnectionId) -> Result<BTreeMap<String, String>, StoreError> {
        read::captured(self, connection)
    }

    fn capture_window(&self, connection: &ConnectionId) -> Result<Option<Time>, StoreError> {
        read::capture_window(self, connection)
    }

    fn alert(&self, id: AlertId) -> Result<Option<Alert>, StoreError> {
        alerts::read(self, id)
    }

    fn alerts(&self) -> Result<Vec<Alert>, StoreError> {
        alerts::list(self)
    }

    fn rejected(&self, limit: usize) -> Result<Vec<Rejected>, StoreError> {
        read::rejected(self, limit)
    }

    fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        read::audit(self, limit)
    }

    fn stats(&self, workspace: &WorkspaceId) -> Result<Stats, StoreError> {
        read::stats(self, workspace)
    }

    fn backlog(&self, kind: TaskKind) -> usize {
        self.shared.index().backlog(kind)
    }

    fn epoch(&self) -> u64 {
        self.shared.trees.load().as_ref().map_or(0, |t| t.epoch)
    }

    fn instance_key(&self) -> [u8; 32] {
        self.shared.trees.load().as_ref().map_or([0; 32], |t| t.instance)
    }

    async fn snapshot(&self, path: &Path) -> Result<u64, StoreError> {
        snapshot::snapshot(self, path).await
    }

    fn trouble(&self) -> Option<String> {
        self.shared.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn wake(&self, what: Wake) -> &Notify {
        self.shared.wake.of(what)
    }
}
