//! How calls are shown: a table of them, one with everything about it.

use serde_json::{Value, json};

use super::output::{facts, list, moment, soon, table_or, text, waits_for};

/// `none`: what is said where there is none.
pub fn rows(page: &Value, none: &str) -> String {
    let row = |call: &Value| {
        let via = match text(call, "/connection") {
            none if none.is_empty() => text(call, "/origin/kind"),
            connection if call["test"] == json!(true) => format!("{connection} (test)"),
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
    let heads = ["ID", "MADE (+07)", "STATE", "PHONE", "NAME", "VIA", "LINE", "RESULT", "WRITTEN BACK"];
    table_or(&heads, &list(page, "/items").iter().map(row).collect::<Vec<_>>(), none)
}

/// One long name must not push every row off the screen.
fn short(name: &str) -> String {
    const WIDE: usize = 28;
    if name.chars().count() <= WIDE { name.to_owned() } else { name.chars().take(WIDE - 1).chain(['…']).collect() }
}

fn waits(call: &Value) -> String {
    if call["waits"].is_null() {
        return waits_for_report(call);
    }
    let reason = waits_for(&call["waits"], &soon(call, "/waits/until"));
    let said = if reason.is_empty() { "its turn comes now".to_owned() } else { reason };
    match text(call, "/waits/line") {
        line if line.is_empty() => said,
        line => format!("{said} (line {line})"),
    }
}

/// What a call that may ring or talk waits for.
fn waits_for_report(call: &Value) -> String {
    let until = soon(call, "/report_deadline");
    let until = if until.is_empty() { until } else { format!(" until {until}") };
    match text(call, "/state").as_str() {
        "placed" => format!("waits for the phone's report{until}"),
        "unconfirmed" => format!(
            "whether it was dialled is not known: waits for the phone's report{until}. It is not dialled again by itself; `callbridge call redial` makes a new call"
        ),
        _ => String::new(),
    }
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

/// What test mode makes of it.
fn test(call: &Value) -> String {
    match (call["test"] == json!(true), text(call, "/test_phone")) {
        (false, _) => String::new(),
        (true, none) if none.is_empty() => "the connection is in test mode and has no test_phone: nothing is dialled".into(),
        (true, phone) => format!("{phone} is dialled in place of the customer: the connection was in test mode"),
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
        ("test", test(call)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_says_which_phone_is_dialled() {
        let call =
            json!({"id": "call_1", "connection": "shop", "phone_national": "0987654321", "phone": "+84987654321", "test": true, "test_phone": "0912345678"});
        assert!(detail(&call).contains("test        0912345678 is dialled in place of the customer"), "{}", detail(&call));
        assert!(rows(&json!({"items": [call]}), "").contains("shop (test)"));
        assert!(detail(&json!({"test": true, "test_phone": null})).contains("nothing is dialled") && !detail(&json!({"test": false})).contains("test"));
    }

    #[test]
    fn a_call_that_may_have_been_dialled_says_what_it_waits_for() {
        let call = |state: &str| json!({"state": state, "waits": null, "report_deadline": "2026-11-23T19:59:05Z"});
        assert!(waits(&call("placed")).starts_with("waits for the phone's report until Tue "), "{}", waits(&call("placed")));
        let unconfirmed = waits(&call("unconfirmed"));
        assert!(unconfirmed.starts_with("whether it was dialled is not known") && unconfirmed.contains("call redial"), "{unconfirmed}");
        assert_eq!(waits(&call("ended")), "");
    }
}
