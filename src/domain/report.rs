//! What the phone says about a call: the callback body, read leniently.
//!
//! Field names are those of the vendor's C# sample; their case on the wire is unconfirmed, so every case is read
//! (vietnam facts 1.3). Durations are believed to be seconds; above a day they are read as milliseconds.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::record::{ID_BYTES, cut};

/// How the call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    Answered,
    NoAnswer,
    Unreachable,
    Unknown,
}

/// `ResponseStatus`: what the customer thought of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interest {
    Interested,
    NotInterested,
    NoResponse,
    Unreachable,
    Unknown,
}

macro_rules! words {
    ($kind:ident { $($variant:ident = $word:literal),* }) => {
        impl $kind {
            /// The public word.
            pub fn as_str(self) -> &'static str {
                match self { $($kind::$variant => $word),* }
            }
        }
    };
}
words!(Disposition { Answered = "answered", NoAnswer = "no_answer", Unreachable = "unreachable", Unknown = "unknown" });
words!(Interest { Interested = "interested", NotInterested = "not_interested", NoResponse = "no_response", Unreachable = "unreachable", Unknown = "unknown" });

/// A report as read from the callback body.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    pub call_id: String,
    pub phone: String,
    /// Raw; its values are not documented.
    pub call_status: Option<i64>,
    pub sim: String,
    /// As sent; [`Report::seconds`] reads the unit.
    pub call_duration: i64,
    pub answer_duration: i64,
    pub send_sms: bool,
    pub sms_content: String,
    pub response_status: i64,
    pub notes: String,
}

/// The unit of durations, `dialer.duration_unit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DurationUnit {
    /// Longer than the time since placing, read as seconds → milliseconds.
    #[default]
    Auto,
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "ms")]
    Milliseconds,
}

/// A body in which no report can be found.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReport {
    #[error("the body is not JSON")]
    NotJson,
    #[error("the body is not a JSON object")]
    NotAnObject,
    #[error("the body has no CallDetail and none of its fields")]
    Empty,
}

/// What an agent may write; the body as it came is kept whole beside it.
const TEXT_CHARS: usize = 2_000;

fn short(mut text: String) -> String {
    cut(&mut text, ID_BYTES);
    text
}

fn cut_text(value: Option<&Value>) -> String {
    let mut text = text(value);
    cut(&mut text, TEXT_CHARS);
    text
}

impl Report {
    /// Reads a callback body: any key case, at both levels or flat, numbers or digit strings, with or without `CallId`.
    pub fn read(body: &[u8]) -> Result<Report, BadReport> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let value: Value = serde_json::from_slice(body).map_err(|_| BadReport::NotJson)?;
        let Value::Object(outer) = &value else { return Err(BadReport::NotAnObject) };
        let nested = field(outer, "calldetail").and_then(Value::as_object);
        let detail = nested.unwrap_or(outer);
        const DETAIL: [&str; 7] = ["callstatus", "callduration", "answerduration", "responsestatus", "callnotes", "callbysim", "sendsms"];
        if nested.is_none() && !DETAIL.iter().any(|name| field(outer, name).is_some()) {
            return Err(BadReport::Empty);
        }
        Ok(Report {
            call_id: short(text(field(outer, "callid"))),
            phone: short(text(field(outer, "phone"))),
            call_status: integer(field(detail, "callstatus")),
            sim: short(text(field(detail, "callbysim"))),
            call_duration: integer(field(detail, "callduration")).unwrap_or(0).max(0),
            answer_duration: integer(field(detail, "answerduration")).unwrap_or(0).max(0),
            send_sms: truth(field(detail, "sendsms")),
            sms_content: cut_text(field(detail, "smscontent")),
            response_status: integer(field(detail, "responsestatus")).unwrap_or(0),
            notes: cut_text(field(detail, "callnotes")),
        })
    }

    pub fn disposition(&self) -> Disposition {
        match (self.answer_duration > 0, self.response_status) {
            (true, _) => Disposition::Answered,
            (false, 4) => Disposition::Unreachable,
            (false, 3) => Disposition::NoAnswer,
            _ => Disposition::Unknown,
        }
    }

    pub fn interest(&self) -> Interest {
        match self.response_status {
            1 => Interest::Interested,
            2 => Interest::NotInterested,
            3 => Interest::NoResponse,
            4 => Interest::Unreachable,
            _ => Interest::Unknown,
        }
    }

    /// Call and answer duration in seconds; `since_placing_secs` is the longest this call can have lasted, if known.
    pub fn seconds(&self, unit: DurationUnit, since_placing_secs: Option<i64>) -> (i64, i64) {
        let longest = self.call_duration.max(self.answer_duration);
        let in_ms = match unit {
            DurationUnit::Seconds => false,
            DurationUnit::Milliseconds => true,
            // 60 s of grace: the phone's clock and ours are not the same.
            DurationUnit::Auto => longest > since_placing_secs.map_or(86_400, |s| s.saturating_add(60)),
        };
        let divide = |value: i64| if in_ms { value / 1000 } else { value };
        (divide(self.call_duration), divide(self.answer_duration))
    }
}

/// The field whose name equals `name` (lower case) without regard to case and `_`.
fn field<'a>(object: &'a serde_json::Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().find(|(key, _)| key.bytes().filter(|b| *b != b'_').map(|b| b.to_ascii_lowercase()).eq(name.bytes())).map(|(_, value)| value)
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(s)) => s.trim().to_owned(),
        Some(Value::Number(n)) => n.to_string(),
        _ => String::new(),
    }
}

fn integer(value: Option<&Value>) -> Option<i64> {
    match value? {
        #[expect(clippy::cast_possible_truncation, reason = "`as` saturates; a duration of 1e300 becomes the largest one")]
        Value::Number(n) => n.as_i64().or_else(|| n.as_f64().map(|f| f as i64)),
        Value::String(s) => s.trim().parse().ok(),
        Value::Bool(b) => Some(i64::from(*b)),
        _ => None,
    }
}

fn truth(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(b)) => *b,
        Some(Value::String(s)) => s.eq_ignore_ascii_case("true") || s.trim() == "1",
        Some(Value::Number(n)) => n.as_i64().is_some_and(|n| n != 0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASCAL: &str = r#"{"Phone":"0912345678","Name":"An","CallId":"c1","CallDetail":{"CallStatus":1,"CallBySim":"SIM 1",
        "CallDuration":42,"AnswerDuration":31,"SendSms":true,"SmsContent":"xin chào","ResponseStatus":1,"CallNotes":"hẹn lại"}}"#;

    #[test]
    fn every_key_case_gives_the_same_report() {
        let expected = Report::read(PASCAL.as_bytes()).unwrap();
        assert_eq!(expected.disposition(), Disposition::Answered);
        assert_eq!(expected.notes, "hẹn lại");
        for body in [
            PASCAL.replace("CallDetail", "callDetail").replace("AnswerDuration", "answerDuration"),
            PASCAL.replace("CallDetail", "calldetail"),
            PASCAL.replace("CallNotes", "call_notes"),
        ] {
            assert_eq!(Report::read(body.as_bytes()).unwrap(), expected);
        }
    }

    #[test]
    fn digit_strings_and_a_flat_body_are_read() {
        let report = Report::read(br#"{"answerDuration":"12","responseStatus":"2"}"#).unwrap();
        assert_eq!((report.answer_duration, report.interest()), (12, Interest::NotInterested));
    }

    #[test]
    fn what_holds_no_report_is_refused() {
        assert_eq!(Report::read(b"<html>"), Err(BadReport::NotJson));
        assert_eq!(Report::read(b"[]"), Err(BadReport::NotAnObject));
        assert_eq!(Report::read(b"{}"), Err(BadReport::Empty));
    }

    #[test]
    fn a_duration_longer_than_the_call_can_have_lasted_is_milliseconds() {
        let report = Report { call_duration: 42_000, answer_duration: 31_000, ..Report::default() };
        assert_eq!(report.seconds(DurationUnit::Auto, Some(90)), (42, 31));
        assert_eq!(report.seconds(DurationUnit::Auto, None), (42_000, 31_000));
        assert_eq!(report.seconds(DurationUnit::Seconds, Some(90)), (42_000, 31_000));
    }
}
