//! Running a case: webhook → select, verify, parse, split, map → look-ups → call → report → write-back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value as Json, json};

use super::ask::Transcript;
use super::compare;
use super::file::{Case, Exchange, Round};
use crate::domain::report::{DurationUnit, Report};
use crate::domain::request::Verdict;
use crate::error::Code;
use crate::plugin::context::{CallFacts, ReportFacts, WriteBack};
use crate::plugin::note::{NoteKind, Notes};
use crate::plugin::{
    LookupContext, LookupOutcome, MapContext, Mapped, Params, ParseError, Piece, Plugin, Reply, Step, Tokens, Variant, VerifyError, WriteBackKind, phone,
};

/// The id of every call in a case.
const CALL_ID: &str = "call_00000000000000000000000000";

/// What a run found.
#[derive(Debug, Clone, Default)]
pub struct CaseResult {
    /// In sentences; none: the case holds.
    pub mismatches: Vec<String>,
    /// Files as they would have to be for the case to hold, by name.
    pub blessed: BTreeMap<String, String>,
    /// The outcome of each item: `called`, `ignored:<code>`, `refused:<code>`, `waiting`, `failed`; or one `rejected:<code>`.
    pub outcomes: Vec<String>,
}

impl Plugin {
    /// Runs a case.
    pub fn run_case(&self, case: &Case) -> CaseResult {
        let pairs = case.lookups.iter().flat_map(|(_, pairs)| pairs.iter().cloned()).collect();
        let mut params = self.with_defaults(&case.parameters);
        params.extend(case.stored.clone());
        let tokens = Tokens { values: case.tokens.clone(), ends_at: None };
        let logins = case.logins.iter().flat_map(|(_, pairs)| pairs.iter().cloned()).collect();
        let mut run =
            Run { plugin: self, case, params, result: CaseResult::default(), tokens, logins, logged_in: Vec::new(), lookups: pairs, looked_up: Vec::new() };
        run.result.mismatches.extend(self.check_params(&case.parameters));
        run.start();
        run.result
    }
}

pub(super) struct Run<'a> {
    pub(super) plugin: &'a Plugin,
    pub(super) case: &'a Case,
    pub(super) params: Params,
    pub(super) result: CaseResult,
    pub(super) tokens: Tokens,
    pub(super) logins: VecDeque<Exchange>,
    pub(super) logged_in: Vec<String>,
    pub(super) lookups: VecDeque<Exchange>,
    pub(super) looked_up: Vec<String>,
}

/// What the write-back of earlier rounds left.
#[derive(Default)]
struct Entry {
    id: Option<String>,
    steps: Map<String, Json>,
}

impl<'a> Run<'a> {
    pub(super) fn miss(&mut self, message: String) {
        self.result.mismatches.push(message);
    }

    fn start(&mut self) {
        let called = match self.receive() {
            Ok((variant, items, body)) => {
                self.status(Reply::Stored);
                self.items(variant, &items, &body)
            }
            Err((code, reply)) => {
                self.status(reply);
                self.result.outcomes.push(format!("rejected:{code}"));
                Vec::new()
            }
        };
        if !self.lookups.is_empty() {
            self.miss(format!("{} look-up(s) of the case were not asked for", self.lookups.len()));
        }
        if let Some((file, _)) = self.case.lookups.first() {
            self.result.blessed.insert(file.clone(), self.looked_up.join("===\n"));
        }
        self.outcomes();
        self.calls(&called);
        match called.first() {
            Some(mapped) => self.write_back(mapped),
            None if !self.case.rounds.is_empty() => self.miss("nothing was called, so nothing is written back".to_owned()),
            None => {}
        }
        if !self.logins.is_empty() {
            self.miss(format!("{} request(s) of the login were not made", self.logins.len()));
        }
        if let Some((file, _)) = &self.case.logins {
            self.result.blessed.insert(file.clone(), self.logged_in.join("===\n"));
        }
    }

    fn status(&mut self, reply: Reply) {
        let spec = self.plugin.reply(reply, None);
        if let Some(status) = self.case.expect.status.filter(|status| *status != spec.status) {
            self.miss(format!("the CRM was to be told {status}, it is told {}", spec.status));
        }
    }

    fn receive(&self) -> Result<(&'a Variant, Vec<Piece>, Json), (Code, Reply)> {
        let (plugin, delivery) = (self.plugin, &self.case.webhook);
        let selected = plugin.select(delivery, &self.params).map_err(|code| (code, Reply::Unreadable))?;
        plugin.verify(selected.variant, delivery, selected.body.as_ref(), &self.params).map_err(|error| match error {
            VerifyError::Missing => (Code::MissingSignature, Reply::BadSignature),
            VerifyError::Mismatch => (Code::BadSignature, Reply::BadSignature),
            VerifyError::Stale { .. } => (Code::StaleSignature, Reply::Stale),
        })?;
        let unreadable = |error: ParseError| (error.code, Reply::Unreadable);
        let body = match selected.body {
            Some(body) => body,
            None => plugin.parse(selected.variant, delivery).map_err(unreadable)?,
        };
        let items = plugin.split(selected.variant, &body).map_err(unreadable)?;
        Ok((selected.variant, items, body))
    }

    /// Maps every item; gives those that are called.
    fn items(&mut self, variant: &Variant, items: &[Piece], body: &Json) -> Vec<Mapped> {
        let mut called = Vec::new();
        let mut seen = BTreeSet::new();
        for item in items {
            let outcome = match self.item(variant, item, body, &mut seen) {
                Ok(mapped) => {
                    called.push(mapped);
                    "called".to_owned()
                }
                Err(outcome) => outcome,
            };
            self.result.outcomes.push(outcome);
        }
        called
    }

    fn item(&mut self, variant: &Variant, piece: &Piece, body: &Json, seen: &mut BTreeSet<String>) -> Result<Mapped, String> {
        let (plugin, delivery, params) = (self.plugin, &self.case.webhook, self.params.clone());
        let item = piece.item(body);
        let mut lookups = Map::new();
        let context = MapContext { params: &params, body, query: &delivery.query, headers: &delivery.headers, lookups: &lookups };
        let mut mapped = plugin.map(variant, piece, &context).map_err(|error| {
            self.miss(error.to_string());
            "failed:map_failed".to_owned()
        })?;
        if let Some(code) = mapped.ignored {
            return Err(format!("ignored:{code}"));
        }
        if mapped.event_id.as_ref().is_some_and(|id| !seen.insert(id.clone())) {
            return Err("ignored:duplicate".to_owned());
        }
        let mut done = BTreeSet::new();
        loop {
            let context = LookupContext { params: &params, item, lookups: &lookups };
            let lookup = match plugin.next_lookup(&mapped, &context, &done) {
                Ok(Some(lookup)) => lookup,
                Ok(None) => break,
                Err(error) => {
                    self.miss(error.to_string());
                    return Err("failed:map_failed".to_owned());
                }
            };
            done.insert(lookup.name.clone());
            let place = format!("look-up {}", lookup.name);
            let compose = |with: &Params| plugin.compose_lookup(lookup, &mapped, &LookupContext { params: with, ..context }, &BTreeMap::new());
            let answer = self.ask(&lookup.request, &compose, Transcript::Lookups, &place).map_err(|error| {
                self.miss(error);
                "failed:lookup_failed".to_owned()
            })?;
            match plugin.apply_lookup(lookup, &answer, &mut mapped, &params, item, &mut lookups, self.case.clock) {
                LookupOutcome::Applied => {}
                LookupOutcome::NotThereYet => return Err("waiting".to_owned()),
                LookupOutcome::Failed { .. } => return Err("failed:lookup_failed".to_owned()),
            }
        }
        phone::check(&mapped.customer.phone).map_err(|code| format!("refused:{code}"))?;
        mapped.customer.phone = phone::forms(&mapped.customer.phone).1;
        Ok(mapped)
    }

    fn outcomes(&mut self) {
        let (expect, found) = (&self.case.expect, &self.result.outcomes);
        let expected: Vec<String> = if expect.outcomes.is_empty() {
            let one = if expect.code.is_empty() { expect.outcome.clone() } else { format!("{}:{}", expect.outcome, expect.code) };
            vec![one; expect.items.unwrap_or(1)]
        } else {
            expect.outcomes.clone()
        };
        // A code that the case does not name is not compared.
        let same = |expected: &String, found: &String| expected == found || found.split(':').next() == Some(expected.as_str());
        if expected.len() != found.len() || !expected.iter().zip(found).all(|(e, f)| same(e, f)) {
            let message = format!("expected {}, found {}", expected.join(", "), found.join(", "));
            self.miss(message);
        }
    }

    fn calls(&mut self, called: &[Mapped]) {
        let Some((file, expected)) = &self.case.call else { return };
        let asked = |mapped: &Mapped| {
            json!({
                "secretKey": "*", "customerPhone": mapped.customer.phone, "customerName": mapped.customer.name,
                "customerGender": mapped.customer.gender.map_or("", |gender| gender.dialer_word()), "customerInfo": mapped.customer.info,
                "callId": "*", "apiCallbackUrl": "*"
            })
        };
        let real = match expected {
            Json::Array(_) => Json::Array(called.iter().map(asked).collect()),
            _ => called.first().map_or(Json::Null, asked),
        };
        compare::json("call $", expected, &real, &mut self.result.mismatches);
        self.result.blessed.insert(file.clone(), format!("{real:#}\n"));
    }

    fn write_back(&mut self, mapped: &Mapped) {
        let mut entries: BTreeMap<&str, Entry> = BTreeMap::new();
        let case = self.case;
        for (index, round) in case.rounds.iter().enumerate() {
            let mut pairs: VecDeque<Exchange> = round.exchanges.iter().cloned().collect();
            let mut sent = Vec::new();
            let Some(facts) = self.report(round) else { return };
            for kind in ["call", "note", "field"].into_iter().filter_map(|name| self.plugin.kind(name, &self.params)).collect::<Vec<_>>() {
                self.kind(kind, mapped, facts.as_ref(), index, &mut entries, &mut pairs, &mut sent);
            }
            // A report without a file of its write-back is not looked at further.
            let Some(file) = &round.file else { continue };
            if !pairs.is_empty() {
                self.miss(format!("{file}: {} request(s) were not sent", pairs.len()));
            }
            self.result.blessed.insert(file.clone(), sent.join("===\n"));
        }
    }

    /// The report of a round; `None` when it cannot be read.
    fn report(&mut self, round: &Round) -> Option<Option<Report>> {
        let Some(body) = &round.report else { return Some(None) };
        match Report::read(body) {
            Ok(report) => Some(Some(report)),
            Err(error) => {
                self.miss(format!("the report cannot be read: {error}"));
                None
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one round's working state, used only here")]
    fn kind(
        &mut self,
        kind: &'a WriteBackKind,
        mapped: &Mapped,
        report: Option<&Report>,
        index: usize,
        entries: &mut BTreeMap<&'a str, Entry>,
        pairs: &mut VecDeque<Exchange>,
        sent: &mut Vec<String>,
    ) {
        let (case, plugin, params) = (self.case, self.plugin, self.params.clone());
        let call = CallFacts { kept: mapped.keep.clone(), ..self.facts(report.is_none()) };
        let facts = report.map(|report| {
            let (call_seconds, answer_seconds) = report.seconds(DurationUnit::Auto, None);
            ReportFacts { report, call_seconds, answer_seconds, version: u32::try_from(index + 1).unwrap_or(1) }
        });
        let (owner, language) = (mapped.owner.as_deref(), case.language.as_str());
        let parts = WriteBack { record: &mapped.record, owner, customer: &mapped.customer, call: &call, report: facts, language };
        let note_kind = report.map_or(NoteKind::Lost, |report| report.disposition().into());
        let note = match Notes::shipped().render(note_kind, language, None, parts.for_note()) {
            Ok(note) => note,
            Err(error) => return self.miss(error.to_string()),
        };
        let entry = entries.entry(kind.name).or_default();
        let first = entry.id.is_none() && entry.steps.is_empty();
        let steps: &[Step] = match (first, kind.update.is_empty()) {
            (true, _) => &kind.create,
            (false, false) => &kind.update,
            (false, true) => &kind.correction,
        };
        match plugin.holds(&kind.conditions, &parts.context(&note, entry.id.as_deref(), &entry.steps), &params) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return self.miss(error.to_string()),
        }
        for step in steps.iter().filter(|step| plugin.in_mode(&step.request, &params)) {
            let context = parts.context(&note, entry.id.as_deref(), &entry.steps);
            match plugin.holds(&step.conditions, &context, &params) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => return self.miss(error.to_string()),
            }
            match self.step(kind, step, &context, pairs, sent) {
                Ok(Some(kept)) => {
                    if let (true, Some(id)) = (first, kept.get("id").and_then(Json::as_str)) {
                        entry.id = Some(id.to_owned());
                    }
                    entry.steps.insert(step.name.clone(), Json::Object(kept));
                    let context = parts.context(&note, entry.id.as_deref(), &entry.steps);
                    match plugin.holds(&step.done_if, &context, &params) {
                        Ok(true) if !step.done_if.is_empty() => return,
                        Ok(_) => {}
                        Err(error) => return self.miss(error.to_string()),
                    }
                }
                Ok(None) => return,
                Err(message) => return self.miss(message),
            }
        }
    }

    /// The call as every case has it: each moment of it is the clock.
    fn facts(&self, lost: bool) -> CallFacts {
        let clock = Some(self.case.clock);
        CallFacts {
            id: CALL_ID.to_owned(),
            state: if lost { "lost" } else { "ended" }.to_owned(),
            line: "test".to_owned(),
            connection: self.plugin.id().to_owned(),
            created_at: clock,
            placed_at: clock,
            started_at: clock,
            ended_at: clock,
            refusal: lost.then(|| Code::Lost.to_string()),
            reason: lost.then(|| Code::Lost.sentence(&self.case.language).to_owned()),
            ..CallFacts::default()
        }
    }

    /// Sends one step to the transcript; `None`: its answer ends this kind.
    fn step(
        &mut self,
        kind: &WriteBackKind,
        step: &Step,
        context: &Json,
        pairs: &mut VecDeque<Exchange>,
        sent: &mut Vec<String>,
    ) -> Result<Option<Map<String, Json>>, String> {
        let (plugin, clock) = (self.plugin, self.case.clock);
        let place = format!("write-back {} {}", kind.name, step.name);
        let compose = |with: &Params| plugin.compose(&step.request, context, with, &BTreeMap::new(), clock);
        let answer = self.ask(&step.request, &compose, Transcript::Pairs { pairs, sent }, &place)?;
        if plugin.verdict(&step.request, &self.params, &answer, clock).0 != Verdict::Done {
            return Ok(None);
        }
        plugin.stored(step, &answer, context, &self.params).map(Some).map_err(|error| error.to_string())
    }
}
