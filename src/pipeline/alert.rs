//! Tells receivers of alerts, and notices what no single step can: a backlog that grows, a quota that was changed.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::app::{App, Live};
use crate::domain::alert::{About, Alert, AlertKind, Message};
use crate::domain::connection::Language;
use crate::domain::id::{AlertId, ConnectionId, LineId, WorkspaceId};
use crate::domain::retry;
use crate::domain::schedule::month_of;
use crate::domain::time::Time;
use crate::error::Code;
use crate::outbound::alert::Receiver;
use crate::store::{AlertChange, NextTry, Store, StoreError, Task, TaskKind};

/// Tells everybody who does not know yet.
pub async fn run(app: &App, task: &Task, id: AlertId) -> Result<(), StoreError> {
    let now = app.clock.now();
    let Some(mut alert) = app.store.alert(id)? else { return app.store.end_alert_task(now, id).await };
    let live = app.live.load_full();
    let mut next = NextTry::Done;
    for receiver in live.receivers.iter() {
        let name = receiver.target.name.clone();
        let Some(message) = alert.message_for(&name).filter(|_| receiver.target.wants(&alert)) else { continue };
        match tell(app, &live, receiver, &alert, message).await {
            Ok(()) => alert.note_told(&name, message, None),
            Err((why, after)) => {
                let now = app.clock.now();
                tracing::warn!(alert.id = %id, receiver = name, error = %why, "an alert could not be delivered");
                match retry::FORWARD.pause(task.tries + 1, task.tried_for(), after, app.dice()) {
                    Some(pause) => next = NextTry::At { due: now.plus(pause), counted: true },
                    None => alert.note_told(&name, message, Some(why)),
                }
            }
        }
    }
    app.store.finish_alert(app.clock.now(), alert, next).await
}

async fn tell(app: &App, live: &Live, receiver: &Receiver, alert: &Alert, message: Message) -> Result<(), (String, Option<std::time::Duration>)> {
    let words = words(app, live, alert, receiver.target.language, message);
    let request = receiver.compose(words).map_err(|why| (why, None))?;
    match app.crm.send(&request).await {
        Ok(answer) if answer.status < 300 => Ok(()),
        Ok(answer) => {
            let after = answer.header("retry-after").and_then(|v| v.trim().parse().ok()).map(std::time::Duration::from_secs);
            let excerpt: String = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
            Err((format!("status {}: {}", answer.status, app.redact(&excerpt)), after))
        }
        Err(error) => Err((app.redact(&error.to_string()), None)),
    }
}

/// What templates may say of an alert.
fn words(app: &App, live: &Live, alert: &Alert, language: Language, message: Message) -> Value {
    let name = name_of(live, alert, language);
    let language = language.as_str();
    let (waiting, detail) = match alert.kind {
        AlertKind::LinePaused | AlertKind::LineSilent => (app.store.waiting(&LineId::new(&alert.subject)).all(), alert.detail.as_str()),
        // So many they were when it was noticed; that is all it says.
        AlertKind::Backlog => (alert.detail.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0), ""),
        _ => (0, alert.detail.as_str()),
    };
    let cleared = alert.cleared_at.filter(|_| message == Message::Recovered);
    json!({
        "id": alert.id.to_string(), "kind": alert.kind.as_str(), "code": alert.code.as_str(), "subject": alert.subject, "name": name,
        "workspace": (alert.workspace != WorkspaceId::default()).then_some(alert.workspace.as_str()), "workspace_id": alert.workspace.as_str(),
        "since": alert.raised_at.rfc3339(), "cleared_at": cleared.map(Time::rfc3339), "seconds": cleared.map(|at| at.since(alert.raised_at).as_secs()),
        "recovered": message == Message::Recovered, "waiting": (waiting > 0).then_some(waiting),
        "sentence": alert.code.sentence(language), "advice": alert.code.advice(language), "detail": detail
    })
}

/// Troubles of lines and connections that were taken out of the configuration: nobody can end them any more.
fn of_nothing(alerts: Vec<Alert>, live: &Live) -> Vec<AlertChange> {
    let gone = |alert: &Alert| match alert.kind {
        AlertKind::LinePaused | AlertKind::LineSilent => !live.lines.contains_key(&LineId::new(&alert.subject)),
        AlertKind::ConnectionFailing | AlertKind::Brake | AlertKind::NotSubscribed | AlertKind::SecretEnds => {
            let connection = alert.subject.split('/').next().unwrap_or_default();
            !live.connections.contains_key(&ConnectionId::new(connection))
        }
        AlertKind::Dialer | AlertKind::Backlog | AlertKind::Stopped => false,
    };
    let over = alerts.into_iter().filter(|alert| alert.is_open() && gone(alert));
    over.map(|alert| AlertChange::Clear { about: About::new(&alert.workspace, alert.kind, &alert.subject) }).collect()
}

/// Lines whose month is used up since their quota was lowered, and those that may place again: no placing tells of them. A quota of 0
/// is meant so.
fn quotas(app: &App, live: &Live, now: Time) -> Result<Vec<AlertChange>, StoreError> {
    let mut changes = Vec::new();
    for line in live.lines.values() {
        let about = About::new(&line.workspace, AlertKind::LinePaused, line.id.as_str());
        let open = app.store.alert(about.id())?.filter(Alert::is_open);
        let used = app.store.line(&line.workspace, &line.id)?.used_in(&month_of(now));
        match (open, line.monthly_quota.filter(|quota| (1..=used).contains(quota))) {
            (None, Some(quota)) => changes.push(AlertChange::Raise { about, code: Code::HoldQuota, detail: format!("monthly_quota = {quota}") }),
            (Some(alert), None) if alert.code == Code::HoldQuota => changes.push(AlertChange::Clear { about }),
            _ => {}
        }
    }
    Ok(changes)
}

/// What people call the line or connection, or what waits.
pub fn name_of(live: &Live, alert: &Alert, language: Language) -> String {
    let name = match alert.kind {
        AlertKind::LinePaused | AlertKind::LineSilent => live.lines.get(&LineId::new(&alert.subject)).map(|line| line.title().to_owned()),
        AlertKind::ConnectionFailing | AlertKind::Brake | AlertKind::NotSubscribed | AlertKind::SecretEnds => {
            let connection = alert.subject.split('/').next().unwrap_or_default();
            live.connections.get(&ConnectionId::new(connection)).map(|wired| wired.connection.title().to_owned())
        }
        AlertKind::Backlog => {
            return language.of(if alert.subject == CALLS { ("cuộc gọi", "calls") } else { ("kết quả ghi vào CRM", "results for CRMs") }).into();
        }
        AlertKind::Dialer | AlertKind::Stopped => None,
    };
    match name {
        Some(name) if name != alert.subject => format!("{name} ({})", alert.subject),
        _ => alert.subject.clone(),
    }
}

/// The subjects of a backlog.
const CALLS: &str = "calls";
const RESULTS: &str = "write_back";

/// What was seen at the last look.
#[derive(Default)]
pub struct Seen(HashMap<(WorkspaceId, &'static str), usize>);

/// Looks for what waits in ever greater number (raised above the limit while it grows, over below half of it), and at the lines' quotas.
pub async fn watch(app: &App, seen: &mut Seen) -> Result<(), StoreError> {
    let live = app.live.load_full();
    let workspaces: std::collections::BTreeSet<WorkspaceId> = live.lines.values().map(|line| line.workspace.clone()).collect();
    let mut found = Vec::new();
    for workspace in workspaces {
        let queued = app.store.stats(&workspace)?.counters.get("calls.state.queued").copied().unwrap_or(0);
        found.push((workspace, CALLS, usize::try_from(queued).unwrap_or(0), app.tuning.backlog_calls));
    }
    found.push((WorkspaceId::default(), RESULTS, app.store.backlog(TaskKind::WriteBack), app.tuning.backlog_write_backs));
    let mut changes = of_nothing(app.store.alerts()?, &live);
    changes.extend(quotas(app, &live, app.clock.now())?);
    for (workspace, subject, n, limit) in found {
        let before = seen.0.insert((workspace.clone(), subject), n);
        let about = About::new(&workspace, AlertKind::Backlog, subject);
        let open = app.store.alert(about.id())?.is_some_and(|alert| alert.is_open());
        if !open && n > limit && before.is_some_and(|before| n > before) {
            changes.push(AlertChange::Raise { about, code: Code::Backlog, detail: format!("{subject}: {n}") });
        } else if open && n <= limit / 2 {
            changes.push(AlertChange::Clear { about });
        }
    }
    if changes.is_empty() { Ok(()) } else { app.store.change_alerts(app.clock.now(), changes).await }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trouble_of_a_line_that_is_gone_is_over_and_that_of_the_dialer_stays() {
        let alert = |kind, subject: &str| {
            let about = About::new(&WorkspaceId::default(), kind, subject);
            let text = json!({"id": about.id(), "workspace": "main", "kind": kind, "subject": subject, "code": "hold_paused", "raised_at": 5, "times": 1});
            (about, serde_json::from_value::<Alert>(text).unwrap())
        };
        let (line, of_line) = alert(AlertKind::LinePaused, "sold");
        let (connection, of_connection) = alert(AlertKind::SecretEnds, "old/token");
        let (_, of_dialer) = alert(AlertKind::Dialer, "callone");
        let (_, mut over) = alert(AlertKind::LineSilent, "sold");
        over.cleared_at = Some(Time(6));
        let changes = of_nothing(vec![of_line, of_connection, of_dialer, over], &Live::default());
        assert_eq!(changes, [AlertChange::Clear { about: line }, AlertChange::Clear { about: connection }]);
    }
}
