//! The vendor's API and its phones for the full loop, with as little work as it can be done with: the simulator's own server took a
//! third of what the bridge did. It answers on fresh connections, remembers each call id, and posts each report on kept connections.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::client::{Client, extent};

/// Connections on which reports are posted.
const POSTERS: usize = 64;
/// A call rings and talks between these times, 0.6 s on average.
const RING_MS: (u64, u64) = (200, 1_000);
/// A report that was not taken is posted again so often.
const AGAIN: usize = 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallOne {
    secret_key: String,
    customer_phone: String,
    call_id: String,
    api_callback_url: String,
}

#[derive(Default)]
struct Seen {
    /// By call id: how often it was dialled.
    dialled: HashMap<String, u32>,
    replies: HashMap<u32, u64>,
}

struct Phones {
    keys: HashSet<String>,
    seen: Mutex<Seen>,
    posters: Vec<mpsc::UnboundedSender<(SocketAddr, Vec<u8>)>>,
    next: AtomicUsize,
}

/// Serves for ever.
pub async fn serve(listener: TcpListener, keys: Vec<String>) {
    let posters = (0..POSTERS).map(|_| {
        let (jobs, queue) = mpsc::unbounded_channel();
        tokio::spawn(post(queue));
        jobs
    });
    let phones = Arc::new(Phones { keys: keys.into_iter().collect(), seen: Mutex::default(), posters: posters.collect(), next: AtomicUsize::new(0) });
    while let Ok((stream, _)) = listener.accept().await {
        let phones = Arc::clone(&phones);
        tokio::spawn(async move {
            let _ = answer(stream, &phones).await;
        });
    }
}

/// One request, one answer, and the connection closes, as the bridge wants it.
async fn answer(mut stream: TcpStream, phones: &Arc<Phones>) -> anyhow::Result<()> {
    let mut buffer = Vec::with_capacity(2048);
    let (head, whole) = loop {
        anyhow::ensure!(stream.read_buf(&mut buffer).await? > 0, "closed before the request was whole");
        if let Some((head, whole)) = extent(&buffer).filter(|(_, whole)| buffer.len() >= *whole) {
            break (head, whole);
        }
    };
    let body = if buffer.starts_with(b"GET") { phones.stats() } else { phones.take(&buffer[head..whole])? };
    let text = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}

impl Phones {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stats(&self) -> String {
        let seen = self.seen();
        let twice = seen.dialled.values().filter(|times| **times > 1).count();
        serde_json::json!({"dialled_twice": twice, "dialled": seen.dialled.len(), "replies": seen.replies}).to_string()
    }

    /// Takes a call and lets it ring.
    fn take(self: &Arc<Self>, body: &[u8]) -> anyhow::Result<String> {
        let call: CallOne = serde_json::from_slice(body)?;
        let code = if self.keys.contains(&call.secret_key) { 0 } else { 2112 };
        let times = {
            let mut seen = self.seen();
            *seen.replies.entry(code).or_default() += 1;
            let times = seen.dialled.entry(call.call_id.clone()).or_default();
            *times += u32::from(code == 0);
            *times
        };
        if code == 0 && times == 1 {
            let phones = Arc::clone(self);
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                // Spread evenly without dice: 7919 has no factor in common with the span.
                let ring = RING_MS.0 + (n as u64 * 7919) % (RING_MS.1 - RING_MS.0);
                tokio::time::sleep(Duration::from_millis(ring)).await;
                if let Ok(job) = report(&call) {
                    let _ = phones.posters[n % POSTERS].send(job);
                }
            });
        }
        Ok(format!("{{\"errorCode\":{code},\"hasError\":{}}}", code != 0))
    }
}

/// Where a report goes, and the whole request.
fn report(call: &CallOne) -> anyhow::Result<(SocketAddr, Vec<u8>)> {
    let rest = call.api_callback_url.strip_prefix("http://").context("not http")?;
    let (host, path) = rest.split_once('/').context("no path")?;
    let body = format!(
        "{{\"Phone\":\"{}\",\"Name\":\"\",\"Gender\":\"\",\"Info\":\"\",\"CallId\":\"{}\",\"CallDetail\":{{\"CallStatus\":1,\"CallBySim\":\"SIM 1\",\"CallDuration\":31,\
         \"AnswerDuration\":24,\"SendSms\":false,\"SmsContent\":\"\",\"ResponseStatus\":1,\"CallNotes\":\"Khách quan tâm, hẹn gọi lại chiều mai lúc 15h.\"}}}}",
        call.customer_phone, call.call_id
    );
    let head = format!("POST /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    Ok((host.parse()?, [head, body].concat().into_bytes()))
}

/// Posts what comes, one after the other, until it is taken.
async fn post(mut queue: mpsc::UnboundedReceiver<(SocketAddr, Vec<u8>)>) {
    let mut client: Option<Client> = None;
    while let Some((to, request)) = queue.recv().await {
        for _ in 0..AGAIN {
            if client.is_none() {
                client = Client::connect(to).await.ok();
            }
            match &mut client {
                Some(open) => match open.exchange(&request).await {
                    Ok((200..300, _)) => break,
                    Ok(_) => {}
                    Err(_) => client = None,
                },
                None => {}
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
