//! `/events` and `/rejected`: what came in, byte for byte, and what became of it.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::Caller;
use super::event_view::{EventDetail, EventView, ItemView, RejectedView};
use super::fault::{Answer, Fault};
use super::input;
use super::view::Page;
use crate::config::ApiRole;
use crate::domain::call;
use crate::domain::event::Event;
use crate::domain::id::{CallId, EventId};
use crate::store::{Change, Rejected, Store, StoreError};
use crate::web::State;

/// A filtered page looks at no more events than this.
const LOOKED_AT: usize = 20_000;
const STEP: usize = 500;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// 1 to 200, default 50.
    limit: Option<usize>,
    /// Older than this id: `next` of the page before.
    before: Option<String>,
    /// Only events of this connection.
    connection: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RejectedQuery {
    /// 1 to 200, default 50.
    limit: Option<usize>,
}

/// Accepted deliveries, newest first.
#[utoipa::path(get, path = "/events", tag = "events", params(EventQuery), responses((status = 200, body = Page<EventView>)))]
pub async fn list(request: HttpRequest, caller: Caller, state: Data<State>) -> Answer {
    let query: EventQuery = input::query(&request)?;
    let limit = input::limit(query.limit)?;
    let before = query.before.as_deref().map(|id| input::id("event", id)).transpose()?;
    let fits = |event: &Event| caller.sees(&event.workspace) && query.connection.as_deref().is_none_or(|c| event.connection.as_str() == c);
    let events = some(&state, before, limit + 1, fits)?;
    let store = &state.app.store;
    let views = events.iter().take(limit).map(|event| EventView::of(event, &store.items(event.id)?, |call| state_of(&state, call)));
    let views = views.collect::<Result<Vec<_>, StoreError>>()?;
    let next = views.last().filter(|_| events.len() > limit).map(|view| view.id.clone());
    Ok(HttpResponse::Ok().json(Page { items: views, next }))
}

fn state_of(state: &State, call: CallId) -> Result<Option<call::State>, StoreError> {
    Ok(state.app.store.call(call)?.map(|call| call.state))
}

/// The newest events that fit, older than `before`.
fn some(state: &State, mut before: Option<EventId>, wanted: usize, fits: impl Fn(&Event) -> bool) -> Result<Vec<Event>, Fault> {
    let mut found = Vec::new();
    for _ in 0..LOOKED_AT / STEP {
        let rows = state.app.store.events(before, STEP)?;
        let whole = rows.len() == STEP;
        before = rows.last().map(|event| event.id);
        found.extend(rows.into_iter().filter(&fits));
        if found.len() >= wanted || !whole {
            break;
        }
    }
    found.truncate(wanted);
    Ok(found)
}

fn find(state: &State, caller: &Caller, text: &str) -> Result<Event, Fault> {
    let id: EventId = input::id("event", text)?;
    state.app.store.event(id)?.filter(|event| caller.sees(&event.workspace)).ok_or_else(|| Fault::no_such("event", text))
}

/// One delivery with its body and its items.
#[utoipa::path(get, path = "/events/{id}", tag = "events", params(("id" = String, Path)), responses((status = 200, body = EventDetail)))]
pub async fn show(id: Path<String>, caller: Caller, state: Data<State>) -> Answer {
    let event = find(&state, &caller, &id)?;
    detail(&state, event)
}

fn detail(state: &State, event: Event) -> Answer {
    let app = &state.app;
    let items = app.store.items(event.id)?;
    let bytes = app.store.body(event.id)?;
    let (body, body_base64) = match std::str::from_utf8(&bytes) {
        Ok(text) => (Some(app.redact(text)), None),
        Err(_) => (None, Some(STANDARD.encode(&bytes))),
    };
    Ok(HttpResponse::Ok().json(EventDetail {
        event: EventView::of(&event, &items, |call| state_of(state, call))?,
        method: event.method,
        tail: event.tail,
        query: event.query,
        headers: event.headers,
        body,
        body_base64,
        items: items.iter().map(|(index, item)| ItemView::of(*index, item)).collect(),
    }))
}

/// Take up the items again that gave no call. 409 when every item gave one.
#[utoipa::path(post, path = "/events/{id}/replay", tag = "events", params(("id" = String, Path)), responses((status = 200, body = EventDetail)))]
pub async fn replay(id: Path<String>, caller: Caller, state: Data<State>) -> Answer {
    caller.needs(ApiRole::Operator)?;
    let event = find(&state, &caller, &id)?;
    Fault::of_change(state.app.store.change(state.app.clock.now(), caller.name.clone(), Change::Replay { event: event.id }).await?)?;
    let event = find(&state, &caller, &id)?;
    detail(&state, event)
}

/// The newest deliveries that were refused.
#[utoipa::path(get, path = "/rejected", tag = "events", params(RejectedQuery), responses((status = 200, body = Page<RejectedView>)))]
pub async fn rejected(request: HttpRequest, caller: Caller, state: Data<State>) -> Answer {
    let query: RejectedQuery = input::query(&request)?;
    let limit = input::limit(query.limit)?;
    // The list is bounded: all of it is read, so that other workspaces' deliveries take none of the places.
    let all = state.app.store.rejected(usize::MAX)?;
    let rows: Vec<RejectedView> = all.into_iter().filter(|r| caller.sees(&r.workspace)).take(limit).map(RejectedView::from).collect();
    Ok(HttpResponse::Ok().json(Page::whole(rows)))
}

/// Let a delivery in whose signature is right and only its time too old: it becomes the event `id`. Once more changes nothing.
#[utoipa::path(post, path = "/rejected/{id}/accept", tag = "events", params(("id" = String, Path)), responses((status = 200, body = EventDetail)))]
pub async fn accept(id: Path<String>, caller: Caller, state: Data<State>) -> Answer {
    caller.needs(ApiRole::Admin)?;
    let delivery: EventId = input::id("event", &id)?;
    let known = |rejected: &Rejected| rejected.held == Some(delivery) && caller.sees(&rejected.workspace);
    let rejected = state.app.store.rejected(usize::MAX)?.into_iter().find(known);
    let rejected = rejected.ok_or_else(|| Fault::no_such("refused delivery that can be accepted", id.as_str()))?;
    if rejected.let_in.is_none() {
        Fault::of_change(state.app.store.change(state.app.clock.now(), caller.name.clone(), Change::LetIn { delivery }).await?)?;
    }
    detail(&state, find(&state, &caller, &id)?)
}
