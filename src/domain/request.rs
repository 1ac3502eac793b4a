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

impl Verdict {
    /// Whether a request that is to be made again may have been carried out all the same: a 408 or a 5xx, whatever else its
    /// answer was read as, may come from a proxy that had passed it on.
    pub fn is_unclear(self, status: u16) -> bool {
        let again = matches!(self, Verdict::Retry { .. } | Verdict::RefreshToken | Verdict::Misconfigured);
        again && (status >= 500 || status == 408)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_may_hide_a_success_is_unclear_whatever_its_class() {
        let retry = Verdict::Retry { after: None };
        for (verdict, status, unclear) in [
            (retry, 502, true),
            (retry, 408, true),
            (retry, 429, false),
            (Verdict::Misconfigured, 500, true),
            (Verdict::Misconfigured, 403, false),
            (Verdict::RefreshToken, 500, true),
            (Verdict::RefreshToken, 401, false),
            (Verdict::GiveUp, 500, false),
            (Verdict::Done, 500, false),
        ] {
            assert_eq!(verdict.is_unclear(status), unclear, "{verdict:?} {status}");
        }
    }
}
