//! The control API under `/_sim/`: counts, moods, the phone's switch, what phones do right now.

use actix_web::web::{self, Data, Json, Query};
use actix_web::{HttpResponse, Responder};
use serde::Deserialize;
use serde_json::{Value, json};

use super::mood::{Mood, Whom};
use super::phone::{Call, World};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/_sim/stats", web::get().to(stats))
        .route("/_sim/calls", web::get().to(calls))
        .route("/_sim/mood", web::post().to(mood))
        .route("/_sim/phone", web::post().to(phone))
        .route("/_sim/reset", web::post().to(reset));
}

#[derive(Deserialize)]
struct StatsQuery {
    calls: Option<u8>,
    keys: Option<u8>,
}

async fn stats(world: Data<World>, query: Query<StatsQuery>) -> impl Responder {
    let state = world.state();
    let mut answer = json!(state.stats.totals());
    answer["phone_on"] = json!(!state.all_off);
    if query.calls.is_some_and(|n| n != 0) {
        answer["calls"] = json!(state.stats.calls());
    }
    if query.keys.is_some_and(|n| n != 0) {
        answer["by_key"] = json!(state.stats.keys());
    }
    Json(answer)
}

#[derive(Deserialize)]
struct CallsQuery {
    limit: Option<usize>,
}

async fn calls(world: Data<World>, query: Query<CallsQuery>) -> impl Responder {
    let state = world.state();
    let calls: Vec<Value> = state.recent.iter().rev().take(query.limit.unwrap_or(20)).map(|call| live(call)).collect();
    Json(json!({ "phone_on": !state.all_off, "now_ms": world.clock.now().0, "speed": world.options.speed, "calls": calls }))
}

/// A call as the page shows it. Of the key only its end.
fn live(call: &Call) -> Value {
    let request = &call.request;
    let tail: String = request.key.chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect();
    json!({
        "call_id": request.call_id, "phone": request.phone, "name": request.name, "gender": request.gender, "info": request.info,
        "line": format!("…{tail}"), "mood": call.mood, "state": call.doing(), "since_ms": call.since().0, "asked_ms": call.asked_at.0,
        "answered": call.play.talk_secs.is_some(), "reports": call.play.postings.len(),
    })
}

#[derive(Deserialize)]
struct MoodBody {
    phone: Option<String>,
    key: Option<String>,
    /// A name, or absent to take the mood away.
    mood: Option<String>,
}

async fn mood(world: Data<World>, body: Json<MoodBody>) -> HttpResponse {
    let body = body.into_inner();
    let mood = match body.mood.as_deref().map(str::parse::<Mood>).transpose() {
        Ok(mood) => mood,
        Err(error) => return HttpResponse::UnprocessableEntity().json(json!({ "error": error.to_string() })),
    };
    let whom = match (body.phone, body.key) {
        (Some(phone), _) => Whom::Phone(phone),
        (None, Some(key)) => Whom::Key(key),
        (None, None) => Whom::Everyone,
    };
    world.state().moods.set(whom, mood);
    HttpResponse::Ok().json(json!({ "mood": mood }))
}

#[derive(Deserialize)]
struct PhoneBody {
    on: bool,
    key: Option<String>,
}

async fn phone(world: Data<World>, body: Json<PhoneBody>) -> impl Responder {
    world.into_inner().switch(body.key.as_deref(), body.on);
    Json(json!({ "on": body.on }))
}

async fn reset(world: Data<World>) -> impl Responder {
    world.reset();
    Json(json!({ "reset": true }))
}
