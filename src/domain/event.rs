//! One webhook delivery, as it arrived.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::id::{ConnectionId, EventId, WorkspaceId};
use super::time::Time;

/// A request to `/hooks/…` before anyone decided anything about it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Upper case.
    pub method: String,
    /// The full public address the sender used, with query: `public_url` + path + query, as on the wire.
    pub uri: String,
    /// What follows the hook key in the path, without slashes at its ends.
    pub tail: String,
    /// The raw query string, without `?`.
    pub query: String,
    /// Names in lower case, in order of arrival.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub received_at: Time,
}

impl Delivery {
    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// A delivery that was accepted. Its body is stored byte for byte.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    pub id: EventId,
    pub workspace: WorkspaceId,
    pub connection: ConnectionId,
    /// The receive variant of the plugin that took it.
    pub variant: String,
    /// The name of the hook it came in by; empty for a connection's only hook.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hook: String,
    pub method: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tail: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// With secrets replaced. Empty, like `query`, while both are sealed.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Query and headers as they lie in the store: encrypted, for signatures and tokens are in them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sealed: String,
    pub body_bytes: u32,
    /// As it lies in the store: a short body that is text. Any other lies apart, in pieces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    pub received_at: Time,
    /// How often it was replayed by a person.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replays: u16,
    /// It came too late to be believed, and a person let it in then: that is when it is wished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub let_in: Option<Time>,
    /// How many items it was split into; 0 until it was.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub items: u16,
}

fn is_zero(n: &u16) -> bool {
    *n == 0
}
