//! The program under test: its settings, its process, and what it says of itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::{client, machine, webhook};

/// What the settings differ in.
pub struct Setup {
    pub connections: usize,
    pub lines_each: usize,
    pub paused: bool,
    pub dialer_url: String,
    pub result_url: String,
}

impl Setup {
    /// One connection with one paused line: calls queue and stay.
    pub fn paused() -> Self {
        Self { connections: 1, lines_each: 1, paused: true, dialer_url: "http://127.0.0.1:9/campaign/callone/".into(), result_url: String::new() }
    }

    /// The settings file for a directory and a port.
    fn settings(&self, dir: &Path, address: SocketAddr) -> String {
        let mut text = format!(
            "[server]\nlisten = \"{address}\"\npublic_url = \"http://{address}\"\n[store]\npath = \"{}\"\n[store.snapshot]\nevery = \"0s\"\n\
             [dialer]\nurl = \"{}\"\nconcurrency = 256\nmax_unsent = 256\nsettle = \"0s\"\nreport_settle = \"0s\"\n[write_back]\nconcurrency = 128\n\
             [outbound]\nallow_networks = [\"127.0.0.0/8\"]\n[log]\nlevel = \"warn\"\nformat = \"text\"\n",
            dir.join("store").display(),
            self.dialer_url
        );
        for n in 0..self.connections * self.lines_each {
            let _ = writeln!(text, "[[lines]]\nid = \"{}\"\nsecret_key = \"{}\"\npaused = {}", webhook::line_id(n), webhook::line_key(n), self.paused);
        }
        for n in 0..self.connections {
            let lines: Vec<String> = (n * self.lines_each..(n + 1) * self.lines_each).map(|l| format!("\"{}\"", webhook::line_id(l))).collect();
            let kinds = if self.result_url.is_empty() { "" } else { "\"note\"" };
            let _ = write!(
                text,
                "[[connections]]\nid = \"{}\"\nplugin = \"generic\"\nhook_key = \"{}\"\nlines = [{}]\ninbound_rate = \"1000000/s\"\nmax_new_calls = \"off\"\nmax_per_number = \"off\"\n\
                 write_back = [{kinds}]\n[connections.parameters]\nhmac_secret = \"{}\"\n",
                webhook::connection_id(n),
                webhook::hook_key(n),
                lines.join(", "),
                webhook::hmac_secret(n)
            );
            if !self.result_url.is_empty() {
                let _ = writeln!(text, "result_url = \"{}\"", self.result_url);
            }
        }
        text
    }
}

/// A directory with settings and a store, and the port its server uses.
pub struct Place {
    dir: PathBuf,
    config: PathBuf,
    pub address: SocketAddr,
}

impl Place {
    pub fn new(dir: &Path, setup: &Setup) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        // Free now; nobody else takes it in the moment until the server does.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = dir.join("callbridge.toml");
        std::fs::write(&config, setup.settings(dir, address))?;
        Ok(Self { dir: dir.to_owned(), config, address })
    }

    /// Starts the server; back when it is ready.
    pub fn serve(&self, role: &str) -> anyhow::Result<Bridge> {
        let given_up = Instant::now() + Duration::from_secs(120);
        loop {
            match self.start(role) {
                // A store that was filled in this process is let go by its own thread, a while after its last handle is dropped.
                Err(error) if error.to_string().contains("in use by another") && Instant::now() < given_up => std::thread::sleep(Duration::from_millis(100)),
                other => return other,
            }
        }
    }

    fn start(&self, role: &str) -> anyhow::Result<Bridge> {
        let log = self.dir.join("log");
        let begun = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_callbridge"))
            .args(["serve", "--role", role, "--config"])
            .arg(&self.config)
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .stdin(Stdio::null())
            .spawn()?;
        let mut bridge = Bridge { child, address: self.address, ready_after: Duration::ZERO };
        loop {
            if is_ready(self.address) {
                bridge.ready_after = begun.elapsed();
                return Ok(bridge);
            }
            if let Some(status) = bridge.child.try_wait()? {
                bail!("callbridge ended with {status}: {}", std::fs::read_to_string(&log).unwrap_or_default());
            }
            if begun.elapsed() > Duration::from_secs(300) {
                bail!("callbridge is not ready after 5 minutes");
            }
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut answer = [0u8; 12];
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answer.ends_with(b"200")
}

/// A running server; killed when dropped.
pub struct Bridge {
    child: Child,
    pub address: SocketAddr,
    /// From the start of the process to the first 200 of `/readyz`.
    pub ready_after: Duration,
}

impl Bridge {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn rss_mib(&self) -> f64 {
        machine::rss_mib(self.pid())
    }

    /// What `/metrics` counts, by its whole name.
    pub async fn metrics(&self) -> anyhow::Result<BTreeMap<String, f64>> {
        let text = client::get(self.address, "/metrics").await?;
        Ok(text.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.rsplit_once(' ')).filter_map(|(n, v)| Some((n.to_owned(), v.parse().ok()?))).collect())
    }

    /// Tasks of all kinds that wait or run.
    pub async fn backlog(&self) -> anyhow::Result<f64> {
        Ok(self.metrics().await?.iter().filter(|(name, _)| name.starts_with("callbridge_backlog")).map(|(_, value)| value).sum())
    }

    /// Waits until no task is left.
    pub async fn drained(&self) -> anyhow::Result<()> {
        while self.backlog().await? > 0.0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw).context("no process id")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
