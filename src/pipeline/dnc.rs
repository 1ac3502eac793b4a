//! Filling the do-not-call list: numbers out of a file of any size, and what that means for calls that wait.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::app::App;
use crate::domain::dnc::{self, Note};
use crate::domain::id::WorkspaceId;
use crate::domain::number_list::{Column, Reader, Row};
use crate::domain::phone::Phone;
use crate::error::Code;
use crate::store::StoreError;

/// Numbers sorted and written at once: many numbers share a record then. Eight bytes each.
const BATCH: usize = 500_000;
/// Bad rows that are told one by one; all are counted.
const BAD_ROWS: usize = 1000;
/// A report of all bad rows is told in pieces of this size.
const REPORT_BYTES: usize = 4 * 1024 * 1024;
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
    /// All of them, a line each (row, code, beginning), if that was asked for.
    pub every_bad: Option<String>,
    /// Bytes at the end that were not read.
    pub unread: u64,
    /// Queued calls that are refused now.
    pub refused_calls: u64,
    /// What the numbers stand on the list by; none: there were none.
    pub note: Option<u32>,
    /// The columns that held the numbers, counted from 1; none: each row said for itself.
    pub columns: Vec<usize>,
    /// There are headings, and none is known as that of phone numbers: nothing was read.
    pub lost: bool,
}

/// How an import begins, or goes on.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// The import that this is a further part of.
    pub note: Option<u32>,
    /// Rows of the file that were read before.
    pub rows: u64,
    /// More of the file comes later: a row that is cut off stays unread.
    pub more: bool,
    /// Tell every bad row; what does not fit into one answer stays unread.
    pub every_bad: bool,
}

/// An import under way.
pub struct Import<'a> {
    app: &'a App,
    workspace: WorkspaceId,
    note: Note,
    part: Part,
    reader: Reader,
    batch: Vec<u64>,
    report: Report,
}

impl<'a> Import<'a> {
    pub fn begin(app: &'a App, workspace: WorkspaceId, note: Note, column: Column, part: Part) -> Import<'a> {
        let reader = Reader::new(column, app.live.load().countries(&workspace)).behind(part.rows);
        let report = Report { note: part.note, every_bad: part.every_bad.then(String::new), ..Report::default() };
        Self { app, workspace, note, part, reader, batch: Vec::new(), report }
    }

    /// What the numbers so far stand on the list by.
    pub fn note(&self) -> Option<u32> {
        self.report.note
    }

    /// Takes the next bytes of the file.
    pub async fn feed(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if self.is_full() {
            self.report.unread += bytes.len() as u64;
            return Ok(());
        }
        let (reader, mut keep) = (&mut self.reader, Keep { batch: &mut self.batch, report: &mut self.report });
        reader.feed(bytes, &mut |row| keep.row(row));
        if self.batch.len() >= BATCH { self.flush().await } else { Ok(()) }
    }

    fn is_full(&self) -> bool {
        self.report.every_bad.as_ref().is_some_and(|told| told.len() >= REPORT_BYTES) && !self.reader.is_skipping()
    }

    /// Takes the end of the file or of its part.
    pub async fn finish(mut self) -> Result<Report, StoreError> {
        if self.part.more || self.report.unread > 0 {
            self.report.unread += self.reader.pending() as u64;
        } else {
            let (reader, mut keep) = (&mut self.reader, Keep { batch: &mut self.batch, report: &mut self.report });
            reader.finish(&mut |row| keep.row(row));
        }
        self.flush().await?;
        self.report.rows = self.reader.rows() - self.part.rows;
        self.report.columns = self.reader.columns();
        self.report.lost = self.reader.is_lost();
        if let Some(note) = self.report.note
            && !self.part.more
            && self.report.unread == 0
        {
            self.app.store.dnc_imported(self.app.clock.now(), self.note.by.clone(), &self.workspace, note).await?;
        }
        Ok(self.report)
    }

    /// Puts what was read on the list, and refuses the queued calls to these numbers.
    async fn flush(&mut self) -> Result<(), StoreError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.batch.sort_unstable();
        self.batch.dedup();
        let note = match self.report.note {
            Some(note) => note,
            None => self.app.store.dnc_note(self.workspace.clone(), self.note.clone(), 0).await?,
        };
        self.report.note = Some(note);
        let added = self.app.store.dnc_add(&self.workspace, &self.batch, note, self.note.scope).await?;
        self.report.added += added as u64;
        let batch = std::mem::take(&mut self.batch);
        self.report.refused_calls += refuse_among(self.app, &self.workspace, batch).await?;
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
                if let Some(told) = &mut self.report.every_bad {
                    let _ = writeln!(told, "{row}\t{code}\t{shown}");
                }
                if self.report.bad_rows.len() < BAD_ROWS {
                    self.report.bad_rows.push(BadRow { row, code, text: shown });
                }
            }
        }
    }
}

/// The note of an import that this one may go on with: it was begun by the same person.
pub fn own_import(app: &App, workspace: &WorkspaceId, id: u32, by: &Note) -> Result<Option<Note>, StoreError> {
    Ok(app.store.dnc_note_of(workspace, id)?.filter(|note| note.source == by.source && note.by == by.by))
}

/// Puts single numbers on the list; gives how many are new and how many queued calls are refused now.
pub async fn add(app: &App, workspace: &WorkspaceId, phones: &[Phone], note: Note) -> Result<(usize, u64), StoreError> {
    let scope = note.scope;
    let mut numbers: Vec<u64> = phones.iter().map(dnc::digits).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let id = app.store.dnc_note(workspace.clone(), note, numbers.len()).await?;
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

/// Refuses the queued calls to numbers (sorted digits) that are on the list now. A call that is claimed meanwhile is checked there.
async fn refuse_among(app: &App, workspace: &WorkspaceId, numbers: Vec<u64>) -> Result<u64, StoreError> {
    let (store, of) = (app.store.clone(), workspace.clone());
    let calls = tokio::task::spawn_blocking(move || store.queued_among(&of, &numbers)).await.map_err(|_| StoreError::Shut)??;
    let mut refused = 0;
    for slice in calls.chunks(SLICE) {
        refused += app.store.refuse_listed(app.clock.now(), slice.to_vec()).await? as u64;
    }
    Ok(refused)
}
