//! `GET /oauth/{connection}/callback`: the admin comes back from the CRM's own page.

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::{Data, Path, Query};

use super::answer::private;
use super::problem::problem;
use super::routes::State;
use crate::domain::id::ConnectionId;
use crate::error::Code;
use crate::failpoint::HOOKS_ANSWER;
use crate::pipeline::connect::{Back, ConnectError, finish};

/// Ends a connect that was begun at `POST /api/v1/connections/{id}/connect`.
pub async fn callback(connection: Path<String>, back: Option<Query<Back>>, state: Data<State>) -> HttpResponse {
    let back = back.map(Query::into_inner).unwrap_or_default();
    let id = ConnectionId::new(&connection);
    let response = match finish(&state.app, &id, &back).await {
        Ok(()) => HttpResponse::Ok().content_type(ContentType::plaintext()).body("Đã kết nối. Có thể đóng trang này.\nConnected. You may close this page.\n"),
        Err(error) => {
            let said = state.app.redact(&error.to_string());
            tracing::warn!(connection.id = %id, error = said, "a connect did not work");
            match error {
                ConnectError::BadState => problem(Code::Forbidden, &said),
                ConnectError::NoConnection(_) | ConnectError::NoConnect => problem(Code::NotFound, &said),
                _ => problem(Code::Conflict, &said),
            }
        }
    };
    private(response, HOOKS_ANSWER.after)
}
