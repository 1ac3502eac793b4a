//! The settings, typed. What each option means is said once, in `config/default.toml`, which also holds every default of the sections.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::network::Network;
use super::problem::{ConfigError, Problem};
use crate::domain::alert::AlertTarget;
use crate::domain::connection::Connection;
use crate::domain::holiday::Calendar;
use crate::domain::id::{LineId, WorkspaceId};
use crate::domain::line::LineSettings;
use crate::domain::rate::Rate;
use crate::domain::report::DurationUnit;
use crate::domain::secret::SecretText;
use crate::domain::span;
use crate::domain::workspace::Workspace;

/// Everything an instance is told. Every list is in the order of its ids.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub server: Server,
    pub store: Store,
    pub secrets: Secrets,
    pub dialer: Dialer,
    pub calls: Calls,
    pub write_back: WriteBack,
    pub outbound: Outbound,
    pub plugins: Plugins,
    pub retention: Retention,
    pub monitor: Monitor,
    pub log: Log,
    #[serde(default)]
    pub lines: Vec<LineSettings>,
    #[serde(default)]
    pub connections: Vec<Connection>,
    #[serde(default)]
    pub api_keys: Vec<ApiKey>,
    #[serde(default)]
    pub gateway_keys: Vec<GatewayKey>,
    /// Who is told of trouble.
    #[serde(default)]
    pub alerts: Vec<AlertTarget>,
    #[serde(default)]
    pub workspaces: Vec<Workspace>,
    /// What is doubtful but not wrong.
    #[serde(skip)]
    pub warnings: Vec<Problem>,
}

impl Settings {
    /// The compiled-in defaults alone.
    pub fn built_in() -> Result<Self, ConfigError> {
        super::load(&super::Sources::default())
    }

    /// Every secret that the settings hold, for the redactor.
    pub fn secret_values(&self) -> Vec<&str> {
        let mut values: Vec<&str> = self.lines.iter().map(|line| line.secret_key.expose()).collect();
        values.extend(self.api_keys.iter().map(|key| key.key.expose()));
        values.extend(self.gateway_keys.iter().map(|key| key.key.expose()));
        values.extend(self.secrets.key.iter().chain(&self.secrets.old_keys).chain(&self.store.url).map(SecretText::expose));
        values.extend(self.alerts.iter().flat_map(|target| target.parameters.values()).flat_map(|value| value.texts()).filter(|text| text.len() >= 8));
        for connection in &self.connections {
            values.extend(connection.hook_key.iter().map(SecretText::expose));
            values.extend(connection.hooks.iter().map(|hook| hook.hook_key.expose()));
        }
        values
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    pub listen: SocketAddr,
    /// Without a slash at its end.
    #[serde(default)]
    pub public_url: Option<String>,
    /// 0 = one per core.
    pub workers: usize,
    pub max_body_bytes: usize,
    #[serde(with = "span::text")]
    pub body_timeout: Duration,
    #[serde(with = "span::text")]
    pub shutdown_timeout: Duration,
    pub trust_proxies: Vec<Network>,
}

impl Server {
    /// The public address without a slash at its end; the address listened on where none is given.
    pub fn base_url(&self) -> String {
        self.public_url.as_ref().map_or_else(|| format!("http://{}", self.listen), |url| url.trim_end_matches('/').to_owned())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    Sled,
    Postgres,
}

/// One flat table, so that a file can change `kind` alone; [`Store::backend`] is what the rest of the program uses.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    pub kind: StoreKind,
    pub path: PathBuf,
    #[serde(default)]
    pub url: Option<SecretText>,
    pub cache_mib: u64,
    pub reserve_mib: u64,
    pub snapshot: Snapshot,
}

/// Which store, with what it needs.
#[derive(Debug, Clone)]
pub enum Backend {
    Sled { path: PathBuf },
    Postgres { url: SecretText },
}

impl Store {
    pub fn backend(&self) -> Backend {
        match self.kind {
            StoreKind::Sled => Backend::Sled { path: self.path.clone() },
            StoreKind::Postgres => Backend::Postgres { url: self.url.clone().unwrap_or_default() },
        }
    }

    /// The unix socket through which the CLI talks to the server.
    pub fn socket(&self) -> PathBuf {
        self.path.join("callbridge.sock")
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Zero = never.
    #[serde(with = "span::text")]
    pub every: Duration,
    pub keep: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    #[serde(default)]
    pub key: Option<SecretText>,
    #[serde(default)]
    pub old_keys: Vec<SecretText>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialer {
    pub url: String,
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    #[serde(with = "span::text")]
    pub connect_timeout: Duration,
    #[serde(with = "span::text")]
    pub timeout: Duration,
    pub concurrency: usize,
    /// Calls that are `placing` on disk and whose request has not left.
    pub max_unsent: usize,
    #[serde(with = "span::text")]
    pub slot_timeout: Duration,
    #[serde(with = "span::text")]
    pub settle: Duration,
    #[serde(with = "span::text")]
    pub report_deadline: Duration,
    #[serde(with = "span::text")]
    pub report_settle: Duration,
    pub duration_unit: DurationUnit,
    pub retry_2222: bool,
    pub retry_503: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calls {
    #[serde(with = "span::text")]
    pub expire_interactive: Duration,
    #[serde(with = "span::text")]
    pub expire_automation: Duration,
    #[serde(with = "span::text")]
    pub max_age: Duration,
    pub holidays: Calendar,
    pub exposed_per_address: Rate,
    pub exposed_per_number: Rate,
    pub exposed_per_day: Rate,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteBack {
    pub attempts: u32,
    #[serde(with = "span::text")]
    pub give_up_after: Duration,
    pub concurrency: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbound {
    pub allow_networks: Vec<Network>,
    #[serde(with = "span::text")]
    pub connect_timeout: Duration,
    #[serde(with = "span::text")]
    pub timeout: Duration,
    pub max_body_bytes: usize,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugins {
    #[serde(default)]
    pub path: Option<PathBuf>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    #[serde(with = "span::text")]
    pub calls: Duration,
    #[serde(with = "span::text")]
    pub events: Duration,
    /// How many, not how long.
    pub rejected: u32,
    #[serde(with = "span::text")]
    pub audit: Duration,
}

/// When what waits is an alert.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Monitor {
    /// How often a growing backlog is looked for.
    #[serde(with = "span::text")]
    pub look_every: Duration,
    pub calls_waiting: usize,
    pub write_backs_waiting: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    Text,
    Json,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
    pub level: String,
}

/// What an API key or a console user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiRole {
    Viewer,
    #[default]
    Operator,
    Admin,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    pub name: String,
    pub key: SecretText,
    #[serde(default)]
    pub role: ApiRole,
    #[serde(default)]
    pub workspace: WorkspaceId,
}

/// When two drop-in requests are the same call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dedup {
    #[default]
    None,
    /// The same non-empty `callId` within 24 h.
    CallId,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayKey {
    pub name: String,
    pub key: SecretText,
    #[serde(default)]
    pub lines: Vec<LineId>,
    #[serde(default)]
    pub dedup: Dedup,
    #[serde(default)]
    pub origins: Vec<String>,
    #[serde(default = "max_queued")]
    pub max_queued: u32,
    #[serde(default)]
    pub paused: bool,
    #[serde(default)]
    pub workspace: WorkspaceId,
}

fn max_queued() -> u32 {
    1000
}
