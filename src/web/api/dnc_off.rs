//! `/dnc/imports` and `/dnc/remove`: taking an import back, and many numbers off the list. Without `confirm` they are only counted.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Caller;
use super::dnc::{no_import, workspace};
use super::fault::{Answer, Fault};
use super::input;
use crate::config::ApiRole;
use crate::domain::dnc::{Note, Scope, Source};
use crate::domain::id::WorkspaceId;
use crate::domain::number_list::{Column, Reader, Row};
use crate::domain::phone::Phone;
use crate::error::Code;
use crate::web::State;

/// Numbers of one request.
const MOST: usize = 500_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OffQuery {
    /// How many are meant, as the request without it said. With another number than there are now nothing is done: 409.
    confirm: Option<usize>,
    /// The column of the numbers in a file, as for an import.
    #[serde(default)]
    column: String,
    /// The local admin's way to a workspace other than `main`.
    workspace: Option<String>,
}

/// An import.
#[derive(Debug, Serialize, ToSchema)]
pub struct DncImportView {
    pub import: u32,
    pub by: String,
    #[schema(format = DateTime)]
    pub at: String,
    pub why: String,
    /// all, or advertising.
    #[schema(value_type = String)]
    pub scope: Scope,
    /// So many numbers stand on the list by it.
    pub numbers: usize,
}

/// What was meant and what was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct OffView {
    /// Numbers on the list that are meant.
    pub matching: usize,
    /// Rows of the file without a number; nothing is taken off by them.
    pub bad: u64,
    /// Numbers that are off the list now; null: they were only counted.
    pub done: Option<usize>,
}

fn confirmed(matching: usize, confirm: usize) -> Result<(), Fault> {
    let changed = || Fault::new(Code::Conflict, format!("{matching} numbers are meant now, not {confirm}: nothing was changed"));
    if matching == confirm { Ok(()) } else { Err(changed()) }
}

fn import(state: &State, workspace: &WorkspaceId, text: &str) -> Result<(u32, Note), Fault> {
    let id = text.parse().map_err(|_| no_import(text))?;
    let note = state.app.store.dnc_note_of(workspace, id)?.filter(|note| note.source == Source::Import);
    Ok((id, note.ok_or_else(|| no_import(text))?))
}

/// How many stand by an import: the whole list is read for it.
async fn counted(state: &State, workspace: &WorkspaceId, import: u32) -> Result<usize, Fault> {
    let (store, workspace) = (state.app.store.clone(), workspace.clone());
    let counted = tokio::task::spawn_blocking(move || store.dnc_count(&workspace, import)).await;
    Ok(counted.map_err(|_| Fault::from(Code::Internal))??)
}

/// An import, and how many numbers stand on the list by it.
#[utoipa::path(get, path = "/dnc/imports/{import}", tag = "dnc", params(("import" = u32, Path), OffQuery), responses((status = 200, body = DncImportView)))]
pub async fn show(request: HttpRequest, id: Path<String>, caller: Caller, state: Data<State>) -> Answer {
    let query: OffQuery = input::query(&request)?;
    let workspace = workspace(&caller, query.workspace.as_deref());
    let (id, note) = import(&state, &workspace, &id)?;
    let numbers = counted(&state, &workspace, id).await?;
    Ok(HttpResponse::Ok().json(DncImportView { import: id, by: note.by, at: note.at.rfc3339(), why: note.why, scope: note.scope, numbers }))
}

/// Take an import back: its numbers come off the list, and what stood there before it stands again. Calls that it refused stay refused.
#[utoipa::path(delete, path = "/dnc/imports/{import}", tag = "dnc", params(("import" = u32, Path), OffQuery), responses((status = 200, body = OffView)))]
pub async fn undo(request: HttpRequest, id: Path<String>, caller: Caller, state: Data<State>) -> Answer {
    caller.needs(ApiRole::Operator)?;
    let query: OffQuery = input::query(&request)?;
    let workspace = workspace(&caller, query.workspace.as_deref());
    let (id, _) = import(&state, &workspace, &id)?;
    let matching = counted(&state, &workspace, id).await?;
    let Some(confirm) = query.confirm else { return Ok(HttpResponse::Ok().json(OffView { matching, bad: 0, done: None })) };
    confirmed(matching, confirm)?;
    let done = state.app.store.dnc_undo(state.app.clock.now(), caller.name.clone(), &workspace, id).await?;
    tracing::info!(import = id, done, by = %caller.name, "an import of the do-not-call list was taken back");
    Ok(HttpResponse::Ok().json(OffView { matching, bad: 0, done: Some(done) }))
}

/// Take the numbers of a CSV or text file off the list: the body is the file, of at most 500,000 numbers.
#[utoipa::path(post, path = "/dnc/remove", tag = "dnc", params(OffQuery), request_body(content = String, content_type = "text/csv"), responses((status = 200, body = OffView)))]
pub async fn remove(request: HttpRequest, caller: Caller, state: Data<State>, mut payload: Payload) -> Answer {
    caller.needs(ApiRole::Operator)?;
    let query: OffQuery = input::query(&request)?;
    let workspace = workspace(&caller, query.workspace.as_deref());
    let mut reader = Reader::new(Column::read(&query.column), state.app.live.load().countries(&workspace));
    let (mut phones, mut bad): (Vec<Phone>, u64) = (Vec::new(), 0);
    let mut take = |row| match row {
        Row::Number(phone) => phones.push(phone),
        Row::Bad { .. } => bad += 1,
    };
    while let Some(bytes) = payload.next().await {
        let bytes = bytes.map_err(|error| Fault::new(Code::BadRequest, format!("the file broke off: {error}; nothing was changed")))?;
        reader.feed(&bytes, &mut take);
        if reader.rows() > MOST as u64 {
            return Err(Fault::new(Code::TooLarge, format!("at most {MOST} rows at once; nothing was changed")));
        }
    }
    reader.finish(&mut take);
    if reader.is_lost() {
        return Err(Fault::new(Code::NumberColumn, "nothing was changed"));
    }
    phones.sort_by(|a, b| a.e164().cmp(b.e164()));
    phones.dedup();
    let mut listed = Vec::new();
    for phone in phones {
        if state.app.store.dnc_of(&workspace, &phone)?.is_some() {
            listed.push(phone);
        }
    }
    let matching = listed.len();
    let Some(confirm) = query.confirm else { return Ok(HttpResponse::Ok().json(OffView { matching, bad, done: None })) };
    confirmed(matching, confirm)?;
    let done = state.app.store.dnc_remove(state.app.clock.now(), caller.name.clone(), &workspace, &listed).await?;
    tracing::info!(done, by = %caller.name, "numbers were taken off the do-not-call list");
    Ok(HttpResponse::Ok().json(OffView { matching, bad, done: Some(done) }))
}
