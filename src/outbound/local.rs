//! The CLI's way to the server of this machine: HTTP over the unix socket in the store's directory.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// Why the server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// No socket, or one that a server left behind.
    #[error("no server is running")]
    NoServer,
    #[error("the server's socket cannot be opened: {0}")]
    Socket(std::io::Error),
    #[error("the server did not answer: {0}")]
    NoAnswer(String),
}

/// A client of one socket.
pub struct Local {
    client: reqwest::Client,
}

impl Local {
    /// Tries the socket first: a file without a server behind it is no server.
    pub async fn open(socket: &Path) -> Result<Self, LocalError> {
        match tokio::net::UnixStream::connect(socket).await {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory) => {
                return Err(LocalError::NoServer);
            }
            Err(error) => return Err(LocalError::Socket(error)),
        }
        let client = reqwest::Client::builder()
            .unix_socket(socket.to_owned())
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            // No TLS goes over the socket: the system's certificates need not be read.
            .tls_certs_only([])
            // A backup of a large store takes its time.
            .timeout(Duration::from_secs(3600))
            .build()
            .map_err(|error| LocalError::NoAnswer(error.to_string()))?;
        Ok(Self { client })
    }

    /// One request; `path` with its query. An answer that is not JSON is given as text.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value), LocalError> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).map_err(|error| LocalError::NoAnswer(error.to_string()))?;
        let mut request = self.client.request(method, format!("http://localhost{path}"));
        if let Some(body) = body {
            request = request.json(body);
        }
        Self::send(request).await
    }

    /// Posts a body as it is.
    pub async fn post(&self, path: &str, content_type: &str, body: bytes::Bytes) -> Result<(u16, Value), LocalError> {
        Self::send(self.client.post(format!("http://localhost{path}")).header("content-type", content_type).body(body)).await
    }

    async fn send(request: reqwest::RequestBuilder) -> Result<(u16, Value), LocalError> {
        let no_answer = |error: reqwest::Error| LocalError::NoAnswer(error.to_string());
        let answer = request.send().await.map_err(no_answer)?;
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.map_err(no_answer)?;
        let value = serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok((status, value))
    }
}
