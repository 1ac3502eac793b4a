//! `callbridge connection`: list, show, connect, capture, subscribe, unsubscribe.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::Cli;
use super::client::{self, encoded};
use super::output::{self, list, table, text};

#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Every connection with its webhook addresses. The addresses hold keys: do not show them around.
    List,
    /// One connection: its webhook addresses, what it has registered at the CRM, which of its keys end.
    Show { id: String },
    /// Register its webhooks at the CRM again, and look at once whether they are there.
    Subscribe { id: String },
    /// Delete its webhooks at the CRM, until you subscribe again.
    Unsubscribe { id: String },
    /// Connect at the CRM (OAuth): prints the address to open in a browser within ten minutes.
    Connect { id: String },
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
            Args::Connect { id } => {
                let answer = server.post(&format!("/connections/{}/connect", encoded(id)), &json!({})).await?;
                output::show(cli.json, &answer, |answer| text(answer, "/url"));
                eprintln!("open this address in a browser within ten minutes, and agree there");
                return Ok(ExitCode::SUCCESS);
            }
            Args::List => server.get("/connections").await?,
            Args::Show { id } => server.get(&format!("/connections/{}", encoded(id))).await?,
            Args::Subscribe { id } => server.post(&format!("/connections/{}/subscribe", encoded(id)), &json!({})).await?,
            Args::Unsubscribe { id } => server.post(&format!("/connections/{}/unsubscribe", encoded(id)), &json!({})).await?,
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
            let told: Vec<String> = open.into_iter().chain(list(connection, "/problems").iter().map(|p| text(p, ""))).chain(at_crm(connection)).collect();
            cells.into_iter().chain([url, told.join("; ")]).collect()
        };
        rows.push(row(hooks.first().map(|hook| text(hook, "/url")).unwrap_or_default()));
        rows.extend(hooks.iter().skip(1).map(|hook| vec![String::new(), String::new(), String::new(), String::new(), text(hook, "/url")]));
    }
    table(&["ID", "PLUGIN", "MODE", "LINES", "WEBHOOK ADDRESS", "STATE"], &rows)
}

/// What is registered at the CRM, and which keys end soon.
fn at_crm(connection: &Value) -> Vec<String> {
    let subscription = |one: &Value| {
        let [name, state, until, problem] = ["/name", "/state", "/until", "/problem"].map(|path| text(one, path));
        let until = if until.is_empty() { until } else { format!(" until {until}") };
        let problem = if problem.is_empty() { problem } else { format!(" ({problem})") };
        format!("registers {name}: {state}{until}{problem}")
    };
    let end = |one: &Value| match text(one, "/state").as_str() {
        "soon" => Some(format!("{} ends on {}", text(one, "/parameter"), text(one, "/at"))),
        "ended" => Some(format!("{} ended on {}", text(one, "/parameter"), text(one, "/at"))),
        _ => None,
    };
    let subscriptions = list(connection, "/subscriptions").iter().map(subscription);
    subscriptions.into_iter().chain(list(connection, "/ends").iter().filter_map(end)).collect()
}
