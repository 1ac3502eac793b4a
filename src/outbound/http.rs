//! The one HTTP client: time limits, size caps, no redirects, no retries of its own, rustls with ring.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use reqwest::redirect;

use super::guard::{Blocked, Guard};
use crate::domain::request::{Answer, Outbound};
use crate::error::Code;
use crate::failpoint::{self, Around};

/// Limits of a client.
#[derive(Debug, Clone)]
pub struct Limits {
    pub connect: Duration,
    /// From the first byte out to the last byte in.
    pub total: Duration,
    pub body_bytes: usize,
    /// A fresh connection for each request: a stale one must not make a call look maybe placed.
    pub fresh: bool,
    /// PEM certificates to trust beside the system's.
    pub ca_pem: Option<Vec<u8>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(30), body_bytes: 1 << 20, fresh: false, ca_pem: None }
    }
}

/// Why there is no answer. The class says whether the request may have arrived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// DNS, refused, connect timeout, TLS handshake: no request byte was written.
    #[error("not sent: {0}")]
    NotSent(String),
    /// Our own guard, or a certificate that does not fit: a person must act.
    #[error("not sent: {0}")]
    Blocked(String),
    /// Kept back at the last moment: no byte of its body was given out.
    #[error("not sent: {}", .0.sentence("en"))]
    Withheld(Code),
    /// It may have arrived.
    #[error("no clear answer: {0}")]
    Unclear(String),
}

/// A client that is made on first use: reading the root certificates takes 45 ms.
pub struct Http {
    guard: Guard,
    limits: Limits,
    /// Its failure points.
    points: Around,
    client: OnceLock<Result<reqwest::Client, String>>,
}

impl Http {
    pub fn new(points: Around, guard: Guard, limits: Limits) -> Self {
        Self { guard, limits, points, client: OnceLock::new() }
    }

    fn client(&self) -> Result<&reqwest::Client, SendError> {
        self.client.get_or_init(|| build(&self.guard, &self.limits)).as_ref().map_err(|e| SendError::Blocked(e.clone()))
    }

    /// Makes the client now, so that the first request does not wait for it.
    pub fn warm_up(&self) {
        let _ = self.client();
    }

    /// Sends once. Never logs: address and headers may hold secrets.
    pub async fn send(&self, request: &Outbound) -> Result<Answer, SendError> {
        self.send_body(request, request.body.clone().into()).await
    }

    /// Sends once and drops `held` as soon as the request is written, or given up: what it holds back waits no longer than that.
    ///
    /// `last_word` is asked when the connection stands, which may be seconds later, and before the body is given out: what it names keeps
    /// the request here.
    pub async fn send_holding(
        &self,
        request: &Outbound,
        held: impl Send + Sync + Unpin + 'static,
        last_word: impl Fn() -> Option<Code> + Send + Sync + Unpin + 'static,
    ) -> Result<Answer, SendError> {
        let fate = Arc::new(OnceLock::new());
        let body = Holding { bytes: Some(request.body.clone()), last_word, fate: Arc::clone(&fate), _held: held };
        let answer = self.send_body(request, reqwest::Body::wrap(body)).await;
        match (fate.get_or_init(|| Fate::GivenUp), answer) {
            // Whatever the far end said to a request without its body.
            (Fate::Withheld(code), _) => Err(SendError::Withheld(*code)),
            // The time was over before the connection stood, and from now on nothing is given out.
            (Fate::GivenUp, Err(SendError::Unclear(why))) => Err(SendError::NotSent(why)),
            (_, answer) => answer,
        }
    }

    async fn send_body(&self, request: &Outbound, body: reqwest::Body) -> Result<Answer, SendError> {
        let url = url::Url::parse(&request.url).map_err(|e| SendError::Blocked(format!("the address is not readable: {e}")))?;
        self.guard.check_url(&url).map_err(|e| SendError::Blocked(e.to_string()))?;
        let host = url.host_str().unwrap_or_default();
        if !request.allow_hosts.is_empty() && !request.allow_hosts.iter().any(|pattern| crate::plugin::compose::host_matches(pattern, host)) {
            return Err(SendError::Blocked(format!("{host} is not a host of this plugin")));
        }
        let method = reqwest::Method::from_bytes(request.method.as_bytes()).map_err(|e| SendError::Blocked(e.to_string()))?;
        let mut built = self.client()?.request(method, url).body(body);
        for (name, value) in &request.headers {
            built = built.header(name.as_str(), value.as_str());
        }
        let built = built.build().map_err(|e| SendError::Blocked(plain(&e)))?;
        failpoint::hit(self.points.before);
        let answer = self.exchange(built).await;
        failpoint::hit(self.points.after);
        answer
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<Answer, SendError> {
        let mut response = self.client()?.execute(request).await.map_err(|e| classify(&e))?;
        let status = response.status().as_u16();
        let headers =
            response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect();
        let mut body = BytesMut::new();
        let mut truncated = false;
        while let Some(chunk) = response.chunk().await.map_err(|e| SendError::Unclear(plain(&e)))? {
            let room = self.limits.body_bytes.saturating_sub(body.len());
            truncated |= chunk.len() > room;
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if truncated {
                break;
            }
        }
        Ok(Answer { status, headers, body: body.freeze(), truncated })
    }
}

/// What became of a body. It is decided once, by the connection that asks for it or by who waits no longer.
#[derive(Debug, Clone, Copy)]
enum Fate {
    GivenOut,
    Withheld(Code),
    GivenUp,
}

/// A body that ends what it holds when it was written: the connection drops a body after its last byte.
///
/// It is given out in one piece or never: the request says its length, so that none without it is whole.
struct Holding<H, W> {
    bytes: Option<Bytes>,
    last_word: W,
    fate: Arc<OnceLock<Fate>>,
    _held: H,
}

impl<H: Unpin, W: Fn() -> Option<Code> + Unpin> http_body::Body for Holding<H, W> {
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        if self.bytes.is_none() {
            return Poll::Ready(None);
        }
        let fate = *self.fate.get_or_init(|| (self.last_word)().map_or(Fate::GivenOut, Fate::Withheld));
        Poll::Ready(match fate {
            Fate::GivenOut => self.bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Fate::Withheld(code) => Some(Err(SendError::Withheld(code))),
            Fate::GivenUp => Some(Err(SendError::NotSent("given up".into()))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    /// Known: the request says its length and is not sent in chunks.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

fn build(guard: &Guard, limits: &Limits) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(limits.connect)
        .timeout(limits.total)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .http1_only()
        .referer(false)
        .user_agent(concat!("callbridge/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(std::sync::Arc::new(guard.clone()));
    if limits.fresh {
        builder = builder.pool_max_idle_per_host(0);
    }
    if let Some(pem) = &limits.ca_pem {
        for certificate in reqwest::Certificate::from_pem_bundle(pem).map_err(|e| e.to_string())? {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(|e| format!("the HTTP client cannot be made: {e}"))
}

/// `is_connect` is also true for DNS and for the guard's own refusal: they are told apart here.
fn classify(error: &reqwest::Error) -> SendError {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(blocked) = cause.downcast_ref::<Blocked>() {
            return SendError::Blocked(blocked.to_string());
        }
        if let Some(rustls::Error::InvalidCertificate(why)) = cause.downcast_ref::<rustls::Error>() {
            return SendError::Blocked(format!("the certificate does not fit: {why:?}"));
        }
        // rustls errors travel inside an io::Error.
        if let Some(inner) = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
            && let Some(rustls::Error::InvalidCertificate(why)) = inner.downcast_ref::<rustls::Error>()
        {
            return SendError::Blocked(format!("the certificate does not fit: {why:?}"));
        }
        source = cause.source();
    }
    if error.is_connect() || error.is_builder() { SendError::NotSent(plain(error)) } else { SendError::Unclear(plain(error)) }
}

/// The innermost sentence, without the address, which may hold a secret.
fn plain(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "timed out".to_owned() } else { String::new() };
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.source().is_none() {
            if !text.is_empty() {
                text.push_str(": ");
            }
            let said = cause.to_string();
            text.push_str(said.split_once(" (os error ").map_or(said.as_str(), |(words, _)| words));
        }
        source = cause.source();
    }
    if text.is_empty() { "the request failed".into() } else { text }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn http(limits: Limits) -> Http {
        drop(rustls::crypto::ring::default_provider().install_default());
        Http::new(failpoint::DIALER_SEND, Guard::new(vec!["127.0.0.0/8".parse().unwrap()]), limits)
    }

    fn request(to: std::net::SocketAddr) -> Outbound {
        let url = format!("http://{to}/callone/");
        Outbound { method: "POST".into(), url, headers: Vec::new(), body: Bytes::from_static(b"{}"), allow_hosts: Vec::new() }
    }

    /// Sends to a listener of its own; what came of it, and all that arrived there.
    async fn sent(last_word: impl Fn() -> Option<Code> + Send + Sync + Unpin + 'static) -> (Result<Answer, SendError>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let request = request(listener.local_addr().unwrap());
        let far = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let (mut all, mut chunk) = (Vec::new(), [0; 1024]);
            while !all.ends_with(b"{}") {
                match socket.read(&mut chunk).await {
                    Ok(n) if n > 0 => all.extend_from_slice(&chunk[..n]),
                    _ => return all,
                }
            }
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            all
        });
        let http = http(Limits { fresh: true, ..Limits::default() });
        let answer = http.send_holding(&request, (), last_word).await;
        drop(http);
        (answer, far.await.unwrap())
    }

    #[tokio::test]
    async fn a_request_that_is_withheld_when_its_connection_stands_gives_out_nothing_of_its_body() {
        let (answer, arrived) = sent(|| Some(Code::HoldStopped)).await;
        assert_eq!(answer.map(|answer| answer.status), Err(SendError::Withheld(Code::HoldStopped)));
        assert_eq!(String::from_utf8_lossy(&arrived), "", "not even its head");
    }

    #[tokio::test]
    async fn a_request_whose_connection_did_not_stand_in_its_whole_time_was_not_sent() {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let short = Duration::from_millis(200);
        let mut others = Vec::new();
        while let Ok(Ok(other)) = tokio::time::timeout(short, tokio::net::TcpStream::connect(address)).await {
            others.push(other);
        }
        let answer = http(Limits { total: short, ..Limits::default() }).send_holding(&request(address), (), || None).await;
        assert!(matches!(&answer, Err(SendError::NotSent(why)) if why.starts_with("timed out")), "{answer:?}");
    }

    #[tokio::test]
    async fn the_last_word_is_asked_once_and_not_about_what_has_left() {
        let asked = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let (answer, arrived) = sent(move || (count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0).then_some(Code::HoldStopped)).await;
        assert_eq!(answer.map(|answer| answer.status), Ok(200));
        assert!(arrived.ends_with(b"{}"));
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
}
