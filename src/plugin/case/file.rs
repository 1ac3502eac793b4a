//! Reading the files of a case.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;

use crate::domain::event::Delivery;
use crate::domain::request::Answer;
use crate::domain::time::Time;
use crate::plugin::{Params, Plugin};

/// One transcript.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub title: String,
    pub origin: String,
    pub clock: Time,
    /// The tail of the webhook's address.
    pub hook: String,
    pub language: String,
    pub parameters: Params,
    pub expect: Expect,
    pub webhook: Delivery,
    /// The login's requests; its file, too.
    pub logins: Option<(String, Vec<Exchange>)>,
    /// What handshakes and subscriptions stored before, under their dotted names.
    pub stored: Params,
    /// What a login gave before, by name.
    pub tokens: Params,
    /// File name and pairs.
    pub lookups: Vec<(String, Vec<Exchange>)>,
    pub call: Option<(String, serde_json::Value)>,
    /// Reports with the write-back that follows; a write-back without a report comes first: the call was lost or refused.
    pub rounds: Vec<Round>,
}

/// A report and what is written back after it.
#[derive(Debug, Clone, Default)]
pub struct Round {
    pub report: Option<Vec<u8>>,
    pub file: Option<String>,
    pub exchanges: Vec<Exchange>,
}

/// What is to come out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub status: Option<u16>,
    #[serde(default)]
    pub outcome: String,
    #[serde(default)]
    pub code: String,
    pub items: Option<usize>,
    #[serde(default)]
    pub outcomes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    title: String,
    #[serde(default)]
    origin: String,
    clock: String,
    #[serde(default)]
    hook: String,
    #[serde(default = "vi")]
    language: String,
    #[serde(default)]
    parameters: Params,
    #[serde(default)]
    captured: Params,
    #[serde(default)]
    subscription: BTreeMap<String, Params>,
    #[serde(default)]
    token: Params,
    expect: Expect,
}

impl Head {
    /// What was stored before, under its dotted names.
    fn stored(&self) -> Params {
        let named = |root: &str, map: &Params| map.iter().map(|(name, value)| (format!("{root}.{name}"), value.clone())).collect::<Vec<_>>();
        let subscriptions = self.subscription.iter().flat_map(|(name, map)| named(&format!("subscription.{name}"), map));
        named("captured", &self.captured).into_iter().chain(subscriptions).collect()
    }
}

/// The JSON Schema of `case.toml`.
pub fn schema() -> serde_json::Value {
    crate::plugin::schema::schema::<Head>("callbridge: case.toml")
}

fn vi() -> String {
    "vi".to_owned()
}

/// A request that must be sent and the answer it is given.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub answer: Answer,
    /// The answer as written, kept by `--bless`.
    pub answer_text: String,
}

impl Plugin {
    /// The names of its cases.
    pub fn case_names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.files().filter_map(|(path, _)| path.strip_prefix("cases/")?.split_once('/').map(|(name, _)| name.to_owned())).collect();
        names.dedup();
        names
    }

    /// Reads one case; the error says what is wrong with it.
    pub fn case(&self, name: &str) -> Result<Case, String> {
        let prefix = format!("cases/{name}/");
        let files: BTreeMap<&str, &[u8]> = self.files().filter_map(|(path, bytes)| Some((path.strip_prefix(&prefix)?, bytes))).collect();
        Case::read(name, &files)
    }
}

impl Case {
    pub fn read(name: &str, files: &BTreeMap<&str, &[u8]>) -> Result<Case, String> {
        let head: Head =
            toml::from_str(text("case.toml", files.get("case.toml").copied().ok_or("there is no case.toml")?)?).map_err(|e| format!("case.toml: {e}"))?;
        let clock = Time::parse_rfc3339(&head.clock).ok_or("case.toml: `clock` is not RFC 3339")?;
        let mut numbered: Vec<(u32, &str, &str, &[u8])> = Vec::new();
        for (file, bytes) in files.iter().filter(|(file, _)| **file != "case.toml") {
            let parts = file.split_once('-').and_then(|(number, kind)| Some((number.parse().ok()?, kind)));
            let (number, kind) = parts.ok_or_else(|| format!("{file}: a file of a case is called <number>-<kind>"))?;
            numbered.push((number, kind, file, bytes));
        }
        numbered.sort_by_key(|(number, ..)| *number);
        let webhook = numbered.iter().find(|(_, kind, ..)| *kind == "webhook.http").ok_or("there is no 1-webhook.http")?;
        let webhook = delivery(webhook.3, &head.hook, clock).ok_or_else(|| format!("{}: this is no HTTP request", webhook.2))?;
        let (mut logins, mut lookups, mut call, mut rounds): (_, Vec<_>, _, Vec<Round>) = (None, Vec::new(), None, Vec::new());
        for (_, kind, file, bytes) in numbered {
            match kind {
                "webhook.http" => {}
                "token.http" => logins = Some((file.to_owned(), exchanges(text(file, bytes)?).map_err(|why| format!("{file}: {why}"))?)),
                "lookup.http" => lookups.push((file.to_owned(), exchanges(text(file, bytes)?).map_err(|why| format!("{file}: {why}"))?)),
                "call.json" => call = Some((file.to_owned(), serde_json::from_slice(bytes).map_err(|e| format!("{file}: {e}"))?)),
                "report.json" => rounds.push(Round { report: Some(bytes.to_vec()), ..Round::default() }),
                "write-back.http" => {
                    let pairs = exchanges(text(file, bytes)?).map_err(|why| format!("{file}: {why}"))?;
                    match rounds.last_mut().filter(|round| round.file.is_none()) {
                        Some(round) => (round.file, round.exchanges) = (Some(file.to_owned()), pairs),
                        None => rounds.push(Round { report: None, file: Some(file.to_owned()), exchanges: pairs }),
                    }
                }
                _ => return Err(format!("{file}: expected token.http, webhook.http, lookup.http, call.json, report.json or write-back.http after the number")),
            }
        }
        let stored = head.stored();
        let (name, title, origin) = (name.to_owned(), head.title, head.origin);
        let (hook, language, parameters, tokens, expect) = (head.hook, head.language, head.parameters, head.token, head.expect);
        Ok(Case { name, title, origin, clock, hook, language, parameters, expect, webhook, logins, stored, tokens, lookups, call, rounds })
    }
}

fn text<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, String> {
    std::str::from_utf8(bytes).map_err(|_| format!("{file}: not UTF-8"))
}

type Head1 = (String, Vec<(String, String)>);

/// The first line, the headers with names in lower case, and where the body begins.
fn head_of(bytes: &[u8]) -> Option<(Head1, usize)> {
    let crlf = bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| (at, at + 4));
    let lf = bytes.windows(2).position(|w| w == b"\n\n").map(|at| (at, at + 2));
    let (end, body) = crlf.into_iter().chain(lf).min().unwrap_or((bytes.len(), bytes.len()));
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.lines().map(str::trim_end);
    let first = lines.next()?.to_owned();
    let headers = lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned())).collect();
    Some(((first, headers), body))
}

fn delivery(bytes: &[u8], tail: &str, clock: Time) -> Option<Delivery> {
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

fn exchanges(source: &str) -> Result<Vec<Exchange>, String> {
    let source = source.replace("\r\n", "\n");
    source.split("\n===\n").map(str::trim).filter(|pair| !pair.is_empty()).map(exchange).collect()
}

fn exchange(pair: &str) -> Result<Exchange, String> {
    let pair = pair.strip_prefix(">>>\n").ok_or("a pair begins with a line `>>>`")?;
    let (request, answer) = match pair.split_once("\n<<<\n") {
        Some((request, answer)) => (request, answer),
        None => (pair.strip_suffix("\n<<<").unwrap_or(pair), "HTTP/1.1 200 OK\n"),
    };
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
        answer: Answer { status, headers: answer_headers, body: answer_body, truncated: false },
        answer_text: answer.trim_end().to_owned(),
    })
}
