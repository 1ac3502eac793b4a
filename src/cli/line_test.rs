//! `callbridge line test`: what stands between a line and a call; with a number, a real call over it and what became of that.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::args::Cli;
use super::client::{self, Server, encoded};
use super::output::{self, facts, moment, text};
use crate::config;
use crate::outbound::{Guard, probe};

/// How often the call is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What was found; false: something is in the way.
struct Found {
    rows: Vec<(&'static str, String)>,
    good: bool,
}

impl Found {
    fn say(&mut self, what: &'static str, good: bool, says: String) {
        self.good &= good;
        self.rows.push((what, if good { says } else { format!("NO: {says}") }));
    }
}

pub async fn run(cli: &Cli, id: &str, phone: Option<&str>, wait: Duration) -> anyhow::Result<ExitCode> {
    let settings = config::load(&cli.sources())?;
    client::with(cli, async |server| {
        let line = server.get(&format!("/lines/{}", encoded(id))).await?;
        let mut found = Found { rows: Vec::new(), good: true };
        let guard = Guard::new(settings.outbound.allow_networks.clone());
        match probe::reach(&guard, &settings.dialer.url, settings.dialer.connect_timeout).await {
            Ok(address) => found.say("dialer", true, format!("{} can be reached ({address})", settings.dialer.url)),
            Err(why) => found.say("dialer", false, why),
        }
        state(&line, &mut found);
        let mut call = Value::Null;
        match phone {
            Some(phone) => call = called(server, id, phone, wait, &mut found).await?,
            None => eprintln!("nothing was dialled; with --phone YOUR-NUMBER the line really calls you"),
        }
        let answer =
            json!({"line": line, "call": call, "good": found.good, "found": found.rows.iter().map(|(what, says)| json!([what, says])).collect::<Vec<_>>()});
        output::show(cli.json, &answer, |_| facts(&found.rows));
        Ok(if found.good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
    .await
}

fn state(line: &Value, found: &mut Found) {
    let waiting = text(line, "/waiting");
    if line["pause"].is_null() {
        let well = line["silent_since"].is_null();
        let says = if well { text(line, "/state") } else { format!("no report since {}: is the phone on and online?", moment(line, "/silent_since")) };
        return found.say("line", well, format!("{says}; {waiting} calls wait"));
    }
    let (why, todo) = (text(line, "/pause/reason/sentence/en"), text(line, "/pause/reason/advice/en"));
    found.say("line", false, format!("paused since {} by {}: {why}; {waiting} calls wait", moment(line, "/pause/since"), text(line, "/pause/by")));
    found.say("to do", false, format!("{todo} Then: callbridge line resume {}", text(line, "/id")));
}

/// Places a call and follows it to its report.
async fn called(server: &Server, id: &str, phone: &str, wait: Duration, found: &mut Found) -> anyhow::Result<Value> {
    if !server.is_running() {
        found.say("call", false, "no server is running, so nothing can be dialled: start callbridge serve".into());
        return Ok(Value::Null);
    }
    let body = json!({"phone": phone, "line": id, "name": "callbridge line test", "priority": "interactive"});
    let mut call = server.post("/calls", &body).await?;
    let path = format!("/calls/{}", encoded(&text(&call, "/id")));
    let mut last = String::new();
    for _ in 0..=wait.as_millis() / LOOK.as_millis() {
        let state = text(&call, "/state");
        if state != last {
            eprintln!("{state}");
            last = state;
        }
        if !matches!(last.as_str(), "queued" | "placing" | "placed" | "unconfirmed") {
            break;
        }
        tokio::time::sleep(LOOK).await;
        call = server.get(&path).await?;
    }
    match last.as_str() {
        "ended" => found.say(
            "call",
            true,
            format!("{}, {} s, {}", text(&call, "/report/disposition"), text(&call, "/report/answer_seconds"), text(&call, "/report/sim")),
        ),
        "placed" | "unconfirmed" => {
            let todo = "is the phone on, online, and the Auto Call app running; can it reach server.public_url?";
            found.say("call", false, format!("{last}, but no report came within {} s: {todo}", wait.as_secs()));
        }
        "queued" | "placing" => {
            found.say("call", false, format!("it still waits: {} {}", text(&call, "/waits/reason/sentence/en"), text(&call, "/waits/reason/advice/en")))
        }
        _ => found.say("call", false, format!("{last}: {} {}", text(&call, "/refusal/sentence/en"), text(&call, "/refusal/advice/en"))),
    }
    Ok(call)
}
