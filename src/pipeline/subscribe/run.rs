//! One turn of a subscription: what is to be done follows from what is kept. Every turn may end anywhere and begin anew.

use sha2::{Digest, Sha256};

use super::left::left;
use super::record::{Record, slot};
use crate::domain::alert::{About, AlertKind};
use crate::domain::source::Source;
use crate::domain::time::Time;
use crate::error::Code;
use crate::pipeline::app::{App, Wired};
use crate::pipeline::standing::Failure;
use crate::plugin::registering;
use crate::plugin::subscribe::{Learnt, Subscription};
use crate::plugin::{Params, Plugin};
use crate::store::{AlertChange, Kept, Store, StoreError};

/// A CRM that cannot be reached is told of when it stays so.
const TOLD_AFTER: u32 = 3;
/// What cannot be deleted at the CRM is left there after so many tries.
const DELETES: u32 = 10;

/// Why a turn did not come to its end.
pub(super) enum Trouble {
    Crm(Failure),
    Store(StoreError),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Trouble::Crm(failure)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Trouble::Store(error)
    }
}

pub(super) fn wrong(why: impl ToString) -> Trouble {
    Trouble::Crm(Failure::misconfigured(why.to_string()))
}

/// Makes it, looks after it, or deletes it.
pub async fn run(app: &App, source: Source) -> Result<(), StoreError> {
    let wired = app.connection(&source.key.connection);
    let Some(wired) = wired else { return left(app, source).await };
    // A folder that does not load now: it goes on when it does.
    let Some(plugin) = app.plugins.get(&wired.connection.plugin) else { return app.store.finish_source(source, None, None).await };
    let Some(of) = plugin.subscription(&source.key.name) else { return left(app, source).await };
    let kept = app.store.kept(&source.key.connection, &slot(&of.name))?;
    let mut run = Run { app, wired: &wired, plugin: &plugin, of, source, record: Record(kept.unwrap_or_default()), asked: 0 };
    match run.turn().await {
        Ok(due) => run.worked(due).await,
        Err(Trouble::Crm(failure)) => run.failed(failure).await,
        Err(Trouble::Store(error)) => Err(error),
    }
}

/// One turn.
pub(super) struct Run<'a> {
    pub app: &'a App,
    pub wired: &'a Wired,
    pub plugin: &'a Plugin,
    pub of: &'a Subscription,
    pub source: Source,
    pub record: Record,
    pub asked: u32,
}

impl Run<'_> {
    pub(super) fn now(&self) -> Time {
        self.app.clock.now()
    }

    fn is_wanted(&self) -> bool {
        self.source.wanted && !self.source.registration.off
    }

    /// What is done now, and when to go on; `None`: it rests.
    async fn turn(&mut self) -> Result<Option<Time>, Trouble> {
        if !self.is_wanted() {
            self.remove().await?;
            return Ok(None);
        }
        if self.hook_url().is_empty() {
            return Err(wrong("the connection has no hook_key: there is no address to register"));
        }
        let now = self.now();
        if !self.record.is_made() {
            registering::make(self).await?;
        } else if !self.record.is_made_of(&self.digest()) {
            tracing::info!(connection.id = %self.source.key.connection, subscription = %self.of.name, "what is to be registered has changed");
            registering::replace(self).await?;
        } else if self.record.renew_at(self.of).is_some_and(|at| at <= now) {
            registering::renew(self).await?;
        } else if self.check_at() <= now {
            registering::check(self).await?;
        }
        Ok(Some(self.record.renew_at(self.of).map_or(self.check_at(), |renew| renew.min(self.check_at()))))
    }

    fn check_at(&self) -> Time {
        // A person who wants it looked at takes the time away.
        self.source.registration.checked_at.map_or(Time(0), |last| last.plus(self.of.check_every))
    }

    // --- what it is made of

    /// The hook it sends to; where the connection has none of that kind, its first address with that kind's tail.
    fn hook(&self) -> Option<(&Params, String)> {
        let kind = self.plugin.hook_of(self.of);
        let wanted = kind.map(|kind| kind.name.as_str());
        let hooks = &self.wired.hooks;
        if let Some(own) = hooks.iter().find(|hook| wanted.is_none_or(|wanted| hook.params.get("hook.kind").is_some_and(|kind| kind == wanted))) {
            return Some((&own.params, own.params.get("hook.url").cloned()?));
        }
        let first = hooks.first()?;
        let tail = kind.map(|kind| kind.tail.trim_matches('/')).filter(|tail| !tail.is_empty());
        let url = first.params.get("hook.url")?;
        Some((&first.params, tail.map_or_else(|| url.clone(), |tail| format!("{url}/{tail}"))))
    }

    pub(super) fn hook_url(&self) -> String {
        self.hook().map(|(_, url)| url).unwrap_or_default()
    }

    /// What its requests may know.
    pub(super) fn params(&self) -> Params {
        let (params, url) = self.hook().map_or_else(|| (self.wired.params.clone(), String::new()), |(params, url)| (params.clone(), url));
        self.of.params(params, &url, self.record.texts())
    }

    /// What it is asked to be, without tokens and times: when that changes, it is made anew.
    pub(super) fn digest(&self) -> String {
        let mut params = self.params();
        let own = format!("subscription.{}.", self.of.name);
        params.retain(|key, _| !key.starts_with(&own));
        let url = self.hook_url();
        let asked = self.plugin.compose_subscribe(&self.of.create, Time(0), &params, &self.wired.bases);
        let mut digest = Sha256::new();
        digest.update(&url);
        if let Ok(request) = asked {
            digest.update([0]);
            digest.update(&request.url);
            digest.update([0]);
            digest.update(&request.body);
        }
        hex::encode(digest.finalize())
    }

    /// Scheme and host that it is made at.
    pub(super) fn base(&self) -> String {
        let asked = self.plugin.compose_subscribe(&self.of.create, Time(0), &self.params(), &self.wired.bases);
        let url = asked.ok().and_then(|request| url::Url::parse(&request.url).ok());
        url.map(|url| url.origin().ascii_serialization()).unwrap_or_default()
    }

    // --- what is done

    async fn remove(&mut self) -> Result<(), Trouble> {
        if self.record.is_made() {
            registering::delete(self, &Learnt::default()).await?;
        } else if self.record.is_in_doubt()
            && let Some((found, _)) = registering::look(self).await?
        {
            registering::delete(self, &found).await?;
        }
        self.forget().await
    }

    // --- what is kept

    /// On disk, then in force: a delivery may come before the CRM has answered.
    pub(super) async fn keep(&mut self, kept: Kept) -> Result<(), Trouble> {
        let (connection, slot) = (self.source.key.connection.clone(), slot(&self.of.name));
        let record = Record(kept);
        self.app.logins.hide((connection.clone(), slot.clone()), record.secrets());
        if !self.app.store.keep(connection.clone(), slot, record.0.clone()).await? {
            return Err(Trouble::Store(StoreError::Broken("another process looks after the same subscription".to_owned())));
        }
        self.record = record;
        self.app.recapture(&connection);
        Ok(())
    }

    async fn forget(&mut self) -> Result<(), Trouble> {
        let connection = self.source.key.connection.clone();
        if self.record.0.version > 0 {
            self.app.store.forget(connection.clone(), slot(&self.of.name)).await?;
            self.app.recapture(&connection);
        }
        self.record = Record::default();
        Ok(())
    }

    /// What can be seen of it.
    fn mirror(&mut self) {
        let (since, until) = (self.record.since(), self.record.0.ends_at);
        (self.source.registration.since, self.source.registration.until) = (since, until);
    }

    fn about(&self) -> About {
        let subject = format!("{}/{}", self.source.key.connection, self.of.name);
        About::new(&self.source.key.workspace, AlertKind::NotSubscribed, &subject)
    }

    async fn worked(mut self, due: Option<Time>) -> Result<(), StoreError> {
        let now = self.now();
        if self.source.problem.take().is_some() {
            self.app.store.change_alerts(now, vec![AlertChange::Clear { about: self.about() }]).await?;
        }
        (self.source.failures, self.source.worked_at) = (0, Some(now));
        self.mirror();
        self.app.store.finish_source(self.source, None, due).await
    }

    /// Tried again without end as long as it is wanted.
    async fn failed(mut self, failure: Failure) -> Result<(), StoreError> {
        let sentence = self.app.redact(&failure.sentence);
        let now = self.now();
        let pause = failure.pause(self.source.failures);
        self.source.failures = self.source.failures.saturating_add(1);
        if self.source.problem.as_ref() != Some(&sentence) {
            tracing::warn!(connection.id = %self.source.key.connection, subscription = %self.of.name, sentence, "a webhook could not be registered or looked after");
        }
        let mut due = Some(now.plus(pause));
        if self.is_wanted() && (failure.misconfigured || self.source.failures >= TOLD_AFTER) {
            let detail = format!("{}: {sentence}", self.wired.connection.language.of((&self.of.title.vi, &self.of.title.en)));
            self.app.store.change_alerts(now, vec![AlertChange::Raise { about: self.about(), code: Code::NotSubscribed, detail }]).await?;
        }
        self.source.problem = Some(sentence);
        if !self.is_wanted() && self.source.failures >= DELETES {
            if let Err(Trouble::Store(error)) = self.forget().await {
                return Err(error);
            }
            self.source.problem = self.source.problem.take().map(|why| format!("it may still be registered at the CRM, delete it there: {why}"));
            due = None;
        }
        self.mirror();
        self.app.store.finish_source(self.source, None, due).await
    }
}
