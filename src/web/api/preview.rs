//! `POST /calls/preview`: what would happen to a list of numbers, and why. Nothing is placed or stored.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::web::{Data, Payload};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Caller;
use super::fault::{Answer, Fault};
use super::input;
use super::view::{Page, Reason, Wait};
use crate::domain::connection::Priority;
use crate::domain::id::{ConnectionId, LineId};
use crate::error::Code;
use crate::pipeline::asked::{self, NotAsked, Way};
use crate::pipeline::outlook::{self, Outlook, Thought};
use crate::web::State;

/// More numbers than these are asked for in several requests.
const MOST: usize = 1000;

/// The numbers and the way they would go.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewBody {
    /// As people write them; at most 1,000.
    phones: Vec<String>,
    #[serde(default)]
    connection: Option<String>,
    #[serde(default)]
    line: Option<String>,
    /// interactive or automation (default).
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    priority: Priority,
}

/// What would happen to one number.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewView {
    /// As it was given.
    pub input: String,
    /// E.164; null when it is no number that can be dialled.
    pub phone: Option<String>,
    pub phone_national: Option<String>,
    /// place (at once), wait or refuse.
    pub would: String,
    /// Why it would be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Reason>,
    /// What it would wait for; the line where it would be placed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<Wait>,
    /// The same number stands in the list before, at this place (from 0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_as: Option<usize>,
}

/// What would happen to these numbers now, and why; nothing is placed.
#[utoipa::path(post, path = "/calls/preview", tag = "calls", request_body = PreviewBody, responses((status = 200, body = Page<PreviewView>)))]
pub async fn preview(caller: Caller, state: Data<State>, payload: Payload) -> Answer {
    let body: PreviewBody = input::json(payload).await?;
    if body.phones.len() > MOST {
        return Err(Fault::new(Code::BadRequest, format!("{} numbers; at most {MOST} at once", body.phones.len())));
    }
    let (connection, line) = (body.connection.as_deref().map(ConnectionId::new), body.line.as_deref().map(LineId::new));
    let way = asked::way(&state.app, caller.workspace.as_ref(), connection.as_ref(), line.as_ref(), None)?;
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut thought = Thought::new();
    let mut rows = Vec::with_capacity(body.phones.len());
    for (place, text) in body.phones.iter().enumerate() {
        let mut row = one(&state, &way, body.priority == Priority::Interactive, text, &mut thought)?;
        if let Some(phone) = &row.phone {
            row.same_as = seen.get(phone).copied();
            seen.entry(phone.clone()).or_insert(place);
        }
        rows.push(row);
    }
    Ok(HttpResponse::Ok().json(Page::whole(rows)))
}

fn one(state: &State, way: &Way, interactive: bool, text: &str, thought: &mut Thought) -> Result<PreviewView, Fault> {
    let mut row = PreviewView { input: text.to_owned(), phone: None, phone_national: None, would: "refuse".into(), refusal: None, waits: None, same_as: None };
    let phone = match asked::read_phone(text) {
        Ok(phone) => phone,
        Err(NotAsked::Refused { code, .. }) => {
            row.refusal = Some(code.into());
            return Ok(row);
        }
        Err(error) => return Err(error.into()),
    };
    (row.phone, row.phone_national) = (Some(phone.e164().to_owned()), Some(phone.national()));
    let outlook = outlook::of_lines(&state.app, &way.lines, interactive, thought, state.app.clock.now())?;
    row.waits = Some(Wait::from(&outlook));
    row.would = match outlook {
        // Others wait for that line already: they go first.
        Outlook::Now { ahead, .. } if ahead > 0 && !interactive => "wait".into(),
        Outlook::Now { line, .. } => {
            *thought.entry(line).or_default() += 1;
            "place".into()
        }
        Outlook::Waits { .. } => "wait".into(),
    };
    Ok(row)
}
