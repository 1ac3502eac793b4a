//! Look-ups: which one is next, its request, and what its answer fills in.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use super::Params;
use super::body::decode_json;
use super::compose::ComposeError;
use super::extract::{Mapped, fill, texts};
use super::helpers::own_uuid;
use super::manifest::When;
use super::modes::in_mode;
use super::plugin::{Lookup, Plugin};
use super::respond::kept;
use super::template::RenderError;
use super::template_scope::Scope;
use super::value::{Source, all, text_of};
use crate::domain::request::{Answer, Outbound, Verdict};
use crate::domain::time::Time;

/// The most requests for one item where the plugin says nothing: a chain is short, a loop is a mistake.
const CHAIN: usize = 8;

/// What look-ups of one item work with.
#[derive(Debug, Clone, Copy)]
pub struct LookupContext<'a> {
    pub params: &'a Params,
    pub item: &'a Json,
    pub learnt: &'a Learnt,
}

/// What earlier look-ups of the same item gave.
#[derive(Debug, Clone)]
pub struct Learnt {
    /// Their decoded answers, by name.
    lookups: Map<String, Json>,
    /// What they stored, as templates see it: `{"steps": {"<look-up>": {"<key>": …}}}`.
    stored: Json,
}

impl Default for Learnt {
    fn default() -> Self {
        Learnt { lookups: Map::new(), stored: json!({"steps": {}}) }
    }
}

impl Learnt {
    pub fn answers(&self) -> &Map<String, Json> {
        &self.lookups
    }

    fn keep(&mut self, name: &str, stored: Map<String, Json>) {
        if let Some(Json::Object(steps)) = self.stored.get_mut("steps") {
            steps.insert(name.to_owned(), Json::Object(stored));
        }
    }
}

/// What an answer to a look-up led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupOutcome {
    Applied,
    /// The record is not in the CRM yet: some CRMs deliver before they commit.
    NotThereYet,
    Failed {
        verdict: Verdict,
        detail: String,
        /// The plugin's sentence (vi, en).
        says: Option<(String, String)>,
    },
}

impl Plugin {
    /// The next look-up that is due; `done` are the names of those that ran.
    pub fn next_lookup(&self, mapped: &Mapped, context: &LookupContext<'_>, done: &BTreeSet<String>) -> Result<Option<&Lookup>, RenderError> {
        let at_most = self.limits(context.params).and_then(|limit| limit.spec.requests_at_most).map_or(CHAIN, |n| n as usize);
        if done.len() >= at_most {
            return Ok(None);
        }
        for lookup in self.lookups.iter().filter(|lookup| !done.contains(&lookup.name) && in_mode(&lookup.request.modes, context.params)) {
            let due = lookup.when == When::Always || lookup.needs.iter().any(|field| mapped.lacks(*field));
            if due && all(&lookup.conditions, &self.lookup_source(mapped, context, context.item))? {
                return Ok(Some(lookup));
            }
        }
        Ok(None)
    }

    /// The request of a look-up; `ids`: the records that a batch asks for, see [`Plugin::batch_ids`].
    pub fn compose_lookup(
        &self,
        lookup: &Lookup,
        mapped: &Mapped,
        context: &LookupContext<'_>,
        ids: &[String],
        bases: &BTreeMap<String, String>,
        now: Time,
    ) -> Result<Outbound, ComposeError> {
        let batch = lookup.batch.as_ref().map(|_| json!({"batch": {"ids": ids}}));
        let scope = lookup_scope(mapped, context);
        let scope = Scope { whole: batch.as_ref().or(scope.whole), ..scope };
        let mut outbound = self.request(&lookup.request, &scope, context.params, bases)?;
        // The same look-up of the same delivery has the same id, so that the CRM can tell a repeat.
        let about = format!("{} {} {}", lookup.name, mapped.event_id.as_deref().unwrap_or_default(), ids.join(" "));
        self.sign(&lookup.request, &scope, &own_uuid(&about), now, &mut outbound)?;
        Ok(outbound)
    }

    /// The records that one request of a batch asks for: this one's, and those of `others` that wait for the same, in their order.
    pub fn batch_ids<'m>(&self, lookup: &Lookup, mapped: &'m Mapped, others: impl Iterator<Item = &'m Mapped>) -> Vec<String> {
        let Some(batch) = &lookup.batch else { return Vec::new() };
        let mut ids: Vec<String> = Vec::new();
        for other in others.filter(|other| other.record.kind == mapped.record.kind && !other.record.id.is_empty()) {
            if !ids.contains(&other.record.id) {
                ids.push(other.record.id.clone());
            }
        }
        let chunk = ids.chunks(batch.at_most).find(|chunk| chunk.contains(&mapped.record.id));
        chunk.map_or_else(|| vec![mapped.record.id.clone()], <[String]>::to_vec)
    }

    /// What an answer to a look-up means, and the plugin's sentence (vi, en) for it; a CRM that answers well but with nothing at all has
    /// no such record.
    pub fn lookup_verdict(&self, lookup: &Lookup, params: &Params, answer: &Answer, now: Time) -> (Verdict, Option<(String, String)>) {
        let (verdict, says) = self.verdict(&lookup.request, params, answer, now);
        let nothing = verdict == Verdict::Done && (answer.status == 204 || answer.body.is_empty());
        if nothing || lookup.not_found.contains(&answer.status) { (Verdict::NotFound, None) } else { (verdict, says) }
    }

    /// Reads an answer: fills what is still empty and keeps the answer for later look-ups.
    #[expect(clippy::too_many_arguments, reason = "what a look-up reads and writes, each by its name")]
    pub fn apply_lookup(
        &self,
        lookup: &Lookup,
        answer: &Answer,
        mapped: &mut Mapped,
        params: &Params,
        item: &Json,
        learnt: &mut Learnt,
        now: Time,
    ) -> LookupOutcome {
        match self.lookup_verdict(lookup, params, answer, now) {
            (Verdict::Done, _) => {}
            (Verdict::NotFound, _) => return LookupOutcome::NotThereYet,
            (verdict, says) => return LookupOutcome::Failed { verdict, detail: format!("status {}", answer.status), says },
        }
        let failed = |verdict, detail: String| LookupOutcome::Failed { verdict, detail, says: None };
        let body = match decode_json(&answer.body) {
            Ok(body) => body,
            Err(_) if answer.truncated => return failed(Verdict::GiveUp, "the answer is too large".to_owned()),
            Err(error) => return failed(Verdict::Misconfigured, format!("the answer is not JSON ({error})")),
        };
        let wrong = |detail: String| failed(Verdict::Misconfigured, detail);
        let body = match &lookup.batch {
            None => body,
            Some(_) => match self.piece(lookup, &body, mapped, &LookupContext { params, item, learnt }) {
                Ok(Some(piece)) => piece,
                Ok(None) => return LookupOutcome::NotThereYet,
                Err(error) => return wrong(error.to_string()),
            },
        };
        learnt.lookups.insert(lookup.name.clone(), body);
        let body = &learnt.lookups[&lookup.name];
        let before = mapped.clone();
        let source = self.lookup_source(&before, &LookupContext { params, item, learnt }, body);
        let read = fill(&lookup.map, &source, mapped).and_then(|()| texts(&lookup.fields, &source, "fields"));
        let stored = kept(&lookup.store, &source);
        match (read, stored) {
            (Ok(found), Ok(stored)) => {
                mapped.fields.extend(found.into_iter().filter(|(_, text)| !text.is_empty()));
                learnt.keep(&lookup.name, stored);
                LookupOutcome::Applied
            }
            (Err(error), _) => wrong(error.to_string()),
            (_, Err(key)) => wrong(format!("the answer has no `{key}`")),
        }
    }

    /// What the answer of a batch holds about one record.
    fn piece(&self, lookup: &Lookup, body: &Json, mapped: &Mapped, context: &LookupContext<'_>) -> Result<Option<Json>, RenderError> {
        let Some(batch) = &lookup.batch else { return Ok(None) };
        for piece in batch.items.query(body) {
            let id = batch.id.json(&self.lookup_source(mapped, context, piece))?;
            if id.is_some_and(|id| text_of(&id) == mapped.record.id) {
                return Ok(Some(piece.clone()));
            }
        }
        Ok(None)
    }

    fn lookup_source<'a>(&'a self, mapped: &'a Mapped, context: &LookupContext<'a>, document: &'a Json) -> Source<'a> {
        Source { document, scope: lookup_scope(mapped, context), empty: &self.manifest.empty }
    }
}

fn lookup_scope<'a>(mapped: &'a Mapped, context: &LookupContext<'a>) -> Scope<'a> {
    Scope {
        params: Some(context.params),
        item: Some(context.item),
        record: Some(&mapped.record),
        owner: Some(mapped.owner.as_deref().unwrap_or_default()),
        lookups: Some(&context.learnt.lookups),
        whole: Some(&context.learnt.stored),
        ..Scope::default()
    }
}
