//! Pairs of a transcript: a request that must be sent, and the answer it is given.

use bytes::Bytes;

use super::words;
use crate::domain::event::Delivery;
use crate::domain::request::{Answer, Verdict};
use crate::domain::time::Time;

/// What an answer is read as where the case says nothing.
pub const DONE: &str = "done";

/// A success that does not say what a step of the write-back keeps of it, or is a web page.
pub const UNREADABLE: &str = "unreadable";

/// A request that must be sent and the answer it is given.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// What the answer must be read as: the word after `<<<`.
    pub class: String,
    pub answer: Answer,
    /// The answer as written, kept by `--bless`.
    pub answer_text: String,
    /// File and line where it begins.
    pub at: String,
}

/// A file with its pairs.
pub type Pairs = (String, Vec<Exchange>);

/// The word of a case for what an answer means.
pub fn class_of(verdict: Verdict) -> String {
    match verdict {
        Verdict::Done => DONE.to_owned(),
        Verdict::Retry { after: None } => "retry".to_owned(),
        Verdict::Retry { after: Some(after) } if after.subsec_millis() == 0 => format!("retry {}s", after.as_secs()),
        Verdict::Retry { after: Some(after) } => format!("retry {}ms", after.as_millis()),
        Verdict::RefreshToken => "refresh_token".to_owned(),
        Verdict::Misconfigured => "misconfigured".to_owned(),
        Verdict::GiveUp => "give_up".to_owned(),
        Verdict::Gone => "gone".to_owned(),
        Verdict::NotFound => "not_found".to_owned(),
    }
}

/// The text of a file; the error names it.
pub fn text<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, String> {
    std::str::from_utf8(bytes).map_err(|_| format!("{file}: not UTF-8"))
}

/// Every pair of a file.
pub fn pairs(file: &str, bytes: &[u8]) -> Result<Pairs, String> {
    let source = text(file, bytes)?.replace("\r\n", "\n");
    let (mut pairs, mut line) = (Vec::new(), 1);
    for pair in source.split("\n===\n") {
        let begin = line + pair.chars().take_while(|c| c.is_whitespace()).filter(|c| *c == '\n').count();
        line += pair.matches('\n').count() + 2;
        if !pair.trim().is_empty() {
            let at = format!("{file}:{begin}");
            let read = exchange(pair.trim()).map_err(|why| format!("{at}: {why}"))?;
            pairs.push(Exchange { at, ..read });
        }
    }
    Ok((file.to_owned(), pairs))
}

type Head = (String, Vec<(String, String)>);

/// The first line, the headers with names in lower case, and where the body begins.
fn head_of(bytes: &[u8]) -> Option<(Head, usize)> {
    let crlf = bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| (at, at + 4));
    let lf = bytes.windows(2).position(|w| w == b"\n\n").map(|at| (at, at + 2));
    let (end, body) = crlf.into_iter().chain(lf).min().unwrap_or((bytes.len(), bytes.len()));
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.lines().map(str::trim_end);
    let first = lines.next()?.to_owned();
    let headers = lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned())).collect();
    Some(((first, headers), body))
}

/// A delivery as it is written down.
pub fn delivery(bytes: &[u8], tail: &str, clock: Time) -> Option<Delivery> {
    let ((first, headers), body) = head_of(bytes)?;
    let mut words = first.split_whitespace();
    let (method, target) = (words.next()?, words.next()?);
    let host = headers.iter().find(|(name, _)| name == "host").map_or("localhost", |(_, value)| value.as_str());
    let uri = if target.starts_with("http") { target.to_owned() } else { format!("https://{host}{target}") };
    let query = target.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default();
    Some(Delivery {
        method: method.to_owned(),
        uri,
        tail: tail.trim_matches('/').to_owned(),
        query,
        headers,
        body: Bytes::copy_from_slice(&bytes[body..]),
        received_at: clock,
    })
}

/// The line between request and answer: where it begins, the word on it, where the answer begins.
fn divide(pair: &str) -> Option<(usize, &str, usize)> {
    let mut at = 0;
    for line in pair.split_inclusive('\n') {
        let after = line.trim_end().strip_prefix("<<<").filter(|rest| rest.is_empty() || rest.starts_with(' '));
        if let Some(word) = after {
            return Some((at, word.trim(), at + line.len()));
        }
        at += line.len();
    }
    None
}

fn exchange(pair: &str) -> Result<Exchange, String> {
    let pair = pair.strip_prefix(">>>\n").ok_or("a pair begins with a line `>>>`")?;
    let (request, class, answer) = match divide(pair) {
        Some((end, class, begin)) => (&pair[..end], class, &pair[begin..]),
        None => (pair, "", ""),
    };
    words::of_class(if class.is_empty() { DONE } else { class })?;
    let answer = if answer.trim().is_empty() { "HTTP/1.1 200 OK\n" } else { answer };
    let ((first, headers), body) = head_of(request.as_bytes()).ok_or("the request cannot be read")?;
    let mut words = first.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err("the request has no first line".to_owned()) };
    let body = request.get(body..).unwrap_or_default().trim().to_owned();
    let ((status, answer_headers), answer_body) = head_of(answer.as_bytes()).ok_or("the answer cannot be read")?;
    let status = status.split_whitespace().nth(1).and_then(|status| status.parse().ok()).ok_or("the answer has no status")?;
    let answer_body = Bytes::from(answer.get(answer_body..).unwrap_or_default().trim().to_owned());
    Ok(Exchange {
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        body,
        class: if class.is_empty() { DONE.to_owned() } else { class.to_owned() },
        answer: Answer { status, headers: answer_headers, body: answer_body, truncated: false },
        answer_text: answer.trim_end().to_owned(),
        at: String::new(),
    })
}
