//! The plugin engine: data in, values out. No network, no clock, no product's name.
//!
//! `docs/PLUGINS.md` is the format. In the order a call flows: `extract` (select, decode, split, map), `verify`, `lookup`,
//! `compose`, `respond`; around them `manifest` → `compile`/`check` → [`Plugin`], and `case` that runs whole transcripts.

mod assemble;
mod check;
mod check_receive;
mod check_secrets;
mod check_used;
mod check_verify;
mod compile;
mod compile_request;
mod helpers;
mod jwt;
mod modes;
pub mod names;
mod path;
mod phone;
mod tables;
mod template_bare;
mod template_depth;
mod template_names;
mod template_program;
mod template_reads;
mod template_scope;

pub mod auth;
pub mod body;
pub mod case;
pub mod compose;
pub mod connect;
pub mod context;
pub mod ends;
pub mod extract;
pub mod gaps;
pub mod handshake;
pub mod kinds;
pub mod load;
pub mod lookup;
pub mod manifest;
pub mod note;
#[expect(clippy::module_inception, reason = "the file of the type `Plugin`; nobody names the module, the type is re-exported")]
pub mod plugin;
pub mod poll;
pub mod problem;
pub mod registering;
pub mod registry;
pub mod request;
pub mod respond;
pub mod schema;
pub mod select;
pub mod split;
pub mod subscribe;
pub mod template;
pub mod trigger;
pub mod value;
pub mod vectors;
pub mod verify;
pub mod watch;

#[cfg(test)]
mod tests;

pub use auth::{Auth, Login, LoginError, LoginRun, Tokens};
pub use body::ParseError;
pub use compose::ComposeError;
pub use extract::{MapContext, MapError, Mapped, Selected};
pub use handshake::{Handshake, Shaken};
pub use kinds::{Find, Step, WriteBackKind};
pub use load::LoadError;
pub use lookup::{Learnt, LookupContext, LookupOutcome};
pub use plugin::{Lookup, Plugin, Variant};
pub use registry::Registry;
pub use request::Request;
pub use respond::{Reply, ReplySpec, ResponseRule, Told};
pub use schema::schema_files;
pub use split::Piece;
pub use verify::{Held, VerifyError};

/// A connection's parameters with the hook's on top, defaults filled in. Beside them stand, under dotted names that no parameter can
/// have, the other texts that are fixed for a connection: `mode.x`, `captured.x`, `token.x`, `subscription.a.x`, `hook.name`, `hook.url`.
pub type Params = std::collections::BTreeMap<String, String>;
