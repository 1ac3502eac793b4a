//! What we fetch from a CRM by ourselves, or register there: how far it has come. A record of its own, so that an outage, a
//! restart or a pause of months goes on where it ended.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::id::{ConnectionId, EventId, SourceId, WorkspaceId};
use super::time::Time;
use super::untold::Untold;

/// What a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// Records that we fetch.
    Poll,
    /// Webhooks that we register there. One that is no longer asked for is deleted at the CRM before it rests.
    Subscription,
    /// A login that is made again before it dies of not being used.
    Login,
}

/// Which source: it has one record and one task.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourceKey {
    pub workspace: WorkspaceId,
    pub connection: ConnectionId,
    pub kind: SourceKind,
    /// Its name in the plugin.
    pub name: String,
}

impl SourceKey {
    /// The same for the same names, for ever.
    pub fn id(&self) -> SourceId {
        let kind = match self.kind {
            SourceKind::Poll => "poll",
            SourceKind::Subscription => "subscription",
            SourceKind::Login => "login",
        };
        let digest = Sha256::digest([self.workspace.as_str(), self.connection.as_str(), kind, &self.name].join("\0"));
        let mut id = [0; 16];
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        SourceId(id)
    }
}

/// A source that the configuration asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    pub key: SourceKey,
    /// Digest of its settings.
    pub made_of: String,
}

/// A source and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    #[serde(flatten)]
    pub key: SourceKey,
    /// Digest of the settings that it works with: with others it is looked at, at once.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub made_of: String,
    /// The configuration asks for it. One that it no longer asks for rests, and goes on where it ended when it is asked for again.
    pub wanted: bool,
    #[serde(default)]
    pub poll: Progress,
    #[serde(default, skip_serializing_if = "Registration::is_nothing")]
    pub registration: Registration,
    /// When it last worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worked_at: Option<Time>,
    /// Why it does not, and how often in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    #[serde(default)]
    pub failures: u32,
}

/// What can be seen of a subscription. Its ids and secrets lie sealed elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// A person does not want it, whatever the configuration says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    /// It is registered at the CRM since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// The CRM ends it then, unless it is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<Time>,
}

impl Registration {
    fn is_nothing(&self) -> bool {
        *self == Registration::default()
    }
}

/// How far a poll has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Where the last fetch ended; `None` before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The pages of one fetch have one cursor: this is the next one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Pages of this fetch that are on disk.
    #[serde(default)]
    pub pages: u32,
    /// Of the items that came last: a CRM that answers the same again brings no new event.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// Events whose items the CRM is still to be told of, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unacknowledged: Vec<EventId>,
    /// Items of the first of them that it was told of.
    #[serde(default)]
    pub acknowledged: u32,
    /// Records that it refuses to be told of.
    #[serde(default, skip_serializing_if = "Untold::is_nothing")]
    pub untold: Untold,
}

impl Source {
    pub fn new(key: SourceKey) -> Source {
        Source {
            key,
            made_of: String::new(),
            wanted: true,
            poll: Progress::default(),
            registration: Registration::default(),
            worked_at: None,
            problem: None,
            failures: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_the_same_id_for_ever_and_its_neighbours_have_others() {
        let key = |connection: &str, name: &str| SourceKey {
            workspace: WorkspaceId::default(),
            connection: ConnectionId::new(connection),
            kind: SourceKind::Poll,
            name: name.to_owned(),
        };
        assert_eq!(key("shop", "leads").id(), key("shop", "leads").id());
        assert_ne!(key("shop", "leads").id(), key("shop", "deals").id());
        assert_ne!(key("sho", "pleads").id(), key("shop", "leads").id());
    }
}
