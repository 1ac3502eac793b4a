//! Steps around the one request that must never be sent twice.

use std::time::Duration;

use super::keys::{self, Tree};
use super::result;
use super::schedule::{Deadline, Effect};
use super::tx::Tx;
use super::{alerts, history};
use crate::domain::alert::{About, AlertKind};
use crate::domain::call::{Call, Hold, OwnTime, Signal, State, Step, step};
use crate::domain::held::Held;
use crate::domain::id::{CallId, LineId, WorkspaceId};
use crate::domain::rule::Ruling;
use crate::domain::schedule::{DialerHold, LinePolicy, LineState, may_place, month_of};
use crate::domain::set_back::SetBack;
use crate::domain::time::Time;
use crate::error::Code;
use crate::store::Rules;
use crate::store::verbs::{AfterReport, Attempt, Begun, Claim, Gate, Placing, StoreError};

/// How long a `placing` may be without its outcome before it counts as left behind. The request's own limit is far shorter.
pub const LEASE: Duration = Duration::from_secs(90);

/// How much later than the rest a call is tried again whose request the dialer did not take.
const BEHIND_THE_OTHERS: Duration = Duration::from_secs(60);
/// The dialer cannot be used so many times in a row before the admin is told.
const ALERT_AFTER: u32 = 5;
/// The subject of the dialer's alert.
pub const DIALER: &str = "callone";
/// The subject of the stop button's alert.
pub const EVERYTHING: &str = "all";

/// What the index knows of the claimed line: its policy, and whether it was noticed that the clock was set back.
pub type Known<'a> = (Option<&'a LinePolicy>, Option<SetBack>);

/// Re-checks everything and writes `placing` with the slot, the rate and the quota.
pub fn begin(tx: &mut Tx<'_>, now: Time, claim: &Claim, (policy, noticed): Known<'_>, rules: &Rules, gate: &Gate) -> Result<Begun, StoreError> {
    let Some(mut call) = tx.call(claim.call)?.filter(|c| c.state == State::Queued) else { return Ok(Begun::Gone) };
    let Some(policy) = policy.filter(|p| p.workspace == call.workspace) else {
        return Ok(Begun::Hold { code: Code::NoLine, until: None });
    };
    let held = if counted(&call, now) { held_until(tx, &call, (&claim.line, policy), rules, now)? } else { Held::default() };
    // The sweep may be a moment late: nothing is dialled after its time.
    match on_time(&call, rules, &held, now) {
        OnTime::Yes => {}
        OnTime::AskTheSweep => return Ok(Begun::Hold { code: Code::HoldBackoff, until: Some(now.plus(Duration::from_secs(1))) }),
        OnTime::No => {
            let unreported = call.connection.as_ref().is_some_and(|c| gate.sweep.write_back_unreported.contains(c));
            let held_by = call.hold.map(|hold| hold.code);
            expire(tx, &mut call, now, held_by, unreported)?;
            return Ok(Begun::Gone);
        }
    }
    if let Some(begun) = by_the_rules(tx, &mut call, now, rules, (&claim.line, policy))? {
        return Ok(begun);
    }
    result::overdue_slots(tx, &call.workspace, &claim.line, now, gate.slot_timeout)?;
    let mut line = tx.line(&call.workspace, &claim.line)?;
    if line.set_back_as(noticed, now) {
        tx.write_line(&call.workspace.clone(), &claim.line, line.clone())?;
    }
    if let Err(not) = may_place(policy, &line, &tx.brakes()?, call.interactive, 0, now) {
        // Who chose it believed something else of the line: without this it would be chosen again at once.
        tx.effects.push(Effect::Line { line: claim.line.clone(), state: Box::new(line) });
        return Ok(Begun::Hold { code: not.code, until: not.until });
    }
    line.take(policy, call.id, now, now.plus(gate.slot_timeout));
    quota_alert(tx, now, policy, &line)?;
    call.state = State::Placing;
    call.hold = None;
    call.line = Some(claim.line.clone());
    call.placing_at = Some(now);
    call.placings += 1;
    call.public_url.clone_from(&gate.public_url);
    let deadline = now.plus(gate.report_deadline);
    call.deadline = Some(deadline);
    history::reserve(tx, &call, now)?;
    tx.update_call(&mut call, State::Queued, now)?;
    tx.write_line(&call.workspace.clone(), &claim.line, line)?;
    tx.effects.push(Effect::Deadline { at: now.plus(LEASE), kind: Deadline::Lease, call: call.id });
    tx.effects.push(Effect::Deadline { at: now.plus(gate.slot_timeout), kind: Deadline::Slot, call: call.id });
    tx.effects.push(Effect::Deadline { at: deadline, kind: Deadline::Report, call: call.id });
    Ok(Begun::Go(Box::new(call)))
}

/// The month's last request is told, as the dialer's own 2118 is; the trouble is over when the line may place again.
fn quota_alert(tx: &mut Tx<'_>, now: Time, policy: &LinePolicy, line: &LineState) -> Result<(), StoreError> {
    let Some(quota) = policy.monthly_quota else { return Ok(()) };
    let about = About::new(&policy.workspace, AlertKind::LinePaused, policy.id.as_str());
    if line.used_in(&month_of(now)) >= quota {
        return alerts::raise(tx, now, &about, Code::HoldQuota, &format!("monthly_quota = {quota}"));
    }
    alerts::clear_of(tx, now, &about, Code::HoldQuota)
}

/// Whether what is left of a call's own time has to be counted: its time may be over.
fn counted(call: &Call, now: Time) -> bool {
    !call.interactive && (call.own_time.is_some() || call.expires_at <= now)
}

/// When the line that is to take a call took none, or the cap on its number let none go: as long as that, it waited for nothing of its own.
fn held_until(tx: &Tx<'_>, call: &Call, (line, policy): (&LineId, &LinePolicy), rules: &Rules, now: Time) -> Result<Held, StoreError> {
    let held = tx.line(&call.workspace, line)?.held_until(policy, now).or(&tx.brakes()?.held_until(now));
    match rules.of(call.connection.as_ref(), &call.workspace) {
        Some(policy) => Ok(held.or(&history::capped(tx, call, &policy, now)?)),
        None => Ok(held),
    }
}

enum OnTime {
    Yes,
    No,
    /// Its line was held for a while: the sweep, which is due, knows all its lines.
    AskTheSweep,
}

fn on_time(call: &Call, rules: &Rules, held: &Held, now: Time) -> OnTime {
    let over = call.expires_at <= now;
    if !counted(call, now) {
        return if over { OnTime::No } else { OnTime::Yes };
    }
    let left = rules.of(call.connection.as_ref(), &call.workspace).map(|policy| policy.own_time_left(call, held, now));
    match left {
        Some(left) if left.is_zero() => OnTime::No,
        Some(_) if over => OnTime::AskTheSweep,
        Some(_) => OnTime::Yes,
        None if over => OnTime::No,
        None => OnTime::Yes,
    }
}

/// What the rules say at the last moment, on stored history; `None`: it may go.
fn by_the_rules(tx: &mut Tx<'_>, call: &mut Call, now: Time, rules: &Rules, line: (&LineId, &LinePolicy)) -> Result<Option<Begun>, StoreError> {
    let Some(policy) = rules.of(call.connection.as_ref(), &call.workspace) else {
        return Ok(Some(Begun::Hold { code: Code::HoldRemoved, until: None }));
    };
    history::apply_mode(call, &policy);
    match history::ruling_of(tx, call, &policy, now)? {
        Ruling::Go => Ok(None),
        Ruling::Refuse { code } => {
            history::refuse(tx, call, now, code, policy.write_back_unreported)?;
            Ok(Some(Begun::Refused { code }))
        }
        Ruling::Hold { code, until } => {
            // Kept, so that a restart and a person see it too. The other holds are the connection's or are there already.
            if matches!(code, Code::HoldCap | Code::HoldSms) && call.hold.is_none_or(|hold| (hold.code, hold.until) != (code, until)) {
                call.hold = Some(Hold { code, since: now, until });
                if let Some(until) = until.filter(|_| !call.interactive) {
                    // It could not have gone: that time is not its own.
                    let left = policy.own_time_left(call, &held_until(tx, call, line, rules, now)?, now);
                    let expires = policy.expires_after(until, left, call.created_at);
                    call.own_time = Some(OwnTime::new(until, left));
                    tx.effects.push(Effect::Deadline { at: expires, kind: Deadline::Expiry, call: call.id });
                    call.expires_at = expires;
                }
                tx.update_call(call, State::Queued, now)?;
            }
            // In this step, so that it comes before the effect of a later one that ends the hold.
            if matches!(code, Code::HoldCap | Code::HoldSms | Code::HoldHoliday) {
                tx.effects.push(Effect::ruled(call, until));
            }
            Ok(Some(Begun::Hold { code, until }))
        }
    }
}

/// Ends a queued call whose time is over; `held_by` is what it waited for.
pub fn expire(tx: &mut Tx<'_>, call: &mut Call, now: Time, held_by: Option<Code>, unreported: bool) -> Result<(), StoreError> {
    call.state = State::Expired;
    call.held_by = held_by;
    call.refusal = Some(Code::Expired);
    result::over_without_report(tx, call, now, unreported)?;
    tx.update_call(call, State::Queued, now)
}

/// Writes what the dialer's answer came to, by the state table.
pub fn end(tx: &mut Tx<'_>, now: Time, id: CallId, outcome: Placing, attempt: &Attempt, after: &AfterReport) -> Result<Option<Call>, StoreError> {
    let Some(mut call) = tx.call(id)? else { return Ok(None) };
    tx.write(Tree::Attempts, keys::attempt(id, attempt.id), attempt)?;
    // An outcome that was tried again after a store error may come when its call is placed anew: it says nothing about this placing.
    if attempt.number != u32::from(call.placings) {
        return Ok(Some(call));
    }
    let from = call.state;
    let signal = match &outcome {
        Placing::Taken => Signal::Taken,
        Placing::Refused { .. } => Signal::Refused2111,
        Placing::LineTrouble { .. } | Placing::SystemError { .. } => Signal::LineTrouble,
        Placing::NotSent { .. } => Signal::NotSent,
        Placing::MaybeSent { .. } => Signal::MaybeSent,
    };
    // Test mode without a test phone: no request left.
    let only_tested = matches!(outcome, Placing::Refused { code: Code::TestMode, .. });
    if signal != Signal::NotSent && !only_tested {
        call.ever_sent = true;
    }
    let to = step(from, signal, call.ever_sent);
    end_lease(tx, &call);
    match to {
        Step::To(State::Placed) => {
            call.state = State::Placed;
            call.placed_at = Some(now);
            line_is_well(tx, &call, now)?;
        }
        Step::To(State::Refused) => {
            call.state = State::Refused;
            if let Placing::Refused { code, detail } = outcome {
                call.refusal = Some(code);
                call.reason = (!detail.is_empty()).then_some(detail);
            }
            let placed = call.placing_at.filter(|_| only_tested);
            free_slot(tx, &mut call, |line| placed.into_iter().for_each(|at| line.uncount(at)))?;
            history::release(tx, &call)?;
            result::over_without_report(tx, &mut call, now, after.write_back_after.is_some())?;
        }
        Step::To(State::Unconfirmed) => call.state = State::Unconfirmed,
        Step::To(State::Queued) => {
            call.state = State::Queued;
            back_to_queue(tx, &mut call, now, outcome)?;
        }
        _ => {
            // The report was faster, or a person acted: the answer is recorded and changes nothing.
        }
    }
    tx.update_call(&mut call, from, now)?;
    Ok(Some(call))
}

fn end_lease(tx: &mut Tx<'_>, call: &Call) {
    if let Some(at) = call.placing_at {
        tx.effects.push(Effect::NoDeadline { at: at.plus(LEASE), kind: Deadline::Lease, call: call.id });
    }
}

/// The dialer took a call: a probe of a paused line, or of the dialer as a whole, went well. A request that left before the trouble began
/// says nothing about it.
fn line_is_well(tx: &mut Tx<'_>, call: &Call, now: Time) -> Result<(), StoreError> {
    if let Some(name) = &call.line {
        let mut line = tx.line(&call.workspace, name)?;
        if line.probed_by(call.placing_at) && line.go_on(now) {
            tx.write_line(&call.workspace, name, line)?;
            alerts::line_goes_on(tx, now, &call.workspace, name)?;
        }
    }
    let mut brakes = tx.brakes()?;
    if brakes.dialer.as_ref().is_some_and(|hold| call.placing_at.is_some_and(|at| at >= hold.until)) {
        brakes.dialer_is_well(now);
        tx.write_brakes(brakes)?;
        alerts::clear(tx, now, &About::new(&WorkspaceId::default(), AlertKind::Dialer, DIALER))?;
    }
    Ok(())
}

/// Gives the slot back and lets `change` say more about the line.
pub fn free_slot(tx: &mut Tx<'_>, call: &mut Call, change: impl FnOnce(&mut LineState)) -> Result<(), StoreError> {
    let Some(name) = call.line.clone() else { return Ok(()) };
    let mut line = tx.line(&call.workspace, &name)?;
    if let Some(at) = line.in_flight.remove(&call.id) {
        tx.effects.push(Effect::NoDeadline { at, kind: Deadline::Slot, call: call.id });
    }
    change(&mut line);
    tx.write_line(&call.workspace.clone(), &name, line)
}

fn back_to_queue(tx: &mut Tx<'_>, call: &mut Call, now: Time, outcome: Placing) -> Result<(), StoreError> {
    if let Some(at) = call.deadline.take() {
        tx.effects.push(Effect::NoDeadline { at, kind: Deadline::Report, call: call.id });
    }
    history::release(tx, call)?;
    let mut not_before = None;
    match outcome {
        Placing::LineTrouble { mut pause } => {
            call.hold = Some(Hold { code: pause.code, since: now, until: pause.until });
            if let Some(name) = &call.line {
                alerts::raise(tx, now, &About::new(&call.workspace, AlertKind::LinePaused, name.as_str()), pause.code, &pause.detail)?;
            }
            free_slot(tx, call, |line| {
                // A probe that failed does not begin the pause anew; one of the future was over since the clock was set back.
                if let Some(old) = line.pause.as_ref().filter(|old| old.code == pause.code && old.since <= now) {
                    pause.since = old.since;
                }
                // What a person paused while the request was out stays paused until a person says otherwise.
                if line.pause.as_ref().is_none_or(|old| old.by.is_empty() && (old.until.is_some() || pause.until.is_none())) {
                    line.pause(pause);
                }
            })?;
        }
        Placing::SystemError { not_before: at } => {
            call.system_errors += 1;
            call.hold = Some(Hold { code: Code::HoldBackoff, since: now, until: Some(at) });
            not_before = Some(at);
            free_slot(tx, call, |_| {})?;
        }
        Placing::NotSent { code, dialer_until } => {
            // Without a time it was kept back here: what does so holds its line or its connection, and says it itself.
            call.hold = dialer_until.map(|until| Hold { code, since: now, until: Some(until) });
            // It may be this call that the dialer does not take: the others go first when the dialer is asked again.
            if code == Code::DialerMisconfigured {
                not_before = dialer_until.map(|until| until.plus(BEHIND_THE_OTHERS.saturating_mul(u32::from(call.placings))));
            }
            // Nothing reached the vendor: neither slot nor quota is lost.
            let placed = call.placing_at;
            free_slot(tx, call, |line| placed.into_iter().for_each(|at| line.uncount(at)))?;
            if let Some(until) = dialer_until {
                let mut brakes = tx.brakes()?;
                let times = brakes.dialer.as_ref().map_or(1, |h| h.times.saturating_add(1));
                // One of the future is of a clock that was set back, and would hold nothing.
                let since = brakes.dialer.as_ref().map_or(now, |h| h.since.min(now));
                if times >= ALERT_AFTER || code == Code::DialerMisconfigured {
                    alerts::raise(tx, now, &About::new(&WorkspaceId::default(), AlertKind::Dialer, DIALER), code, "")?;
                }
                brakes.dialer = Some(DialerHold { code, since, until, times });
                tx.write_brakes(brakes)?;
            }
        }
        Placing::Taken | Placing::Refused { .. } | Placing::MaybeSent { .. } => {}
    }
    tx.effects.push(Effect::queued(call, not_before));
    Ok(())
}
