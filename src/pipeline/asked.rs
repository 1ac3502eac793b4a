//! Calls that no webhook asked for: by the API, by hand, and redials. Decides whether and how; the store's `create_call` makes them.

use super::app::{App, Live};
use super::outlook::{self, Outlook, Question, Thought};
use super::wish;
use crate::domain::call::{Call, Origin, Signal, Step, step};
use crate::domain::connection::{Connection, Mode, Purpose};
use crate::domain::foreign::Countries;
use crate::domain::id::{CallId, ConnectionId, LineId, WorkspaceId};
use crate::domain::phone::{self, Phone, PhoneError};
use crate::domain::pool::PoolId;
use crate::domain::record::{Customer, ID_BYTES, RecordRef};
use crate::domain::rule::Asked as RuleAsked;
use crate::domain::time::Time;
use crate::error::{Class, Code};
use crate::store::StoreError;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Calls, lines and connections of other workspaces are as if they were not there; `None`: all are.
    pub scope: Option<WorkspaceId>,
    pub origin: Origin,
    pub customer: Customer,
    pub connection: Option<ConnectionId>,
    pub line: Option<LineId>,
    pub record: RecordRef,
    pub owner: Option<String>,
    pub consent: bool,
    pub interactive: bool,
}

/// Why there is no call.
#[derive(Debug, thiserror::Error)]
pub enum NotAsked {
    #[error("{code}: {detail}")]
    Refused { code: Code, detail: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn refused<T>(code: Code, detail: impl Into<String>) -> Result<T, NotAsked> {
    Err(NotAsked::Refused { code, detail: detail.into() })
}

/// Through which connection and lines a call would go.
#[derive(Debug, Clone)]
pub struct Way {
    pub workspace: WorkspaceId,
    pub connection: Option<Connection>,
    pub lines: Vec<LineId>,
    /// A person said which: `lines` is that one.
    pub pinned: bool,
}

/// Checks connection and line, which must be of one workspace.
pub fn way(app: &App, scope: Option<&WorkspaceId>, connection: Option<&ConnectionId>, line: Option<&LineId>, owner: Option<&str>) -> Result<Way, NotAsked> {
    let live = app.live.load();
    let visible = |workspace: &WorkspaceId| scope.is_none_or(|scope| scope == workspace);
    let connection = match connection {
        None => None,
        Some(id) => match live.connections.get(id).filter(|wired| visible(&wired.connection.workspace)) {
            None => return refused(Code::NotFound, format!("there is no connection `{id}`")),
            Some(wired) if wired.connection.mode == Mode::Off => return refused(Code::Conflict, format!("the connection `{id}` is switched off")),
            Some(wired) => Some(wired.connection.clone()),
        },
    };
    let line = match line {
        None => None,
        Some(id) => match live.lines.get(id).filter(|settings| visible(&settings.workspace)) {
            None => return refused(Code::NotFound, format!("there is no line `{id}`")),
            Some(settings) => Some(settings),
        },
    };
    let workspace = connection.as_ref().map(|c| &c.workspace).or(line.map(|l| &l.workspace)).or(scope).cloned().unwrap_or_default();
    if let Some(other) = line.filter(|l| l.workspace != workspace) {
        return refused(Code::BadRequest, format!("the line `{}` belongs to another workspace than the connection", other.id));
    }
    let pinned = line.is_some();
    let lines = match (line, &connection) {
        (Some(line), _) => vec![line.id.clone()],
        (None, Some(connection)) => pool_lines(&live, &PoolId::Connection(connection.id.clone()), owner),
        (None, None) => pool_lines(&live, &PoolId::Workspace(workspace.clone()), None),
    };
    if lines.is_empty() {
        return refused(Code::NoLine, "no line can place this call");
    }
    Ok(Way { workspace, connection, lines, pinned })
}

/// The lines of a pool, or the owner's own, which the call would wait for first.
fn pool_lines(live: &Live, id: &PoolId, owner: Option<&str>) -> Vec<LineId> {
    let Some(pool) = live.pools.get(id) else { return Vec::new() };
    pool.owner_line(owner).map_or_else(|| pool.lines.clone(), |line| vec![line.clone()])
}

/// The call, ready to be stored. Someone who waits hears at once that it will not go in time.
pub fn new_call(app: &App, asked: Asked, now: Time) -> Result<Call, NotAsked> {
    let way = way(app, asked.scope.as_ref(), asked.connection.as_ref(), asked.line.as_ref(), asked.owner.as_deref())?;
    let phone = read_phone(&asked.customer.phone, way.connection.as_ref().map(|c| &c.countries))?;
    if way.connection.as_ref().is_some_and(|c| c.purpose == Purpose::Advertising) && !asked.consent {
        return refused(Code::MissingConsent, "send `consent: true` if the customer agreed");
    }
    let mut call = blank(app, asked.origin, phone, &way, now);
    call.consent = asked.consent.then_some(true);
    call.customer = asked.customer;
    call.customer.cut();
    call.record = asked.record;
    call.owner = asked.owner;
    if call.record.is_too_long() || call.owner.as_ref().is_some_and(|owner| owner.len() > ID_BYTES) {
        return refused(Code::TooLarge, format!("record and owner may have {ID_BYTES} bytes each"));
    }
    timely(app, call, &way, asked.interactive, now)
}

/// The same wish again as a call of its own, with the reason of the person who wants it.
pub fn redial(app: &App, old: &Call, by: String, reason: String, interactive: bool, now: Time) -> Result<Call, NotAsked> {
    if step(old.state, Signal::Redial, old.ever_sent) != Step::NewCall {
        return refused(Code::Conflict, format!("the call is {}: it can be redialled when it is over or unconfirmed", old.state.as_str()));
    }
    // A line or connection that was taken out of the configuration since does not stand in the way of the others.
    let connection = old.connection.as_ref().filter(|id| app.connection(id).is_some());
    let way = match way(app, Some(&old.workspace), connection, None, old.owner.as_deref()) {
        Ok(way) => way,
        Err(NotAsked::Refused { code: Code::NoLine, .. }) => way(app, Some(&old.workspace), None, None, None)?,
        Err(other) => return Err(other),
    };
    let mut call = blank(app, Origin::Redial { of: old.id, by, reason }, old.phone.clone(), &way, now);
    call.customer = old.customer.clone();
    call.record = old.record.clone();
    call.consent = old.consent;
    call.owner.clone_from(&old.owner);
    timely(app, call, &way, interactive, now)
}

/// A phone number, Vietnamese or of one of these countries, or the refusal that says what is wrong with it.
pub fn read_phone(text: &str, countries: Option<&Countries>) -> Result<Phone, NotAsked> {
    let read = countries.map_or_else(|| phone::normalise(text), |countries| countries.normalise(text));
    read.map_err(|error| no_phone(text, error))
}

/// All phone numbers of a text, where none may be left out.
pub fn read_phones(text: &str, countries: &Countries) -> Result<Vec<Phone>, NotAsked> {
    countries.every(text).map_err(|error| no_phone(text, error))
}

/// The sentence of the code says what is wrong; the detail only what was given.
fn no_phone(text: &str, error: PhoneError) -> NotAsked {
    NotAsked::Refused { code: error.code(), detail: format!("`{}`", text.chars().take(40).collect::<String>()) }
}

fn blank(app: &App, origin: Origin, phone: Phone, way: &Way, now: Time) -> Call {
    let mut call = wish::blank(CallId::from_uuid(app.clock.uuid()), way.workspace.clone(), origin, phone, now, now);
    if way.pinned {
        call.lines.clone_from(&way.lines);
    }
    if let Some(connection) = &way.connection {
        call.connection = Some(connection.id.clone());
        call.plugin_hash = app.plugins.get(&connection.plugin).map(|plugin| plugin.hash().to_owned()).unwrap_or_default();
        wish::test_mode(&mut call, connection);
    }
    call
}

fn timely(app: &App, mut call: Call, way: &Way, interactive: bool, now: Time) -> Result<Call, NotAsked> {
    call.interactive = interactive;
    let policy = app.live.load().policy(way.connection.as_ref().map(|c| &c.id), &way.workspace);
    let Some(policy) = policy else { return refused(Code::HoldRemoved, "") };
    call.expires_at = policy.expires(interactive, now, now);
    let live = app.live.load();
    let question = Question { policy: &policy, asked: RuleAsked::of(&call), phone: &call.phone, lines: &way.lines, then: live.after_owner(&call), new: true };
    let outlook = outlook::of(app, &question, &Thought::default(), now)?;
    match (outlook::hopeless(&outlook, call.expires_at), outlook) {
        (_, Outlook::Refused { code }) if code.entry().class == Class::Reject => refused(code, ""),
        (Some(code), _) if interactive => {
            let day = policy.holiday(now).filter(|_| code == Code::RefusedHoliday).map(|day| format!("{}: ", day.name("en"))).unwrap_or_default();
            refused(code, format!("{day}it would not go in time; with priority `automation` it may wait"))
        }
        _ => Ok(call),
    }
}
