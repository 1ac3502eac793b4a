//! `/stats`: every counter of a workspace, and the sums that must hold (promise 5).

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Caller;
use super::brakes::{self, BrakesView};
use super::fault::{Answer, Fault};
use super::input;
use crate::domain::id::WorkspaceId;
use crate::store::{Store, TaskKind};
use crate::web::State;

/// Counters are read one after the other while others write: a sum that does not hold is read again this often before it is believed.
const READS: u32 = 20;

/// The counters of one workspace.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatsView {
    pub workspace: String,
    pub counters: BTreeMap<String, i64>,
    pub equations: Vec<Equation>,
    /// Every equation holds.
    pub holds: bool,
    /// Calls that wait for a line, over all workspaces.
    pub queued: usize,
    /// Tasks that wait or run, by kind, over all workspaces.
    pub backlog: BTreeMap<String, usize>,
    pub brakes: BrakesView,
}

/// Two sums that are always the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Equation {
    pub name: String,
    pub says: String,
    pub left: i64,
    pub right: i64,
    pub holds: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatsQuery {
    /// For the local admin; default: main.
    workspace: Option<String>,
}

/// The equations over a workspace's counters.
pub fn equations(counters: &BTreeMap<String, i64>) -> Vec<Equation> {
    let one = |name: &str| counters.get(name).copied().unwrap_or(0);
    let sum = |prefix: &str| counters.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, n)| n).sum::<i64>();
    let equation = |name: &str, says: &str, left: i64, right: i64| Equation { name: name.into(), says: says.into(), left, right, holds: left == right };
    vec![
        equation("items", "items = called + ignored + refused + failed + waiting", one("items"), sum("items.")),
        equation("items_called", "items that gave a call = calls that came from items", one("items.called"), one("calls.origin.item")),
        equation("calls", "calls from items + api + drop_in + hand + redial + again = the sum over their states", sum("calls.origin."), sum("calls.state.")),
    ]
}

/// All counters, and whether the sums hold.
#[utoipa::path(get, path = "/stats", tag = "stats", params(StatsQuery), responses((status = 200, body = StatsView)))]
pub async fn show(request: HttpRequest, caller: Caller, state: Data<State>) -> Answer {
    let query: StatsQuery = input::query(&request)?;
    let asked = query.workspace.as_deref().map(WorkspaceId::new);
    let workspace = match (caller.workspace.clone(), asked) {
        (Some(own), Some(asked)) if own != asked => return Err(Fault::no_such("workspace", asked)),
        (own, asked) => own.or(asked).unwrap_or_default(),
    };
    let store = &state.app.store;
    let mut counters = store.stats(&workspace)?.counters;
    for _ in 0..READS {
        if equations(&counters).iter().all(|equation| equation.holds) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        counters = store.stats(&workspace)?.counters;
    }
    let equations = equations(&counters);
    Ok(HttpResponse::Ok().json(StatsView {
        workspace: workspace.to_string(),
        holds: equations.iter().all(|equation| equation.holds),
        equations,
        counters,
        queued: store.queued(),
        backlog: TaskKind::ALL.into_iter().map(|kind| (format!("{kind:?}").to_lowercase(), store.backlog(kind))).collect(),
        brakes: brakes::view(&state),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(pairs: &[(&str, i64)]) -> BTreeMap<String, i64> {
        pairs.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
    }

    #[test]
    fn the_sums_hold_or_say_which_does_not() {
        let mut all = counters(&[("items", 4), ("items.called", 2), ("items.ignored.filter", 1), ("items.refused.bad_phone", 1)]);
        all.extend(counters(&[("calls.origin.item", 2), ("calls.origin.hand", 1), ("calls.state.queued", 1), ("calls.state.ended", 2)]));
        assert!(equations(&all).iter().all(|e| e.holds), "{:?}", equations(&all));
        all.insert("calls.state.ended".into(), 1);
        let broken: Vec<String> = equations(&all).into_iter().filter(|e| !e.holds).map(|e| e.name).collect();
        assert_eq!(broken, ["calls"]);
    }
}
