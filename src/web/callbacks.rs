//! `POST /callbacks/{token}`: the phone's report.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::answer::private;
use super::hooks::read;
use super::problem::problem;
use super::routes::State;
use crate::error::Code;
use crate::failpoint::CALLBACKS_ANSWER;
use crate::pipeline::report::{Received, receive};

/// A report is small; its notes and SMS text may be long.
const BODY_LIMIT: usize = 256 * 1024;

/// Takes one report.
pub async fn take(_request: HttpRequest, token: Path<String>, state: Data<State>, payload: Payload) -> HttpResponse {
    let response = match read(payload, BODY_LIMIT).await {
        Err(code) => problem(code, ""),
        Ok((_, true)) => problem(Code::TooLarge, "a report is at most 256 KiB"),
        Ok((body, false)) => match receive(&state.app, &token, body).await {
            Ok(Received::Stored(_)) => HttpResponse::Ok().json(json!({"status": "stored"})),
            Ok(Received::Unknown) => problem(Code::NotFound, "there is no such callback"),
            Err(error) => {
                tracing::error!(error = %error, "a report could not be stored");
                let mut response = problem(Code::CannotStore, "");
                response.headers_mut().insert(actix_web::http::header::RETRY_AFTER, actix_web::http::header::HeaderValue::from_static("5"));
                response
            }
        },
    };
    private(response, CALLBACKS_ANSWER.after)
}
