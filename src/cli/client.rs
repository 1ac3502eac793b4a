//! How commands reach the bridge: through the running server's socket, else by opening the store here and asking the same routes.

use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::args::Cli;
use super::bridge::{Bridge, Role};
use super::output::{FAILED, Failed, NOT_FOUND, NOT_POSSIBLE, TROUBLE, USAGE};
use crate::config::{self, Settings, Sources};
use crate::outbound::local::{Local, LocalError};

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The API, wherever it is.
pub struct Server {
    client: Local,
    /// No server was running: this process has the store open until it is done.
    own: Option<Bridge>,
}

/// Runs `work` with the API and closes what had to be opened for it.
pub async fn with<R>(cli: &Cli, work: impl AsyncFnOnce(&Server) -> anyhow::Result<R>) -> anyhow::Result<R> {
    let sources = cli.sources();
    let server = match config::load(&sources) {
        Ok(settings) => Server::open(settings).await?,
        // A running server has its settings. To reach it, only its store has to be known: stop must work where the service's secrets are not.
        Err(error) => Server::reach(&sources).await.ok_or(error)?,
    };
    let result = work(&server).await;
    if let Some(bridge) = server.own {
        bridge.stop().await;
    }
    result
}

/// What a running server answers; `None`: there is none, or it is of another kind.
pub async fn running(settings: &Settings, path: &str) -> Option<Value> {
    let client = Local::open(&settings.store.socket()).await.ok()?;
    Server { client, own: None }.get(path).await.ok()
}

impl Server {
    async fn open(settings: Settings) -> anyhow::Result<Self> {
        let socket = settings.store.socket();
        match Local::open(&socket).await {
            Ok(client) => return Ok(Self { client, own: None }),
            Err(LocalError::NoServer) => {}
            Err(error) => return Err(trouble(error, &socket).into()),
        }
        let path = &settings.store.path;
        if !holds_something(path) {
            let message = format!(
                "no server is running, and there is no store in {} yet: give the server's --config, or start it once with `callbridge serve`",
                path.display()
            );
            return Err(Failed::new(TROUBLE, message).into());
        }
        let bridge = Bridge::start(settings, None, Role::Web, true)
            .map_err(|error| Failed::new(TROUBLE, format!("no server answers on {}, and {error:#}", socket.display())))?;
        let client = Local::open(&socket).await.map_err(|error| trouble(error, &socket))?;
        Ok(Self { client, own: Some(bridge) })
    }

    async fn reach(sources: &Sources) -> Option<Self> {
        let store = config::store(sources)?;
        let client = Local::open(&store.socket()).await.ok()?;
        Some(Self { client, own: None })
    }

    /// A server runs, so that what is asked for happens now.
    pub fn is_running(&self) -> bool {
        self.own.is_none()
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.ask("POST", path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.ask("DELETE", path, None).await
    }

    /// Posts a body as it is.
    pub async fn post_text(&self, path: &str, content_type: &str, body: bytes::Bytes) -> anyhow::Result<Value> {
        let answer = self.client.post(&format!("/api/v1{path}"), content_type, body).await;
        let (status, answer) = answer.map_err(|error| Failed::new(TROUBLE, error.to_string()))?;
        if (200..300).contains(&status) { Ok(answer) } else { Err(of_problem(status, &answer).into()) }
    }

    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let (status, answer) = self.client.ask(method, &format!("/api/v1{path}"), body).await.map_err(|error| Failed::new(TROUBLE, error.to_string()))?;
        if (200..300).contains(&status) { Ok(answer) } else { Err(of_problem(status, &answer).into()) }
    }
}

fn trouble(error: LocalError, socket: &Path) -> Failed {
    Failed::new(TROUBLE, format!("{error} ({})", socket.display()))
}

fn holds_something(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
}

/// What the API says is wrong, as one message and an exit code.
fn of_problem(status: u16, problem: &Value) -> Failed {
    let part = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default();
    let code = match status {
        404 => NOT_FOUND,
        409 => NOT_POSSIBLE,
        400 | 422 => USAGE,
        500.. => TROUBLE,
        _ => FAILED,
    };
    let mut message = match (part("title"), part("detail")) {
        ("", "") => format!("the server answered {status}"),
        (title, "") => title.to_owned(),
        // The general sentence says nothing beside the exact one.
        (_, detail) if matches!(part("code"), "not_found" | "conflict" | "bad_request") => detail.to_owned(),
        (title, detail) => format!("{title}: {detail}"),
    };
    if !matches!(part("code"), "not_found" | "conflict" | "bad_request") && !part("advice").is_empty() {
        message.push_str("\n  ");
        message.push_str(part("advice"));
    }
    Failed::new(code, message)
}

/// One piece of a path or of a query.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// `?a=1&b=2` of what is given.
pub fn query(pairs: &[(&str, Option<String>)]) -> String {
    let given: Vec<String> = pairs.iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded(value.as_ref()?)))).collect();
    if given.is_empty() { String::new() } else { format!("?{}", given.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_becomes_one_sentence_and_a_code() {
        let problem = serde_json::json!({"code": "hold_paused", "title": "the line is paused", "detail": "x", "advice": "Resume it."});
        let failed = of_problem(409, &problem);
        assert_eq!((failed.code, failed.message.as_str()), (NOT_POSSIBLE, "the line is paused: x\n  Resume it."));
        assert_eq!(
            of_problem(404, &serde_json::json!({"code": "not_found", "title": "t", "detail": "there is no line `x`", "advice": "a"})).message,
            "there is no line `x`"
        );
    }

    #[test]
    fn what_is_not_given_is_not_asked() {
        assert_eq!(query(&[("state", None), ("connection", Some("a b".into())), ("limit", Some("3".into()))]), "?connection=a%20b&limit=3");
        assert_eq!(query(&[("state", None)]), "");
    }
}
