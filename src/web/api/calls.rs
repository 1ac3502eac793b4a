//! `/calls`: asking for calls, looking at them, and what a person may do with one.

use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::auth::Caller;
use super::call_view::{AttemptView, CallDetail, CallView};
use super::fault::{Answer, Fault};
use super::input;
use super::view::{Page, Wait};
use crate::config::ApiRole;
use crate::domain::call::{self, Call};
use crate::domain::connection::Priority;
use crate::domain::id::{CallId, ConnectionId, LineId, WorkspaceId};
use crate::domain::record::{Customer, Gender, RecordRef};
use crate::error::Code;
use crate::failpoint::{self, CALLS_ANSWER};
use crate::pipeline::{App, asked, outlook};
use crate::store::{CallQuery, Change, Made, NewCall, Store};
use crate::web::State;
use crate::web::answer::watched;

/// How long an `Idempotency-Key` is remembered.
const KEY_KEPT: Duration = Duration::from_secs(86_400);
const KEY_LONGEST: usize = 255;

/// A call to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCallBody {
    /// As people write it.
    phone: String,
    #[serde(default)]
    name: String,
    /// male, female or company.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    gender: Option<Gender>,
    /// What the person at the phone is shown.
    #[serde(default)]
    info: String,
    /// The connection whose lines and rules apply and into whose CRM the result is written.
    #[serde(default)]
    connection: Option<String>,
    /// This line only; default: those of the connection, else all of the workspace.
    #[serde(default)]
    line: Option<String>,
    /// The CRM record that the result is written to.
    #[serde(default)]
    record: Option<RecordBody>,
    /// The record's owner in the CRM, for connections that choose the line by owner.
    #[serde(default)]
    owner: Option<String>,
    /// The customer agreed to be called; needed for advertising.
    #[serde(default)]
    consent: bool,
    /// interactive: someone waits (2 minutes), automation (default): it may queue (24 hours).
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    priority: Priority,
}

/// A record in the CRM.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordBody {
    #[serde(rename = "type", default)]
    kind: String,
    id: String,
}

/// Why a person wants something.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonBody {
    #[serde(default)]
    pub reason: String,
}

/// A redial.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedialBody {
    /// Why; it is kept with the new call.
    #[serde(default)]
    reason: String,
    /// interactive (default: someone waits) or automation.
    #[serde(default = "interactive")]
    #[schema(value_type = Option<String>)]
    priority: Priority,
}

fn interactive() -> Priority {
    Priority::Interactive
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// 1 to 200, default 50.
    limit: Option<usize>,
    /// Older than this id: `next` of the page before.
    before: Option<String>,
    /// Only calls in this state.
    state: Option<String>,
    /// Only calls of this connection.
    connection: Option<String>,
    /// Only calls of this workspace (for the local admin).
    workspace: Option<String>,
}

/// Ask for a call.
#[utoipa::path(
    post, path = "/calls", tag = "calls", request_body = NewCallBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key within 24 hours gives the call that was made first")),
    responses((status = 201, description = "On disk, and queued", body = CallDetail), (status = 200, description = "This key made a call before: that call", body = CallDetail))
)]
pub async fn create(request: HttpRequest, caller: Caller, state: Data<State>, payload: Payload) -> Answer {
    caller.needs(ApiRole::Operator)?;
    let body: NewCallBody = input::json(payload).await?;
    let wanted = asked::Asked {
        scope: caller.workspace.clone(),
        origin: caller.origin(),
        customer: Customer { phone: body.phone.trim().to_owned(), name: body.name, gender: body.gender, info: body.info },
        connection: body.connection.as_deref().map(ConnectionId::new),
        line: body.line.as_deref().map(LineId::new),
        record: body.record.map(|record| RecordRef { kind: record.kind, id: record.id }).unwrap_or_default(),
        owner: body.owner,
        consent: body.consent,
        interactive: body.priority == Priority::Interactive,
    };
    let call = asked::new_call(&state.app, wanted, state.app.clock.now())?;
    store(&request, &caller, &state, call).await
}

/// Stores a new call under the request's idempotency key.
async fn store(request: &HttpRequest, caller: &Caller, state: &State, call: Call) -> Answer {
    let key = input::header(request, "idempotency-key");
    if key.is_some_and(|key| key.len() > KEY_LONGEST) {
        return Err(Fault::new(Code::BadRequest, format!("an Idempotency-Key has at most {KEY_LONGEST} characters")));
    }
    let idempotency = key.map(|key| (format!("api\u{0}{}\u{0}{key}", caller.name), KEY_KEPT));
    let (phone, now) = (call.phone.clone(), state.app.clock.now());
    let made = state.app.store.create_call(now, NewCall { call: Box::new(call), idempotency, max_queued: None }).await?;
    let (id, mut answer) = match made {
        Made::Call(id) => (id, HttpResponse::Created()),
        Made::Existing(id) => (id, HttpResponse::Ok()),
        Made::OverLimit => return Err(Code::OverLimit.into()),
    };
    failpoint::hit(CALLS_ANSWER.before);
    let stored = find(state, caller, &id.to_string())?;
    if stored.phone != phone {
        return Err(Fault::new(Code::Conflict, format!("this Idempotency-Key made {id} for another number")));
    }
    let answer = answer.insert_header((header::LOCATION, format!("/api/v1/calls/{id}"))).json(detail(state, &stored)?);
    Ok(watched(answer, CALLS_ANSWER.after))
}

fn find(state: &State, caller: &Caller, text: &str) -> Result<Call, Fault> {
    let id: CallId = input::id("call", text)?;
    state.app.store.call(id)?.filter(|call| caller.sees(&call.workspace)).ok_or_else(|| Fault::no_such("call", text))
}

fn detail(state: &State, call: &Call) -> Result<CallDetail, Fault> {
    let app = &state.app;
    let now = app.clock.now();
    let waits = outlook::of_call(app, call, now)?;
    let attempts = app.store.attempts(call.id)?;
    let policy = app.live.load().policy(call.connection.as_ref(), &call.workspace);
    let policy = policy.as_deref();
    let wait = |outlook| policy.map_or_else(|| Wait::of(app, outlook), |policy| Wait::of(app, outlook).named(outlook, policy, now));
    Ok(CallDetail {
        call: CallView::of(call, app.tuning.duration_unit, policy),
        waits: waits.as_ref().map(wait),
        attempts: attempts.iter().map(AttemptView::of).collect(),
        flagged_reports: flagged(app, call)?,
    })
}

/// Longer parts of a report help nobody.
const REPORT_SHOWN: usize = 2_000;

fn flagged(app: &App, call: &Call) -> Result<Vec<String>, Fault> {
    let read = call.report.is_some() || call.report_digests.is_empty();
    if read && !call.report_mismatch {
        return Ok(Vec::new());
    }
    let shown = |body: &bytes::Bytes| app.redact(&String::from_utf8_lossy(body)).chars().take(REPORT_SHOWN).collect();
    Ok(app.store.reports(call.id)?.iter().map(shown).collect())
}

/// Calls, newest first.
#[utoipa::path(get, path = "/calls", tag = "calls", params(ListQuery), responses((status = 200, body = Page<CallView>)))]
pub async fn list(request: HttpRequest, caller: Caller, state: Data<State>) -> Answer {
    let query: ListQuery = input::query(&request)?;
    let limit = input::limit(query.limit)?;
    let wanted = match query.state.as_deref() {
        None => None,
        Some(word) => Some(call::State::parse(word).ok_or_else(|| {
            let known = call::State::ALL.map(call::State::as_str);
            Fault::new(Code::BadRequest, format!("there is no state `{word}`; there are {}", known.join(", ")))
        })?),
    };
    let calls = state.app.store.calls(&CallQuery {
        workspace: caller.workspace.clone().or(query.workspace.as_deref().map(WorkspaceId::new)),
        state: wanted,
        connection: query.connection.as_deref().map(ConnectionId::new),
        before: query.before.as_deref().map(|id| input::id("call", id)).transpose()?,
        limit: limit + 1,
    })?;
    // Calls of a connection that was taken out are still there; a name that means nothing at all is a mistake.
    if let Some(id) = query.connection.as_deref().filter(|_| calls.is_empty()) {
        let known = state.app.connection(&ConnectionId::new(id)).is_some_and(|wired| caller.sees(&wired.connection.workspace));
        if !known && query.before.is_none() && query.state.is_none() {
            return Err(Fault::no_such("connection", id));
        }
    }
    let (unit, live) = (state.app.tuning.duration_unit, state.app.live.load());
    let view = |call: Call| CallView::of(&call, unit, live.policy(call.connection.as_ref(), &call.workspace).as_deref());
    Ok(HttpResponse::Ok().json(Page::of(calls, limit, |call| call.id.to_string(), view)))
}

/// One call, its attempts, and why it waits.
#[utoipa::path(get, path = "/calls/{id}", tag = "calls", params(("id" = String, Path)), responses((status = 200, body = CallDetail)))]
pub async fn show(id: Path<String>, caller: Caller, state: Data<State>) -> Answer {
    let call = find(&state, &caller, &id)?;
    Ok(HttpResponse::Ok().json(detail(&state, &call)?))
}

/// Cancel a queued call. A call that was sent cannot be taken back: 409.
#[utoipa::path(post, path = "/calls/{id}/cancel", tag = "calls", params(("id" = String, Path)), responses((status = 200, body = CallDetail)))]
pub async fn cancel(id: Path<String>, caller: Caller, state: Data<State>) -> Answer {
    let unreported = state.app.live.load().sweep.write_back_unreported.clone();
    change(&id, &caller, &state, |call| Change::Cancel { call: call.id, write_back: call.connection.as_ref().is_some_and(|c| unreported.contains(c)) }).await
}

/// Write a failed result into the CRM again.
#[utoipa::path(post, path = "/calls/{id}/write-backs/retry", tag = "calls", params(("id" = String, Path)), responses((status = 200, body = CallDetail)))]
pub async fn retry_write_backs(id: Path<String>, caller: Caller, state: Data<State>) -> Answer {
    change(&id, &caller, &state, |call| Change::RetryWriteBack { call: call.id }).await
}

async fn change(id: &str, caller: &Caller, state: &State, make: impl Fn(&Call) -> Change) -> Answer {
    caller.needs(ApiRole::Operator)?;
    let call = find(state, caller, id)?;
    Fault::of_change(state.app.store.change(state.app.clock.now(), caller.name.clone(), make(&call)).await?)?;
    let call = find(state, caller, id)?;
    Ok(HttpResponse::Ok().json(detail(state, &call)?))
}

/// Call the same customer again, as a new call with a reason. 409 while the old call may still be placed.
#[utoipa::path(
    post, path = "/calls/{id}/redial", tag = "calls", request_body = RedialBody,
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = CallDetail), (status = 200, description = "This key made a call before: that call", body = CallDetail))
)]
pub async fn redial(request: HttpRequest, id: Path<String>, caller: Caller, state: Data<State>, payload: Payload) -> Answer {
    caller.needs(ApiRole::Operator)?;
    let body: RedialBody = input::json(payload).await?;
    let reason = body.reason.trim();
    if reason.is_empty() {
        return Err(Fault::new(Code::BadRequest, "a redial needs a reason, for example {\"reason\": \"the phone shows no call\"}"));
    }
    let old = find(&state, &caller, &id)?;
    let interactive = body.priority == Priority::Interactive;
    let call = asked::redial(&state.app, &old, caller.name.clone(), reason.to_owned(), interactive, state.app.clock.now())?;
    store(&request, &caller, &state, call).await
}
