//! `callbridge call`: place, preview, list, show, cancel, write-back, redial.

use std::collections::HashMap;
use std::io::Read;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::args::Cli;
use super::call_view::{detail, rows};
use super::client::{self, Server, encoded, query};
use super::output::{self, Failed, USAGE, list, soon, table, text};

#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Ask for a call.
    Place(Place),
    /// What would happen to these numbers now, and why; nothing is placed.
    Preview(Preview),
    /// Calls, newest first.
    List(List),
    /// One call: its state, its attempts, why it waits.
    Show {
        /// call_…
        id: String,
    },
    /// Let calls go that the brake holds. Without --yes=N they are only counted.
    Release(Many),
    /// Cancel a queued call, or many: by what they are and what they wait for. Without --yes=N many are only counted.
    Cancel {
        /// call_…
        #[arg(conflicts_with_all = ["connection", "hold", "count", "workspace", "yes"])]
        id: Option<String>,
        #[command(flatten)]
        many: Many,
    },
    /// Write a result into the CRM again that could not be written.
    WriteBack {
        /// call_…
        id: String,
    },
    /// Call the same customer again, as a new call.
    Redial {
        /// call_…
        id: String,
        /// Why; it is kept with the new call.
        #[arg(long)]
        reason: String,
        /// Nobody waits: the call may queue for 24 hours instead of 2 minutes.
        #[arg(long)]
        automation: bool,
    },
}

#[derive(Debug, clap::Args)]
pub struct Place {
    /// As people write it: 0912 345 678, +84 912…
    phone: String,
    /// The customer's name, for the person at the phone.
    #[arg(long, default_value = "")]
    name: String,
    /// What the person at the phone is shown.
    #[arg(long, default_value = "")]
    info: String,
    /// The connection whose lines and rules apply and into whose CRM the result is written.
    #[arg(long)]
    connection: Option<String>,
    /// This line only.
    #[arg(long)]
    line: Option<String>,
    /// The record's owner in the CRM, as `owners` of the connection names it: that phone is tried first.
    #[arg(long)]
    owner: Option<String>,
    /// The CRM record that the result is written to, as TYPE/ID.
    #[arg(long, value_name = "TYPE/ID")]
    record: Option<String>,
    /// The customer agreed to be called; needed for advertising.
    #[arg(long)]
    consent: bool,
    /// Nobody waits: the call may queue for 24 hours instead of 2 minutes.
    #[arg(long)]
    automation: bool,
}

#[derive(Debug, clap::Args)]
pub struct Many {
    #[arg(long)]
    connection: Option<String>,
    /// Nothing but queued calls can be let go or cancelled.
    #[arg(long, value_parser = ["queued"])]
    state: Option<String>,
    /// Only calls that wait for this: brake, window, holiday, paused … `busy` also finds those that wait for their owner's busy phone
    /// before another takes them, `owner` all that wait for their owner's phone.
    #[arg(long)]
    hold: Option<String>,
    /// Only the oldest so many.
    #[arg(long)]
    count: Option<usize>,
    #[arg(long)]
    workspace: Option<String>,
    /// Do it, if they are still so many as the command without this counted: with another number nothing is done. `--yes` alone only
    /// beside --count, which says how many at most.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true)]
    yes: Option<Option<usize>>,
}

#[derive(Debug, clap::Args)]
pub struct Preview {
    /// Numbers as people write them; `-` reads them from stdin, one per line.
    #[arg(required = true)]
    phones: Vec<String>,
    #[arg(long)]
    connection: Option<String>,
    #[arg(long)]
    line: Option<String>,
    /// The records' owner in the CRM, as `owners` of the connection names it: that phone is looked at first.
    #[arg(long)]
    owner: Option<String>,
    /// The customers agreed to be called; needed for advertising.
    #[arg(long)]
    consent: bool,
    /// As if someone waited for the calls.
    #[arg(long)]
    interactive: bool,
}

#[derive(Debug, clap::Args)]
pub struct List {
    /// queued, placing, placed, unconfirmed, ended, refused, expired, cancelled or lost.
    #[arg(long)]
    state: Option<String>,
    #[arg(long)]
    connection: Option<String>,
    #[arg(long)]
    workspace: Option<String>,
    /// 1 to 200.
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// Older than this call.
    #[arg(long, value_name = "ID")]
    before: Option<String>,
}

pub async fn run(cli: &Cli, args: &Args) -> anyhow::Result<ExitCode> {
    client::with(cli, async |server| {
        match args {
            Args::Place(place) => {
                let call = server.post("/calls", &body(place)).await?;
                eprintln!("the call is queued as {}", text(&call, "/id"));
                if !server.is_running() {
                    eprintln!("no server is running: nothing is dialled until `callbridge serve` runs");
                }
                output::show(cli.json, &call, detail);
            }
            Args::Preview(preview) => {
                output::show(cli.json, &preview_all(server, preview).await?, previews);
            }
            Args::List(wanted) => {
                let limit = Some(wanted.limit.to_string());
                let pairs = [
                    ("state", wanted.state.clone()),
                    ("connection", wanted.connection.clone()),
                    ("workspace", wanted.workspace.clone()),
                    ("limit", limit),
                    ("before", wanted.before.clone()),
                ];
                let page = server.get(&format!("/calls{}", query(&pairs))).await?;
                let all = wanted.state.is_none() && wanted.connection.is_none() && wanted.workspace.is_none() && wanted.before.is_none();
                output::show(cli.json, &page, |page| rows(page, if all { "no call was asked for yet" } else { "no call fits" }));
                if !cli.json && page["next"].is_string() {
                    eprintln!("older ones: --before {}", text(&page, "/next"));
                }
            }
            Args::Show { id } => output::show(cli.json, &server.get(&format!("/calls/{}", encoded(id))).await?, detail),
            Args::Release(filter) => many(cli, server, "release", filter).await?,
            Args::Cancel { id: None, many: filter } => many(cli, server, "cancel", filter).await?,
            Args::Cancel { id: Some(id), .. } => {
                let call = server.post(&format!("/calls/{}/cancel", encoded(id)), &json!({})).await?;
                output::show(cli.json, &call, detail);
            }
            Args::WriteBack { id } => {
                let call = server.post(&format!("/calls/{}/write-backs/retry", encoded(id)), &json!({})).await?;
                eprintln!("the result is written again{}", if server.is_running() { "" } else { " as soon as `callbridge serve` runs" });
                output::show(cli.json, &call, detail);
            }
            Args::Redial { id, reason, automation } => {
                let call = server.post(&format!("/calls/{}/redial", encoded(id)), &json!({"reason": reason, "priority": priority(*automation)})).await?;
                eprintln!("the new call is {}", text(&call, "/id"));
                output::show(cli.json, &call, detail);
            }
        }
        Ok(ExitCode::SUCCESS)
    })
    .await
}

/// Counts first; does it only to as many as were named.
async fn many(cli: &Cli, server: &Server, act: &str, filter: &Many) -> anyhow::Result<()> {
    if act == "cancel" && filter.connection.is_none() && filter.hold.is_none() && filter.workspace.is_none() && filter.state.is_none() {
        return Err(Failed::new(USAGE, "say which calls: an id, --connection, --hold, or --state queued for all that wait").into());
    }
    let (path, mut body) = (
        format!("/calls/{act}"),
        json!({"connection": filter.connection, "state": filter.state, "hold": filter.hold, "count": filter.count, "workspace": filter.workspace}),
    );
    // A number that a person saw is what the server is asked to confirm, and not one that is counted again: more may have come since.
    body["confirm"] = json!(filter.yes.flatten());
    let mut answer = server.post(&path, &body).await?;
    let matching = answer["matching"].as_u64().unwrap_or(0);
    match filter.yes {
        Some(None) if matching > 0 && filter.count.is_none() => {
            let message = format!("{} meant now, and nothing was changed: say the number, --yes={matching}", calls_are(matching));
            return Err(Failed::new(USAGE, message).into());
        }
        Some(None) if matching > 0 => {
            body["confirm"] = json!(matching);
            answer = server.post(&path, &body).await?;
        }
        None if matching > 0 => eprintln!("nothing was changed; to {act} them: --yes={matching}"),
        _ => {}
    }
    output::show(cli.json, &answer, |answer| match answer["done"].as_u64() {
        Some(done) => format!("{}: {}", if act == "release" { "let go" } else { "cancelled" }, output::counted(done, "call")),
        None => format!("meant: {}", output::counted(matching, "call")),
    });
    Ok(())
}

/// `1 call is`, `2 calls are`.
fn calls_are(n: u64) -> String {
    format!("{} {}", output::counted(n, "call"), if n == 1 { "is" } else { "are" })
}

fn priority(automation: bool) -> &'static str {
    if automation { "automation" } else { "interactive" }
}

fn body(place: &Place) -> Value {
    let mut body = Map::new();
    body.insert("phone".into(), json!(place.phone));
    body.insert("name".into(), json!(place.name));
    body.insert("info".into(), json!(place.info));
    body.insert("consent".into(), json!(place.consent));
    body.insert("priority".into(), json!(priority(place.automation)));
    for (name, value) in [("connection", &place.connection), ("line", &place.line), ("owner", &place.owner)] {
        if let Some(value) = value {
            body.insert(name.into(), json!(value));
        }
    }
    if let Some(record) = &place.record {
        let (kind, id) = record.split_once('/').unwrap_or(("", record));
        body.insert("record".into(), json!({"type": kind, "id": id}));
    }
    Value::Object(body)
}

/// Numbers that the server looks at in one request.
const PREVIEWED_AT_ONCE: usize = 1000;

/// Of any number of numbers: in slices, shown as one list.
async fn preview_all(server: &Server, preview: &Preview) -> anyhow::Result<Value> {
    let body = preview_body(preview)?;
    let phones = list(&body, "/phones");
    if phones.is_empty() {
        return Err(Failed::new(USAGE, "there is no number to look at").into());
    }
    let (mut items, mut carry, mut first): (Vec<Value>, Value, HashMap<String, usize>) = (Vec::new(), json!({}), HashMap::new());
    for slice in phones.chunks(PREVIEWED_AT_ONCE) {
        let mut body = body.clone();
        (body["phones"], body["before"]) = (json!(slice), carry);
        let mut answer = server.post("/calls/preview", &body).await?;
        carry = answer["carry"].take();
        for mut item in answer["items"].as_array_mut().map(std::mem::take).unwrap_or_default() {
            if let Some(phone) = item["phone"].as_str() {
                let place = *first.entry(phone.to_owned()).or_insert(items.len());
                if place < items.len() {
                    item["same_as"] = json!(place);
                }
            }
            items.push(item);
        }
    }
    Ok(json!({"items": items, "next": null}))
}

fn preview_body(preview: &Preview) -> anyhow::Result<Value> {
    let mut phones = preview.phones.clone();
    if phones == ["-"] {
        let mut input = String::new();
        std::io::stdin().read_to_string(&mut input).context("stdin cannot be read")?;
        phones = input.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    }
    let priority = priority(!preview.interactive);
    let Preview { connection, line, owner, consent, .. } = preview;
    Ok(json!({"phones": phones, "connection": connection, "line": line, "owner": owner, "consent": consent, "priority": priority}))
}

fn previews(answer: &Value) -> String {
    let row = |item: &Value| {
        let mut why = vec![text(item, "/refusal/sentence/en"), output::waits_for(&item["waits"], &soon(item, "/waits/until"))];
        if text(item, "/would") == "wait" && item.pointer("/waits/reason").is_none() {
            why.push(format!("{} calls wait before it", text(item, "/waits/waiting")));
        }
        if item.get("same_as").is_some() {
            why.push("the same number stands above".into());
        }
        let test = text(item, "/test_phone");
        if !test.is_empty() {
            why.push(format!("test mode: {test} is dialled instead"));
        }
        why.retain(|part| !part.is_empty());
        vec![text(item, "/input"), text(item, "/phone_national"), text(item, "/would"), text(item, "/waits/line"), why.join("; ")]
    };
    table(&["GIVEN", "DIALLED", "WOULD", "LINE", "WHY"], &list(answer, "/items").iter().map(row).collect::<Vec<_>>())
}
