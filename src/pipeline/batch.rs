//! One request for many records: the items of an event that wait for the same look-up share its answer.
//!
//! In memory: what a restart forgets is asked for again, and asking changes nothing at the CRM.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;

use super::app::{App, Wired};
use super::map::{self, Opened};
use crate::domain::id::EventId;
use crate::domain::item::Outcome;
use crate::domain::request::Answer;
use crate::domain::time::Time;
use crate::plugin::{Learnt, Lookup, LookupContext, Mapped, Plugin};
use crate::store::{Store, StoreError};

/// Of so many events answers are kept; of the one before it is asked again.
const EVENTS: usize = 32;
/// Answers of one event: 500 records in requests of 10.
const ANSWERS: usize = 50;
/// An answer that is older says nothing about now.
const FRESH: Duration = Duration::from_secs(60);

/// Which look-up of which event, for records of which type.
pub type Key = (EventId, String, String);

/// An answer and whom it is about.
#[derive(Debug)]
struct Kept {
    ids: Vec<String>,
    answer: Arc<Answer>,
    at: Time,
    /// The items that read it; who tries again wants a new one.
    read: BTreeSet<u16>,
}

type Slot = Arc<Mutex<VecDeque<Kept>>>;

/// Answers that other items of the same event may read.
#[derive(Debug, Default)]
pub struct Batches {
    slots: StdMutex<VecDeque<(Key, Slot)>>,
}

/// Who asks, and when.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The item of the event.
    pub index: u16,
    pub record: &'a str,
    pub now: Time,
}

impl Batches {
    /// The answer about a record: a kept one that its item has not read yet, else a new one. The second value says whether it was asked for now.
    pub async fn answer<E, F>(&self, key: Key, asker: Asker<'_>, ids: Vec<String>, ask: impl FnOnce() -> F) -> Result<(Arc<Answer>, bool), E>
    where
        F: Future<Output = Result<Answer, E>>,
    {
        let slot = self.slot(key);
        // The others of the event wait here while one asks for all of them.
        let mut kept = slot.lock().await;
        let fits = |kept: &Kept| kept.ids.iter().any(|id| id == asker.record) && !kept.read.contains(&asker.index) && asker.now.since(kept.at) < FRESH;
        if let Some(found) = kept.iter_mut().find(|kept| fits(kept)) {
            found.read.insert(asker.index);
            return Ok((Arc::clone(&found.answer), false));
        }
        let answer = Arc::new(ask().await?);
        if kept.len() >= ANSWERS {
            kept.pop_front();
        }
        kept.push_back(Kept { ids, answer: Arc::clone(&answer), at: asker.now, read: [asker.index].into() });
        Ok((answer, true))
    }

    fn slot(&self, key: Key) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, slot)) = slots.iter().find(|(known, _)| *known == key) {
            return Arc::clone(slot);
        }
        if slots.len() >= EVENTS {
            slots.pop_front();
        }
        let slot = Slot::default();
        slots.push_back((key, Arc::clone(&slot)));
        slot
    }
}

/// The records that one request of this look-up asks for; none where it is no batch.
pub fn ids(app: &App, plugin: &Plugin, wired: &Wired, opened: &Opened, lookup: &Lookup, mapped: &Mapped) -> Result<Vec<String>, StoreError> {
    if lookup.batch.is_none() {
        return Ok(Vec::new());
    }
    let params = wired.params_at(&opened.event.hook);
    let mut others = Vec::new();
    for (index, piece) in (0u16..).zip(&opened.items) {
        let waits = matches!(app.store.item(opened.event.id, index)?, Some(item) if item.outcome == Outcome::Waiting);
        let Some(other) = waits.then(|| map::map_one(app, wired, plugin, opened, piece, params).ok()).flatten() else { continue };
        let learnt = Learnt::default();
        let context = LookupContext { params, item: piece.item(&opened.body), learnt: &learnt };
        if matches!(plugin.next_lookup(&other, &context, &BTreeSet::new()), Ok(Some(next)) if next.name == lookup.name) {
            others.push(other);
        }
    }
    Ok(plugin.batch_ids(lookup, mapped, others.iter()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn event() -> EventId {
        EventId::from_uuid(uuid::Uuid::nil())
    }

    #[tokio::test]
    async fn one_request_serves_all_that_wait_and_who_tries_again_gets_a_new_one() {
        let (batches, asked) = (Batches::default(), AtomicU32::new(0));
        let ask = async |index: u16, record: &str, at: i64| {
            let key = (event(), "person".to_owned(), "Leads".to_owned());
            let answer = || async {
                asked.fetch_add(1, Ordering::Relaxed);
                // The others come while it is under way.
                tokio::task::yield_now().await;
                Ok::<_, ()>(Answer { status: 200, ..Answer::default() })
            };
            batches.answer(key, Asker { index, record, now: Time(at) }, vec!["1".to_owned(), "2".to_owned()], answer).await.unwrap().1
        };
        let (one, two) = tokio::join!(ask(0, "1", 0), ask(1, "2", 0));
        assert_eq!((one, two, asked.load(Ordering::Relaxed)), (true, false, 1));
        assert!(ask(1, "2", 1_000).await, "what it read before was not good enough");
        assert!(!ask(0, "1", 2_000).await, "and its neighbour reads that");
        assert!(ask(2, "3", 2_000).await, "a record that nobody asked for");
        assert!(ask(3, "1", 62_001).await, "an old answer");
    }
}
