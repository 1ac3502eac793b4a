//! Plugins that are edited while the server runs: loaded anew, or refused with a word about what is wrong.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::bridge;
use crate::config::Settings;
use crate::pipeline::{App, standing};
use crate::plugin::watch::{EVERY, Watch};

/// Looks at `plugins.path` until the end. Every process of a bridge does: each has its own plugins in memory.
pub async fn run(app: Arc<App>, settings: Arc<Settings>, mut stop: watch::Receiver<bool>) {
    let Some(dir) = app.plugins.dir().map(PathBuf::from) else { return };
    let Some(mut seen) = look(&dir, None).await.map(|(watch, _)| watch) else { return };
    // What was edited between the load at the start and the first look.
    reload(&app, &settings).await;
    while !*stop.borrow() {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stop.changed() => return,
        }
        let Some((watch, changed)) = look(&dir, Some(seen)).await else { return };
        seen = watch;
        if changed {
            reload(&app, &settings).await;
        }
    }
}

async fn look(dir: &std::path::Path, watch: Option<Watch>) -> Option<(Watch, bool)> {
    let dir = dir.to_owned();
    let work = move || match watch {
        Some(mut watch) => {
            let changed = watch.look(&dir);
            (watch, changed)
        }
        None => (Watch::new(&dir), false),
    };
    tokio::task::spawn_blocking(work).await.ok()
}

async fn reload(app: &Arc<App>, settings: &Arc<Settings>) {
    let wanted = Arc::clone(app);
    let (app, settings) = (Arc::clone(app), Arc::clone(settings));
    let work = move || {
        let reloaded = app.reload_plugins();
        if !reloaded.changed.is_empty() {
            // Added to: what handshakes and logins brought is known to it alone.
            let secrets = bridge::secrets(&settings, &app.plugins);
            app.redactor.rcu(|redactor| redactor.and(secrets.iter().map(String::as_str)));
        }
        for plugin in &reloaded.changed {
            tracing::info!(plugin = plugin.id(), hash = plugin.hash(), "an edited plugin is in use");
        }
        for problem in &reloaded.problems {
            tracing::error!(plugin = %problem.id, error = %problem, "an edited plugin is not taken; what was in use stays in use");
        }
    };
    if let Err(error) = tokio::task::spawn_blocking(work).await {
        tracing::error!(error = %error, "plugins could not be loaded anew");
    }
    // An edited plugin may fetch and register other things than before.
    if let Err(error) = standing::want(&wanted).await {
        tracing::error!(error = %error, "what is to be fetched from CRMs and registered there could not be kept");
    }
}
