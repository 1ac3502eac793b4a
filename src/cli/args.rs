//! Every command and its options.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::{demo, output, serve, simulate};
use crate::config::Sources;

/// Connects any CRM, without code, to the phones of Auto Call (goitudong.vn).
#[derive(Debug, Parser)]
#[command(name = "callbridge", version, propagate_version = true)]
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
        }
    });
    output::exit(result)
}
