//! Secrets that end by themselves: the admin is told before, and again when it has happened.

use jiff::tz::TimeZone;

use super::app::App;
use crate::domain::alert::{About, AlertKind};
use crate::domain::connection::Mode;
use crate::error::Code;
use crate::store::{AlertChange, Store, StoreError};

/// Looks at every connection's secrets. A new date ends the alarm.
pub async fn watch(app: &App) -> Result<(), StoreError> {
    let (now, live) = (app.clock.now(), app.live.load_full());
    let mut changes = Vec::new();
    let mut said = Vec::new();
    for wired in live.connections.values().filter(|wired| wired.connection.mode != Mode::Off) {
        let Some(plugin) = app.plugins.get(&wired.connection.plugin) else { continue };
        let zone = TimeZone::get(&wired.connection.time_zone).unwrap_or(TimeZone::UTC);
        for end in plugin.secret_ends(&wired.params, &wired.connection.time_zone) {
            let subject = format!("{}/{}", wired.connection.id, end.id);
            let about = About::new(&wired.connection.workspace, AlertKind::SecretEnds, &subject);
            let code = if end.at <= now { Code::SecretEnded } else { Code::SecretEnds };
            if end.at <= now.plus(end.alarm) {
                said.push(about.id());
                let known = app.store.alert(about.id())?.is_some_and(|alert| alert.is_open() && alert.code == code);
                if !known {
                    let day = end.at.timestamp().to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M");
                    changes.push(AlertChange::Raise { about, code, detail: format!("{} · {}: {day}", end.title.vi, end.title.en) });
                }
            }
        }
    }
    for alert in app.store.alerts()?.into_iter().filter(|alert| alert.kind == AlertKind::SecretEnds && alert.is_open() && !said.contains(&alert.id)) {
        changes.push(AlertChange::Clear { about: About::new(&alert.workspace, alert.kind, &alert.subject) });
    }
    if changes.is_empty() { Ok(()) } else { app.store.change_alerts(now, changes).await }
}
