//! `callbridge dnc remove` and `dnc undo`: off the do-not-call list again, counted before it is done.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;
use serde_json::Value;

use super::args::Cli;
use super::client::{Server, encoded, query};
use super::output::{self, moment, text};

#[derive(Debug, clap::Args)]
pub struct Remove {
    /// As people write them; `-` reads a file of them from stdin.
    #[arg(required_unless_present = "file")]
    phones: Vec<String>,
    /// A CSV or text file of numbers. Without --yes they are only counted.
    #[arg(long, conflicts_with = "phones")]
    file: Option<PathBuf>,
    /// The column of the numbers in the file, by its heading or its place from 1.
    #[arg(long)]
    column: Option<String>,
    #[arg(long)]
    workspace: Option<String>,
    /// Do it for the numbers of a file.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, clap::Args)]
pub struct Undo {
    /// The number that `dnc import` told, and `dnc list` shows as NOTE.
    import: u32,
    #[arg(long)]
    workspace: Option<String>,
    /// Do it.
    #[arg(long)]
    yes: bool,
}

pub async fn remove(cli: &Cli, server: &Server, args: &Remove) -> anyhow::Result<()> {
    let file = args.file.as_deref().or((args.phones == ["-"]).then_some(Path::new("-")));
    let Some(file) = file else {
        for phone in &args.phones {
            server.delete(&format!("/dnc/{}{}", encoded(phone), query(&[("workspace", args.workspace.clone())]))).await?;
            eprintln!("{phone} is off the list");
        }
        return Ok(());
    };
    let mut body = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut body).context("stdin cannot be read")?;
    } else {
        body = std::fs::read(file).with_context(|| file.display().to_string())?;
    }
    let body = Bytes::from(body);
    let path = |confirm: Option<u64>| {
        let pairs = [("column", args.column.clone()), ("workspace", args.workspace.clone()), ("confirm", confirm.map(|n| n.to_string()))];
        format!("/dnc/remove{}", query(&pairs))
    };
    let mut answer = server.post_text(&path(None), "text/csv", body.clone()).await?;
    let matching = answer["matching"].as_u64().unwrap_or(0);
    if args.yes && matching > 0 {
        answer = server.post_text(&path(Some(matching)), "text/csv", body).await?;
    } else if matching > 0 {
        eprintln!("nothing was changed; to take them off, add --yes");
    }
    if answer["bad"].as_u64().unwrap_or(0) > 0 {
        eprintln!("{} rows of the file hold no number", text(&answer, "/bad"));
    }
    show(cli, &answer, "numbers of the file are on the list");
    Ok(())
}

pub async fn undo(cli: &Cli, server: &Server, args: &Undo) -> anyhow::Result<()> {
    let path = |confirm: Option<u64>| {
        let pairs = [("workspace", args.workspace.clone()), ("confirm", confirm.map(|n| n.to_string()))];
        format!("/dnc/imports/{}{}", args.import, query(&pairs))
    };
    let import = server.get(&path(None)).await?;
    eprintln!("import {} by {} on {} {}", args.import, text(&import, "/by"), moment(&import, "/at"), text(&import, "/why"));
    let matching = import["numbers"].as_u64().unwrap_or(0);
    let answer = if args.yes {
        server.delete(&path(Some(matching))).await?
    } else {
        eprintln!("nothing was changed; to take it back, add --yes");
        serde_json::json!({"matching": matching, "bad": 0, "done": null})
    };
    show(cli, &answer, "numbers stand on the list by it");
    if answer["done"].is_u64() {
        eprintln!("calls that it refused stay refused");
    }
    Ok(())
}

fn show(cli: &Cli, answer: &Value, matching: &str) {
    output::show(cli.json, answer, |answer| match answer["done"].as_u64() {
        Some(done) => format!("{done} numbers are off the list"),
        None => format!("{} {matching}", text(answer, "/matching")),
    });
}
