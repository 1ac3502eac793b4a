//! One kind of one call: find, create or update, one request at a time. Corrections are in `correct.rs`.

use std::time::Duration;

use serde_json::{Map, Value};

use super::super::app::{App, Wired};
use super::super::ask::{self, AskError, Asked, Asking};
use super::super::own_writes::ask_and_note;
use super::facts::Facts;
use crate::domain::id::AttemptId;
use crate::domain::record::RecordRef;
use crate::domain::request::{Answer, Verdict};
use crate::domain::time::Time;
use crate::domain::write_back::KindState;
use crate::outbound::SendError;
use crate::plugin::manifest::Identity;
use crate::plugin::respond::StoreError;
use crate::plugin::template::RenderError;
use crate::plugin::value::Condition;
use crate::plugin::{ComposeError, Find, LoginError, Params, Plugin, Request, Step, WriteBackKind};
use crate::store::{Attempt, Leg};

/// How long until what a person has to mend is tried again.
const SLOWLY: Duration = Duration::from_secs(300);

/// What one turn on a kind came to.
#[derive(Debug, PartialEq)]
pub enum Turn {
    /// This version is in the CRM, or need not be.
    Done,
    /// Something was learnt that must be kept before the next request.
    Keep,
    /// Another try, not before this long.
    Again {
        after: Option<Duration>,
    },
    /// Not our fault and no attempt: wait until then (a search lags behind its writes).
    Wait {
        until: Time,
    },
    GiveUp {
        sentence: String,
    },
}

/// Everything a turn works with.
pub struct Work<'a> {
    pub app: &'a App,
    pub wired: &'a Wired,
    pub plugin: &'a Plugin,
    pub facts: &'a Facts<'a>,
    pub kind: &'a WriteBackKind,
    pub version: u16,
    pub tries: u32,
    /// The latest moment at which an earlier process may have sent something, for searches that lag.
    pub sent_at: Time,
    pub attempts: Vec<Attempt>,
    /// What became of the last request is not known.
    pub unclear: bool,
}

/// What a request is for, and so what is kept of its answer.
#[derive(Clone, Copy)]
enum For<'a> {
    Step(&'a Step),
    Find(&'a Find),
}

/// What one request came to.
pub(super) enum Sent {
    Ok(Map<String, Value>),
    Not(Turn),
    Gone(String),
}

impl Work<'_> {
    /// One turn: at most one request that creates something.
    pub async fn turn(&mut self, state: &mut KindState) -> Turn {
        if state.failed.is_some() || state.version == Some(self.version) {
            return Turn::Done;
        }
        match self.hold(&self.kind.conditions, state) {
            Ok(true) => {}
            Ok(false) => {
                state.version = Some(self.version);
                return Turn::Done;
            }
            Err(error) => return Turn::GiveUp { sentence: error.to_string() },
        }
        match (&state.entry, state.version) {
            // Also with an entry: a later step of its making may be missing.
            (_, None) => self.create(state).await,
            (Some(_), _) if !self.kind.update.is_empty() => self.update(state).await,
            _ if !self.kind.correction.is_empty() && !state.corrected => self.correct(state).await,
            _ => {
                state.version = Some(self.version);
                Turn::Done
            }
        }
    }

    fn context(&self, state: &KindState) -> Value {
        let steps: Map<String, Value> = state.steps.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        self.facts.context(self.kind.name, state.entry.as_deref(), &steps)
    }

    /// The context is a whole document: it is made only where something looks at it.
    fn hold(&self, conditions: &[Condition], state: &KindState) -> Result<bool, RenderError> {
        if conditions.is_empty() {
            return Ok(true);
        }
        self.plugin.holds(conditions, &self.context(state), &self.wired.params)
    }

    async fn create(&mut self, state: &mut KindState) -> Turn {
        let kind = self.kind;
        if matches!(kind.identity, Identity::Searchable | Identity::Marker)
            && state.entry.is_none()
            && state.unclear
            && let Some(find) = &kind.find
        {
            match self.find(state, find, "find").await {
                Ok(found) => self.adopt(state, found),
                Err(turn) => return turn,
            }
        }
        if kind.identity == Identity::ClientId && state.unclear && self.version > 1 && !kind.update.is_empty() {
            // The CRM may answer with the entry it has, which may show the report of before.
            state.begun = Some(0);
        }
        state.unclear = false;
        // What was only read is read again with the step that uses it: it may have changed.
        for step in kind.create.iter().filter(|step| step.reads && !step.gives_entry()) {
            state.steps.remove(&step.name);
        }
        for step in &kind.create {
            if state.steps.contains_key(&step.name) {
                continue;
            }
            let behind = || kind.create.iter().skip_while(|s| s.name != step.name).skip(1);
            if step.reads && behind().next().is_some() && behind().all(|later| state.steps.contains_key(&later.name)) {
                // Everything it was read for is done.
                continue;
            }
            match self.step(state, step).await {
                None => {
                    state.steps.insert(step.name.clone(), Value::Null);
                }
                Some(Sent::Ok(stored)) => {
                    if let Some(id) = stored.get("id").and_then(Value::as_str) {
                        state.entry.get_or_insert_with(|| id.to_owned());
                    }
                    match self.stored(state, step, stored) {
                        Ok(false) => {}
                        Ok(true) => break,
                        Err(turn) => return turn,
                    }
                    if step.reads {
                        continue;
                    }
                    state.begun.get_or_insert(self.version);
                    let left = kind.create.iter().any(|s| !state.steps.contains_key(&s.name));
                    if left {
                        return Turn::Keep;
                    }
                }
                Some(Sent::Not(turn)) => return turn,
                Some(Sent::Gone(sentence)) => return Turn::GiveUp { sentence },
            }
        }
        let shown = state.begun.take().unwrap_or(self.version);
        state.version = Some(shown);
        // A report that came between two steps, or an entry found in an unknown version: the next turn brings it up to date.
        if shown == self.version { Turn::Done } else { Turn::Keep }
    }

    /// Keeps what a step gave; whether it found that its kind is written already.
    pub(super) fn stored(&self, state: &mut KindState, step: &Step, stored: Map<String, Value>) -> Result<bool, Turn> {
        state.steps.insert(step.name.clone(), Value::Object(stored));
        if step.done_if.is_empty() {
            return Ok(false);
        }
        self.hold(&step.done_if, state).map_err(|error| Turn::GiveUp { sentence: error.to_string() })
    }

    /// Takes an entry that was made for ours before, if one was found: the step that gives the id is done, later ones may be missing.
    fn adopt(&self, state: &mut KindState, found: Map<String, Value>) {
        let kind = self.kind;
        let Some(entry) = found.get("id").and_then(Value::as_str).map(str::to_owned) else { return };
        for step in &kind.create {
            state.steps.entry(step.name.clone()).or_insert_with(|| Value::Object(found.clone()));
            if step.gives_entry() {
                break;
            }
        }
        state.entry = Some(entry);
        state.begun = Some(if kind.update.is_empty() { self.version } else { 0 });
    }

    /// What a search found; nothing where there is no such entry.
    pub(super) async fn find(&mut self, state: &KindState, find: &Find, name: &str) -> Result<Map<String, Value>, Turn> {
        let visible_at = state.unclear_at.unwrap_or(self.sent_at).plus(find.wait);
        if visible_at > self.app.clock.now() {
            return Err(Turn::Wait { until: visible_at });
        }
        match self.hold(&find.conditions, state) {
            Ok(true) if self.plugin.in_mode(&find.request, &self.wired.params) => {}
            Ok(_) => return Ok(Map::new()),
            Err(error) => return Err(Turn::GiveUp { sentence: error.to_string() }),
        }
        match self.request(state, &find.request, name, For::Find(find)).await {
            Sent::Ok(found) => Ok(found),
            Sent::Not(turn) => Err(turn),
            Sent::Gone(_) => Ok(Map::new()),
        }
    }

    async fn update(&mut self, state: &mut KindState) -> Turn {
        let kind = self.kind;
        for step in &kind.update {
            match self.step(state, step).await {
                None => {}
                Some(Sent::Ok(stored)) => match self.stored(state, step, stored) {
                    Ok(false) => {}
                    Ok(true) => break,
                    Err(turn) => return turn,
                },
                Some(Sent::Not(turn)) => {
                    // An update made twice is the same update: nothing has to be looked for.
                    state.unclear = false;
                    return turn;
                }
                Some(Sent::Gone(sentence)) => return Turn::GiveUp { sentence },
            }
        }
        state.version = Some(self.version);
        Turn::Done
    }

    /// `None`: its conditions do not hold.
    pub(super) async fn step(&mut self, state: &mut KindState, step: &Step) -> Option<Sent> {
        if !self.plugin.in_mode(&step.request, &self.wired.params) {
            return None;
        }
        match self.hold(&step.conditions, state) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return Some(Sent::Not(Turn::GiveUp { sentence: error.to_string() })),
        }
        let sent = self.request(state, &step.request, &step.name, For::Step(step)).await;
        if !step.reads && self.unclear && matches!(&sent, Sent::Not(Turn::Again { .. } | Turn::GiveUp { .. })) {
            state.unclear = true;
            state.unclear_at = Some(self.app.clock.now());
        }
        Some(sent)
    }

    async fn request(&mut self, state: &KindState, request: &Request, name: &str, what: For<'_>) -> Sent {
        let context = self.context(state);
        let started = self.app.clock.now();
        self.unclear = false;
        let asking = Asking { app: self.app, wired: self.wired, plugin: self.plugin, request, params: &self.wired.params, first: self.attempts.is_empty() };
        let compose = |params: &Params| self.plugin.compose(request, &context, params, &self.wired.bases, started);
        let asked = match self.changes(what, &context) {
            Ok(records) => ask_and_note(asking, &records, compose).await,
            Err(source) => Err(AskError::Compose(ComposeError::Template { place: request.place.clone(), source })),
        };
        let now = self.app.clock.now();
        let mut attempt = self.attempt(name, started, now);
        let sent = match asked {
            Err(AskError::Compose(error) | AskError::Login(LoginError::Compose(error))) => {
                return Sent::Not(Turn::GiveUp { sentence: self.app.redact(&error.to_string()) });
            }
            Err(error) => {
                attempt.class = ask::class_of(&error).into();
                self.unclear = matches!(error, AskError::Send(SendError::Unclear(_)));
                attempt.detail = self.app.redact(&error.sentence(self.wired.connection.language));
                Sent::Not(match error {
                    AskError::Send(SendError::Blocked(_)) | AskError::LoginUnsent(SendError::Blocked(_)) => Turn::GiveUp { sentence: attempt.detail.clone() },
                    AskError::Login(LoginError::Refused { verdict: Verdict::Retry { after }, .. }) => Turn::Again { after },
                    // A person has to act: try again, but slowly.
                    AskError::Login(_) => Turn::Again { after: Some(SLOWLY) },
                    _ => Turn::Again { after: None },
                })
            }
            Ok(Asked { answer, verdict, says }) => {
                attempt.status = Some(answer.status);
                let excerpt: String = String::from_utf8_lossy(&answer.body).chars().take(300).collect();
                let sentence =
                    says.map_or_else(|| format!("status {}: {}", answer.status, self.app.redact(&excerpt)), |says| self.wired.connection.language.of(says));
                attempt.class = class_of(verdict, answer.status).into();
                self.unclear = verdict.is_unclear(answer.status);
                if verdict != Verdict::Done {
                    attempt.detail.clone_from(&sentence);
                }
                match verdict {
                    Verdict::Done => match self.keep(what, name, &answer, &context) {
                        Ok(stored) => Sent::Ok(stored),
                        // A maintenance page is no empty field, not "there is no entry", and no entry that was made.
                        Err(error) => {
                            attempt.class = "unreadable".into();
                            attempt.detail = self.app.redact(&format!("status {}: {error}: {excerpt}", answer.status));
                            self.unclear = matches!(what, For::Step(step) if !step.reads);
                            Sent::Not(self.unread(state, what, &error, answer.status))
                        }
                    },
                    Verdict::Retry { after } => Sent::Not(Turn::Again { after }),
                    // A person has to act: try again, but slowly.
                    Verdict::RefreshToken | Verdict::Misconfigured => Sent::Not(Turn::Again { after: Some(SLOWLY) }),
                    Verdict::GiveUp => Sent::Not(Turn::GiveUp { sentence }),
                    Verdict::Gone | Verdict::NotFound => Sent::Gone(sentence),
                }
            }
        };
        self.attempts.push(attempt);
        sent
    }

    /// The records that a request changes: the one that asked, and what its step names.
    fn changes(&self, what: For<'_>, context: &Value) -> Result<Vec<RecordRef>, RenderError> {
        let For::Step(step) = what else { return Ok(Vec::new()) };
        if step.reads {
            return Ok(Vec::new());
        }
        let mut records = self.plugin.written(step, context, &self.wired.params)?;
        records.push(self.facts.record().clone());
        Ok(records)
    }

    /// What is kept of a good answer; an error where what was to be kept is not there.
    fn keep(&self, what: For<'_>, name: &str, answer: &Answer, context: &Value) -> Result<Map<String, Value>, StoreError> {
        match what {
            For::Step(step) => match self.plugin.stored(step, answer, context, &self.wired.params) {
                Err(error) if !step.reads && !answer.truncated && answer.body.iter().all(u8::is_ascii_whitespace) => {
                    // A success without a word: it was made. Without its id nothing can be updated, which is better than a second entry.
                    tracing::warn!(step = name, error = %error, "the CRM took an entry but told no id");
                    Ok(Map::new())
                }
                stored => stored,
            },
            For::Find(find) => self.plugin.found(find, answer, context, &self.wired.params),
        }
    }

    /// An answer says "done", but not what a creating step must keep of it: it may have been made or not. Again where that cannot double.
    fn unread(&self, state: &KindState, what: For<'_>, error: &StoreError, status: u16) -> Turn {
        let creates = matches!(what, For::Step(step) if self.kind.create.iter().any(|own| !own.reads && std::ptr::eq(own, step)));
        let doubles = match self.kind.identity {
            Identity::ClientId => false,
            Identity::None => true,
            // A second answer that is JSON and names nothing is this CRM's way: what `find` did not see may stand there all the same.
            Identity::Searchable | Identity::Marker => state.unclear_at.is_some() && matches!(error, StoreError::Absent { .. }),
        };
        if !(creates && doubles) {
            return Turn::Again { after: None };
        }
        let vi = format!("CRM trả lời {status} nhưng không cho biết đã tạo mục nào ({error}): hãy xem trong CRM, rồi ghi lại bằng tay nếu chưa có");
        let en = format!("the CRM answered {status}, but not what it made ({error}): look there, then have it written again if it is missing");
        Turn::GiveUp { sentence: self.app.redact(&self.wired.connection.language.of((vi, en))) }
    }

    fn attempt(&self, step: &str, started: Time, now: Time) -> Attempt {
        Attempt {
            id: AttemptId::from_uuid(self.app.clock.uuid()),
            leg: Leg::WriteBack { kind: self.kind.name.to_owned(), step: step.to_owned() },
            number: self.tries + 1,
            at: started,
            duration_ms: u64::try_from(now.since(started).as_millis()).unwrap_or(u64::MAX),
            status: None,
            class: "ok".into(),
            detail: String::new(),
            next_at: None,
        }
    }
}

/// The class of an attempt, as it is shown.
fn class_of(verdict: Verdict, status: u16) -> &'static str {
    match verdict {
        Verdict::Done => "ok",
        Verdict::Retry { .. } if verdict.is_unclear(status) => "unclear",
        Verdict::Retry { .. } => "retry",
        Verdict::RefreshToken => "refresh_token",
        Verdict::Misconfigured => "misconfigured",
        Verdict::GiveUp => "give_up",
        Verdict::Gone => "gone",
        Verdict::NotFound => "not_found",
    }
}
