//! `callbridge dnc`: the do-not-call list. Adding, importing, removing, listing.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use bytes::Bytes;
use serde_json::{Value, json};

use super::args::Cli;
use super::client::{self, Server, query};
use super::dnc_off as off;
use super::output::{self, FAILED, Failed, list, moment, table, text};

/// Sent at once: about half a million rows, so that the server writes few records and the progress is seen.
const PIECE: usize = 16 * 1024 * 1024;
/// Bad rows on the screen, and in the JSON.
const SHOWN: usize = 20;
const SHOWN_AS_JSON: usize = 1000;

#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Put numbers on the list. Calls to them that wait are refused.
    Add {
        /// As people write them.
        #[arg(required = true)]
        phones: Vec<String>,
        /// Why; it is kept with the numbers.
        #[arg(long, default_value = "")]
        why: String,
        /// Only advertising calls are refused.
        #[arg(long)]
        advertising: bool,
        #[arg(long)]
        workspace: Option<String>,
    },
    /// Import a CSV or text file; `-` reads stdin. Calls to its numbers that wait are refused.
    Import(Import),
    /// Take numbers off the list: single ones, or those of a file.
    Remove(off::Remove),
    /// Take an import back: its numbers come off, and what stood there before stands again. Without --yes they are only counted.
    Undo(off::Undo),
    /// The list, by number.
    List {
        /// 1 to 200.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// After this number.
        #[arg(long, value_name = "PHONE")]
        after: Option<String>,
        #[arg(long)]
        workspace: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
pub struct Import {
    file: PathBuf,
    /// The column of the numbers, by its heading or its place from 1 (several places: 3,4). Default: those whose heading says so; in a
    /// file without headings each row says for itself.
    #[arg(long, default_value = "")]
    column: String,
    /// Why; it is kept with the numbers.
    #[arg(long, default_value = "")]
    why: String,
    /// The list binds only advertisers, such as the national one.
    #[arg(long)]
    advertising: bool,
    /// Write every row without a number into this file: its place, why, and its beginning.
    #[arg(long, value_name = "FILE")]
    bad_rows: Option<PathBuf>,
    #[arg(long)]
    workspace: Option<String>,
}

fn scope(advertising: bool) -> &'static str {
    if advertising { "advertising" } else { "all" }
}

pub async fn run(cli: &Cli, args: &Args) -> anyhow::Result<ExitCode> {
    client::with(cli, async |server| {
        match args {
            Args::Add { phones, why, advertising, workspace } => {
                let body = json!({"phones": phones, "why": why, "scope": scope(*advertising), "workspace": workspace});
                output::show(cli.json, &server.post("/dnc", &body).await?, |answer| {
                    format!("{} of {} are new on the list; {} waiting calls are refused", text(answer, "/added"), phones.len(), text(answer, "/refused_calls"))
                });
            }
            Args::Import(args) => return import(cli, server, args).await,
            Args::Remove(args) => off::remove(cli, server, args).await?,
            Args::Undo(args) => off::undo(cli, server, args).await?,
            Args::List { limit, after, workspace } => {
                let pairs = [("limit", Some(limit.to_string())), ("after", after.clone()), ("workspace", workspace.clone())];
                let page = server.get(&format!("/dnc{}", query(&pairs))).await?;
                output::show(cli.json, &page, rows);
                if !cli.json && page["next"].is_string() {
                    eprintln!("more: --after {}", text(&page, "/next"));
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
    .await
}

fn rows(page: &Value) -> String {
    let row = |entry: &Value| {
        vec![
            text(entry, "/phone_national"),
            text(entry, "/source"),
            text(entry, "/note"),
            text(entry, "/scope"),
            moment(entry, "/at"),
            text(entry, "/by"),
            text(entry, "/why"),
        ]
    };
    let heads = ["NUMBER", "SOURCE", "NOTE", "BINDS", "SINCE (+07)", "BY", "WHY"];
    output::table_or(&heads, &list(page, "/items").iter().map(row).collect::<Vec<_>>(), "there is no number on the list, or none after that one")
}

/// The sums over all pieces.
#[derive(Default)]
struct Sum {
    rows: u64,
    numbers: u64,
    added: u64,
    refused_calls: u64,
    bad: u64,
    bad_rows: Vec<Value>,
    /// The number of this import, once it has put numbers on the list.
    import: Option<u64>,
}

async fn import(cli: &Cli, server: &Server, args: &Import) -> anyhow::Result<ExitCode> {
    let (mut file, total) = open(&args.file)?;
    let mut report = args.bad_rows.as_ref().map(create).transpose()?;
    let (mut sum, mut column, mut read, mut carried) = (Sum::default(), args.column.clone(), 0u64, Vec::new());
    let stop = stop_at_signal();
    loop {
        let (mut piece, mut more) = piece(&mut *file, carried)?;
        let stopped = stop.load(Ordering::Relaxed);
        if stopped {
            // An empty end: the audit trail says how many numbers stand by it.
            (piece, more) = (Bytes::new(), false);
        }
        if piece.is_empty() && !(stopped && sum.import.is_some()) {
            break;
        }
        let pairs = [
            ("column", Some(column.clone())),
            ("why", Some(args.why.clone())),
            ("scope", Some(scope(args.advertising).to_owned())),
            ("workspace", args.workspace.clone()),
            ("import", sum.import.map(|import| import.to_string())),
            ("rows_before", Some(sum.rows.to_string())),
            ("more", Some(more.to_string())),
            ("every_bad", Some(report.is_some().to_string())),
        ];
        let answer = server.post_text(&format!("/dnc/import{}", query(&pairs)), "text/csv", piece.clone()).await;
        let answer = answer.inspect_err(|_| back(&sum, args))?;
        let unread = answer["unread"].as_u64().and_then(|unread| usize::try_from(unread).ok()).unwrap_or(0).min(piece.len());
        carried = piece[piece.len() - unread..].to_vec();
        read += (piece.len() - unread) as u64;
        // The heading stands in the first piece only.
        let columns: Vec<String> = list(&answer, "/columns").iter().map(Value::to_string).collect();
        if !columns.is_empty() {
            column = columns.join(",");
        }
        add(&mut sum, &answer, report.as_mut())?;
        if stopped {
            break;
        }
        progress(&sum, read, total);
    }
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    let answer = json!({
        "rows": sum.rows, "numbers": sum.numbers, "added": sum.added, "refused_calls": sum.refused_calls, "bad": sum.bad, "bad_rows": sum.bad_rows,
        "import": sum.import,
    });
    output::show(cli.json, &answer, |answer| summary(answer, args.bad_rows.as_deref()));
    back(&sum, args);
    if stop.load(Ordering::Relaxed) {
        return Err(Failed::new(FAILED, format!("interrupted: {} rows were read, {} numbers of them are new on the list", sum.rows, sum.added)).into());
    }
    if sum.rows == 0 {
        return Err(Failed::new(FAILED, "the file is empty").into());
    }
    if sum.numbers == 0 {
        return Err(Failed::new(FAILED, "the file holds no number: is it the right column? (--column)").into());
    }
    Ok(ExitCode::SUCCESS)
}

/// Set by the first interrupt: the part under way is finished. The second one ends the command at once.
fn stop_at_signal() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let set = stop.clone();
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if set.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            eprintln!("\nstopping behind this part; interrupt again to break off");
        }
    });
    stop
}

/// How to take back what is on the list by now.
fn back(sum: &Sum, args: &Import) {
    if let Some(import) = sum.import {
        let workspace = args.workspace.as_ref().map_or_else(String::new, |id| format!(" --workspace {id}"));
        eprintln!("to take this import back: callbridge dnc undo {import}{workspace}");
    }
}

fn create(path: &PathBuf) -> Result<BufWriter<File>, Failed> {
    File::create(path).map(BufWriter::new).map_err(|error| Failed::new(FAILED, output::io_words(path, &error)))
}

fn open(path: &Path) -> anyhow::Result<(Box<dyn BufRead>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(BufReader::new(std::io::stdin())), None));
    }
    let file = File::open(path).map_err(|error| Failed::new(FAILED, output::io_words(path, &error)))?;
    let length = file.metadata().ok().map(|m| m.len());
    Ok((Box::new(BufReader::new(file)), length))
}

/// What was not read of the piece before, and the next of the file; whether more may come.
fn piece(file: &mut dyn BufRead, mut piece: Vec<u8>) -> anyhow::Result<(Bytes, bool)> {
    let wanted = PIECE.saturating_sub(piece.len());
    let got = file.take(wanted as u64).read_to_end(&mut piece).context("the file cannot be read")?;
    if got == wanted {
        // Not in the middle of a row of junk: nobody remembers that it was one.
        file.take(PIECE as u64).read_until(b'\n', &mut piece).context("the file cannot be read")?;
    }
    Ok((Bytes::from(piece), got == wanted))
}

fn add(sum: &mut Sum, answer: &Value, report: Option<&mut BufWriter<File>>) -> anyhow::Result<()> {
    let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
    sum.rows += number("rows");
    sum.numbers += number("numbers");
    sum.added += number("added");
    sum.refused_calls += number("refused_calls");
    sum.bad += answer.get("bad").and_then(Value::as_object).into_iter().flat_map(|bad| bad.values()).filter_map(Value::as_u64).sum::<u64>();
    sum.import = answer["import"].as_u64().or(sum.import);
    if let Some(report) = report {
        report.write_all(answer["every_bad"].as_str().unwrap_or_default().as_bytes())?;
        report.flush()?;
    }
    let room = SHOWN_AS_JSON.saturating_sub(sum.bad_rows.len());
    sum.bad_rows.extend(list(answer, "/bad_rows").iter().take(room).cloned());
    Ok(())
}

fn progress(sum: &Sum, sent: u64, total: Option<u64>) {
    let share = total.filter(|total| *total > 0).map_or_else(String::new, |total| format!("{:3} %, ", sent.saturating_mul(100) / total));
    let line = format!("{share}{} rows, {} new numbers, {} rows without one", sum.rows, sum.added, sum.bad);
    if std::io::stderr().is_terminal() { eprint!("\r{line}\x1b[K") } else { eprintln!("{line}") }
}

fn summary(answer: &Value, report: Option<&Path>) -> String {
    let mut out = output::facts(&[
        ("rows", text(answer, "/rows")),
        ("numbers", text(answer, "/numbers")),
        ("new on the list", text(answer, "/added")),
        ("rows without a number", text(answer, "/bad")),
        ("waiting calls refused", text(answer, "/refused_calls")),
    ]);
    let (bad, all) = (list(answer, "/bad_rows"), answer["bad"].as_u64().unwrap_or(0));
    if !bad.is_empty() {
        let row = |bad: &Value| vec![text(bad, "/row"), text(bad, "/text"), text(bad, "/reason/sentence/en")];
        out.push('\n');
        out.push_str(&table(&["ROW", "TEXT", "WHY"], &bad.iter().take(SHOWN).map(row).collect::<Vec<_>>()));
        let others = all.saturating_sub(SHOWN as u64);
        out.push_str(&match report {
            Some(path) => format!("all {all} rows without a number are in {}\n", path.display()),
            None if others > 0 => format!("… and {others} others: --bad-rows FILE writes them all\n"),
            None => String::new(),
        });
    }
    out
}
