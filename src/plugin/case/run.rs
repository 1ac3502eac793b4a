//! Running a case: what arrives → items with their look-ups → call → report → write-back.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use super::ask::Transcript;
use super::compare;
use super::connect::ENDS;
use super::file::Case;
use crate::domain::connection::Priority;
use crate::domain::event::Delivery;
use crate::domain::record::RecordRef;
use crate::domain::time::Time;
use crate::plugin::{Mapped, Params, Plugin, Tokens};

/// What a run found.
#[derive(Debug, Clone, Default)]
pub struct CaseResult {
    /// In sentences; none: the case holds.
    pub mismatches: Vec<String>,
    /// Files as they would have to be for the case to hold, by name; only of a run that blesses.
    pub blessed: BTreeMap<String, String>,
    /// The outcome of each item: `called`, `ignored:<code>`, `refused:<code>`, `waiting`, `failed`; or one `rejected:<code>` or `handshake`.
    /// Where nothing arrives, of each subscription: `subscribed`, `unsubscribed`, `waiting`.
    pub outcomes: Vec<String>,
    /// What each answer of the CRM was read as, in their order.
    pub classes: Vec<String>,
    /// The id of each kind's entry and what its steps stored.
    pub entries: BTreeMap<&'static str, (Option<String>, Map<String, Json>)>,
    /// Which requests were made, by their place and line in the manifest: in several modes a place has several.
    pub asked: BTreeSet<(String, usize)>,
    /// Variants that read a delivery, and handshakes that were answered.
    pub took: BTreeSet<String>,
    /// The lines of what a plugin's `answers` say, where the case says it, too.
    pub told: BTreeSet<usize>,
    /// What senders are told according to the case: the variant and the outcome.
    pub stated: BTreeSet<(String, &'static str)>,
    /// Templates whose requests were sent.
    pub sent: BTreeSet<String>,
    /// Where the response rules stand that said what an answer means.
    pub rules: BTreeSet<usize>,
}

impl Plugin {
    /// Runs a case.
    pub fn run_case(&self, case: &Case) -> CaseResult {
        self.run(case, false)
    }

    /// Runs a case and writes down what its files would have to be.
    pub fn bless_case(&self, case: &Case) -> CaseResult {
        self.run(case, true)
    }

    fn run(&self, case: &Case, bless: bool) -> CaseResult {
        let mut params = self.with_defaults(&case.parameters);
        params.extend(case.stored.clone());
        let all = |pairs: &[super::exchange::Pairs]| Transcript::new(&pairs.iter().flat_map(|(_, pairs)| pairs.iter().cloned()).collect::<Vec<_>>());
        let mut run = Run {
            plugin: self,
            case,
            params,
            bless,
            result: CaseResult::default(),
            tokens: given(&case.tokens),
            subscriptions: all(case.subscriptions.as_slice()),
            connects: all(case.connect.as_slice()),
            logins: all(case.logins.as_slice()),
            polls: all(case.polls.as_slice()),
            lookups: all(&case.lookups),
            seen: BTreeSet::new(),
            webhook: &case.webhook,
            wrote: Vec::new(),
            faulted: false,
            answered: false,
        };
        run.result.mismatches.extend(self.check_params(&case.parameters));
        run.start();
        run.result
    }
}

/// What a login gave before, and when it ends where the case says so.
fn given(tokens: &Params) -> Tokens {
    let mut values = tokens.clone();
    let ends_at = values.remove(ENDS).and_then(|at| Time::parse_rfc3339(&at));
    Tokens { values, ends_at }
}

pub(super) struct Run<'a> {
    pub(super) plugin: &'a Plugin,
    pub(super) case: &'a Case,
    pub(super) params: Params,
    pub(super) bless: bool,
    pub(super) result: CaseResult,
    pub(super) tokens: Tokens,
    pub(super) subscriptions: Transcript,
    pub(super) connects: Transcript,
    pub(super) logins: Transcript,
    pub(super) polls: Transcript,
    pub(super) lookups: Transcript,
    /// Events that came before.
    pub(super) seen: BTreeSet<String>,
    /// What is being delivered.
    pub(super) webhook: &'a Delivery,
    /// Records that were written to, at the clock.
    pub(super) wrote: Vec<RecordRef>,
    /// The refusal that the case expects has come.
    faulted: bool,
    /// What senders are told was compared.
    pub(super) answered: bool,
}

impl Run<'_> {
    pub(super) fn miss(&mut self, message: String) {
        self.result.mismatches.push(message);
    }

    fn start(&mut self) {
        if self.case.connect.is_some() {
            self.connect();
        }
        if self.case.subscriptions.is_some() {
            self.subscribe();
        }
        let mut called = Vec::new();
        for _ in 0..if self.case.arrives { self.case.repeat } else { 0 } {
            called.extend(match self.case.polls {
                Some(_) => self.poll(),
                None => self.deliver(),
            });
        }
        self.further(&mut called, false);
        match called.first().cloned() {
            Some(mapped) => self.write_back(&mapped),
            None if !self.case.rounds.is_empty() => self.miss("nothing was called, so nothing is written back".to_owned()),
            None => {}
        }
        self.further(&mut called, true);
        self.outcomes();
        self.calls(&called);
        self.expected_of(called.first());
        self.left();
    }

    /// Deliveries behind the first.
    fn further(&mut self, called: &mut Vec<Mapped>, after_writing: bool) {
        for further in self.case.further.iter().filter(|further| further.after_writing == after_writing) {
            self.webhook = &further.delivery;
            called.extend(self.deliver());
        }
    }

    /// Whether a refusal is the one that the case expects.
    pub(super) fn is_expected(&mut self, fault: &str) -> bool {
        let expected = self.case.expect.fault.as_ref().is_some_and(|piece| fault.contains(piece));
        self.faulted |= expected;
        expected
    }

    /// What the case says of the first that is called, and of a refusal.
    fn expected_of(&mut self, called: Option<&Mapped>) {
        let expect = &self.case.expect;
        let priority = called.map(|mapped| if mapped.interactive { Priority::Interactive } else { Priority::Automation });
        let mut missed = Vec::new();
        if let Some(expected) = expect.priority.filter(|_| expect.priority != priority) {
            missed.push(format!("expected the priority {}, found {}", json!(expected), json!(priority)));
        }
        let consent = called.and_then(|mapped| mapped.consent);
        if let Some(expected) = expect.consent.filter(|_| expect.consent != consent) {
            missed.push(format!("expected the consent {expected}, found {}", json!(consent)));
        }
        if let Some(piece) = expect.fault.as_ref().filter(|_| !self.faulted) {
            missed.push(format!("no template and no mapping refused with `{piece}`"));
        }
        self.result.mismatches.extend(missed);
    }

    /// What the case has and nobody asked for.
    fn left(&mut self) {
        let files = [
            (self.case.subscriptions.as_ref(), &self.subscriptions, "of the subscriptions"),
            (self.case.connect.as_ref(), &self.connects, "of the connect button"),
            (self.case.logins.as_ref(), &self.logins, "of the login"),
            (self.case.polls.as_ref(), &self.polls, "of the poll"),
            (self.case.lookups.first(), &self.lookups, "of the look-ups"),
        ];
        let mut left = Vec::new();
        if !self.answered && self.case.expect.answers.any() {
            left.push("`[expect.answers]`: nothing is delivered but a handshake, so no sender is told anything".to_owned());
        }
        for (file, transcript, what) in files {
            let Some((file, _)) = file else { continue };
            if !transcript.pairs.is_empty() {
                left.push(format!("{file}: {} request(s) {what} were not made", transcript.pairs.len()));
            }
            if self.bless {
                self.result.blessed.insert(file.clone(), transcript.blessed());
            }
        }
        self.result.mismatches.extend(left);
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
        compare::json(&format!("{file}: call $"), expected, &real, &mut self.result.mismatches);
        if self.bless {
            self.result.blessed.insert(file.clone(), format!("{real:#}\n"));
        }
    }
}
