//! The keys that every request has, wherever one is written.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::responses::ResponseSpec;
use super::several::ModeSpec;
use super::value::{At, Conditions, ValueSpec};

/// The request in a block, borrowed: what `docs/PLUGINS.md` lists under Requests.
#[derive(Debug, Clone, Copy)]
pub struct RequestParts<'a> {
    pub conditions: &'a Conditions,
    pub mode: &'a ModeSpec,
    pub method: Option<&'a At<String>>,
    pub base: Option<&'a At<String>>,
    pub path: Option<&'a At<String>>,
    pub query: &'a BTreeMap<String, At<String>>,
    pub headers: &'a BTreeMap<String, At<String>>,
    pub body: Option<&'a At<String>>,
    pub form: &'a BTreeMap<String, At<String>>,
    /// Written, it is a body, though nothing stand in it.
    pub json: Option<&'a BTreeMap<String, At<String>>>,
    pub graphql: Option<&'a At<String>>,
    pub content_type: Option<&'a At<String>>,
    pub auth: Option<&'a At<String>>,
    pub store: &'a BTreeMap<String, At<ValueSpec>>,
    pub responses: &'a [At<ResponseSpec>],
    pub sign: Option<&'a SignSpec>,
}

impl RequestParts<'static> {
    /// A request of which nothing is written.
    pub fn none() -> Self {
        static EMPTY: BTreeMap<String, At<String>> = BTreeMap::new();
        static NOTHING: BTreeMap<String, At<ValueSpec>> = BTreeMap::new();
        RequestParts {
            conditions: const { &Conditions(Vec::new()) },
            mode: const { &None },
            method: None,
            base: None,
            path: None,
            query: &EMPTY,
            headers: &EMPTY,
            body: None,
            form: &EMPTY,
            json: None,
            graphql: None,
            content_type: None,
            auth: None,
            store: &NOTHING,
            responses: &[],
            sign: None,
        }
    }
}

/// A struct with the request's keys beside its own: serde can flatten or refuse unknown keys, but not both.
macro_rules! with_request {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $kind:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $kind,)*
            #[serde(rename = "if", default)]
            pub conditions: $crate::plugin::manifest::Conditions,
            pub mode: $crate::plugin::manifest::ModeSpec,
            pub method: Option<$crate::plugin::manifest::At<String>>,
            pub base: Option<$crate::plugin::manifest::At<String>>,
            pub path: Option<$crate::plugin::manifest::At<String>>,
            #[serde(default)]
            pub query: std::collections::BTreeMap<String, $crate::plugin::manifest::At<String>>,
            #[serde(default)]
            pub headers: std::collections::BTreeMap<String, $crate::plugin::manifest::At<String>>,
            pub body: Option<$crate::plugin::manifest::At<String>>,
            #[serde(default)]
            pub form: std::collections::BTreeMap<String, $crate::plugin::manifest::At<String>>,
            pub json: Option<std::collections::BTreeMap<String, $crate::plugin::manifest::At<String>>>,
            pub graphql: Option<$crate::plugin::manifest::At<String>>,
            pub content_type: Option<$crate::plugin::manifest::At<String>>,
            pub auth: Option<$crate::plugin::manifest::At<String>>,
            #[serde(default)]
            pub store: std::collections::BTreeMap<String, $crate::plugin::manifest::At<$crate::plugin::manifest::ValueSpec>>,
            #[serde(default)]
            pub responses: Vec<$crate::plugin::manifest::At<$crate::plugin::manifest::ResponseSpec>>,
            pub sign: Option<$crate::plugin::manifest::SignSpec>,
        }

        impl $name {
            /// Its request.
            pub fn request(&self) -> $crate::plugin::manifest::RequestParts<'_> {
                $crate::plugin::manifest::RequestParts {
                    conditions: &self.conditions,
                    mode: &self.mode,
                    method: self.method.as_ref(),
                    base: self.base.as_ref(),
                    path: self.path.as_ref(),
                    query: &self.query,
                    headers: &self.headers,
                    body: self.body.as_ref(),
                    form: &self.form,
                    json: self.json.as_ref(),
                    graphql: self.graphql.as_ref(),
                    content_type: self.content_type.as_ref(),
                    auth: self.auth.as_ref(),
                    store: &self.store,
                    responses: &self.responses,
                    sign: self.sign.as_ref(),
                }
            }
        }
    };
}
pub(super) use with_request;

/// How we sign a request of ours.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignSpec {
    pub kind: SignKind,
    pub secret: At<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignKind {
    StandardWebhooks,
}
