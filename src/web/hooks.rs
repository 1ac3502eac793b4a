//! `ANY /hooks/{connection}/{hook_key}[/{tail}]`: webhooks.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::answer::private;
use super::problem::{Problem, problem};
use super::routes::State;
use super::sender;
use crate::domain::event::Delivery;
use crate::error::Code;
use crate::failpoint::HOOKS_ANSWER;
use crate::pipeline::ingest::{self, Told};

/// The largest body that is taken where no setting says so.
pub const BODY_LIMIT: usize = 1 << 20;
/// The body must be there by then where no setting says so; the server's own limit covers only the head.
const BODY_TIME: Duration = Duration::from_secs(15);

#[derive(serde::Deserialize)]
pub struct Address {
    connection: String,
    key: String,
    #[serde(default)]
    tail: String,
}

/// Takes one delivery.
pub async fn take(request: HttpRequest, address: Path<Address>, state: Data<State>, payload: Payload) -> HttpResponse {
    let (body, too_large) = match read_within(payload, state.settings.server.max_body_bytes, state.settings.server.body_timeout).await {
        Ok(read) => read,
        Err(code) => return private(problem(code, ""), HOOKS_ANSWER.after),
    };
    let app = &state.app;
    let public = app.tuning.public_url.trim_end_matches('/');
    let delivery = Delivery {
        method: request.method().as_str().to_owned(),
        uri: format!("{public}{}", request.uri()),
        tail: address.tail.trim_matches('/').to_owned(),
        query: request.query_string().to_owned(),
        headers: request.headers().iter().map(|(n, v)| (n.as_str().to_owned(), String::from_utf8_lossy(v.as_bytes()).into_owned())).collect(),
        body,
        received_at: app.clock.now(),
    };
    let from = sender::address(&request, &state.settings.server.trust_proxies);
    let told = ingest::ingest(app, &address.connection, &address.key, delivery, too_large, from).await;
    private(respond(told), HOOKS_ANSWER.after)
}

fn respond(told: Told) -> HttpResponse {
    let status = StatusCode::from_u16(told.reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match &told.problem {
        // Where the CRM wants words of its own, it gets those; else a problem that says what to fix.
        Some((code, detail)) if told.reply.body.is_empty() => Problem::new(*code, detail).answer(Some(told.reply.status)),
        _ => HttpResponse::build(status).body(told.reply.body),
    };
    for (name, value) in told.reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Reads a body up to `limit`; true: there was more.
pub async fn read(payload: Payload, limit: usize) -> Result<(Bytes, bool), Code> {
    read_within(payload, limit, BODY_TIME).await
}

async fn read_within(mut payload: Payload, limit: usize, time: Duration) -> Result<(Bytes, bool), Code> {
    let reading = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Code::BadRequest)?;
            if body.len() + chunk.len() > limit {
                return Ok((body.freeze(), true));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((body.freeze(), false))
    };
    tokio::time::timeout(time, reading).await.unwrap_or(Err(Code::TooSlow))
}
