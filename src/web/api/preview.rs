//! `POST /calls/preview`: what would happen to a list of numbers, and why. Nothing is placed or stored.

use std::collections::{BTreeMap, HashMap};

use actix_web::HttpResponse;
use actix_web::web::{Data, Payload};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Caller;
use super::fault::{Answer, Fault};
use super::input;
use super::view::{Reason, Wait};
use crate::domain::connection::{Mode, Priority};
use crate::domain::dnc;
use crate::domain::id::{ConnectionId, LineId};
use crate::domain::phone::Phone;
use crate::domain::pool::{Pool, PoolId};
use crate::domain::rule::{Asked, Policy};
use crate::error::Code;
use crate::pipeline::App;
use crate::pipeline::asked::{self, NotAsked, Way};
use crate::pipeline::outlook::{self, Outlook, Question, Thought};
use crate::web::State;

/// More numbers than these are asked for in several requests.
const MOST: usize = 1000;
/// With what earlier requests came to: about 250,000 numbers.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// The numbers and the way they would go.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewBody {
    /// As people write them; at most 1,000. A longer list goes on in another request, with `before`.
    phones: Vec<String>,
    #[serde(default)]
    connection: Option<String>,
    #[serde(default)]
    line: Option<String>,
    /// The records' owner in the CRM, for connections that choose the line by owner.
    #[serde(default)]
    owner: Option<String>,
    /// The customers agreed to be called; needed for advertising.
    #[serde(default)]
    consent: bool,
    /// interactive or automation (default).
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    priority: Priority,
    /// The `carry` of the answer before, where a list goes on.
    #[serde(default)]
    before: Carry,
}

/// What the numbers before in a list would take: the next request of the same list brings it along.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Carry {
    /// New calls of automation.
    new: u32,
    /// Calls that would go over each line, at once or in their turn.
    lines: BTreeMap<String, u16>,
    /// Numbers that would be called, in digits; one that stands in the list twice stands here twice. Empty where numbers have no cap.
    numbers: Vec<String>,
}

impl Carry {
    fn of(thought: &Thought, policy: &Policy) -> Self {
        let lines = thought.lines.iter().map(|(line, planned)| (line.to_string(), planned.calls)).collect();
        let mut numbers = Vec::new();
        for (phone, times) in thought.numbers.iter().filter(|_| policy.cap.is_some()) {
            numbers.extend(std::iter::repeat_n(dnc::digits(phone).to_string(), *times));
        }
        Self { new: thought.new, lines, numbers }
    }

    fn thought(&self, app: &App, interactive: bool) -> Result<Thought, Fault> {
        let mut thought = Thought { new: self.new, ..Thought::default() };
        let now = app.clock.now();
        for (line, calls) in &self.lines {
            thought.take(app, &LineId::new(line), (*calls, interactive), now)?;
        }
        for phone in self.numbers.iter().filter_map(|digits| dnc::phone_of(digits.parse().ok()?)) {
            *thought.numbers.entry(phone).or_default() += 1;
        }
        Ok(thought)
    }
}

/// A row for each number, and what a request that goes on with the list brings along as `before`.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewPage {
    pub items: Vec<PreviewView>,
    pub next: Option<String>,
    pub carry: Carry,
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
    /// The connection's test mode: what is dialled in place of the number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_phone: Option<String>,
    /// The same number stands in the list before, at this place (from 0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_as: Option<usize>,
}

/// What would happen to these numbers now, and why; nothing is placed.
#[utoipa::path(post, path = "/calls/preview", tag = "calls", request_body = PreviewBody, responses((status = 200, body = PreviewPage)))]
pub async fn preview(caller: Caller, state: Data<State>, payload: Payload) -> Answer {
    let body: PreviewBody = input::json_up_to(payload, BODY_LIMIT).await?;
    if body.phones.len() > MOST {
        return Err(Fault::new(Code::BadRequest, format!("{} numbers; at most {MOST} at once", body.phones.len())));
    }
    let (connection, line) = (body.connection.as_deref().map(ConnectionId::new), body.line.as_deref().map(LineId::new));
    let way = asked::way(&state.app, caller.workspace.as_ref(), connection.as_ref(), line.as_ref(), None)?;
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut thought = body.before.thought(&state.app, body.priority == Priority::Interactive)?;
    let live = state.app.live.load();
    let policy = live.policy(way.connection.as_ref().map(|c| &c.id), &way.workspace).ok_or(Code::HoldRemoved)?;
    let pool = way.connection.as_ref().filter(|_| !way.pinned).and_then(|c| live.pools.get(&PoolId::Connection(c.id.clone())));
    let by_owner = pool.zip(body.owner.as_deref());
    let asked = Plan { way: &way, by_owner, policy: &policy, interactive: body.priority == Priority::Interactive, consent: body.consent };
    let mut rows = Vec::with_capacity(body.phones.len());
    for (place, text) in body.phones.iter().enumerate() {
        let mut row = one(&state, &asked, text, &mut thought)?;
        if let Some(phone) = &row.phone {
            row.same_as = seen.get(phone).copied();
            seen.entry(phone.clone()).or_insert(place);
        }
        rows.push(row);
    }
    Ok(HttpResponse::Ok().json(PreviewPage { items: rows, next: None, carry: Carry::of(&thought, &policy) }))
}

/// What all numbers of a list have in common.
struct Plan<'a> {
    way: &'a Way,
    /// Whose lines they are, where no line was named.
    by_owner: Option<(&'a Pool, &'a str)>,
    policy: &'a Policy,
    interactive: bool,
    consent: bool,
}

fn one(state: &State, plan: &Plan<'_>, text: &str, thought: &mut Thought) -> Result<PreviewView, Fault> {
    let mut row = PreviewView {
        input: text.to_owned(),
        phone: None,
        phone_national: None,
        would: "refuse".into(),
        refusal: None,
        waits: None,
        test_phone: None,
        same_as: None,
    };
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
    let (lines, then) = plan.by_owner.map_or((plan.way.lines.as_slice(), None), |(pool, owner)| {
        let owner = Some(owner);
        (pool.lines_at(owner, now, now), pool.after_owner(owner, now))
    });
    let question = Question { policy: plan.policy, asked, phone: &phone, lines, then, new: true };
    let outlook = outlook::of(&state.app, &question, thought, now)?;
    // Someone who waits hears at once of a hold that lasts too long, as when the call is made.
    let in_vain = plan.interactive.then(|| outlook::hopeless(&outlook, asked.expires_at)).flatten();
    let refused = if let Outlook::Refused { code } = outlook { Some(code) } else { in_vain };
    if let Some(code) = refused {
        row.refusal = Some(code.into());
        return Ok(row);
    }
    row.test_phone = plan.policy.test_phone.as_ref().filter(|_| plan.policy.mode == Mode::Test).map(Phone::national);
    thought.new = thought.new.saturating_add(u32::from(!plan.interactive));
    *thought.numbers.entry(phone).or_default() += 1;
    row.waits = Some(Wait::of(&state.app, &outlook).named(&outlook, plan.policy, now));
    if let Some(line) = outlook.takes_of() {
        thought.take(&state.app, line, (1, plan.interactive), now)?;
    }
    row.would = match outlook {
        // Others wait for that line already: they go first.
        Outlook::Now { ahead, .. } if ahead == 0 || plan.interactive => "place",
        _ => "wait",
    }
    .into();
    Ok(row)
}
