//! Look-ups: which one is next, its request, and what its answer fills in.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use super::Params;
use super::body::decode_json;
use super::compose::ComposeError;
use super::extract::{Mapped, fill, texts};
use super::manifest::When;
use super::modes::in_mode;
use super::plugin::{Lookup, Plugin};
use super::template::{RenderError, Scope};
use super::value::{Source, all};
use crate::domain::request::{Answer, Outbound, Verdict};
use crate::domain::time::Time;

/// The most requests for one item where the plugin says nothing: a chain is short, a loop is a mistake.
const CHAIN: usize = 8;

/// What look-ups of one item work with.
#[derive(Debug, Clone, Copy)]
pub struct LookupContext<'a> {
    pub params: &'a Params,
    pub item: &'a Json,
    /// Decoded answers of earlier look-ups, by name.
    pub lookups: &'a Map<String, Json>,
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

    pub fn compose_lookup(
        &self,
        lookup: &Lookup,
        mapped: &Mapped,
        context: &LookupContext<'_>,
        bases: &BTreeMap<String, String>,
    ) -> Result<Outbound, ComposeError> {
        self.request(&lookup.request, &lookup_scope(mapped, context), context.params, bases)
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
        lookups: &mut Map<String, Json>,
        now: Time,
    ) -> LookupOutcome {
        if lookup.not_found.contains(&answer.status) {
            return LookupOutcome::NotThereYet;
        }
        let (verdict, _) = self.verdict(&lookup.request, params, answer, now);
        // A CRM that answers well but with nothing at all has no such record.
        if verdict == Verdict::NotFound || (verdict == Verdict::Done && (answer.status == 204 || answer.body.is_empty())) {
            return LookupOutcome::NotThereYet;
        }
        if verdict != Verdict::Done {
            return LookupOutcome::Failed { verdict, detail: format!("status {}", answer.status) };
        }
        let body = match decode_json(&answer.body) {
            Ok(body) => body,
            Err(_) if answer.truncated => return LookupOutcome::Failed { verdict: Verdict::GiveUp, detail: "the answer is too large".to_owned() },
            Err(error) => return LookupOutcome::Failed { verdict: Verdict::Misconfigured, detail: format!("the answer is not JSON ({error})") },
        };
        lookups.insert(lookup.name.clone(), body);
        let body = &lookups[&lookup.name];
        let before = mapped.clone();
        let context = LookupContext { params, item, lookups };
        let source = self.lookup_source(&before, &context, body);
        match fill(&lookup.map, &source, mapped).and_then(|()| texts(&lookup.fields, &source, "fields")) {
            Ok(found) => {
                for (id, text) in found.into_iter().filter(|(_, text)| !text.is_empty()) {
                    mapped.fields.insert(id, text);
                }
                LookupOutcome::Applied
            }
            Err(error) => LookupOutcome::Failed { verdict: Verdict::Misconfigured, detail: error.to_string() },
        }
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
        lookups: Some(context.lookups),
        ..Scope::default()
    }
}
