//! Filling the do-not-call list: numbers out of a file of any size, and what that means for calls that wait.

use std::collections::BTreeMap;

use super::app::App;
use crate::domain::dnc::{self, Note, Scope};
use crate::domain::id::{CallId, WorkspaceId};
use crate::domain::number_list::{Column, Reader, Row};
use crate::domain::phone::Phone;
use crate::error::Code;
use crate::store::{Store, StoreError};

/// Numbers sorted and written at once: many numbers share a record then. Eight bytes each.
const BATCH: usize = 500_000;
/// Bad rows that are told one by one; all are counted.
const BAD_ROWS: usize = 1000;
/// Queued calls looked at in one step.
const SLICE: usize = 100;

/// A row that held no number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    pub row: u64,
    pub code: Code,
    /// Its beginning.
    pub text: String,
}

/// What an import came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub rows: u64,
    pub numbers: u64,
    /// Numbers that were not on the list before.
    pub added: u64,
    pub bad: BTreeMap<Code, u64>,
    pub bad_rows: Vec<BadRow>,
    /// Queued calls that are refused now.
    pub refused_calls: u64,
    /// The columns that held the numbers, counted from 1; none: each row said for itself.
    pub columns: Vec<usize>,
    /// There are headings, and none is known as that of phone numbers: nothing was read.
    pub lost: bool,
}

/// An import under way.
pub struct Import<'a> {
    app: &'a App,
    workspace: WorkspaceId,
    scope: Scope,
    note: u32,
    reader: Reader,
    batch: Vec<u64>,
    report: Report,
}

impl<'a> Import<'a> {
    pub async fn begin(app: &'a App, workspace: WorkspaceId, note: Note, column: Column) -> Result<Import<'a>, StoreError> {
        let scope = note.scope;
        let note = app.store.dnc_note(workspace.clone(), note).await?;
        let reader = Reader::new(column, app.live.load().countries(&workspace));
        Ok(Self { app, workspace, scope, note, reader, batch: Vec::new(), report: Report::default() })
    }

    /// Takes the next bytes of the file.
    pub async fn feed(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let (reader, mut keep) = (&mut self.reader, Keep { batch: &mut self.batch, report: &mut self.report });
        reader.feed(bytes, &mut |row| keep.row(row));
        if self.batch.len() >= BATCH { self.flush().await } else { Ok(()) }
    }

    /// Takes the end of the file, and refuses the queued calls that it concerns.
    pub async fn finish(mut self) -> Result<Report, StoreError> {
        let (reader, mut keep) = (&mut self.reader, Keep { batch: &mut self.batch, report: &mut self.report });
        reader.finish(&mut |row| keep.row(row));
        self.flush().await?;
        self.report.rows = self.reader.rows();
        self.report.columns = self.reader.columns();
        self.report.lost = self.reader.is_lost();
        self.report.refused_calls = refuse_listed(self.app, &self.workspace).await?;
        Ok(self.report)
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        self.batch.sort_unstable();
        self.batch.dedup();
        let added = self.app.store.dnc_add(&self.workspace, &self.batch, self.note, self.scope).await?;
        self.report.added += added as u64;
        self.batch.clear();
        Ok(())
    }
}

struct Keep<'a> {
    batch: &'a mut Vec<u64>,
    report: &'a mut Report,
}

impl Keep<'_> {
    fn row(&mut self, row: Row) {
        match row {
            Row::Number(phone) => {
                self.report.numbers += 1;
                self.batch.push(dnc::digits(&phone));
            }
            Row::Bad { row, code, shown } => {
                *self.report.bad.entry(code).or_default() += 1;
                if self.report.bad_rows.len() < BAD_ROWS {
                    self.report.bad_rows.push(BadRow { row, code, text: shown });
                }
            }
        }
    }
}

/// Puts single numbers on the list; gives how many are new and how many queued calls are refused now.
pub async fn add(app: &App, workspace: &WorkspaceId, phones: &[Phone], note: Note) -> Result<(usize, u64), StoreError> {
    let scope = note.scope;
    let id = app.store.dnc_note(workspace.clone(), note).await?;
    let mut numbers: Vec<u64> = phones.iter().map(dnc::digits).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let added = app.store.dnc_add(workspace, &numbers, id, scope).await?;
    let mut refused = 0;
    for phone in phones {
        refused += refuse_to(app, workspace, phone).await?;
    }
    Ok((added, refused))
}

/// The phone put this number on the list: calls to it that wait are refused.
pub async fn learnt(app: &App, workspace: &WorkspaceId, phone: &Phone) -> Result<u64, StoreError> {
    refuse_to(app, workspace, phone).await
}

/// Refuses the queued calls to one number, if it is on the list. A call that is claimed meanwhile is checked there.
async fn refuse_to(app: &App, workspace: &WorkspaceId, phone: &Phone) -> Result<u64, StoreError> {
    let calls = app.store.queued_to(workspace, phone)?;
    if calls.is_empty() || app.store.dnc_of(workspace, phone)?.is_none() {
        return Ok(0);
    }
    let mut refused = 0;
    for slice in calls.chunks(SLICE) {
        refused += app.store.refuse_listed(app.clock.now(), slice.to_vec()).await? as u64;
    }
    Ok(refused)
}

/// Refuses all queued calls whose number is on the list now: after a file of a million numbers. A call that is claimed meanwhile is checked there.
async fn refuse_listed(app: &App, workspace: &WorkspaceId) -> Result<u64, StoreError> {
    let (mut refused, mut after): (u64, Option<CallId>) = (0, None);
    loop {
        let store = app.store.clone();
        let calls = tokio::task::spawn_blocking(move || store.queued_after(after, SLICE)).await.map_err(|_| StoreError::Shut)??;
        let Some(last) = calls.last().map(|call| call.id) else { return Ok(refused) };
        after = Some(last);
        let mut listed = Vec::new();
        for call in calls.iter().filter(|call| call.workspace == *workspace) {
            if app.store.dnc_of(workspace, &call.phone)?.is_some() {
                listed.push(call.id);
            }
        }
        if !listed.is_empty() {
            refused += app.store.refuse_listed(app.clock.now(), listed).await? as u64;
        }
    }
}
