//! Rules: may this customer be called now, on behalf of this connection? A pure decision over (call, policy, history, now).
//!
//! Asked three times with the same answer: when a call is made, in the step that claims it, and by a preview. What a line says
//! (busy, rate, paused) is [`super::schedule::may_place`].

use std::collections::HashMap;
use std::time::Duration;

use super::call::{Call, Hold, OwnTime};
use super::connection::{Connection, Mode, Purpose};
use super::dnc::Scope;
use super::held::Held;
use super::holiday::{Calendar, DayOff};
use super::id::{ConnectionId, WorkspaceId};
use super::opening::Opening;
use super::phone::{self, Phone};
use super::rate::Rate;
use super::time::Time;
use super::workspace::{Holiday, Workspace};
use crate::error::Code;

/// Advertising texts to one number (Decree 91/2020).
pub const TEXTS: Rate = Rate { count: 3, period: Duration::from_secs(86_400) };

/// What the settings say about the calls of one connection.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub connection: ConnectionId,
    pub workspace: WorkspaceId,
    pub purpose: Purpose,
    pub mode: Mode,
    /// Dialled in test mode instead of the customer.
    pub test_phone: Option<Phone>,
    pub opening: Opening,
    /// The days off that have a name.
    pub named_days: Vec<DayOff>,
    /// Placings of one number, over the workspace.
    pub cap: Option<Rate>,
    /// New calls above it wait for a person.
    pub brake: Option<Rate>,
    pub expire_interactive: Duration,
    /// Counted only while it could have gone.
    pub expire_automation: Duration,
    /// Nothing waits longer than this.
    pub max_age: Duration,
    /// A call that ends without a report says so on the record.
    pub write_back_unreported: bool,
}

/// How long calls may wait where a connection says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    pub interactive: Duration,
    pub automation: Duration,
    pub max_age: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self { interactive: Duration::from_secs(120), automation: Duration::from_secs(86_400), max_age: Duration::from_secs(14 * 86_400) }
    }
}

impl Policy {
    /// Of a connection, with the days off of its workspace and of the calendar.
    ///
    /// The calendar applies where there are calling hours; the workspace's own days off apply to everything.
    pub fn of(connection: &Connection, workspace: Option<&Workspace>, calendar: &Calendar, waits: Waits) -> Self {
        let windows = connection.calling_hours();
        let mut days_off: Vec<_> = workspace.map(|w| w.holidays.clone()).unwrap_or_default();
        let mut named_days = Vec::new();
        if !windows.is_empty() {
            days_off.extend(calendar.holidays());
            named_days.clone_from(&calendar.days);
        }
        // The settings were checked: an unknown zone cannot come here.
        let zone = jiff::tz::TimeZone::get(&connection.time_zone).unwrap_or(jiff::tz::TimeZone::fixed(jiff::tz::offset(7)));
        Self {
            connection: connection.id.clone(),
            workspace: connection.workspace.clone(),
            purpose: connection.purpose,
            mode: connection.mode,
            test_phone: connection.test_phone.as_deref().and_then(|p| phone::normalise(p).ok()),
            opening: Opening { windows, zone, days_off },
            named_days,
            cap: connection.calls_per_number().rate(),
            brake: connection.max_new_calls.rate(),
            expire_interactive: connection.expire_interactive.unwrap_or(waits.interactive),
            expire_automation: connection.expire_automation.unwrap_or(waits.automation),
            max_age: connection.max_age.unwrap_or(waits.max_age),
            write_back_unreported: connection.write_back_unreported,
        }
    }

    fn of_nobody(workspace: WorkspaceId, waits: Waits, days_off: Vec<Holiday>) -> Self {
        Self {
            connection: ConnectionId::new(""),
            workspace,
            purpose: Purpose::Care,
            mode: Mode::Live,
            test_phone: None,
            opening: Opening { windows: Vec::new(), zone: jiff::tz::TimeZone::fixed(jiff::tz::offset(7)), days_off },
            named_days: Vec::new(),
            cap: None,
            brake: None,
            expire_interactive: waits.interactive,
            expire_automation: waits.automation,
            max_age: waits.max_age,
            write_back_unreported: false,
        }
    }

    /// When a call expires that may not go before `from` and then has this much time of its own.
    pub fn expires_after(&self, from: Time, left: Duration, created: Time) -> Time {
        self.opening.after(from, left, created.plus(self.max_age))
    }

    /// What is left of a call's own time: of that in which it could have gone, by the calendar and by what held its lines.
    pub fn own_time_left(&self, call: &Call, held: &Held, now: Time) -> Duration {
        let counted = call.own_time.unwrap_or_else(|| OwnTime::new(call.wished_at, self.opening.between(call.wished_at, call.expires_at)));
        let held: Duration = held.within(counted.at, now).map(|(from, to)| self.opening.between(from, to)).sum();
        Duration::from_millis(counted.left_ms).saturating_sub(self.opening.between(counted.at, now).saturating_sub(held))
    }

    /// The first moment from then on at which the cap lets the number be called, by what was placed until now.
    pub fn cap_lets_go(&self, placed: &[Time], from: Time) -> Time {
        self.cap.and_then(|cap| full(cap, placed, from)).unwrap_or(from)
    }

    /// The day off of a moment, if it has a name.
    pub fn holiday(&self, at: Time) -> Option<&DayOff> {
        let day = self.opening.day(at);
        self.named_days.iter().find(|entry| entry.days.contains(day) && !entry.name("").is_empty())
    }

    /// What a code says in `language` (`vi`, else English) of this moment: of a holiday, which one it is.
    pub fn sentence(&self, code: Code, at: Time, language: &str) -> String {
        let sentence = code.sentence(language);
        let day = self.holiday(at).filter(|_| matches!(code, Code::HoldHoliday | Code::RefusedHoliday));
        day.map_or_else(|| sentence.to_owned(), |day| format!("{sentence} ({})", day.name(language)))
    }

    /// When the cap held a number, and holds it from now on, as far as these placings tell.
    pub fn capped(&self, placed: &[Time]) -> Held {
        let Some(cap) = self.cap else { return Held::default() };
        let mut placed = placed.to_vec();
        placed.sort_unstable();
        let mut held = Held::default();
        for as_many in placed.windows(cap.count.max(1) as usize) {
            held.push(as_many[as_many.len() - 1], as_many[0].plus(cap.period));
        }
        held
    }

    /// When a call that was wished then is no longer wanted, as far as the calendar knows: someone who waits counts every minute,
    /// automation only those in which it could have gone.
    pub fn expires(&self, interactive: bool, wished: Time, created: Time) -> Time {
        let oldest = created.plus(self.max_age);
        if interactive { wished.plus(self.expire_interactive).min(oldest) } else { self.opening.after(wished, self.expire_automation, oldest) }
    }
}

/// The rules of calls that no connection asked for: the do-not-call list and their workspace's own days off, by Vietnam's clock.
#[derive(Debug, Clone, Default)]
pub struct OfNobody {
    waits: Waits,
    days_off: HashMap<WorkspaceId, Vec<Holiday>>,
}

impl OfNobody {
    pub fn new(waits: Waits, workspaces: &[Workspace]) -> Self {
        Self { waits, days_off: workspaces.iter().map(|workspace| (workspace.id.clone(), workspace.holidays.clone())).collect() }
    }

    /// Those of one workspace.
    pub fn policy(&self, workspace: &WorkspaceId) -> Policy {
        Policy::of_nobody(workspace.clone(), self.waits, self.days_off.get(workspace).cloned().unwrap_or_default())
    }
}

/// What the rules look at of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub interactive: bool,
    pub consent: Option<bool>,
    /// Its own hold: a brake, a back-off.
    pub hold: Option<Hold>,
    pub expires_at: Time,
}

impl Asked {
    pub fn of(call: &Call) -> Self {
        Self { interactive: call.interactive, consent: call.consent, hold: call.hold, expires_at: call.expires_at }
    }
}

/// What is known about the number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// It stands on the do-not-call list.
    pub do_not_call: Option<Scope>,
    /// When it was placed, over the workspace, in any order; at least as far back as the cap looks.
    pub placed: Vec<Time>,
    /// When a text went to it with a call, in any order.
    pub texted: Vec<Time>,
}

/// What the rules say about placing now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    Go,
    Hold {
        code: Code,
        /// `None`: nobody knows; a person or an event will tell.
        until: Option<Time>,
    },
    Refuse {
        code: Code,
    },
}

/// What the rules say. Refusals come before holds: a call that never goes should not wait first.
pub fn ruling(policy: &Policy, asked: &Asked, history: &History, now: Time) -> Ruling {
    if let Some(code) = refusal(policy, asked, history, now) {
        return Ruling::Refuse { code };
    }
    match hold(policy, asked, history, now) {
        None => Ruling::Go,
        // Someone waits and would wait in vain: they hear it at once.
        Some((code, until)) if asked.interactive && until.is_none_or(|until| until > asked.expires_at) => Ruling::Refuse { code: code.refused() },
        Some((code, until)) => Ruling::Hold { code, until },
    }
}

fn refusal(policy: &Policy, asked: &Asked, history: &History, now: Time) -> Option<Code> {
    let advertising = policy.purpose == Purpose::Advertising;
    match history.do_not_call {
        Some(Scope::All) => return Some(Code::DoNotCall),
        Some(Scope::Advertising) if advertising => return Some(Code::DoNotCall),
        _ => {}
    }
    if advertising && asked.consent != Some(true) {
        return Some(Code::MissingConsent);
    }
    // In test mode nothing reaches a customer: without a phone of the admin's own there is nothing to dial.
    if policy.mode == Mode::Test && policy.test_phone.is_none() {
        return Some(Code::TestMode);
    }
    (advertising && capped(policy, history, now).is_some()).then_some(Code::NumberCap)
}

fn hold(policy: &Policy, asked: &Asked, history: &History, now: Time) -> Option<(Code, Option<Time>)> {
    if policy.mode == Mode::Off {
        return Some((Code::ConnectionOff, None));
    }
    match asked.hold {
        Some(Hold { code: Code::HoldBrake, .. }) => return Some((Code::HoldBrake, None)),
        // One that began in the future was written before the clock was set back: its end means nothing now.
        Some(Hold { code: Code::HoldBackoff, since, until: Some(until) }) if since <= now && now < until => return Some((Code::HoldBackoff, Some(until))),
        // A promised time stays that time of day, whatever the clock does.
        Some(Hold { code: Code::HoldAgain, until: Some(until), .. }) if now < until => return Some((Code::HoldAgain, Some(until))),
        _ => {}
    }
    let status = policy.opening.status(now);
    if let Some(code) = status.shut {
        return Some((code, status.until));
    }
    let capped = capped(policy, history, now).map(|until| (Code::HoldCap, Some(until)));
    capped.or_else(|| texted(policy, history, now).map(|until| (Code::HoldSms, Some(until))))
}

/// When a call that advertises may go, if the text that the phone may send with it would be one too many now.
fn texted(policy: &Policy, history: &History, now: Time) -> Option<Time> {
    let most = (policy.purpose == Purpose::Advertising).then_some(TEXTS)?;
    full(most, &history.texted, now)
}

/// When the cap on the number lets the next one go, if it does not now. Placings that lie in the future (the clock was set back) count.
fn capped(policy: &Policy, history: &History, now: Time) -> Option<Time> {
    full(policy.cap?, &history.placed, now)
}

fn full(cap: Rate, times: &[Time], now: Time) -> Option<Time> {
    let mut recent: Vec<Time> = times.iter().copied().filter(|at| *at > now.minus(cap.period)).collect();
    recent.sort_unstable();
    let first_of_the_last = recent.len().checked_sub(cap.count as usize)?;
    recent.get(first_of_the_last).map(|at| at.plus(cap.period))
}
