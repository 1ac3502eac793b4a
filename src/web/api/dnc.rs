//! `/dnc`: the do-not-call list of a workspace.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Caller;
use super::fault::{Answer, Fault};
use super::input;
use super::view::{Page, Reason};
use crate::config::ApiRole;
use crate::domain::dnc::{self, Entry, Note, Scope, Source};
use crate::domain::id::WorkspaceId;
use crate::domain::number_list::Column;
use crate::domain::phone::Phone;
use crate::error::Code;
use crate::pipeline::asked::{self, NotAsked};
use crate::pipeline::dnc::{self as filling, Import, Part, Report};
use crate::web::State;

/// More numbers than these come as a file.
const MOST: usize = 1000;

/// One number of the list.
#[derive(Debug, Serialize, ToSchema)]
pub struct EntryView {
    /// E.164.
    pub phone: String,
    pub phone_national: String,
    /// own, import or learned.
    #[schema(value_type = String)]
    pub source: Source,
    /// all, or advertising: then only advertising calls are refused.
    #[schema(value_type = String)]
    pub scope: Scope,
    /// Who put it there.
    pub by: String,
    #[schema(format = DateTime)]
    pub at: String,
    pub why: String,
    /// The number of the import, or of the note of a single one.
    pub note: u32,
}

impl EntryView {
    fn of(entry: Entry) -> Self {
        let Entry { phone, note, id } = entry;
        Self {
            phone: phone.e164().to_owned(),
            phone_national: phone.national(),
            source: note.source,
            scope: note.scope,
            by: note.by,
            at: note.at.rfc3339(),
            why: note.why,
            note: id,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DncQuery {
    /// 1 to 200, default 50.
    limit: Option<usize>,
    /// After this number: `next` of the page before.
    after: Option<String>,
    /// The local admin's way to a workspace other than `main`.
    workspace: Option<String>,
}

/// Numbers to put on the list.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DncBody {
    /// As people write them; at most 1,000.
    phones: Vec<String>,
    /// Why; it is kept with the numbers.
    #[serde(default)]
    why: String,
    /// all (default) or advertising.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    scope: Scope,
    #[serde(default)]
    workspace: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ImportQuery {
    /// The column of the numbers, by its heading or its place from 1 (several places: `3,4`). Default: those whose heading says so; in a file
    /// without headings each row says for itself.
    #[serde(default)]
    column: String,
    /// Why; it is kept with the numbers.
    #[serde(default)]
    why: String,
    /// all (default), or advertising for a list that binds only advertisers, such as the national one.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    scope: Scope,
    workspace: Option<String>,
    /// `import` of the answer before: this is a further part of the same file.
    import: Option<u32>,
    /// Rows of the file that were read before this part.
    #[serde(default)]
    rows_before: u64,
    /// More of the file comes in a further request.
    #[serde(default)]
    more: bool,
    /// Tell every bad row, in `every_bad`.
    #[serde(default)]
    every_bad: bool,
}

/// What was added.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddedView {
    /// Numbers that were not on the list before.
    pub added: u64,
    /// Queued calls that are refused now.
    pub refused_calls: u64,
}

/// A row without a number.
#[derive(Debug, Serialize, ToSchema)]
pub struct BadRowView {
    /// Counted from 1.
    pub row: u64,
    pub reason: Reason,
    /// Its beginning.
    pub text: String,
}

/// What an import came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportView {
    pub rows: u64,
    pub numbers: u64,
    pub added: u64,
    pub refused_calls: u64,
    /// The columns that held the numbers, counted from 1; empty: there were no headings, each row said for itself.
    pub columns: Vec<usize>,
    /// How many rows held no number, by code.
    pub bad: std::collections::BTreeMap<String, u64>,
    /// The first 1,000 of them.
    pub bad_rows: Vec<BadRowView>,
    /// All of them, if asked for: a line each with row, code and beginning, by tabs.
    pub every_bad: Option<String>,
    /// So many bytes at the end were not read: they are sent again, in front of the next part. 0 unless `more` or `every_bad` was asked for.
    pub unread: u64,
    /// The number of this import; null: nothing was imported.
    pub import: Option<u32>,
}

pub(super) fn workspace(caller: &Caller, asked: Option<&str>) -> WorkspaceId {
    caller.workspace.clone().or(asked.map(WorkspaceId::new)).unwrap_or_default()
}

/// A number that this workspace may dial.
fn read(state: &State, workspace: &WorkspaceId, text: &str) -> Result<Phone, NotAsked> {
    asked::read_phone(text, Some(&state.app.live.load().countries(workspace)))
}

/// The list, by number.
#[utoipa::path(get, path = "/dnc", tag = "dnc", params(DncQuery), responses((status = 200, body = Page<EntryView>)))]
pub async fn list(request: HttpRequest, caller: Caller, state: Data<State>) -> Answer {
    let query: DncQuery = input::query(&request)?;
    let limit = input::limit(query.limit)?;
    let workspace = workspace(&caller, query.workspace.as_deref());
    let after = query.after.as_deref().map(|text| read(&state, &workspace, text)).transpose()?.map(|phone| dnc::digits(&phone));
    let entries = state.app.store.dnc_list(&workspace, after, limit + 1)?;
    Ok(HttpResponse::Ok().json(Page::of(entries, limit, |entry| entry.phone.e164().to_owned(), EntryView::of)))
}

/// One number: whether it is on the list, and why.
#[utoipa::path(get, path = "/dnc/{phone}", tag = "dnc", params(("phone" = String, Path)), responses((status = 200, body = EntryView)))]
pub async fn show(text: Path<String>, caller: Caller, state: Data<State>) -> Answer {
    let workspace = workspace(&caller, None);
    let phone = read(&state, &workspace, &text)?;
    let found = state.app.store.dnc_list(&workspace, dnc::digits(&phone).checked_sub(1), 1)?;
    match found.into_iter().find(|entry| entry.phone == phone) {
        Some(entry) => Ok(HttpResponse::Ok().json(EntryView::of(entry))),
        None => Err(Fault::new(Code::NotFound, format!("{} is not on the do-not-call list", phone.national()))),
    }
}

/// Put numbers on the list. Calls to them that wait are refused. One bad number refuses them all.
#[utoipa::path(post, path = "/dnc", tag = "dnc", request_body = DncBody, responses((status = 200, body = AddedView)))]
pub async fn add(caller: Caller, state: Data<State>, payload: Payload) -> Answer {
    caller.needs(ApiRole::Operator)?;
    let body: DncBody = input::json(payload).await?;
    if body.phones.is_empty() || body.phones.len() > MOST {
        return Err(Fault::new(Code::BadRequest, format!("`phones` has 1 to {MOST} numbers; a longer list goes to /dnc/import as a file")));
    }
    let workspace = workspace(&caller, body.workspace.as_deref());
    let countries = state.app.live.load().countries(&workspace);
    let phones = body.phones.iter().map(|text| asked::read_phones(text, &countries)).collect::<Result<Vec<_>, _>>()?.concat();
    let note = Note { source: Source::Own, scope: body.scope, by: caller.name.clone(), at: state.app.clock.now(), why: body.why.trim().to_owned() };
    let (added, refused_calls) = filling::add(&state.app, &workspace, &phones, note).await?;
    Ok(HttpResponse::Ok().json(AddedView { added: added as u64, refused_calls }))
}

/// Take a number off the list.
#[utoipa::path(delete, path = "/dnc/{phone}", tag = "dnc", params(("phone" = String, Path)), responses((status = 204)))]
pub async fn remove(request: HttpRequest, text: Path<String>, caller: Caller, state: Data<State>) -> Answer {
    caller.needs(ApiRole::Operator)?;
    let query: DncQuery = input::query(&request)?;
    let workspace = workspace(&caller, query.workspace.as_deref());
    let phone = read(&state, &workspace, &text)?;
    if state.app.store.dnc_remove(state.app.clock.now(), caller.name.clone(), &workspace, std::slice::from_ref(&phone)).await? == 0 {
        return Err(Fault::new(Code::NotFound, format!("{} is not on the do-not-call list", phone.national())));
    }
    tracing::info!(phone = %phone.masked(), by = %caller.name, "a number was taken off the do-not-call list");
    Ok(HttpResponse::NoContent().finish())
}

/// Import a CSV or text file of any size: the body is the file. Calls to its numbers that wait are refused.
#[utoipa::path(post, path = "/dnc/import", tag = "dnc", params(ImportQuery), request_body(content = String, content_type = "text/csv"), responses((status = 200, body = ImportView)))]
pub async fn import(request: HttpRequest, caller: Caller, state: Data<State>, mut payload: Payload) -> Answer {
    caller.needs(ApiRole::Operator)?;
    let query: ImportQuery = input::query(&request)?;
    let note = Note { source: Source::Import, scope: query.scope, by: caller.name.clone(), at: state.app.clock.now(), why: query.why.trim().to_owned() };
    let workspace = workspace(&caller, query.workspace.as_deref());
    let note = match query.import {
        Some(id) => filling::own_import(&state.app, &workspace, id, &note)?.ok_or_else(|| no_import(id))?,
        None => note,
    };
    let part = Part { note: query.import, rows: query.rows_before, more: query.more, every_bad: query.every_bad };
    let mut import = Import::begin(&state.app, workspace, note, Column::read(&query.column), part);
    while let Some(bytes) = payload.next().await {
        let stays = |import: &Import<'_>| import.note().map_or_else(String::new, |note| format!("; what came before stays imported (import {note})"));
        let bytes = bytes.map_err(|error| Fault::new(Code::BadRequest, format!("the file broke off: {error}{}", stays(&import))))?;
        import.feed(&bytes).await?;
    }
    let Report { rows, numbers, added, bad, bad_rows, every_bad, unread, refused_calls, note, columns, lost } = import.finish().await?;
    if lost {
        let headings = bad_rows.first().map(|row| row.text.clone()).unwrap_or_default();
        return Err(Fault::new(Code::NumberColumn, format!("the first row is `{headings}`; nothing was imported")));
    }
    tracing::info!(rows, numbers, added, refused_calls, by = %caller.name, "a do-not-call list was imported");
    Ok(HttpResponse::Ok().json(ImportView {
        rows,
        numbers,
        added,
        refused_calls,
        columns,
        bad: bad.into_iter().map(|(code, n)| (code.to_string(), n)).collect(),
        bad_rows: bad_rows.into_iter().map(|bad| BadRowView { row: bad.row, reason: bad.code.into(), text: bad.text }).collect(),
        every_bad,
        unread,
        import: note,
    }))
}

pub(super) fn no_import(id: impl std::fmt::Display) -> Fault {
    Fault::new(Code::NotFound, format!("there is no import {id} of the do-not-call list"))
}
