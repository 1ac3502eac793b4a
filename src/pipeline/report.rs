//! Takes the phone's report: found by the URL's token, stored, answered. Repeats are data, not errors.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::app::App;
use super::token;
use crate::domain::call::Call;
use crate::domain::phone;
use crate::domain::report::Report;
use crate::failpoint;
use crate::store::{AfterReport, Reported, Store, StoreError};

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
    let after = AfterReport {
        write_back_after: call
            .connection
            .as_ref()
            .and_then(|c| app.connection(c))
            .filter(|w| !w.connection.write_back.is_empty())
            .map(|_| app.tuning.report_settle),
        settle: app.tuning.settle,
        learn_do_not_call: call.connection.as_ref().and_then(|c| app.connection(c)).is_some_and(|w| w.connection.learn_do_not_call),
        body_digest: hex::encode(&Sha256::digest(&body)[..8]),
        mismatch,
    };
    let reported = app.store.report(now, id, body, report, after).await?;
    failpoint::hit(failpoint::CALLBACKS_ANSWER.before);
    if reported == Reported::NeverSent {
        tracing::error!(call.id = %id, "a report came for a call that was never sent; it is stored and changes nothing");
    }
    Ok(Received::Stored(reported))
}

fn mismatch(call: &Call, report: &Report) -> bool {
    let dialled = call.test_phone.as_ref().unwrap_or(&call.phone);
    let other_id = !report.call_id.is_empty() && report.call_id != call.id.to_string();
    let other_phone = !report.phone.is_empty() && phone::normalise(&report.phone).is_ok_and(|p| p != *dialled);
    other_id || other_phone
}
