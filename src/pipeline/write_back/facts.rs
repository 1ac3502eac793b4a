//! What templates are told of a call, or of an item that was refused before it became one.

use serde_json::{Map, Value};

use super::super::app::{App, Wired};
use crate::domain::after::tried;
use crate::domain::call::{Call, State};
use crate::domain::id::{EventId, crockford};
use crate::domain::item::Item;
use crate::domain::record::{Customer, RecordRef};
use crate::domain::report::Report;
use crate::error::Code;
use crate::plugin::context::{CallFacts, ReportFacts, WriteBack, of_kind};
use crate::plugin::note::{Note, NoteKind, Notes};
use crate::plugin::template::RenderError;

/// A note and the facts for templates, rendered once per run.
pub struct Facts<'a> {
    record: &'a RecordRef,
    owner: Option<&'a str>,
    report: Option<&'a Report>,
    versions: usize,
    /// With the number as it was dialled, in its national form.
    customer: Customer,
    facts: CallFacts,
    seconds: (i64, i64),
    language: &'a str,
    note: Note,
    /// What every kind's context has in common.
    common: Value,
}

impl<'a> Facts<'a> {
    pub fn of_call(app: &App, wired: &'a Wired, call: &'a Call) -> Result<Self, RenderError> {
        let seconds = call.report.as_ref().map_or((0, 0), |r| r.seconds(app.tuning.duration_unit, call.longest_secs()));
        let facts = facts_of(app, wired, call);
        let this = Self {
            record: &call.record,
            owner: call.owner.as_deref(),
            report: call.report.as_ref(),
            versions: call.report_digests.len(),
            customer: Customer { phone: call.phone.national(), ..call.customer.clone() },
            facts: if call.report.is_some() { facts.lasting(seconds.0) } else { facts },
            seconds,
            language: wired.connection.language.as_str(),
            note: Note::default(),
            common: Value::Null,
        };
        // The texts that ship say it themselves; nobody may take one's own for a call to the customer either.
        let head = (call.is_test() && wired.notes.contains_key(&kind_of(call))).then_some(if this.language == "vi" { "[GỌI THỬ]" } else { "[TEST]" });
        this.with_note(wired, kind_of(call), head)
    }

    /// Of an item that was refused with `code`: its id stands for the call there is not.
    pub fn of_item(wired: &'a Wired, event: EventId, index: u16, item: &'a Item, code: Code) -> Result<Self, RenderError> {
        let language = wired.connection.language.as_str();
        let mut id = event.0;
        for (byte, low) in id.iter_mut().rev().zip(index.to_le_bytes()) {
            *byte ^= low;
        }
        let facts = CallFacts {
            id: format!("item_{}", crockford(id)),
            state: State::Refused.as_str().to_owned(),
            connection: wired.connection.title().to_owned(),
            created_at: Some(item.at),
            started_at: Some(item.at),
            ended_at: Some(item.at),
            refusal: Some(code.as_str().to_owned()),
            reason: Some(code.sentence(language).to_owned()),
            advice: Some(code.advice(language).to_owned()),
            time_zone: wired.connection.time_zone.clone(),
            ..CallFacts::default()
        };
        let customer = item.customer.clone();
        let this = Self {
            record: &item.record,
            owner: None,
            report: None,
            versions: 0,
            customer,
            facts,
            seconds: (0, 0),
            language,
            note: Note::default(),
            common: Value::Null,
        };
        this.with_note(wired, NoteKind::Refused, None)
    }

    /// The record that is written to.
    pub fn record(&self) -> &RecordRef {
        self.record
    }

    fn with_note(mut self, wired: &Wired, kind: NoteKind, head: Option<&str>) -> Result<Self, RenderError> {
        let context = self.borrowed().for_note();
        let note = Notes::shipped().render(kind, self.language, wired.notes.get(&kind), &context)?;
        self.note = head.map_or_else(|| note.clone(), |head| note.headed(head));
        self.common = self.borrowed().with_note(context, &self.note);
        Ok(self)
    }

    fn borrowed(&self) -> WriteBack<'_> {
        WriteBack {
            record: self.record,
            owner: self.owner,
            customer: &self.customer,
            call: &self.facts,
            report: self.report.map(|report| ReportFacts {
                report,
                call_seconds: self.seconds.0,
                answer_seconds: self.seconds.1,
                version: u32::try_from(self.versions).unwrap_or(u32::MAX),
            }),
            language: self.language,
        }
    }

    /// The context for one request.
    pub fn context(&self, kind: &str, entry: Option<&str>, steps: &Map<String, Value>) -> Value {
        of_kind(self.common.clone(), kind, entry, steps)
    }
}

fn kind_of(call: &Call) -> NoteKind {
    match (&call.report, call.state) {
        (Some(report), _) => NoteKind::from(report.disposition()),
        (None, State::Expired) => NoteKind::Expired,
        (None, State::Cancelled) => NoteKind::Cancelled,
        (None, State::Refused) => NoteKind::Refused,
        (None, _) => NoteKind::Lost,
    }
}

fn facts_of(app: &App, wired: &Wired, call: &Call) -> CallFacts {
    let language = wired.connection.language.as_str();
    let code = call.refusal.filter(|_| call.report.is_none());
    let test = call.labels.get("mode").is_some_and(|mode| mode == "test");
    let line = call.line.as_ref().map(|id| (id.to_string(), app.live.load().lines.get(id).map_or_else(|| id.to_string(), |line| line.title().to_owned())));
    let (line, line_name) = line.unwrap_or_default();
    let (policy, ended) = (app.live.load().policy(Some(&wired.connection.id), &call.workspace), call.ended_at.unwrap_or(call.created_at));
    let sentence = |c: Code| policy.as_ref().map_or_else(|| c.sentence(language).to_owned(), |policy| policy.sentence(c, ended, language));
    CallFacts {
        id: call.id.to_string(),
        state: call.state.as_str().to_owned(),
        line,
        line_name,
        connection: wired.connection.title().to_owned(),
        created_at: Some(call.created_at),
        placed_at: call.placed_at.or(call.placing_at.filter(|_| call.ever_sent)),
        started_at: call.placed_at.or(call.placing_at).or(Some(call.created_at)),
        ended_at: call.ended_at.or(call.reported_at),
        refusal: code.map(|c| c.as_str().to_owned()),
        reason: code.map(|c| [Some(c), call.held_by].into_iter().flatten().map(sentence).collect::<Vec<_>>().join(": ")),
        advice: code.map(|c| c.advice(language).to_owned()),
        time_zone: wired.connection.time_zone.clone(),
        test,
        test_phone: call.test_phone.as_ref().filter(|_| test).map(crate::domain::phone::Phone::national),
        round: Some(tried(&call.origin).0 + 1).filter(|round| *round > 1),
        again_at: call.after.again_at,
        listed: call.after.listed,
        kept: call.kept().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        after: call.after.set.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect(),
    }
}
