//! The callone API: exactly the seven camelCase keys as JSON, and what each answer means (design, section 5).

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::http::{Http, SendError};
use crate::domain::request::{Answer, Outbound};
use crate::error::Code;

/// The request body, keys in the vendor's order.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallOne {
    pub secret_key: String,
    pub customer_phone: String,
    pub customer_name: String,
    pub customer_gender: String,
    pub customer_info: String,
    pub call_id: String,
    pub api_callback_url: String,
}

/// What an answer means for the call and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    Taken,
    /// 2111: the data is wrong, another try will not help.
    Refused(Code),
    /// The line or its account: nothing was placed; a person must act, or a probe may work after `probe`.
    Line {
        code: Code,
        probe: Option<Duration>,
    },
    /// 2222.
    SystemError,
    /// Surely not placed; the dialer as a whole waits.
    NotSent {
        code: Code,
        wait: Option<Duration>,
    },
    /// Kept back here before it left: the dialer knows nothing of it.
    Withheld(Code),
    Unclear,
}

/// An answer with what to keep of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Understood {
    pub meaning: Meaning,
    pub status: Option<u16>,
    /// For the attempt: the answer's beginning, or why there is none.
    pub detail: String,
}

/// Sends the request once; `held` is dropped when it has left, and `last_word` may keep it here until then.
pub async fn place(
    http: &Http,
    url: &str,
    body: &CallOne,
    retry_503: bool,
    held: impl Send + Sync + Unpin + 'static,
    last_word: impl Fn() -> Option<Code> + Send + Sync + Unpin + 'static,
) -> Understood {
    let body = match serde_json::to_vec(body) {
        Ok(body) => Bytes::from(body),
        Err(e) => return Understood { meaning: Meaning::NotSent { code: Code::Internal, wait: None }, status: None, detail: e.to_string() },
    };
    let headers = vec![("content-type".to_owned(), "application/json; charset=UTF-8".to_owned()), ("accept".to_owned(), "application/json".to_owned())];
    let request = Outbound { method: "POST".into(), url: url.to_owned(), headers, body, allow_hosts: Vec::new() };
    understand(http.send_holding(&request, held, last_word).await, retry_503)
}

/// The answer table of the design, line by line.
pub fn understand(answer: Result<Answer, SendError>, retry_503: bool) -> Understood {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let detail = error.to_string();
            let meaning = match error {
                SendError::NotSent(_) => Meaning::NotSent { code: Code::DialerUnreachable, wait: None },
                SendError::Blocked(_) => Meaning::Line { code: Code::OutboundBlocked, probe: None },
                SendError::Withheld(code) => Meaning::Withheld(code),
                SendError::Unclear(_) => Meaning::Unclear,
            };
            return Understood { meaning, status: None, detail };
        }
    };
    let detail: String = String::from_utf8_lossy(&answer.body).chars().take(300).collect();
    let status = Some(answer.status);
    // A readable errorCode wins over the HTTP status.
    let meaning = if answer.truncated { None } else { by_code(&answer.body) }.unwrap_or_else(|| by_status(&answer, retry_503));
    Understood { meaning, status, detail }
}

fn by_code(body: &[u8]) -> Option<Meaning> {
    const DAY: Duration = Duration::from_secs(86_400);
    let value: Value = serde_json::from_slice(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)).ok()?;
    let object = value.as_object()?;
    let field = |name: &str| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    let code = field("errorCode").and_then(number);
    let has_error = field("hasError").and_then(truth);
    let line = |code, probe| Some(Meaning::Line { code, probe });
    match (code, has_error) {
        (Some(0), Some(true)) => Some(Meaning::Unclear),
        (Some(0), _) => Some(Meaning::Taken),
        (Some(2111), _) => Some(Meaning::Refused(Code::Dialer2111)),
        (Some(2112), _) => line(Code::Dialer2112, None),
        (Some(2113), _) => line(Code::Dialer2113, None),
        (Some(2114), _) => line(Code::Dialer2114, None),
        (Some(2115), _) => line(Code::Dialer2115, None),
        (Some(2116), _) => line(Code::Dialer2116, Some(Duration::from_secs(15 * 60))),
        (Some(2117), _) => line(Code::Dialer2117, None),
        (Some(2118), _) => line(Code::Dialer2118, Some(DAY)),
        (Some(2222), _) => Some(Meaning::SystemError),
        (_, Some(true)) => line(Code::DialerUnknownCode, None),
        (Some(_), _) => Some(Meaning::Unclear),
        // Neither field is readable: the status decides.
        (None, _) => None,
    }
}

/// No header may hold every line longer.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

fn by_status(answer: &Answer, retry_503: bool) -> Meaning {
    match answer.status {
        429 => Meaning::NotSent {
            code: Code::DialerBusy,
            wait: answer.header("retry-after").and_then(|v| v.trim().parse().ok()).map(|secs| Duration::from_secs(secs).min(LONGEST_WAIT)),
        },
        300..=399 | 400 | 401 | 403 | 404 | 405 | 413 | 415 => Meaning::NotSent { code: Code::DialerMisconfigured, wait: Some(Duration::from_secs(300)) },
        503 if retry_503 => Meaning::NotSent { code: Code::DialerUnreachable, wait: None },
        _ => Meaning::Unclear,
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(n) => n.as_i64(),
        Value::String(s) => s.trim().parse().ok(),
        _ => None,
    }
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(b) => Some(*b),
        Value::String(s) if s.eq_ignore_ascii_case("true") => Some(true),
        Value::String(s) if s.eq_ignore_ascii_case("false") => Some(false),
        Value::Number(n) => n.as_i64().map(|n| n != 0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(status: u16, body: &str) -> Meaning {
        understand(Ok(Answer { status, headers: Vec::new(), body: Bytes::copy_from_slice(body.as_bytes()), truncated: false }), false).meaning
    }

    #[test]
    fn the_answer_table_line_by_line() {
        let line = |code, minutes: Option<u64>| Meaning::Line { code, probe: minutes.map(|m| Duration::from_secs(m * 60)) };
        let wrong_address = Meaning::NotSent { code: Code::DialerMisconfigured, wait: Some(Duration::from_secs(300)) };
        let rows = [
            (200, r#"{"errorCode":0,"hasError":false}"#, Meaning::Taken),
            (200, r#"{"errorCode":0}"#, Meaning::Taken),
            (200, r#"{"ErrorCode":"0","HasError":"false"}"#, Meaning::Taken),
            (200, r#"{"errorCode":2111,"hasError":true}"#, Meaning::Refused(Code::Dialer2111)),
            (200, r#"{"errorCode":2112,"hasError":true}"#, line(Code::Dialer2112, None)),
            (200, r#"{"errorCode":"2113","hasError":true}"#, line(Code::Dialer2113, None)),
            (200, r#"{"errorCode":2114,"hasError":true}"#, line(Code::Dialer2114, None)),
            (200, r#"{"errorCode":2115,"hasError":true}"#, line(Code::Dialer2115, None)),
            (200, r#"{"ERRORCODE":2116,"HASERROR":true}"#, line(Code::Dialer2116, Some(15))),
            (500, r#"{"errorCode":2117,"hasError":true}"#, line(Code::Dialer2117, None)),
            (200, r#"{"errorCode":2118,"hasError":true}"#, line(Code::Dialer2118, Some(1440))),
            (200, r#"{"errorCode":2222,"hasError":true}"#, Meaning::SystemError),
            (200, r#"{"errorCode":9999,"hasError":true}"#, line(Code::DialerUnknownCode, None)),
            (200, r#"{"hasError":true}"#, line(Code::DialerUnknownCode, None)),
            (200, r#"{"errorCode":0,"hasError":true}"#, Meaning::Unclear),
            (200, r#"{"ok":true}"#, Meaning::Unclear),
            (429, "", Meaning::NotSent { code: Code::DialerBusy, wait: None }),
            (302, "", wrong_address.clone()),
            (400, "", wrong_address.clone()),
            (401, "", wrong_address.clone()),
            (403, "", wrong_address.clone()),
            (404, "<html>", wrong_address.clone()),
            (405, "", wrong_address.clone()),
            (413, "", wrong_address.clone()),
            (415, "", wrong_address),
            (408, "", Meaning::Unclear),
            (500, "", Meaning::Unclear),
            (502, "<html>", Meaning::Unclear),
            (503, "", Meaning::Unclear),
            (504, "", Meaning::Unclear),
            (520, "", Meaning::Unclear),
            (200, "", Meaning::Unclear),
            (200, "<html></html>", Meaning::Unclear),
            (200, r#"{"errorCode":0,"hasEr"#, Meaning::Unclear),
        ];
        for (status, body, expected) in rows {
            assert_eq!(meaning(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn what_has_no_answer_is_told_apart() {
        let of = |error| understand(Err(error), false).meaning;
        assert_eq!(of(SendError::NotSent("refused".into())), Meaning::NotSent { code: Code::DialerUnreachable, wait: None });
        assert_eq!(of(SendError::Blocked("inner".into())), Meaning::Line { code: Code::OutboundBlocked, probe: None });
        assert_eq!(of(SendError::Unclear("reset".into())), Meaning::Unclear);
        assert_eq!(of(SendError::Withheld(Code::HoldStopped)), Meaning::Withheld(Code::HoldStopped));
    }

    #[test]
    fn a_503_is_trusted_only_by_setting() {
        let answer = || Ok(Answer { status: 503, ..Answer::default() });
        assert_eq!(understand(answer(), true).meaning, Meaning::NotSent { code: Code::DialerUnreachable, wait: None });
    }

    #[test]
    fn an_answer_over_the_size_cap_is_unclear() {
        let body = Bytes::from_static(br#"{"errorCode":0,"hasError":false}"#);
        assert_eq!(understand(Ok(Answer { status: 200, body, truncated: true, ..Answer::default() }), false).meaning, Meaning::Unclear);
    }
}
