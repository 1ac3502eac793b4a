//! `/pause` and `/resume`: the stop button for everything.

use actix_web::HttpResponse;
use actix_web::web::{Data, Payload};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Caller;
use super::calls::ReasonBody;
use super::fault::{Answer, Fault};
use super::input;
use super::view::Reason;
use crate::domain::schedule::Stopped;
use crate::store::{Change, Store};
use crate::web::State;

/// What stops every line at once.
#[derive(Debug, Serialize, ToSchema)]
pub struct BrakesView {
    /// Someone pressed stop.
    pub stopped: Option<StoppedView>,
    /// The dialer as a whole asks to wait, or cannot be reached.
    pub dialer: Option<DialerHoldView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StoppedView {
    pub by: String,
    #[schema(format = DateTime)]
    pub since: String,
    pub reason: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DialerHoldView {
    pub reason: Reason,
    #[schema(format = DateTime)]
    pub since: String,
    #[schema(format = DateTime)]
    pub until: String,
    /// How many times in a row.
    pub times: u32,
}

impl From<Stopped> for StoppedView {
    fn from(stopped: Stopped) -> Self {
        Self { by: stopped.by, since: stopped.since.rfc3339(), reason: stopped.reason }
    }
}

pub fn view(state: &State) -> BrakesView {
    let brakes = state.app.store.brakes();
    let now = state.app.clock.now();
    BrakesView {
        stopped: brakes.stopped.map(StoppedView::from),
        dialer: brakes.dialer.filter(|hold| hold.holds(now)).map(|hold| DialerHoldView {
            reason: hold.code.into(),
            since: hold.since.rfc3339(),
            until: hold.until.rfc3339(),
            times: hold.times,
        }),
    }
}

/// Whether everything is stopped, since when and by whom.
#[utoipa::path(get, path = "/pause", tag = "brakes", responses((status = 200, body = BrakesView)))]
pub async fn show(_caller: Caller, state: Data<State>) -> Answer {
    Ok(HttpResponse::Ok().json(view(&state)))
}

/// Stop: nothing more is dialled on any line until someone resumes. It survives a restart.
#[utoipa::path(post, path = "/pause", tag = "brakes", request_body = ReasonBody, responses((status = 200, body = BrakesView)))]
pub async fn stop(caller: Caller, state: Data<State>, payload: Payload) -> Answer {
    caller.needs_instance()?;
    let body: ReasonBody = input::json(payload).await?;
    let now = state.app.clock.now();
    let change = Change::StopAll(Stopped { by: caller.name.clone(), since: now, reason: body.reason.trim().to_owned() });
    Fault::of_change(state.app.store.change(now, caller.name.clone(), change).await?)?;
    Ok(HttpResponse::Ok().json(view(&state)))
}

/// Dial again. Lines that are paused one by one stay paused.
#[utoipa::path(post, path = "/resume", tag = "brakes", responses((status = 200, body = BrakesView)))]
pub async fn resume(caller: Caller, state: Data<State>) -> Answer {
    caller.needs_instance()?;
    Fault::of_change(state.app.store.change(state.app.clock.now(), caller.name.clone(), Change::ResumeAll).await?)?;
    Ok(HttpResponse::Ok().json(view(&state)))
}
