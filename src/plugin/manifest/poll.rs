//! `[[poll]]`: records that we fetch.

use serde::Deserialize;

use super::request::with_request;
use super::value::{At, Conditions, ValueSpec};

with_request! {
    /// A request whose answer enters as an event.
    pub struct PollSpec {
        pub name: At<String>,
        /// The receive variant that reads it.
        pub variant: At<String>,
        pub every: At<String>,
        pub items: At<String>,
        pub cursor: Option<CursorSpec>,
        /// Ask for the next page at once where these hold.
        #[serde(default)]
        pub more: Conditions,
        pub pages_at_most: Option<u32>,
        pub ack: Option<AckSpec>,
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CursorSpec {
    pub start: At<ValueSpec>,
    pub value: At<ValueSpec>,
}

with_request! {
    /// Tells the CRM that an item was taken.
    pub struct AckSpec {
    }
}
