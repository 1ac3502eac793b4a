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
use crate::domain::foreign::Countries;
use crate::domain::holiday::Calendar;
use crate::domain::id::{ConnectionId, LineId, WorkspaceId};
use crate::domain::line::LineSettings;
use crate::domain::pool::{Pool, PoolId};
use crate::domain::rate::{Gcra, Rate};
use crate::domain::report::DurationUnit;
use crate::domain::retry;
use crate::domain::rule::{OfNobody, Policy, Waits};
use crate::domain::schedule::LinePolicy;
use crate::domain::time::Time;
use crate::domain::workspace::Workspace;
use crate::outbound::Http;
use crate::outbound::alert::Receiver;
use crate::plugin::manifest::Identity;
use crate::plugin::note::{self, NoteKind};
use crate::plugin::registry::Reloaded;
use crate::plugin::template::Template;
use crate::plugin::{Plugin, Registry};
use crate::secrets::Redactor;
use crate::store::{Rules, SledStore, Store, SweepPolicy};

use super::batch::Batches;
use super::exposed::{Caps, Doorman};
use super::login::Logins;
use super::loops::Loops;
use super::own_writes::OwnWrites;
use super::subscribe;
use super::turn::{Budgets, Turns};

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
    /// How often a write-back is tried.
    pub write_back: retry::Policy,
    /// More queued calls of a workspace, or more unwritten results, are an alert while they grow.
    pub backlog_every: Duration,
    pub backlog_calls: usize,
    pub backlog_write_backs: usize,
    pub exposed: Caps,
}

/// A drop-in key, as far as placing goes.
pub struct Gateway {
    pub pool: Pool,
    pub workspace: WorkspaceId,
}

/// One hook with everything a delivery needs.
pub struct WiredHook {
    pub hook: Hook,
    pub params: BTreeMap<String, String>,
    pub limiter: Arc<DefaultDirectRateLimiter>,
    /// Of an address that stands in public.
    pub doorman: Option<Arc<Doorman>>,
}

/// A connection ready to be used.
pub struct Wired {
    pub connection: Connection,
    pub hooks: Vec<WiredHook>,
    /// The connection's own parameters with defaults.
    pub params: BTreeMap<String, String>,
    pub bases: BTreeMap<String, String>,
    /// Its own note texts.
    pub notes: BTreeMap<NoteKind, Template>,
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

/// What holds for all connections: days off and how long calls wait.
pub struct Common {
    pub receivers: Vec<Receiver>,
    pub workspaces: Vec<Workspace>,
    pub calendar: Calendar,
    pub waits: Waits,
}

/// The configuration as it is now; replaced as a whole.
#[derive(Clone, Default)]
pub struct Live {
    pub connections: HashMap<ConnectionId, Arc<Wired>>,
    pub lines: HashMap<LineId, LineSettings>,
    /// Which lines the calls of a connection, of a drop-in key and of nobody may go over: only lines that exist.
    pub pools: HashMap<PoolId, Pool>,
    /// Who is told of alerts.
    pub receivers: Arc<Vec<Receiver>>,
    pub sweep: SweepPolicy,
    pub policies: HashMap<ConnectionId, Arc<Policy>>,
    /// The rules of calls that have no connection.
    pub nobody: OfNobody,
}

impl Live {
    /// Countries that some connection of a workspace dials: their numbers may stand on its do-not-call list.
    pub fn countries(&self, workspace: &WorkspaceId) -> Countries {
        let all = self.connections.values().filter(|wired| wired.connection.workspace == *workspace);
        all.fold(Countries::default(), |all, wired| all.and(&wired.connection.countries))
    }

    /// The rules of a connection, or those of calls that have none.
    pub fn policy(&self, connection: Option<&ConnectionId>, workspace: &WorkspaceId) -> Option<Arc<Policy>> {
        match connection {
            Some(id) => self.policies.get(id).cloned(),
            None => Some(Arc::new(self.nobody.policy(workspace))),
        }
    }

    /// The lines that may place this call, those that it would take first in front. Empty: none, or its connection is gone.
    pub fn lines_of<'a>(&'a self, call: &'a Call, now: Time) -> &'a [LineId] {
        let Some(pool) = self.pools.get(&call.pool()) else { return &[] };
        if call.lines.is_empty() { pool.lines_at(call.owner.as_deref(), call.wished_at, now) } else { &call.lines }
    }

    /// Until when this call waits for its owner's line, and over which lines it may go then.
    pub fn after_owner(&self, call: &Call) -> Option<(Time, &[LineId])> {
        let pool = self.pools.get(&call.pool()).filter(|_| call.lines.is_empty())?;
        pool.after_owner(call.owner.as_deref(), call.wished_at)
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
    pub live: ArcSwap<Live>,
    /// Budgets that connections share.
    pub budgets: Budgets,
    pub loops: Loops,
    /// When we last wrote to a record: webhooks that this causes are not wishes.
    pub own_writes: OwnWrites,
    pub batches: Batches,
}

impl App {
    pub fn connection(&self, id: &ConnectionId) -> Option<Arc<Wired>> {
        self.live.load().connections.get(id).cloned()
    }

    /// Puts lines and connections in force; `gateways` are the drop-in keys.
    pub fn configure(&self, lines: Vec<LineSettings>, connections: Vec<Connection>, gateways: Vec<Gateway>, common: Common) {
        let policies = lines.iter().map(policy).collect();
        let unreported: HashSet<ConnectionId> = connections.iter().filter(|c| c.write_back_unreported).map(|c| c.id.clone()).collect();
        let sweep = SweepPolicy { write_back_unreported: Arc::new(unreported) };
        let mut live = Live { receivers: Arc::new(common.receivers), sweep, nobody: OfNobody::new(common.waits, &common.workspaces), ..Live::default() };
        live.lines = lines.into_iter().map(|line| (line.id.clone(), line)).collect();
        let workspaces: HashSet<WorkspaceId> = live.lines.values().map(|line| line.workspace.clone()).collect();
        let everybody = workspaces.into_iter().map(|workspace| (Pool::first(PoolId::Workspace(workspace.clone()), Vec::new()), workspace));
        everybody.for_each(|(pool, workspace)| live.add_pool(pool, &workspace));
        for gateway in gateways {
            live.add_pool(gateway.pool, &gateway.workspace);
        }
        for connection in connections {
            live.add_pool(Pool::of(&connection), &connection.workspace);
            let workspace = common.workspaces.iter().find(|w| w.id == connection.workspace);
            let policy = Policy::of(&connection, workspace, &common.calendar, common.waits);
            live.policies.insert(connection.id.clone(), Arc::new(policy));
            live.connections.insert(connection.id.clone(), Arc::new(self.wire(connection, None)));
        }
        self.store.set_rules(Rules::Said { connections: live.policies.clone(), nobody: live.nobody.clone() });
        let pools = live.pools.values().cloned().collect();
        self.live.store(Arc::new(live));
        self.store.configure(policies, pools, self.clock.now());
    }

    fn wire(&self, connection: Connection, before: Option<&Wired>) -> Wired {
        let (plugin, captured) = (self.plugins.get(&connection.plugin), self.captured(&connection.id));
        let mut wired = wire(connection, plugin.as_deref(), before, &captured, &self.tuning.public_url, self.tuning.exposed);
        let share = plugin.map(|plugin| plugin.shared_budget(&wired.params)).unwrap_or_default();
        if !share.is_empty() {
            wired.turns = self.budgets.share(&format!("{}\0{share}", wired.connection.plugin), wired.turns);
        }
        wired
    }

    /// Loads plugins anew and brings what follows from them up to date: default values, bases, limits.
    pub fn reload_plugins(&self) -> Reloaded {
        let reloaded = self.plugins.reload(|plugin| self.unfit(plugin));
        if !reloaded.changed.is_empty() {
            self.live.rcu(|live| {
                let mut next = Live::clone(live);
                for wired in next.connections.values_mut().filter(|wired| reloaded.changed.iter().any(|plugin| plugin.id() == wired.connection.plugin)) {
                    *wired = Arc::new(self.wire(wired.connection.clone(), Some(wired)));
                }
                next
            });
        }
        reloaded
    }

    /// Whether a connection waits for its plugin to be mended.
    pub fn is_held(&self, id: &ConnectionId) -> bool {
        self.connection(id).is_some_and(|wired| self.plugins.broken(&wired.connection.plugin).is_some())
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

    /// What handshakes captured and subscriptions keep, as parameters; a damaged record is told and left out.
    fn captured(&self, connection: &ConnectionId) -> BTreeMap<String, String> {
        let captured = self.store.captured(connection).unwrap_or_else(|error| {
            tracing::error!(connection.id = %connection, error = %error, "what a handshake captured cannot be read");
            BTreeMap::new()
        });
        if !captured.is_empty() {
            self.redactor.rcu(|redactor| redactor.and(captured.values().map(String::as_str)));
        }
        let mut texts: BTreeMap<String, String> = captured.into_iter().map(|(name, value)| (format!("captured.{name}"), value)).collect();
        match subscribe::texts(&self.store, connection) {
            Ok(subscribed) => {
                // Those of a former process are known from here alone.
                self.logins.hide(
                    (connection.clone(), "subscription/".to_owned()),
                    subscribed.iter().filter(|(key, _)| key.ends_with(".secret")).map(|(_, v)| v.clone()),
                );
                texts.extend(subscribed);
            }
            Err(error) => tracing::error!(connection.id = %connection, error = %error, "what subscriptions keep cannot be read"),
        }
        texts
    }

    /// Puts what was captured in force.
    pub fn recapture(&self, id: &ConnectionId) {
        let Some(wired) = self.connection(id) else { return };
        let fresh = Arc::new(self.wire(wired.connection.clone(), Some(&wired)));
        self.live.rcu(|live| {
            let mut next = Live::clone(live);
            next.connections.insert(id.clone(), fresh.clone());
            next
        });
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

/// `before`: the same connection with another version of its plugin. What counts and limits goes on where it may.
fn wire(connection: Connection, plugin: Option<&Plugin>, before: Option<&Wired>, captured: &BTreeMap<String, String>, public: &str, exposed: Caps) -> Wired {
    let texts = |given: &BTreeMap<String, crate::domain::param::ParamText>| {
        let params: BTreeMap<String, String> = given.iter().map(|(id, value)| (id.clone(), value.expose())).collect();
        let mut params = plugin.map_or(params.clone(), |p| p.with_defaults(&params));
        params.extend(captured.clone());
        params
    };
    let hooks = connection
        .all_hooks()
        .into_iter()
        .map(|hook| {
            let kept = before.and_then(|before| before.hooks.iter().find(|old| old.hook.name == hook.name));
            WiredHook {
                params: hook_params(texts(&connection.parameters_at(&hook)), &connection, &hook, plugin, public),
                limiter: kept.map_or_else(|| Arc::new(limiter(connection.inbound_rate)), |old| Arc::clone(&old.limiter)),
                doorman: kept.map_or_else(|| hook.exposed.then(|| Arc::new(Doorman::new(exposed))), |old| old.doorman.clone()),
                hook,
            }
        })
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
    let turns = Turns::new(rate, if doubled { 1 } else { limits.and_then(|l| l.concurrency).map_or(32, |n| n as usize) });
    let kept = before.filter(|before| before.turns.limits_like(&turns)).map(|before| Arc::clone(&before.turns));
    let turns = kept.unwrap_or_else(|| Arc::new(turns));
    Wired { hooks, params, bases, notes: own_notes(&connection).0, turns, connection }
}

/// With what the plugin's kind of hook sets itself, and the hook's own name and address.
fn hook_params(mut params: BTreeMap<String, String>, connection: &Connection, hook: &Hook, plugin: Option<&Plugin>, public: &str) -> BTreeMap<String, String> {
    let kind = plugin.and_then(|plugin| plugin.hook_kind(&hook.name));
    for (id, value) in kind.into_iter().flat_map(|kind| &kind.values) {
        if !hook.parameters.contains_key(id) {
            params.insert(id.clone(), value.clone());
        }
    }
    let tail = kind.map(|kind| kind.tail.trim_matches('/')).filter(|tail| !tail.is_empty()).map(|tail| format!("/{tail}")).unwrap_or_default();
    params.insert("hook.name".to_owned(), hook.name.clone());
    params.insert("hook.kind".to_owned(), kind.map_or_else(|| hook.name.clone(), |kind| kind.name.clone()));
    params.insert("hook.url".to_owned(), format!("{}/hooks/{}/{}{tail}", public.trim_end_matches('/'), connection.id, hook.hook_key.expose()));
    params
}

/// A connection's own note texts, and what is wrong with those that cannot be used: theirs is then the one that ships.
pub fn own_notes(connection: &Connection) -> (BTreeMap<NoteKind, Template>, Vec<String>) {
    let (mut notes, mut faults) = (BTreeMap::new(), Vec::new());
    for (name, source) in &connection.notes {
        let Some(kind) = NoteKind::ALL.into_iter().find(|kind| kind.as_str() == name) else {
            let known = NoteKind::ALL.map(NoteKind::as_str).join(", ");
            faults.push(format!("notes.{name}: there is no such note; there are {known}"));
            continue;
        };
        match note::check(source) {
            Ok(template) => drop(notes.insert(kind, template)),
            Err(problems) => faults.extend(problems.into_iter().map(|p| format!("notes.{name}, line {}: {}", p.line, p.message))),
        }
    }
    (notes, faults)
}

fn limiter(rate: Rate) -> DefaultDirectRateLimiter {
    let burst = NonZeroU32::new(rate.count).unwrap_or(NonZeroU32::MIN);
    let interval = Duration::from_nanos(u64::try_from(rate.interval_ns()).unwrap_or(1).max(1));
    RateLimiter::direct(Quota::with_period(interval).unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN)).allow_burst(burst))
}
