//! `GET /oauth/{connection}/callback`: the admin comes back from the CRM's own page. What went wrong is told on a page from which it can be
//! begun again (`GET /oauth/{connection}/again`), not as an error of an API.

use actix_web::HttpResponse;
use actix_web::http::header::{self, ContentType};
use actix_web::web::{Data, Path, Query};
use handlebars::html_escape;
use serde::Deserialize;

use super::answer::private;
use super::routes::State;
use crate::domain::id::ConnectionId;
use crate::error::Code;
use crate::failpoint::HOOKS_ANSWER;
use crate::pipeline::connect::{Back, ConnectError, begin_again, finish, may_begin_again};

/// Ends a connect that was begun at `POST /api/v1/connections/{id}/connect`.
pub async fn callback(connection: Path<String>, back: Option<Query<Back>>, state: Data<State>) -> HttpResponse {
    let back = back.map(Query::into_inner).unwrap_or_default();
    let id = ConnectionId::new(&connection);
    let response = match finish(&state.app, &id, &back).await {
        Ok(()) => HttpResponse::Ok().content_type(ContentType::plaintext()).body("Đã kết nối. Có thể đóng trang này.\nConnected. You may close this page.\n"),
        Err(error) => not_connected(&state, &id, &back.state, &error),
    };
    private(response, HOOKS_ANSWER.after)
}

/// The state of a connect that did not work.
#[derive(Debug, Default, Deserialize)]
pub struct Again {
    #[serde(default)]
    state: String,
}

/// Sends the admin to the CRM's page once more.
pub async fn again(connection: Path<String>, again: Option<Query<Again>>, state: Data<State>) -> HttpResponse {
    let before = again.map(Query::into_inner).unwrap_or_default().state;
    let id = ConnectionId::new(&connection);
    let response = match begin_again(&state.app, &id, &before).await {
        Ok(url) => HttpResponse::SeeOther().insert_header((header::LOCATION, url)).finish(),
        Err(error) => not_connected(&state, &id, "", &error),
    };
    private(response, HOOKS_ANSWER.after)
}

/// Says why, and how to begin again.
fn not_connected(state: &State, id: &ConnectionId, before: &str, error: &ConnectError) -> HttpResponse {
    let said = state.app.redact(&error.to_string());
    tracing::warn!(connection.id = %id, error = said, "a connect did not work");
    let (code, vi) = match error {
        ConnectError::BadState => (Code::Forbidden, "Trang này không do callbridge mở, đã được dùng rồi, hoặc đã quá mười phút."),
        ConnectError::NoConnection(_) | ConnectError::NoConnect => (Code::NotFound, "Không có kết nối này, hoặc CRM của nó không có nút Kết nối."),
        _ => (Code::Conflict, "CRM không cho kết nối. Lý do nằm ở dòng tiếng Anh bên dưới."),
    };
    let how = if may_begin_again(&state.app, id, before) {
        // States are made of letters that a URL takes as they are.
        format!("<p><a href=\"again?state={}\">Bắt đầu lại · Start again</a></p>", html_escape(before))
    } else {
        let command = html_escape(&format!("callbridge connection connect {id}"));
        format!("<p>Hãy bắt đầu lại từ callbridge · Start again from callbridge: <code>{command}</code></p>")
    };
    let page = format!(
        "<!doctype html>\n<html lang=\"vi\"><head><meta charset=\"utf-8\"><title>callbridge</title></head><body>\n\
         <h1>Chưa kết nối được · Not connected</h1>\n<p>{vi}</p>\n<p lang=\"en\">{}</p>\n{how}\n</body></html>\n",
        html_escape(&said)
    );
    let status = actix_web::http::StatusCode::from_u16(code.entry().status).unwrap_or(actix_web::http::StatusCode::CONFLICT);
    HttpResponse::build(status)
        .content_type(ContentType::html())
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"))
        .body(page)
}
