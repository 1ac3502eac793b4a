//! `/connections`: how each is set up. Parameters and their secrets are never shown; the webhook address only to an admin.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Payload};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Caller;
use super::fault::{Answer, Fault};
use super::input;
use super::subscriptions::{self, EndView, SubscriptionView};
use super::troubles::{AtCrmView, Known, TroubleView};
use super::view::Page;
use crate::config::ApiRole;
use crate::domain::connection::Connection;
use crate::domain::id::ConnectionId;
use crate::domain::phone;
use crate::domain::time::Time;
use crate::error::Code;
use crate::store::{Change, Store};
use crate::web::State;

/// One configured use of a plugin.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionView {
    pub id: String,
    pub name: String,
    pub workspace: String,
    pub plugin: String,
    /// The plugin's name; null when it is not loaded.
    pub plugin_name: Option<String>,
    /// off, test or live.
    pub mode: String,
    /// What is dialled in test mode in place of the customer; null: nothing.
    pub test_phone: Option<String>,
    /// care or advertising.
    pub purpose: String,
    pub language: String,
    pub lines: Vec<String>,
    /// first, owner, round_robin or least_busy.
    pub line_choice: String,
    pub hooks: Vec<HookView>,
    /// call, note, field.
    pub write_back: Vec<String>,
    /// Webhooks taken per hook key.
    pub inbound_rate: String,
    /// The brake.
    pub max_new_calls: String,
    /// Empty: any time.
    pub hours: Vec<String>,
    pub time_zone: String,
    /// Where it is kept: `file`.
    pub managed: String,
    /// Until when a handshake of the CRM may hand over secrets; null: no window is open.
    pub capture_until: Option<String>,
    /// The names of what handshakes handed over. The values are never shown.
    pub captured: Vec<String>,
    /// The webhooks that it registers at its CRM itself.
    pub subscriptions: Vec<SubscriptionView>,
    /// Secrets whose end is known.
    pub ends: Vec<EndView>,
    /// How it is doing, the worst first: off; failing (its CRM refuses us, or a poll, a login or a subscription does not work); incomplete
    /// (see `problems`); held (the brake waits for a person); retrying (results are written again later); ends_soon (a key); ok.
    pub state: String,
    /// What lasts, since when and what to do about it.
    pub troubles: Vec<TroubleView>,
    /// What waits for its CRM.
    pub waiting: AtCrmView,
    /// What keeps it from working, in sentences.
    pub problems: Vec<String>,
}

/// One webhook address.
#[derive(Debug, Serialize, ToSchema)]
pub struct HookView {
    pub name: String,
    /// What is entered in the CRM. Without its key for everybody but an admin.
    pub url: String,
    pub exposed: bool,
}

/// One of them as an answer.
pub async fn answer(state: &State, caller: &Caller, connection: &Connection) -> Answer {
    Ok(HttpResponse::Ok().json(view(state, caller, connection, &Known::read(state).await?)))
}

fn view(state: &State, caller: &Caller, connection: &Connection, known: &Known) -> ConnectionView {
    let mut problems = problems(state, connection);
    let word_of_state = known.word(connection, !problems.is_empty());
    problems.extend(known.source_problems(&connection.id));
    let plugin = state.app.plugins.get(&connection.plugin);
    let word = |value: serde_json::Result<serde_json::Value>| value.ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    ConnectionView {
        id: connection.id.to_string(),
        name: connection.title().to_owned(),
        workspace: connection.workspace.to_string(),
        plugin: connection.plugin.clone(),
        plugin_name: plugin.as_ref().map(|plugin| plugin.name().to_owned()),
        mode: word(serde_json::to_value(connection.mode)),
        test_phone: connection.test_phone.as_deref().map(|text| phone::normalise(text).map_or_else(|_| text.to_owned(), |phone| phone.national())),
        purpose: word(serde_json::to_value(connection.purpose)),
        language: connection.language.as_str().to_owned(),
        lines: connection.lines.iter().map(ToString::to_string).collect(),
        line_choice: word(serde_json::to_value(connection.line_choice)),
        hooks: hooks(state, caller, connection),
        write_back: connection.write_back.iter().map(|kind| kind.as_str().to_owned()).collect(),
        inbound_rate: connection.inbound_rate.to_string(),
        max_new_calls: connection.max_new_calls.to_string(),
        hours: connection.calling_hours().iter().map(ToString::to_string).collect(),
        time_zone: connection.time_zone.clone(),
        managed: "file".into(),
        capture_until: state.app.store.capture_window(&connection.id).ok().flatten().filter(|until| *until > state.app.clock.now()).map(Time::rfc3339),
        captured: state.app.store.captured(&connection.id).map(|captured| captured.into_keys().collect()).unwrap_or_default(),
        subscriptions: subscriptions::views(state, connection),
        ends: subscriptions::ends(state, connection),
        state: word_of_state.to_owned(),
        troubles: known.troubles(connection),
        waiting: known.waiting(&connection.id),
        problems,
    }
}

fn hooks(state: &State, caller: &Caller, connection: &Connection) -> Vec<HookView> {
    let public = state.app.tuning.public_url.trim_end_matches('/');
    let shown = |key: &str| if caller.is_admin() { key.to_owned() } else { "…".to_owned() };
    let plugin = state.app.plugins.get(&connection.plugin);
    let tail = |name: &str| {
        let tail = plugin.as_ref().and_then(|plugin| Some(plugin.hook_kind(name)?.tail.trim_matches('/').to_owned())).filter(|tail| !tail.is_empty());
        tail.map(|tail| format!("/{tail}")).unwrap_or_default()
    };
    let url = |key: &str, name: &str| format!("{public}/hooks/{}/{}{}", connection.id, shown(key), tail(name));
    connection.all_hooks().into_iter().map(|hook| HookView { url: url(hook.hook_key.expose(), &hook.name), name: hook.name, exposed: hook.exposed }).collect()
}

fn problems(state: &State, connection: &Connection) -> Vec<String> {
    let mut problems = Vec::new();
    match state.app.plugins.get(&connection.plugin) {
        None => problems.push(match state.app.plugins.broken(&connection.plugin) {
            Some(error) => format!("it is held until its plugin is mended: {error}"),
            None => format!("the plugin `{}` is not loaded", connection.plugin),
        }),
        Some(plugin) => {
            let given = connection.parameters.iter().map(|(id, value)| (id.clone(), value.expose())).collect();
            problems.extend(plugin.check_params(&given));
            problems.extend(connection.trigger.iter().flat_map(|trigger| plugin.check_trigger(trigger)));
        }
    }
    let wired = state.app.connection(&connection.id);
    let fetches = wired.is_some_and(|wired| state.app.plugins.get(&connection.plugin).is_some_and(|plugin| plugin.fetches(&wired.params)));
    if connection.all_hooks().is_empty() && !fetches {
        problems.push("it has no hook_key: no webhook can come in".into());
    }
    let live = state.app.live.load();
    if !connection.lines.iter().any(|line| live.lines.get(line).is_some_and(|l| l.workspace == connection.workspace)) {
        problems.push("it names no line that exists: its calls cannot be placed".into());
    }
    problems
}

/// Every connection, by id.
#[utoipa::path(get, path = "/connections", tag = "connections", responses((status = 200, body = Page<ConnectionView>)))]
pub async fn list(caller: Caller, state: Data<State>) -> Answer {
    let live = state.app.live.load_full();
    let mut connections: Vec<&Connection> = live.connections.values().map(|wired| &wired.connection).filter(|c| caller.sees(&c.workspace)).collect();
    connections.sort_by(|a, b| a.id.cmp(&b.id));
    let known = Known::read(&state).await?;
    Ok(HttpResponse::Ok().json(Page::whole(connections.into_iter().map(|c| view(&state, &caller, c, &known)).collect())))
}

/// One connection.
#[utoipa::path(get, path = "/connections/{id}", tag = "connections", params(("id" = String, Path)), responses((status = 200, body = ConnectionView)))]
pub async fn show(id: Path<String>, caller: Caller, state: Data<State>) -> Answer {
    let wired = state.app.connection(&ConnectionId::new(&id)).filter(|wired| caller.sees(&wired.connection.workspace));
    let wired = wired.ok_or_else(|| Fault::no_such("connection", &*id))?;
    answer(&state, &caller, &wired.connection).await
}

/// For how long the window is to be open.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaptureBody {
    /// 1 to 60; default 10.
    #[serde(default = "ten")]
    pub minutes: u32,
}

fn ten() -> u32 {
    10
}

/// Let the CRM hand over its secrets: for some minutes a handshake of this connection is believed, once.
#[utoipa::path(post, path = "/connections/{id}/capture", tag = "connections", request_body = CaptureBody, params(("id" = String, Path)), responses((status = 200, body = ConnectionView)))]
pub async fn capture(id: Path<String>, caller: Caller, state: Data<State>, payload: Payload) -> Answer {
    caller.needs(ApiRole::Admin)?;
    let body: CaptureBody = input::json(payload).await?;
    let wired = state.app.connection(&ConnectionId::new(&id)).filter(|wired| caller.sees(&wired.connection.workspace));
    let wired = wired.ok_or_else(|| Fault::no_such("connection", &*id))?;
    if !(1..=60).contains(&body.minutes) {
        return Err(Fault::new(Code::BadRequest, "minutes: 1 to 60"));
    }
    let plugin = state.app.plugins.get(&wired.connection.plugin);
    if !plugin.is_some_and(|plugin| plugin.captures()) {
        return Err(Fault::new(Code::Conflict, format!("the plugin `{}` has no handshake that hands over secrets", wired.connection.plugin)));
    }
    let now = state.app.clock.now();
    let until = now.plus(std::time::Duration::from_secs(u64::from(body.minutes) * 60));
    let change = Change::OpenCapture { connection: wired.connection.id.clone(), until };
    Fault::of_change(state.app.store.change(now, caller.name.clone(), change).await?)?;
    answer(&state, &caller, &wired.connection).await
}

/// Where the admin agrees at the CRM.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectView {
    /// The CRM's own page; it sends the browser back to `/oauth/{id}/callback` within ten minutes.
    pub url: String,
}

/// Begin to connect at the CRM, so that nobody copies a token. 409 when its plugin has no connect step.
#[utoipa::path(post, path = "/connections/{id}/connect", tag = "connections", params(("id" = String, Path)), responses((status = 200, body = ConnectView)))]
pub async fn connect(id: Path<String>, caller: Caller, state: Data<State>) -> Answer {
    caller.needs(ApiRole::Admin)?;
    let wired = state.app.connection(&ConnectionId::new(&id)).filter(|wired| caller.sees(&wired.connection.workspace));
    let wired = wired.ok_or_else(|| Fault::no_such("connection", &*id))?;
    let url = crate::pipeline::connect::start(&state.app, &wired.connection.id)
        .await
        .map_err(|error| Fault::new(Code::Conflict, state.app.redact(&error.to_string())))?;
    Ok(HttpResponse::Ok().json(ConnectView { url }))
}
