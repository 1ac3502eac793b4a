//! The connect button: the admin agrees at the CRM, and the tokens are kept without anybody copying one.
//!
//! Who may begin is decided before; who may end is whoever brings back the state, which is used once and lives ten minutes. Whoever
//! has a state for which it did not work may begin again, for an hour.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::app::{App, Wired};
use super::ask::AskError;
use super::{login, standing};
use crate::domain::id::ConnectionId;
use crate::domain::time::Time;
use crate::plugin::connect::{Asked, Granted};
use crate::plugin::{ComposeError, LoginError};
use crate::store::{Kept, Store, StoreError};

/// How long the admin may take to agree.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long an admin to whom it did not work may begin again.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// More than anybody has open at one connection.
const MOST: usize = 20;
/// Where what was begun lies among what a connection keeps.
const SLOT: &str = "connect/states";

/// Why it did not work.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("there is no connection `{0}`")]
    NoConnection(ConnectionId),
    #[error("the plugin of this connection has no connect step: enter its parameters instead")]
    NoConnect,
    #[error("this page was not asked for, was used already, or is older than ten minutes: begin again")]
    BadState,
    #[error("the CRM says no: {0}")]
    Denied(String),
    #[error("{0}")]
    Compose(#[from] ComposeError),
    #[error("{0}")]
    Login(LoginError),
    #[error("{0}")]
    Ask(#[from] AskError),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("no random numbers")]
    Random,
}

/// A connect that was begun.
#[derive(Debug, Serialize, Deserialize)]
struct Pending {
    verifier: String,
    redirect_uri: String,
    began: Time,
    /// It has come back: good only to begin again.
    #[serde(default)]
    used: bool,
}

/// Connects that were begun, by their state.
type States = BTreeMap<String, Pending>;

/// Changes what was begun; on disk, so that a restart while the admin reads the CRM's page is not noticed.
async fn change<T>(app: &App, id: &ConnectionId, change: impl Fn(&mut States) -> T) -> Result<T, StoreError> {
    loop {
        let now = app.clock.now();
        let before = app.store.kept(id, SLOT)?.unwrap_or_default();
        let read = before.values.iter().filter_map(|(state, text)| Some((state.clone(), serde_json::from_str::<Pending>(text).ok()?)));
        let mut states: States = read.filter(|(_, pending)| now.since(pending.began) <= REMEMBERED).collect();
        let changed = change(&mut states);
        while states.len() > MOST {
            let Some(oldest) = states.iter().min_by_key(|(_, pending)| pending.began).map(|(state, _)| state.clone()) else { break };
            states.remove(&oldest);
        }
        let values = states.iter().filter_map(|(state, pending)| Some((state.clone(), serde_json::to_string(pending).ok()?))).collect();
        let kept = Kept { at: now, version: before.version + 1, ends_at: None, values };
        // Another one began or ended meanwhile: that stays.
        if app.store.keep(id.clone(), SLOT.to_owned(), kept).await? {
            return Ok(changed);
        }
    }
}

/// One that was begun not too long ago.
fn known(app: &App, id: &ConnectionId, state: &str) -> Result<Option<Pending>, StoreError> {
    let kept = app.store.kept(id, SLOT)?;
    let pending = kept.and_then(|kept| serde_json::from_str::<Pending>(kept.values.get(state)?).ok());
    Ok(pending.filter(|pending| app.clock.now().since(pending.began) <= REMEMBERED))
}

/// Takes a state that has come back: each is given once. Nothing is written for a made-up one.
async fn take(app: &App, id: &ConnectionId, state: &str) -> Result<Pending, ConnectError> {
    known(app, id, state)?.ok_or(ConnectError::BadState)?;
    let now = app.clock.now();
    let good = |pending: &Pending| !pending.used && now.since(pending.began) <= PATIENCE;
    let taken = change(app, id, |states| {
        let pending = states.get_mut(state).filter(|pending| good(pending))?;
        let taken = Pending { verifier: std::mem::take(&mut pending.verifier), redirect_uri: pending.redirect_uri.clone(), ..*pending };
        pending.used = true;
        Some(taken)
    });
    taken.await?.ok_or(ConnectError::BadState)
}

/// What the CRM's page sends back.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub struct Back {
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub error: String,
    #[serde(default)]
    pub error_description: String,
}

/// Where the admin is to be sent.
pub async fn start(app: &App, id: &ConnectionId) -> Result<String, ConnectError> {
    let wired = app.connection(id).ok_or_else(|| ConnectError::NoConnection(id.clone()))?;
    let plugin = app.plugins.get(&wired.connection.plugin).ok_or(ConnectError::NoConnect)?;
    let connect = plugin.connect(&wired.params).ok_or(ConnectError::NoConnect)?;
    let (state, verifier) = (random()?, if connect.pkce { random()? } else { String::new() });
    let challenge = if connect.pkce { URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier)) } else { String::new() };
    let redirect_uri = redirect_uri(app, &wired);
    let asked = Asked { redirect_uri: &redirect_uri, state: &state, challenge: &challenge };
    let url = plugin.authorize_url(connect, &wired.params, &wired.bases, asked)?;
    let began = app.clock.now();
    change(app, id, |states| {
        states.insert(state.clone(), Pending { verifier: verifier.clone(), redirect_uri: redirect_uri.clone(), began, used: false });
    })
    .await?;
    Ok(url)
}

/// Whether a connect that did not work can be begun again by its state: only who was let begin it has that.
pub fn may_begin_again(app: &App, id: &ConnectionId, state: &str) -> bool {
    matches!(known(app, id, state), Ok(Some(_)))
}

/// The same as [`start`] for the admin who began before; an old state is good for it once.
pub async fn begin_again(app: &App, id: &ConnectionId, state: &str) -> Result<String, ConnectError> {
    known(app, id, state)?.ok_or(ConnectError::BadState)?;
    change(app, id, |states| states.remove(state)).await?.ok_or(ConnectError::BadState)?;
    start(app, id).await
}

/// Fetches the tokens and keeps them.
pub async fn finish(app: &App, id: &ConnectionId, back: &Back) -> Result<(), ConnectError> {
    let wired = app.connection(id).ok_or_else(|| ConnectError::NoConnection(id.clone()))?;
    let pending = take(app, id, &back.state).await?;
    if back.code.is_empty() {
        let said = if back.error_description.is_empty() { &back.error } else { &back.error_description };
        return Err(ConnectError::Denied(said.chars().filter(|c| !c.is_control()).take(200).collect()));
    }
    let plugin = app.plugins.get(&wired.connection.plugin).ok_or(ConnectError::NoConnect)?;
    let connect = plugin.connect(&wired.params).ok_or(ConnectError::NoConnect)?;
    let auth = plugin.auth_named(&connect.auth, &wired.params).ok_or(ConnectError::NoConnect)?;
    let kept = auth.login.as_ref().ok_or(ConnectError::NoConnect)?;
    let granted = Granted { code: &back.code, redirect_uri: &pending.redirect_uri, verifier: &pending.verifier };
    let request = plugin.compose_exchange(connect, &wired.params, &wired.bases, granted)?;
    let answer = app.crm.send(&request).await.map_err(AskError::LoginUnsent)?;
    let tokens = plugin.exchanged(connect, &wired.params, &answer, app.clock.now()).map_err(ConnectError::Login)?;
    login::keep(app, &wired, &plugin, auth, kept, &wired.params, tokens).await?;
    tracing::info!(connection.id = %id, "the connection was connected at its CRM");
    standing::refresh(app).await;
    Ok(())
}

fn redirect_uri(app: &App, wired: &Wired) -> String {
    format!("{}/oauth/{}/callback", app.tuning.public_url.trim_end_matches('/'), wired.connection.id)
}

/// 32 random bytes for a URL.
fn random() -> Result<String, ConnectError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| ConnectError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
