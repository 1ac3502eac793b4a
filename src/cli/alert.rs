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

/// Who knows of it, and who could not be reached.
fn told(alert: &Value) -> String {
    let name = |(name, told): (&String, &Value)| if told["failed"].is_null() { name.clone() } else { format!("not {name}: not delivered") };
    let names: Vec<String> = alert["told"].as_object().into_iter().flatten().map(name).collect();
    if names.is_empty() { "nobody".into() } else { names.join(", ") }
}

fn rows(page: &Value) -> String {
    let row = |alert: &Value| {
        let why = [text(alert, "/reason/sentence/en"), text(alert, "/detail"), text(alert, "/reason/advice/en")];
        vec![
            text(alert, "/kind"),
            text(alert, "/name"),
            moment(alert, "/raised_at"),
            moment(alert, "/cleared_at"),
            told(alert),
            why.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · "),
        ]
    };
    let rows: Vec<Vec<String>> = list(page, "/items").iter().map(row).collect();
    if rows.is_empty() {
        return "nothing is wrong".into();
    }
    table(&["KIND", "OF", "SINCE (+07)", "OVER", "TOLD", "WHY"], &rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_alert_says_who_knows_of_it() {
        let told = |who: Value| told(&json!({"told": who}));
        assert_eq!(told(json!({})), "nobody");
        assert_eq!(told(json!({"boss": {"failed": null}, "ops": {"failed": "status 500"}})), "boss, not ops: not delivered");
    }
}
