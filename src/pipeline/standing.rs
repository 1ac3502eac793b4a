//! Standing work at a CRM, never done: polls, subscriptions, logins that must not die of not being used. Each is a *source* with
//! a record and a task of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::app::{App, Wired};
use super::ask::{AskError, Asking, ask};
use super::{keep_alive, login, poll, subscribe};
use crate::domain::connection::{Language, Mode};
use crate::domain::id::SourceId;
use crate::domain::request::{Answer, Outbound, Verdict};
use crate::domain::source::{SourceKey, SourceKind, Wanted};
use crate::outbound::SendError;
use crate::plugin::{ComposeError, LoginError, Params, Plugin};
use crate::store::{Store, StoreError};

/// After the first failure, doubling to the longest; a CRM's own wish is longer if it is.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(3600);
/// Only a person can mend it: asked seldom.
const MISCONFIGURED: Duration = Duration::from_secs(900);

/// A request that did not work.
#[derive(Debug)]
pub(super) struct Failure {
    pub sentence: String,
    pub after: Option<Duration>,
    /// Trying again soon is of no use.
    pub misconfigured: bool,
    /// What was asked for is not there (any more).
    pub gone: bool,
    /// The CRM refuses this one request, or it cannot be made: another may work all the same.
    pub refused: bool,
}

impl Failure {
    pub fn misconfigured(sentence: impl Into<String>) -> Failure {
        Failure { sentence: sentence.into(), after: None, misconfigured: true, gone: false, refused: false }
    }

    pub fn refused(sentence: impl Into<String>) -> Failure {
        Failure { refused: true, ..Failure::misconfigured(sentence) }
    }

    pub fn of(error: &AskError, language: Language) -> Failure {
        if let AskError::Login(LoginError::Refused { verdict: Verdict::Retry { after }, .. }) = error {
            return Failure { after: *after, misconfigured: false, ..Failure::misconfigured(error.sentence(language)) };
        }
        let misconfigured = matches!(error, AskError::Compose(_) | AskError::Login(_) | AskError::Send(SendError::Blocked(_)));
        let refused = matches!(error, AskError::Compose(_));
        Failure { misconfigured, refused, ..Failure::misconfigured(error.sentence(language)) }
    }

    /// How long to wait after so many failures before it.
    pub fn pause(&self, failures: u32) -> Duration {
        let step = AFTER_FAILURE.saturating_mul(2u32.saturating_pow(failures.min(16))).min(LONGEST);
        if self.misconfigured { step.max(MISCONFIGURED) } else { step }.max(self.after.unwrap_or_default())
    }
}

/// Asks; an answer that is not good is a failure.
pub(super) async fn answer(asking: Asking<'_>, compose: impl Fn(&Params) -> Result<Outbound, ComposeError>) -> Result<Answer, Failure> {
    let language = asking.wired.connection.language;
    let asked = ask(asking, compose).await.map_err(|error| Failure::of(&error, language))?;
    let status = asked.answer.status;
    let sentence = || language.of(asked.says.unwrap_or_else(|| (format!("CRM trả lời {status}"), format!("the CRM answered {status}"))));
    match asked.verdict {
        Verdict::Done => Ok(asked.answer),
        Verdict::Retry { after } => Err(Failure { after, misconfigured: false, ..Failure::misconfigured(sentence()) }),
        Verdict::Gone | Verdict::NotFound => Err(Failure { gone: true, ..Failure::refused(sentence()) }),
        Verdict::GiveUp => Err(Failure::refused(sentence())),
        // A right may be missing for one record; who we are is wrong for all of them.
        Verdict::Misconfigured if matches!(status, 200..=299 | 400 | 402..=499) => Err(Failure::refused(sentence())),
        _ => Err(Failure::misconfigured(sentence())),
    }
}

/// Tells the store which standing work the configuration asks for: at the start, and whenever something of it has changed.
pub async fn want(app: &App) -> Result<(), StoreError> {
    let mut wanted = Vec::new();
    for wired in app.live.load().connections.values().filter(|wired| wired.connection.mode != Mode::Off) {
        let Some(plugin) = app.plugins.get(&wired.connection.plugin) else { continue };
        let made_of = made_of(app, wired, &plugin)?;
        wanted.extend(of_connection(wired, &plugin).into_iter().map(|(kind, name)| Wanted { key: key(wired, kind, name), made_of: made_of.clone() }));
    }
    wanted.sort();
    app.store.want_sources(app.clock.now(), wanted).await
}

/// The same after something has come that standing work may have waited for; what cannot be kept now is found at the next start.
pub(super) async fn refresh(app: &App) {
    if let Err(error) = want(app).await {
        tracing::error!(error = %error, "what is to be fetched from CRMs and registered there could not be brought up to date");
    }
}

/// Digest of all that a connection's standing work depends on: the plugin, what the admin set, what was captured and when somebody
/// connected. Keyed, for there are secrets in it.
fn made_of(app: &App, wired: &Wired, plugin: &Plugin) -> Result<String, StoreError> {
    let mut parts = vec![plugin.hash().to_owned()];
    let mut texts = |texts: &BTreeMap<String, String>| {
        // What subscriptions keep changes by their own work.
        let own = texts.iter().filter(|(name, _)| !name.starts_with("subscription."));
        parts.extend(own.flat_map(|(name, value)| [name.clone(), value.clone()]));
    };
    texts(&wired.params);
    wired.hooks.iter().for_each(|hook| texts(&hook.params));
    texts(&wired.bases);
    for auth in plugin.auths(&wired.params).filter(|auth| auth.login.is_some()) {
        parts.extend(login::connected(app, wired, auth)?);
    }
    // HMAC takes keys of any length; the fallback is never reached.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&app.store.instance_key()) else { return Ok(String::new()) };
    mac.update(b"source");
    for part in parts {
        mac.update(&part.len().to_be_bytes());
        mac.update(part.as_bytes());
    }
    Ok(hex::encode(mac.finalize().into_bytes()))
}

fn key(wired: &Wired, kind: SourceKind, name: String) -> SourceKey {
    SourceKey { workspace: wired.connection.workspace.clone(), connection: wired.connection.id.clone(), kind, name }
}

fn of_connection(wired: &Wired, plugin: &Plugin) -> Vec<(SourceKind, String)> {
    let params = &wired.params;
    let polls = plugin.polls().iter().filter(|poll| plugin.polls_now(poll, params)).map(|poll| (SourceKind::Poll, poll.name.clone()));
    let subscriptions = plugin.subscriptions().iter().filter(|one| plugin.subscribes_now(one, params));
    let subscriptions = subscriptions.map(|one| (SourceKind::Subscription, one.name.clone()));
    let logins = plugin.auths(params).filter(|auth| auth.login.as_ref().is_some_and(|login| login.keep_alive.is_some()));
    polls.chain(subscriptions).chain(logins.map(|auth| (SourceKind::Login, auth.name.clone()))).collect()
}

/// One turn of a source.
pub async fn run(app: &App, id: SourceId) -> Result<(), StoreError> {
    let Some(source) = app.store.source(id)? else { return app.store.forget_source(id).await };
    match source.key.kind {
        SourceKind::Poll => poll::run(app, source).await,
        SourceKind::Subscription => subscribe::run(app, source).await,
        SourceKind::Login => keep_alive::run(app, source).await,
    }
}
