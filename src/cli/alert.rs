//! `callbridge alert`: what is wrong now.

use std::process::ExitCode;

use serde_json::Value;

use super::args::Cli;
use super::client;
use super::output::{self, list, moment, table, text};

#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Troubles that last: paused lines, silent phones, CRMs that refuse us, a backlog.
    List {
        /// Also those that are over.
        #[arg(long)]
        all: bool,
    },
}

pub async fn run(cli: &Cli, args: &Args) -> anyhow::Result<ExitCode> {
    client::with(cli, async |server| {
        let Args::List { all } = args;
        let page = server.get(if *all { "/alerts?all=true" } else { "/alerts" }).await?;
        output::show(cli.json, &page, rows);
        Ok(ExitCode::SUCCESS)
    })
    .await
}

fn rows(page: &Value) -> String {
    let row = |alert: &Value| {
        let told: Vec<&str> =
            alert["told"].as_object().into_iter().flatten().filter(|(_, told)| told["failed"].is_null()).map(|(name, _)| name.as_str()).collect();
        let why = [text(alert, "/reason/sentence/en"), text(alert, "/detail"), text(alert, "/reason/advice/en")];
        vec![
            text(alert, "/kind"),
            text(alert, "/name"),
            moment(alert, "/raised_at"),
            moment(alert, "/cleared_at"),
            told.join(", "),
            why.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · "),
        ]
    };
    let rows: Vec<Vec<String>> = list(page, "/items").iter().map(row).collect();
    if rows.is_empty() {
        return "nothing is wrong".into();
    }
    table(&["KIND", "OF", "SINCE (+07)", "OVER", "TOLD", "WHY"], &rows)
}
