//! Keys: big-endian, so that time order is key order; ids are UUIDv7.

use crate::domain::id::{AlertId, AttemptId, CallId, ConnectionId, EventId, LineId, SourceId, WorkspaceId};
use crate::domain::record::RecordRef;
use crate::store::task::{Subject, TaskKind};

/// The trees of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Tree {
    /// event → Event · event‖index → Item · event‖index‖`w` → WriteBack of a refused item
    Events = 0,
    /// event‖chunk → raw body, unless it lies in its event · call‖0xF0‖version‖chunk → raw report
    Bodies = 1,
    Calls = 2,
    /// call‖attempt (or event‖index‖attempt) → Attempt
    Attempts = 3,
    /// kind‖subject → Task
    Tasks = 4,
    /// workspace‖0‖line → LineState
    Lines = 5,
    /// see the functions below
    Index = 6,
    /// schema, instance, epoch, brakes, counters, rejected deliveries, what handshakes handed over
    Meta = 7,
}

impl Tree {
    pub const ALL: [Tree; 8] = [Tree::Events, Tree::Bodies, Tree::Calls, Tree::Attempts, Tree::Tasks, Tree::Lines, Tree::Index, Tree::Meta];

    pub fn name(self) -> &'static str {
        ["events", "bodies", "calls", "attempts", "tasks", "lines", "index", "meta"][self as usize]
    }
}

/// Values above this length go to blob files of sled that are never synced.
pub const CHUNK_BYTES: usize = 16 * 1024;

pub const EPOCH: &[u8] = b"epoch";
pub const INSTANCE: &[u8] = b"instance";
pub const SCHEMA: &[u8] = b"schema";
pub const BRAKES: &[u8] = b"brakes";
pub const REJECTED_NEXT: &[u8] = b"rejected";
/// How many refused deliveries are kept.
pub const REJECTED_KEPT: u64 = 1000;
/// The next slot of deliveries that a person may let in.
pub const HELD_NEXT: &[u8] = b"held";
pub const HELD: &[u8] = b"Q";

pub fn item(event: EventId, index: u16) -> Vec<u8> {
    [&event.0[..], &index.to_be_bytes()].concat()
}

/// What is known of the way of a refused item's sentence into the CRM.
pub fn item_write_back(event: EventId, index: u16) -> Vec<u8> {
    [&event.0[..], &index.to_be_bytes(), b"w"].concat()
}

pub fn body_chunk(event: EventId, chunk: u16) -> Vec<u8> {
    [&event.0[..], &chunk.to_be_bytes()].concat()
}

/// All reports of a call.
pub fn reports(call: CallId) -> Vec<u8> {
    [&call.0[..], &[0xF0]].concat()
}

pub fn report_chunk(call: CallId, version: u16, chunk: u16) -> Vec<u8> {
    [&call.0[..], &[0xF0], &version.to_be_bytes(), &chunk.to_be_bytes()].concat()
}

pub fn attempt(call: CallId, id: AttemptId) -> Vec<u8> {
    [call.0, id.0].concat()
}

pub fn lookup_attempt(event: EventId, index: u16, id: AttemptId) -> Vec<u8> {
    [&event.0[..], &index.to_be_bytes(), &id.0].concat()
}

pub fn task(kind: TaskKind, subject: Subject) -> Vec<u8> {
    let mut key = vec![kind as u8];
    match subject {
        Subject::Event(id) => key.extend(id.0),
        Subject::Call(id) => key.extend(id.0),
        Subject::Source(id) => key.extend(id.0),
        Subject::Alert(id) => key.extend(id.0),
        Subject::Item(id, index) => {
            key.extend(id.0);
            key.extend(index.to_be_bytes());
        }
    }
    key
}

pub fn line(workspace: &WorkspaceId, line: &LineId) -> Vec<u8> {
    [workspace.as_str().as_bytes(), &[0], line.as_str().as_bytes()].concat()
}

/// Calls that are not over: what the start has to read.
pub fn live(call: CallId) -> Vec<u8> {
    [b"L".as_slice(), &call.0].concat()
}

/// An event id that was seen on a connection, with the time until which it is remembered.
pub fn seen(connection: &ConnectionId, key: &str) -> Vec<u8> {
    [b"D".as_slice(), connection.as_str().as_bytes(), &[0], key.as_bytes()].concat()
}

/// A record and number that were asked for, with the time.
pub fn wished(connection: &ConnectionId, record: &RecordRef, phone: &str) -> Vec<u8> {
    [b"W".as_slice(), connection.as_str().as_bytes(), &[0], record.kind.as_bytes(), &[0], record.id.as_bytes(), &[0], phone.as_bytes()].concat()
}

/// Calls to a number that a public address asked for: until when it matters, and when each was.
pub fn exposed(connection: &ConnectionId, hook: &str, phone: &str) -> Vec<u8> {
    [b"X".as_slice(), connection.as_str().as_bytes(), &[0], hook.as_bytes(), &[0], phone.as_bytes()].concat()
}

/// Texts that phones sent to a number: until when it matters, and when each was.
pub fn texts(workspace: &WorkspaceId, phone: &str) -> Vec<u8> {
    [b"S".as_slice(), workspace.as_str().as_bytes(), &[0], phone.as_bytes()].concat()
}

/// A wish's own key, with its call.
pub fn idempotency(workspace: &WorkspaceId, key: &str) -> Vec<u8> {
    [b"I".as_slice(), workspace.as_str().as_bytes(), &[0], key.as_bytes()].concat()
}

/// The placings of a number on a day, with the time until which they are remembered.
pub fn placings(workspace: &WorkspaceId, phone: &str, day: i64) -> Vec<u8> {
    [b"P".as_slice(), workspace.as_str().as_bytes(), &[0], phone.as_bytes(), &[0], &day.to_be_bytes()].concat()
}

/// All runs of a workspace's do-not-call list.
pub fn do_not_call_all(workspace: &WorkspaceId) -> Vec<u8> {
    [b"N".as_slice(), workspace.as_str().as_bytes(), &[0]].concat()
}

pub fn do_not_call(workspace: &WorkspaceId, run: u64) -> Vec<u8> {
    [do_not_call_all(workspace).as_slice(), &run.to_be_bytes()].concat()
}

pub fn do_not_call_note(workspace: &WorkspaceId, note: u32) -> Vec<u8> {
    [b"M".as_slice(), workspace.as_str().as_bytes(), &[0], &note.to_be_bytes()].concat()
}

/// The notes that numbers of a run had before this one took their place.
pub fn do_not_call_before(workspace: &WorkspaceId, note: u32, run: u64) -> Vec<u8> {
    [b"m".as_slice(), workspace.as_str().as_bytes(), &[0], &note.to_be_bytes(), &run.to_be_bytes()].concat()
}

/// In `meta`: the number of the newest note.
pub fn do_not_call_next(workspace: &WorkspaceId) -> Vec<u8> {
    [b"dnc\0".as_slice(), workspace.as_str().as_bytes()].concat()
}

/// In `meta`: the new calls of a connection, for its brake.
pub fn arrivals(connection: &ConnectionId) -> Vec<u8> {
    [b"new\0".as_slice(), connection.as_str().as_bytes()].concat()
}

pub fn counter(workspace: &WorkspaceId, name: &str) -> Vec<u8> {
    [b"c".as_slice(), workspace.as_str().as_bytes(), &[0], name.as_bytes()].concat()
}

/// Until when a handshake of this connection may hand over secrets.
pub fn capture_window(connection: &ConnectionId) -> Vec<u8> {
    [b"H".as_slice(), connection.as_str().as_bytes()].concat()
}

/// What a handshake handed over, sealed, by its name.
pub fn captured(connection: &ConnectionId, name: &str) -> Vec<u8> {
    [b"K".as_slice(), connection.as_str().as_bytes(), &[0], name.as_bytes()].concat()
}

/// Present and past alerts.
pub const ALERTS: &[u8] = b"alert:";

pub fn alert(id: AlertId) -> Vec<u8> {
    [ALERTS, &id.0].concat()
}

pub fn rejected(slot: u64) -> Vec<u8> {
    [b"R".as_slice(), &slot.to_be_bytes()].concat()
}

/// A line of the list of deliveries that a person may let in.
pub fn held(slot: u64) -> Vec<u8> {
    [HELD, &slot.to_be_bytes()].concat()
}

/// The event such a delivery would be.
pub fn held_event(id: EventId) -> Vec<u8> {
    [b"q".as_slice(), &id.0].concat()
}

/// A piece of its body, sealed.
pub fn held_piece(id: EventId, piece: u16) -> Vec<u8> {
    [b"q".as_slice(), &id.0, &piece.to_be_bytes()].concat()
}

/// What a connection keeps under a name.
pub fn kept(connection: &ConnectionId, name: &str) -> Vec<u8> {
    [b"K".as_slice(), connection.as_str().as_bytes(), &[0], name.as_bytes()].concat()
}

/// What we fetch from a CRM, and how far it has come.
pub fn source(id: SourceId) -> Vec<u8> {
    [b"S".as_slice(), &id.0].concat()
}

/// Audit entries: who changed what, in time order.
pub fn audit(now: crate::domain::time::Time, id: AttemptId) -> Vec<u8> {
    [b"A".as_slice(), &now.0.to_be_bytes(), &id.0].concat()
}

/// The first 16 bytes of a key as an id.
pub fn id_of(key: &[u8]) -> Option<[u8; 16]> {
    key.get(..16)?.try_into().ok()
}
