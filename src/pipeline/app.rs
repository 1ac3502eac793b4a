//! What every stage works with: the store, the plugins, the clients, and the configuration as it is now.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::domain::call::Call;
use crate::domain::connection::{Connection, Hook};
use crate::domain::id::{ConnectionId, LineId, WorkspaceId};
use crate::domain::line::LineSettings;
use crate::domain::pool::{Pool, PoolId};
use crate::domain::rate::{Gcra, Rate};
use crate::domain::report::DurationUnit;
use crate::domain::schedule::LinePolicy;
use crate::domain::time::Time;
use crate::outbound::Http;
use crate::plugin::manifest::Identity;
use crate::plugin::{Plugin, Registry};
use crate::secrets::Redactor;
use crate::store::{SledStore, Store, SweepPolicy};

use super::connect::Connects;
use super::login::Logins;
use super::turn::Turns;

/// Settings that the stages read, from `[server]` and `[dialer]`.
#[derive(Debug, Clone)]
pub struct Tuning {
    pub public_url: String,
    pub dialer_url: String,
    pub slot_timeout: Duration,
    pub settle: Duration,
    pub report_deadline: Duration,
    pub report_settle: Duration,
    pub duration_unit: DurationUnit,
    pub retry_2222: bool,
    pub retry_503: bool,
}

/// One hook with everything a delivery needs.
pub struct WiredHook {
    pub hook: Hook,
    pub params: BTreeMap<String, String>,
    pub limiter: DefaultDirectRateLimiter,
}

/// A connection ready to be used.
pub struct Wired {
    pub connection: Connection,
    pub hooks: Vec<WiredHook>,
    /// The connection's own parameters with defaults.
    pub params: BTreeMap<String, String>,
    pub bases: BTreeMap<String, String>,
    /// What this CRM takes at once and per time. One at a time where a doubled entry could not be told from a wished one:
    /// a crash then leaves at most one in doubt.
    pub turns: Turns,
}

impl Wired {
    pub fn hook(&self, key: &str) -> Option<&WiredHook> {
        self.hooks.iter().fold(None, |found, wired| if wired.hook.hook_key.matches(key) { Some(wired) } else { found })
    }

    /// The parameters in force for an event that came in by this hook.
    pub fn params_at(&self, hook: &str) -> &BTreeMap<String, String> {
        self.hooks.iter().find(|w| w.hook.name == hook).map_or(&self.params, |w| &w.params)
    }
}

/// The configuration as it is now; replaced as a whole.
#[derive(Default)]
pub struct Live {
    pub connections: HashMap<ConnectionId, Arc<Wired>>,
    pub lines: HashMap<LineId, LineSettings>,
    /// Which lines the calls of a connection, of a drop-in key and of nobody may go over: only lines that exist.
    pub pools: HashMap<PoolId, Pool>,
    pub sweep: SweepPolicy,
}

impl Live {
    /// The lines that may place this call, those that it would take first in front. Empty: none, or its connection is gone.
    pub fn lines_of<'a>(&'a self, call: &'a Call, now: Time) -> &'a [LineId] {
        let Some(pool) = self.pools.get(&call.pool()) else { return &[] };
        match pool.owner_line(call.owner.as_deref()) {
            _ if !call.lines.is_empty() => &call.lines,
            Some(own) if call.wished_at.plus(pool.owner_wait) > now => std::slice::from_ref(own),
            _ => &pool.lines,
        }
    }

    /// Keeps lines that exist in the workspace; none named for a drop-in key means all of them.
    fn add_pool(&mut self, mut pool: Pool, workspace: &WorkspaceId) {
        if pool.lines.is_empty() && !matches!(pool.id, PoolId::Connection(_)) {
            pool.lines = self.lines.values().filter(|line| line.workspace == *workspace).map(|line| line.id.clone()).collect();
            pool.lines.sort();
        }
        pool.lines.retain(|line| self.lines.get(line).is_some_and(|l| l.workspace == *workspace));
        self.pools.insert(pool.id.clone(), pool);
    }
}

/// The whole bridge without its web side.
pub struct App {
    pub store: SledStore,
    pub clock: Clock,
    /// Nothing of an earlier process was sent after this.
    pub started_at: Time,
    pub plugins: Registry,
    /// For CRMs and forwarded reports.
    pub crm: Http,
    pub dialer: Http,
    /// Calls that may stand between `placing` on disk and their request: after a crash nobody knows about these.
    pub unsent: Arc<Semaphore>,
    pub tuning: Tuning,
    pub redactor: ArcSwap<Redactor>,
    pub logins: Logins,
    pub connects: Connects,
    pub live: ArcSwap<Live>,
}

impl App {
    pub fn connection(&self, id: &ConnectionId) -> Option<Arc<Wired>> {
        self.live.load().connections.get(id).cloned()
    }

    /// Puts lines and connections in force; `gateways` are the drop-in keys' lines, with their workspaces.
    pub fn configure(&self, lines: Vec<LineSettings>, connections: Vec<Connection>, gateways: Vec<(Pool, WorkspaceId)>) {
        let policies = lines.iter().map(policy).collect();
        let unreported: HashSet<ConnectionId> = connections.iter().filter(|c| c.write_back_unreported).map(|c| c.id.clone()).collect();
        let mut live = Live { sweep: SweepPolicy { write_back_unreported: Arc::new(unreported) }, ..Live::default() };
        live.lines = lines.into_iter().map(|line| (line.id.clone(), line)).collect();
        let workspaces: HashSet<WorkspaceId> = live.lines.values().map(|line| line.workspace.clone()).collect();
        let everybody = workspaces.into_iter().map(|workspace| (Pool::first(PoolId::Workspace(workspace.clone()), Vec::new()), workspace));
        everybody.chain(gateways).for_each(|(pool, workspace)| live.add_pool(pool, &workspace));
        for connection in connections {
            live.add_pool(Pool::of(&connection), &connection.workspace);
            let plugin = self.plugins.get(&connection.plugin);
            live.connections.insert(connection.id.clone(), Arc::new(wire(connection, plugin.as_deref())));
        }
        let pools = live.pools.values().cloned().collect();
        self.live.store(Arc::new(live));
        self.store.configure(policies, pools, self.clock.now());
    }

    /// Text with every known secret replaced.
    pub fn redact(&self, text: &str) -> String {
        self.logins.redact(&self.redactor.load().text(text))
    }

    /// Uniform in all of `u32`, for jitter.
    pub fn dice(&self) -> u32 {
        getrandom::u32().unwrap_or(u32::MAX / 2)
    }
}

/// What limits a line, as the scheduler asks for it.
pub fn policy(line: &LineSettings) -> LinePolicy {
    LinePolicy {
        id: line.id.clone(),
        workspace: line.workspace.clone(),
        rate: line.gcra(),
        max_in_flight: line.max_in_flight.max(1),
        monthly_quota: line.monthly_quota,
        paused: line.paused,
    }
}

fn wire(connection: Connection, plugin: Option<&Plugin>) -> Wired {
    let texts = |given: &BTreeMap<String, crate::domain::param::ParamText>| {
        let params: BTreeMap<String, String> = given.iter().map(|(id, value)| (id.clone(), value.expose())).collect();
        plugin.map_or(params.clone(), |p| p.with_defaults(&params))
    };
    let hooks = connection
        .all_hooks()
        .into_iter()
        .map(|hook| WiredHook { params: texts(&connection.parameters_at(&hook)), limiter: limiter(connection.inbound_rate), hook })
        .collect();
    let params = texts(&connection.parameters);
    let limits = plugin.and_then(|p| p.limits(&params)).map(|limit| &limit.spec);
    let doubled = plugin
        .is_some_and(|p| p.kinds().iter().any(|kind| kind.identity == Identity::None && p.kind(kind.name, &params).is_some_and(|k| std::ptr::eq(k, kind))));
    let rate = limits.and_then(|l| {
        let rate: Rate = l.rate.as_ref()?.parse().ok()?;
        Some(Gcra::new(rate, l.burst.unwrap_or(rate.count)))
    });
    let mut bases = connection.base_urls.clone();
    if let Some(url) = &connection.base_url {
        bases.insert("api".into(), url.clone());
    }
    Wired { hooks, params, bases, turns: Turns::new(rate, if doubled { 1 } else { limits.and_then(|l| l.concurrency).map_or(32, |n| n as usize) }), connection }
}

fn limiter(rate: Rate) -> DefaultDirectRateLimiter {
    let burst = NonZeroU32::new(rate.count).unwrap_or(NonZeroU32::MIN);
    let interval = Duration::from_nanos(u64::try_from(rate.interval_ns()).unwrap_or(1).max(1));
    let quota = Quota::with_period(interval).unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN)).allow_burst(burst);
    RateLimiter::direct(quota)
}
