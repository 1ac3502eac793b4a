//! Clocks that ran out: expiry, slot timeouts, report deadlines, leases. In slices, so that intake never waits long.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::history;
use super::lookup::LinesOf;
use super::placing::expire;
use super::result::{over_without_report, slot_over};
use super::schedule::{Deadline, Effect};
use super::store::SledStore;
use super::tx::Tx;
use crate::domain::call::{Call, OwnTime, Signal, State, Step, step};
use crate::domain::connection::Mode;
use crate::domain::held;
use crate::domain::id::CallId;
use crate::domain::rule::Waits;
use crate::domain::schedule::may_place;
use crate::domain::time::Time;
use crate::error::Code;
use crate::failpoint;
use crate::store::Rules;
use crate::store::verbs::{StoreError, SweepPolicy, Swept};

const SLICE: usize = 200;
/// How soon an automation call on a held line is looked at again, at the earliest.
const LOOK_AGAIN: Duration = Duration::from_secs(15 * 60);
/// How soon a deadline that came while the request was under way is looked at again.
const LOOK_AGAIN_PLACING: Duration = Duration::from_secs(1);

/// One slice. `more` says that there is another.
pub async fn sweep(store: &SledStore, now: Time, policy: SweepPolicy) -> Result<Swept, StoreError> {
    let over = store.shared.index().take_deadlines(now, SLICE);
    if over.is_empty() {
        return Ok(Swept::default());
    }
    let rules = store.rules();
    let expiring = over.iter().filter(|(_, kind, _)| *kind == Deadline::Expiry).map(|(_, _, call)| *call);
    let lines = store.shared.index().lines_of_all(expiring);
    let more = over.len() == SLICE;
    let batch = over.clone();
    let result = store
        .committer
        .run(failpoint::Step::Sweep, move |tx| {
            let mut swept = Swept { more, ..Swept::default() };
            let mut lines = Held { lines, known: BTreeMap::new(), rules };
            for (_, kind, call) in batch {
                one(tx, now, kind, call, &policy, &mut lines, &mut swept)?;
            }
            Ok(swept)
        })
        .await;
    if result.is_err() {
        store.shared.index().put_deadlines(&over);
    }
    result
}

fn one(tx: &mut Tx<'_>, now: Time, kind: Deadline, id: CallId, policy: &SweepPolicy, lines: &mut Held, swept: &mut Swept) -> Result<(), StoreError> {
    let mut call = match tx.call(id) {
        Ok(Some(call)) => call,
        Ok(None) => return Ok(()),
        // One record that cannot be read must not stop the clocks of the others.
        Err(StoreError::Record(why)) => {
            tracing::error!(call.id = %id, error = %why, "a call cannot be read; its clock does not run");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let from = call.state;
    let signal = match kind {
        Deadline::Expiry => Signal::Expiry,
        Deadline::Lease => Signal::LeaseOver,
        Deadline::Slot => Signal::SlotTimeout,
        Deadline::Report => Signal::Deadline,
    };
    let unreported = call.connection.as_ref().is_some_and(|c| policy.write_back_unreported.contains(c));
    match step(from, signal, call.ever_sent) {
        Step::To(State::Expired) => {
            if let Some((at, own_time)) = extended(tx, &call, now, lines)? {
                tx.effects.push(Effect::Unqueued { call: id });
                (call.expires_at, call.own_time) = (at, own_time);
                tx.effects.push(Effect::queued(&call, None));
            } else {
                swept.expired.push(id);
                let held_by = lines.waited_for(tx, &call, now)?;
                return expire(tx, &mut call, now, held_by, unreported);
            }
        }
        Step::To(State::Unconfirmed) => {
            call.state = State::Unconfirmed;
            call.ever_sent = true;
            call.reason = Some(Code::DialerUnclear.sentence("en").to_owned());
            swept.unconfirmed.push(id);
        }
        Step::To(State::Lost) => {
            call.state = State::Lost;
            call.refusal = Some(Code::Lost);
            over_without_report(tx, &mut call, now, unreported)?;
            swept.lost.push(id);
        }
        Step::FreeSlot => {
            slot_over(tx, &mut call, now)?;
            swept.slots_freed.push(id);
            return Ok(());
        }
        // It is being placed: the answer comes within the lease, and the clock runs on.
        Step::NotApplicable if from == State::Placing => {
            tx.effects.push(Effect::Deadline { at: now.plus(LOOK_AGAIN_PLACING), kind, call: id });
            return Ok(());
        }
        _ => return Ok(()),
    }
    tx.update_call(&mut call, from, now)
}

/// Only time in which rules, lines and brakes would have let it go counts for automation. While they hold it, it waits on; when they let
/// it go, it has what was left. Gives when it is looked at again, and what is left by then.
fn extended(tx: &Tx<'_>, call: &Call, now: Time, lines: &mut Held) -> Result<Option<(Time, Option<OwnTime>)>, StoreError> {
    if call.interactive {
        return Ok(None);
    }
    // Of a connection that was taken out, only the age of its calls is known.
    let policy = lines.rules.of(call.connection.as_ref(), &call.workspace);
    let oldest = call.created_at.plus(policy.as_ref().map_or(Waits::default().max_age, |policy| policy.max_age));
    if oldest <= now {
        return Ok(None);
    }
    let Some(policy) = policy.filter(|_| call.hold.is_none_or(|hold| hold.code != Code::HoldBrake)) else {
        return Ok(Some((oldest, call.own_time)));
    };
    // The hours may have been changed since it was made.
    let by_the_calendar = policy.expires(false, call.wished_at, call.created_at);
    if call.own_time.is_none() && by_the_calendar > now {
        return Ok(Some((by_the_calendar, None)));
    }
    let (mut held_now, stretches) = lines.hold(tx, call, now)?;
    // Since when it is switched off is not known: all along.
    let off = policy.mode == Mode::Off;
    held_now |= off;
    let stretches = if off { stretches.until_now(Some(Time(0)), now) } else { stretches };
    // While the cap holds its number it waits for the cap, also behind others that the line has not come to yet.
    let capped = history::capped(tx, call, &policy, now)?;
    let left = policy.own_time_left(call, &stretches.or(&capped), now);
    if left.is_zero() {
        return Ok(None);
    }
    // The longer it waits, the less often it is looked at: a hundred thousand calls of a paused line must not keep the disk busy.
    let pause = if held_now { LOOK_AGAIN.max(now.since(call.created_at) / 8) } else { Duration::ZERO };
    let look = policy.expires_after(capped.ends(now), left, call.created_at).max(now.plus(pause)).min(oldest);
    Ok(Some((look, Some(OwnTime::new(now, left)))))
}

/// Whether all lines of a call are held; asked once for calls that have the same lines.
struct Held {
    lines: LinesOf,
    known: BTreeMap<usize, (bool, held::Held)>,
    rules: Arc<Rules>,
}

impl Held {
    /// What a call waited for last: a hold of its own, its connection's, its line's.
    fn waited_for(&self, tx: &Tx<'_>, call: &Call, now: Time) -> Result<Option<Code>, StoreError> {
        let own = call.hold.map(|hold| hold.code);
        if own.is_some_and(|code| code != Code::HoldBackoff) {
            return Ok(own);
        }
        let policy = self.rules.of(call.connection.as_ref(), &call.workspace);
        let shut = policy.map(|policy| if policy.mode == Mode::Off { Some(Code::ConnectionOff) } else { policy.opening.status(now).shut });
        match shut {
            None => return Ok(Some(Code::HoldRemoved)),
            Some(Some(code)) => return Ok(Some(code)),
            Some(None) => {}
        }
        let policies = self.lines.queue_of.get(&call.id).and_then(|queue| self.lines.lines.get(queue)).map(Vec::as_slice).unwrap_or_default();
        let brakes = tx.brakes()?;
        for policy in policies {
            if let Err(not) = may_place(policy, &tx.line(&call.workspace, &policy.id)?, &brakes, call.interactive, 0, now) {
                return Ok(Some(not.code));
            }
        }
        Ok(own.or((!call.lines.is_empty() && policies.is_empty()).then_some(Code::HoldLineRemoved)))
    }

    /// Whether they are held now, and when all of them were.
    fn hold(&mut self, tx: &Tx<'_>, call: &Call, now: Time) -> Result<(bool, held::Held), StoreError> {
        // Not in the index: it is being placed or was moved; its record has changed by then.
        let Some(queue) = self.lines.queue_of.get(&call.id) else { return Ok((false, held::Held::default())) };
        if let Some(known) = self.known.get(queue) {
            return Ok(known.clone());
        }
        let brakes = tx.brakes()?;
        let policies = self.lines.lines.get(queue).map(Vec::as_slice).unwrap_or_default();
        let (mut held_now, mut stretches): (bool, Option<held::Held>) = (true, None);
        for policy in policies {
            let state = tx.line(&call.workspace, &policy.id)?;
            held_now &= may_place(policy, &state, &brakes, false, 0, now).is_err_and(|not| {
                matches!(not.code, Code::HoldPaused | Code::HoldStopped | Code::HoldQuota | Code::HoldDialer | Code::HoldSilent | Code::HoldWindow)
            });
            let own = state.held_until(policy, now);
            stretches = Some(stretches.map_or_else(|| own.clone(), |others| others.and(&own)));
        }
        // Without a line it could never have gone.
        let stretches = stretches.unwrap_or_else(|| held::Held::default().until_now(Some(Time(0)), now));
        let known = (held_now, stretches.or(&brakes.held_until(now)));
        self.known.insert(*queue, known.clone());
        Ok(known)
    }
}
