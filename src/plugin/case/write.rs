//! The write-back of a case: what one run after another of its task would send. A run stops at an answer that asks for another try;
//! while the file has pairs left, the next run goes on from there, and looks for the entry first where it may have been made.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::ask::{Asking, Transcript, Unasked};
use super::exchange::UNREADABLE;
use super::file::Round;
use super::run::Run;
use crate::domain::record::RecordRef;
use crate::domain::report::{DurationUnit, Report};
use crate::domain::request::{Answer, Verdict};
use crate::error::Code;
use crate::plugin::context::{CallFacts, ReportFacts, WriteBack, of_kind};
use crate::plugin::manifest::Identity;
use crate::plugin::note::{NoteKind, Notes};
use crate::plugin::respond::StoreError;
use crate::plugin::value::Condition;
use crate::plugin::{Find, Mapped, Params, Request, Step, WriteBackKind};

/// The id of every call in a case.
const CALL_ID: &str = "call_00000000000000000000000000";

/// What is known of a kind's entry.
#[derive(Default)]
struct Entry {
    id: Option<String>,
    steps: Map<String, Json>,
    /// The round it shows.
    shown: Option<usize>,
    corrected: bool,
    /// It will never be written.
    failed: bool,
    /// A request may have made it whose answer said nothing about that.
    unclear: bool,
    /// It was found, and may show the report of before.
    found: bool,
    /// It was unclear before.
    doubted: bool,
}

/// What a run came to.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Done,
    /// Another try later; what comes after it waits, too.
    Later,
    Never,
}

/// One round on its way: what its templates see, and the pairs of its file.
struct Writing {
    /// What is written to.
    record: RecordRef,
    /// What every kind's context has in common.
    common: Json,
    index: usize,
    transcript: Transcript,
}

impl Writing {
    fn context(&self, kind: &WriteBackKind, entry: &Entry) -> Json {
        of_kind(self.common.clone(), kind.name, entry.id.as_deref(), &entry.steps)
    }
}

impl<'a> Run<'a> {
    pub(super) fn write_back(&mut self, mapped: &Mapped) {
        let mut entries = BTreeMap::new();
        self.rounds(mapped, &mut entries);
        self.result.entries = entries.into_iter().map(|(kind, entry)| (kind, (entry.id, entry.steps))).collect();
    }

    fn rounds(&mut self, mapped: &Mapped, entries: &mut BTreeMap<&'static str, Entry>) {
        let (plugin, case) = (self.plugin, self.case);
        for (index, round) in case.rounds.iter().enumerate() {
            let Some(report) = self.report(round) else { return };
            let facts = report.as_ref().map(|report| {
                let (call_seconds, answer_seconds) = report.seconds(DurationUnit::Auto, None);
                ReportFacts { report, call_seconds, answer_seconds, version: u32::try_from(index + 1).unwrap_or(1) }
            });
            let call = CallFacts { kept: mapped.keep.clone(), ..self.facts(report.is_none()) };
            let call = if let Some(facts) = &facts { call.lasting(facts.call_seconds) } else { call };
            let (owner, language) = (mapped.owner.as_deref(), case.language.as_str());
            let parts = WriteBack { record: &mapped.record, owner, customer: &mapped.customer, call: &call, report: facts, language };
            let note_kind = report.as_ref().map_or(NoteKind::Lost, |report| report.disposition().into());
            let context = parts.for_note();
            let common = match Notes::shipped().render(note_kind, language, None, &context) {
                Ok(note) => parts.with_note(context, &note),
                Err(error) => return self.miss(error.to_string()),
            };
            let mut writing = Writing { record: mapped.record.clone(), common, index, transcript: Transcript::new(&round.exchanges) };
            let kinds: Vec<&'a WriteBackKind> = ["call", "note", "field"].into_iter().filter_map(|name| plugin.kind(name, &self.params)).collect();
            loop {
                let before = writing.transcript.pairs.len();
                let stopped = kinds.iter().any(|kind| self.kind(kind, entries.entry(kind.name).or_default(), &mut writing) == Turn::Later);
                if !stopped || writing.transcript.pairs.is_empty() || writing.transcript.pairs.len() == before {
                    break;
                }
            }
            // A report without a file of its write-back is not looked at further.
            let Some(file) = &round.file else { continue };
            if !writing.transcript.pairs.is_empty() {
                self.miss(format!("{file}: {} request(s) were not sent", writing.transcript.pairs.len()));
            }
            if self.bless {
                self.result.blessed.insert(file.clone(), writing.transcript.blessed());
            }
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

    /// The call as every case has it: it began at the clock.
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
            after: self.case.after.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect(),
            ..CallFacts::default()
        }
    }

    fn kind(&mut self, kind: &WriteBackKind, entry: &mut Entry, writing: &mut Writing) -> Turn {
        if entry.failed || entry.shown == Some(writing.index) || !self.holds(&kind.conditions, &writing.context(kind, entry)) {
            return Turn::Done;
        }
        let turn = match (entry.shown, kind.update.is_empty(), kind.correction.is_empty() || entry.corrected) {
            (None, _, _) => self.create(kind, entry, writing),
            (Some(_), false, _) => self.update(kind, entry, writing),
            (Some(_), true, false) => self.correct(kind, entry, writing),
            (Some(_), true, true) => Turn::Done,
        };
        match turn {
            Turn::Done => entry.shown = Some(writing.index),
            Turn::Never => entry.failed = true,
            Turn::Later => {}
        }
        turn
    }

    fn holds(&mut self, conditions: &[Condition], context: &Json) -> bool {
        self.plugin.holds(conditions, context, &self.params).unwrap_or_else(|error| {
            self.miss(error.to_string());
            false
        })
    }

    /// An update made twice is the same update.
    fn update(&mut self, kind: &WriteBackKind, entry: &mut Entry, writing: &mut Writing) -> Turn {
        let turn = self.steps(kind, &kind.update, false, entry, writing);
        entry.unclear = false;
        turn
    }

    fn correct(&mut self, kind: &WriteBackKind, entry: &mut Entry, writing: &mut Writing) -> Turn {
        let found = match &kind.correction_find {
            Some(find) if std::mem::take(&mut entry.unclear) => self.search(kind, find, "correction_find", entry, writing),
            _ => Ok(Map::new()),
        };
        let turn = match found {
            Ok(found) if found.contains_key("id") => Turn::Done,
            Ok(_) => self.steps(kind, &kind.correction, false, entry, writing),
            Err(turn) => {
                entry.unclear = true;
                return turn;
            }
        };
        // Where nothing tells whether it stands there, it is not sent again.
        let turn = if turn == Turn::Later && entry.unclear && !kind.tells_corrections() { Turn::Done } else { turn };
        entry.corrected = turn == Turn::Done;
        turn
    }

    fn create(&mut self, kind: &WriteBackKind, entry: &mut Entry, writing: &mut Writing) -> Turn {
        let searches = matches!(kind.identity, Identity::Searchable | Identity::Marker) && entry.id.is_none();
        if searches && std::mem::take(&mut entry.unclear) {
            match self.find(kind, entry, writing) {
                Turn::Done => {}
                turn => {
                    entry.unclear = true;
                    return turn;
                }
            }
        }
        // What was only read is read again with the step that uses it: it may have changed.
        for step in kind.create.iter().filter(|step| step.reads && !step.gives_entry()) {
            entry.steps.remove(&step.name);
        }
        match self.steps(kind, &kind.create, true, entry, writing) {
            Turn::Done if entry.found => self.update(kind, entry, writing),
            turn => turn,
        }
    }

    /// Looks for an entry that may have been made, and takes it.
    fn find(&mut self, kind: &WriteBackKind, entry: &mut Entry, writing: &mut Writing) -> Turn {
        let Some(find) = &kind.find else { return Turn::Done };
        let found = match self.search(kind, find, "find", entry, writing) {
            Ok(found) => found,
            Err(turn) => return turn,
        };
        if let Some(id) = found.get("id").and_then(Json::as_str) {
            (entry.id, entry.found) = (Some(id.to_owned()), true);
            for step in &kind.create {
                entry.steps.entry(step.name.clone()).or_insert_with(|| Json::Object(found.clone()));
                if step.gives_entry() {
                    break;
                }
            }
        }
        Turn::Done
    }

    /// What a search found; nothing where there is no such entry.
    fn search(&mut self, kind: &WriteBackKind, find: &Find, name: &str, entry: &Entry, writing: &mut Writing) -> Result<Map<String, Json>, Turn> {
        let context = writing.context(kind, entry);
        if !self.plugin.in_mode(&find.request, &self.params) || !self.holds(&find.conditions, &context) {
            return Ok(Map::new());
        }
        let place = format!("write-back {} {name}", kind.name);
        match self.request(&find.request, &context, &place, None, writing)? {
            (answer, Verdict::Done) => self.plugin.found(find, &answer, &context, &self.params).map_err(|_| Turn::Later),
            (_, Verdict::Gone | Verdict::NotFound) => Ok(Map::new()),
            (_, Verdict::GiveUp) => Err(Turn::Never),
            _ => Err(Turn::Later),
        }
    }

    fn request(&mut self, request: &Request, context: &Json, place: &str, step: Option<&Step>, writing: &mut Writing) -> Result<(Answer, Verdict), Turn> {
        let params = self.params.clone();
        let unreadable = |answer: &Answer| step.is_some_and(|step| self.plugin.stored(step, answer, context, &params).is_err());
        let (plugin, clock) = (self.plugin, self.case.clock);
        let compose = |with: &Params| plugin.compose(request, context, with, &BTreeMap::new(), clock);
        self.ask(&Asking { request, compose: &compose, place, lookup: None, unreadable: Some(&unreadable) }, &mut writing.transcript).map_err(|why| match why {
            Unasked::Login => Turn::Later,
            Unasked::Fault(fault) => {
                if !self.is_expected(&fault) {
                    self.miss(fault);
                }
                Turn::Never
            }
        })
    }

    /// Goes through steps; where they `create`, those that are done are not done again.
    fn steps(&mut self, kind: &WriteBackKind, steps: &[Step], creates: bool, entry: &mut Entry, writing: &mut Writing) -> Turn {
        for step in steps {
            let behind = || steps.iter().skip_while(|s| s.name != step.name).skip(1);
            let read_for_nothing = step.reads && behind().next().is_some() && behind().all(|later| entry.steps.contains_key(&later.name));
            if creates && (entry.steps.contains_key(&step.name) || read_for_nothing) {
                continue;
            }
            let context = writing.context(kind, entry);
            if !self.plugin.in_mode(&step.request, &self.params) || !self.holds(&step.conditions, &context) {
                if creates {
                    entry.steps.insert(step.name.clone(), Json::Null);
                }
                continue;
            }
            let place = format!("write-back {} {}", kind.name, step.name);
            let (answer, verdict) = match self.request(&step.request, &context, &place, Some(step), writing) {
                Ok(asked) => asked,
                Err(turn) => return turn,
            };
            if !step.reads {
                self.wrote.push(writing.record.clone());
                match self.plugin.written(step, &context, &self.params) {
                    Ok(records) => self.wrote.extend(records),
                    Err(error) => self.miss(error.to_string()),
                }
            }
            match verdict {
                Verdict::Done => {}
                Verdict::GiveUp | Verdict::Gone | Verdict::NotFound => return Turn::Never,
                Verdict::Retry { .. } | Verdict::RefreshToken | Verdict::Misconfigured => {
                    entry.unclear |= !step.reads && verdict.is_unclear(answer.status);
                    return Turn::Later;
                }
            }
            match self.plugin.stored(step, &answer, &context, &self.params) {
                Ok(kept) => {
                    if let (true, Some(id)) = (creates, kept.get("id").and_then(Json::as_str)) {
                        entry.id.get_or_insert_with(|| id.to_owned());
                    }
                    entry.steps.insert(step.name.clone(), Json::Object(kept));
                }
                // A maintenance page is no empty field: it is read again.
                Err(StoreError::NotJson { .. } | StoreError::Page { .. }) if step.reads => return Turn::Later,
                Err(error) if self.result.classes.last().is_some_and(|class| class == UNREADABLE) => return unread(kind, step, creates, entry, &error),
                Err(error) => {
                    self.miss(error.to_string());
                    return Turn::Never;
                }
            }
            if !step.done_if.is_empty() && self.holds(&step.done_if, &writing.context(kind, entry)) {
                return Turn::Done;
            }
        }
        Turn::Done
    }
}

/// A success that does not say what was made: again where that cannot double.
fn unread(kind: &WriteBackKind, step: &Step, creates: bool, entry: &mut Entry, error: &StoreError) -> Turn {
    let doubles = match kind.identity {
        Identity::ClientId => false,
        Identity::None => true,
        Identity::Searchable | Identity::Marker => entry.doubted && matches!(error, StoreError::Absent { .. }),
    };
    (entry.unclear, entry.doubted) = (!step.reads, true);
    if creates && !step.reads && doubles { Turn::Never } else { Turn::Later }
}
