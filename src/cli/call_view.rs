//! How calls are shown: a table of them, one with everything about it.

use serde_json::{Value, json};

use super::output::{facts, list, moment, soon, table, text};

pub fn rows(page: &Value) -> String {
    let row = |call: &Value| {
        let via = match text(call, "/connection") {
            none if none.is_empty() => text(call, "/origin/kind"),
            connection => connection,
        };
        let came_to = match text(call, "/report/disposition") {
            none if none.is_empty() => text(call, "/refusal/code"),
            disposition => disposition,
        };
        let write_back = Some(text(call, "/write_back/status")).filter(|status| status != "none").unwrap_or_default();
        vec![
            text(call, "/id"),
            moment(call, "/created_at"),
            text(call, "/state"),
            text(call, "/phone_national"),
            short(&text(call, "/customer/name")),
            via,
            text(call, "/line"),
            came_to,
            write_back,
        ]
    };
    table(&["ID", "MADE (+07)", "STATE", "PHONE", "NAME", "VIA", "LINE", "RESULT", "WRITTEN BACK"], &list(page, "/items").iter().map(row).collect::<Vec<_>>())
}

/// One long name must not push every row off the screen.
fn short(name: &str) -> String {
    const WIDE: usize = 28;
    if name.chars().count() <= WIDE { name.to_owned() } else { name.chars().take(WIDE - 1).chain(['…']).collect() }
}

fn waits(call: &Value) -> String {
    if call["waits"].is_null() {
        return String::new();
    }
    let reason = text(call, "/waits/reason/sentence/en");
    let mut said = if reason.is_empty() { "its turn comes now".to_owned() } else { reason };
    // A slot ends with the phone's report; its time is only the latest.
    let until = if text(call, "/waits/reason/code") == "hold_busy" { ", at the latest at " } else { " until " };
    for (before, part) in [(until, soon(call, "/waits/until")), (" (line ", text(call, "/waits/line"))] {
        if !part.is_empty() {
            said.push_str(before);
            said.push_str(&part);
            said.push_str(if before.ends_with("(line ") { ")" } else { "" });
        }
    }
    said
}

/// The line that placed it, or those that a person chose. Which one it will be else is decided when it is placed.
fn line(call: &Value) -> String {
    let chosen: Vec<String> = list(call, "/lines").iter().map(|line| text(line, "")).collect();
    match chosen.as_slice() {
        _ if !call["line"].is_null() => text(call, "/line"),
        [] => String::new(),
        [one] => one.clone(),
        several => format!("one of {}", several.join(", ")),
    }
}

pub fn detail(call: &Value) -> String {
    let dash = |parts: &[String]| parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" · ");
    let report = if call["report"].is_null() {
        String::new()
    } else {
        let seconds = format!("{} s talked", text(call, "/report/answer_seconds"));
        let sms = if call["report"]["sms_sent"] == json!(true) { ["SMS sent: ", &text(call, "/report/sms_content")].concat() } else { String::new() };
        let sms = sms.trim_end_matches(": ").to_owned();
        dash(&[text(call, "/report/disposition"), text(call, "/report/interest"), seconds, text(call, "/report/sim"), sms, text(call, "/report/notes")])
    };
    let mut out = facts(&[
        ("call", text(call, "/id")),
        ("state", text(call, "/state")),
        ("now", waits(call)),
        ("refusal", dash(&[text(call, "/refusal/sentence/en"), text(call, "/held_by/sentence/en"), text(call, "/reason"), text(call, "/refusal/advice/en")])),
        ("phone", format!("{} ({})", text(call, "/phone_national"), text(call, "/phone"))),
        ("customer", dash(&[text(call, "/customer/name"), text(call, "/customer/info")])),
        ("record", dash(&[text(call, "/record/type"), text(call, "/record/id")])),
        (
            "asked by",
            dash(&[
                text(call, "/origin/kind"),
                text(call, "/origin/by"),
                text(call, "/origin/event"),
                text(call, "/origin/redial_of"),
                text(call, "/origin/reason"),
            ]),
        ),
        ("connection", text(call, "/connection")),
        ("line", line(call)),
        ("priority", text(call, "/priority")),
        ("made", moment(call, "/created_at")),
        ("expires", if text(call, "/state") == "queued" { moment(call, "/expires_at") } else { String::new() }),
        ("placed", moment(call, "/placed_at")),
        ("reported", moment(call, "/reported_at")),
        ("ended", moment(call, "/ended_at")),
        ("result", report),
        ("write-back", text(call, "/write_back/status")),
    ]);
    for (kind, state) in call.pointer("/write_back/kinds").and_then(Value::as_object).into_iter().flatten() {
        let version = Some(text(state, "/version")).filter(|v| !v.is_empty()).map(|v| format!("report {v} written")).unwrap_or_default();
        let said = dash(&[version, text(state, "/entry"), text(state, "/failed")]);
        if !said.is_empty() {
            out.push_str(&format!("  {kind}: {said}\n"));
        }
    }
    let flagged = list(call, "/flagged_reports");
    if !flagged.is_empty() {
        out.push_str("\na report cannot be read, or names another call or phone; what the phone sent:\n");
        flagged.iter().for_each(|body| out.push_str(&format!("  {}\n", text(body, ""))));
    }
    let attempts = list(call, "/attempts");
    if !attempts.is_empty() {
        out.push('\n');
        out.push_str(&super::event::attempts(attempts));
    }
    out
}
