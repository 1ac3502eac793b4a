//! A call, its states, and the one pure function that moves it between them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::after::After;
use super::id::{CallId, ConnectionId, EventId, LineId, WorkspaceId};
use super::phone::Phone;
use super::pool::PoolId;
use super::record::{Customer, RecordRef};
use super::report::Report;
use super::time::Time;
use super::write_back::WriteBack;
use crate::error::Code;

/// Where a call is between being wished and being over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for a line, a rule or a time; may carry a hold.
    Queued,
    /// Written down just before its own request is sent.
    Placing,
    /// The dialer took it.
    Placed,
    /// Maybe placed: never sent again by machine.
    Unconfirmed,
    /// A report came.
    Ended,
    Refused,
    Expired,
    Cancelled,
    /// No report by the deadline.
    Lost,
}

impl State {
    pub const ALL: [State; 9] =
        [State::Queued, State::Placing, State::Placed, State::Unconfirmed, State::Ended, State::Refused, State::Expired, State::Cancelled, State::Lost];

    /// The public word.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Placing => "placing",
            State::Placed => "placed",
            State::Unconfirmed => "unconfirmed",
            State::Ended => "ended",
            State::Refused => "refused",
            State::Expired => "expired",
            State::Cancelled => "cancelled",
            State::Lost => "lost",
        }
    }

    /// The state of this public word.
    pub fn parse(text: &str) -> Option<State> {
        State::ALL.into_iter().find(|s| s.as_str() == text)
    }

    /// Nothing more is expected to happen by itself (a late report still may).
    pub fn is_final(self) -> bool {
        !matches!(self, State::Queued | State::Placing | State::Placed | State::Unconfirmed)
    }
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    Claim,
    /// The dialer answered 0.
    Taken,
    /// The dialer answered 2111.
    Refused2111,
    /// The dialer answered with line or account trouble.
    LineTrouble,
    NotSent,
    MaybeSent,
    /// `placing` is older than its lease: the process that sent it is gone.
    LeaseOver,
    Report,
    SlotTimeout,
    Deadline,
    Expiry,
    Cancel,
    RuleRefuses,
    Redial,
}

impl Signal {
    pub const ALL: [Signal; 14] = [
        Signal::Claim,
        Signal::Taken,
        Signal::Refused2111,
        Signal::LineTrouble,
        Signal::NotSent,
        Signal::MaybeSent,
        Signal::LeaseOver,
        Signal::Report,
        Signal::SlotTimeout,
        Signal::Deadline,
        Signal::Expiry,
        Signal::Cancel,
        Signal::RuleRefuses,
        Signal::Redial,
    ];
}

/// What a signal does to a call in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    To(State),
    /// Recorded, no change.
    Stay,
    /// Recorded, no change, and the admin is told: it should not happen.
    StayAlarm,
    /// The slot is freed, the state stays.
    FreeSlot,
    /// A further report of an ended call.
    NewVersion,
    /// A person gets a new call with `redial_of`.
    NewCall,
    /// The person who asked gets a 409 with the reason.
    Denied,
    /// Cannot be asked for in this state (there is no slot, no deadline).
    NotApplicable,
    /// Must never be asked for: a bug of ours.
    Illegal,
}

/// The state table of the design. `ever_sent` says whether the request may ever have reached the dialer.
pub fn step(state: State, signal: Signal, ever_sent: bool) -> Step {
    use Signal as S;
    use State::{Cancelled, Ended, Expired, Lost, Placed, Placing, Queued, Refused, Unconfirmed};
    let over = matches!(state, Refused | Expired | Cancelled);
    match (signal, state) {
        (S::Claim, Queued) => Step::To(Placing),
        (S::Claim, _) => Step::Illegal,
        (S::Taken, Queued) => Step::StayAlarm,
        (S::Taken, Placing | Unconfirmed) => Step::To(Placed),
        (S::Refused2111, Placing | Unconfirmed) => Step::To(Refused),
        (S::LineTrouble, Placing | Unconfirmed) => Step::To(Queued),
        (S::NotSent, Placing) => Step::To(Queued),
        (S::MaybeSent | S::LeaseOver, Placing) => Step::To(Unconfirmed),
        (S::Taken | S::Refused2111 | S::LineTrouble | S::NotSent | S::MaybeSent | S::LeaseOver, _) => Step::Stay,
        (S::Report, Placing | Placed | Unconfirmed | Lost) => Step::To(Ended),
        (S::Report, Ended) => Step::NewVersion,
        (S::Report, _) if ever_sent => Step::To(Ended),
        (S::Report, _) => Step::StayAlarm,
        (S::SlotTimeout, Queued) => Step::NotApplicable,
        (S::SlotTimeout, Placing | Placed | Unconfirmed) => Step::FreeSlot,
        (S::SlotTimeout, _) => Step::Stay,
        (S::Deadline, Queued | Placing) => Step::NotApplicable,
        (S::Deadline, Placed | Unconfirmed) => Step::To(Lost),
        (S::Deadline, _) => Step::Stay,
        (S::Expiry, Queued) => Step::To(Expired),
        (S::Expiry, _) => Step::Stay,
        (S::Cancel, Queued) => Step::To(Cancelled),
        (S::Cancel, _) => Step::Denied,
        (S::RuleRefuses, Queued) => Step::To(Refused),
        (S::RuleRefuses, _) => Step::Stay,
        (S::Redial, Unconfirmed | Ended | Lost) => Step::NewCall,
        (S::Redial, _) if over => Step::NewCall,
        (S::Redial, _) => Step::Denied,
    }
}

/// Who wished a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Origin {
    Item {
        event: EventId,
        index: u16,
    },
    Api {
        key: String,
    },
    DropIn {
        key: String,
    },
    Hand {
        by: String,
    },
    Redial {
        of: CallId,
        by: String,
        reason: String,
    },
    /// A rule of the connection wants the customer called once more: the `round`-th time, after calls at these local hours.
    Again {
        of: CallId,
        round: u32,
        hours: Vec<i8>,
    },
}

impl Origin {
    /// The name its calls are counted under.
    pub fn as_str(&self) -> &'static str {
        match self {
            Origin::Item { .. } => "item",
            Origin::Api { .. } => "api",
            Origin::DropIn { .. } => "drop_in",
            Origin::Hand { .. } => "hand",
            Origin::Redial { .. } => "redial",
            Origin::Again { .. } => "again",
        }
    }
}

/// Why a queued call is not placed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub code: Code,
    pub since: Time,
    /// When it ends by itself, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// Where a drop-in caller wants its report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    pub url: String,
    /// The caller's own `CallId`, returned as it was given.
    pub call_id: String,
}

/// Time that a call has left, counted at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnTime {
    pub at: Time,
    pub left_ms: u64,
}

impl OwnTime {
    pub fn new(at: Time, left: Duration) -> Self {
        Self { at, left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX) }
    }
}

/// One wish to phone one customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    pub id: CallId,
    pub workspace: WorkspaceId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionId>,
    pub origin: Origin,
    pub state: State,
    /// Goes up with every change.
    pub version: u32,
    #[serde(default)]
    pub record: RecordRef,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    pub customer: Customer,
    pub phone: Phone,
    /// Set when a person chose: only these lines. Else those of its [`Call::pool`], as the configuration says when it is claimed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineId>,
    /// The line that placed it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<LineId>,
    pub interactive: bool,
    /// Whether the customer agreed to be called, as the CRM or the program said; absent: nothing was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<bool>,
    /// Test mode: the dialer gets this number instead, or none is dialled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_phone: Option<Phone>,
    /// When it was wished (`occurred_at`, else arrival).
    pub wished_at: Time,
    pub created_at: Time,
    pub expires_at: Time,
    /// What is left of the time in which it may go, where that was counted: pauses and the like are not its own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_time: Option<OwnTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// The request may have reached the dialer at least once.
    #[serde(default)]
    pub ever_sent: bool,
    /// How often `placing` was written.
    #[serde(default)]
    pub placings: u16,
    /// How often it went back to the queue after 2222.
    #[serde(default)]
    pub system_errors: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placing_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// The report deadline, once it may have been sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Code>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it waited for when its time was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<Code>,
    /// The newest report and when it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<Time>,
    /// Digests of the bodies seen, in order; a body seen before never replaces a newer one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub report_digests: Vec<String>,
    /// The report named another call or phone than this one.
    #[serde(default)]
    pub report_mismatch: bool,
    #[serde(default)]
    pub write_back: WriteBack,
    #[serde(default, skip_serializing_if = "After::is_none")]
    pub after: After,
    /// The content hash of the plugin that mapped it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub plugin_hash: String,
    /// The base of its callback address, as it was when it was placed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub public_url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<Forward>,
    /// Set for calls whose result nobody wants to hear.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// What labels of kept values begin with.
const KEPT: &str = "event.";
/// The most that is kept of one value.
const KEPT_CHARS: usize = 200;

impl Call {
    /// Longer it cannot have lasted: it was over when the phone first spoke. A later report says nothing of that.
    pub fn longest_secs(&self) -> Option<i64> {
        let over = self.ended_at.or(self.reported_at);
        self.placing_at.zip(over).map(|(from, to)| i64::try_from(to.since(from).as_secs()).unwrap_or(i64::MAX))
    }

    /// The customer is not dialled: the connection's test mode.
    pub fn is_test(&self) -> bool {
        self.labels.get("mode").is_some_and(|mode| mode == "test")
    }

    /// Keeps something of the delivery for the write-back; it lies among the labels.
    pub fn keep(&mut self, name: &str, value: &str) {
        let mut value = value.to_owned();
        super::record::cut(&mut value, KEPT_CHARS);
        self.labels.insert(format!("{KEPT}{name}"), value);
    }

    /// What was kept of the delivery, by name.
    pub fn kept(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().filter_map(|(name, value)| Some((name.strip_prefix(KEPT)?, value.as_str())))
    }

    /// Whose lines it may go over.
    pub fn pool(&self) -> PoolId {
        PoolId::of(self.connection.as_ref(), &self.origin, &self.workspace)
    }

    /// The slot and the clock of reports start here.
    pub fn sent_at(&self) -> Option<Time> {
        self.placing_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the design, cell by cell: rows are signals, columns are the states in [`State::ALL`].
    const TABLE: [(&str, [&str; 9]); 14] = [
        ("Claim", ["placing", "illegal", "illegal", "illegal", "illegal", "illegal", "illegal", "illegal", "illegal"]),
        ("Taken", ["alarm", "placed", "·", "placed", "·", "·", "·", "·", "·"]),
        ("Refused2111", ["·", "refused", "·", "refused", "·", "·", "·", "·", "·"]),
        ("LineTrouble", ["·", "queued", "·", "queued", "·", "·", "·", "·", "·"]),
        ("NotSent", ["·", "queued", "·", "·", "·", "·", "·", "·", "·"]),
        ("MaybeSent", ["·", "unconfirmed", "·", "·", "·", "·", "·", "·", "·"]),
        ("LeaseOver", ["·", "unconfirmed", "·", "·", "·", "·", "·", "·", "·"]),
        ("Report", ["sent?", "ended", "ended", "ended", "version", "sent?", "sent?", "sent?", "ended"]),
        ("SlotTimeout", ["–", "slot", "slot", "slot", "·", "·", "·", "·", "·"]),
        ("Deadline", ["–", "–", "lost", "lost", "·", "·", "·", "·", "·"]),
        ("Expiry", ["expired", "·", "·", "·", "·", "·", "·", "·", "·"]),
        ("Cancel", ["cancelled", "!", "!", "!", "!", "!", "!", "!", "!"]),
        ("RuleRefuses", ["refused", "·", "·", "·", "·", "·", "·", "·", "·"]),
        ("Redial", ["!", "!", "!", "new", "new", "new", "new", "new", "new"]),
    ];

    fn expected(cell: &str, ever_sent: bool) -> Step {
        match cell {
            "·" => Step::Stay,
            "–" => Step::NotApplicable,
            "!" => Step::Denied,
            "illegal" => Step::Illegal,
            "alarm" => Step::StayAlarm,
            "slot" => Step::FreeSlot,
            "version" => Step::NewVersion,
            "new" => Step::NewCall,
            "sent?" if ever_sent => Step::To(State::Ended),
            "sent?" => Step::StayAlarm,
            word => Step::To(State::parse(word).unwrap()),
        }
    }

    #[test]
    fn every_cell_of_the_state_table_is_as_designed() {
        for (row, signal) in TABLE.iter().zip(Signal::ALL) {
            assert_eq!(row.0, format!("{signal:?}"));
            for (cell, state) in row.1.iter().zip(State::ALL) {
                for ever_sent in [false, true] {
                    assert_eq!(step(state, signal, ever_sent), expected(cell, ever_sent), "{signal:?} on {state:?}, ever sent: {ever_sent}");
                }
            }
        }
    }

    #[test]
    fn a_call_that_may_have_been_sent_goes_back_to_the_queue_only_when_the_dialer_said_no() {
        for signal in Signal::ALL {
            if step(State::Unconfirmed, signal, true) == Step::To(State::Queued) {
                assert_eq!(signal, Signal::LineTrouble);
            }
        }
    }
}
