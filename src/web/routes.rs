//! The whole route table on one screen.

use std::sync::Arc;

use actix_web::web::{self, ServiceConfig};

use super::{api, callbacks, callone, connect, health, hooks};
use crate::config::Settings;
use crate::pipeline::App;

/// What handlers share.
#[derive(Clone)]
pub struct State {
    pub app: Arc<App>,
    pub settings: Arc<Settings>,
    /// Requests on this listener are the local admin's: it is a socket that only this user can open.
    pub local_admin: bool,
}

/// Every address of the server.
pub fn configure(config: &mut ServiceConfig) {
    config
        // In scopes, whose fixed beginning is compared as text: each pattern with a name in it is a regular expression.
        .service(
            web::scope("/hooks")
                .service(web::resource("/{connection}/{key}").to(hooks::take))
                .service(web::resource("/{connection}/{key}/{tail:.*}").to(hooks::take)),
        )
        .service(
            web::scope("/callbacks")
                .service(web::resource("/{token}").route(web::post().to(callbacks::take)))
                .service(web::resource("/{token}/").route(web::post().to(callbacks::take))),
        )
        .service(
            web::resource(["/campaign/callone/", "/campaign/callone"])
                .route(web::post().to(callone::take))
                .route(web::method(actix_web::http::Method::OPTIONS).to(callone::preflight)),
        )
        .route("/oauth/{connection}/callback", web::get().to(connect::callback))
        .route("/oauth/{connection}/again", web::get().to(connect::again))
        .service(web::scope("/api/v1").configure(api::configure))
        .route("/healthz", web::get().to(health::live))
        .route("/readyz", web::get().to(health::ready))
        .route("/metrics", web::get().to(health::metrics))
        .default_service(web::to(health::nothing_here));
}
