//! Records that were taken while the CRM refuses to be told so: left alone in what is fetched, and told of again now and then.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::poll::Run;
use super::standing::Failure;
use crate::domain::id::EventId;
use crate::domain::record::{ID_BYTES, RecordRef, cut};
use crate::domain::time::Time;
use crate::domain::untold::{DIGEST_CHARS, Refused, SAYS_CHARS};
use crate::error::Code;
use crate::plugin::poll::Fetched;
use crate::store::{AlertChange, Store, StoreError};

/// So many are told of again in one turn.
const AGAIN_AT_ONCE: usize = 10;

/// What one answer holds of records that are left alone.
#[derive(Default)]
pub(super) struct LeftAlone {
    pub items: BTreeSet<usize>,
    fresh: BTreeMap<String, Value>,
}

impl Run<'_> {
    /// The CRM will not be told that this item was taken, which is of that record. `false`: there are too many of them to leave one more alone.
    pub(super) fn refuse(&mut self, event: EventId, n: usize, item: &Value, record: &RecordRef, failure: &Failure) -> bool {
        let now = self.app.clock.now();
        let again = now.plus(failure.pause(0));
        let index = u32::try_from(n).unwrap_or(u32::MAX);
        let kept = self.source.poll.untold.add(Refused::new(key(record, item), content(item), event, index, again));
        let says = self.sentence(record, &failure.sentence, kept);
        tracing::warn!(connection.id = %self.source.key.connection, poll = %self.source.key.name, event.id = %event, item = n, sentence = %says, "the CRM would not be told that a record was taken");
        self.source.poll.untold.says = says;
        kept
    }

    fn sentence(&self, record: &RecordRef, answer: &str, alone: bool) -> String {
        let mut name = [record.kind.as_str(), record.id.as_str()].join(" ").trim().to_owned();
        cut(&mut name, ID_BYTES);
        let (vi, en) = if alone { ("; bản ghi này được để yên", "; it is left alone") } else { Default::default() };
        let mut says = self.app.redact(&self.wired.connection.language.of((
            format!("đã nhận bản ghi {name} nhưng CRM không cho báo lại, nên bản ghi vẫn còn chờ ở đó{vi}: {answer}"),
            format!("the record {name} was taken, but the CRM would not be told so, and it still stands there as waiting{en}: {answer}"),
        )));
        cut(&mut says, SAYS_CHARS);
        says
    }

    /// Which items of an answer are left alone.
    pub(super) fn leave_alone(&mut self, fetched: &Fetched, body: &[u8]) -> LeftAlone {
        let mut alone = LeftAlone::default();
        if self.source.poll.pages == 0 {
            self.source.poll.untold.begin();
        }
        if self.source.poll.untold.is_empty() {
            return alone;
        }
        let records = self.plugin.poll_records(self.poll, body, self.params());
        for (n, (item, record)) in fetched.items.iter().zip(&records).enumerate() {
            let key = key(record, item);
            if self.source.poll.untold.meet(&key) {
                alone.items.insert(n);
                alone.fresh.entry(key).or_insert_with(|| item.clone());
            }
        }
        alone
    }

    /// After an answer's last page: what no longer stands there is forgotten.
    pub(super) fn forget_absent(&mut self, fetched: &Fetched) {
        // Behind a cursor a record is not seen again, whether it still waits there or not.
        if self.poll.has_cursor() || fetched.more {
            return;
        }
        if self.poll.has_pages() || self.source.poll.untold.was_whole(fetched.items.len()) {
            self.source.poll.untold.end();
        }
    }

    /// Tells the CRM again of those whose time has come, and of those that hold something else now. What it takes now is left alone no longer.
    pub(super) async fn tell_again(&mut self, alone: &LeftAlone) -> Result<(), StoreError> {
        let now = self.app.clock.now();
        let untold = &self.source.poll.untold;
        let changed = |refused: &&Refused| refused.again <= now || alone.fresh.get(&refused.record).is_some_and(|item| content(item) != refused.content);
        let due: Vec<Refused> = untold.all().filter(changed).take(AGAIN_AT_ONCE).cloned().collect();
        for refused in due {
            let fresh = alone.fresh.get(&refused.record).cloned();
            let seen = fresh.is_some();
            let item = match fresh {
                Some(item) => Some(item),
                None if self.poll.has_cursor() => self.stored(&refused)?,
                // It may have been unticked; if it was not, it comes again.
                None => continue,
            };
            let cursor = self.source.poll.cursor.clone().unwrap_or_default();
            let told = match &item {
                Some(item) => self.tell(item, self.place(&cursor, now), false).await.map(|_| true),
                // It is no longer on disk.
                None => Ok(true),
            };
            match told {
                // Not there, and not seen there.
                Err(failure) if failure.gone && !seen => self.source.poll.untold.remove(&refused.record),
                Ok(_) => self.source.poll.untold.remove(&refused.record),
                Err(failure) => self.refused_again(&refused, item.as_ref(), now, &failure),
            }
        }
        Ok(())
    }

    fn refused_again(&mut self, refused: &Refused, item: Option<&Value>, now: Time, failure: &Failure) {
        let Some(known) = self.source.poll.untold.find_mut(&refused.record) else { return };
        known.again = now.plus(failure.pause(refused.tries));
        known.tries = refused.tries.saturating_add(1);
        // Told nothing: what it holds now may be told at once.
        if let Some(item) = item.filter(|_| failure.refused) {
            known.content = content(item);
        }
    }

    /// The item as it lies on disk.
    fn stored(&self, refused: &Refused) -> Result<Option<Value>, StoreError> {
        let body: Bytes = self.app.store.body(refused.event)?;
        Ok(self.plugin.poll_items(self.poll, &body).into_iter().nth(refused.item as usize))
    }

    /// What the admin is told follows from what is left alone; nobody but an alert says that records wait there.
    pub(super) async fn tell_admin(&mut self, now: Time) -> Result<(), StoreError> {
        let untold = &self.source.poll.untold;
        let problem = (!untold.is_empty()).then(|| untold.says.clone());
        let failed = self.source.failures > 0;
        if problem == self.source.problem && !failed {
            return Ok(());
        }
        let mut changes = Vec::new();
        // Of another trouble: it is over.
        if failed || problem.is_none() {
            changes.push(AlertChange::Clear { about: self.about() });
        }
        if let Some(detail) = &problem {
            changes.push(AlertChange::Raise { about: self.about(), code: Code::ConnectionFailing, detail: detail.clone() });
        }
        self.app.store.change_alerts(now, changes).await?;
        self.source.problem = problem;
        Ok(())
    }
}

/// Which record it is; where that is not known, what it holds.
fn key(record: &RecordRef, item: &Value) -> String {
    if record.id.is_empty() { content(item) } else { digest(&[record.kind.as_bytes(), &[0], record.id.as_bytes()].concat()) }
}

fn content(item: &Value) -> String {
    digest(item.to_string().as_bytes())
}

fn digest(bytes: &[u8]) -> String {
    let mut digest = hex::encode(Sha256::digest(bytes));
    digest.truncate(DIGEST_CHARS);
    digest
}
