//! Fetches records from a CRM. What comes is an event like any delivery; the cursor moves in the step that stores it.

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::app::{App, Wired};
use super::ask::Asking;
use super::standing::{self, Failure};
use super::untold::LeftAlone;
use crate::domain::alert::{About, AlertKind};
use crate::domain::event::Event;
use crate::domain::id::EventId;
use crate::domain::record::RecordRef;
use crate::domain::request::{Answer, Outbound};
use crate::domain::source::Source;
use crate::domain::time::Time;
use crate::error::Code;
use crate::plugin::poll::{Fetched, Place, Poll};
use crate::plugin::split::MAX_ITEMS;
use crate::plugin::{ComposeError, Params, Plugin, Request};
use crate::store::{AlertChange, Store, StoreError};

/// A further page or acknowledgement comes at once, but other connections have their turn between.
const ACKNOWLEDGED_AT_ONCE: usize = 50;

/// So many failures in a row are told; one that a person has to mend is told at once.
const TOLD_AFTER: u32 = 3;

/// One fetch, or the acknowledgements of those before.
pub(super) async fn run(app: &App, source: Source) -> Result<(), StoreError> {
    let wired = app.connection(&source.key.connection);
    let plugin = wired.as_ref().and_then(|wired| app.plugins.get(&wired.connection.plugin));
    let (Some(wired), Some(plugin)) = (wired, plugin) else { return app.store.finish_source(source, None, None).await };
    let Some(poll) = plugin.poll(&source.key.name) else { return app.store.finish_source(source, None, None).await };
    // What is fetched now could not be kept.
    if let Some(why) = app.store.trouble() {
        return Err(StoreError::Broken(why));
    }
    Run { app, wired: &wired, plugin: &plugin, poll, source }.turn().await
}

pub(super) struct Run<'a> {
    pub app: &'a App,
    pub wired: &'a Wired,
    pub plugin: &'a Plugin,
    pub poll: &'a Poll,
    pub source: Source,
}

impl Run<'_> {
    pub(super) fn params(&self) -> &Params {
        &self.wired.params
    }

    pub(super) fn place<'s>(&self, cursor: &'s str, now: Time) -> Place<'s> {
        Place { cursor, page: self.source.poll.pages + 1, now }
    }

    async fn turn(mut self) -> Result<(), StoreError> {
        let progress = &self.source.poll;
        if progress.pages == 0 && !progress.unacknowledged.is_empty() {
            return self.acknowledge().await;
        }
        let now = self.app.clock.now();
        let cursor = match &progress.cursor {
            Some(cursor) => cursor.clone(),
            None if !self.poll.has_cursor() => String::new(),
            None => match self.plugin.poll_start(self.poll, self.place("", now), self.params()) {
                // Kept before the first request: what comes while we try and fail is after it.
                Ok(start) => {
                    self.source.poll.cursor = Some(start);
                    return self.app.store.finish_source(self.source, None, Some(now)).await;
                }
                Err(error) => return self.failed(Failure::misconfigured(error.to_string())).await,
            },
        };
        let place = self.place(&cursor, now);
        let fetched = match self.fetch(place).await {
            Ok(fetched) => fetched,
            Err(failure) => return self.failed(failure).await,
        };
        self.keep(fetched.0, fetched.1).await
    }

    async fn fetch(&self, place: Place<'_>) -> Result<(Fetched, Answer), Failure> {
        let answer = self.ask(self.poll.request(), true, |params| self.plugin.compose_poll(self.poll, place, params, &self.wired.bases)).await?;
        if answer.truncated {
            return Err(Failure::misconfigured("the answer is larger than outbound.max_body_bytes: ask for fewer records a page"));
        }
        let fetched = self.plugin.read_poll(self.poll, &answer, place, self.params()).map_err(|error| Failure::misconfigured(error.to_string()))?;
        // More than one event may hold would be lost behind a cursor that has moved on.
        if fetched.items.len() > MAX_ITEMS {
            return Err(Failure::misconfigured(format!(
                "the answer holds {} records, at most {MAX_ITEMS} are taken at once: ask for fewer a page",
                fetched.items.len()
            )));
        }
        Ok((fetched, answer))
    }

    async fn ask(&self, request: &Request, first: bool, compose: impl Fn(&Params) -> Result<Outbound, ComposeError>) -> Result<Answer, Failure> {
        let asking = Asking { app: self.app, wired: self.wired, plugin: self.plugin, request, params: self.params(), first };
        standing::answer(asking, compose).await
    }

    /// The event and the place after it, in one step.
    async fn keep(mut self, fetched: Fetched, answer: Answer) -> Result<(), StoreError> {
        let now = self.app.clock.now();
        let alone = self.leave_alone(&fetched, &answer.body);
        self.tell_again(&alone).await?;
        let items: Vec<&Value> = fetched.items.iter().enumerate().filter(|(n, _)| !alone.items.contains(n)).map(|(_, item)| item).collect();
        let digest = hex::encode(Sha256::digest(serde_json::to_vec(&items).unwrap_or_default()));
        let new = !items.is_empty() && digest != self.source.poll.digest;
        let event = new.then(|| self.event(&alone, &answer, now));
        let progress = &mut self.source.poll;
        progress.digest = if items.is_empty() { String::new() } else { digest };
        progress.next_cursor = fetched.cursor.clone().or(progress.next_cursor.take());
        if let Some((event, _)) = event.as_ref().filter(|_| self.poll.acknowledges()) {
            progress.unacknowledged.push(event.id);
        }
        progress.pages += 1;
        let further = fetched.more && (new || !alone.items.is_empty()) && progress.pages < self.poll.pages_at_most;
        if !further {
            progress.pages = 0;
            progress.cursor = progress.next_cursor.take().or(progress.cursor.take());
            self.forget_absent(&fetched);
        }
        let at_once = further || !self.source.poll.unacknowledged.is_empty();
        self.tell_admin(now).await?;
        (self.source.failures, self.source.worked_at) = (0, Some(now));
        let due = if at_once { now } else { now.plus(self.poll.every) };
        if let Some((event, _)) = &event {
            tracing::debug!(event.id = %event.id, connection.id = %self.source.key.connection, poll = %self.source.key.name, "records were fetched");
        }
        self.app.store.finish_source(self.source, event, Some(due)).await
    }

    /// The answer as it came; without the records that are left alone where there are some.
    fn event(&self, alone: &LeftAlone, answer: &Answer, now: Time) -> (Event, Bytes) {
        let kind = answer.header("content-type").unwrap_or("application/json");
        let whole = alone.items.is_empty();
        let body = if whole { answer.body.clone() } else { self.plugin.poll_without(self.poll, &answer.body, &alone.items).into() };
        let event = Event {
            id: EventId::from_uuid(self.app.clock.uuid()),
            workspace: self.source.key.workspace.clone(),
            connection: self.source.key.connection.clone(),
            variant: self.poll.variant.clone(),
            hook: String::new(),
            method: "GET".to_owned(),
            tail: String::new(),
            query: String::new(),
            headers: vec![("content-type".to_owned(), kind.to_owned())],
            body_bytes: u32::try_from(body.len()).unwrap_or(u32::MAX),
            body: None,
            received_at: now,
            sealed: String::new(),
            replays: 0,
            let_in: None,
            items: 0,
        };
        (event, body)
    }

    /// Tells the CRM of each item of the oldest event. Told twice after a crash, never told too early. One that it refuses does not hold up the
    /// others: it is left alone from then on, for it would be fetched anew with each change, our own among them, and its customer called again.
    async fn acknowledge(mut self) -> Result<(), StoreError> {
        let Some(event) = self.source.poll.unacknowledged.first().copied() else { return Ok(()) };
        let body: Bytes = self.app.store.body(event)?;
        let items = self.plugin.poll_items(self.poll, &body);
        let done = self.source.poll.acknowledged as usize;
        let (mut told, mut refused) = (0, None);
        for (n, item) in items.iter().enumerate().skip(done).take(ACKNOWLEDGED_AT_ONCE) {
            let cursor = self.source.poll.cursor.clone().unwrap_or_default();
            match self.tell(item, self.place(&cursor, self.app.clock.now()), n == done).await {
                Ok(true) => told += 1,
                Ok(false) => {}
                Err(failure) if failure.refused => {
                    let records: &Vec<RecordRef> = refused.get_or_insert_with(|| self.plugin.poll_records(self.poll, &body, &self.wired.params));
                    let record = records.get(n).cloned().unwrap_or_default();
                    // One that is not there does no harm when it comes again: its event id keeps it from being called.
                    if !self.refuse(event, n, item, &record, &failure) && !failure.gone {
                        let sentence = self.source.poll.untold.says.clone();
                        return self.failed(Failure { sentence, ..failure }).await;
                    }
                }
                Err(failure) => return self.failed(failure).await,
            }
            self.source.poll.acknowledged += 1;
        }
        let progress = &mut self.source.poll;
        if progress.acknowledged as usize >= items.len() {
            progress.unacknowledged.remove(0);
            progress.acknowledged = 0;
        }
        // What is asked for again after this is a new wish, though it look the same; where nothing could be told, it is the same wish.
        if told > 0 || refused.is_none() {
            self.source.poll.digest.clear();
        }
        let now = self.app.clock.now();
        self.tell_admin(now).await?;
        let due = if self.source.poll.unacknowledged.is_empty() { now.plus(self.poll.every) } else { now };
        self.source.failures = 0;
        self.app.store.finish_source(self.source, None, Some(due)).await
    }

    /// Tells the CRM of one item; false where it need not be told.
    pub(super) async fn tell(&self, item: &Value, place: Place<'_>, first: bool) -> Result<bool, Failure> {
        let wanted = self.plugin.wants_ack(self.poll, item, place, self.params()).map_err(|error| Failure::refused(error.to_string()))?;
        let Some(request) = self.poll.ack_request().filter(|_| wanted) else { return Ok(false) };
        self.ask(request, first, |params| self.plugin.compose_ack(request, item, place, params, &self.wired.bases)).await.map(|_| true)
    }

    pub(super) fn about(&self) -> About {
        let key = &self.source.key;
        // Of the poll alone: a write-back that works says nothing about it.
        About::new(&key.workspace, AlertKind::ConnectionFailing, &format!("{}/{}", key.connection, key.name))
    }

    /// Never given up: what came meanwhile is fetched when it works again.
    async fn failed(mut self, failure: Failure) -> Result<(), StoreError> {
        let sentence = self.app.redact(&failure.sentence);
        if self.source.problem.as_ref() != Some(&sentence) {
            tracing::warn!(connection.id = %self.source.key.connection, poll = %self.source.key.name, sentence, "records could not be fetched");
        }
        let pause = failure.pause(self.source.failures);
        self.source.failures = self.source.failures.saturating_add(1);
        if failure.misconfigured || self.source.failures == TOLD_AFTER {
            let raise = AlertChange::Raise { about: self.about(), code: Code::ConnectionFailing, detail: sentence.clone() };
            self.app.store.change_alerts(self.app.clock.now(), vec![raise]).await?;
        }
        self.source.problem = Some(sentence);
        let due = self.app.clock.now().plus(pause);
        self.app.store.finish_source(self.source, None, Some(due)).await
    }
}
