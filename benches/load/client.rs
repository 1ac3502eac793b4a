//! A minimal HTTP/1.1 client that keeps its connection: raw bytes out, status and body in, one request at a time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One open connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends one request; its status and body.
    pub async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection");
            }
            if let Some((head, whole)) = extent(&self.buffer)
                && self.buffer.len() >= whole
            {
                let status = std::str::from_utf8(&self.buffer[9..12])?.parse()?;
                return Ok((status, &self.buffer[head..whole]));
            }
        }
    }
}

/// Where the body of an HTTP message begins and where the message ends, once its head is there.
pub fn extent(bytes: &[u8]) -> Option<(usize, usize)> {
    let head = bytes.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let length = bytes[..head].split(|b| *b == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(15)?;
        name.eq_ignore_ascii_case(b"content-length:").then_some(value)
    });
    let length = length.and_then(|v| std::str::from_utf8(v).ok()?.trim().parse::<usize>().ok()).unwrap_or(0);
    Some((head, head + length))
}

/// One GET on a connection of its own.
pub async fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut client = Client::connect(address).await?;
    let (status, body) = client.exchange(format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").as_bytes()).await?;
    if status != 200 {
        bail!("{path} was answered with {status}");
    }
    Ok(String::from_utf8_lossy(body).into_owned())
}

/// What one measurement found.
pub struct Sample {
    pub latencies_us: Vec<u32>,
    pub refused: usize,
    pub elapsed: Duration,
}

impl Sample {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn per_second(&self) -> f64 {
        self.latencies_us.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// When a measurement ends.
#[derive(Clone, Copy)]
pub enum Until {
    Time(Duration),
    /// When each request was sent once.
    Sent,
}

/// Sends the requests round and round on so many connections, each waiting for its answer.
pub async fn hammer(address: SocketAddr, connections: usize, requests: Arc<Vec<Vec<u8>>>, next: Arc<AtomicUsize>, until: Until) -> anyhow::Result<Sample> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Client::connect(address).await?);
    }
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for mut client in clients {
        let (requests, next) = (Arc::clone(&requests), Arc::clone(&next));
        tasks.push(tokio::spawn(async move {
            let mut latencies = Vec::with_capacity(65_536);
            let mut refused = 0;
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let over = match until {
                    Until::Time(time) => begun.elapsed() >= time,
                    Until::Sent => n >= requests.len(),
                };
                if over {
                    return anyhow::Ok((latencies, refused));
                }
                let sent = Instant::now();
                let (status, _) = client.exchange(&requests[n % requests.len()]).await?;
                latencies.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
                refused += usize::from(!(200..300).contains(&status));
            }
        }));
    }
    let mut sample = Sample { latencies_us: Vec::new(), refused: 0, elapsed: Duration::ZERO };
    for task in tasks {
        let (latencies, refused) = task.await??;
        sample.latencies_us.extend(latencies);
        sample.refused += refused;
    }
    sample.elapsed = begun.elapsed();
    Ok(sample)
}
