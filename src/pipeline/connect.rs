//! The connect button: the admin agrees at the CRM, and the tokens are kept without anybody copying one.
//!
//! Who may begin is decided before; who may end is whoever brings back the state, which is used once and lives ten minutes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::app::{App, Wired};
use super::ask::AskError;
use super::{login, standing};
use crate::domain::id::ConnectionId;
use crate::domain::time::Time;
use crate::plugin::connect::{Asked, Granted};
use crate::plugin::{ComposeError, LoginError};

/// How long the admin may take to agree.
const PATIENCE: Duration = Duration::from_secs(600);
/// More than anybody has open.
const MOST: usize = 1000;

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
    #[error("no random numbers")]
    Random,
}

struct Pending {
    connection: ConnectionId,
    verifier: String,
    redirect_uri: String,
    until: Time,
}

/// Connects that were begun, by their state.
#[derive(Default)]
pub struct Connects(Mutex<HashMap<String, Pending>>);

impl Connects {
    fn begin(&self, state: String, pending: Pending, now: Time) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, pending| pending.until > now);
        if all.len() < MOST {
            all.insert(state, pending);
        }
    }

    /// Each state is given once.
    fn end(&self, state: &str, connection: &ConnectionId, now: Time) -> Option<Pending> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(state).filter(|pending| pending.until > now && pending.connection == *connection)
    }
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
pub fn start(app: &App, id: &ConnectionId) -> Result<String, ConnectError> {
    let wired = app.connection(id).ok_or_else(|| ConnectError::NoConnection(id.clone()))?;
    let plugin = app.plugins.get(&wired.connection.plugin).ok_or(ConnectError::NoConnect)?;
    let connect = plugin.connect(&wired.params).ok_or(ConnectError::NoConnect)?;
    let (state, verifier) = (random()?, if connect.pkce { random()? } else { String::new() });
    let challenge = if connect.pkce { URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier)) } else { String::new() };
    let redirect_uri = redirect_uri(app, &wired);
    let asked = Asked { redirect_uri: &redirect_uri, state: &state, challenge: &challenge };
    let url = plugin.authorize_url(connect, &wired.params, &wired.bases, asked)?;
    let now = app.clock.now();
    app.connects.begin(state, Pending { connection: id.clone(), verifier, redirect_uri, until: now.plus(PATIENCE) }, now);
    Ok(url)
}

/// Fetches the tokens and keeps them.
pub async fn finish(app: &App, id: &ConnectionId, back: &Back) -> Result<(), ConnectError> {
    let pending = app.connects.end(&back.state, id, app.clock.now()).ok_or(ConnectError::BadState)?;
    if back.code.is_empty() {
        let said = if back.error_description.is_empty() { &back.error } else { &back.error_description };
        return Err(ConnectError::Denied(said.chars().filter(|c| !c.is_control()).take(200).collect()));
    }
    let wired = app.connection(id).ok_or_else(|| ConnectError::NoConnection(id.clone()))?;
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
