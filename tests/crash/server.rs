//! The real program as a process that can be killed and started again on the same data.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::world::{World, free_port};

pub const LINES: usize = 24;
pub const GATEWAY_KEY: &str = "crash-gateway-key-1";
pub const API_KEY: &str = "crash-api-key-000001";
pub const SECRET: &str = "crash-signing-secret";
pub const CONNECTIONS: [&str; 3] = ["searchable", "by-client-id", "plain"];

pub fn hook_key(connection: &str) -> String {
    format!("crash-hook-key-{connection}")
}

/// The secret key of a line: what the dialer knows its phone by.
pub fn line_key(line: usize) -> String {
    format!("crash-secret-of-line-{line}")
}

/// What differs between series.
pub struct Options {
    pub report_deadline: &'static str,
    pub snapshots: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Options { report_deadline: "20s", snapshots: "0s" }
    }
}

/// Where the program runs: its settings, its data, its log.
pub struct Site {
    pub url: String,
    pub data: PathBuf,
    pub log: PathBuf,
    config: PathBuf,
    program: PathBuf,
}

impl Site {
    /// `folder` holds settings and log, `data` the store.
    pub fn new(world: &World, folder: &Path, data: &Path, options: &Options) -> Site {
        let listen = free_port().local_addr().unwrap();
        let url = format!("http://{listen}");
        // A copy: a build that runs meanwhile must not change the program under test.
        let program = folder.join("callbridge");
        std::fs::copy(env!("CARGO_BIN_EXE_callbridge"), &program).unwrap();
        let config = folder.join("callbridge.toml");
        std::fs::write(&config, settings(world, &listen.to_string(), data, options)).unwrap();
        Site { url, data: data.to_owned(), log: folder.join("log.txt"), config, program }
    }

    /// Starts the program; `fail` arms a failure point, as `name:n`.
    pub fn start(&self, fail: Option<&str>) -> Server {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(&self.program);
        command.args(["serve", "--config"]).arg(&self.config).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log).env_remove("CALLBRIDGE_FAIL");
        if let Some(point) = fail {
            command.env("CALLBRIDGE_FAIL", point);
        }
        Server { child: command.spawn().unwrap(), url: self.url.clone(), started: Instant::now() }
    }

    /// The last lines of the log, for a failed test.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// A running program; killed when dropped.
pub struct Server {
    child: Child,
    url: String,
    started: Instant,
}

impl Server {
    /// Waits for `/readyz`; how long the start took.
    pub fn wait_ready(&mut self, world: &World) -> Result<Duration, String> {
        let url = format!("{}/readyz", self.url);
        while self.started.elapsed() < Duration::from_secs(60) {
            if world.get(&url).is_ok() {
                return Ok(self.started.elapsed());
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                return Err(format!("the program ended while starting: {status}"));
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        Err("the program was not ready within a minute".into())
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, then waits for the end.
    pub fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.wait_exit(Duration::from_secs(40)).is_some(), "the program did not stop");
    }

    /// How it ended, if it does within `limit`.
    pub fn wait_exit(&mut self, limit: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings(world: &World, listen: &str, data: &Path, options: &Options) -> String {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/plugins");
    let lines: Vec<String> = (1..=LINES).map(|n| format!("line-{n}")).collect();
    let mut text = format!(
        r#"
[server]
listen = "{listen}"
public_url = "http://{listen}"
[store]
path = "{data}"
reserve_mib = 8
snapshot = {{ every = "{snapshots}", keep = 1 }}
[dialer]
url = "{dialer}"
timeout = "5s"
slot_timeout = "3s"
settle = "0s"
report_settle = "0s"
report_deadline = "{deadline}"
[outbound]
allow_networks = ["127.0.0.0/8"]
[plugins]
path = "{plugins}"
[monitor]
look_every = "100ms"
calls_waiting = 0
write_backs_waiting = 0
[log]
format = "text"
level = "warn"
[[gateway_keys]]
name = "shop"
key = "{GATEWAY_KEY}"
max_queued = 1000000
[[api_keys]]
name = "person"
key = "{API_KEY}"
role = "admin"
"#,
        data = data.display(),
        plugins = plugins.display(),
        dialer = world.phone.url,
        deadline = options.report_deadline,
        snapshots = options.snapshots,
    );
    for line in &lines {
        text.push_str(&format!("[[lines]]\nid = \"{line}\"\nsecret_key = \"crash-secret-of-{line}\"\n"));
    }
    let crm = world.crm.url.trim_end_matches('/');
    for connection in CONNECTIONS {
        text.push_str(&format!(
            "[[connections]]\nid = \"{connection}\"\nplugin = \"{connection}\"\nhook_key = \"{}\"\nlines = {lines:?}\nwrite_back = [\"call\", \"note\"]\n\
             inbound_rate = \"100000/s\"\nmax_new_calls = \"off\"\nmax_per_number = \"off\"\nduplicate_window = \"1s\"\nexpire_interactive = \"6h\"\n\
             [connections.parameters]\nurl = \"{crm}\"\n",
            hook_key(connection)
        ));
        if connection == "plain" {
            text.push_str(&format!("fetch_url = \"{}\"\n", world.fetch.url));
        }
        if connection == "by-client-id" {
            text.push_str(&format!("secret = \"{SECRET}\"\n"));
        }
    }
    text
}
