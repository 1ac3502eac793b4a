//! What every store must do: one suite, run on each implementation.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::domain::call::{Call, Origin, State};
use crate::domain::event::Event;
use crate::domain::id::{AttemptId, CallId, ConnectionId, EventId, WorkspaceId};
use crate::domain::item::{Ignored, Item, Outcome};
use crate::domain::phone;
use crate::domain::pool::{Pool, PoolId};
use crate::domain::rate::{Gcra, Rate};
use crate::domain::record::{Customer, RecordRef};
use crate::domain::report::Report;
use crate::domain::schedule::{LinePolicy, Pause};
use crate::domain::source::{Source, SourceKey, SourceKind, Wanted};
use crate::domain::time::Time;
use crate::domain::write_back::WriteBack;
use crate::error::Code;
use crate::secrets::Keyring;

pub(super) const T0: Time = Time(1_795_338_022_000);

pub(super) fn at(secs: u64) -> Time {
    T0.plus(Duration::from_secs(secs))
}

pub(super) struct Fixture {
    pub(super) store: SledStore,
    pub(super) dir: tempfile::TempDir,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        Self { store, dir }
    }

    /// Ends the process's hold on the store and opens it again.
    pub(super) fn reopened(self) -> Self {
        let Fixture { store, dir } = self;
        drop(store);
        let store = SledStore::open(sled::Options::new(&dir.path().join("s"))).expect("the store opens again");
        store.configure(vec![line("a", 1)], pools(), T0);
        Self { store, dir }
    }

    pub(super) async fn event(&self, n: u8) -> EventId {
        let event = event(n);
        self.store.accept(T0, event.clone(), Bytes::from(vec![n; 40_000])).await.unwrap();
        event.id
    }

    /// An event whose one item gave a queued call on line `a`.
    pub(super) async fn queued(&self, n: u8) -> CallId {
        let id = self.event(n).await;
        let tasks = self.store.take_tasks(TaskKind::Map, T0, 10).unwrap();
        assert_eq!(tasks.len(), 1);
        let settled = self.store.finish_map(T0, id, vec![mapped(n, 0)]).await.unwrap();
        settled.called[0]
    }

    pub(super) async fn placing(&self, n: u8, now: Time) -> CallId {
        let id = self.queued(n).await;
        let claims = self.store.next_calls(now, 10).claims;
        assert_eq!(claims.len(), 1, "the line is free");
        assert!(matches!(self.store.begin_placing(now, claims[0].clone(), gate()).await.unwrap(), Begun::Go(_)));
        id
    }

    pub(super) async fn end(&self, id: CallId, outcome: Placing, now: Time) -> Call {
        self.store.end_placing(now, id, outcome, attempt(1), after()).await.unwrap().unwrap()
    }

    pub(super) fn call(&self, id: CallId) -> Call {
        self.store.call(id).unwrap().unwrap()
    }

    pub(super) fn counter(&self, name: &str) -> i64 {
        self.store.stats(&WorkspaceId::default()).unwrap().counters.get(name).copied().unwrap_or(0)
    }
}

pub(super) fn open(dir: &std::path::Path) -> SledStore {
    let store = SledStore::open(sled::Options::new(&dir.join("s"))).unwrap();
    store.configure(vec![line("a", 1)], pools(), T0);
    store
}

pub(super) fn line(id: &str, slots: u32) -> LinePolicy {
    LinePolicy { id: id.into(), workspace: WorkspaceId::default(), rate: None, max_in_flight: slots, monthly_quota: None, paused: false }
}

/// Everything goes over line `a`.
pub(super) fn pools() -> Vec<Pool> {
    let ids = [PoolId::Connection("c".into()), PoolId::Workspace(WorkspaceId::default()), PoolId::Gateway(WorkspaceId::default(), "shop".into())];
    ids.into_iter().map(|id| Pool::first(id, vec!["a".into()])).collect()
}

pub(super) fn gate() -> Gate {
    Gate { slot_timeout: Duration::from_secs(300), report_deadline: Duration::from_secs(7200), public_url: "http://x".into(), sweep: SweepPolicy::default() }
}

pub(super) fn after() -> AfterReport {
    AfterReport { write_back_after: Some(Duration::from_secs(20)), settle: Duration::from_secs(3), body_digest: "d1".into(), ..AfterReport::default() }
}

pub(super) fn event(n: u8) -> Event {
    Event {
        id: EventId([n; 16]),
        workspace: WorkspaceId::default(),
        connection: "c".into(),
        variant: "v".into(),
        hook: String::new(),
        method: "POST".into(),
        tail: String::new(),
        query: String::new(),
        headers: Vec::new(),
        body_bytes: 40_000,
        body: None,
        received_at: T0,
        sealed: String::new(),
        replays: 0,
        let_in: None,
        items: 0,
    }
}

pub(super) fn call(n: u8) -> Call {
    Call {
        id: CallId([n; 16]),
        workspace: WorkspaceId::default(),
        connection: Some("c".into()),
        origin: Origin::Item { event: EventId([n; 16]), index: 0 },
        state: State::Queued,
        version: 0,
        record: RecordRef { kind: "lead".into(), id: n.to_string() },
        owner: None,
        customer: Customer::default(),
        phone: phone::normalise("0912345678").unwrap(),
        lines: Vec::new(),
        line: None,
        interactive: false,
        consent: None,
        test_phone: None,
        wished_at: T0,
        created_at: T0,
        expires_at: at(86_400),
        own_time: None,
        hold: None,
        ever_sent: false,
        placings: 0,
        system_errors: 0,
        placing_at: None,
        placed_at: None,
        ended_at: None,
        deadline: None,
        refusal: None,
        reason: None,
        held_by: None,
        report: None,
        reported_at: None,
        report_digests: Vec::new(),
        report_mismatch: false,
        write_back: WriteBack::default(),
        after: Default::default(),
        plugin_hash: String::new(),
        public_url: String::new(),
        forward: None,
        labels: Default::default(),
    }
}

pub(super) fn mapped(n: u8, index: u16) -> MappedItem {
    MappedItem {
        index,
        item: Item { outcome: Outcome::Waiting, record: RecordRef::default(), customer: Customer::default(), at: T0 },
        call: Some(Box::new(call(n))),
        event_key: Some((format!("key-{n}"), Duration::from_secs(3600))),
        duplicate_window: Some(Duration::from_secs(600)),
        lookup_due: None,
        exposed: None,
        tell: None,
    }
}

pub(super) fn attempt(n: u8) -> Attempt {
    Attempt {
        id: AttemptId([n; 16]),
        leg: Leg::Place,
        number: 1,
        at: T0,
        duration_ms: 1,
        status: Some(200),
        class: "ok".into(),
        detail: String::new(),
        next_at: None,
    }
}

#[tokio::test]
async fn an_event_its_body_and_its_task_survive_a_restart() {
    let f = Fixture::new();
    let id = f.event(1).await;
    let f = f.reopened();
    assert_eq!(f.store.event(id).unwrap().unwrap().connection.as_str(), "c");
    assert_eq!(f.store.body(id).unwrap(), vec![1u8; 40_000]);
    assert_eq!(f.store.take_tasks(TaskKind::Map, T0, 10).unwrap().len(), 1);
    assert_eq!(f.counter("events"), 1);
}

#[tokio::test]
async fn the_same_event_key_or_the_same_wish_makes_one_call() {
    let f = Fixture::new();
    f.queued(1).await;
    let id = f.event(2).await;
    let again = MappedItem { event_key: Some(("key-1".into(), Duration::from_secs(3600))), ..mapped(2, 0) };
    let wish = MappedItem { event_key: Some(("other".into(), Duration::from_secs(3600))), ..mapped(1, 1) };
    let settled = f.store.finish_map(T0, id, vec![again, wish]).await.unwrap();
    assert_eq!((settled.called.len(), settled.duplicates), (0, 1));
    let outcomes: Vec<Outcome> = f.store.items(id).unwrap().into_iter().map(|(_, i)| i.outcome).collect();
    assert_eq!(outcomes, [Outcome::Ignored { why: Ignored::Duplicate }, Outcome::Refused { code: Code::DuplicateCall, detail: String::new() }]);
    assert_eq!((f.counter("items"), f.counter("items.called"), f.counter("items.ignored.duplicate"), f.counter("items.refused.duplicate_call")), (3, 1, 1, 1));
}

#[tokio::test]
async fn a_body_is_kept_byte_for_byte_wherever_it_lies_and_over_a_replay() {
    let f = Fixture::new();
    let mut kept = Vec::new();
    let bodies =
        [b"".to_vec(), "a=\"é\"\r\n\u{1}".into(), vec![b'x'; 4096], vec![b'x'; 4097], vec![0xff, 0xfe, 0x00], vec![0; 4000], vec![b'"'; 4096], vec![7; 40_000]];
    for (n, body) in (1..).zip(bodies) {
        let event = event(n);
        f.store.accept(T0, event.clone(), Bytes::from(body.clone())).await.unwrap();
        kept.push((event.id, body));
    }
    let f = f.reopened();
    for round in 0..2 {
        for (id, body) in &kept {
            assert_eq!(f.store.body(*id).unwrap(), *body, "{} bytes, round {round}", body.len());
            f.store.change(T0, "lan".into(), Change::Replay { event: *id }).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_replay_takes_up_only_items_that_gave_no_call() {
    let f = Fixture::new();
    f.queued(1).await;
    let change = |event| f.store.change(T0, "lan".into(), Change::Replay { event });
    assert!(matches!(change(EventId([1; 16])).await.unwrap(), Changed::Denied(_)));
    let id = f.event(2).await;
    f.store.take_tasks(TaskKind::Map, T0, 10).unwrap();
    let refused = Item { outcome: Outcome::Refused { code: Code::MissingPhone, detail: String::new() }, ..mapped(2, 0).item };
    f.store.finish_map(T0, id, vec![MappedItem { item: refused, call: None, ..mapped(2, 0) }]).await.unwrap();
    assert_eq!(change(id).await.unwrap(), Changed::Ok);
    assert_eq!(f.store.take_tasks(TaskKind::Map, T0, 10).unwrap().len(), 1);
    assert_eq!(f.store.finish_map(T0, id, vec![mapped(2, 0)]).await.unwrap().called.len(), 1, "its own key does not make it a duplicate");
    assert_eq!((f.counter("items"), f.counter("items.called"), f.counter("items.refused.missing_phone")), (2, 2, 0));
}

#[tokio::test]
async fn of_a_batch_that_is_replayed_nobody_is_called_again() {
    let f = Fixture::new();
    let id = f.event(1).await;
    f.store.take_tasks(TaskKind::Map, T0, 10).unwrap();
    // Without keys and windows: nothing else would notice.
    let wished = |n: u8, index| MappedItem { event_key: None, duplicate_window: None, ..mapped(n, index) };
    let refused = Item { outcome: Outcome::Refused { code: Code::MissingPhone, detail: String::new() }, ..mapped(2, 1).item };
    f.store.finish_map(T0, id, vec![wished(1, 0), MappedItem { item: refused, call: None, ..wished(2, 1) }]).await.unwrap();
    assert_eq!(f.store.change(T0, "lan".into(), Change::Replay { event: id }).await.unwrap(), Changed::Ok);
    f.store.take_tasks(TaskKind::Map, T0, 10).unwrap();
    assert_eq!(f.store.finish_map(T0, id, vec![wished(3, 0), wished(2, 1)]).await.unwrap().called, [CallId([2; 16])]);
    assert_eq!((f.counter("items"), f.counter("items.called"), f.store.queued()), (2, 2, 2));
}

#[tokio::test]
async fn a_line_with_one_slot_places_one_call_until_its_report() {
    let f = Fixture::new();
    let first = f.placing(1, T0).await;
    let second = f.queued(2).await;
    assert!(f.store.next_calls(T0, 10).claims.is_empty());
    f.end(first, Placing::Taken, T0).await;
    let report = Report { answer_duration: 3, ..Report::default() };
    assert_eq!(f.store.report(at(10), first, Bytes::from("{}"), Some(report), after()).await.unwrap(), Reported::First);
    assert!(f.store.next_calls(at(10), 10).claims.is_empty(), "the phone settles");
    let next = f.store.next_calls(at(13), 10);
    assert_eq!(next.claims, [Claim { call: second, line: "a".into() }]);
}

#[tokio::test]
async fn a_call_is_claimed_once_and_a_refused_claim_comes_back() {
    let f = Fixture::new();
    let id = f.queued(1).await;
    let claim = f.store.next_calls(T0, 10).claims.remove(0);
    assert!(f.store.next_calls(T0, 10).claims.is_empty());
    f.store.unclaim(&claim, None);
    let claim = f.store.next_calls(T0, 10).claims.remove(0);
    assert_eq!(claim.call, id);
    assert!(matches!(f.store.begin_placing(T0, claim.clone(), gate()).await.unwrap(), Begun::Go(_)));
    assert!(matches!(f.store.begin_placing(T0, claim, gate()).await.unwrap(), Begun::Gone));
}

#[tokio::test]
async fn a_call_that_was_placing_when_the_process_ended_is_unconfirmed_and_never_queued() {
    let f = Fixture::new();
    let id = f.placing(1, T0).await;
    let f = f.reopened();
    let swept = f.store.sweep(at(1), SweepPolicy::default()).await.unwrap();
    assert_eq!(swept.unconfirmed, [id]);
    assert_eq!(f.call(id).state, State::Unconfirmed);
    assert!(f.store.next_calls(at(1000), 10).claims.is_empty());
}

#[tokio::test]
async fn a_report_that_is_faster_than_the_answer_ends_the_call() {
    let f = Fixture::new();
    let id = f.placing(1, T0).await;
    f.store.report(T0, id, Bytes::from("{}"), Some(Report::default()), after()).await.unwrap();
    assert_eq!(f.end(id, Placing::MaybeSent { code: Code::DialerUnclear, detail: String::new() }, at(1)).await.state, State::Ended);
    assert_eq!(f.store.report(at(2), id, Bytes::from("{}"), None, after()).await.unwrap(), Reported::Same);
    let later = AfterReport { body_digest: "d2".into(), ..after() };
    assert_eq!(f.store.report(at(3), id, Bytes::from("{ }"), Some(Report::default()), later).await.unwrap(), Reported::Later(2));
}

#[tokio::test]
async fn line_trouble_pauses_the_line_and_keeps_its_queue() {
    let f = Fixture::new();
    let id = f.placing(1, T0).await;
    let pause = Pause { code: Code::Dialer2116, since: T0, until: None, by: String::new(), detail: String::new(), key: String::new() };
    assert_eq!(f.end(id, Placing::LineTrouble { pause }, T0).await.state, State::Queued);
    assert!(f.store.next_calls(at(60), 10).claims.is_empty());
    assert_eq!(f.store.waiting(&"a".into()).all(), 1);
    f.store.change(at(61), "lan".into(), Change::ResumeLine { workspace: WorkspaceId::default(), line: "a".into() }).await.unwrap();
    assert_eq!(f.store.next_calls(at(61), 10).claims.len(), 1);
}

#[tokio::test]
async fn what_a_person_paused_stays_paused_whatever_the_dialer_answers_meanwhile() {
    let f = Fixture::new();
    let id = f.placing(1, T0).await;
    let pause = |code, until, by: &str| Pause { code, since: T0, until, by: by.into(), detail: String::new(), key: String::new() };
    let by_hand = Change::PauseLine { workspace: WorkspaceId::default(), line: "a".into(), pause: pause(Code::HoldPaused, None, "lan") };
    f.store.change(at(1), "lan".into(), by_hand).await.unwrap();
    f.end(id, Placing::LineTrouble { pause: pause(Code::Dialer2116, Some(at(900)), "") }, at(2)).await;
    assert_eq!(f.store.line(&WorkspaceId::default(), &"a".into()).unwrap().pause.unwrap().by, "lan");
    assert!(f.store.next_calls(at(1000), 10).claims.is_empty());
}

#[tokio::test]
async fn what_was_surely_not_sent_waits_for_the_dialer_and_costs_nothing() {
    let f = Fixture::new();
    let id = f.placing(1, T0).await;
    let call = f.end(id, Placing::NotSent { code: Code::DialerUnreachable, dialer_until: Some(at(5)) }, T0).await;
    assert_eq!((call.state, call.ever_sent, call.deadline), (State::Queued, false, None));
    assert_eq!(f.store.line(&WorkspaceId::default(), &"a".into()).unwrap().month_used, 0);
    let next = f.store.next_calls(at(1), 10);
    assert_eq!((next.claims.len(), next.wake_at), (0, Some(at(5))));
    assert_eq!(f.store.next_calls(at(5), 10).claims.len(), 1);
}

#[tokio::test]
async fn a_stored_pause_survives_a_restart() {
    let f = Fixture::new();
    let id = f.placing(1, T0).await;
    f.end(id, Placing::SystemError { not_before: at(30) }, T0).await;
    let f = f.reopened();
    assert!(f.store.next_calls(at(29), 10).claims.is_empty(), "not hurried");
    assert_eq!(f.store.next_calls(at(30), 10).claims.len(), 1, "not lost");
}

#[tokio::test]
async fn without_a_report_the_slot_is_freed_the_line_is_silent_and_the_call_is_lost_at_last() {
    let f = Fixture::new();
    let id = f.placing(1, T0).await;
    f.end(id, Placing::Taken, T0).await;
    assert_eq!(f.store.sweep(at(301), SweepPolicy::default()).await.unwrap().slots_freed, [id]);
    assert!(f.store.line(&WorkspaceId::default(), &"a".into()).unwrap().silent_since.is_some());
    assert_eq!(f.store.sweep(at(7201), SweepPolicy::default()).await.unwrap().lost, [id]);
    assert_eq!((f.call(id).state, f.call(id).refusal), (State::Lost, Some(Code::Lost)));
    f.store.report(at(7300), id, Bytes::from("{}"), Some(Report::default()), after()).await.unwrap();
    assert_eq!(f.call(id).state, State::Ended, "a late report still lands");
}

#[tokio::test]
async fn expiry_ends_a_call_that_could_have_gone_and_spares_one_on_a_paused_line() {
    let f = Fixture::new();
    let first = f.queued(1).await;
    f.store.configure(vec![LinePolicy { paused: true, ..line("a", 1) }], pools(), T0);
    assert!(f.store.sweep(at(86_400), SweepPolicy::default()).await.unwrap().expired.is_empty());
    f.store.configure(vec![line("a", 1)], pools(), T0);
    // Since when the file paused it is not known: the time until then is given back whole.
    assert!(f.store.sweep(at(172_799), SweepPolicy::default()).await.unwrap().expired.is_empty());
    let swept = f.store.sweep(at(172_800), SweepPolicy::default()).await.unwrap();
    assert_eq!((swept.expired.as_slice(), f.call(first).state), ([first].as_slice(), State::Expired));
    assert!(f.store.next_calls(at(172_900), 10).claims.is_empty());
}

#[tokio::test]
async fn a_rate_holds_across_a_restart() {
    let f = Fixture::new();
    let rated = || LinePolicy { rate: Some(Gcra::new(Rate::new(6, Duration::from_secs(60)).unwrap(), 1)), ..line("a", 5) };
    f.store.configure(vec![rated()], pools(), T0);
    f.placing(1, T0).await;
    f.queued(2).await;
    let f = f.reopened();
    f.store.configure(vec![rated()], pools(), T0);
    assert_eq!(f.store.next_calls(at(9), 10).claims.len(), 0);
    assert_eq!(f.store.next_calls(at(10), 10).claims.len(), 1);
}

#[tokio::test]
async fn stop_all_survives_a_restart() {
    let f = Fixture::new();
    f.queued(1).await;
    let stopped = crate::domain::schedule::Stopped { by: "lan".into(), since: T0, reason: String::new() };
    f.store.change(T0, "lan".into(), Change::StopAll(stopped)).await.unwrap();
    let f = f.reopened();
    assert!(f.store.next_calls(at(1), 10).claims.is_empty());
    f.store.change(at(2), "lan".into(), Change::ResumeAll).await.unwrap();
    assert_eq!(f.store.next_calls(at(2), 10).claims.len(), 1);
}

#[tokio::test]
async fn the_states_sum_to_the_calls() {
    let f = Fixture::new();
    for n in 1..=3 {
        f.queued(n).await;
    }
    f.store.change(T0, "lan".into(), Change::Cancel { call: CallId([2; 16]), write_back: true }).await.unwrap();
    assert!(matches!(f.store.change(T0, "lan".into(), Change::Cancel { call: CallId([2; 16]), write_back: true }).await.unwrap(), Changed::Denied(_)));
    let stats = f.store.stats(&WorkspaceId::default()).unwrap();
    let sum = |prefix: &str| stats.counters.iter().filter(|(k, _)| k.starts_with(prefix)).map(|(_, v)| v).sum::<i64>();
    assert_eq!((sum("calls.state."), sum("calls.origin."), sum("items.")), (3, 3, 3));
}

#[tokio::test]
async fn an_idempotency_key_makes_one_call() {
    let f = Fixture::new();
    let new = |n| NewCall {
        call: Box::new(Call { origin: Origin::Api { key: "erp".into() }, ..call(n) }),
        idempotency: Some(("k".into(), Duration::from_secs(60))),
        max_queued: None,
    };
    assert_eq!(f.store.create_call(T0, new(1)).await.unwrap(), Made::Call(CallId([1; 16])));
    assert_eq!(f.store.create_call(at(59), new(2)).await.unwrap(), Made::Existing(CallId([1; 16])));
    assert_eq!(f.store.create_call(at(60), new(3)).await.unwrap(), Made::Call(CallId([3; 16])));
    assert_eq!(f.store.prune(at(600)).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_of_an_earlier_placing_changes_nothing() {
    let f = Fixture::new();
    let id = f.placing(1, T0).await;
    let again = Placing::SystemError { not_before: at(30) };
    assert_eq!(f.end(id, again.clone(), T0).await.state, State::Queued);
    let claims = f.store.next_calls(at(30), 10).claims;
    assert!(matches!(f.store.begin_placing(at(30), claims[0].clone(), gate()).await.unwrap(), Begun::Go(call) if call.placings == 2));
    // The first outcome once more, as after a store error behind which it had been kept.
    let call = f.store.end_placing(at(31), id, again, attempt(1), after()).await.unwrap().unwrap();
    assert_eq!(call.state, State::Placing, "it would be dialled again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_is_refused_and_spoils_nothing() {
    let f = Fixture::new();
    let id = f.placing(1, T0).await;
    let report = Report { notes: "x".repeat(40_000), ..Report::default() };
    assert!(matches!(f.store.report(T0, id, Bytes::from_static(b"{}"), Some(report), after()).await, Err(StoreError::Record(_))));
    assert_eq!(f.call(id).state, State::Placing);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_delivery_brought_lies_sealed_and_is_read_as_it_came() {
    let f = Fixture::new();
    let sent = Event { query: "token=query-secret".into(), headers: vec![("x-signature".into(), "header-secret".into())], ..event(1) };
    f.store.accept(T0, sent.clone(), Bytes::from_static(b"{}")).await.unwrap();
    let read = f.store.event(sent.id).unwrap().unwrap();
    assert_eq!((read.query, read.headers), (sent.query, sent.headers));
    assert_eq!(f.store.events(None, 10).unwrap()[0].headers, read_headers(&f.store, sent.id));
    let instance = f.store.instance_key();
    let folder = f.dir.path().join("s");
    drop(f.store);
    let db = std::fs::read(folder.join("db")).unwrap();
    let holds = |secret: &[u8]| db.windows(secret.len()).any(|w| w == secret);
    assert!(holds(b"events") && !holds(b"query-secret") && !holds(b"header-secret") && !holds(&instance));
    let other = sled::Options { keys: Some(Arc::new(Keyring::new([9; 32], &[]))), ..sled::Options::new(&folder) };
    // The committer thread lets go of the directory a moment after the last handle.
    let error = (0..200).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        SledStore::open(other.clone()).err().map(|e| e.to_string()).filter(|e| !e.contains("in use"))
    });
    let error = error.expect("another key");
    assert!(error.contains("secrets.key"), "{error}");
}

fn read_headers(store: &SledStore, id: EventId) -> Vec<(String, String)> {
    store.event(id).unwrap().unwrap().headers
}

#[tokio::test]
async fn what_a_connection_keeps_is_sealed_and_moves_one_version_at_a_time() {
    let f = Fixture::new();
    let connection: ConnectionId = "c".into();
    let kept = |version, token: &str| Kept { at: T0, version, ends_at: Some(at(60)), values: [("access_token".to_owned(), token.to_owned())].into() };
    for (version, token, taken) in [(1, "token-of-the-first", true), (1, "token-of-a-slower-one", false), (2, "token-of-the-second", true)] {
        assert_eq!(f.store.keep(connection.clone(), "login/main".into(), kept(version, token)).await.unwrap(), taken, "{token}");
    }
    let f = f.reopened();
    assert_eq!(f.store.kept(&connection, "login/main").unwrap(), Some(kept(2, "token-of-the-second")));
    assert_eq!(f.store.all_kept(&connection).unwrap().into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["login/main"]);
    assert!(f.store.all_kept(&"other".into()).unwrap().is_empty());
    f.store.forget(connection.clone(), "login/main".into()).await.unwrap();
    assert_eq!(f.store.kept(&connection, "login/main").unwrap(), None);
    let Fixture { store, dir } = f;
    drop(store);
    let db = std::fs::read(dir.path().join("s/db")).unwrap();
    assert!(!db.windows(9).any(|w| w == b"token-of-"), "nothing of it lies plain");
}

#[tokio::test]
async fn a_fetched_event_and_the_place_it_came_from_are_one_step() {
    let f = Fixture::new();
    let key = SourceKey { workspace: WorkspaceId::default(), connection: "shop".into(), kind: SourceKind::Poll, name: "leads".into() };
    let id = key.id();
    let wanted = |made_of: &str| vec![Wanted { key: key.clone(), made_of: made_of.into() }];
    f.store.want_sources(T0, wanted("a")).await.unwrap();
    f.store.want_sources(T0, wanted("a")).await.unwrap();
    let taken = f.store.take_tasks(TaskKind::Poll, T0, 10).unwrap();
    assert_eq!(taken.iter().map(|task| task.subject).collect::<Vec<_>>(), [Subject::Source(id)]);

    let mut source = f.store.source(id).unwrap().unwrap();
    source.poll.cursor = Some("7".into());
    let event = event(1);
    f.store.finish_source(source.clone(), Some((event.clone(), Bytes::from_static(b"[]"))), Some(at(60))).await.unwrap();
    assert!(f.store.event(event.id).unwrap().is_some());
    assert_eq!(f.store.take_tasks(TaskKind::Map, T0, 10).unwrap().len(), 1);
    assert_eq!((f.store.next_task_at(TaskKind::Poll), f.store.sources().unwrap()), (Some(at(60)), vec![source.clone()]));

    // Taken out of the configuration while it runs: what the run brings is kept, and it rests.
    f.store.take_tasks(TaskKind::Poll, at(60), 10).unwrap();
    f.store.want_sources(at(60), Vec::new()).await.unwrap();
    source.poll.cursor = Some("9".into());
    f.store.finish_source(source.clone(), None, Some(at(120))).await.unwrap();
    let rests = Source { wanted: false, ..source };
    assert_eq!((f.store.backlog(TaskKind::Poll), f.store.source(id).unwrap()), (0, Some(rests)));
    let f = f.reopened();
    assert_eq!(f.store.backlog(TaskKind::Poll), 0);
    f.store.want_sources(at(200), wanted("a")).await.unwrap();
    assert_eq!(f.store.next_task_at(TaskKind::Poll), Some(at(200)));
    assert_eq!(f.store.source(id).unwrap().unwrap().poll.cursor.as_deref(), Some("9"), "it goes on where it ended");

    // Other settings are acted on at once, also where they come while it runs; the same ones hurry nothing.
    let next = |f: &Fixture| f.store.next_task_at(TaskKind::Poll);
    let run = async |f: &Fixture, now: Time, meanwhile: &str| {
        f.store.take_tasks(TaskKind::Poll, now, 10).unwrap();
        let source = f.store.source(id).unwrap().unwrap();
        f.store.want_sources(now, wanted(meanwhile)).await.unwrap();
        f.store.finish_source(source, None, Some(at(9_000))).await.unwrap();
    };
    run(&f, at(200), "a").await;
    assert_eq!(next(&f), Some(at(9_000)));
    f.store.want_sources(at(300), wanted("b")).await.unwrap();
    assert_eq!(next(&f), Some(at(300)));
    run(&f, at(300), "c").await;
    assert!(next(&f).is_some_and(|due| due <= at(300)));
    run(&f, at(300), "c").await;
    f.store.want_sources(at(400), wanted("c")).await.unwrap();
    assert_eq!(next(&f), Some(at(9_000)));
}
