//! Takes the phone's report: found by the URL's token, stored, answered. Repeats are data, not errors.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::app::{App, Wired};
use super::{dnc, token, wish};
use crate::domain::after::{self, Again};
use crate::domain::call::{Call, Hold, Origin};
use crate::domain::connection::{Mode, Purpose};
use crate::domain::dnc::Scope;
use crate::domain::id::CallId;
use crate::domain::phone;
use crate::domain::report::Report;
use crate::domain::rule::Policy;
use crate::domain::time::Time;
use crate::error::Code;
use crate::failpoint;
use crate::store::{AfterReport, Decided, Reported, Store, StoreError};

/// How long after the deadline a token still opens its call.
const TOKEN_KEPT: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);

/// What became of a report.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    Stored(Reported),
    /// No such token: nothing was done.
    Unknown,
}

/// Takes one report.
pub async fn receive(app: &App, token: &str, body: Bytes) -> Result<Received, StoreError> {
    let Some(id) = token::read(&app.store.instance_key(), token) else { return Ok(Received::Unknown) };
    let now = app.clock.now();
    let Some(call) = app.store.call(id)? else { return Ok(Received::Unknown) };
    if call.placing_at.is_some_and(|at| now.since(at) > app.tuning.report_deadline + TOKEN_KEPT) {
        return Ok(Received::Unknown);
    }
    // The phone has spoken, in words we do not read: its body is kept for a person, and the call is over all the same.
    let report =
        Report::read(&body).inspect_err(|error| tracing::warn!(call.id = %id, error = %error, "a report cannot be read; it is stored and flagged")).ok();
    let mismatch = report.as_ref().is_none_or(|report| mismatch(&call, report));
    if mismatch && report.is_some() {
        tracing::warn!(call.id = %id, "a report names another call or phone than the call it came for; it is stored and flagged");
    }
    let wired = call.connection.as_ref().and_then(|c| app.connection(c));
    let decision = wired.as_ref().zip(report.as_ref()).map(|(wired, report)| after::decide(&wired.connection.after, report)).unwrap_or_default();
    let again = wired.as_ref().map_or(Ok(None), |wired| again(app, wired, &call, decision.again, now))?;
    let after = AfterReport {
        learn_do_not_call: wired.as_ref().is_some_and(|w| w.connection.learn_do_not_call),
        write_back_after: wired.filter(|w| !w.connection.write_back.is_empty()).map(|_| app.tuning.report_settle),
        settle: app.tuning.settle,
        body_digest: hex::encode(&Sha256::digest(&body)[..8]),
        mismatch,
        do_not_call: decision.do_not_call,
        decided: report.is_some().then_some(Decided { set: decision.set, again }),
    };
    let reported = app.store.report(now, id, body, report, after).await?;
    failpoint::hit(failpoint::CALLBACKS_ANSWER.before);
    // After a crash in between they are refused when a line takes them.
    if !call.after.listed && app.store.call(id)?.is_some_and(|call| call.after.listed) {
        dnc::learnt(app, &call.workspace, &call.phone).await?;
    }
    if reported == Reported::NeverSent {
        tracing::error!(call.id = %id, "a report came for a call that was never sent; it is stored and changes nothing");
    }
    Ok(Received::Stored(reported))
}

/// The one call more that a rule wants, if there were not enough yet.
fn again(app: &App, wired: &Wired, call: &Call, again: Option<Again>, now: Time) -> Result<Option<Box<Call>>, StoreError> {
    let connection = &wired.connection;
    let (done, hours) = after::tried(&call.origin);
    let Some(again) = again.filter(|again| done < again.times) else { return Ok(None) };
    let Some(policy) = app.live.load().policy(Some(&connection.id), &call.workspace) else { return Ok(None) };
    let mut hours = hours.to_vec();
    hours.push(after::hour_of(&policy.opening, call.placing_at.unwrap_or(now)));
    let history = app.store.history(&call.workspace, &call.phone, &policy, now)?;
    // A number that is listed against advertising alone; who may not be called at all is seen by the step, which may take him off as well.
    if policy.purpose == Purpose::Advertising && history.do_not_call == Some(Scope::Advertising) {
        return Ok(None);
    }
    // What is promised on the record is when the number may be called once more.
    let mut placed = history.placed;
    if policy.cap.is_some() {
        placed = with_waiting(app, call, placed, now)?;
    }
    let at = after::next_time(&again, &policy.opening, &hours, policy.cap_lets_go(&placed, now.plus(again.wait)));
    if at >= now.plus(policy.max_age) {
        tracing::warn!(call.id = %call.id, connection.id = %connection.id, "the call more would be later than `max_age` lets a call wait: it is not made");
        return Ok(None);
    }
    let origin = Origin::Again { of: call.id, round: done + 1, hours };
    let mut next = wish::blank(CallId::from_uuid(app.clock.uuid()), call.workspace.clone(), origin, call.phone.clone(), at, now);
    next.connection.clone_from(&call.connection);
    next.record.clone_from(&call.record);
    next.owner.clone_from(&call.owner);
    next.consent = call.consent;
    next.customer.clone_from(&call.customer);
    next.lines.clone_from(&call.lines);
    next.plugin_hash.clone_from(&call.plugin_hash);
    next.interactive = false;
    next.expires_at = policy.expires(false, at, now);
    next.hold = Some(Hold { code: Code::HoldAgain, since: now, until: Some(at) });
    wish::test_mode(&mut next, connection);
    Ok(Some(Box::new(next)))
}

/// With the times at which the other calls to its number will go that wait already, as far as is known: each as early as its own rules let it.
fn with_waiting(app: &App, call: &Call, mut placed: Vec<Time>, now: Time) -> Result<Vec<Time>, StoreError> {
    let live = app.live.load();
    let mut waiting: Vec<(Time, Time, Arc<Policy>)> = Vec::new();
    for id in app.store.queued_to(&call.workspace, &call.phone)?.into_iter().filter(|id| call.after.again != Some(*id)) {
        let Some(other) = app.store.call(id)? else { continue };
        let Some(policy) = live.policy(other.connection.as_ref(), &other.workspace) else { continue };
        // Nobody knows when a person lets it go; a test does not reach the customer.
        if other.hold.is_some_and(|hold| hold.code == Code::HoldBrake) || other.is_test() || policy.mode != Mode::Live {
            continue;
        }
        let from = other.hold.and_then(|hold| hold.until).map_or(now, |until| until.max(now));
        waiting.push((policy.opening.open_from(from), other.expires_at, policy));
    }
    waiting.sort_by_key(|(from, ..)| *from);
    for (from, expires, policy) in waiting {
        let at = policy.cap_lets_go(&placed, from);
        // One too many for advertising is refused, not put off.
        if at < expires && (at == from || policy.purpose != Purpose::Advertising) {
            placed.push(at);
        }
    }
    Ok(placed)
}

fn mismatch(call: &Call, report: &Report) -> bool {
    let dialled = call.test_phone.as_ref().unwrap_or(&call.phone);
    let other_id = !report.call_id.is_empty() && report.call_id != call.id.to_string();
    let other_phone = !report.phone.is_empty() && phone::normalise(&report.phone).is_ok_and(|p| p != *dialled);
    other_id || other_phone
}
