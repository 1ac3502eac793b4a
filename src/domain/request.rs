//! An outbound request as data, what came back, and what an answer means.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A request that a plugin composed. `headers` and `url` may hold secrets: never log them.
#[derive(Clone, PartialEq, Eq)]
pub struct Outbound {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// Hosts this request may go to, from the plugin's base; empty or `*` = any that the guard allows.
    pub allow_hosts: Vec<String>,
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound").field("method", &self.method).field("body_bytes", &self.body.len()).finish_non_exhaustive()
    }
}

/// An HTTP answer, its body cut at the size cap.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// The body was larger than the cap.
    pub truncated: bool,
}

impl Answer {
    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// What a CRM's answer leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Done,
    /// Again, not before this long from now if it said so.
    Retry {
        after: Option<Duration>,
    },
    RefreshToken,
    /// A person must change a setting: token, rights, field name.
    Misconfigured,
    /// It will never work for this record.
    GiveUp,
    /// The record is no longer there.
    Gone,
    /// The record is not there yet.
    NotFound,
}
