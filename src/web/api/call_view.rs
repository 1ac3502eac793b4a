//! A call as programs see it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::view::{Reason, Wait, when};
use crate::domain::call::{Call, Origin};
use crate::domain::phone::Phone;
use crate::domain::report::DurationUnit;
use crate::domain::rule::Policy;
use crate::domain::write_back::WriteBack;
use crate::error::Code;
use crate::store::{Attempt, Leg};

/// One wish to phone one customer.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallView {
    /// Also the `callId` sent to the dialer.
    pub id: String,
    pub workspace: String,
    /// queued, placing, placed, unconfirmed, ended, refused, expired, cancelled or lost.
    pub state: String,
    pub connection: Option<String>,
    pub origin: OriginView,
    /// E.164.
    pub phone: String,
    /// As it is dialled, `0…`.
    pub phone_national: String,
    pub customer: CustomerView,
    pub record: RecordView,
    pub owner: Option<String>,
    /// The lines that a person chose; empty: those of its connection or key, as the configuration says when it is placed.
    pub lines: Vec<String>,
    /// The line that placed it last.
    pub line: Option<String>,
    /// interactive (someone waits) or automation.
    pub priority: String,
    /// The connection's test mode: the customer is not dialled.
    pub test: bool,
    /// What is dialled instead then; null: nothing.
    pub test_phone: Option<String>,
    #[schema(format = DateTime)]
    pub wished_at: String,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub expires_at: String,
    #[schema(format = DateTime)]
    pub placing_at: Option<String>,
    #[schema(format = DateTime)]
    pub placed_at: Option<String>,
    #[schema(format = DateTime)]
    pub reported_at: Option<String>,
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
    /// Without a report by then the call is lost.
    #[schema(format = DateTime)]
    pub report_deadline: Option<String>,
    /// Why it was refused, expired or is lost.
    pub refusal: Option<Reason>,
    /// Details of that, as the dialer or a rule said it.
    pub reason: Option<String>,
    /// What it waited for when its time was over.
    pub held_by: Option<Reason>,
    /// How often it was sent or may have been.
    pub placings: u16,
    pub report: Option<ReportView>,
    pub write_back: WriteBackView,
    pub after: AfterView,
}

/// What the connection's rules made of the result.
#[derive(Debug, Serialize, ToSchema)]
pub struct AfterView {
    /// Values for the CRM, by name.
    pub set: BTreeMap<String, String>,
    /// The call that follows.
    pub again: Option<String>,
    #[schema(format = DateTime)]
    pub again_at: Option<String>,
}

/// Who wished it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OriginView {
    /// item, api, drop_in, hand, redial or again.
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<u16>,
    /// The name of the key, or the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redial_of: Option<String>,
    /// The call after which a rule of the connection wants this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub again_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CustomerView {
    pub name: String,
    pub gender: Option<String>,
    pub info: String,
    /// As it was given.
    pub phone_given: String,
}

/// The CRM record that asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordView {
    #[serde(rename = "type")]
    pub kind: String,
    pub id: String,
}

/// The newest report of the phone.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportView {
    /// answered, no_answer, unreachable or unknown.
    pub disposition: String,
    /// interested, not_interested, no_response, unreachable or unknown.
    pub interest: String,
    pub call_seconds: i64,
    pub answer_seconds: i64,
    pub sim: String,
    pub sms_sent: bool,
    pub sms_content: String,
    pub notes: String,
    /// The vendor's own number, as it came.
    pub call_status: Option<i64>,
    /// How many different reports came.
    pub versions: usize,
    /// It named another call or phone than this one.
    pub mismatch: bool,
}

/// The result's way into the CRM.
#[derive(Debug, Serialize, ToSchema)]
pub struct WriteBackView {
    /// none, waiting, pending, logged or failed.
    pub status: String,
    pub kinds: BTreeMap<String, KindView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct KindView {
    /// The entry's id in the CRM.
    pub entry: Option<String>,
    /// The report version that is written there.
    pub version: Option<u16>,
    /// Why it was given up.
    pub failed: Option<String>,
}

/// One try of an outbound request.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptView {
    pub id: String,
    /// place, lookup, write_back or forward.
    pub leg: String,
    /// Which look-up, or kind and step of a write-back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    pub number: u32,
    #[schema(format = DateTime)]
    pub at: String,
    pub duration_ms: u64,
    /// The HTTP status that came.
    pub status: Option<u16>,
    /// `ok`, or the class of failure.
    pub class: String,
    pub detail: String,
    #[schema(format = DateTime)]
    pub next_at: Option<String>,
}

/// A call with its attempts and what it waits for.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallDetail {
    #[serde(flatten)]
    pub call: CallView,
    /// Why it is not placed yet; null when it waits for nothing.
    pub waits: Option<Wait>,
    pub attempts: Vec<AttemptView>,
    /// What the phone sent, as it came, where it cannot be read or names another call or phone. Cut, and without secrets.
    pub flagged_reports: Vec<String>,
}

impl CallView {
    /// `policy`: the rules that it goes by, if they are known.
    pub fn of(call: &Call, unit: DurationUnit, policy: Option<&Policy>) -> Self {
        let ended = call.ended_at.unwrap_or(call.created_at);
        let reason = |code: Code| policy.map_or_else(|| code.into(), |policy| Reason::at(code, policy, ended));
        Self {
            id: call.id.to_string(),
            workspace: call.workspace.to_string(),
            state: call.state.as_str().into(),
            connection: call.connection.as_ref().map(ToString::to_string),
            origin: OriginView::of(&call.origin),
            phone: call.phone.e164().into(),
            phone_national: call.phone.national(),
            customer: CustomerView {
                name: call.customer.name.clone(),
                gender: call.customer.gender.and_then(word),
                info: call.customer.info.clone(),
                phone_given: call.customer.phone.clone(),
            },
            record: RecordView { kind: call.record.kind.clone(), id: call.record.id.clone() },
            owner: call.owner.clone(),
            lines: call.lines.iter().map(ToString::to_string).collect(),
            line: call.line.as_ref().map(ToString::to_string),
            priority: if call.interactive { "interactive" } else { "automation" }.into(),
            test: call.is_test(),
            test_phone: call.test_phone.as_ref().filter(|_| call.is_test()).map(Phone::national),
            wished_at: call.wished_at.rfc3339(),
            created_at: call.created_at.rfc3339(),
            expires_at: call.expires_at.rfc3339(),
            placing_at: when(call.placing_at),
            placed_at: when(call.placed_at),
            reported_at: when(call.reported_at),
            ended_at: when(call.ended_at),
            report_deadline: when(call.deadline),
            refusal: call.refusal.map(reason),
            reason: call.reason.clone(),
            held_by: call.held_by.map(reason),
            placings: call.placings,
            report: ReportView::of(call, unit),
            write_back: WriteBackView::of(&call.write_back),
            after: AfterView { set: call.after.set.clone(), again: call.after.again.map(|id| id.to_string()), again_at: when(call.after.again_at) },
        }
    }
}

/// The public word of a value that serde writes as one.
fn word(value: impl Serialize) -> Option<String> {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned))
}

impl OriginView {
    fn of(origin: &Origin) -> Self {
        let mut view = Self { kind: origin.as_str().into(), event: None, item: None, by: None, redial_of: None, again_of: None, round: None, reason: None };
        match origin {
            Origin::Item { event, index } => (view.event, view.item) = (Some(event.to_string()), Some(*index)),
            Origin::Api { key } | Origin::DropIn { key } => view.by = Some(key.clone()),
            Origin::Hand { by } => view.by = Some(by.clone()),
            Origin::Again { of, round, .. } => (view.again_of, view.round) = (Some(of.to_string()), Some(*round)),
            Origin::Redial { of, by, reason } => {
                (view.redial_of, view.by, view.reason) = (Some(of.to_string()), Some(by.clone()), Some(reason.clone()));
            }
        }
        view
    }
}

impl ReportView {
    fn of(call: &Call, unit: DurationUnit) -> Option<Self> {
        let report = call.report.as_ref()?;
        let (call_seconds, answer_seconds) = report.seconds(unit, call.longest_secs());
        Some(Self {
            disposition: report.disposition().as_str().into(),
            interest: report.interest().as_str().into(),
            call_seconds,
            answer_seconds,
            sim: report.sim.clone(),
            sms_sent: report.send_sms,
            sms_content: report.sms_content.clone(),
            notes: report.notes.clone(),
            call_status: report.call_status,
            versions: call.report_digests.len(),
            mismatch: call.report_mismatch,
        })
    }
}

impl WriteBackView {
    fn of(write_back: &WriteBack) -> Self {
        let kind = |state: &crate::domain::write_back::KindState| KindView { entry: state.entry.clone(), version: state.version, failed: state.failed.clone() };
        Self { status: write_back.status.as_str().into(), kinds: write_back.kinds.iter().map(|(name, state)| (name.clone(), kind(state))).collect() }
    }
}

impl AttemptView {
    pub fn of(attempt: &Attempt) -> Self {
        let (leg, step) = match &attempt.leg {
            Leg::Place => ("place", None),
            Leg::Lookup { name } => ("lookup", Some(name.clone())),
            Leg::WriteBack { kind, step } => ("write_back", Some(format!("{kind}/{step}"))),
            Leg::Forward => ("forward", None),
        };
        Self {
            id: attempt.id.to_string(),
            leg: leg.into(),
            step,
            number: attempt.number,
            at: attempt.at.rfc3339(),
            duration_ms: attempt.duration_ms,
            status: attempt.status,
            class: attempt.class.clone(),
            detail: attempt.detail.clone(),
            next_at: when(attempt.next_at),
        }
    }
}
