//! The order of a subscription's requests, in one place: a running bridge follows it from what is on disk, a case from its transcript.

use std::fmt::Display;
use std::future::Future;

use super::subscribe::{Learnt, Part, Subscription};
use super::{Params, Plugin};
use crate::domain::request::Answer;
use crate::domain::time::Time;

/// One of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Find,
    Create,
    Check,
    Renew,
    Delete,
}

impl Subscription {
    pub fn part(&self, which: Which) -> Option<&Part> {
        match which {
            Which::Find => self.find.as_ref(),
            Which::Create => Some(&self.create),
            Which::Check => self.check.as_ref(),
            Which::Renew => self.renew.as_ref(),
            Which::Delete => self.delete.as_ref(),
        }
    }
}

/// Who makes the requests of one subscription and keeps what they give.
pub trait Hands: Send {
    /// Why one of them came to nothing.
    type Stop: Send;

    fn plugin(&self) -> &Plugin;
    fn of(&self) -> &Subscription;
    fn now(&self) -> Time;
    /// What its requests may know.
    fn params(&self) -> Params;
    /// The id of the one that is known of.
    fn id(&self) -> Option<String>;
    /// A request that makes it as it is to be now has left, and nobody knows what became of it.
    fn may_be_made(&self) -> bool;
    /// It has come to its end.
    fn has_ended(&self) -> bool;

    fn ask(&mut self, which: Which, params: &Params) -> impl Future<Output = Result<Answer, Self::Stop>> + Send;
    /// Keeps that it is about to be made, before that request leaves.
    fn intend(&mut self) -> impl Future<Output = Result<(), Self::Stop>> + Send;
    fn made(&mut self, learnt: Learnt) -> impl Future<Output = Result<(), Self::Stop>> + Send;
    /// Keeps what an answer said about one that lives; `renewed`: its time begins anew.
    fn learnt(&mut self, learnt: Learnt, renewed: bool) -> impl Future<Output = Result<(), Self::Stop>> + Send;
    /// Forgets all but its secret: what was signed with that may still be on its way. `lost`: it was no longer there.
    fn only_secret(&mut self, lost: bool) -> impl Future<Output = Result<(), Self::Stop>> + Send;
    /// The CRM was asked whether it lives.
    fn checked(&mut self) {}

    fn wrong(why: impl Display) -> Self::Stop;
    /// The CRM said that there is no such thing.
    fn is_gone(stop: &Self::Stop) -> bool;
    /// Trying again soon is of no use.
    fn is_misconfigured(stop: &Self::Stop) -> bool;
}

/// Whether it has such a request in these modes.
fn there<H: Hands>(hands: &H, which: Which, params: &Params) -> bool {
    hands.of().part(which).is_some_and(|part| hands.plugin().part_is_there(part, hands.now(), params))
}

fn learn<H: Hands>(hands: &H, which: Which, answer: &Answer) -> Result<Learnt, H::Stop> {
    let part = hands.of().part(which);
    part.map_or_else(|| Ok(Learnt::default()), |part| hands.plugin().subscription_learnt(part, answer, hands.now(), &hands.params()).map_err(H::wrong))
}

/// What the answer to a check says of one that lives; `None`: that it does not.
fn alive<H: Hands>(hands: &H, answer: &Answer) -> Result<Option<Learnt>, H::Stop> {
    let lives = hands.of().check.as_ref().is_some_and(|check| hands.plugin().subscription_lives(check, answer, hands.now(), &hands.params()));
    if lives { learn(hands, Which::Check, answer).map(Some) } else { Ok(None) }
}

fn found<H: Hands>(hands: &H, answer: &Answer) -> Result<Option<(Learnt, bool)>, H::Stop> {
    let (Some(find), id) = (&hands.of().find, hands.id()) else { return Ok(None) };
    hands.plugin().subscription_found(find, answer, hands.now(), &hands.params(), id.as_deref()).map_err(H::wrong)
}

/// Asks; `None`: there is no such thing.
async fn ask<H: Hands>(hands: &mut H, which: Which) -> Result<Option<Answer>, H::Stop> {
    let params = hands.params();
    match hands.ask(which, &params).await {
        Ok(answer) => Ok(Some(answer)),
        Err(stop) if H::is_gone(&stop) => Ok(None),
        Err(stop) => Err(stop),
    }
}

/// Whether one of ours is there already, what is known of it, and whether it lives.
pub async fn look<H: Hands>(hands: &mut H) -> Result<Option<(Learnt, bool)>, H::Stop> {
    let params = hands.params();
    if there(hands, Which::Find, &params) {
        let Some(answer) = ask(hands, Which::Find).await? else { return Ok(None) };
        return found(hands, &answer);
    }
    if !hands.of().check_finds || !there(hands, Which::Check, &params) {
        return Ok(None);
    }
    let Some(answer) = ask(hands, Which::Check).await? else { return Ok(None) };
    Ok(alive(hands, &answer)?.map(|learnt| (learnt, true)))
}

/// Registers it. A request of an earlier try may have been taken: the CRM is asked first, where it can be.
pub async fn make<H: Hands>(hands: &mut H) -> Result<(), H::Stop> {
    if let Some((learnt, lives)) = look(hands).await? {
        // Its secret is the one that was kept before that request left.
        if lives && hands.may_be_made() && !hands.of().answers_secret() {
            return hands.made(learnt).await;
        }
        delete(hands, &learnt).await?;
    }
    hands.intend().await?;
    let params = hands.params();
    let answer = hands.ask(Which::Create, &params).await?;
    let learnt = learn(hands, Which::Create, &answer)?;
    hands.made(learnt).await
}

/// Looks whether it lives; one that does not is made again.
pub async fn check<H: Hands>(hands: &mut H) -> Result<(), H::Stop> {
    let params = hands.params();
    let lives = if there(hands, Which::Check, &params) {
        match ask(hands, Which::Check).await? {
            None => None,
            Some(answer) => {
                let lives = alive(hands, &answer)?;
                if lives.is_none() {
                    delete(hands, &Learnt::default()).await?;
                }
                lives
            }
        }
    } else if there(hands, Which::Find, &params) {
        let id = hands.id();
        let same = |learnt: &Learnt| id.is_none() || learnt.values.get("id").is_none_or(|found| Some(found) == id.as_ref());
        look(hands).await?.filter(|(learnt, lives)| *lives && same(learnt)).map(|(learnt, _)| learnt)
    } else {
        Some(Learnt::default())
    };
    hands.checked();
    match lives {
        Some(learnt) => hands.learnt(learnt, false).await,
        None => make_again(hands, true).await,
    }
}

/// Renews it; where the CRM has no request for that, it is made anew.
pub async fn renew<H: Hands>(hands: &mut H) -> Result<(), H::Stop> {
    let params = hands.params();
    if !there(hands, Which::Renew, &params) {
        return replace(hands).await;
    }
    let answer = match hands.ask(Which::Renew, &params).await {
        Ok(answer) => answer,
        // What has ended cannot be renewed, whatever words the CRM has for it.
        Err(stop) if H::is_gone(&stop) || (H::is_misconfigured(&stop) && hands.has_ended()) => return make_again(hands, true).await,
        Err(stop) => return Err(stop),
    };
    let learnt = learn(hands, Which::Renew, &answer)?;
    hands.learnt(learnt, true).await
}

/// Deletes it and makes it anew.
pub async fn replace<H: Hands>(hands: &mut H) -> Result<(), H::Stop> {
    delete(hands, &Learnt::default()).await?;
    make_again(hands, false).await
}

async fn make_again<H: Hands>(hands: &mut H, lost: bool) -> Result<(), H::Stop> {
    hands.only_secret(lost).await?;
    make(hands).await
}

/// Deletes it at the CRM; one that is not there is as good as deleted. `found`: what was learnt of another than the one kept.
pub async fn delete<H: Hands>(hands: &mut H, found: &Learnt) -> Result<(), H::Stop> {
    let mut params = hands.params();
    params.extend(hands.of().named(&found.values));
    if !there(hands, Which::Delete, &params) {
        return Ok(());
    }
    match hands.ask(Which::Delete, &params).await {
        Ok(_) => Ok(()),
        Err(stop) if H::is_gone(&stop) => Ok(()),
        Err(stop) => Err(stop),
    }
}
