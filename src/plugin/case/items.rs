//! The items of an event: mapping, look-ups, what becomes of each.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use super::ask::{Asking, Unasked};
use super::run::Run;
use crate::domain::event::Delivery;
use crate::domain::request::{Answer, Verdict};
use crate::plugin::{Learnt, Lookup, LookupContext, LookupOutcome, MapContext, Mapped, Params, Piece, Variant, phone};

/// The event that items are of.
struct Event<'e> {
    variant: &'e Variant,
    delivery: &'e Delivery,
    body: &'e Json,
    items: &'e [Piece],
    /// Answers of look-ups that asked for many records, by look-up, type and id.
    batches: BTreeMap<(String, String, String), Answer>,
}

impl Run<'_> {
    /// Maps every item; gives those that are called.
    pub(super) fn items(&mut self, variant: &Variant, delivery: &Delivery, items: &[Piece], body: &Json) -> Vec<Mapped> {
        let mut event = Event { variant, delivery, body, items, batches: BTreeMap::new() };
        let mut called = Vec::new();
        for index in 0..items.len() {
            let outcome = match self.item(&mut event, index) {
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

    fn failed(&mut self, fault: String, code: &str) -> String {
        if !self.is_expected(&fault) {
            self.miss(fault);
        }
        format!("failed:{code}")
    }

    fn map(&self, event: &Event<'_>, index: usize) -> Result<Mapped, String> {
        let Some(piece) = event.items.get(index) else { return Err("the item is gone".to_owned()) };
        let (query, headers) = (event.delivery.query.as_str(), event.delivery.headers.as_slice());
        let context = MapContext { params: &self.params, body: event.body, query, headers, lookups: &Map::new() };
        self.plugin.map(event.variant, piece, &context).map_err(|error| error.to_string())
    }

    /// Whether a write of this case to the same record made it quiet: as `pipeline/own_writes.rs` says.
    fn is_echo(&self, delivery: &Delivery, mapped: &Mapped) -> bool {
        let alike = |kind: &str| kind == mapped.record.kind || kind.is_empty() || mapped.record.kind.is_empty();
        let wrote = self.wrote.iter().any(|record| !record.id.is_empty() && record.id == mapped.record.id && alike(&record.kind));
        wrote && !mapped.interactive && mapped.quiet.is_some_and(|quiet| delivery.received_at.since(self.case.clock) <= quiet)
    }

    fn item(&mut self, event: &mut Event<'_>, index: usize) -> Result<Mapped, String> {
        let (plugin, params) = (self.plugin, self.params.clone());
        let mut mapped = self.map(event, index).map_err(|fault| self.failed(fault, "map_failed"))?;
        if mapped.ignored.is_none() && self.is_echo(event.delivery, &mapped) {
            mapped.ignored = Some("own_write");
        }
        if let Some(code) = mapped.ignored {
            return Err(format!("ignored:{code}"));
        }
        if mapped.event_id.as_ref().is_some_and(|id| !self.seen.insert(id.clone())) {
            return Err("ignored:duplicate".to_owned());
        }
        let (body, pieces) = (event.body, event.items);
        let item = pieces.get(index).map_or(&Json::Null, |piece| piece.item(body));
        let (mut learnt, mut done) = (Learnt::default(), BTreeSet::new());
        loop {
            let context = LookupContext { params: &params, item, learnt: &learnt };
            let lookup = match plugin.next_lookup(&mapped, &context, &done) {
                Ok(Some(lookup)) => lookup,
                Ok(None) => break,
                Err(error) => return Err(self.failed(error.to_string(), "map_failed")),
            };
            done.insert(lookup.name.clone());
            let answer = match self.look_up(event, index, lookup, &mapped, &context) {
                Ok(answer) => answer,
                Err(Unasked::Login) => return Err("waiting".to_owned()),
                Err(Unasked::Fault(fault)) => return Err(self.failed(fault, "lookup_failed")),
            };
            match plugin.apply_lookup(lookup, &answer, &mut mapped, &params, item, &mut learnt, self.case.clock) {
                LookupOutcome::Applied => {}
                LookupOutcome::NotThereYet | LookupOutcome::Failed { verdict: Verdict::Retry { .. }, .. } => return Err("waiting".to_owned()),
                LookupOutcome::Failed { verdict: Verdict::Gone, .. } => return Err("refused:lookup_missing".to_owned()),
                LookupOutcome::Failed { .. } => return Err("failed:lookup_failed".to_owned()),
            }
        }
        // Which record it is may be known only now.
        if self.is_echo(event.delivery, &mapped) {
            return Err("ignored:own_write".to_owned());
        }
        phone::check(&mapped.customer.phone).map_err(|code| format!("refused:{code}"))?;
        mapped.customer.phone = phone::forms(&mapped.customer.phone).1;
        Ok(mapped)
    }

    fn look_up(&mut self, event: &mut Event<'_>, index: usize, lookup: &Lookup, mapped: &Mapped, context: &LookupContext<'_>) -> Result<Answer, Unasked> {
        let key = |id: &str| (lookup.name.clone(), mapped.record.kind.clone(), id.to_owned());
        if let Some(answer) = event.batches.get(&key(&mapped.record.id)) {
            return Ok(answer.clone());
        }
        let (plugin, clock) = (self.plugin, self.case.clock);
        let ids = plugin.batch_ids(lookup, mapped, self.waiting(event, index, lookup).iter());
        let compose = |with: &Params| plugin.compose_lookup(lookup, mapped, &LookupContext { params: with, ..*context }, &ids, &BTreeMap::new(), clock);
        let place = format!("look-up {}", lookup.name);
        let mut lookups = std::mem::take(&mut self.lookups);
        let asked = self.ask(&Asking { request: &lookup.request, compose: &compose, place: &place, lookup: Some(lookup), unreadable: None }, &mut lookups);
        self.lookups = lookups;
        let (answer, _) = asked?;
        event.batches.extend(ids.iter().map(|id| (key(id), answer.clone())));
        Ok(answer)
    }

    /// This item and those behind it that wait for the same look-up; nothing where it is made for each alone.
    fn waiting(&self, event: &Event<'_>, index: usize, lookup: &Lookup) -> Vec<Mapped> {
        if lookup.batch.is_none() {
            return Vec::new();
        }
        let learnt = Learnt::default();
        let others = (index..event.items.len()).filter_map(|other| {
            let mapped = self.map(event, other).ok().filter(|mapped| mapped.ignored.is_none())?;
            let item = event.items.get(other)?.item(event.body);
            let context = LookupContext { params: &self.params, item, learnt: &learnt };
            let next = self.plugin.next_lookup(&mapped, &context, &BTreeSet::new()).ok()??;
            (next.name == lookup.name).then_some(mapped)
        });
        others.collect()
    }
}
