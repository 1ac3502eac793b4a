//! A far end of the test's own: an HTTP server that keeps what it is sent and answers from a recording.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use callbridge::plugin::case::{Case, Exchange};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What every plugin begins with whose CRM is a far end: its parameter `site` is where that listens.
const HEAD: &str = r#"
[[parameters]]
id = "site"
title = { vi = "Địa chỉ", en = "Address" }
required = true

[bases.api]
url = "{{param.site}}"
allow_hosts = ["*"]
"#;

/// A delivery of one record with its number.
pub const ONE: &str = r#"
[[receive]]
name = "one"
[receive.map]
record_id = "$.id"
phone = "$.phone"
"#;

/// A look-up of the record's number.
pub const LOOKUP: &str = r#"
[[lookup]]
name = "lead"
path = "/leads/{{url record.id}}"
[lookup.map]
phone = "$.phone"
"#;

/// A note that can neither be looked for nor changed.
pub const NOTE: &str = r#"
[write_back.note]
title = { vi = "Ghi chú", en = "Note" }
identity = "none"
[[write_back.note.create]]
name = "create"
path = "/notes"
json = { text = "{{note.text}}" }
store = { id = "$.id" }
"#;

/// Writes such a plugin into its folder; `rest` is its manifest without that.
pub fn plugin(dir: &Path, id: &str, rest: &str) {
    std::fs::create_dir_all(dir.join(id)).unwrap();
    std::fs::write(dir.join(id).join("plugin.toml"), format!("spec = 1\nid = \"{id}\"\nname = \"{id}\"\n{HEAD}{rest}")).unwrap();
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub head: String,
    pub body: Vec<u8>,
}

impl Request {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()))
    }
}

/// Status, further header lines, body.
type Answers = Arc<dyn Fn(&Request) -> (u16, String, String) + Send + Sync>;

/// A running server.
pub struct FarEnd {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
}

impl FarEnd {
    pub async fn start(answers: impl Fn(&Request) -> (u16, String) + Send + Sync + 'static) -> FarEnd {
        FarEnd::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), answers)
    }

    /// On a listener that is there already.
    pub fn on(listener: TcpListener, answers: impl Fn(&Request) -> (u16, String) + Send + Sync + 'static) -> FarEnd {
        FarEnd::with(listener, move |request| {
            let (status, body) = answers(request);
            (status, Vec::new(), body)
        })
    }

    /// One that also answers with these headers.
    pub async fn telling(answers: impl Fn(&Request) -> (u16, Vec<(&'static str, String)>, String) + Send + Sync + 'static) -> FarEnd {
        FarEnd::with(TcpListener::bind("127.0.0.1:0").await.unwrap(), answers)
    }

    fn with(listener: TcpListener, answers: impl Fn(&Request) -> (u16, Vec<(&'static str, String)>, String) + Send + Sync + 'static) -> FarEnd {
        let answers = move |request: &Request| {
            let (status, headers, body) = answers(request);
            (status, headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>(), body)
        };
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (kept, answers): (_, Answers) = (Arc::clone(&seen), Arc::new(answers));
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&kept), Arc::clone(&answers)));
            }
        });
        FarEnd { address, seen, task }
    }

    /// One that answers each request of the cases as it was answered there, else 404.
    pub async fn recorded(cases: &[&Case]) -> FarEnd {
        let exchanges: Vec<Exchange> = cases
            .iter()
            .flat_map(|case| case.lookups.iter().flat_map(|(_, pairs)| pairs).chain(case.rounds.iter().flat_map(|round| &round.exchanges)))
            .cloned()
            .collect();
        FarEnd::start(move |request| {
            let found = exchanges.iter().find(|e| e.method == request.method && e.target == request.target);
            found.map_or((404, "{}".to_owned()), |e| (e.answer.status, String::from_utf8_lossy(&e.answer.body).into_owned()))
        })
        .await
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// Method and path of each request, in order.
    pub fn lines(&self) -> Vec<String> {
        self.requests().iter().map(|r| format!("{} {}", r.method, r.path())).collect()
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut socket: TcpStream, seen: Arc<Mutex<Vec<Request>>>, answers: Answers) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        let n = socket.read(&mut chunk).await.unwrap_or(0);
        if n == 0 {
            return;
        }
        bytes.extend_from_slice(&chunk[..n]);
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut first = head.split(' ');
        let (method, target) = (first.next().unwrap_or_default().to_owned(), first.next().unwrap_or_default().to_owned());
        let mut request = Request { method, target, head, body: Vec::new() };
        let length = request.header("content-length").map_or(0, |l| l.parse::<usize>().unwrap());
        if bytes.len() < end + 4 + length {
            continue;
        }
        request.body = bytes[end + 4..end + 4 + length].to_vec();
        let (status, headers, body) = answers(&request);
        seen.lock().unwrap().push(request);
        let answer =
            format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}connection: close\r\n\r\n{body}", body.len());
        let _ = socket.write_all(answer.as_bytes()).await;
        return;
    }
}
