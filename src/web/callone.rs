//! `POST /campaign/callone/`: the drop-in for the vendor's API. A program that calls the vendor only changes the host.
//!
//! Always HTTP 200, as the vendor does: errorCode 0 = on disk; 2111 empty or undialable phone; 2112 unknown key; 2116 key switched off; 2118 over the
//! key's queue limit; 2222 cannot store. Hours and rates never refuse, they queue.

use std::time::Duration;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value, json};

use super::answer::private;
use super::hooks::{BODY_LIMIT, read};
use super::routes::State;
use crate::config::{Dedup, GatewayKey};
use crate::domain::call::{Forward, Origin};
use crate::domain::id::CallId;
use crate::domain::phone;
use crate::domain::record::{Customer, Gender, ID_BYTES};
use crate::failpoint::{self, CALLONE_ANSWER};
use crate::pipeline::wish;
use crate::store::{Made, NewCall, Store};

/// The same non-empty callId within this time is the same call, where the key says so.
const SAME_CALL: Duration = Duration::from_secs(86_400);

/// The vendor's answer codes that this route uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Taken = 0,
    EmptyOrUndialable = 2111,
    UnknownKey = 2112,
    SwitchedOff = 2116,
    OverLimit = 2118,
    SystemError = 2222,
}

/// Takes one request.
pub async fn take(request: HttpRequest, state: Data<State>, payload: Payload) -> HttpResponse {
    let (answer, key) = match read(payload, BODY_LIMIT).await {
        Ok((body, false)) => decide(&state, &body).await,
        Ok((_, true)) | Err(_) => (Answer::SystemError, None),
    };
    let code = answer as i32;
    let response = HttpResponse::Ok().json(json!({"errorCode": code, "hasError": code != 0}));
    private(with_cors(response, &request, &state, key), CALLONE_ANSWER.after)
}

/// A longer `apiCallbackUrl` is no address that anybody uses.
const CALLBACK_BYTES: usize = 2_000;

/// A browser asks before it posts JSON.
pub async fn preflight(request: HttpRequest, state: Data<State>) -> HttpResponse {
    let mut response = with_cors(HttpResponse::NoContent().finish(), &request, &state, None);
    for (name, value) in
        [("access-control-allow-methods", "POST, OPTIONS"), ("access-control-allow-headers", "content-type"), ("access-control-max-age", "3600")]
    {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// The origin is allowed if the key that was used allows it; a preflight, which shows no key, if any key does.
fn with_cors(mut response: HttpResponse, request: &HttpRequest, state: &State, key: Option<&GatewayKey>) -> HttpResponse {
    let Some(origin) = request.headers().get(header::ORIGIN).and_then(|o| o.to_str().ok()) else { return response };
    let allows = |key: &GatewayKey| key.origins.iter().any(|o| o == "*" || o.trim_end_matches('/') == origin);
    let allowed = key.map_or_else(|| state.settings.gateway_keys.iter().any(allows), allows);
    if allowed && let Ok(value) = HeaderValue::from_str(origin) {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, value);
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("Origin"));
    }
    response
}

async fn decide<'a>(state: &'a State, body: &[u8]) -> (Answer, Option<&'a GatewayKey>) {
    let object = match serde_json::from_slice::<Value>(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)) {
        Ok(Value::Object(object)) => object,
        _ => return (Answer::EmptyOrUndialable, None),
    };
    let secret = field(&object, "secretKey");
    if secret.is_empty() {
        return (Answer::EmptyOrUndialable, None);
    }
    let found = state.settings.gateway_keys.iter().fold(None, |found, key| if key.key.matches(&secret) { Some(key) } else { found });
    let Some(key) = found else { return (Answer::UnknownKey, None) };
    if key.paused {
        return (Answer::SwitchedOff, Some(key));
    }
    let Ok(phone) = phone::normalise(&field(&object, "customerPhone")) else { return (Answer::EmptyOrUndialable, Some(key)) };
    (make(state, key, &object, phone).await, Some(key))
}

async fn make(state: &State, key: &GatewayKey, object: &Map<String, Value>, phone: phone::Phone) -> Answer {
    let app = &state.app;
    let now = app.clock.now();
    let theirs = field(object, "callId");
    let callback = field(object, "apiCallbackUrl");
    let mut call = wish::blank(CallId::from_uuid(app.clock.uuid()), key.workspace.clone(), Origin::DropIn { key: key.name.clone() }, phone, now, now);
    call.customer = Customer {
        phone: field(object, "customerPhone"),
        name: field(object, "customerName"),
        gender: gender(&field(object, "customerGender")),
        info: field(object, "customerInfo"),
    };
    call.customer.cut();
    // Both come back in the forwarded report and are never cut.
    if theirs.len() > ID_BYTES || callback.len() > CALLBACK_BYTES || !(callback.is_empty() || is_web_address(&callback)) {
        return Answer::EmptyOrUndialable;
    }
    call.interactive = false;
    call.expires_at = now.plus(state.settings.calls.expire_automation);
    call.forward = (!callback.is_empty()).then(|| Forward { url: callback, call_id: theirs.clone() });
    let same = (key.dedup == Dedup::CallId && !theirs.is_empty()).then(|| (format!("drop_in\u{0}{}\u{0}{theirs}", key.name), SAME_CALL));
    let new = NewCall { call: Box::new(call), idempotency: same, max_queued: Some(u64::from(key.max_queued)) };
    let made = app.store.create_call(now, new).await;
    failpoint::hit(CALLONE_ANSWER.before);
    match made {
        Ok(Made::Call(_) | Made::Existing(_)) => Answer::Taken,
        Ok(Made::OverLimit) => Answer::OverLimit,
        Err(error) => {
            tracing::error!(error = %error, "a drop-in call could not be stored");
            Answer::SystemError
        }
    }
}

/// Nothing can be posted to an address of another kind.
fn is_web_address(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, rest)| (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")) && !rest.is_empty())
}

/// The vendor matches names without regard to case; numbers are taken as their digits.
fn field(object: &Map<String, Value>, name: &str) -> String {
    match object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value) {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn gender(text: &str) -> Option<Gender> {
    match text.to_lowercase().as_str() {
        "nam" => Some(Gender::Male),
        "nữ" | "nu" => Some(Gender::Female),
        "công ty" | "cong ty" => Some(Gender::Company),
        _ => None,
    }
}
