//! `callbridge connection`: list, show, connect, capture, subscribe, unsubscribe.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::Cli;
use super::client::{self, encoded};
use super::output::{self, facts, list, moment, table, text};

#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Every connection with its webhook addresses, and how it is doing. The addresses hold keys: do not show them around.
    List,
    /// One connection: how it is doing, since when and what to do about it, its webhook addresses, what it has registered at the CRM, which of
    /// its keys end.
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
        output::show(cli.json, &answer, |answer| if matches!(args, Args::List) { rows(answer) } else { detail(answer) });
        Ok(ExitCode::SUCCESS)
    })
    .await
}

fn rows(page: &Value) -> String {
    let mut rows = Vec::new();
    for connection in list(page, "/items") {
        let hooks = list(connection, "/hooks");
        let mut told: Vec<String> = list(connection, "/troubles").iter().map(|trouble| trouble_of(trouble, false)).collect();
        told.extend(waiting(connection));
        told.extend(others(connection));
        let cells = ["/id", "/plugin", "/mode", "/lines"].map(|name| text(connection, name));
        let url = hooks.first().map(|hook| text(hook, "/url")).unwrap_or_default();
        rows.push(cells.into_iter().chain([url, text(connection, "/state"), told.join("; ")]).collect());
        rows.extend(hooks.iter().skip(1).map(|hook| vec![String::new(), String::new(), String::new(), String::new(), text(hook, "/url")]));
    }
    if rows.is_empty() {
        return "there is no connection: add [[connections]] to the settings; `callbridge plugin list` shows which CRMs are known".into();
    }
    table(&["ID", "PLUGIN", "MODE", "LINES", "WEBHOOK ADDRESS", "STATE", "WHY"], &rows)
}

fn detail(connection: &Value) -> String {
    let mut out = facts(&[
        ("connection", text(connection, "/id")),
        ("name", Some(text(connection, "/name")).filter(|name| *name != text(connection, "/id")).unwrap_or_default()),
        ("plugin", text(connection, "/plugin")),
        ("mode", text(connection, "/mode")),
        ("test phone", test_phone(connection)),
        ("lines", text(connection, "/lines")),
        ("state", text(connection, "/state")),
        ("waiting", waiting(connection).unwrap_or_default()),
    ]);
    let hooks = list(connection, "/hooks").iter().map(|hook| format!("webhook address `{}`: {}", text(hook, "/name"), text(hook, "/url")));
    let troubles = list(connection, "/troubles").iter().map(|trouble| trouble_of(trouble, true));
    for line in troubles.chain(others(connection)).chain(hooks) {
        out.push_str(&format!("{line}\n"));
    }
    out
}

/// What its test mode dials.
fn test_phone(connection: &Value) -> String {
    match (text(connection, "/mode") == "test", text(connection, "/test_phone")) {
        (true, none) if none.is_empty() => "none is set: nothing is dialled".into(),
        (true, phone) => format!("{phone} is dialled in place of the customer"),
        (false, phone) => phone,
    }
}

/// `the CRM refuses our requests since 2026-11-23 08:00:00 (status 401: …)`, and what to do about it.
fn trouble_of(trouble: &Value, advice: bool) -> String {
    let of = Some(text(trouble, "/of")).filter(|of| !of.is_empty()).map(|of| format!("`{of}`: ")).unwrap_or_default();
    let detail = Some(text(trouble, "/detail")).filter(|detail| !detail.is_empty()).map(|detail| format!(" ({detail})")).unwrap_or_default();
    let what = format!("{of}{} since {}{detail}", text(trouble, "/reason/sentence/en"), moment(trouble, "/since"));
    if advice { format!("{what}\n  {}", text(trouble, "/reason/advice/en")) } else { what }
}

/// What waits for its CRM; `None`: nothing.
fn waiting(connection: &Value) -> Option<String> {
    let count = |name: &str| connection["waiting"][name].as_u64().unwrap_or(0);
    let some = |n: u64, one: &str, many: &str| (n > 0).then(|| format!("{n} {}", if n == 1 { one } else { many }));
    let again = Some(count("results_again")).filter(|n| *n > 0).map(|n| format!(", {n} of them not for the first time{}", last_try(connection)));
    let again = again.unwrap_or_default();
    let results = some(count("results"), "result waits to be written", "results wait to be written").map(|said| said + &again);
    let lookups = some(count("lookups"), "record waits to be looked up", "records wait to be looked up");
    let said: Vec<String> = results.into_iter().chain(lookups).collect();
    (!said.is_empty()).then(|| said.join(", "))
}

/// ` (call_…: status 500: try later)`: by the example of one call, which shows all its tries.
fn last_try(connection: &Value) -> String {
    let [call, status, detail] = ["/call", "/status", "/detail"].map(|name| text(connection, &format!("/waiting/last_try{name}")));
    // What a trouble has said already.
    let detail = if list(connection, "/troubles").iter().any(|trouble| text(trouble, "/detail") == detail) { String::new() } else { detail };
    let status = if status.is_empty() { status } else { format!("status {status}") };
    let said = [status, detail].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
    if call.is_empty() { call } else { format!(" ({call}: {said})") }
}

/// An open window, what its setup lacks, what is registered at the CRM, which keys end.
fn others(connection: &Value) -> Vec<String> {
    let open = Some(text(connection, "/capture_until")).filter(|open| !open.is_empty()).map(|_| {
        let until = moment(connection, "/capture_until");
        format!("secrets may be handed over until {until}")
    });
    // What a trouble has said already.
    let troubles = list(connection, "/troubles");
    let said = |problem: &String| troubles.iter().map(|trouble| text(trouble, "/detail")).any(|detail| !detail.is_empty() && problem.ends_with(&detail));
    let told = |name: &str| troubles.iter().any(|trouble| text(trouble, "/of") == name);
    let problems = list(connection, "/problems").iter().map(|problem| text(problem, "")).filter(|problem| !said(problem));
    open.into_iter().chain(problems).chain(at_crm(connection, told)).collect()
}

/// What is registered at the CRM, and which keys end soon.
fn at_crm(connection: &Value, told: impl Fn(&str) -> bool) -> Vec<String> {
    let subscription = |one: &Value| {
        let [name, state, problem] = ["/name", "/state", "/problem"].map(|path| text(one, path));
        let until = moment(one, "/until");
        let until = if until.is_empty() { until } else { format!(" until {until}") };
        let problem = if problem.is_empty() { problem } else { format!(" ({problem})") };
        format!("registers {name}: {state}{until}{problem}")
    };
    let end = |one: &Value| match text(one, "/state").as_str() {
        "soon" => Some(format!("{} ends on {}", text(one, "/parameter"), moment(one, "/at"))),
        "ended" => Some(format!("{} ended on {}", text(one, "/parameter"), moment(one, "/at"))),
        _ => None,
    };
    let subscriptions = list(connection, "/subscriptions").iter().filter(|one| !told(&text(one, "/name"))).map(subscription);
    let ends = list(connection, "/ends").iter().filter(|one| !told(&text(one, "/parameter"))).filter_map(end);
    subscriptions.chain(ends).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_its_crm_refuses_says_since_when_why_what_waits_and_what_to_do() {
        let reason = json!({"code": "connection_failing", "sentence": {"en": "the CRM refuses our requests"}, "advice": {"en": "Check its token."}});
        let failing = json!({
            "id": "crm", "name": "crm", "plugin": "generic", "mode": "live", "lines": ["line-1"], "state": "failing",
            "hooks": [{"name": "default", "url": "https://b/hooks/crm/k"}, {"name": "lead", "url": "https://b/hooks/crm/l"}],
            "troubles": [
                {"kind": "connection_failing", "of": null, "since": "2026-11-23T01:00:00Z", "reason": reason, "detail": "status 401", "times": 2},
                {"kind": "connection_failing", "of": "leads", "since": "2026-11-23T02:00:00Z", "reason": reason, "detail": "status 403", "times": 1}
            ],
            "waiting": {"results": 3, "results_again": 1, "last_try": {"call": "call_1", "at": "2026-11-23T02:00:00Z", "status": 500, "detail": "try later"}, "lookups": 1}, "problems": ["poll `leads`: status 403", "it names no line"]
        });
        let [head, first, second] = rows(&json!({"items": [failing]})).lines().map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
        assert!(head.ends_with("STATE    WHY") && second.trim() == "https://b/hooks/crm/l", "{head}\n{second}");
        let why = "failing  the CRM refuses our requests since 2026-11-23 08:00:00 (status 401); `leads`: the CRM refuses our requests since \
                   2026-11-23 09:00:00 (status 403); 3 results wait to be written, 1 of them not for the first time (call_1: status 500: try later), 1 record waits to be looked up; \
                   it names no line";
        assert!(first.ends_with(why), "{first}");
        let shown = detail(&failing);
        assert!(shown.contains("state       failing\n") && shown.contains("(status 401)\n  Check its token.\n"), "{shown}");
        assert!(shown.contains("webhook address `lead`: https://b/hooks/crm/l"), "{shown}");
        let well = json!({"id": "crm", "state": "ok", "troubles": [], "problems": [], "waiting": {"results": 0, "results_again": 0, "lookups": 0}});
        assert!(rows(&json!({"items": [well]})).ends_with(" ok\n") && !detail(&well).contains("waiting"), "{}", detail(&well));
        assert!(rows(&json!({"items": []})).starts_with("there is no connection"));
    }
}
