//! The contract of a store and the values its verbs speak in.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::codec::BadRecord;
use super::rules::Rules;
use super::task::{Subject, Task, TaskKind};
use crate::domain::alert::{About, Alert};
use crate::domain::call::{Call, State};
use crate::domain::event::Event;
use crate::domain::id::{AlertId, AttemptId, CallId, ConnectionId, EventId, LineId, SourceId, WorkspaceId};
use crate::domain::item::Item;
use crate::domain::phone::Phone;
use crate::domain::pool::Pool;
use crate::domain::rate::Rate;
use crate::domain::report::Report;
use crate::domain::rule::{History, Policy};
use crate::domain::schedule::{Brakes, LinePolicy, LineState, Pause, Stopped};
use crate::domain::secret::SecretText;
use crate::domain::source::{Source, Wanted};
use crate::domain::time::Time;
use crate::domain::write_back::WriteBack;
use crate::error::Code;

/// Why a step did not happen. None of it is on disk.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("the store has more waiting steps than it takes")]
    Full,
    #[error("the disk has less free space than the reserve of {reserve_mib} MiB")]
    NoSpace { reserve_mib: u64 },
    #[error("the store does not write: {0}")]
    Broken(String),
    #[error("the store is shut")]
    Shut,
    #[error("a stored record is damaged: {0}")]
    Record(String),
}

impl From<BadRecord> for StoreError {
    fn from(bad: BadRecord) -> Self {
        StoreError::Record(bad.to_string())
    }
}

/// What mapping made of one item.
#[derive(Debug, Clone)]
pub struct MappedItem {
    pub index: u16,
    pub item: Item,
    /// Set when the item means a call: the store checks the two windows and decides.
    pub call: Option<Box<Call>>,
    /// Remembered for `keep`; an item whose key is remembered is a duplicate delivery.
    pub event_key: Option<(String, Duration)>,
    /// The same record and number within this window is refused.
    pub duplicate_window: Option<Duration>,
    /// The item waits for a lookup that is due then.
    pub lookup_due: Option<Time>,
    /// It came by a public address: calls to one number are capped, by the address's own count.
    pub exposed: Option<(String, Rate)>,
    /// A refusal is to stand on its record; the same one of the same record and number is told once in this time.
    pub tell: Option<Duration>,
}

/// What a finished mapping came to.
#[derive(Debug, Clone, Default)]
pub struct MapSettled {
    pub called: Vec<CallId>,
    pub duplicates: u32,
}

/// A candidate to be placed: a call and the line that is free for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub call: CallId,
    pub line: LineId,
}

/// How many calls wait for a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineQueue {
    /// They go as soon as the line takes them.
    pub ready: usize,
    /// They wait for a time of their own: a back-off, another try, a cap, the brake.
    pub later: usize,
}

impl LineQueue {
    pub fn all(self) -> usize {
        self.ready + self.later
    }
}

/// What waits to be asked of one connection's CRM or written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AtCrm {
    /// Results of calls.
    pub results: usize,
    /// Those of them that were tried before.
    pub results_again: usize,
    /// One of these.
    pub again: Option<CallId>,
    /// Records to be looked up.
    pub lookups: usize,
}

/// Claims that may be tried now, and when to look again if nothing else happens.
#[derive(Debug, Clone, Default)]
pub struct Next {
    pub claims: Vec<Claim>,
    pub wake_at: Option<Time>,
}

/// What a claim needs to know beyond what is stored.
#[derive(Debug, Clone)]
pub struct Gate {
    pub slot_timeout: Duration,
    pub report_deadline: Duration,
    pub public_url: String,
    pub sweep: SweepPolicy,
}

/// The answer to a claim.
#[derive(Debug, Clone)]
pub enum Begun {
    /// `placing` is on disk with the slot, the rate and the quota: send now.
    Go(Box<Call>),
    Hold {
        code: Code,
        until: Option<Time>,
    },
    /// A rule refuses it: it is over.
    Refused {
        code: Code,
    },
    /// It is no longer queued.
    Gone,
}

/// What the dialer's answer came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Placing {
    Taken,
    Refused {
        code: Code,
        detail: String,
    },
    /// Not placed: the line is paused and the call goes back to the queue.
    LineTrouble {
        pause: Pause,
    },
    /// Surely not sent: back to the queue; the dialer as a whole waits until then, unless it is not the dialer's fault.
    NotSent {
        code: Code,
        dialer_until: Option<Time>,
    },
    /// 2222: back to the queue, this call not before then.
    SystemError {
        not_before: Time,
    },
    MaybeSent {
        code: Code,
        detail: String,
    },
}

/// The leg of a call's way that an attempt belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leg {
    Place,
    Lookup { name: String },
    WriteBack { kind: String, step: String },
    Forward,
}

/// One try of an outbound request. Never holds a secret: bodies are redacted and cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub id: AttemptId,
    #[serde(flatten)]
    pub leg: Leg,
    pub number: u32,
    pub at: Time,
    pub duration_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `ok`, or the class of failure.
    pub class: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Time>,
}

/// What a report was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reported {
    First,
    Later(u16),
    /// The same body came before: nothing changed.
    Same,
    /// Stored and flagged: the call was never sent.
    NeverSent,
    /// There is no such call.
    Unknown,
}

/// How a call's result is to be written back, decided by the caller when the report comes.
#[derive(Debug, Clone, Default)]
pub struct AfterReport {
    /// Write-back is due this long after the report; `None`: nothing to write.
    pub write_back_after: Option<Duration>,
    /// The slot stays taken this long after the report.
    pub settle: Duration,
    pub body_digest: String,
    pub mismatch: bool,
    /// A customer who was not interested goes on the do-not-call list.
    pub learn_do_not_call: bool,
    /// A rule puts the number on the do-not-call list, whatever the customer thought.
    pub do_not_call: bool,
    /// What the connection's rules make of this report; `None`: nobody can read it, and what was decided stays.
    pub decided: Option<Decided>,
}

/// What follows from a report.
#[derive(Debug, Clone, Default)]
pub struct Decided {
    /// Values for the CRM, by name.
    pub set: BTreeMap<String, String>,
    /// One call more, unless an earlier report made it.
    pub again: Option<Box<Call>>,
}

/// What becomes of a finished task.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum NextTry {
    #[default]
    Done,
    /// Again then; `counted` attempts cost one of the tries, our own waiting does not.
    At { due: Time, counted: bool },
}

/// What a write-back worker brings home.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// The report version it rendered; a newer one in the store keeps the task.
    pub version: u16,
    pub learnt: WriteBack,
    pub attempts: Vec<Attempt>,
    pub next: NextTry,
}

/// A person's or a program's change, written with who asked for it.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Cancel {
        call: CallId,
        /// Its sentence goes onto the record.
        write_back: bool,
    },
    /// Several at once; those that are no longer queued stay as they are.
    CancelAll {
        calls: Vec<CallId>,
    },
    /// Lets calls go that the brake holds.
    Release {
        calls: Vec<CallId>,
    },
    PauseLine {
        workspace: WorkspaceId,
        line: LineId,
        pause: Pause,
    },
    ResumeLine {
        workspace: WorkspaceId,
        line: LineId,
    },
    StopAll(Stopped),
    ResumeAll,
    RetryWriteBack {
        call: CallId,
    },
    /// Map the items of an event again that gave no call.
    Replay {
        event: EventId,
    },
    /// A refused delivery that is kept whole becomes the event it would have been; denied where it did before.
    LetIn {
        delivery: EventId,
    },
    /// Let a handshake of this connection hand over its secrets, until then.
    OpenCapture {
        connection: ConnectionId,
        until: Time,
    },
    /// Subscriptions are wanted again and looked at now, or deleted at the CRM.
    Subscribe {
        sources: Vec<SourceId>,
        off: bool,
    },
    /// Keeps what a handshake handed over, sealed, and closes the window; denied where none is open.
    Capture {
        connection: ConnectionId,
        values: BTreeMap<String, SecretText>,
    },
}

/// Trouble that was noticed, or is over, outside of a step that does it itself.
#[derive(Debug, Clone, PartialEq)]
pub enum AlertChange {
    Raise { about: About, code: Code, detail: String },
    Clear { about: About },
}

/// What a change came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Changed {
    Ok,
    /// How many of several.
    Count(usize),
    NotFound,
    /// Not possible in this state, with the reason.
    Denied(String),
}

/// A call to make that no webhook asked for.
#[derive(Debug, Clone)]
pub struct NewCall {
    pub call: Box<Call>,
    /// A key that stands for the same wish, and how long it is remembered.
    pub idempotency: Option<(String, Duration)>,
    /// Refuse above this many queued calls of the key's name.
    pub max_queued: Option<u64>,
}

/// What became of [`NewCall`].
#[derive(Debug, Clone, PartialEq)]
pub enum Made {
    Call(CallId),
    Existing(CallId),
    OverLimit,
}

/// Counters of one workspace: the terms of promise 5.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Stats {
    pub counters: BTreeMap<String, i64>,
}

/// A page of calls, newest first.
#[derive(Debug, Clone, Default)]
pub struct CallQuery {
    pub workspace: Option<WorkspaceId>,
    pub state: Option<State>,
    pub connection: Option<ConnectionId>,
    /// Older than this id.
    pub before: Option<CallId>,
    pub limit: usize,
}

/// Who changed what, and when.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuditEntry {
    pub at: Time,
    /// The name of a key, `local admin`, or `callbridge` with its reason.
    pub actor: String,
    pub change: String,
}

/// A delivery that was not accepted, kept in a bounded list so that the admin sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rejected {
    pub at: Time,
    pub workspace: WorkspaceId,
    pub connection: ConnectionId,
    pub code: Code,
    pub detail: String,
    pub method: String,
    pub body_bytes: u64,
    /// The first bytes of the body, redacted.
    pub excerpt: String,
    /// It is kept whole, to be let in by a person as this event: the signature is right, only its time is too old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<EventId>,
    /// A person let it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub let_in: Option<Time>,
}

/// Texts that a connection keeps under a name, which has a slash: a login's tokens (`login/main`), a subscription's ids and secret
/// (`subscription/leads`).
/// They lie sealed in the store.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Kept {
    pub at: Time,
    /// One more than that of what it replaces; the first is 1.
    pub version: u64,
    pub ends_at: Option<Time>,
    pub values: BTreeMap<String, String>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("at", &self.at).field("version", &self.version).field("names", &self.values.keys()).finish_non_exhaustive()
    }
}

/// What a sweep did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    pub expired: Vec<CallId>,
    pub lost: Vec<CallId>,
    pub slots_freed: Vec<CallId>,
    pub unconfirmed: Vec<CallId>,
    /// There is more to do at once.
    pub more: bool,
}

/// How a sweep finishes calls that end without a report.
#[derive(Debug, Clone, Default)]
pub struct SweepPolicy {
    /// Connections whose calls leave their sentence on the record even without a report.
    pub write_back_unreported: std::sync::Arc<std::collections::HashSet<ConnectionId>>,
}

/// Who waits for something new to do: each loop is woken for its own work only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    Task(TaskKind),
    Placing,
    Sweep,
}

/// Each verb is one atomic, durable step: when it answers `Ok`, its effect survives SIGKILL and a power cut.
///
/// In PostgreSQL each would be one statement or one transaction; `take_tasks` and `next_calls` would be
/// `FOR UPDATE SKIP LOCKED` claims with a lease.
#[expect(async_fn_in_trait, reason = "never used as dyn; the futures of every implementation are Send")]
pub trait Store {
    /// Keeps the event, its body and the task to map it. INSERT event, body, task.
    async fn accept(&self, now: Time, event: Event, body: Bytes) -> Result<(), StoreError>;
    /// Keeps a refused delivery in a bounded list; with what a person may let in, sealed, in a shorter one. INSERT, DELETE the oldest.
    async fn reject(&self, rejected: Rejected, held: Option<(Event, Bytes)>) -> Result<(), StoreError>;
    /// Tasks of this kind that are due, at most `max`; a taken task is not given again until it is finished or released.
    fn take_tasks(&self, kind: TaskKind, now: Time, max: usize) -> Result<Vec<Task>, StoreError>;
    /// When the next task of this kind is due.
    fn next_task_at(&self, kind: TaskKind) -> Option<Time>;
    /// Gives a taken task back unchanged, due then.
    fn release_task(&self, kind: TaskKind, subject: Subject, due: Time);
    /// Splits an event into items and makes their calls; ends the map task. One transaction.
    async fn finish_map(&self, now: Time, event: EventId, items: Vec<MappedItem>) -> Result<MapSettled, StoreError>;
    /// Ends a lookup task with what became of its item, or lets it try again then.
    async fn finish_lookup(&self, now: Time, item: MappedItem, event: EventId, attempt: Option<Attempt>, next: NextTry) -> Result<MapSettled, StoreError>;
    /// Makes a call that no webhook asked for.
    async fn create_call(&self, now: Time, new: NewCall) -> Result<Made, StoreError>;
    /// Calls that may be tried now with a line that is free for each, and when to look again.
    fn next_calls(&self, now: Time, max: usize) -> Next;
    /// Re-checks everything and writes `placing` with the slot, the rate and the quota.
    async fn begin_placing(&self, now: Time, claim: Claim, gate: Gate) -> Result<Begun, StoreError>;
    /// Writes what the dialer's answer came to.
    async fn end_placing(&self, now: Time, call: CallId, outcome: Placing, attempt: Attempt, after: AfterReport) -> Result<Option<Call>, StoreError>;
    /// Keeps a report and moves its call.
    async fn report(&self, now: Time, call: CallId, raw: Bytes, report: Option<Report>, after: AfterReport) -> Result<Reported, StoreError>;
    /// Ends or moves a write-back task and keeps what was learnt.
    async fn finish_write_back(&self, now: Time, call: CallId, written: Written) -> Result<(), StoreError>;
    /// The same for an item that was refused and has no call.
    async fn finish_item_write_back(&self, now: Time, event: EventId, index: u16, written: Written) -> Result<(), StoreError>;
    /// Ends or moves a forward task, which sent this version of the report.
    async fn finish_forward(&self, call: CallId, version: u16, attempt: Attempt, next: NextTry) -> Result<(), StoreError>;
    /// Keeps which sources the configuration asks for: a new one and one with other settings are due now, one that it no longer asks for rests. INSERT, UPDATE.
    async fn want_sources(&self, now: Time, wanted: Vec<Wanted>) -> Result<(), StoreError>;
    /// Keeps how far a source has come, with the event that it brought and the task to map it, and when it goes on; `None`: it rests.
    /// One transaction: a cursor never moves past what is not on disk.
    async fn finish_source(&self, source: Source, event: Option<(Event, Bytes)>, due: Option<Time>) -> Result<(), StoreError>;
    /// Ends the task of a source that has no record.
    async fn forget_source(&self, id: SourceId) -> Result<(), StoreError>;
    /// Keeps who was told what of an alert, and when to try again.
    async fn finish_alert(&self, now: Time, alert: Alert, next: NextTry) -> Result<(), StoreError>;
    /// Ends the task of an alert that is not there.
    async fn end_alert_task(&self, now: Time, id: AlertId) -> Result<(), StoreError>;
    /// Raises and clears alerts.
    async fn change_alerts(&self, now: Time, changes: Vec<AlertChange>) -> Result<(), StoreError>;
    /// Keeps texts of a connection, sealed; `false`, and nothing is written, when another version than the one before `kept` is there.
    /// INSERT … ON CONFLICT DO UPDATE … WHERE version = the one before.
    async fn keep(&self, connection: ConnectionId, name: String, kept: Kept) -> Result<bool, StoreError>;
    /// Forgets what a connection keeps under a name. DELETE.
    async fn forget(&self, connection: ConnectionId, name: String) -> Result<(), StoreError>;
    /// The one audited verb for everything a person does.
    async fn change(&self, now: Time, actor: String, change: Change) -> Result<Changed, StoreError>;
    /// Deadlines, expiry, slot timeouts and leases that are over, in slices.
    async fn sweep(&self, now: Time, policy: SweepPolicy) -> Result<Swept, StoreError>;
    /// When the next deadline, expiry or slot timeout comes.
    fn next_sweep_at(&self) -> Option<Time>;
    /// Tells the store what the configuration says about the lines, and which calls may go over them.
    fn configure(&self, lines: Vec<LinePolicy>, pools: Vec<Pool>, now: Time);
    /// Tells the store what the configuration says about calling customers.
    fn set_rules(&self, rules: Rules);
    /// What the rules look at of a number.
    fn history(&self, workspace: &WorkspaceId, phone: &Phone, policy: &Policy, now: Time) -> Result<History, StoreError>;
    /// How many more calls of automation a connection may make before its brake holds them; `None`: it has none.
    fn brake_room(&self, policy: &Policy, now: Time) -> Result<Option<u32>, StoreError>;
    /// Queued calls, oldest first, after this one.
    fn queued_after(&self, after: Option<CallId>, limit: usize) -> Result<Vec<Call>, StoreError>;

    fn call(&self, id: CallId) -> Result<Option<Call>, StoreError>;
    fn calls(&self, query: &CallQuery) -> Result<Vec<Call>, StoreError>;
    fn attempts(&self, call: CallId) -> Result<Vec<Attempt>, StoreError>;
    fn event(&self, id: EventId) -> Result<Option<Event>, StoreError>;
    fn events(&self, before: Option<EventId>, limit: usize) -> Result<Vec<Event>, StoreError>;
    fn body(&self, id: EventId) -> Result<Bytes, StoreError>;
    /// The bodies of a call's reports as they came, oldest first; the first 20 are kept.
    fn reports(&self, call: CallId) -> Result<Vec<Bytes>, StoreError>;
    fn items(&self, id: EventId) -> Result<Vec<(u16, Item)>, StoreError>;
    fn item(&self, id: EventId, index: u16) -> Result<Option<Item>, StoreError>;
    fn source(&self, id: SourceId) -> Result<Option<Source>, StoreError>;
    /// Every source, also those that rest.
    fn sources(&self) -> Result<Vec<Source>, StoreError>;
    /// What is known of the way of a refused item's sentence into the CRM.
    fn item_write_back(&self, id: EventId, index: u16) -> Result<WriteBack, StoreError>;
    fn line(&self, workspace: &WorkspaceId, id: &LineId) -> Result<LineState, StoreError>;
    /// How many calls wait for this line.
    fn waiting(&self, line: &LineId) -> LineQueue;
    /// What a connection keeps under a name.
    fn kept(&self, connection: &ConnectionId, name: &str) -> Result<Option<Kept>, StoreError>;
    /// All that a connection keeps, by name.
    fn all_kept(&self, connection: &ConnectionId) -> Result<Vec<(String, Kept)>, StoreError>;
    fn brakes(&self) -> Brakes;
    /// What handshakes of this connection handed over, by name.
    fn captured(&self, connection: &ConnectionId) -> Result<BTreeMap<String, String>, StoreError>;
    /// Until when a handshake may hand over secrets.
    fn capture_window(&self, connection: &ConnectionId) -> Result<Option<Time>, StoreError>;
    fn alert(&self, id: AlertId) -> Result<Option<Alert>, StoreError>;
    /// Present and past ones.
    fn alerts(&self) -> Result<Vec<Alert>, StoreError>;
    fn rejected(&self, limit: usize) -> Result<Vec<Rejected>, StoreError>;
    /// What was changed by whom, newest first.
    fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>, StoreError>;
    fn stats(&self, workspace: &WorkspaceId) -> Result<Stats, StoreError>;
    /// How many tasks of a kind wait or run.
    fn backlog(&self, kind: TaskKind) -> usize;
    /// Goes up at each start.
    fn epoch(&self) -> u64;
    /// A key kept in the store from its first start; callback tokens are made with it.
    fn instance_key(&self) -> [u8; 32];
    /// Writes a consistent copy to `path`, verified by reading it back.
    async fn snapshot(&self, path: &Path) -> Result<u64, StoreError>;
    /// Why the store does not write now, if so.
    fn trouble(&self) -> Option<String>;
    /// Notified when there may be something new to do of this kind.
    fn wake(&self, what: Wake) -> &tokio::sync::Notify;
}
