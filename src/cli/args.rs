//! Every command and its options.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::{alert, backup, brakes, call, check, config, connection, demo, dnc, event, line, output, plugin, serve, simulate};
use crate::config::Sources;

/// Connects any CRM, without code, to the phones of Auto Call (goitudong.vn).
#[derive(Debug, Parser)]
#[command(name = "callbridge", version, propagate_version = true, after_help = output::EXIT_CODES)]
pub struct Cli {
    /// A settings file; may be given several times, later ones win.
    #[arg(long, global = true, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// A folder with one settings file per client.
    #[arg(long, global = true, value_name = "DIR")]
    config_dir: Vec<PathBuf>,
    /// Print data as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bridge, simulated phone and a small demo CRM in one process; prints the address to open.
    Demo(demo::Args),
    /// The server: web and workers.
    Serve(serve::Args),
    /// A stand-in for the callone API and its phone.
    Simulate(simulate::Args),
    /// What callbridge knows about CRM products.
    #[command(subcommand)]
    Plugin(plugin::Args),
    /// The CRM accounts that may ask for calls.
    #[command(subcommand)]
    Connection(connection::Args),
    /// The phones.
    #[command(subcommand)]
    Line(line::Args),
    /// Calls: ask for one, look at them, cancel, redial.
    #[command(subcommand)]
    Call(call::Args),
    /// Numbers that are never called.
    #[command(subcommand)]
    Dnc(dnc::Args),
    /// Webhooks that came in.
    #[command(subcommand)]
    Event(event::Args),
    /// Is everything in place? Settings, plugins, store, disk, clock, dialer, public address.
    Check,
    /// The settings.
    #[command(subcommand)]
    Config(config::Args),
    /// What is wrong now, and was.
    #[command(subcommand)]
    Alert(alert::Args),
    /// Stop all calling.
    Pause(brakes::Pause),
    /// Let calling go on.
    Resume(brakes::Resume),
    /// Write a copy of the store that can be restored, also while the server runs.
    Backup(backup::Backup),
    /// Make a store in a new directory from a backup.
    Restore(backup::Restore),
}

impl Cli {
    pub fn sources(&self) -> Sources {
        Sources::of_process(self.config.clone(), self.config_dir.clone())
    }
}

/// Runs the command of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    crate::config::arm_failpoint();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("callbridge: another TLS provider is installed already");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("worker").build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("callbridge: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match &cli.command {
            Command::Demo(args) => demo::run(args).await,
            Command::Serve(args) => serve::run(&cli, args).await,
            Command::Simulate(args) => simulate::run(args).await,
            Command::Plugin(args) => plugin::run(&cli, args).await,
            Command::Connection(args) => connection::run(&cli, args).await,
            Command::Line(args) => line::run(&cli, args).await,
            Command::Call(args) => call::run(&cli, args).await,
            Command::Dnc(args) => dnc::run(&cli, args).await,
            Command::Event(args) => event::run(&cli, args).await,
            Command::Alert(args) => alert::run(&cli, args).await,
            Command::Check => check::run(&cli).await,
            Command::Config(args) => config::run(&cli, args),
            Command::Pause(args) => brakes::pause(&cli, args).await,
            Command::Resume(args) => brakes::resume(&cli, args).await,
            Command::Backup(args) => backup::backup(&cli, args).await,
            Command::Restore(args) => backup::restore(&cli, args),
        }
    });
    output::exit(result)
}
