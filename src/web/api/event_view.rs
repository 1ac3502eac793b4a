//! Events, their items and rejected deliveries, as programs see them.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::call_view::RecordView;
use super::view::Reason;
use crate::domain::call::State;
use crate::domain::event::Event;
use crate::domain::id::CallId;
use crate::domain::item::{Item, Outcome};
use crate::store::Rejected;

/// One delivery that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    pub id: String,
    pub workspace: String,
    pub connection: String,
    /// The receive variant of the plugin that took it.
    pub variant: String,
    pub hook: String,
    #[schema(format = DateTime)]
    pub received_at: String,
    pub body_bytes: u32,
    pub replays: u16,
    /// How many items came to what: `called`, `ignored.filter`, `refused.<code>`, `failed`, `waiting`. Empty until it is mapped.
    pub outcomes: BTreeMap<String, usize>,
    /// The state of the calls that it gave: `{"refused": 1}`.
    pub calls: BTreeMap<String, usize>,
}

/// An event with everything that is kept of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventDetail {
    #[serde(flatten)]
    pub event: EventView,
    pub method: String,
    pub tail: String,
    pub query: String,
    /// Name and value, in order; secrets replaced.
    pub headers: Vec<(String, String)>,
    /// The body as text, secrets replaced; null when it is not UTF-8.
    pub body: Option<String>,
    /// The body when it is not UTF-8.
    pub body_base64: Option<String>,
    pub items: Vec<ItemView>,
}

/// One record of an event, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ItemView {
    pub index: u16,
    /// called, ignored, refused, failed or waiting.
    pub outcome: String,
    pub call: Option<String>,
    /// filter, duplicate or own_write, for ignored items.
    pub ignored: Option<String>,
    /// For refused and failed items.
    pub reason: Option<Reason>,
    pub detail: String,
    pub record: RecordView,
    pub phone_given: String,
    pub name: String,
    #[schema(format = DateTime)]
    pub at: String,
}

/// A delivery that was not accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct RejectedView {
    /// The event it becomes when it is accepted; null where it cannot be: only what has a right signature with an old time is kept whole.
    pub id: Option<String>,
    /// held (it can be accepted), accepted, or refused.
    pub state: String,
    #[schema(format = DateTime)]
    pub accepted_at: Option<String>,
    #[schema(format = DateTime)]
    pub at: String,
    pub workspace: String,
    pub connection: String,
    pub reason: Reason,
    pub detail: String,
    pub method: String,
    pub body_bytes: u64,
    /// The first bytes of the body, secrets replaced.
    pub excerpt: String,
}

impl EventView {
    /// `state_of`: of a call that an item gave; `None`: it is not kept any more.
    pub fn of<E>(event: &Event, items: &[(u16, Item)], state_of: impl Fn(CallId) -> Result<Option<State>, E>) -> Result<Self, E> {
        let (mut outcomes, mut calls) = (BTreeMap::new(), BTreeMap::new());
        for (_, item) in items {
            *outcomes.entry(item.outcome.counter()).or_default() += 1;
            if let Outcome::Called { call } = &item.outcome
                && let Some(state) = state_of(*call)?
            {
                *calls.entry(state.as_str().to_owned()).or_default() += 1;
            }
        }
        Ok(Self {
            id: event.id.to_string(),
            workspace: event.workspace.to_string(),
            connection: event.connection.to_string(),
            variant: event.variant.clone(),
            hook: event.hook.clone(),
            received_at: event.received_at.rfc3339(),
            body_bytes: event.body_bytes,
            replays: event.replays,
            outcomes,
            calls,
        })
    }
}

impl ItemView {
    pub fn of(index: u16, item: &Item) -> Self {
        let counter = item.outcome.counter();
        let (word, ignored) = counter.split_once('.').unwrap_or((&counter, ""));
        let mut view = Self {
            index,
            outcome: word.to_owned(),
            call: None,
            ignored: None,
            reason: None,
            detail: String::new(),
            record: RecordView { kind: item.record.kind.clone(), id: item.record.id.clone() },
            phone_given: item.customer.phone.clone(),
            name: item.customer.name.clone(),
            at: item.at.rfc3339(),
        };
        match &item.outcome {
            Outcome::Called { call } => view.call = Some(call.to_string()),
            Outcome::Ignored { .. } => view.ignored = Some(ignored.to_owned()),
            Outcome::Refused { code, detail } | Outcome::Failed { code, detail } => (view.reason, view.detail) = (Some((*code).into()), detail.clone()),
            Outcome::Waiting => {}
        }
        view
    }
}

impl From<Rejected> for RejectedView {
    fn from(rejected: Rejected) -> Self {
        let state = match (rejected.held, rejected.let_in) {
            (_, Some(_)) => "accepted",
            (Some(_), None) => "held",
            (None, None) => "refused",
        };
        Self {
            id: rejected.held.map(|id| id.to_string()),
            state: state.to_owned(),
            accepted_at: rejected.let_in.map(|at| at.rfc3339()),
            at: rejected.at.rfc3339(),
            workspace: rejected.workspace.to_string(),
            connection: rejected.connection.to_string(),
            reason: rejected.code.into(),
            detail: rejected.detail,
            method: rejected.method,
            body_bytes: rejected.body_bytes,
            excerpt: rejected.excerpt,
        }
    }
}
