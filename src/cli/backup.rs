//! `callbridge backup` and `restore`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use serde_json::json;

use super::args::Cli;
use super::client;
use super::output::{self, FAILED, Failed, NOT_FOUND, NOT_POSSIBLE, text};
use crate::clock::Clock;
use crate::config;
use crate::secrets::Keyring;
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
    /// The key of the store that was backed up: its `secret.key`, or a file with the text of `secrets.key`.
    /// Absent: `secrets.key` of the settings, else `secret.key` in DIR, else that in `store.path`.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
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

/// The key of the backup, put where the restored store looks for it.
fn keys(cli: &Cli, args: &Restore) -> anyhow::Result<Keyring> {
    let settings = config::load(&cli.sources())?;
    if args.key.is_none() && settings.secrets.key.is_some() {
        return Ok(Keyring::of_settings(&settings.secrets, &args.to)?);
    }
    let own = args.to.join("secret.key");
    let source = args.key.clone().or_else(|| [&own, &settings.store.path.join("secret.key")].into_iter().find(|file| file.exists()).cloned());
    let Some(source) = source else {
        return Err(Failed::new(NOT_FOUND, "the key of the backup is missing: give the secret.key of the store that was backed up with --key").into());
    };
    let keys = Keyring::of_key_file(&source).with_context(|| format!("the key {}", source.display()))?;
    if source != own && !own.exists() {
        std::fs::create_dir_all(&args.to).with_context(|| args.to.display().to_string())?;
        std::fs::copy(&source, &own).with_context(|| own.display().to_string())?;
    }
    Ok(keys)
}

pub fn restore(cli: &Cli, args: &Restore) -> anyhow::Result<ExitCode> {
    std::fs::File::open(&args.backup).map_err(|error| Failed::new(NOT_FOUND, output::io_words(&args.backup, &error)))?;
    eprintln!("reading {} …", args.backup.display());
    let keys = Arc::new(keys(cli, args)?);
    let rows = restore_backup(&args.backup, &args.to, keys, Clock::System.now()).map_err(|error| {
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
