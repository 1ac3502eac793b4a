//! `callbridge line`: list, show, pause, resume; `test` has its own file.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::Cli;
use super::client::{self, encoded};
use super::output::{self, facts, list, moment, table, text};

#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Every line: how it is doing, what waits for it, and why.
    List,
    /// One line: what it does now, what waits for it and why, how much of its month is used, when its phone was heard of.
    Show { id: String },
    /// Place nothing more over this line.
    Pause {
        id: String,
        /// Why; it is shown beside the line.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Place again, whatever paused it or made it silent.
    Resume { id: String },
    /// Is the line in order? With --phone it calls that number over this line and tells what comes back.
    Test {
        id: String,
        /// Your own number: the phone really rings.
        #[arg(long)]
        phone: Option<String>,
        /// How long to wait for the phone's report, seconds.
        #[arg(long, default_value_t = 180)]
        wait: u64,
    },
}

pub async fn run(cli: &Cli, args: &Args) -> anyhow::Result<ExitCode> {
    if let Args::Test { id, phone, wait } = args {
        return super::line_test::run(cli, id, phone.as_deref(), std::time::Duration::from_secs(*wait)).await;
    }
    client::with(cli, async |server| {
        let answer = match args {
            Args::List | Args::Test { .. } => server.get("/lines").await?,
            Args::Show { id } => server.get(&format!("/lines/{}", encoded(id))).await?,
            Args::Pause { id, reason } => server.post(&format!("/lines/{}/pause", encoded(id)), &json!({"reason": reason})).await?,
            Args::Resume { id } => server.post(&format!("/lines/{}/resume", encoded(id)), &json!({})).await?,
        };
        output::show(cli.json, &answer, |answer| if matches!(args, Args::Show { .. }) { detail(answer) } else { rows(answer) });
        Ok(ExitCode::SUCCESS)
    })
    .await
}

/// Of a page, or of one line.
fn rows(answer: &Value) -> String {
    let lines = answer.get("items").and_then(Value::as_array).map_or_else(|| std::slice::from_ref(answer), Vec::as_slice);
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let in_flight = list(line, "/in_flight").len().to_string();
            vec![
                text(line, "/id"),
                text(line, "/name"),
                text(line, "/state"),
                waiting(line),
                in_flight,
                text(line, "/rate"),
                used(line),
                moment(line, "/last_report"),
                why(line),
            ]
        })
        .collect();
    table(&["ID", "NAME", "STATE", "WAITING", "IN CALL", "RATE", "THIS MONTH", "LAST REPORT (+07)", "WHY"], &rows)
}

/// `12/3000`, or `12` without a quota.
fn used(line: &Value) -> String {
    [text(line, "/month_used"), text(line, "/monthly_quota")].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

/// Of one line.
fn detail(line: &Value) -> String {
    let calls: Vec<String> = list(line, "/in_flight").iter().map(|call| text(call, "")).collect();
    let in_call = if calls.is_empty() { "nothing".to_owned() } else { calls.join(", ") };
    facts(&[
        ("line", text(line, "/id")),
        ("name", Some(text(line, "/name")).filter(|name| *name != text(line, "/id")).unwrap_or_default()),
        ("workspace", Some(text(line, "/workspace")).filter(|own| own != "main").unwrap_or_default()),
        ("state", text(line, "/state")),
        ("why", why(line)),
        ("waiting", waiting(line)),
        ("in call", format!("{in_call} (at most {} at once)", text(line, "/max_in_flight"))),
        ("rate", text(line, "/rate")),
        ("this month", format!("{} ({})", used(line), text(line, "/month"))),
        ("last placed", moment(line, "/last_placing")),
        ("last report", moment(line, "/last_report")),
        ("silent since", moment(line, "/silent_since")),
    ])
}

/// All that wait, and how many of them for a time of their own.
fn waiting(line: &Value) -> String {
    let all = text(line, "/waiting");
    match line["waiting_later"].as_u64() {
        Some(later) if later > 0 => format!("{all} ({later} later)"),
        _ => all,
    }
}

fn why(line: &Value) -> String {
    let mut parts = Vec::new();
    if !line["pause"].is_null() {
        parts.push(text(line, "/pause/reason/sentence/en"));
        parts.push(text(line, "/pause/detail"));
        parts.push(format!("by {} {}", text(line, "/pause/by"), moment(line, "/pause/since")).trim().to_owned());
        parts.push(text(line, "/pause/reason/advice/en"));
    } else {
        parts.push(output::waits_for(&line["waits"], &moment(line, "/waits/until")));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(" · ")
}
