//! `callbridge backup` and `restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::json;

use super::args::Cli;
use super::client;
use super::output::{self, FAILED, Failed, NOT_FOUND, NOT_POSSIBLE, text};
use crate::clock::Clock;
use crate::store::{BackupError, restore_backup};

#[derive(Debug, clap::Args)]
pub struct Backup {
    /// The file to write; it must not exist.
    path: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct Restore {
    /// A file that `callbridge backup` or the schedule wrote.
    backup: PathBuf,
    /// A new or empty directory; point `store.path` at it afterwards.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

pub async fn backup(cli: &Cli, args: &Backup) -> anyhow::Result<ExitCode> {
    let path = std::path::absolute(&args.path).context("the path cannot be read")?;
    client::with(cli, async |server| {
        eprintln!("writing {} …", path.display());
        let answer = server.post("/backup", &json!({"path": path})).await?;
        eprintln!("written and read back: {} records", text(&answer, "/rows"));
        output::show(cli.json, &answer, |answer| text(answer, "/path"));
        Ok(ExitCode::SUCCESS)
    })
    .await
}

pub fn restore(cli: &Cli, args: &Restore) -> anyhow::Result<ExitCode> {
    eprintln!("reading {} …", args.backup.display());
    let rows = restore_backup(&args.backup, &args.to, Clock::System.now()).map_err(|error| {
        let code = match &error {
            BackupError::Io(_, io) if io.kind() == std::io::ErrorKind::NotFound => NOT_FOUND,
            BackupError::NotEmpty(_) => NOT_POSSIBLE,
            _ => FAILED,
        };
        Failed::new(code, error.to_string())
    })?;
    let to = std::path::absolute(&args.to).unwrap_or_else(|_| args.to.clone());
    output::show(cli.json, &json!({"path": to, "rows": rows}), |answer| text(answer, "/path"));
    eprintln!("restored {rows} records; set store.path to this directory and start the server.");
    eprintln!("All calling is stopped in it: calls that were queued may have been dialled since. Look at them, then: callbridge resume --all");
    Ok(ExitCode::SUCCESS)
}
