//! Logins: one at a time per connection, and the new tokens are on disk, sealed, before any is used.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex as AsyncMutex;

use super::app::{App, Wired};
use super::ask::AskError;
use crate::domain::id::ConnectionId;
use crate::domain::request::Verdict;
use crate::domain::time::Time;
use crate::plugin::{Auth, Login, LoginError, Params, Plugin, Tokens};
use crate::secrets::Redactor;
use crate::store::{Kept, Store, StoreError};

/// A login that was refused is not made again sooner, however many requests want it.
const REFUSED: Duration = Duration::from_secs(30);
/// Where the digest of what the login began with stands among the kept values; no token has such a name.
const START: &str = "@start";
/// Where the digest of the parameters stands by which the tokens were made, there too.
const MADE_OF: &str = "@made_of";
/// When a person connected, there too; over renewals it stays.
const CONNECTED: &str = "@connected";

type Name = (ConnectionId, String);

/// What all requests share about logins.
#[derive(Default)]
pub struct Logins {
    one_at_a_time: Mutex<HashMap<Name, Arc<AsyncMutex<()>>>>,
    /// Logins that were refused: with what beginning, until when nobody tries, and why.
    refused: Mutex<HashMap<Name, (String, Time, LoginError)>>,
    /// Secrets that are not in the configuration, to be taken out of texts.
    secrets: Mutex<HashMap<Name, Vec<String>>>,
    redactor: ArcSwap<Redactor>,
}

impl Logins {
    fn gate(&self, name: &Name) -> Arc<AsyncMutex<()>> {
        Arc::clone(self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner).entry(name.clone()).or_default())
    }

    fn refused(&self, name: &Name, start: &str, now: Time) -> Option<LoginError> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get(name).filter(|(with, until, _)| with == start && *until > now).map(|(_, _, why)| why.clone())
    }

    fn refuse(&self, name: &Name, start: &str, until: Time, why: &LoginError) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), (start.to_owned(), until, why.clone()));
    }

    /// Texts that must never be shown.
    pub fn hide(&self, name: Name, values: impl IntoIterator<Item = String>) {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let values: Vec<String> = values.into_iter().collect();
        if secrets.get(&name) != Some(&values) {
            secrets.insert(name, values);
            self.redactor.store(Arc::new(Redactor::new(secrets.values().flatten().map(String::as_str))));
        }
    }

    /// The text without them.
    pub fn redact(&self, text: &str) -> String {
        self.redactor.load().text(text).into_owned()
    }
}

/// Parameters with tokens among them, and which ones.
pub struct Ready {
    pub params: Params,
    pub version: u64,
}

/// The name under which a connection keeps the tokens of an `[[auth]]`.
pub fn slot(auth: &str) -> String {
    format!("login/{auth}")
}

/// Tokens that are good now. `refused`: the version that the CRM did not take.
pub async fn ready(app: &App, wired: &Wired, plugin: &Plugin, auth: &Auth, login: &Login, params: &Params, refused: Option<u64>) -> Result<Ready, AskError> {
    let run = Run { app, wired, plugin, auth, login, params, start: start_of(plugin, login, params), made_of: made_of(plugin, wired, login), refused };
    if let Some(ready) = run.kept()?.as_ref().and_then(|kept| run.good(kept)) {
        return Ok(ready);
    }
    let name = run.name();
    let gate = app.logins.gate(&name);
    let _only = gate.lock().await;
    // Whoever was here before may have done it.
    let before = run.kept()?;
    if let Some(ready) = before.as_ref().and_then(|kept| run.good(kept)) {
        return Ok(ready);
    }
    if let Some(why) = app.logins.refused(&name, &run.origin(), app.clock.now()) {
        return Err(AskError::Login(why));
    }
    let tokens = match run.log_in(before.as_ref()).await {
        Ok(tokens) => tokens,
        Err(error) => return run.failed(before.as_ref(), error),
    };
    run.keep(before.as_ref(), tokens, None).await
}

/// When a person connected it last.
pub(super) fn connected(app: &App, wired: &Wired, auth: &Auth) -> Result<Option<String>, StoreError> {
    Ok(app.store.kept(&wired.connection.id, &slot(&auth.name))?.and_then(|kept| kept.values.get(CONNECTED).cloned()))
}

/// Keeps tokens that came another way (the connect button), as a login would.
pub async fn keep(app: &App, wired: &Wired, plugin: &Plugin, auth: &Auth, login: &Login, params: &Params, tokens: Tokens) -> Result<(), AskError> {
    let run = Run { app, wired, plugin, auth, login, params, start: start_of(plugin, login, params), made_of: made_of(plugin, wired, login), refused: None };
    let gate = app.logins.gate(&run.name());
    let _only = gate.lock().await;
    let before = run.kept()?;
    run.keep(before.as_ref(), tokens, Some(app.clock.now())).await.map(drop)
}

/// A digest of what a login begins with: tokens that came of another beginning are not used. Where nothing is written as its
/// beginning, every parameter counts; such a login can always be made again.
fn start_of(plugin: &Plugin, login: &Login, params: &Params) -> String {
    let mut start = plugin.login_start(login, params);
    if !login.begins {
        start = params.iter().filter(|(id, _)| !id.contains('.')).map(|(id, value)| (id.clone(), value.clone())).collect();
    }
    digest(start.into_iter())
}

/// A digest of the account and the place that tokens are for: where it changes they are forgotten, though they began with the same.
fn made_of(plugin: &Plugin, wired: &Wired, login: &Login) -> String {
    let bases = wired.bases.iter().map(|(name, url)| (format!("base {name}"), url.clone()));
    digest(plugin.login_made_of(login, &wired.params).into_iter().chain(bases))
}

fn digest(pairs: impl Iterator<Item = (String, String)>) -> String {
    let mut digest = Sha256::new();
    for (name, value) in pairs {
        for part in [name, value] {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
    }
    hex::encode(digest.finalize())
}

struct Run<'a> {
    app: &'a App,
    wired: &'a Wired,
    plugin: &'a Plugin,
    auth: &'a Auth,
    login: &'a Login,
    params: &'a Params,
    start: String,
    made_of: String,
    refused: Option<u64>,
}

impl Run<'_> {
    fn name(&self) -> Name {
        (self.wired.connection.id.clone(), slot(&self.auth.name))
    }

    /// What its tokens come of.
    fn origin(&self) -> String {
        format!("{} {}", self.start, self.made_of)
    }

    fn kept(&self) -> Result<Option<Kept>, AskError> {
        let (connection, slot) = self.name();
        let kept = self.app.store.kept(&connection, &slot)?;
        if let Some(kept) = &kept {
            self.hide(kept);
        }
        Ok(kept)
    }

    fn hide(&self, kept: &Kept) {
        self.app.logins.hide(self.name(), kept.values.iter().filter(|(name, _)| !is_own(name)).map(|(_, value)| value.clone()));
    }

    /// Whether these tokens came of this beginning, for this account and place. Older records do not say what they were made of.
    fn ours(&self, kept: &Kept) -> bool {
        kept.values.get(START) == Some(&self.start) && kept.values.get(MADE_OF).is_none_or(|made_of| *made_of == self.made_of)
    }

    /// The tokens, if they are ours, have not ended and were not refused.
    fn good(&self, kept: &Kept) -> Option<Ready> {
        let tokens = tokens_of(kept);
        let newer = self.refused.is_none_or(|refused| kept.version > refused);
        (self.ours(kept) && newer && tokens.good(self.login, self.app.clock.now())).then(|| Ready { params: tokens.over(self.params), version: kept.version })
    }

    async fn log_in(&self, before: Option<&Kept>) -> Result<Tokens, AskError> {
        let known = before.filter(|kept| self.ours(kept)).map(|kept| tokens_of(kept).values).unwrap_or_default();
        let mut run = self.plugin.log_in(self.login, self.params, &known, self.app.clock.now()).map_err(AskError::Login)?;
        while let Some(request) = run.next(&self.wired.bases).map_err(AskError::Login)? {
            self.wired.turns.count();
            let answer = self.app.crm.send(&request).await.map_err(AskError::LoginUnsent)?;
            run.answer(&answer, self.app.clock.now()).map_err(AskError::Login)?;
        }
        Ok(run.done(self.app.clock.now()))
    }

    /// Another process may have used the same refresh token a moment earlier: what it kept is as good.
    fn failed(&self, before: Option<&Kept>, error: AskError) -> Result<Ready, AskError> {
        let newer = self.kept()?.filter(|kept| kept.version > before.map_or(0, |before| before.version));
        if let Some(ready) = newer.as_ref().and_then(|kept| self.good(kept)) {
            return Ok(ready);
        }
        // Nothing was sent, so there is nothing to be patient about.
        if let AskError::Login(why) = &error
            && *why != LoginError::NotConnected
        {
            let pause = match why {
                LoginError::Refused { verdict: Verdict::Retry { after }, .. } => after.unwrap_or(REFUSED),
                _ => REFUSED,
            };
            self.app.logins.refuse(&self.name(), &self.origin(), self.app.clock.now().plus(pause), why);
            tracing::warn!(connection.id = %self.wired.connection.id, error = %self.app.redact(&error.to_string()), "a login at the CRM was refused");
        }
        Err(error)
    }

    /// On disk first, then used.
    async fn keep(&self, before: Option<&Kept>, tokens: Tokens, connected: Option<Time>) -> Result<Ready, AskError> {
        let now = self.app.clock.now();
        let mut values: BTreeMap<String, String> = tokens.values;
        values.insert(START.to_owned(), self.start.clone());
        values.insert(MADE_OF.to_owned(), self.made_of.clone());
        let connected = connected.map(|at| at.0.to_string()).or_else(|| before?.values.get(CONNECTED).cloned());
        values.extend(connected.map(|at| (CONNECTED.to_owned(), at)));
        let kept = Kept { at: now, version: before.map_or(0, |before| before.version) + 1, ends_at: tokens.ends_at, values };
        let (connection, slot) = self.name();
        self.hide(&kept);
        if !self.app.store.keep(connection, slot, kept.clone()).await? {
            // Another process was faster; its tokens are the ones that are kept.
            let theirs = self.kept()?.unwrap_or(kept);
            return Ok(Ready { params: tokens_of(&theirs).over(self.params), version: theirs.version });
        }
        Ok(Ready { params: tokens_of(&kept).over(self.params), version: kept.version })
    }
}

/// Ours, and no token.
fn is_own(name: &str) -> bool {
    matches!(name, START | MADE_OF | CONNECTED)
}

fn tokens_of(kept: &Kept) -> Tokens {
    let values = kept.values.iter().filter(|(name, _)| !is_own(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    Tokens { values, ends_at: kept.ends_at }
}
