//! What a turn of a subscription does with its own hands: asking the CRM, and keeping what it says before the next request leaves.

use std::fmt::Display;

use super::run::{Run, Trouble, wrong};
use crate::domain::request::Answer;
use crate::domain::time::Time;
use crate::pipeline::ask::Asking;
use crate::pipeline::standing;
use crate::plugin::registering::{Hands, Which};
use crate::plugin::subscribe::{Learnt, Subscription};
use crate::plugin::{Params, Plugin};

impl Hands for Run<'_> {
    type Stop = Trouble;

    fn plugin(&self) -> &Plugin {
        self.plugin
    }

    fn of(&self) -> &Subscription {
        self.of
    }

    fn now(&self) -> Time {
        Run::now(self)
    }

    fn params(&self) -> Params {
        Run::params(self)
    }

    fn id(&self) -> Option<String> {
        self.record.id().map(str::to_owned)
    }

    fn may_be_made(&self) -> bool {
        self.record.asked_for(&self.digest())
    }

    fn has_ended(&self) -> bool {
        self.record.0.ends_at.is_some_and(|end| end <= Run::now(self))
    }

    async fn ask(&mut self, which: Which, params: &Params) -> Result<Answer, Trouble> {
        let part = self.of.part(which).ok_or_else(|| wrong("there is no such request"))?;
        self.asked += 1;
        let asking = Asking { app: self.app, wired: self.wired, plugin: self.plugin, request: &part.request, params, first: self.asked == 1 };
        let now = Run::now(self);
        Ok(standing::answer(asking, |params| self.plugin.compose_subscribe(part, now, params, &self.wired.bases)).await?)
    }

    async fn intend(&mut self) -> Result<(), Trouble> {
        let making = self.record.making(self.of, &self.hook_url(), &self.base(), &self.digest(), Run::now(self));
        self.keep(making.ok_or_else(|| wrong("the system gives no random numbers"))?).await
    }

    async fn made(&mut self, learnt: Learnt) -> Result<(), Trouble> {
        self.keep(self.record.made(learnt, &self.digest(), Run::now(self))).await?;
        self.checked();
        tracing::info!(connection.id = %self.source.key.connection, subscription = %self.of.name, "a webhook was registered at the CRM");
        Ok(())
    }

    async fn learnt(&mut self, learnt: Learnt, renewed: bool) -> Result<(), Trouble> {
        match self.record.learnt(learnt, renewed, Run::now(self)) {
            Some(next) => self.keep(next).await,
            None => Ok(()),
        }
    }

    async fn only_secret(&mut self, lost: bool) -> Result<(), Trouble> {
        if lost {
            tracing::warn!(connection.id = %self.source.key.connection, subscription = %self.of.name, "a webhook is no longer registered at the CRM: it is made again");
        }
        self.keep(self.record.only_secret(Run::now(self))).await
    }

    fn checked(&mut self) {
        self.source.registration.checked_at = Some(Run::now(self));
    }

    fn wrong(why: impl Display) -> Trouble {
        wrong(why)
    }

    fn is_gone(stop: &Trouble) -> bool {
        matches!(stop, Trouble::Crm(failure) if failure.gone)
    }

    fn is_misconfigured(stop: &Trouble) -> bool {
        matches!(stop, Trouble::Crm(failure) if failure.misconfigured)
    }
}
