//! The stand-ins, each in a process of its own: this binary, started again with `--play`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use callbridge::simulator::{dialer, script};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::intake::{bare, plain};
use super::{Args, client, phones, seed, webhook};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// The handler that only parses, stores and answers.
    Bare,
    /// The same with one key per delivery in a store of its own.
    Plain,
    /// The vendor's API and its phones: the simulator.
    Dialer,
    /// The same with little work, for the full loop.
    Phones,
    /// Takes write-backs and counts them.
    Crm,
    /// Fills a store with finished calls.
    Finished,
}

/// A stand-in that runs; it ends when its input is closed, so also when this process ends.
pub struct Played {
    child: Child,
    pub address: Option<SocketAddr>,
}

impl Played {
    /// Starts it and waits for its first line: its address, or that it is done.
    pub fn start(role: Role, dir: &Path, count: usize) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let name = clap::ValueEnum::to_possible_value(&role).map(|v| v.get_name().to_owned()).unwrap_or_default();
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--play", &name, "--count", &count.to_string(), "--dir"])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        anyhow::ensure!(!line.is_empty(), "the stand-in {name} did not start");
        Ok(Self { child, address: line.trim().parse().ok() })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn at(&self) -> anyhow::Result<SocketAddr> {
        self.address.context("this stand-in has no address")
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Plays one.
pub fn run(role: Role, args: &Args) -> anyhow::Result<()> {
    let dir: PathBuf = args.dir.clone().context("--dir")?;
    if role == Role::Finished {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(seed::finished(&dir, args.count))?;
        println!("done");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let _entered = runtime.enter();
    match role {
        Role::Bare => bare(&dir, listener)?,
        Role::Plain => plain(&dir, listener)?,
        Role::Dialer => {
            dialer::start(simulated(args.count), listener)?;
        }
        Role::Phones => {
            listener.set_nonblocking(true)?;
            runtime.spawn(phones::serve(tokio::net::TcpListener::from_std(listener)?, (0..args.count).map(webhook::line_key).collect()));
        }
        Role::Crm => {
            listener.set_nonblocking(true)?;
            runtime.spawn(crm(tokio::net::TcpListener::from_std(listener)?));
        }
        Role::Finished => {}
    }
    println!("{address}");
    std::io::stdout().flush()?;
    let _ = std::io::stdin().read(&mut [0u8; 1]);
    std::process::exit(0);
}

/// Phones that ring and talk for less than a second together, so that each line makes more than one call a second.
fn simulated(lines: usize) -> dialer::Options {
    let pace = script::Pace { ring_secs: 2.0, talk_secs: 4.0, ..script::Pace::default() };
    dialer::Options { speed: 10.0, pace, keys: (0..lines).map(webhook::line_key).collect(), ..dialer::Options::default() }
}

/// Answers every POST with 200 and counts it; any GET gets the count.
async fn crm(listener: tokio::net::TcpListener) {
    let taken = Arc::new(AtomicU64::new(0));
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve_one(stream, Arc::clone(&taken)));
    }
}

async fn serve_one(mut stream: tokio::net::TcpStream, taken: Arc<AtomicU64>) {
    let _ = stream.set_nodelay(true);
    let mut buffer: Vec<u8> = Vec::with_capacity(8192);
    loop {
        while let Some((_, whole)) = client::extent(&buffer)
            && buffer.len() >= whole
        {
            let body = if buffer.starts_with(b"GET") { taken.load(Ordering::Relaxed).to_string() } else { "{}".to_owned() };
            if !buffer.starts_with(b"GET") {
                taken.fetch_add(1, Ordering::Relaxed);
            }
            buffer.drain(..whole);
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
        match stream.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
