//! Sends a drop-in caller its report.

use super::app::App;
use crate::domain::id::{AttemptId, CallId};
use crate::domain::retry;
use crate::error::Code;
use crate::outbound::{SendError, forward};
use crate::store::{Attempt, Leg, NextTry, Store, StoreError, Task};

/// One try.
pub async fn run(app: &App, task: &Task, id: CallId) -> Result<(), StoreError> {
    let started = app.clock.now();
    let call = app.store.call(id)?;
    let sentence = call.as_ref().and_then(|c| c.refusal).unwrap_or(Code::Lost).sentence("vi");
    let sent = match call.as_ref().and_then(|call| forward::compose(call, sentence)) {
        Some(request) => Some(app.crm.send(&request).await),
        None => None,
    };
    let now = app.clock.now();
    let (status, class, detail) = match &sent {
        Some(Ok(answer)) if answer.status < 300 => (Some(answer.status), "ok", String::new()),
        Some(Ok(answer)) => (Some(answer.status), "answer", String::new()),
        Some(Err(SendError::Blocked(why))) => (None, "blocked", why.clone()),
        Some(Err(error)) => (None, "unclear", error.to_string()),
        None => (None, "ok", "there is no address to forward to".into()),
    };
    let next = match class {
        "ok" | "blocked" => NextTry::Done,
        _ => retry::FORWARD
            .pause(task.tries + 1, task.tried_for(), None, app.dice())
            .map_or(NextTry::Done, |pause| NextTry::At { due: now.plus(pause), counted: true }),
    };
    let attempt = Attempt {
        id: AttemptId::from_uuid(app.clock.uuid()),
        leg: Leg::Forward,
        number: task.tries + 1,
        at: started,
        duration_ms: u64::try_from(now.since(started).as_millis()).unwrap_or(u64::MAX),
        status,
        class: class.into(),
        detail: app.redact(&detail),
        next_at: if let NextTry::At { due, .. } = next { Some(due) } else { None },
    };
    let version = call.map_or(0, |call| u16::try_from(call.report_digests.len()).unwrap_or(u16::MAX));
    app.store.finish_forward(id, version, attempt, next).await
}
