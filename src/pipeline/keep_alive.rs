//! Logins that die of not being used: made again in time, also where no call comes for months.

use std::time::Duration;

use super::app::App;
use super::login;
use super::standing::Failure;
use crate::domain::alert::{About, AlertKind};
use crate::domain::source::Source;
use crate::error::Code;
use crate::store::{AlertChange, Store, StoreError};

/// Where nobody has logged in yet, and how long before its time a login is made again.
const LOOK_AGAIN: Duration = Duration::from_secs(86_400);

/// Logs in again if it is time.
pub(super) async fn run(app: &App, mut source: Source) -> Result<(), StoreError> {
    let wired = app.connection(&source.key.connection);
    let plugin = wired.as_ref().and_then(|wired| app.plugins.get(&wired.connection.plugin));
    let (Some(wired), Some(plugin)) = (wired, plugin) else { return app.store.finish_source(source, None, None).await };
    let found = plugin.auth_named(&source.key.name, &wired.params).and_then(|auth| Some((auth, auth.login.as_ref()?)));
    let Some((auth, how, every)) = found.and_then(|(auth, how)| Some((auth, how, how.keep_alive?))) else {
        return app.store.finish_source(source, None, None).await;
    };
    let now = app.clock.now();
    // The first login is made by the first request, or by a person.
    let Some(kept) = app.store.kept(&source.key.connection, &login::slot(&auth.name))? else {
        return app.store.finish_source(source, None, Some(now.plus(LOOK_AGAIN.min(every)))).await;
    };
    // A day early where there is room for it: a CRM that is down just then does not end the login.
    let before = if every > LOOK_AGAIN * 2 { every - LOOK_AGAIN } else { every / 2 };
    if kept.at.plus(before) > now {
        return app.store.finish_source(source, None, Some(kept.at.plus(before))).await;
    }
    let about = About::new(&source.key.workspace, AlertKind::ConnectionFailing, source.key.connection.as_str());
    match login::ready(app, &wired, &plugin, auth, how, &wired.params, Some(kept.version)).await {
        Ok(_) => {
            if source.problem.take().is_some() {
                app.store.change_alerts(now, vec![AlertChange::Clear { about }]).await?;
            }
            (source.failures, source.worked_at) = (0, Some(now));
            app.store.finish_source(source, None, Some(app.clock.now().plus(before))).await
        }
        Err(error) => {
            let failure = Failure::of(&error, wired.connection.language);
            let (sentence, due) = (app.redact(&failure.sentence), now.plus(failure.pause(source.failures)));
            if failure.misconfigured {
                let (code, detail) = (Code::ConnectionFailing, sentence.clone());
                app.store.change_alerts(now, vec![AlertChange::Raise { about, code, detail }]).await?;
            }
            (source.failures, source.problem) = (source.failures.saturating_add(1), Some(sentence));
            app.store.finish_source(source, None, Some(due)).await
        }
    }
}
