//! `/audit`: who changed what.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Caller;
use super::fault::Answer;
use super::input;
use super::view::Page;
use crate::config::ApiRole;
use crate::store::{AuditEntry, Store};
use crate::web::State;

/// One change.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditView {
    #[schema(format = DateTime)]
    pub at: String,
    /// The name of the key, `local admin`, or `callbridge` with its reason.
    pub by: String,
    pub change: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// 1 to 200, default 50.
    limit: Option<usize>,
}

/// The newest changes that people and keys made, newest first; for the admin of the whole instance.
#[utoipa::path(get, path = "/audit", tag = "audit", params(AuditQuery), responses((status = 200, body = Page<AuditView>)))]
pub async fn list(request: HttpRequest, caller: Caller, state: Data<State>) -> Answer {
    caller.needs(ApiRole::Admin)?;
    caller.needs_instance()?;
    let query: AuditQuery = input::query(&request)?;
    let entries = state.app.store.audit(input::limit(query.limit)?)?;
    let view = |AuditEntry { at, actor, change }| AuditView { at: at.rfc3339(), by: actor, change };
    Ok(HttpResponse::Ok().json(Page::whole(entries.into_iter().map(view).collect())))
}
