//! `callbridge event`: list, show, replay, accept.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::Cli;
use super::client::{self, encoded, query};
use super::output::{self, facts, list, moment, table, table_or, text};

#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Webhooks that were accepted, newest first.
    List {
        #[arg(long)]
        connection: Option<String>,
        /// 1 to 200.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Older than this event.
        #[arg(long, value_name = "ID")]
        before: Option<String>,
        /// Those that were refused instead.
        #[arg(long, conflicts_with_all = ["before", "connection"])]
        rejected: bool,
    },
    /// One webhook with its body and what became of each record in it.
    Show {
        /// evt_…
        id: String,
    },
    /// Take up the records again that gave no call.
    Replay {
        /// evt_…
        id: String,
    },
    /// Let a refused webhook in whose signature is right and only its time too old: `event list --rejected` shows its id.
    Accept {
        /// evt_…
        id: String,
    },
}

pub async fn run(cli: &Cli, args: &Args) -> anyhow::Result<ExitCode> {
    client::with(cli, async |server| {
        match args {
            Args::List { limit, rejected: true, .. } => {
                let page = server.get(&format!("/rejected{}", query(&[("limit", Some(limit.to_string()))]))).await?;
                output::show(cli.json, &page, refused);
            }
            Args::List { connection, limit, before, .. } => {
                let pairs = [("connection", connection.clone()), ("limit", Some(limit.to_string())), ("before", before.clone())];
                let page = server.get(&format!("/events{}", query(&pairs))).await?;
                output::show(cli.json, &page, rows);
                if !cli.json && page["next"].is_string() {
                    eprintln!("older ones: --before {}", text(&page, "/next"));
                }
            }
            Args::Show { id } => output::show(cli.json, &server.get(&format!("/events/{}", encoded(id))).await?, detail),
            Args::Replay { id } => {
                let event = server.post(&format!("/events/{}/replay", encoded(id)), &json!({})).await?;
                eprintln!("its records are taken up again");
                output::show(cli.json, &event, detail);
            }
            Args::Accept { id } => {
                let event = server.post(&format!("/rejected/{}/accept", encoded(id)), &json!({})).await?;
                eprintln!("it is taken like any other webhook now");
                output::show(cli.json, &event, detail);
            }
        }
        Ok(ExitCode::SUCCESS)
    })
    .await
}

fn outcomes(event: &Value) -> String {
    // Calls that never went, or are still under way, were asked for all the same.
    let calls: Vec<String> =
        event["calls"].as_object().into_iter().flatten().filter(|(state, _)| *state != "ended").map(|(state, n)| format!("{n} {state}")).collect();
    let of_calls = |name: &str| if name == "called" && !calls.is_empty() { format!(" ({})", calls.join(", ")) } else { String::new() };
    let all: Vec<String> = event["outcomes"].as_object().into_iter().flatten().map(|(name, count)| format!("{count} {name}{}", of_calls(name))).collect();
    if all.is_empty() { "not mapped yet".into() } else { all.join(", ") }
}

fn rows(page: &Value) -> String {
    let row = |event: &Value| {
        vec![
            text(event, "/id"),
            moment(event, "/received_at"),
            text(event, "/connection"),
            text(event, "/variant"),
            text(event, "/body_bytes"),
            outcomes(event),
        ]
    };
    let heads = ["ID", "RECEIVED (+07)", "CONNECTION", "VARIANT", "BYTES", "CAME TO"];
    let empty = "no webhook was accepted yet; `callbridge event list --rejected` shows those that were refused, `callbridge connection list` the addresses";
    table_or(&heads, &list(page, "/items").iter().map(row).collect::<Vec<_>>(), empty)
}

fn refused(page: &Value) -> String {
    let row = |rejected: &Value| {
        let why = [text(rejected, "/reason/sentence/en"), text(rejected, "/detail")].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
        let id = match rejected["state"].as_str() {
            Some("held") => text(rejected, "/id"),
            Some("accepted") => "accepted".to_owned(),
            _ => String::new(),
        };
        vec![moment(rejected, "/at"), text(rejected, "/connection"), text(rejected, "/reason/code"), text(rejected, "/body_bytes"), id, why]
    };
    let heads = ["RECEIVED (+07)", "CONNECTION", "CODE", "BYTES", "ACCEPT WITH", "WHY"];
    table_or(&heads, &list(page, "/items").iter().map(row).collect::<Vec<_>>(), "no webhook was refused")
}

fn detail(event: &Value) -> String {
    let mut out = facts(&[
        ("event", text(event, "/id")),
        ("received", moment(event, "/received_at")),
        ("connection", text(event, "/connection")),
        ("variant", text(event, "/variant")),
        ("hook", text(event, "/hook")),
        ("request", [text(event, "/method"), text(event, "/tail"), text(event, "/query")].join(" ").trim().to_owned()),
        ("replays", Some(text(event, "/replays")).filter(|n| n != "0").unwrap_or_default()),
        ("came to", outcomes(event)),
    ]);
    for item in list(event, "/items") {
        let why = [text(item, "/call"), text(item, "/ignored"), text(item, "/reason/sentence/en"), text(item, "/detail")];
        let mut why: Vec<String> = why.into_iter().filter(|part| !part.is_empty()).collect();
        // A detail that only repeats the sentence says nothing more.
        why.dedup();
        out.push_str(&format!("  item {}: {} · {}\n", text(item, "/index"), text(item, "/outcome"), why.join(" · ")));
    }
    out.push('\n');
    for header in list(event, "/headers") {
        out.push_str(&format!("{}: {}\n", text(header, "/0"), text(header, "/1")));
    }
    out.push('\n');
    out.push_str(&if event["body"].is_string() { text(event, "/body") } else { format!("(base64) {}", text(event, "/body_base64")) });
    out
}

/// Tries of outbound requests.
pub fn attempts(attempts: &[Value]) -> String {
    let row = |attempt: &Value| {
        let what = [text(attempt, "/leg"), text(attempt, "/step")].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        vec![
            moment(attempt, "/at"),
            what,
            text(attempt, "/number"),
            format!("{} ms", text(attempt, "/duration_ms")),
            text(attempt, "/status"),
            text(attempt, "/class"),
            moment(attempt, "/next_at"),
            text(attempt, "/detail"),
        ]
    };
    table(&["AT (+07)", "REQUEST", "TRY", "TOOK", "STATUS", "CLASS", "NEXT (+07)", "DETAIL"], &attempts.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_what_became_of_its_calls() {
        let event = json!({"outcomes": {"called": 3, "ignored.filter": 1}, "calls": {"ended": 1, "refused": 2}});
        assert_eq!(outcomes(&event), "3 called (2 refused), 1 ignored.filter");
        assert_eq!(outcomes(&json!({"outcomes": {"called": 1}, "calls": {"ended": 1}})), "1 called");
        assert_eq!(outcomes(&json!({"outcomes": {}, "calls": {}})), "not mapped yet");
    }
}
