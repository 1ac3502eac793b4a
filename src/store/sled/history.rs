//! What is remembered about numbers and connections, inside a step: placings, new calls, and what the rules say of it all.

use std::time::Duration;

use super::alerts;
use super::dnc;
use super::keys::{self, Tree};
use super::result::over_without_report;
use super::schedule::Effect;
use super::tx::Tx;
use crate::domain::alert::{About, AlertKind};
use crate::domain::call::{Call, Hold, OwnTime, Signal, State, Step, step};
use crate::domain::connection::{Mode, Purpose};
use crate::domain::held::Held;
use crate::domain::id::{ConnectionId, WorkspaceId};
use crate::domain::ledger::{self, Arrivals, NumberDay};
use crate::domain::phone::Phone;
use crate::domain::rule::{Asked, History, Policy, Ruling, TEXTS, ruling};
use crate::domain::time::Time;
use crate::domain::window::Recent;
use crate::error::Code;
use crate::store::Rules;
use crate::store::verbs::StoreError;

/// Bytes under a key of the index tree, in a step's view or straight from disk.
pub type Get<'a> = &'a dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, StoreError>;

/// What the rules need to know about a number.
pub fn of_number(get: Get<'_>, workspace: &WorkspaceId, phone: &Phone, policy: &Policy, now: Time) -> Result<History, StoreError> {
    let placed = policy.cap.map_or(Ok(Vec::new()), |cap| placed(get, workspace, phone, cap.period, now))?;
    let texted = if policy.purpose == Purpose::Advertising { texts(get, workspace, phone)?.0.into() } else { Vec::new() };
    Ok(History { do_not_call: dnc::listed(get, workspace, phone)?.map(|note| note.scope), placed, texted })
}

/// When a number was placed within a period before now.
fn placed(get: Get<'_>, workspace: &WorkspaceId, phone: &Phone, period: Duration, now: Time) -> Result<Vec<Time>, StoreError> {
    let mut placed = Vec::new();
    for day in ledger::days(now, period) {
        placed.extend(read_day(get, &keys::placings(workspace, phone.e164(), day))?.0.into_iter().map(|(at, _)| at));
    }
    Ok(placed)
}

/// When the cap held calls to a call's number, since its own time was counted last: as long as that, it could not have gone.
pub fn capped(tx: &Tx<'_>, call: &Call, policy: &Policy, now: Time) -> Result<Held, StoreError> {
    let Some(cap) = policy.cap else { return Ok(Held::default()) };
    let since = call.own_time.map_or(call.wished_at, |own| own.at);
    let period = cap.period.saturating_add(now.since(since));
    Ok(policy.capped(&placed(&|key| tx.raw(Tree::Index, key), &call.workspace, &call.phone, period, now)?))
}

/// The texts that went to a number with its calls.
fn texts(get: Get<'_>, workspace: &WorkspaceId, phone: &Phone) -> Result<Recent, StoreError> {
    let stored = get(&keys::texts(workspace, phone.e164()))?.unwrap_or_default();
    Ok(Recent::from_bytes(stored.get(8..).unwrap_or_default()))
}

/// Counts a text that the phone sent with a call.
pub fn count_text(tx: &mut Tx<'_>, call: &Call, now: Time) -> Result<(), StoreError> {
    let mut recent = texts(&|key| tx.raw(Tree::Index, key), &call.workspace, &call.phone)?;
    recent.0.push_back(now);
    let from = now.minus(TEXTS.period);
    recent.0.retain(|at| *at > from);
    let value = [&now.plus(TEXTS.period).0.to_be_bytes()[..], &recent.to_bytes()].concat();
    tx.write_raw(Tree::Index, keys::texts(&call.workspace, call.phone.e164()), value);
    Ok(())
}

fn read_day(get: Get<'_>, key: &[u8]) -> Result<NumberDay, StoreError> {
    Ok(get(key)?.map_or_else(NumberDay::default, |bytes| NumberDay::read(bytes.get(8..).unwrap_or_default())))
}

fn of_call(tx: &Tx<'_>, call: &Call, policy: &Policy, now: Time) -> Result<History, StoreError> {
    of_number(&|key| tx.raw(Tree::Index, key), &call.workspace, &call.phone, policy, now)
}

/// What the rules say of a queued call, on what the step sees.
pub fn ruling_of(tx: &Tx<'_>, call: &Call, policy: &Policy, now: Time) -> Result<Ruling, StoreError> {
    Ok(ruling(policy, &Asked::of(call), &of_call(tx, call, policy, now)?, now))
}

/// Writes the number's reservation. A test call does not reach the customer and counts for nobody.
pub fn reserve(tx: &mut Tx<'_>, call: &Call, now: Time) -> Result<(), StoreError> {
    change_day(tx, call, now, |day| day.0.push((now, call.id)))
}

/// Takes the reservation of the last placing back: nobody was called. Other calls to the number may have waited because of it.
pub fn release(tx: &mut Tx<'_>, call: &Call) -> Result<(), StoreError> {
    let Some(at) = call.placing_at else { return Ok(()) };
    tx.effects.push(Effect::freed(call));
    change_day(tx, call, at, |day| day.0.retain(|(placed, id)| *id != call.id || *placed != at))
}

fn change_day(tx: &mut Tx<'_>, call: &Call, at: Time, change: impl FnOnce(&mut NumberDay)) -> Result<(), StoreError> {
    if call.is_test() {
        return Ok(());
    }
    let day = ledger::day_of(at);
    let key = keys::placings(&call.workspace, call.phone.e164(), day);
    let mut placings = read_day(&|key| tx.raw(Tree::Index, key), &key)?;
    change(&mut placings);
    if placings.0.is_empty() {
        tx.remove(Tree::Index, key);
    } else {
        tx.write_raw(Tree::Index, key, [&NumberDay::forgotten_at(day).0.to_be_bytes()[..], &placings.bytes()].concat());
    }
    Ok(())
}

/// A connection in test mode must never reach a customer, also with calls that were made before it was.
pub fn apply_mode(call: &mut Call, policy: &Policy) {
    if policy.mode == Mode::Test && !call.is_test() {
        call.labels.insert("mode".into(), "test".into());
        call.test_phone.clone_from(&policy.test_phone);
    }
}

/// Decides about a call that is being made: refused at once, held by the brake, or queued. A refused call is kept, so that its sentence
/// reach the record; the same sentence once in so long, for our own entry may bring the next delivery of that record.
pub fn admit(tx: &mut Tx<'_>, now: Time, call: &mut Call, rules: &Rules, told_once_in: Option<Duration>) -> Result<(), StoreError> {
    let Some(policy) = rules.of(call.connection.as_ref(), &call.workspace) else { return Ok(()) };
    apply_mode(call, &policy);
    let refusal = match ruling_of(tx, call, &policy, now)? {
        Ruling::Refuse { code } => Some(code),
        // Whoever made it knows that no line takes it in time.
        _ => call.refusal,
    };
    if let Some(code) = refusal {
        call.state = State::Refused;
        call.refusal = Some(code);
        call.ended_at = Some(now);
        let tell = policy.write_back_unreported && call.connection.is_some() && !told_before(tx, now, call, code, told_once_in)?;
        return over_without_report(tx, call, now, tell);
    }
    brake(tx, now, call, &policy)
}

/// Whether the record was told the same lately; if not, it is now.
fn told_before(tx: &mut Tx<'_>, now: Time, call: &Call, code: Code, once_in: Option<Duration>) -> Result<bool, StoreError> {
    let (Some(connection), Some(once_in)) = (&call.connection, once_in) else { return Ok(false) };
    let key = keys::wished(connection, &call.record, &format!("{code} {}", call.phone.e164()));
    if tx.time(&key)?.is_some_and(|until| until > now) {
        return Ok(true);
    }
    tx.write_raw(Tree::Index, key, now.plus(once_in).0.to_be_bytes().to_vec());
    Ok(false)
}

/// Counts a new call of automation; one too many waits for a person. A click is somebody's own wish.
fn brake(tx: &mut Tx<'_>, now: Time, call: &mut Call, policy: &Policy) -> Result<(), StoreError> {
    let Some(brake) = policy.brake.filter(|_| !call.interactive) else { return Ok(()) };
    let key = keys::arrivals(&policy.connection);
    let mut arrivals: Arrivals = tx.read(Tree::Meta, &key)?.unwrap_or_default();
    if !arrivals.take(brake, now) {
        call.hold = Some(Hold { code: Code::HoldBrake, since: now, until: None });
        // Its clock stands still; only its age counts.
        call.expires_at = call.created_at.plus(policy.max_age);
        arrivals.held = arrivals.held.saturating_add(1);
        if arrivals.braking_since.is_some() {
            return tx.write(Tree::Meta, key, &arrivals);
        }
        tracing::warn!(connection.id = %policy.connection, brake = %brake, "more new calls than the brake allows: they wait until a person lets them go or cancels them");
        arrivals.braking_since = Some(now);
        alerts::raise(
            tx,
            now,
            &About::new(&policy.workspace, AlertKind::Brake, policy.connection.as_str()),
            Code::HoldBrake,
            &format!("max_new_calls = {brake}"),
        )?;
    }
    tx.write(Tree::Meta, key, &arrivals)
}

/// A call that the brake held waits no more. After the last one the trouble is over, and the next one too many is told anew.
pub fn brake_left(tx: &mut Tx<'_>, now: Time, workspace: &WorkspaceId, connection: &ConnectionId) -> Result<(), StoreError> {
    let key = keys::arrivals(connection);
    let mut arrivals: Arrivals = tx.read(Tree::Meta, &key)?.unwrap_or_default();
    arrivals.held = arrivals.held.saturating_sub(1);
    let over = arrivals.held == 0;
    if over {
        arrivals.braking_since = None;
    }
    tx.write(Tree::Meta, key, &arrivals)?;
    if over { alerts::clear(tx, now, &About::new(workspace, AlertKind::Brake, connection.as_str())) } else { Ok(()) }
}

/// Ends a queued call by a rule.
pub fn refuse(tx: &mut Tx<'_>, call: &mut Call, now: Time, code: Code, write_back: bool) -> Result<bool, StoreError> {
    if step(call.state, Signal::RuleRefuses, call.ever_sent) != Step::To(State::Refused) {
        return Ok(false);
    }
    call.state = State::Refused;
    call.refusal = Some(code);
    over_without_report(tx, call, now, write_back && call.connection.is_some())?;
    tx.update_call(call, State::Queued, now)?;
    Ok(true)
}

/// Lets a braked call go. Its clock starts now.
pub fn let_go(tx: &mut Tx<'_>, call: &mut Call, now: Time, rules: &Rules) -> Result<bool, StoreError> {
    if call.state != State::Queued || call.hold.is_none_or(|hold| hold.code != Code::HoldBrake) {
        return Ok(false);
    }
    call.hold = None;
    let policy = rules.of(call.connection.as_ref(), &call.workspace);
    tx.effects.push(Effect::Unqueued { call: call.id });
    if let Some(policy) = &policy {
        call.expires_at = policy.expires(call.interactive, now, call.created_at);
        call.own_time = Some(OwnTime::new(now, policy.expire_automation)).filter(|_| !call.interactive);
    }
    if let Some(connection) = call.connection.clone() {
        brake_left(tx, now, &call.workspace, &connection)?;
    }
    tx.effects.push(Effect::queued(call, None));
    tx.update_call(call, State::Queued, now)?;
    Ok(true)
}
