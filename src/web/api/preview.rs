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
use crate::domain::rule::{Asked, Policy};
use crate::error::Code;
use crate::pipeline::asked::{self, NotAsked, Way};
use crate::pipeline::outlook::{self, Outlook, Question, Thought};
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
    /// The customers agreed to be called; needed for advertising.
    #[serde(default)]
    consent: bool,
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
    let mut thought = Thought::default();
    let policy = state.app.live.load().policy(way.connection.as_ref().map(|c| &c.id), &way.workspace).ok_or(Code::HoldRemoved)?;
    let asked = Plan { way: &way, policy: &policy, interactive: body.priority == Priority::Interactive, consent: body.consent };
    let mut rows = Vec::with_capacity(body.phones.len());
    for (place, text) in body.phones.iter().enumerate() {
        let mut row = one(&state, &asked, text, &mut thought)?;
        if let Some(phone) = &row.phone {
            row.same_as = seen.get(phone).copied();
            seen.entry(phone.clone()).or_insert(place);
        }
        rows.push(row);
    }
    Ok(HttpResponse::Ok().json(Page::whole(rows)))
}

/// What all numbers of a list have in common.
struct Plan<'a> {
    way: &'a Way,
    policy: &'a Policy,
    interactive: bool,
    consent: bool,
}

fn one(state: &State, plan: &Plan<'_>, text: &str, thought: &mut Thought) -> Result<PreviewView, Fault> {
    let mut row = PreviewView { input: text.to_owned(), phone: None, phone_national: None, would: "refuse".into(), refusal: None, waits: None, same_as: None };
    let phone = match asked::read_phone(text, plan.way.connection.as_ref().map(|c| &c.countries)) {
        Ok(phone) => phone,
        Err(NotAsked::Refused { code, .. }) => {
            row.refusal = Some(code.into());
            return Ok(row);
        }
        Err(error) => return Err(error.into()),
    };
    (row.phone, row.phone_national) = (Some(phone.e164().to_owned()), Some(phone.national()));
    let now = state.app.clock.now();
    let asked =
        Asked { interactive: plan.interactive, consent: plan.consent.then_some(true), hold: None, expires_at: plan.policy.expires(plan.interactive, now, now) };
    let question = Question { policy: plan.policy, asked, phone: &phone, lines: &plan.way.lines, new: true };
    let outlook = outlook::of(&state.app, &question, thought, now)?;
    if let Outlook::Refused { code } = outlook {
        row.refusal = Some(code.into());
        return Ok(row);
    }
    thought.new += u32::from(!plan.interactive);
    *thought.numbers.entry(phone).or_default() += 1;
    row.waits = Some(Wait::from(&outlook));
    row.would = match outlook {
        Outlook::Now { line, ahead } => {
            *thought.lines.entry(line).or_default() += 1;
            // Others wait for that line already: they go first.
            if ahead > 0 && !plan.interactive { "wait" } else { "place" }
        }
        _ => "wait",
    }
    .into();
    Ok(row)
}
