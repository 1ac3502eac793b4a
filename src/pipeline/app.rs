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
use crate::plugin::registry::Reloaded;
use crate::plugin::{Plugin, Registry};
use crate::secrets::Redactor;
use crate::store::{SledStore, Store, SweepPolicy};

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
    pub limiter: Arc<DefaultDirectRateLimiter>,
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
    pub turns: Arc<Turns>,
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
#[derive(Clone, Default)]
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
            live.connections.insert(connection.id.clone(), Arc::new(wire(connection, plugin.as_deref(), None)));
        }
        let pools = live.pools.values().cloned().collect();
        self.live.store(Arc::new(live));
        self.store.configure(policies, pools, self.clock.now());
    }

    /// Loads plugins anew and brings what follows from them up to date: default values, bases, limits.
    pub fn reload_plugins(&self) -> Reloaded {
        let reloaded = self.plugins.reload(|plugin| self.unfit(plugin));
        if !reloaded.changed.is_empty() {
            self.live.rcu(|live| {
                let mut next = Live::clone(live);
                for wired in next.connections.values_mut().filter(|wired| reloaded.changed.iter().any(|plugin| plugin.id() == wired.connection.plugin)) {
                    let plugin = self.plugins.get(&wired.connection.plugin);
                    *wired = Arc::new(wire(wired.connection.clone(), plugin.as_deref(), Some(wired)));
                }
                next
            });
        }
        reloaded
    }

    /// What the connections that use this plugin lack for this version of it.
    fn unfit(&self, plugin: &Plugin) -> Vec<String> {
        let live = self.live.load();
        let using = live.connections.values().filter(|wired| wired.connection.plugin == plugin.id());
        let faults = using.flat_map(|wired| {
            let given = wired.connection.parameters.iter().map(|(id, value)| (id.clone(), value.expose())).collect();
            plugin.check_params(&given).into_iter().map(|fault| format!("connection `{}`: {fault}", wired.connection.id)).collect::<Vec<_>>()
        });
        faults.collect()
    }

    /// Text with every known secret replaced.
    pub fn redact(&self, text: &str) -> String {
        self.redactor.load().text(text).into_owned()
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

/// `before`: the same connection with another version of its plugin. What counts and limits goes on where it may.
fn wire(connection: Connection, plugin: Option<&Plugin>, before: Option<&Wired>) -> Wired {
    let texts = |given: &BTreeMap<String, crate::domain::param::ParamText>| {
        let params: BTreeMap<String, String> = given.iter().map(|(id, value)| (id.clone(), value.expose())).collect();
        plugin.map_or(params.clone(), |p| p.with_defaults(&params))
    };
    let hooks = connection
        .all_hooks()
        .into_iter()
        .map(|hook| {
            let kept = before.and_then(|before| before.hooks.iter().find(|old| old.hook.name == hook.name)).map(|old| Arc::clone(&old.limiter));
            let limiter = kept.unwrap_or_else(|| Arc::new(limiter(connection.inbound_rate)));
            WiredHook { params: texts(&connection.parameters_at(&hook)), limiter, hook }
        })
        .collect();
    let limits = plugin.and_then(Plugin::limits);
    let doubled = plugin.is_some_and(|p| p.kinds().iter().any(|kind| kind.identity == Identity::None));
    let rate = limits.and_then(|l| {
        let rate: Rate = l.rate.as_ref()?.parse().ok()?;
        Some(Gcra::new(rate, l.burst.unwrap_or(rate.count)))
    });
    let mut bases = connection.base_urls.clone();
    if let Some(url) = &connection.base_url {
        bases.insert("api".into(), url.clone());
    }
    let turns = Turns::new(rate, if doubled { 1 } else { limits.and_then(|l| l.concurrency).map_or(32, |n| n as usize) });
    let kept = before.filter(|before| before.turns.limits_like(&turns)).map(|before| Arc::clone(&before.turns));
    Wired { hooks, params: texts(&connection.parameters), bases, turns: kept.unwrap_or_else(|| Arc::new(turns)), connection }
}

fn limiter(rate: Rate) -> DefaultDirectRateLimiter {
    let burst = NonZeroU32::new(rate.count).unwrap_or(NonZeroU32::MIN);
    let interval = Duration::from_nanos(u64::try_from(rate.interval_ns()).unwrap_or(1).max(1));
    let quota = Quota::with_period(interval).unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN)).allow_burst(burst);
    RateLimiter::direct(quota)
}
