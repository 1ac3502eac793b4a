//! `POST /calls/release` and `/calls/cancel`: many queued calls at once. Without `confirm` they are only counted.

use actix_web::HttpResponse;
use actix_web::web::{Data, Payload};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Caller;
use super::fault::{Answer, Fault};
use super::input;
use crate::config::ApiRole;
use crate::domain::call;
use crate::domain::id::{ConnectionId, WorkspaceId};
use crate::error::{self, Code};
use crate::pipeline::many::{self, Act, Filter};
use crate::plugin::problem::did_you_mean;
use crate::web::State;

/// Which queued calls, and how many were counted before.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ManyBody {
    #[serde(default)]
    connection: Option<String>,
    /// `queued`: nothing else can be let go or cancelled.
    #[serde(default)]
    state: Option<String>,
    /// Only calls that wait for this: `hold_brake`, or short `brake`. `hold_busy` also finds those that wait for their owner's busy line
    /// before another takes them; `hold_owner` all that wait for their owner's line.
    #[serde(default)]
    hold: Option<String>,
    /// Only calls of this workspace (for the local admin).
    #[serde(default)]
    workspace: Option<String>,
    /// Only the oldest so many.
    #[serde(default)]
    count: Option<usize>,
    /// How many are meant, as the request without it said. With another number than there are now nothing is done: 409.
    #[serde(default)]
    confirm: Option<usize>,
}

/// What was meant and what was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct ManyView {
    /// Calls that the filter means.
    pub matching: usize,
    /// Null: they were only counted.
    pub done: Option<usize>,
}

/// Let calls go that the brake holds; without `confirm` they are only counted.
#[utoipa::path(post, path = "/calls/release", tag = "calls", request_body = ManyBody, responses((status = 200, body = ManyView)))]
pub async fn release(caller: Caller, state: Data<State>, payload: Payload) -> Answer {
    act(&caller, &state, payload, Act::Release).await
}

/// Cancel queued calls; without `confirm` they are only counted.
#[utoipa::path(post, path = "/calls/cancel", tag = "calls", request_body = ManyBody, responses((status = 200, body = ManyView)))]
pub async fn cancel(caller: Caller, state: Data<State>, payload: Payload) -> Answer {
    act(&caller, &state, payload, Act::Cancel).await
}

async fn act(caller: &Caller, state: &State, payload: Payload, act: Act) -> Answer {
    caller.needs(ApiRole::Operator)?;
    let body: ManyBody = input::json(payload).await?;
    if let Some(other) = body.state.as_deref().filter(|state| *state != call::State::Queued.as_str()) {
        return Err(Fault::new(Code::BadRequest, format!("only queued calls can be let go or cancelled, not `{other}`")));
    }
    let hold = body.hold.as_deref().map(hold_code).transpose()?;
    if act == Act::Release && hold.is_some_and(|code| code != Code::HoldBrake) {
        return Err(Fault::new(Code::BadRequest, "only what the brake holds can be let go; the other holds end by themselves or by their cause"));
    }
    let filter = Filter {
        workspace: caller.workspace.clone().or(body.workspace.as_deref().map(WorkspaceId::new)),
        connection: body.connection.as_deref().map(ConnectionId::new),
        hold: if act == Act::Release { Some(Code::HoldBrake) } else { hold },
        most: body.count,
    };
    let calls = many::matching(&state.app, &filter).await?;
    let matching = calls.len();
    // Calls of a connection that was taken out may still wait; a name that means nothing at all is a mistake.
    if let Some(id) =
        filter.connection.as_ref().filter(|id| matching == 0 && state.app.connection(id).is_none_or(|wired| !caller.sees(&wired.connection.workspace)))
    {
        return Err(Fault::no_such("connection", id));
    }
    let done = match body.confirm {
        None => None,
        Some(confirmed) if confirmed != matching => {
            return Err(Fault::new(
                Code::Conflict,
                format!("{matching} calls are meant now, not {confirmed}, and nothing was changed: look again, then confirm that number"),
            ));
        }
        Some(_) => Some(many::apply(&state.app, &caller.name, act, &calls).await?),
    };
    Ok(HttpResponse::Ok().json(ManyView { matching, done }))
}

/// `hold_brake` or `brake`.
fn hold_code(text: &str) -> Result<Code, Fault> {
    let holds = || error::ALL.iter().copied().filter(|code| code.as_str().starts_with("hold_"));
    holds().find(|code| code.as_str() == text || code.as_str().strip_prefix("hold_") == Some(text)).ok_or_else(|| {
        let hint = did_you_mean(text, holds().map(|code| code.as_str()));
        let known: Vec<&str> = holds().map(|code| code.as_str().trim_start_matches("hold_")).collect();
        Fault::new(Code::BadRequest, format!("there is no hold `{text}`{hint}; there are {}", known.join(", ")))
    })
}
