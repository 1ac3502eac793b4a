//! One request to a CRM with the proof it needs, and what its answer means.
//!
//! Where the plugin logs in, the tokens are got first (see `login`); a request whose tokens the CRM refuses is made once more
//! with new ones. It was refused, so making it again doubles nothing.

use super::app::{App, Wired};
use super::login::{self, Ready};
use crate::domain::connection::Language;
use crate::domain::request::{Answer, Outbound, Verdict};
use crate::domain::time::Time;
use crate::outbound::SendError;
use crate::plugin::respond::read_wait;
use crate::plugin::{ComposeError, LoginError, Params, Plugin, Request};
use crate::store::StoreError;

/// A CRM that asks for more patience than this is tried again by its own tasks' pauses.
const LONGEST_HOLD_S: u64 = 3600;

/// An answer and what it means.
#[derive(Debug)]
pub struct Asked {
    pub answer: Answer,
    pub verdict: Verdict,
    /// The plugin's sentence (vi, en).
    pub says: Option<(String, String)>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("{0}")]
    Compose(#[from] ComposeError),
    #[error("{0}")]
    Login(LoginError),
    /// The login itself got no answer; the request was not made.
    #[error("the login got no answer: {0}")]
    LoginUnsent(SendError),
    #[error("{0}")]
    Send(SendError),
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl AskError {
    /// Why, for the admin: the plugin's own words about a refused login where it has some.
    pub fn sentence(&self, language: Language) -> String {
        match self {
            AskError::Login(LoginError::Refused { says: Some(says), .. }) => language.of((&says.0, &says.1)).clone(),
            error => error.to_string(),
        }
    }
}

/// The class of an attempt without an answer.
pub fn class_of(error: &AskError) -> &'static str {
    match error {
        AskError::Compose(_) => "compose",
        // The request itself was not made, and a person has to act.
        AskError::Login(LoginError::Refused { verdict, .. }) if !matches!(verdict, Verdict::Retry { .. }) => "login_refused",
        AskError::Login(LoginError::NotConnected) => "login_refused",
        // The request itself was not made.
        AskError::Login(_) | AskError::LoginUnsent(SendError::Unclear(_)) => "login",
        AskError::Send(SendError::NotSent(_) | SendError::Withheld(_))
        | AskError::LoginUnsent(SendError::NotSent(_) | SendError::Withheld(_))
        | AskError::Store(_) => "not_sent",
        AskError::Send(SendError::Blocked(_)) | AskError::LoginUnsent(SendError::Blocked(_)) => "blocked",
        AskError::Send(SendError::Unclear(_)) => "unclear",
    }
}

/// Who asks, and for what.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    pub app: &'a App,
    pub wired: &'a Wired,
    pub plugin: &'a Plugin,
    pub request: &'a Request,
    pub params: &'a Params,
    /// The first request of a run has its turn already; further ones count without waiting.
    pub first: bool,
}

/// Asks. `compose` makes the request from the parameters with the tokens among them.
pub async fn ask(asking: Asking<'_>, compose: impl Fn(&Params) -> Result<Outbound, ComposeError>) -> Result<Asked, AskError> {
    let Asking { app, wired, plugin, request, params, first } = asking;
    let auth = plugin.auth_of(request, params).and_then(|auth| Some((auth, auth.login.as_ref()?)));
    let Some((auth, login)) = auth else {
        let composed = compose(params)?;
        return Ok(read(asking, params, send(app, wired, &composed, first).await?));
    };
    let Ready { params: with, version } = login::ready(app, wired, plugin, auth, login, params, None).await?;
    let asked = read(asking, &with, send(app, wired, &compose(&with)?, first).await?);
    if asked.verdict != Verdict::RefreshToken {
        return Ok(asked);
    }
    let Ready { params: with, .. } = login::ready(app, wired, plugin, auth, login, params, Some(version)).await?;
    Ok(read(asking, &with, send(app, wired, &compose(&with)?, false).await?))
}

async fn send(app: &App, wired: &Wired, request: &Outbound, first: bool) -> Result<Answer, AskError> {
    if !first {
        wired.turns.count();
    }
    app.crm.send(request).await.map_err(AskError::Send)
}

/// What the answer means, for this request and for those that wait behind it.
fn read(asking: Asking<'_>, params: &Params, answer: Answer) -> Asked {
    let now = asking.app.clock.now();
    let (verdict, says) = asking.plugin.verdict(asking.request, params, &answer, now);
    // A CRM that asks for patience asks all of us: nobody else has to spend an attempt to hear it.
    if let (Verdict::Retry { after: Some(after) }, true) = (verdict, answer.status < 500 || answer.status == 503) {
        asking.wired.turns.hold(now.plus(after.min(std::time::Duration::from_secs(LONGEST_HOLD_S))));
    }
    if let Some(until) = budget_ends(asking, params, &answer, now) {
        asking.wired.turns.hold(until);
    }
    Asked { answer, verdict, says }
}

/// Until when the CRM's budget is used up, where its answer says that it is.
fn budget_ends(asking: Asking<'_>, params: &Params, answer: &Answer, now: Time) -> Option<Time> {
    let remaining = asking.plugin.limits(params)?.remaining.as_ref()?;
    let left: f64 = answer.header(&remaining.header)?.trim().parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "a budget of requests is far below 2^53")]
    let spent = left <= remaining.keep as f64;
    let told = remaining.reset.as_ref().and_then(|(name, unit)| read_wait(answer.header(name)?, *unit, now));
    spent.then(|| now.plus(told.unwrap_or(remaining.wait).min(std::time::Duration::from_secs(LONGEST_HOLD_S))))
}
