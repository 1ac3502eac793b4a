//! `/alerts`: the troubles there are, and were.

use std::collections::BTreeMap;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Caller;
use super::fault::Answer;
use super::input;
use super::view::{Page, Reason, when};
use crate::domain::alert::{Alert, Told};
use crate::domain::connection::Language;
use crate::pipeline::alert::name_of;
use crate::store::Store;
use crate::web::State;

/// One trouble: its newest episode.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertView {
    pub id: String,
    pub workspace: String,
    /// line_paused, line_silent, connection_failing, not_subscribed, secret_ends, dialer, backlog, brake or stopped.
    pub kind: String,
    /// The line or connection, or a word.
    pub subject: String,
    pub name: String,
    pub reason: Reason,
    pub detail: String,
    /// It is over.
    pub recovered: bool,
    #[schema(format = DateTime)]
    pub raised_at: String,
    #[schema(format = DateTime)]
    pub cleared_at: Option<String>,
    /// How often it was noticed in this episode.
    pub times: u32,
    /// By the name of the `[[alerts]]` entry.
    pub told: BTreeMap<String, ToldView>,
}

/// What a receiver knows of this episode.
#[derive(Debug, Serialize, ToSchema)]
pub struct ToldView {
    pub raised: bool,
    pub recovered: bool,
    /// Why the last message could not be delivered.
    pub failed: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AlertQuery {
    /// Also those that are over.
    #[serde(default)]
    all: bool,
}

fn view(state: &State, alert: &Alert) -> AlertView {
    let told = |told: &Told| ToldView {
        raised: told.raised == Some(alert.raised_at),
        recovered: told.recovered == Some(alert.raised_at),
        failed: told.failed.clone(),
    };
    AlertView {
        id: alert.id.to_string(),
        workspace: alert.workspace.to_string(),
        kind: alert.kind.as_str().into(),
        subject: alert.subject.clone(),
        name: name_of(&state.app.live.load(), alert, Language::En),
        reason: alert.code.into(),
        detail: alert.detail.clone(),
        recovered: !alert.is_open(),
        raised_at: alert.raised_at.rfc3339(),
        cleared_at: when(alert.cleared_at),
        times: alert.times,
        told: alert.told.iter().map(|(name, t)| (name.clone(), told(t))).collect(),
    }
}

/// What is wrong now, newest first.
#[utoipa::path(get, path = "/alerts", tag = "alerts", params(AlertQuery), responses((status = 200, body = Page<AlertView>)))]
pub async fn list(request: HttpRequest, caller: Caller, state: Data<State>) -> Answer {
    let query: AlertQuery = input::query(&request)?;
    let mut alerts = state.app.store.alerts()?;
    alerts.retain(|alert| caller.sees(&alert.workspace) && (query.all || alert.is_open()));
    alerts.sort_by_key(|alert| std::cmp::Reverse(alert.raised_at));
    Ok(HttpResponse::Ok().json(Page::whole(alerts.iter().map(|alert| view(&state, alert)).collect())))
}
