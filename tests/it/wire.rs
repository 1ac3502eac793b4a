//! Requests byte by byte, as programs put them on the wire that no HTTP library of ours would write.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug)]
pub struct Raw {
    pub status: u16,
    /// As received.
    pub head: String,
    pub body: Vec<u8>,
}

impl Raw {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

/// Writes `request` as it is and reads one answer. `None`: the server closed the connection without a byte.
pub async fn send(address: &str, request: &[u8]) -> Option<Raw> {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request).await.unwrap();
    answer(&mut socket, Duration::from_secs(10)).await
}

/// A POST with exactly these header lines (host and length are added) and this body.
/// A GET without a body.
pub async fn get(address: &str, path: &str, headers: &[&str]) -> Raw {
    let head: String = headers.iter().map(|h| format!("{h}\r\n")).collect();
    send(address, format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{head}\r\n").as_bytes()).await.expect("an answer")
}

pub async fn post(address: &str, path: &str, headers: &[&str], body: &[u8]) -> Raw {
    let mut request = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len()));
    let mut bytes = request.into_bytes();
    bytes.extend_from_slice(body);
    send(address, &bytes).await.expect("an answer")
}

/// Reads one answer by its length, or to the end.
pub async fn answer(socket: &mut TcpStream, within: Duration) -> Option<Raw> {
    let mut seen = Vec::new();
    let reading = async {
        let mut chunk = [0; 8192];
        loop {
            let n = socket.read(&mut chunk).await.unwrap_or(0);
            seen.extend_from_slice(&chunk[..n]);
            let end = seen.windows(4).position(|w| w == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8_lossy(&seen[..end]).into_owned();
                let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
                let raw = Raw { status, head, body: seen[end + 4..].to_vec() };
                let length = raw.header("content-length").and_then(|l| l.parse::<usize>().ok());
                if n == 0 || length.is_some_and(|l| raw.body.len() >= l) || status == 204 {
                    return Some(raw);
                }
            } else if n == 0 {
                return None;
            }
        }
    };
    tokio::time::timeout(within, reading).await.unwrap_or_else(|_| panic!("no answer within {within:?}"))
}
