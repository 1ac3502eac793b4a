//! What commands print: data on stdout, talk on stderr, and the exit code.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use crate::config;
use crate::domain::time::Time;

/// Shown at the end of `--help`.
pub const EXIT_CODES: &str = "Exit codes:
  0  done
  1  failed: a check or test found something, or the settings cannot be used
  2  the command was used wrongly
  3  there is no such call, event, line, connection or plugin
  4  not possible in the present state (the reason is told)
  5  trouble with the server or the store: not running, in use, cannot store

Data goes to stdout, everything else to stderr. Commands that look at data or change it ask the running server;
without one they open the store in store.path themselves.";

pub const FAILED: u8 = 1;
pub const USAGE: u8 = 2;
pub const NOT_FOUND: u8 = 3;
pub const NOT_POSSIBLE: u8 = 4;
pub const TROUBLE: u8 = 5;

/// A failure with its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failed {
    pub code: u8,
    pub message: String,
}

impl Failed {
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// A command's end: its own code, else 1.
pub fn exit(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("callbridge: {error:#}");
            error.downcast_ref::<Failed>().map_or(ExitCode::FAILURE, |failed| ExitCode::from(failed.code))
        }
    }
}

/// Data. Whoever reads it may have read enough and gone: that is no failure.
pub fn data(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}

/// The answer as JSON, or as `human` writes it.
pub fn show(json: bool, answer: &Value, human: impl FnOnce(&Value) -> String) {
    let text = if json { serde_json::to_string_pretty(answer).unwrap_or_default() } else { human(answer) };
    data(&text);
}

/// Columns as wide as their widest cell; the last one is not padded.
pub fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let width = |text: &str| text.chars().filter(|c| !('\u{300}'..='\u{36f}').contains(c)).count();
    let widths: Vec<usize> =
        heads.iter().enumerate().map(|(i, head)| rows.iter().filter_map(|row| row.get(i)).map(|c| width(c)).max().unwrap_or(0).max(width(head))).collect();
    let mut out = String::new();
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    for row in std::iter::once(&heads).chain(rows) {
        let mut line = String::new();
        for (cell, wide) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell}{:1$}  ", "", wide.saturating_sub(width(cell)));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The same, or a sentence where there is no row.
pub fn table_or(heads: &[&str], rows: &[Vec<String>], empty: &str) -> String {
    if rows.is_empty() { empty.to_owned() } else { table(heads, rows) }
}

/// `1 call`, `2 calls`.
pub fn counted(n: u64, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}

/// Why a file cannot be read or written, without the numbers of the operating system.
pub fn io_words(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {}", path.display(), config::io_words(error))
}

/// Name and value, one per line; what is empty is left out.
pub fn facts(pairs: &[(&str, String)]) -> String {
    let wide = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(out, "{name:wide$}  {value}");
    }
    out
}

/// The text at a JSON pointer; empty where there is none.
pub fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(flag)) => if *flag { "yes" } else { "no" }.to_owned(),
        Some(Value::Array(items)) => items.iter().map(|item| text(item, "")).collect::<Vec<_>>().join(", "),
        _ => String::new(),
    }
}

/// The list at a JSON pointer.
pub fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A moment of an answer as people in Vietnam read it: `2026-11-23 11:43:14`.
pub fn moment(value: &Value, pointer: &str) -> String {
    let Some(time) = value.pointer(pointer).and_then(Value::as_str).and_then(Time::parse_rfc3339) else { return String::new() };
    time.timestamp().to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(7))).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The same, as people say it of the next days: `Mon 08:00`; with its date when it is further away.
pub fn soon(value: &Value, pointer: &str) -> String {
    let Some(time) = value.pointer(pointer).and_then(Value::as_str).and_then(Time::parse_rfc3339) else { return String::new() };
    let local = time.timestamp().to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(7)));
    let pattern = if time.since(crate::clock::Clock::System.now()) < std::time::Duration::from_secs(6 * 86_400) { "%a %H:%M" } else { "%a %Y-%m-%d %H:%M" };
    let seconds = if local.second() == 0 { "" } else { ":%S" };
    local.strftime(&format!("{pattern}{seconds}")).to_string()
}

/// What is waited for and until when, in English; empty where nothing is. A slot ends with the phone's report: its time is only the latest.
pub fn waits_for(waits: &Value, until: &str) -> String {
    let mut reason = text(waits, "/reason/sentence/en");
    if !waits["stopped"].is_null() {
        let [by, since, why] = [text(waits, "/stopped/by"), soon(waits, "/stopped/since"), text(waits, "/stopped/reason")];
        reason = format!("{reason} by {by} since {since}");
        if !why.is_empty() {
            reason = format!("{reason}: {why}");
        }
    }
    match (until, text(waits, "/reason/code").as_str()) {
        ("", _) => reason,
        (until, "hold_busy") => format!("{reason}, at the latest at {until}"),
        (until, _) => format!("{reason} until {until}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_in_vietnamese_too() {
        let rows = vec![vec!["Nguyễn Thị Hoa".to_owned(), "x".to_owned()], vec!["An".to_owned(), "y".to_owned()]];
        assert_eq!(table(&["NAME", "Z"], &rows), "NAME            Z\nNguyễn Thị Hoa  x\nAn              y\n");
    }

    #[test]
    fn an_empty_list_and_a_missing_file_are_told_in_words() {
        assert_eq!((table_or(&["A"], &[], "nothing yet").as_str(), table_or(&["A"], &[vec!["1".into()]], "-").as_str()), ("nothing yet", "A\n1\n"));
        assert_eq!((counted(1, "call").as_str(), counted(2, "call").as_str(), counted(0, "call").as_str()), ("1 call", "2 calls", "0 calls"));
        let missing = std::fs::read("no/such/file").unwrap_err();
        assert_eq!(io_words(Path::new("no/such/file"), &missing), "no/such/file: there is no such file or folder");
        let strange = std::io::Error::from_raw_os_error(28);
        assert_eq!(io_words(Path::new("f"), &strange), "f: No space left on device");
    }

    #[test]
    fn who_stopped_all_calling_is_told_with_when_and_why() {
        let mut waits = serde_json::json!({"reason": {"code": "hold_stopped", "sentence": {"en": "all calling is stopped"}}});
        assert_eq!(waits_for(&waits, ""), "all calling is stopped");
        waits["stopped"] = serde_json::json!({"by": "lan", "since": "2020-11-23T01:00:00Z", "reason": "wrong list"});
        assert_eq!(waits_for(&waits, ""), "all calling is stopped by lan since Mon 08:00: wrong list");
    }

    #[test]
    fn times_are_those_of_vietnam() {
        assert_eq!(moment(&serde_json::json!({"at": "2026-11-22T17:00:00Z"}), "/at"), "2026-11-23 00:00:00");
        assert_eq!(moment(&serde_json::json!({"at": null}), "/at"), "");
        assert_eq!(soon(&serde_json::json!({"at": "2126-11-25T01:00:00Z"}), "/at"), "Mon 2126-11-25 08:00");
        assert_eq!(soon(&serde_json::json!({"at": "2020-11-23T01:00:09Z"}), "/at"), "Mon 08:00:09");
    }

    #[test]
    fn the_time_of_a_slot_is_only_the_latest() {
        let waits = |code: &str| serde_json::json!({"reason": {"code": code, "sentence": {"en": "waits"}}});
        assert_eq!(waits_for(&waits("hold_busy"), "Mon 08:00"), "waits, at the latest at Mon 08:00");
        assert_eq!(waits_for(&waits("hold_rate"), "Mon 08:00"), "waits until Mon 08:00");
        assert_eq!(waits_for(&waits("hold_paused"), ""), "waits");
        assert_eq!(waits_for(&Value::Null, ""), "");
    }
}
