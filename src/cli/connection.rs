//! `callbridge connection`: list, capture.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::Cli;
use super::client::{self, encoded};
use super::output::{self, list, table, text};

#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Every connection with its webhook addresses. The addresses hold keys: do not show them around.
    List,
    /// Open the window in which a handshake of the CRM may hand over its secrets. Then connect in the CRM; the first one closes it.
    Capture {
        id: String,
        /// How long it stays open, 1 to 60.
        #[arg(long, default_value_t = 10)]
        minutes: u32,
    },
}

pub async fn run(cli: &Cli, args: &Args) -> anyhow::Result<ExitCode> {
    client::with(cli, async |server| {
        let answer = match args {
            Args::List => server.get("/connections").await?,
            Args::Capture { id, minutes } => server.post(&format!("/connections/{}/capture", encoded(id)), &json!({"minutes": minutes})).await?,
        };
        output::show(cli.json, &answer, rows);
        Ok(ExitCode::SUCCESS)
    })
    .await
}

fn rows(page: &Value) -> String {
    let mut rows = Vec::new();
    // Of a page, or of one connection.
    let connections = page.get("items").and_then(Value::as_array).map_or_else(|| std::slice::from_ref(page), Vec::as_slice);
    for connection in connections {
        let hooks = list(connection, "/hooks");
        let row = |url: String| {
            let cells = ["/id", "/plugin", "/mode", "/lines"].map(|name| text(connection, name));
            let open = text(connection, "/capture_until");
            let open = (!open.is_empty()).then(|| format!("secrets may be handed over until {open}"));
            let told: Vec<String> = open.into_iter().chain(list(connection, "/problems").iter().map(|p| text(p, ""))).collect();
            cells.into_iter().chain([url, told.join("; ")]).collect()
        };
        rows.push(row(hooks.first().map(|hook| text(hook, "/url")).unwrap_or_default()));
        rows.extend(hooks.iter().skip(1).map(|hook| vec![String::new(), String::new(), String::new(), String::new(), text(hook, "/url")]));
    }
    table(&["ID", "PLUGIN", "MODE", "LINES", "WEBHOOK ADDRESS", "PROBLEMS"], &rows)
}
