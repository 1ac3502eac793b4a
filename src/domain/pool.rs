//! Pools: which lines may place a call, and how one of them is chosen. A call names its pool and not its lines, so that a change of
//! the configuration reaches the calls that wait.

use std::collections::BTreeMap;
use std::time::Duration;

use super::call::Origin;
use super::connection::{Connection, LineChoice};
use super::id::{ConnectionId, LineId, WorkspaceId};
use super::time::Time;

/// Whose lines they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PoolId {
    Connection(ConnectionId),
    /// A drop-in key, by its name.
    Gateway(WorkspaceId, String),
    /// Every line of a workspace: calls that belong to no connection.
    Workspace(WorkspaceId),
}

impl PoolId {
    /// The pool of a call.
    pub fn of(connection: Option<&ConnectionId>, origin: &Origin, workspace: &WorkspaceId) -> PoolId {
        match (connection, origin) {
            (Some(connection), _) => PoolId::Connection(connection.clone()),
            (None, Origin::DropIn { key }) => PoolId::Gateway(workspace.clone(), key.clone()),
            _ => PoolId::Workspace(workspace.clone()),
        }
    }
}

/// Lines and how they are chosen from.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    pub id: PoolId,
    /// In order of preference; all of one workspace.
    pub lines: Vec<LineId>,
    pub choice: LineChoice,
    /// CRM owner → line, for [`LineChoice::Owner`].
    pub owners: BTreeMap<String, LineId>,
    /// How long a call waits for its owner's line before another may take it.
    pub owner_wait: Duration,
}

impl Pool {
    /// The first line that is free takes the call.
    pub fn first(id: PoolId, lines: Vec<LineId>) -> Pool {
        Pool { id, lines, choice: LineChoice::First, owners: BTreeMap::new(), owner_wait: Duration::ZERO }
    }

    /// A connection's own.
    pub fn of(connection: &Connection) -> Pool {
        Pool {
            id: PoolId::Connection(connection.id.clone()),
            lines: connection.lines.clone(),
            choice: connection.line_choice,
            owners: connection.owners.clone(),
            owner_wait: connection.owner_wait,
        }
    }

    /// The line that a call of this owner waits for first.
    pub fn owner_line(&self, owner: Option<&str>) -> Option<&LineId> {
        let line = self.owners.get(owner.filter(|_| self.choice == LineChoice::Owner)?)?;
        self.lines.contains(line).then_some(line)
    }

    /// The lines that a call of this owner may go over now, those that it would take first in front.
    pub fn lines_at<'a>(&'a self, owner: Option<&str>, wished: Time, now: Time) -> &'a [LineId] {
        match self.owner_line(owner) {
            Some(own) if wished.plus(self.owner_wait) > now => std::slice::from_ref(own),
            _ => &self.lines,
        }
    }

    /// Until when a call of this owner waits for the owner's line, and over which lines it may go from then on.
    pub fn after_owner(&self, owner: Option<&str>, wished: Time) -> Option<(Time, &[LineId])> {
        self.owner_line(owner).map(|_| (wished.plus(self.owner_wait), self.lines.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_has_a_line_only_where_lines_are_chosen_by_owner() {
        let mut connection = Connection::new("c".into(), "p");
        connection.lines = vec!["a".into(), "b".into()];
        connection.owners.insert("7".into(), "b".into());
        connection.owners.insert("8".into(), "taken-out".into());
        assert_eq!(Pool::of(&connection).owner_line(Some("7")), None);
        connection.line_choice = LineChoice::Owner;
        let pool = Pool::of(&connection);
        assert_eq!(pool.owner_line(Some("7")), Some(&"b".into()));
        assert_eq!((pool.owner_line(Some("8")), pool.owner_line(Some("9")), pool.owner_line(None)), (None, None, None));
    }
}
