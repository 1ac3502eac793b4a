//! The rules that a store checks its calls against, as the configuration says them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::id::{ConnectionId, WorkspaceId};
use crate::domain::rule::{OfNobody, Policy};

/// What the configuration says about calling customers, by connection.
#[derive(Debug, Clone)]
pub enum Rules {
    /// Nothing was said yet: every connection may call.
    Unsaid,
    Said {
        connections: HashMap<ConnectionId, Arc<Policy>>,
        nobody: OfNobody,
    },
}

impl Rules {
    /// The policy of a call's connection; `None`: that connection was taken out of the configuration.
    pub fn of(&self, connection: Option<&ConnectionId>, workspace: &WorkspaceId) -> Option<Arc<Policy>> {
        match (self, connection) {
            (Rules::Said { connections, .. }, Some(connection)) => connections.get(connection).cloned(),
            (Rules::Said { nobody, .. }, None) => Some(Arc::new(nobody.policy(workspace))),
            (Rules::Unsaid, _) => Some(Arc::new(OfNobody::default().policy(workspace))),
        }
    }
}
