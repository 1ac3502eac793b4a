//! One turn of a subscription: what is to be done follows from what is kept. Every turn may end anywhere and begin anew.

use sha2::{Digest, Sha256};

use super::left::left;
use super::record::{Record, slot};
use crate::domain::alert::{About, AlertKind};
use crate::domain::request::Answer;
use crate::domain::source::Source;
use crate::domain::time::Time;
use crate::error::Code;
use crate::pipeline::app::{App, Wired};
use crate::pipeline::ask::Asking;
use crate::pipeline::standing::{self, Failure};
use crate::plugin::subscribe::{Learnt, Part, Subscription};
use crate::plugin::{Params, Plugin};
use crate::store::{AlertChange, Kept, Store, StoreError};

/// A CRM that cannot be reached is told of when it stays so.
const TOLD_AFTER: u32 = 3;
/// What cannot be deleted at the CRM is left there after so many tries.
const DELETES: u32 = 10;

/// Why a turn did not come to its end.
enum Trouble {
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

fn wrong(why: impl ToString) -> Trouble {
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

struct Run<'a> {
    app: &'a App,
    wired: &'a Wired,
    plugin: &'a Plugin,
    of: &'a Subscription,
    source: Source,
    record: Record,
    asked: u32,
}

impl Run<'_> {
    fn now(&self) -> Time {
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
            self.make().await?;
        } else if !self.record.is_made_of(&self.digest()) {
            tracing::info!(connection.id = %self.source.key.connection, subscription = %self.of.name, "what is to be registered has changed");
            self.replace().await?;
        } else if self.record.renew_at(self.of).is_some_and(|at| at <= now) {
            self.renew().await?;
        } else if self.check_at() <= now {
            self.check().await?;
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

    fn hook_url(&self) -> String {
        self.hook().map(|(_, url)| url).unwrap_or_default()
    }

    /// What its requests may know.
    fn params(&self) -> Params {
        let (params, url) = self.hook().map_or_else(|| (self.wired.params.clone(), String::new()), |(params, url)| (params.clone(), url));
        self.of.params(params, &url, self.record.texts())
    }

    /// What it is asked to be, without tokens and times: when that changes, it is made anew.
    fn digest(&self) -> String {
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
    fn base(&self) -> String {
        let asked = self.plugin.compose_subscribe(&self.of.create, Time(0), &self.params(), &self.wired.bases);
        let url = asked.ok().and_then(|request| url::Url::parse(&request.url).ok());
        url.map(|url| url.origin().ascii_serialization()).unwrap_or_default()
    }

    // --- requests

    /// A part that is there in these modes.
    fn there<'p>(&self, part: Option<&'p Part>) -> Option<&'p Part> {
        part.filter(|part| self.plugin.part_is_there(part, self.now(), &self.params()))
    }

    async fn ask(&mut self, part: &Part) -> Result<Answer, Failure> {
        self.ask_with(part, &self.params()).await
    }

    async fn ask_with(&mut self, part: &Part, params: &Params) -> Result<Answer, Failure> {
        self.asked += 1;
        let asking = Asking { app: self.app, wired: self.wired, plugin: self.plugin, request: &part.request, params, first: self.asked == 1 };
        let now = self.now();
        standing::answer(asking, |params| self.plugin.compose_subscribe(part, now, params, &self.wired.bases)).await
    }

    /// Whether one of ours is there already, and what is known of it.
    async fn look(&mut self) -> Result<Option<(Learnt, bool)>, Trouble> {
        if let Some(find) = self.there(self.of.find.as_ref()) {
            let answer = match self.ask(find).await {
                Err(failure) if failure.gone => return Ok(None),
                answer => answer?,
            };
            return self.plugin.subscription_found(find, &answer, self.now(), &self.params(), self.record.id()).map_err(wrong);
        }
        let Some(check) = self.there(self.of.check.as_ref()).filter(|_| self.of.check_finds) else { return Ok(None) };
        match self.ask(check).await {
            Ok(answer) if self.plugin.subscription_lives(check, &answer, self.now(), &self.params()) => {
                let learnt = self.plugin.subscription_learnt(check, &answer, self.now(), &self.params()).map_err(wrong)?;
                Ok(Some((learnt, true)))
            }
            Ok(_) => Ok(None),
            Err(failure) if failure.gone => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    // --- what is done

    /// Registers it. A request of an earlier try may have been taken: the CRM is asked first, where it can be.
    async fn make(&mut self) -> Result<(), Trouble> {
        let digest = self.digest();
        if let Some((learnt, lives)) = self.look().await? {
            // Its secret is the one that was on disk before that request left.
            if lives && self.record.asked_for(&digest) && !self.of.answers_secret() {
                return self.made(learnt, &digest).await;
            }
            self.delete(&learnt).await?;
        }
        let making = self.record.making(self.of, &self.hook_url(), &self.base(), &digest, self.now());
        self.keep(making.ok_or_else(|| wrong("the system gives no random numbers"))?).await?;
        let create = &self.of.create;
        let answer = self.ask(create).await?;
        let learnt = self.plugin.subscription_learnt(create, &answer, self.now(), &self.params()).map_err(wrong)?;
        self.made(learnt, &digest).await
    }

    async fn made(&mut self, learnt: Learnt, digest: &str) -> Result<(), Trouble> {
        self.keep(self.record.made(learnt, digest, self.now())).await?;
        self.source.registration.checked_at = Some(self.now());
        tracing::info!(connection.id = %self.source.key.connection, subscription = %self.of.name, "a webhook was registered at the CRM");
        Ok(())
    }

    async fn check(&mut self) -> Result<(), Trouble> {
        let now = self.now();
        let lives = if let Some(check) = self.there(self.of.check.as_ref()) {
            match self.ask(check).await {
                Ok(answer) if self.plugin.subscription_lives(check, &answer, now, &self.params()) => {
                    Some(self.plugin.subscription_learnt(check, &answer, now, &self.params()).map_err(wrong)?)
                }
                Ok(_) => {
                    self.delete(&Learnt::default()).await?;
                    None
                }
                Err(failure) if failure.gone => None,
                Err(failure) => return Err(failure.into()),
            }
        } else if self.there(self.of.find.as_ref()).is_some() {
            let id = self.record.id().map(str::to_owned);
            let same = |learnt: &Learnt| id.is_none() || learnt.values.get("id").is_none_or(|found| Some(found) == id.as_ref());
            self.look().await?.filter(|(learnt, lives)| *lives && same(learnt)).map(|(learnt, _)| learnt)
        } else {
            Some(Learnt::default())
        };
        self.source.registration.checked_at = Some(now);
        match lives {
            Some(learnt) => match self.record.learnt(learnt, false, now) {
                Some(next) => self.keep(next).await,
                None => Ok(()),
            },
            None => self.make_again().await,
        }
    }

    async fn make_again(&mut self) -> Result<(), Trouble> {
        tracing::warn!(connection.id = %self.source.key.connection, subscription = %self.of.name, "a webhook is no longer registered at the CRM: it is made again");
        self.keep(self.record.only_secret(self.now())).await?;
        self.make().await
    }

    async fn renew(&mut self) -> Result<(), Trouble> {
        let Some(renew) = self.there(self.of.renew.as_ref()) else { return self.replace().await };
        let answer = match self.ask(renew).await {
            Ok(answer) => answer,
            // What has ended cannot be renewed, whatever words the CRM has for it.
            Err(failure) if failure.gone || (failure.misconfigured && self.record.0.ends_at.is_some_and(|end| end <= self.now())) => {
                return self.make_again().await;
            }
            Err(failure) => return Err(failure.into()),
        };
        let learnt = self.plugin.subscription_learnt(renew, &answer, self.now(), &self.params()).map_err(wrong)?;
        match self.record.learnt(learnt, true, self.now()) {
            Some(next) => self.keep(next).await,
            None => Ok(()),
        }
    }

    async fn replace(&mut self) -> Result<(), Trouble> {
        self.delete(&Learnt::default()).await?;
        self.keep(self.record.only_secret(self.now())).await?;
        self.make().await
    }

    /// Deletes it at the CRM; one that is not there is as good as deleted. `found`: what was learnt of another than the one kept.
    async fn delete(&mut self, found: &Learnt) -> Result<(), Trouble> {
        let mut params = self.params();
        params.extend(self.of.named(&found.values));
        let Some(delete) = self.of.delete.as_ref().filter(|part| self.plugin.part_is_there(part, self.now(), &params)) else { return Ok(()) };
        match self.ask_with(delete, &params).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.gone => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn remove(&mut self) -> Result<(), Trouble> {
        if self.record.is_made() {
            self.delete(&Learnt::default()).await?;
        } else if self.record.is_in_doubt()
            && let Some((found, _)) = self.look().await?
        {
            self.delete(&found).await?;
        }
        self.forget().await
    }

    // --- what is kept

    /// On disk, then in force: a delivery may come before the CRM has answered.
    async fn keep(&mut self, kept: Kept) -> Result<(), Trouble> {
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
            let detail = format!("{}: {sentence}", self.of.title.en);
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
