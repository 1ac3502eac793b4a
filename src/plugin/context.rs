//! The context of write-back templates, built from what is known of a call: every declared name is there, null when absent.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::note::Note;
use super::phone;
use crate::domain::record::{Customer, RecordRef};
use crate::domain::report::Report;
use crate::domain::time::Time;

/// Times in notes, where a connection says nothing else.
const ZONE: &str = "Asia/Ho_Chi_Minh";

/// What templates may know of a call.
#[derive(Debug, Clone, Default)]
pub struct CallFacts {
    pub id: String,
    pub state: String,
    pub line: String,
    /// What people call the line.
    pub line_name: String,
    pub connection: String,
    pub created_at: Option<Time>,
    pub placed_at: Option<Time>,
    pub started_at: Option<Time>,
    pub ended_at: Option<Time>,
    /// The code of a refusal, and its sentence in the connection's language.
    pub refusal: Option<String>,
    pub reason: Option<String>,
    /// What `receive.keep` kept of the delivery.
    pub kept: BTreeMap<String, String>,
    /// What the person who reads that can do.
    pub advice: Option<String>,
    /// Of the connection; empty reads as Vietnam's.
    pub time_zone: String,
    /// Test mode, and the number that was called instead of the customer's.
    pub test: bool,
    pub test_phone: Option<String>,
    /// Set from the second call of a row that a rule made.
    pub round: Option<u32>,
    /// When a rule will have the customer called again.
    pub again_at: Option<Time>,
    /// The number was put on the do-not-call list.
    pub listed: bool,
    /// What the connection's rules say about this result, by name.
    pub after: Map<String, Json>,
}

/// What templates may know of the newest report.
#[derive(Debug, Clone)]
pub struct ReportFacts<'a> {
    pub report: &'a Report,
    pub call_seconds: i64,
    pub answer_seconds: i64,
    /// 1 for the first report.
    pub version: u32,
}

impl CallFacts {
    /// A call that was reported: it ended when it had lasted so long. Its report comes later, and once more when notes are typed.
    #[must_use]
    pub fn lasting(mut self, call_seconds: i64) -> Self {
        let length = Duration::from_secs(u64::try_from(call_seconds).unwrap_or(0));
        self.ended_at = self.started_at.map(|at| at.plus(length));
        self
    }
}

/// Everything a call's write-back is rendered from.
#[derive(Debug, Clone)]
pub struct WriteBack<'a> {
    pub record: &'a RecordRef,
    pub owner: Option<&'a str>,
    pub customer: &'a Customer,
    pub call: &'a CallFacts,
    pub report: Option<ReportFacts<'a>>,
    pub language: &'a str,
}

impl WriteBack<'_> {
    /// The context without note, entry and steps: what note texts see.
    pub fn for_note(&self) -> Json {
        let (e164, national) = phone::forms(&self.customer.phone);
        let (record, customer, call) = (self.record, self.customer, self.call);
        let time = |time: Option<Time>| time.map(Time::rfc3339);
        json!({
            "record": {"type": text(&record.kind), "id": text(&record.id)},
            "owner": self.owner,
            "customer": {
                "phone": text(&national), "phone_e164": text(&e164), "phone_national": text(&national), "name": text(&customer.name),
                "gender": customer.gender, "info": text(&customer.info)
            },
            "call": {
                "id": text(&call.id), "state": text(&call.state), "line": text(&call.line),
                "line_name": text(if call.line_name.is_empty() { &call.line } else { &call.line_name }), "connection": text(&call.connection),
                "created_at": time(call.created_at), "placed_at": time(call.placed_at), "started_at": time(call.started_at),
                "ended_at": time(call.ended_at), "refusal": call.refusal, "reason": call.reason, "advice": call.advice,
                "time_zone": text(&call.time_zone).unwrap_or(ZONE), "test": call.test, "test_phone": call.test_phone,
                "round": call.round, "again_at": time(call.again_at), "listed": call.listed, "marker": marker(&call.id)
            },
            "after": if call.after.is_empty() { Json::Null } else { Json::Object(call.after.clone()) },
            "report": self.report_json(),
            "language": self.language
        })
    }

    /// The whole context of a kind; `entry` is the id of the entry it created, `steps` what its steps stored.
    pub fn context(&self, note: &Note, kind: &str, entry: Option<&str>, steps: &Map<String, Json>) -> Json {
        of_kind(self.with_note(self.for_note(), note), kind, entry, steps)
    }

    /// What every kind of a call has in common, from what the note was made of.
    pub fn with_note(&self, mut context: Json, note: &Note) -> Json {
        if let Json::Object(map) = &mut context {
            map.insert("note".to_owned(), json!({"text": note.text, "html": note.html, "markdown": note.markdown, "title": note.title}));
            map.insert("event".to_owned(), json!(self.call.kept));
        }
        context
    }

    fn report_json(&self) -> Json {
        let Some(facts) = &self.report else {
            return json!({
                "disposition": null, "interest": null, "call_status": null, "sim": null, "call_seconds": null, "answer_seconds": null,
                "send_sms": null, "sms_content": null, "notes": null, "version": null
            });
        };
        let report = facts.report;
        json!({
            "disposition": report.disposition().as_str(), "interest": report.interest().as_str(), "call_status": report.call_status,
            "sim": text(&report.sim), "call_seconds": facts.call_seconds, "answer_seconds": facts.answer_seconds, "send_sms": report.send_sms,
            "sms_content": text(&report.sms_content), "notes": text(&report.notes), "version": facts.version
        })
    }
}

/// The context of one kind, from what all have in common.
pub fn of_kind(mut context: Json, kind: &str, entry: Option<&str>, steps: &Map<String, Json>) -> Json {
    if let Json::Object(map) = &mut context {
        let correction = map["call"]["marker"].as_str().and_then(|marker| marker.strip_suffix(']')).map(|marker| format!("{marker}-{kind}-2]"));
        map.insert("entry".to_owned(), json!({"id": entry, "correction": correction}));
        map.insert("steps".to_owned(), Json::Object(steps.clone()));
    }
    context
}

/// A short text that stands in no other call's entry: the random end of the call's id.
fn marker(id: &str) -> Option<String> {
    let from = id.char_indices().rev().nth(9).map(|(at, _)| at)?;
    Some(format!("[cb-{}]", &id[from..]))
}

fn text(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
