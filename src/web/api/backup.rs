//! `POST /backup`: a verified copy of the running store, written to a file of this machine.

use std::path::Path;

use actix_web::HttpResponse;
use actix_web::web::{Data, Payload};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Caller;
use super::fault::{Answer, Fault};
use super::input;
use crate::error::Code;
use crate::store::Store;
use crate::web::State;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupBody {
    /// An absolute path on the server's machine.
    path: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct BackupView {
    pub path: String,
    pub rows: u64,
}

/// Write a backup. Only for the local admin: it names a file of the server's machine, and holds every customer's number.
#[utoipa::path(post, path = "/backup", tag = "stats", request_body = BackupBody, responses((status = 200, body = BackupView)))]
pub async fn write(caller: Caller, state: Data<State>, payload: Payload) -> Answer {
    if !caller.is_local() {
        return Err(Fault::new(Code::Forbidden, "backups are written through the local socket only: callbridge backup PATH"));
    }
    let body: BackupBody = input::json(payload).await?;
    let path = Path::new(&body.path);
    if !path.is_absolute() {
        return Err(Fault::new(Code::BadRequest, "the path must be absolute"));
    }
    if path.exists() {
        return Err(Fault::new(Code::Conflict, format!("{} exists; a backup never replaces a file", path.display())));
    }
    let rows = state.app.store.snapshot(path).await?;
    Ok(HttpResponse::Ok().json(BackupView { path: body.path, rows }))
}
