//! The switches of the fake CRM: planned failures, search with a lagging index, client-chosen ids; and its counts.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data, Json, Query};
use actix_web::{Error, HttpResponse, Responder};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::json;
use subtle::ConstantTimeEq;

use super::server::Crm;

/// The next `times` writes fail.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// HTTP status; 0 closes the connection without an answer.
    pub status: u16,
    #[serde(default = "once")]
    pub times: u32,
    /// The write happens all the same; only its answer is lost.
    #[serde(default)]
    pub after_storing: bool,
    /// Only paths that contain this.
    #[serde(default)]
    pub path: String,
    /// Retry-After, in seconds.
    pub retry_after: Option<u32>,
}

fn once() -> u32 {
    1
}

/// What can be switched while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// `GET /api/notes?call_id=` exists.
    pub searchable: bool,
    /// An entry is found only this long after it was made.
    pub index_lag_ms: i64,
    /// A create with a client id seen before answers with the entry that is there.
    pub client_id: bool,
}

/// Middleware of `/api`: the token, then planned failures.
pub async fn guard(crm: Data<Crm>, request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Result<ServiceResponse<BoxBody>, Error> {
    if !has_token(&crm, &request) {
        let refusal = HttpResponse::Unauthorized().json(json!({ "error": "a valid bearer token is needed" }));
        return Ok(request.into_response(refusal));
    }
    let is_write = !matches!(*request.method(), Method::GET | Method::HEAD);
    let Some(plan) = is_write.then(|| take_plan(&crm, request.path())).flatten() else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    if !plan.after_storing {
        return Ok(request.into_response(failure(&plan)));
    }
    let answered = next.call(request).await?;
    Ok(answered.into_response(failure(&plan)))
}

fn has_token(crm: &Crm, request: &ServiceRequest) -> bool {
    let Some(token) = &crm.options.token else { return true };
    let given = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    given.strip_prefix("Bearer ").is_some_and(|given| given.trim().as_bytes().ct_eq(token.as_bytes()).into())
}

fn take_plan(crm: &Crm, path: &str) -> Option<Plan> {
    let mut state = crm.state();
    let plan = state.plans.iter_mut().find(|p| p.times > 0 && path.contains(&p.path))?;
    plan.times -= 1;
    let taken = plan.clone();
    state.plans.retain(|p| p.times > 0);
    state.book.totals.failures += 1;
    Some(taken)
}

fn failure(plan: &Plan) -> HttpResponse {
    let Ok(status) = StatusCode::from_u16(plan.status) else {
        // A body that fails before its first byte: the server drops the connection before the head was written out.
        return HttpResponse::Ok().streaming(stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut")) }));
    };
    let mut answer = HttpResponse::build(status);
    if let Some(secs) = plan.retry_after {
        answer.insert_header((header::RETRY_AFTER, secs.to_string()));
    }
    answer.json(json!({ "error": "planned failure" }))
}

/// `POST /_crm/fail`: adds a plan; `times = 0` takes all plans away.
pub async fn fail(crm: Data<Crm>, plan: Json<Plan>) -> impl Responder {
    let mut state = crm.state();
    match plan.times {
        0 => state.plans.clear(),
        _ => state.plans.push(plan.into_inner()),
    }
    Json(json!({ "plans": state.plans }))
}

/// `POST /_crm/switches`.
pub async fn switches(crm: Data<Crm>, switches: Json<Switches>) -> impl Responder {
    crm.state().switches = *switches;
    switches
}

#[derive(Deserialize)]
pub struct StatsQuery {
    calls: Option<u8>,
}

/// `GET /_crm/stats`: sums, and with `calls=1` the number of entries per call id.
pub async fn stats(crm: Data<Crm>, query: Query<StatsQuery>) -> impl Responder {
    let state = crm.state();
    let mut answer = json!(state.book.totals());
    if query.calls.is_some_and(|n| n != 0) {
        answer["calls"] = json!(state.book.entries_by_call());
    }
    Json(answer)
}
