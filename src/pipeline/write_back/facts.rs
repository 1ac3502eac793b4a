//! What templates are told of a call.

use serde_json::{Map, Value};

use super::super::app::{App, Wired};
use crate::domain::call::{Call, State};
use crate::domain::record::Customer;
use crate::error::Code;
use crate::plugin::context::{CallFacts, ReportFacts, WriteBack};
use crate::plugin::note::{Note, NoteKind, Notes};
use crate::plugin::template::RenderError;

/// A call's note and the facts for its templates, rendered once per run.
pub struct Facts<'a> {
    call: &'a Call,
    /// With the number as it was dialled, in its national form.
    customer: Customer,
    facts: CallFacts,
    seconds: (i64, i64),
    language: &'a str,
    pub note: Note,
}

impl<'a> Facts<'a> {
    pub fn new(app: &App, wired: &'a Wired, call: &'a Call) -> Result<Self, RenderError> {
        let language = wired.connection.language.as_str();
        let since_placing = call.placing_at.zip(call.reported_at).map(|(from, to)| i64::try_from(to.since(from).as_secs()).unwrap_or(i64::MAX));
        let seconds = call.report.as_ref().map_or((0, 0), |r| r.seconds(app.tuning.duration_unit, since_placing));
        let code = call.refusal.filter(|_| call.report.is_none());
        let reason = code.map(|code| match &call.reason {
            Some(detail) if code == Code::ConnectionOff => detail.clone(),
            _ => code.sentence(language).to_owned(),
        });
        let facts = CallFacts {
            id: call.id.to_string(),
            state: call.state.as_str().to_owned(),
            line: call.line.as_ref().map(ToString::to_string).unwrap_or_default(),
            connection: wired.connection.title().to_owned(),
            created_at: Some(call.created_at),
            placed_at: call.placed_at.or(call.placing_at.filter(|_| call.ever_sent)),
            started_at: call.placed_at.or(call.placing_at).or(Some(call.created_at)),
            ended_at: call.reported_at.or(call.ended_at),
            refusal: code.map(|c| c.as_str().to_owned()),
            reason,
        };
        let customer = Customer { phone: call.phone.national(), ..call.customer.clone() };
        let mut this = Self { call, customer, facts, seconds, language, note: Note::default() };
        this.note = Notes::shipped().render(this.kind(), language, None, &this.borrowed().for_note())?;
        Ok(this)
    }

    fn kind(&self) -> NoteKind {
        match (&self.call.report, self.call.state) {
            (Some(report), _) => NoteKind::from(report.disposition()),
            (None, State::Expired) => NoteKind::Expired,
            (None, State::Cancelled) => NoteKind::Cancelled,
            (None, State::Refused) => NoteKind::Refused,
            (None, _) => NoteKind::Lost,
        }
    }

    fn borrowed(&self) -> WriteBack<'_> {
        WriteBack {
            record: &self.call.record,
            owner: self.call.owner.as_deref(),
            customer: &self.customer,
            call: &self.facts,
            kept: &self.call.kept,
            report: self.call.report.as_ref().map(|report| ReportFacts {
                report,
                call_seconds: self.seconds.0,
                answer_seconds: self.seconds.1,
                version: u32::try_from(self.call.report_digests.len()).unwrap_or(u32::MAX),
            }),
            language: self.language,
        }
    }

    /// The context for one request.
    pub fn context(&self, entry: Option<&str>, steps: &Map<String, Value>) -> Value {
        self.borrowed().context(&self.note, entry, steps)
    }
}
