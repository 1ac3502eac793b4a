//! What a connection has registered at its CRM, and which of its secrets end; `/connections/{id}/subscribe` and `/unsubscribe`.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Caller;
use super::connections::ConnectionView;
use super::fault::{Answer, Fault};
use crate::config::ApiRole;
use crate::domain::connection::Connection;
use crate::domain::id::{ConnectionId, SourceId};
use crate::domain::source::{Source, SourceKind};
use crate::domain::time::Time;
use crate::error::Code;
use crate::pipeline::app::Wired;
use crate::store::{Change, Store};
use crate::web::State;

/// A webhook that callbridge registers at the CRM itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubscriptionView {
    pub name: String,
    pub title_vi: String,
    pub title_en: String,
    /// active, failing (it is not registered, or could not be looked after), waiting, off or removing.
    pub state: String,
    /// Registered at the CRM since then.
    pub since: Option<String>,
    /// The CRM ends it then, unless it is renewed before.
    pub until: Option<String>,
    pub checked_at: Option<String>,
    /// What went wrong last; null when it works.
    pub problem: Option<String>,
}

/// A secret that ends by itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndView {
    /// Id of the parameter.
    pub parameter: String,
    pub title_vi: String,
    pub title_en: String,
    pub at: String,
    /// soon (the admin is told), ended, or later.
    pub state: String,
}

fn of_connection(state: &State, id: &ConnectionId) -> Vec<Source> {
    let sources = state.app.store.sources().unwrap_or_default();
    sources.into_iter().filter(|source| source.key.kind == SourceKind::Subscription && source.key.connection == *id).collect()
}

pub fn views(state: &State, connection: &Connection) -> Vec<SubscriptionView> {
    let plugin = state.app.plugins.get(&connection.plugin);
    let title = |name: &str| plugin.as_ref().and_then(|plugin| plugin.subscription(name)).map(|one| one.title.clone()).unwrap_or_default();
    let mut sources = of_connection(state, &connection.id);
    // One that nobody wants and that is deleted is of no interest.
    sources.retain(|source| source.wanted || source.registration.since.is_some() || source.problem.is_some());
    sources.sort_by(|a, b| a.key.name.cmp(&b.key.name));
    let view = |source: Source| {
        let (title, seen) = (title(&source.key.name), &source.registration);
        SubscriptionView {
            state: word(&source).to_owned(),
            title_vi: title.vi,
            title_en: title.en,
            since: seen.since.map(Time::rfc3339),
            until: seen.until.map(Time::rfc3339),
            checked_at: seen.checked_at.map(Time::rfc3339),
            name: source.key.name,
            problem: source.problem,
        }
    };
    sources.into_iter().map(view).collect()
}

fn word(source: &Source) -> &'static str {
    let seen = &source.registration;
    match (source.wanted && !seen.off, seen.since.is_some(), source.problem.is_some()) {
        (true, _, true) => "failing",
        (true, true, false) => "active",
        (true, false, false) => "waiting",
        (false, true, _) => "removing",
        (false, false, _) => "off",
    }
}

pub fn ends(state: &State, connection: &Connection) -> Vec<EndView> {
    let (Some(plugin), Some(wired)) = (state.app.plugins.get(&connection.plugin), state.app.connection(&connection.id)) else { return Vec::new() };
    let now = state.app.clock.now();
    let view = |end: crate::plugin::ends::SecretEnd| EndView {
        state: if end.at <= now {
            "ended"
        } else if end.at <= now.plus(end.alarm) {
            "soon"
        } else {
            "later"
        }
        .to_owned(),
        parameter: end.id,
        title_vi: end.title.vi,
        title_en: end.title.en,
        at: end.at.rfc3339(),
    };
    plugin.secret_ends(&wired.params, &connection.time_zone).into_iter().map(view).collect()
}

/// Register the connection's webhooks at its CRM again, and look at once whether they are there. 409 when its plugin registers none.
#[utoipa::path(post, path = "/connections/{id}/subscribe", tag = "connections", params(("id" = String, Path)), responses((status = 200, body = ConnectionView)))]
pub async fn subscribe(id: Path<String>, caller: Caller, state: Data<State>) -> Answer {
    change(&id, &caller, &state, false).await
}

/// Delete the connection's webhooks at its CRM; they stay deleted until somebody subscribes again. Of a connection that is no longer
/// configured: what it left at the CRM was deleted there by hand, and is forgotten here.
#[utoipa::path(post, path = "/connections/{id}/unsubscribe", tag = "connections", params(("id" = String, Path)), responses((status = 200, body = ConnectionView)))]
pub async fn unsubscribe(id: Path<String>, caller: Caller, state: Data<State>) -> Answer {
    change(&id, &caller, &state, true).await
}

async fn change(id: &str, caller: &Caller, state: &Data<State>, off: bool) -> Answer {
    caller.needs(ApiRole::Admin)?;
    let wired: Option<std::sync::Arc<Wired>> = state.app.connection(&ConnectionId::new(id)).filter(|wired| caller.sees(&wired.connection.workspace));
    let Some(wired) = wired else { return deleted_by_hand(id, caller, state, off).await };
    let sources: Vec<SourceId> = of_connection(state, &wired.connection.id).iter().filter(|source| source.wanted).map(|source| source.key.id()).collect();
    if sources.is_empty() {
        return Err(Fault::new(
            Code::Conflict,
            format!("the connection `{id}` registers no webhooks: its plugin or its parameters ask for none, or it is off"),
        ));
    }
    Fault::of_change(state.app.store.change(state.app.clock.now(), caller.name.clone(), Change::Subscribe { sources, off }).await?)?;
    super::connections::answer(state, caller, &wired.connection).await
}

/// Of a connection that is gone: a person says that what it left at the CRM is deleted there.
async fn deleted_by_hand(id: &str, caller: &Caller, state: &Data<State>, off: bool) -> Answer {
    let connection = ConnectionId::new(id);
    let left = |source: &&Source| !source.wanted && source.problem.is_some() && caller.sees(&source.key.workspace);
    let sources: Vec<SourceId> = of_connection(state, &connection).iter().filter(left).map(|source| source.key.id()).collect();
    if !off || sources.is_empty() || state.app.connection(&connection).is_some() {
        return Err(Fault::no_such("connection", id));
    }
    Fault::of_change(state.app.store.change(state.app.clock.now(), caller.name.clone(), Change::Subscribe { sources, off }).await?)?;
    Ok(HttpResponse::Ok().json(serde_json::json!({"id": id, "mode": "removed", "subscriptions": []})))
}
