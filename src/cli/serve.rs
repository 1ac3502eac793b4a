//! `callbridge serve`: the server, until it is told to stop.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::args::Cli;
use super::bridge::{Bridge, Role};
use crate::config::{self, Settings};
use crate::pipeline::App;
use crate::store::Store;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What runs in this process.
    #[arg(long, value_enum, default_value = "all")]
    role: Role,
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(cli: &Cli, args: &Args) -> anyhow::Result<ExitCode> {
    let settings = config::load(&cli.sources())?;
    crate::telemetry::init(&settings.log)?;
    for warning in &settings.warnings {
        tracing::warn!(warning = %warning, "a setting is doubtful");
    }
    let listener = TcpListener::bind(settings.server.listen)
        .with_context(|| format!("cannot listen on {}: stop what listens there, or choose another address with server.listen", settings.server.listen))?;
    let bridge = Bridge::start(settings, Some(listener), args.role, true)?;
    tracing::info!(url = %bridge.url(), connections = bridge.settings.connections.len(), lines = bridge.settings.lines.len(), "callbridge is ready");
    if args.role == Role::Web {
        tracing::warn!("this process takes webhooks and reports but places no call: calls are placed only where a worker runs");
    }
    told_to_stop().await?;
    tracing::info!("callbridge stops: nothing new is taken, what is under way is finished");
    bridge.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Waits for SIGTERM or SIGINT.
pub async fn told_to_stop() -> std::io::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

/// Writes a verified snapshot every so often and keeps the newest few.
pub async fn snapshots(app: Arc<App>, settings: Arc<Settings>, mut stop: watch::Receiver<bool>) {
    let snapshot = &settings.store.snapshot;
    if snapshot.every.is_zero() {
        return;
    }
    let folder = crate::store::sled::snapshot_folder(&settings.store.path);
    // Counted from the newest one, so that restarts do not put it off for ever.
    let newest = std::fs::read_dir(&folder).ok().into_iter().flatten().flatten().filter_map(|e| e.metadata().ok()?.modified().ok()?.elapsed().ok()).min();
    let mut wait = newest.map_or(std::time::Duration::from_secs(60), |age| snapshot.every.saturating_sub(age).max(std::time::Duration::from_secs(60)));
    while !*stop.borrow() {
        let pause = std::mem::replace(&mut wait, snapshot.every);
        tokio::select! {
            () = tokio::time::sleep(pause.min(snapshot.every)) => {}
            _ = stop.changed() => return,
        }
        match one_snapshot(&app, &settings.store.path, &folder, snapshot.keep).await {
            Ok(path) => tracing::info!(path = %path.display(), "a snapshot was written and verified"),
            Err(error) => tracing::error!(error = format!("{error:#}"), "a snapshot could not be written"),
        }
    }
}

async fn one_snapshot(app: &App, store: &std::path::Path, folder: &std::path::Path, keep: u32) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let name = app.clock.now().timestamp().strftime("%Y%m%d-%H%M%S-%3f").to_string();
    let path = folder.join(format!("{name}.callbridge"));
    app.store.snapshot(&path).await?;
    let all = crate::store::sled::scheduled_snapshots(store);
    let over = all.len().saturating_sub(keep.max(1) as usize);
    for old in all.iter().take(over) {
        std::fs::remove_file(old)?;
    }
    Ok(path)
}
