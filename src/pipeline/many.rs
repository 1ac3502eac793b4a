//! Many queued calls at once, by what they are and what they wait for: let go, or cancelled. Counted first, then done in slices.

use super::app::App;
use super::outlook::{self, Outlook, Thought};
use crate::domain::call::Call;
use crate::domain::id::{CallId, ConnectionId, LineId, WorkspaceId};
use crate::domain::time::Time;
use crate::error::Code;
use crate::store::{Change, Changed, Store, StoreError};

/// Calls looked at, and changed, in one step.
const SLICE: usize = 100;

/// Which queued calls are meant.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub workspace: Option<WorkspaceId>,
    pub connection: Option<ConnectionId>,
    /// What they wait for.
    pub hold: Option<Code>,
    /// The oldest so many.
    pub most: Option<usize>,
}

/// What is done with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Lets go what the brake holds.
    Release,
    Cancel,
}

/// The calls that a filter means now, oldest first.
pub async fn matching(app: &App, filter: &Filter) -> Result<Vec<CallId>, StoreError> {
    let (mut found, mut after): (Vec<CallId>, Option<CallId>) = (Vec::new(), None);
    let most = filter.most.unwrap_or(usize::MAX);
    let now = app.clock.now();
    loop {
        let store = app.store.clone();
        let calls = tokio::task::spawn_blocking(move || store.queued_after(after, SLICE)).await.map_err(|_| StoreError::Shut)??;
        let Some(last) = calls.last().map(|call| call.id) else { return Ok(found) };
        after = Some(last);
        for call in &calls {
            if found.len() < most && fits(app, filter, call, now)? {
                found.push(call.id);
            }
        }
        if found.len() >= most {
            return Ok(found);
        }
        tokio::task::yield_now().await;
    }
}

fn fits(app: &App, filter: &Filter, call: &Call, now: Time) -> Result<bool, StoreError> {
    if filter.workspace.as_ref().is_some_and(|w| *w != call.workspace) || filter.connection.as_ref().is_some_and(|c| call.connection.as_ref() != Some(c)) {
        return Ok(false);
    }
    match filter.hold {
        None => Ok(true),
        // Its own holds are written on it; what its connection or line says is asked now.
        Some(code) if call.hold.is_some_and(|hold| hold.code == code) => Ok(true),
        Some(Code::HoldBrake) => Ok(false),
        Some(code) => match outlook::of_call(app, call, now)? {
            Some(Outlook::Waits { code: Code::HoldOwner, line: Some(own), .. }) if code == Code::HoldBusy => is_busy(app, own, call, now),
            Some(Outlook::Waits { code: held, .. }) => Ok(held == code),
            _ => Ok(false),
        },
    }
}

/// Whether its owner's line is only busy: another takes it later, and still it is a phone in use that it waits for.
fn is_busy(app: &App, own: LineId, call: &Call, now: Time) -> Result<bool, StoreError> {
    let own = outlook::of_lines(app, &[own], call.interactive, &Thought::default(), now)?;
    Ok(matches!(own, Outlook::Waits { code: Code::HoldBusy, .. }))
}

/// Does it, in slices; gives how many it was done to. Those that moved on meanwhile stay as they are.
pub async fn apply(app: &App, actor: &str, act: Act, calls: &[CallId]) -> Result<usize, StoreError> {
    let mut done = 0;
    for slice in calls.chunks(SLICE) {
        let calls = slice.to_vec();
        let change = match act {
            Act::Release => Change::Release { calls },
            Act::Cancel => Change::CancelAll { calls },
        };
        if let Changed::Count(n) = app.store.change(app.clock.now(), actor.to_owned(), change).await? {
            done += n;
        }
    }
    Ok(done)
}
