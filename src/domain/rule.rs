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
use super::holiday::Calendar;
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
        if !windows.is_empty() {
            days_off.extend(calendar.holidays());
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-23T09:00:22+07:00, a Monday.
    const NOW: Time = Time(1_795_399_222_000);

    fn policy(purpose: Purpose) -> Policy {
        let mut connection = Connection::new("c".into(), "p");
        connection.purpose = purpose;
        Policy::of(&connection, None, &Calendar::read("vietnam").unwrap(), Waits::default())
    }

    fn asked() -> Asked {
        Asked { interactive: false, consent: Some(true), hold: None, expires_at: NOW.plus(Duration::from_secs(86_400)) }
    }

    fn placed(hours_ago: &[u64]) -> History {
        History { placed: hours_ago.iter().map(|h| NOW.minus(Duration::from_secs(h * 3600))).collect(), ..History::default() }
    }

    #[test]
    fn care_waits_for_the_cap_and_advertising_refuses() {
        let care = policy(Purpose::Care);
        assert_eq!(ruling(&care, &asked(), &placed(&[1, 30]), NOW), Ruling::Go);
        let until = NOW.plus(Duration::from_secs(3600));
        assert_eq!(ruling(&care, &asked(), &placed(&[23, 2, 1, 40]), NOW), Ruling::Hold { code: Code::HoldCap, until: Some(until) });
        let advertising = policy(Purpose::Advertising);
        assert_eq!(ruling(&advertising, &asked(), &placed(&[23]), NOW), Ruling::Refuse { code: Code::NumberCap });
        assert_eq!(ruling(&advertising, &asked(), &placed(&[24]), NOW), Ruling::Go);
    }

    #[test]
    fn advertising_needs_consent_and_silence_is_none() {
        let advertising = policy(Purpose::Advertising);
        for consent in [None, Some(false)] {
            let asked = Asked { consent, ..asked() };
            assert_eq!(ruling(&advertising, &asked, &History::default(), NOW), Ruling::Refuse { code: Code::MissingConsent });
            assert_eq!(ruling(&policy(Purpose::Care), &asked, &History::default(), NOW), Ruling::Go);
        }
    }

    #[test]
    fn the_national_list_concerns_advertising_and_the_own_list_everybody() {
        let listed = |scope| History { do_not_call: Some(scope), ..History::default() };
        assert_eq!(ruling(&policy(Purpose::Care), &asked(), &listed(Scope::Advertising), NOW), Ruling::Go);
        assert_eq!(ruling(&policy(Purpose::Advertising), &asked(), &listed(Scope::Advertising), NOW), Ruling::Refuse { code: Code::DoNotCall });
        assert_eq!(ruling(&policy(Purpose::Care), &asked(), &listed(Scope::All), NOW), Ruling::Refuse { code: Code::DoNotCall });
    }

    #[test]
    fn someone_who_waits_hears_at_once_that_it_is_too_late_in_the_day() {
        let advertising = policy(Purpose::Advertising);
        let evening = NOW.plus(Duration::from_secs(9 * 3600));
        let click = Asked { interactive: true, expires_at: evening.plus(Duration::from_secs(120)), ..asked() };
        assert_eq!(ruling(&advertising, &click, &History::default(), evening), Ruling::Refuse { code: Code::RefusedWindow });
        // Tomorrow, 24 November 2026, is a day off.
        let until = Time::parse_rfc3339("2026-11-25T08:00:00+07:00");
        assert_eq!(ruling(&advertising, &asked(), &History::default(), evening), Ruling::Hold { code: Code::HoldWindow, until });
        let soon = Time::parse_rfc3339("2026-11-23T07:59:00+07:00").unwrap();
        let click = Asked { interactive: true, expires_at: soon.plus(Duration::from_secs(120)), ..asked() };
        assert!(matches!(ruling(&advertising, &click, &History::default(), soon), Ruling::Hold { .. }), "a minute can be waited");
    }

    #[test]
    fn a_fourth_text_in_a_day_holds_advertising_and_nothing_else() {
        let texted = History { texted: [1, 5, 9].map(|h| NOW.minus(Duration::from_secs(h * 3600))).to_vec(), ..History::default() };
        let until = Some(NOW.plus(Duration::from_secs(15 * 3600)));
        assert_eq!(ruling(&policy(Purpose::Advertising), &asked(), &texted, NOW), Ruling::Hold { code: Code::HoldSms, until });
        assert_eq!(ruling(&policy(Purpose::Care), &asked(), &texted, NOW), Ruling::Go);
        let click = Asked { interactive: true, expires_at: NOW.plus(Duration::from_secs(120)), ..asked() };
        assert_eq!(ruling(&policy(Purpose::Advertising), &click, &texted, NOW), Ruling::Refuse { code: Code::RefusedSms });
    }

    #[test]
    fn who_waits_is_never_told_that_the_call_waits() {
        let limit = NOW.plus(Duration::from_secs(120));
        let click = Asked { interactive: true, expires_at: limit, ..asked() };
        let day_off = Time::parse_rfc3339("2026-11-24T09:00:00+07:00").unwrap();
        let back_off = Hold { code: Code::HoldBackoff, since: NOW, until: Some(limit.plus(Duration::from_secs(1))) };
        let refusals = [
            ruling(&policy(Purpose::Care), &click, &placed(&[1, 2, 3]), NOW),
            ruling(&policy(Purpose::Care), &Asked { hold: Some(back_off), ..click }, &History::default(), NOW),
            ruling(&policy(Purpose::Advertising), &Asked { expires_at: day_off, ..click }, &History::default(), day_off),
            ruling(&policy(Purpose::Advertising), &click, &History::default(), NOW.plus(Duration::from_secs(10 * 3600))),
        ];
        for refusal in refusals {
            let Ruling::Refuse { code } = refusal else { panic!("{refusal:?}") };
            assert!(!code.sentence("vi").contains("chờ") && !code.sentence("en").contains("waits"), "{code}: {}", code.sentence("vi"));
            assert!(!code.advice("vi").contains("Không cần làm gì") && !code.advice("en").contains("Nothing to do"), "{code}");
        }
    }

    #[test]
    fn a_brake_waits_for_a_person_and_a_back_off_for_its_time() {
        let care = policy(Purpose::Care);
        let with = |code, since: Time, until| Asked { hold: Some(Hold { code, since, until }), ..asked() };
        let later = NOW.plus(Duration::from_secs(30));
        assert_eq!(ruling(&care, &with(Code::HoldBrake, NOW, None), &History::default(), NOW), Ruling::Hold { code: Code::HoldBrake, until: None });
        let backoff = with(Code::HoldBackoff, NOW, Some(later));
        assert_eq!(ruling(&care, &backoff, &History::default(), NOW), Ruling::Hold { code: Code::HoldBackoff, until: Some(later) });
        assert_eq!(ruling(&care, &backoff, &History::default(), later), Ruling::Go);
        assert_eq!(ruling(&care, &backoff, &History::default(), NOW.minus(Duration::from_secs(3600))), Ruling::Go, "the clock was set back");
    }

    #[test]
    fn a_connection_that_is_off_waits_and_a_test_without_a_phone_is_refused() {
        let off = Policy { mode: Mode::Off, ..policy(Purpose::Care) };
        assert_eq!(ruling(&off, &asked(), &History::default(), NOW), Ruling::Hold { code: Code::ConnectionOff, until: None });
        let test = Policy { mode: Mode::Test, ..policy(Purpose::Care) };
        assert_eq!(ruling(&test, &asked(), &History::default(), NOW), Ruling::Refuse { code: Code::TestMode });
        let own = Policy { test_phone: phone::normalise("0912345678").ok(), ..test };
        assert_eq!(ruling(&own, &asked(), &History::default(), NOW), Ruling::Go);
    }

    #[test]
    fn care_without_hours_ignores_the_calendar_but_not_the_companys_own_day_off() {
        let tet = Time::parse_rfc3339("2027-02-06T09:00:00+07:00").unwrap();
        let calendar = Calendar::read("vietnam").unwrap();
        let mut connection = Connection::new("c".into(), "p");
        let workspace = Workspace { holidays: vec!["2027-03-01".parse().unwrap()], ..Workspace::default() };
        let care = Policy::of(&connection, Some(&workspace), &calendar, Waits::default());
        assert_eq!(care.opening.shut(tet), None);
        assert_eq!(care.opening.shut(Time::parse_rfc3339("2027-03-01T09:00:00+07:00").unwrap()), Some(Code::HoldHoliday));
        connection.hours = vec!["08:00-18:00".parse().unwrap()];
        assert_eq!(Policy::of(&connection, None, &calendar, Waits::default()).opening.shut(tet), Some(Code::HoldHoliday));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Placing whenever the rules say go, over any wishes, never breaks the cap in any window, and never happens while it is shut.
        #[test]
        fn the_cap_holds_in_every_window(count in 1u32..5, hours in 1u64..48, steps in prop::collection::vec(0u64..20_000, 1..80), advertising: bool) {
            let purpose = if advertising { Purpose::Advertising } else { Purpose::Care };
            let period = Duration::from_secs(hours * 3600);
            let policy = Policy { cap: Rate::new(count, period), ..policy(purpose) };
            let (mut now, mut history) = (NOW, History::default());
            for step in steps {
                now = now.plus(Duration::from_secs(step));
                match ruling(&policy, &asked(), &history, now) {
                    Ruling::Go => {
                        prop_assert_eq!(policy.opening.shut(now), None);
                        history.placed.push(now);
                    }
                    Ruling::Hold { code: Code::HoldCap, until } => {
                        // Not a moment too long: it goes then, unless it is shut.
                        let until = until.unwrap();
                        prop_assert!(until > now);
                        let then = ruling(&policy, &asked(), &history, until);
                        prop_assert!(then == Ruling::Go || matches!(then, Ruling::Hold { code: Code::HoldWindow | Code::HoldHoliday | Code::HoldDay, .. }), "{then:?}");
                    }
                    Ruling::Hold { until, .. } => prop_assert!(until.is_some()),
                    Ruling::Refuse { code } => prop_assert!(advertising && code == Code::NumberCap),
                }
            }
            for (i, from) in history.placed.iter().enumerate() {
                let within = history.placed[i..].iter().filter(|at| at.since(*from) < period).count();
                prop_assert!(within <= count as usize, "{within} in {hours} h");
            }
        }
    }
}
