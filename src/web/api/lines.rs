//! `/lines`: how each phone is doing, pause and resume.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Payload};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Caller;
use super::calls::ReasonBody;
use super::fault::{Answer, Fault};
use super::input;
use super::view::{Page, Reason, Wait, when};
use crate::config::ApiRole;
use crate::domain::id::LineId;
use crate::domain::line::LineSettings;
use crate::domain::schedule::{LineState, Pause, month_of};
use crate::domain::time::Time;
use crate::error::Code;
use crate::pipeline::outlook::{self, Outlook, Thought};
use crate::store::{Change, Store};
use crate::web::State;

/// One Auto Call phone.
#[derive(Debug, Serialize, ToSchema)]
pub struct LineView {
    pub id: String,
    pub name: String,
    pub workspace: String,
    /// ready, busy, waiting, silent, paused or stopped.
    pub state: String,
    pub pause: Option<PauseView>,
    /// Why the next call is not placed now; null when the line is ready.
    pub waits: Option<Wait>,
    /// Calls that wait for this line (some of them may go over another one).
    pub waiting: usize,
    /// Of these, calls that wait for a time of their own: a back-off of the dialer, another try, a cap of their number, the brake.
    pub waiting_later: usize,
    /// Calls that ring or talk.
    pub in_flight: Vec<String>,
    pub max_in_flight: u32,
    pub rate: Option<String>,
    /// `2026-11`, in Vietnam.
    pub month: String,
    /// Requests that may have reached the vendor this month.
    pub month_used: u64,
    pub monthly_quota: Option<u64>,
    #[schema(format = DateTime)]
    pub last_placing: Option<String>,
    #[schema(format = DateTime)]
    pub last_report: Option<String>,
    /// Since when the phone has not been heard of.
    #[schema(format = DateTime)]
    pub silent_since: Option<String>,
}

/// Since when and why a line is paused.
#[derive(Debug, Serialize, ToSchema)]
pub struct PauseView {
    pub reason: Reason,
    #[schema(format = DateTime)]
    pub since: Option<String>,
    /// When a probe may try again; null: a person must resume it.
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// Who paused it; `callbridge` did by itself, or the `configuration`.
    pub by: String,
    /// What the dialer answered, or the person's reason.
    pub detail: String,
}

impl PauseView {
    fn of(line: &LineSettings, state: &LineState) -> Option<Self> {
        if let Some(pause) = &state.pause {
            let by = if pause.by.is_empty() { "callbridge" } else { &pause.by };
            return Some(Self {
                reason: pause.code.into(),
                since: Some(pause.since.rfc3339()),
                until: when(pause.until),
                by: by.into(),
                detail: pause.detail.clone(),
            });
        }
        let detail = "paused = true in the settings file".to_owned();
        line.paused.then(|| Self { reason: Code::HoldPaused.into(), since: None, until: None, by: "configuration".into(), detail })
    }
}

fn view(state: &State, line: &LineSettings, now: Time) -> Result<LineView, Fault> {
    let store = &state.app.store;
    let stored = store.line(&line.workspace, &line.id)?;
    let outlook = outlook::of_lines(&state.app, std::slice::from_ref(&line.id), false, &Thought::default(), now)?;
    let word = match &outlook {
        Outlook::Now { .. } => "ready",
        Outlook::Waits { code: Code::HoldBusy, .. } => "busy",
        Outlook::Waits { code: Code::HoldSilent, .. } => "silent",
        Outlook::Waits { code: Code::HoldPaused, .. } => "paused",
        Outlook::Waits { code: Code::HoldStopped, .. } => "stopped",
        Outlook::Waits { .. } | Outlook::Refused { .. } => "waiting",
    };
    let this_month = month_of(now);
    let queue = store.waiting(&line.id);
    Ok(LineView {
        id: line.id.to_string(),
        name: line.title().to_owned(),
        workspace: line.workspace.to_string(),
        state: word.into(),
        pause: PauseView::of(line, &stored),
        waits: matches!(outlook, Outlook::Waits { .. }).then(|| Wait::of(&state.app, &outlook)),
        waiting: queue.all(),
        waiting_later: queue.later,
        in_flight: stored.in_flight.iter().filter(|(_, until)| **until > now).map(|(call, _)| call.to_string()).collect(),
        max_in_flight: line.max_in_flight,
        rate: line.rate.map(|rate| rate.to_string()),
        month_used: stored.used_in(&this_month),
        month: this_month,
        monthly_quota: line.monthly_quota,
        last_placing: when(stored.last_placing),
        last_report: when(stored.last_report),
        silent_since: when(stored.silent_since),
    })
}

fn find(state: &State, caller: &Caller, id: &str) -> Result<LineSettings, Fault> {
    let live = state.app.live.load();
    live.lines.get(&LineId::new(id)).filter(|line| caller.sees(&line.workspace)).cloned().ok_or_else(|| Fault::no_such("line", id))
}

/// Every line, by id.
#[utoipa::path(get, path = "/lines", tag = "lines", responses((status = 200, body = Page<LineView>)))]
pub async fn list(caller: Caller, state: Data<State>) -> Answer {
    let live = state.app.live.load_full();
    let now = state.app.clock.now();
    let mut lines: Vec<&LineSettings> = live.lines.values().filter(|line| caller.sees(&line.workspace)).collect();
    lines.sort_by(|a, b| a.id.cmp(&b.id));
    let views = lines.into_iter().map(|line| view(&state, line, now)).collect::<Result<Vec<_>, Fault>>()?;
    Ok(HttpResponse::Ok().json(Page::whole(views)))
}

/// One line.
#[utoipa::path(get, path = "/lines/{id}", tag = "lines", params(("id" = String, Path)), responses((status = 200, body = LineView)))]
pub async fn show(id: Path<String>, caller: Caller, state: Data<State>) -> Answer {
    let line = find(&state, &caller, &id)?;
    Ok(HttpResponse::Ok().json(view(&state, &line, state.app.clock.now())?))
}

/// Place nothing more over this line; its calls wait, or go over another line.
#[utoipa::path(post, path = "/lines/{id}/pause", tag = "lines", request_body = ReasonBody, params(("id" = String, Path)), responses((status = 200, body = LineView)))]
pub async fn pause(id: Path<String>, caller: Caller, state: Data<State>, payload: Payload) -> Answer {
    caller.needs(ApiRole::Operator)?;
    let body: ReasonBody = input::json(payload).await?;
    let line = find(&state, &caller, &id)?;
    let now = state.app.clock.now();
    let pause = Pause { code: Code::HoldPaused, since: now, until: None, by: caller.name.clone(), detail: body.reason.trim().to_owned(), key: String::new() };
    let change = Change::PauseLine { workspace: line.workspace.clone(), line: line.id.clone(), pause };
    Fault::of_change(state.app.store.change(now, caller.name.clone(), change).await?)?;
    Ok(HttpResponse::Ok().json(view(&state, &line, now)?))
}

/// Place again, whatever paused it or made it silent.
#[utoipa::path(post, path = "/lines/{id}/resume", tag = "lines", params(("id" = String, Path)), responses((status = 200, body = LineView)))]
pub async fn resume(id: Path<String>, caller: Caller, state: Data<State>) -> Answer {
    caller.needs(ApiRole::Operator)?;
    let line = find(&state, &caller, &id)?;
    if line.paused {
        return Err(Fault::new(Code::Conflict, format!("the line `{}` is paused in the settings file: take out `paused = true` and start again", line.id)));
    }
    let now = state.app.clock.now();
    let change = Change::ResumeLine { workspace: line.workspace.clone(), line: line.id.clone() };
    Fault::of_change(state.app.store.change(now, caller.name.clone(), change).await?)?;
    Ok(HttpResponse::Ok().json(view(&state, &line, now)?))
}
