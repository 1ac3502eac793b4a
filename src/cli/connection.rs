//! `callbridge connection`: list.

use std::process::ExitCode;

use serde_json::Value;

use super::args::Cli;
use super::client;
use super::output::{self, list, table, text};

#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Every connection with its webhook addresses. The addresses hold keys: do not show them around.
    List,
}

pub async fn run(cli: &Cli, args: &Args) -> anyhow::Result<ExitCode> {
    let Args::List = args;
    client::with(cli, async |server| {
        output::show(cli.json, &server.get("/connections").await?, rows);
        Ok(ExitCode::SUCCESS)
    })
    .await
}

fn rows(page: &Value) -> String {
    let mut rows = Vec::new();
    for connection in list(page, "/items") {
        let hooks = list(connection, "/hooks");
        let row = |url: String| {
            let cells = ["/id", "/plugin", "/mode", "/lines"].map(|name| text(connection, name));
            cells.into_iter().chain([url, list(connection, "/problems").iter().map(|p| text(p, "")).collect::<Vec<_>>().join("; ")]).collect()
        };
        rows.push(row(hooks.first().map(|hook| text(hook, "/url")).unwrap_or_default()));
        rows.extend(hooks.iter().skip(1).map(|hook| vec![String::new(), String::new(), String::new(), String::new(), text(hook, "/url")]));
    }
    table(&["ID", "PLUGIN", "MODE", "LINES", "WEBHOOK ADDRESS", "PROBLEMS"], &rows)
}
