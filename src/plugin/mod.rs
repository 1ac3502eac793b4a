//! The plugin engine: data in, values out. No network, no clock, no product's name.
//!
//! `docs/PLUGINS.md` is the format. In the order a call flows: `extract` (select, decode, split, map), `verify`, `lookup`,
//! `compose`, `respond`; around them `manifest` → `compile`/`check` → [`Plugin`], and `case` that runs whole transcripts.

mod check;
mod check_receive;
mod check_verify;
mod compile;
mod helpers;
pub mod names;
mod not_yet;
mod phone;
mod template_names;

pub mod body;
pub mod case;
pub mod compose;
pub mod context;
pub mod extract;
pub mod handshake;
pub mod load;
pub mod lookup;
pub mod manifest;
pub mod note;
#[expect(clippy::module_inception, reason = "the file of the type `Plugin`; nobody names the module, the type is re-exported")]
pub mod plugin;
pub mod problem;
pub mod registry;
pub mod respond;
pub mod select;
pub mod split;
pub mod template;
pub mod trigger;
pub mod value;
pub mod vectors;
pub mod verify;

#[cfg(test)]
mod tests;

pub use body::ParseError;
pub use compose::ComposeError;
pub use extract::{MapContext, MapError, Mapped, Selected};
pub use handshake::{Handshake, Shaken};
pub use load::LoadError;
pub use lookup::{LookupContext, LookupOutcome};
pub use plugin::{Lookup, Plugin, Request, Step, Variant, WriteBackKind};
pub use registry::Registry;
pub use respond::{Reply, ReplySpec, Told};
pub use split::Piece;
pub use verify::{Held, VerifyError};

/// A connection's parameters with the hook's on top, defaults filled in; beside them what else is known of it under its whole name:
/// `captured.<name>`, `hook.name`, `hook.url`.
pub type Params = std::collections::BTreeMap<String, String>;
