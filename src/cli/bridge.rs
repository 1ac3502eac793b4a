//! A whole bridge from settings: store, clients, workers, listeners. Used by `serve`, by `demo` and by tests.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::config::{Backend, Settings};
use crate::domain::connection::{Connection, Kind};
use crate::domain::pool::{Pool, PoolId};
use crate::domain::retry;
use crate::domain::rule::Waits;
use crate::failpoint;
use crate::outbound::alert::Receiver;
use crate::outbound::http::Limits;
use crate::outbound::{Guard, Http};
use crate::pipeline::app::{Gateway, own_notes};
use crate::pipeline::batch::Batches;
use crate::pipeline::exposed::Caps;
use crate::pipeline::loops::Loops;
use crate::pipeline::own_writes::OwnWrites;
use crate::pipeline::turn::Budgets;
use crate::pipeline::{App, Common, Live, Logins, Tuning};
use crate::plugin::problem::did_you_mean;
use crate::plugin::{Plugin, Registry};
use crate::secrets::{Keyring, Redactor};
use crate::store::SledStore;
use crate::web::State;
use crate::web::server::{self, Running};
use crate::worker::{self, Concurrency};

/// What of a bridge runs in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    All,
    Web,
    Worker,
}

/// A running bridge.
pub struct Bridge {
    pub app: Arc<App>,
    pub settings: Arc<Settings>,
    pub address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
    servers: Vec<Running>,
}

/// Opens the store and wires everything, without starting anything.
pub fn assemble(settings: &Settings, public_url: String) -> anyhow::Result<Arc<App>> {
    let Backend::Sled { path } = settings.store.backend() else { bail!("this version keeps its data in sled only: set store.kind = \"sled\"") };
    let (plugins, problems) = Registry::open(settings.plugins.path.as_deref());
    for problem in &problems {
        tracing::error!(plugin = %problem.id, error = %problem, "a plugin was not loaded");
    }
    check_connections(settings, &plugins)?;
    for fault in broken(settings, &plugins) {
        tracing::error!(fault, "a connection is held until its plugin is mended: its webhooks are told to come again, its other work waits");
    }
    let mut options = crate::store::sled::Options::new(&path);
    options.cache_bytes = settings.store.cache_mib.max(1) * 1024 * 1024;
    options.reserve_mib = settings.store.reserve_mib;
    options.keys = settings.secrets.key.is_some().then(|| Keyring::of_settings(&settings.secrets, &path)).transpose()?.map(Arc::new);
    let store = SledStore::open(options)?;
    let guard = Guard::new(settings.outbound.allow_networks.clone());
    let ca_pem = settings.dialer.ca_file.as_ref().map(|file| std::fs::read(file).with_context(|| format!("dialer.ca_file {}", file.display()))).transpose()?;
    let dialer = Limits { connect: settings.dialer.connect_timeout, total: settings.dialer.timeout, body_bytes: 64 * 1024, fresh: true, ca_pem };
    let crm = Limits {
        connect: settings.outbound.connect_timeout,
        total: settings.outbound.timeout,
        body_bytes: settings.outbound.max_body_bytes,
        ..Limits::default()
    };
    let app = App {
        store,
        clock: Clock::System,
        started_at: Clock::System.now(),
        crm: Http::new(failpoint::CRM_SEND, guard.clone(), crm),
        dialer: Http::new(failpoint::DIALER_SEND, guard, dialer),
        unsent: Arc::new(Semaphore::new(settings.dialer.max_unsent)),
        tuning: tuning(settings, public_url),
        redactor: ArcSwap::from_pointee(Redactor::new(secrets(settings, &plugins).iter().map(String::as_str))),
        logins: Logins::default(),
        live: ArcSwap::from_pointee(Live::default()),
        budgets: Budgets::default(),
        loops: Loops::default(),
        own_writes: OwnWrites::default(),
        batches: Batches::default(),
        plugins,
    };
    let gateways = settings.gateway_keys.iter().map(|key| {
        let id = PoolId::Gateway(key.workspace.clone(), key.name.clone());
        Gateway { pool: Pool::first(id, key.lines.clone()), workspace: key.workspace.clone() }
    });
    app.configure(settings.lines.clone(), settings.connections.clone(), gateways.collect(), common(settings, receivers(settings)?));
    Ok(Arc::new(app))
}

fn common(settings: &Settings, receivers: Vec<Receiver>) -> Common {
    let calls = &settings.calls;
    let waits = Waits { interactive: calls.expire_interactive, automation: calls.expire_automation, max_age: calls.max_age };
    Common { receivers, workspaces: settings.workspaces.clone(), calendar: calls.holidays.clone(), waits }
}

fn tuning(settings: &Settings, public_url: String) -> Tuning {
    let dialer = &settings.dialer;
    Tuning {
        public_url,
        dialer_url: dialer.url.clone(),
        slot_timeout: dialer.slot_timeout,
        settle: dialer.settle,
        report_deadline: dialer.report_deadline,
        report_settle: dialer.report_settle,
        duration_unit: dialer.duration_unit,
        retry_2222: dialer.retry_2222,
        retry_503: dialer.retry_503,
        write_back: retry::WRITE_BACK.bounded(settings.write_back.attempts, settings.write_back.give_up_after),
        backlog_every: settings.monitor.look_every,
        backlog_calls: settings.monitor.calls_waiting,
        backlog_write_backs: settings.monitor.write_backs_waiting,
        exposed: Caps {
            per_address: settings.calls.exposed_per_address,
            per_number: settings.calls.exposed_per_number,
            per_day: settings.calls.exposed_per_day,
        },
    }
}

/// Every secret that is known by now: those of the settings, and the parameters that plugins call secret.
pub fn secrets(settings: &Settings, plugins: &Registry) -> Vec<String> {
    let mut values: Vec<String> = settings.secret_values().into_iter().map(str::to_owned).collect();
    for connection in &settings.connections {
        let Some(plugin) = plugins.get(&connection.plugin) else { continue };
        let secret = |id: &str| plugin.manifest().parameters.iter().any(|p| p.get_ref().id == id && p.get_ref().secret);
        let given = connection.parameters.iter().chain(connection.hooks.iter().flat_map(|hook| &hook.parameters));
        values.extend(given.filter(|(id, _)| secret(id)).flat_map(|(_, value)| value.texts().into_iter().map(str::to_owned).collect::<Vec<_>>()));
    }
    values
}

/// Who is told of alerts; a mistake is said at the start, not when there is trouble.
pub fn receivers(settings: &Settings) -> anyhow::Result<Vec<Receiver>> {
    let (mut receivers, mut faults) = (Vec::new(), Vec::new());
    for target in &settings.alerts {
        match Receiver::new(target) {
            Ok(receiver) => receivers.push(receiver),
            Err(found) => faults.extend(found.into_iter().map(|fault| format!("alerts `{}`: {fault}", target.name))),
        }
    }
    if faults.is_empty() { Ok(receivers) } else { bail!("{}", faults.join("\n")) }
}

/// Connections whose own plugin is there and cannot be used. The others do not wait for them.
pub fn broken(settings: &Settings, plugins: &Registry) -> Vec<String> {
    let faults = settings.connections.iter().filter_map(|connection| Some(format!("connection `{}`: {}", connection.id, plugins.broken(&connection.plugin)?)));
    faults.collect()
}

/// A connection whose plugin or parameters do not fit would fail at each webhook: say it at the start, all at once.
pub fn check_connections(settings: &Settings, plugins: &Registry) -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for connection in &settings.connections {
        let (_, notes) = own_notes(connection);
        faults.extend(notes.into_iter().map(|fault| format!("connection `{}`: {fault}", connection.id)));
        match plugins.get(&connection.plugin) {
            None if plugins.broken(&connection.plugin).is_some() => {}
            None => faults.push(format!("connection `{}`: there is no plugin `{}` (there are {})", connection.id, connection.plugin, plugins.ids().join(", "))),
            Some(plugin) => {
                let given = connection.parameters.iter().map(|(id, value)| (id.clone(), value.expose())).collect();
                let trigger = connection.trigger.iter().flat_map(|trigger| plugin.check_trigger(trigger));
                faults.extend(trigger.map(|fault| format!("connection `{}`: {fault}", connection.id)));
                faults.extend(plugin.check_params(&given).into_iter().map(|fault| format!("connection `{}`: {fault}", connection.id)));
                for hook in &connection.hooks {
                    let own = hook.parameters.iter().map(|(id, value)| (id.clone(), value.expose())).collect();
                    faults.extend(plugin.check_secrets(&own).into_iter().map(|fault| format!("connection `{}`, hook `{}`: {fault}", connection.id, hook.name)));
                }
                let more = unknown_hooks(connection, &plugin).into_iter().chain(unknown_kinds(connection, &plugin));
                faults.extend(more.map(|fault| format!("connection `{}`: {fault}", connection.id)));
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { bail!("{}", faults.join("\n")) }
}

/// Hooks that no webhook of the plugin belongs to, and parameters that it does not have.
fn unknown_hooks(connection: &Connection, plugin: &Plugin) -> Vec<String> {
    let manifest = plugin.manifest();
    let known: Vec<&str> = manifest.hooks.iter().map(|hook| hook.get_ref().name.as_str()).collect();
    let mut faults = Vec::new();
    for hook in &connection.hooks {
        if !known.is_empty() && plugin.hook_kind(&hook.name).is_none() {
            let hint = did_you_mean(&hook.name, known.iter().copied());
            faults.push(format!("the plugin `{}` has no hook `{}`{hint} (there are {})", plugin.id(), hook.name, known.join(", ")));
        }
        let parameters = manifest.parameters.iter().map(|parameter| parameter.get_ref().id.as_str());
        for id in hook.parameters.keys().filter(|id| !parameters.clone().any(|known| known == id.as_str())) {
            let hint = did_you_mean(id, parameters.clone());
            faults.push(format!("hook `{}`: the plugin `{}` has no parameter `{id}`{hint}", hook.name, plugin.id()));
        }
    }
    faults
}

fn unknown_kinds(connection: &Connection, plugin: &Plugin) -> Vec<String> {
    // What nobody wrote down is written where the plugin can.
    let default = Connection::new(connection.id.clone(), "").write_back;
    if connection.write_back == default {
        return Vec::new();
    }
    let lacks = |kind: &&Kind| !plugin.kinds().iter().any(|known| known.name == kind.as_str());
    connection.write_back.iter().filter(lacks).map(|kind| format!("the plugin `{}` cannot write back `{}`", plugin.id(), kind.as_str())).collect()
}

impl Bridge {
    /// Starts on `listener`; `socket` also serves the local CLI.
    pub fn start(settings: Settings, listener: Option<TcpListener>, role: Role, socket: bool) -> anyhow::Result<Self> {
        let address = listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let public_url = match (&settings.server.public_url, address) {
            (None, Some(address)) => format!("http://{address}"),
            _ => settings.server.base_url(),
        };
        let app = assemble(&settings, public_url)?;
        let settings = Arc::new(settings);
        let (stop, stopped) = watch::channel(false);
        let state = State { app: Arc::clone(&app), settings: Arc::clone(&settings), local_admin: false };
        let mut bridge = Self { app: Arc::clone(&app), settings: Arc::clone(&settings), address, stop, workers: Vec::new(), servers: Vec::new() };
        if let Some(listener) = listener.filter(|_| role != Role::Worker) {
            let workers = if settings.server.workers == 0 { std::thread::available_parallelism().map_or(2, usize::from) } else { settings.server.workers };
            bridge.servers.push(server::serve(state.clone(), listener, workers, settings.server.shutdown_timeout)?);
        }
        if socket {
            let path = settings.store.socket();
            let local =
                server::serve_local(state, &path).with_context(|| format!("cannot listen on the socket {} (its path may be too long)", path.display()))?;
            bridge.servers.push(local);
        }
        if role != Role::Web {
            let concurrency = Concurrency { place: settings.dialer.concurrency, write_back: settings.write_back.concurrency, ..Concurrency::default() };
            bridge.workers.push(tokio::spawn(worker::run_forever(Arc::clone(&app), concurrency, stopped.clone())));
            bridge.workers.push(tokio::spawn(super::serve::snapshots(Arc::clone(&app), Arc::clone(&settings), stopped.clone())));
        }
        bridge.workers.push(tokio::spawn(super::reload::run(Arc::clone(&app), settings, stopped)));
        // Reading the root certificates takes a while: not on the way of the first write-back. The placing loop warms its own client.
        let warm = Arc::clone(&app);
        tokio::task::spawn_blocking(move || warm.crm.warm_up());
        Ok(bridge)
    }

    /// The address of the server, for people.
    pub fn url(&self) -> String {
        self.address.map_or_else(String::new, |address| format!("http://{address}"))
    }

    /// Takes nothing new, lets what is under way finish, closes.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        for server in self.servers {
            server.stop().await;
        }
        for worker in self.workers {
            let _ = tokio::time::timeout(Duration::from_secs(20), worker).await;
        }
    }
}
