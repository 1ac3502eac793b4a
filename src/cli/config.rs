//! `callbridge config`: explain, example.

use std::process::ExitCode;

use serde_json::Value;

use super::args::Cli;
use super::output::{self, list, table_or, text};
use crate::config::explain;

#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Each value in force and where it came from; secrets are not shown.
    Explain {
        /// Only keys that begin with this, for example `dialer`.
        #[arg(default_value = "")]
        key: String,
    },
    /// Settings to begin with: `callbridge config example > callbridge.toml`, then put in your own lines and connections.
    Example,
}

/// A set-up to copy from.
const EXAMPLE: &str = include_str!("../../config/example.production.toml");

pub fn run(cli: &Cli, args: &Args) -> anyhow::Result<ExitCode> {
    let Args::Explain { key } = args else {
        output::data(EXAMPLE);
        return Ok(ExitCode::SUCCESS);
    };
    let rows: Vec<_> = explain(&cli.sources())?.into_iter().filter(|row| row.key.starts_with(key)).collect();
    output::show(cli.json, &serde_json::to_value(&rows)?, |rows| {
        let cells = |row: &Value| vec![text(row, "/key"), text(row, "/value"), text(row, "/from")];
        let empty = format!("no key begins with `{key}`; config/default.toml explains all of them");
        table_or(&["KEY", "VALUE", "FROM"], &list(rows, "").iter().map(cells).collect::<Vec<_>>(), &empty)
    });
    Ok(ExitCode::SUCCESS)
}
