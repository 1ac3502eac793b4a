//! How a connection is doing: the troubles that last, and what waits at its CRM for them to end.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::fault::Fault;
use super::view::Reason;
use crate::domain::alert::{Alert, AlertKind};
use crate::domain::connection::{Connection, Mode};
use crate::domain::id::{CallId, ConnectionId};
use crate::domain::source::{Source, SourceKind};
use crate::error::Code;
use crate::store::{AtCrm, Attempt, Leg, SledStore, Store, StoreError};
use crate::web::State;

/// One trouble of a connection that lasts; the admin was told of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TroubleView {
    /// connection_failing, not_subscribed, secret_ends or brake.
    pub kind: String,
    /// Which of its polls, subscriptions or parameters; null: the connection as a whole.
    pub of: Option<String>,
    #[schema(format = DateTime)]
    pub since: String,
    pub reason: Reason,
    /// What the CRM said.
    pub detail: String,
    /// How often it was noticed.
    pub times: u32,
}

/// What waits to be asked of a connection's CRM or written there.
#[derive(Debug, Serialize, ToSchema)]
pub struct AtCrmView {
    /// Results of calls that are to be written.
    pub results: usize,
    /// Those of them that were tried before and did not work.
    pub results_again: usize,
    /// The last try of one of those.
    pub last_try: Option<LastTryView>,
    /// Records that are to be looked up before they can become calls.
    pub lookups: usize,
}

/// Why a result is not written yet, by the example of one call.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LastTryView {
    pub call: String,
    #[schema(format = DateTime)]
    pub at: String,
    /// Null: no answer came.
    pub status: Option<u16>,
    /// What the CRM said, or why nothing reached it.
    pub detail: String,
}

/// By connection.
type WaitsAt = BTreeMap<ConnectionId, (AtCrm, Option<LastTryView>)>;

/// What is read once for all connections of an answer.
pub struct Known {
    alerts: Vec<Alert>,
    sources: Vec<Source>,
    at_crm: WaitsAt,
}

impl Known {
    /// Tasks are read one by one: not where requests are answered.
    pub async fn read(state: &State) -> Result<Known, Fault> {
        let (alerts, sources, store) = (state.app.store.alerts()?, state.app.store.sources()?, state.app.store.clone());
        let at_crm = tokio::task::spawn_blocking(move || waits_at(&store)).await.map_err(|_| StoreError::Shut)??;
        Ok(Known { alerts, sources, at_crm })
    }

    /// Open ones, the oldest first.
    pub fn troubles(&self, connection: &Connection) -> Vec<TroubleView> {
        let mut open: Vec<(&Alert, &str)> = self.alerts.iter().filter_map(|alert| Some((alert, part_of(alert, connection)?))).collect();
        open.sort_by_key(|(alert, _)| alert.raised_at);
        let view = |(alert, of): (&Alert, &str)| TroubleView {
            kind: alert.kind.as_str().into(),
            of: Some(of.to_owned()).filter(|of| !of.is_empty()),
            since: alert.raised_at.rfc3339(),
            reason: alert.code.into(),
            detail: alert.detail.clone(),
            times: alert.times,
        };
        open.into_iter().map(view).collect()
    }

    pub fn waiting(&self, connection: &ConnectionId) -> AtCrmView {
        let (AtCrm { results, results_again, lookups, .. }, last_try) = self.at_crm.get(connection).cloned().unwrap_or_default();
        AtCrmView { results, results_again, last_try, lookups }
    }

    /// Polls and logins that do not work now, told by their sentences. Those of subscriptions stand with each.
    pub fn source_problems(&self, connection: &ConnectionId) -> Vec<String> {
        let what = |source: &Source| match source.key.kind {
            SourceKind::Poll => Some("poll"),
            SourceKind::Login => Some("login"),
            SourceKind::Subscription => None,
        };
        let of = self.failing(connection).filter_map(|source| Some(format!("{} `{}`: {}", what(source)?, source.key.name, source.problem.as_ref()?)));
        of.collect()
    }

    fn failing(&self, connection: &ConnectionId) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(move |source| source.wanted && !source.registration.off && source.problem.is_some() && source.key.connection == *connection)
    }

    /// One word; the worst there is. `incomplete`: something of its setup keeps it from working.
    pub fn word(&self, connection: &Connection, incomplete: bool) -> &'static str {
        let kinds: Vec<(AlertKind, Code)> =
            self.alerts.iter().filter(|alert| part_of(alert, connection).is_some()).map(|alert| (alert.kind, alert.code)).collect();
        let has = |kind: AlertKind| kinds.iter().any(|(of, _)| *of == kind);
        let fails = has(AlertKind::ConnectionFailing) || has(AlertKind::NotSubscribed) || kinds.iter().any(|(_, code)| *code == Code::SecretEnded);
        match connection.mode {
            Mode::Off => "off",
            _ if fails || self.failing(&connection.id).next().is_some() => "failing",
            _ if incomplete => "incomplete",
            _ if has(AlertKind::Brake) => "held",
            _ if self.waiting(&connection.id).results_again > 0 => "retrying",
            _ if has(AlertKind::SecretEnds) => "ends_soon",
            _ => "ok",
        }
    }
}

fn waits_at(store: &SledStore) -> Result<WaitsAt, StoreError> {
    store.at_crm()?.into_iter().map(|(id, of)| Ok((id, (of, last_try(store, of.again)?)))).collect()
}

fn last_try(store: &SledStore, call: Option<CallId>) -> Result<Option<LastTryView>, StoreError> {
    let Some(call) = call else { return Ok(None) };
    let tries = store.attempts(call)?.into_iter().filter(|attempt| matches!(attempt.leg, Leg::WriteBack { .. }));
    let view = |last: Attempt| LastTryView { call: call.to_string(), at: last.at.rfc3339(), status: last.status, detail: last.detail };
    Ok(tries.max_by_key(|attempt| attempt.at).map(view))
}

/// The part of this connection that an open alert is about, empty for the whole of it; `None`: it is about something else.
fn part_of<'a>(alert: &'a Alert, connection: &Connection) -> Option<&'a str> {
    let of_connection = matches!(alert.kind, AlertKind::ConnectionFailing | AlertKind::NotSubscribed | AlertKind::SecretEnds | AlertKind::Brake);
    if !alert.is_open() || !of_connection || alert.workspace != connection.workspace {
        return None;
    }
    let rest = alert.subject.strip_prefix(connection.id.as_str())?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}
