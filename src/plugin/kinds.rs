//! What is written back, kind by kind: searches, steps, and which records a step changes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;
use serde_json_path::JsonPath;

use super::Params;
use super::manifest::{Identity, Words};
use super::plugin::Plugin;
use super::request::Request;
use super::template::RenderError;
use super::template_scope::Scope;
use super::value::{Condition, Source, Value};
use crate::domain::record::RecordRef;

/// What is written back for one kind.
#[derive(Debug)]
pub struct WriteBackKind {
    /// `call`, `note` or `field`.
    pub name: &'static str,
    pub(super) modes: Vec<String>,
    pub title: Words,
    pub identity: Identity,
    /// Skip the kind unless these hold.
    pub conditions: Vec<Condition>,
    pub find: Option<Find>,
    pub create: Vec<Step>,
    pub update: Vec<Step>,
    pub correction: Vec<Step>,
    pub correction_find: Option<Find>,
}

#[derive(Debug)]
pub struct Find {
    pub request: Request,
    pub conditions: Vec<Condition>,
    /// Where the answer is a list of which ours is the first that `matches`.
    pub(super) items: Option<JsonPath>,
    pub(super) matches: Vec<Condition>,
    pub(super) id: Value,
    /// Stands as if the step that makes the entry had stored it.
    pub(super) store: BTreeMap<String, Value>,
    /// How long the CRM's search lags behind its writes.
    pub wait: Duration,
}

#[derive(Debug)]
pub struct Step {
    pub name: String,
    pub conditions: Vec<Condition>,
    pub request: Request,
    pub(super) store: BTreeMap<String, Value>,
    /// The kind is done where these hold, after the step: our marker stands there.
    pub done_if: Vec<Condition>,
    /// It changes nothing at the CRM: it runs again with the step that follows.
    pub reads: bool,
    /// The records it changes besides the one that asked: type and id.
    pub(super) writes: Vec<(Value, Value)>,
}

impl Step {
    /// Whether its answer names the entry.
    pub fn gives_entry(&self) -> bool {
        self.store.contains_key("id")
    }
}

impl WriteBackKind {
    /// Whether a correction that may have been made can be told from one that was not, or repeated without harm.
    pub fn tells_corrections(&self) -> bool {
        self.correction_find.is_some() || self.identity == Identity::ClientId || self.correction.iter().any(|step| !step.done_if.is_empty())
    }
}

impl Plugin {
    /// What a step changes besides the record that asked; nothing of a record whose id is not known. JSONPaths look at the context itself.
    pub fn written(&self, step: &Step, context: &Json, params: &Params) -> Result<Vec<RecordRef>, RenderError> {
        let scope = Scope { params: Some(params), whole: Some(context), ..Scope::default() };
        let source = Source { document: context, scope, empty: &self.manifest.empty };
        let mut written = Vec::new();
        for (kind, id) in &step.writes {
            let record = RecordRef { kind: kind.text(&source)?, id: id.text(&source)? };
            written.extend(Some(record).filter(|record| !record.id.is_empty()));
        }
        Ok(written)
    }
}
