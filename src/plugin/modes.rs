//! Modes: which blocks are there for a connection's parameters.
//!
//! Whether a mode holds is worked out once, when the parameters get their defaults, and kept among them as `mode.<name>`.

use serde_json::Value as Json;

use super::Params;
use super::compile::Compiler;
use super::manifest::{Manifest, ModeSpec, OneOrMany};
use super::names::Shape;
use super::template_scope::Scope;
use super::value::{Condition, Source, all};

/// A mode's key among the parameters, and when it holds.
pub type Modes = Vec<(String, Vec<Condition>)>;

/// The key of a mode among the parameters; no parameter's id has a dot.
pub fn key(name: &str) -> String {
    format!("mode.{name}")
}

/// Whether one of these modes holds; none named: always.
pub fn in_mode(modes: &[String], params: &Params) -> bool {
    modes.is_empty() || modes.iter().any(|mode| params.get(mode).is_some_and(|holds| holds == "true"))
}

/// The modes of a plugin. They look at parameters only.
pub fn compile(c: &mut Compiler<'_>, manifest: &Manifest, params: &Shape) -> Modes {
    manifest.modes.iter().map(|(name, at)| (key(name), c.conditions(at.get_ref(), params))).collect()
}

/// Writes into the parameters which modes hold.
pub fn settle(modes: &Modes, params: &mut Params, empty: &[String]) {
    let given = params.clone();
    let source = Source { document: &Json::Null, scope: Scope { params: Some(&given), ..Scope::default() }, empty };
    for (key, conditions) in modes {
        let holds = all(conditions, &source).unwrap_or(false);
        params.insert(key.clone(), if holds { "true".to_owned() } else { String::new() });
    }
}

/// Whether blocks that are told apart by their modes alone leave one that is never reached.
pub fn unreachable<T>(at: &super::manifest::At<OneOrMany<T>>, mode: impl Fn(&T) -> &ModeSpec) -> bool {
    let list = OneOrMany::each(at);
    list.iter().rev().skip(1).any(|one| mode(one.get_ref()).is_none())
}
