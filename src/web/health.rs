//! `/healthz`, `/readyz`, `/metrics`, and the answer where nothing is.

use std::fmt::Write;

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::json;

use super::problem::problem;
use super::routes::State;
use crate::domain::id::WorkspaceId;
use crate::error::Code;
use crate::store::{Store, TaskKind};

/// The process answers.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// The store takes work, and the loops of the workers that run here do it.
pub async fn ready(state: Data<State>) -> HttpResponse {
    let down = || state.app.loops.down().map(|name| format!("the worker `{name}` broke and is started again"));
    match state.app.store.trouble().or_else(down) {
        None => HttpResponse::Ok().json(json!({"status": "ready", "queued": state.app.store.queued()})),
        Some(why) => HttpResponse::ServiceUnavailable().json(json!({"status": "not ready", "why": why})),
    }
}

/// Prometheus text: every counter of every workspace, queues, backlog.
pub async fn metrics(state: Data<State>) -> HttpResponse {
    let store = &state.app.store;
    let mut workspaces: Vec<WorkspaceId> = state.settings.workspaces.iter().map(|w| w.id.clone()).collect();
    if !workspaces.contains(&WorkspaceId::default()) {
        workspaces.push(WorkspaceId::default());
    }
    let mut text = String::from("# HELP callbridge_count Terms of the sums in docs/OPERATIONS.md, by workspace.\n# TYPE callbridge_count gauge\n");
    for workspace in workspaces {
        for (name, value) in store.stats(&workspace).map(|s| s.counters).unwrap_or_default() {
            let _ = writeln!(text, "callbridge_count{{workspace=\"{}\",name=\"{}\"}} {value}", label(workspace.as_str()), label(&name));
        }
    }
    text.push_str("# HELP callbridge_queued_calls Calls that wait for a line.\n# TYPE callbridge_queued_calls gauge\n");
    let _ = writeln!(text, "callbridge_queued_calls {}", store.queued());
    text.push_str("# HELP callbridge_backlog Tasks that wait or run, by kind.\n# TYPE callbridge_backlog gauge\n");
    for kind in TaskKind::ALL {
        let _ = writeln!(text, "callbridge_backlog{{kind=\"{}\"}} {}", kind.as_str(), store.backlog(kind));
    }
    let _ = writeln!(
        text,
        "# HELP callbridge_ready 1 while the store takes work.\n# TYPE callbridge_ready gauge\ncallbridge_ready {}",
        u8::from(store.trouble().is_none())
    );
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text)
}

fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// 404 as a problem.
pub async fn nothing_here() -> HttpResponse {
    problem(Code::NotFound, "there is nothing at this address")
}
