//! A plugin ready to run: everything compiled, every name checked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use serde_json_path::JsonPath;

use super::Params;
use super::auth::Auth;
use super::connect::Connect;
use super::handshake::Handshake;
use super::kinds::WriteBackKind;
use super::manifest::{Field, HookSpec, Limits, Manifest, ParameterKind, ParameterScope, RetryUnit, SenderRetries, WaitUnit, When};
use super::modes::{self, Modes, in_mode};
use super::problem::{Problem, did_you_mean};
use super::request::Request;
use super::respond::{Reply, ResponseRule};
use super::select::Select;
use super::tables::Tables;
use super::template::{RenderError, Template};
use super::template_scope::Scope;
use super::value::{Condition, Source, Value, all};
use super::verify::Scheme;
use crate::domain::record::Gender;

/// What callbridge knows about one CRM product.
#[derive(Debug)]
pub struct Plugin {
    pub(super) manifest: Manifest,
    pub(super) hash: String,
    pub(super) modes: Modes,
    pub(super) bases: BTreeMap<String, Vec<Base>>,
    pub(super) auths: Vec<Auth>,
    pub(super) connects: Vec<Connect>,
    pub(super) limits: Vec<Limit>,
    pub(super) variants: Vec<Variant>,
    pub(super) polls: Vec<super::poll::Poll>,
    pub(super) subscriptions: Vec<super::subscribe::Subscription>,
    pub(super) handshakes: Vec<Handshake>,
    pub(super) answers: AnswerRules,
    pub(super) lookups: Vec<Lookup>,
    pub(super) kinds: Vec<WriteBackKind>,
    pub(super) responses: Vec<ResponseRule>,
    pub(super) warnings: Vec<Problem>,
    /// Every file of the folder, by its path inside.
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug)]
pub struct Base {
    pub(super) modes: Vec<String>,
    pub(super) url: Value,
    pub allow_hosts: Vec<String>,
}

/// `[limits]` in one mode.
#[derive(Debug)]
pub struct Limit {
    pub(super) modes: Vec<String>,
    pub spec: Limits,
    /// Connections with the same text here share one budget.
    pub(super) share: Option<Template>,
    pub remaining: Option<Remaining>,
}

/// Where the CRM tells what is left of the budget.
#[derive(Debug, Clone)]
pub struct Remaining {
    /// In lower case.
    pub header: String,
    /// At so many left we wait.
    pub keep: u64,
    /// The header that says when the budget is full again, and how.
    pub reset: Option<(String, WaitUnit)>,
    /// How long to wait where it says nothing.
    pub wait: Duration,
}

/// One way a CRM delivers.
#[derive(Debug)]
pub struct Variant {
    pub name: String,
    pub(super) modes: Vec<String>,
    pub sender_retries: SenderRetries,
    pub(super) select: Select,
    pub(super) verify: Vec<Scheme>,
    /// Gone down step by step to the items; none: the body is the one item.
    pub(super) split: Vec<JsonPath>,
    pub(super) map: Mapping,
    pub(super) ignore: Vec<Ignore>,
    /// What write-back needs of the delivery.
    pub(super) keep: BTreeMap<String, Value>,
    /// What a trigger may test, by the ids of `[[fields]]`.
    pub(super) fields: BTreeMap<String, Value>,
    pub(super) changed: Option<Changed>,
    /// Where nothing but these changed, it was our own write.
    pub(super) only_changed: Vec<String>,
    /// For so long after a write of ours to the same record.
    pub(super) quiet: Option<Duration>,
    pub(super) answers: AnswerRules,
}

impl Variant {
    pub fn methods(&self) -> &[String] {
        &self.select.methods
    }
}

/// Which fields of a record changed.
#[derive(Debug)]
pub enum Changed {
    Names(JsonPath),
    /// The keys of an object, or of each object of a list; of several places together.
    Keys(Vec<JsonPath>),
}

/// What a sender is told, per outcome.
pub type AnswerRules = BTreeMap<Reply, AnswerRule>;

#[derive(Debug)]
pub struct AnswerRule {
    /// Where it stands in plugin.toml.
    pub line: usize,
    pub status: u16,
    pub headers: Vec<(String, Template)>,
    pub body: Template,
    pub retry_after: Option<RetryUnit>,
}

#[derive(Debug)]
pub struct Ignore {
    pub code: &'static str,
    pub modes: Vec<String>,
    pub conditions: Vec<Condition>,
}

#[derive(Debug, Default)]
pub struct Mapping {
    pub event_id: Option<Value>,
    pub occurred_at: Option<OccurredAt>,
    pub priority: Option<Value>,
    pub record_type: Option<Value>,
    pub record_id: Option<Value>,
    pub owner: Option<Value>,
    pub phone: Option<Value>,
    pub name: Option<Value>,
    pub gender: Option<GenderMap>,
    pub info: Option<Value>,
    pub consent: Option<Value>,
    pub note: Option<Value>,
}

#[derive(Debug)]
pub struct OccurredAt {
    pub value: Value,
    pub unit: TimeUnit,
    /// Of a pattern without offset.
    pub zone: Option<Value>,
}

#[derive(Debug)]
pub enum TimeUnit {
    Ms,
    S,
    Rfc3339,
    /// strftime, read as UTC where it has no offset.
    Pattern(String),
}

#[derive(Debug)]
pub struct GenderMap {
    pub value: Value,
    /// In lower case.
    pub words: Vec<(Gender, Vec<String>)>,
    /// The table whose words become `male`, `female` and `company`, tried first.
    pub table: Option<(String, Arc<Tables>)>,
}

/// A look-up: a request for fields the delivery did not carry.
#[derive(Debug)]
pub struct Lookup {
    pub name: String,
    pub request: Request,
    pub(super) conditions: Vec<Condition>,
    pub(super) when: When,
    pub(super) needs: Vec<Field>,
    pub(super) not_found: Vec<u16>,
    /// Kept for later look-ups as `steps.<name>.<key>`.
    pub(super) store: BTreeMap<String, Value>,
    pub batch: Option<Batch>,
    pub(super) map: Mapping,
    /// What a trigger may test, by the ids of `[[fields]]`.
    pub(super) fields: BTreeMap<String, Value>,
}

/// One request for many records of an event.
#[derive(Debug)]
pub struct Batch {
    pub(super) at_most: usize,
    /// The pieces of the answer, and the record's id in a piece.
    pub(super) items: JsonPath,
    pub(super) id: Value,
}

impl Plugin {
    pub fn id(&self) -> &str {
        self.manifest.id.get_ref()
    }

    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    /// SHA-256 over all files of the folder, in hex.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What the CRM allows us.
    pub fn limits(&self, params: &Params) -> Option<&Limit> {
        self.limits.iter().find(|limit| in_mode(&limit.modes, params))
    }

    /// The name of the budget that connections share; empty: each has its own.
    pub fn shared_budget(&self, params: &Params) -> String {
        let share = self.limits(params).and_then(|limit| limit.share.as_ref());
        share.and_then(|share| share.render(&Scope { params: Some(params), ..Scope::default() }).ok()).map(|text| text.trim().to_owned()).unwrap_or_default()
    }

    /// What `plugin check` says beside errors.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// A file of the folder: `README.md`, `icon.svg`, `cases/…`.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }

    /// How long at most its deliveries are quiet after a write of ours.
    pub fn quiet(&self) -> Option<Duration> {
        self.variants.iter().filter_map(|variant| variant.quiet).max()
    }

    pub fn variants(&self) -> &[Variant] {
        &self.variants
    }

    /// Which of `[[hooks]]` a connection's hook is: by its name, or where there may be several of it by what its name begins with.
    pub fn hook_kind(&self, name: &str) -> Option<&HookSpec> {
        let mut kinds = self.manifest.hooks.iter().map(toml::Spanned::get_ref);
        let exact = kinds.clone().find(|kind| kind.name == name);
        exact.or_else(|| kinds.find(|kind| kind.many && name.strip_prefix(&kind.name).is_some_and(|rest| rest.starts_with(['-', '_', '.']))))
    }

    /// The variant that took an event earlier, by its name.
    pub fn variant(&self, name: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.name == name)
    }

    pub fn lookups(&self) -> &[Lookup] {
        &self.lookups
    }

    pub fn lookup(&self, name: &str) -> Option<&Lookup> {
        self.lookups.iter().find(|lookup| lookup.name == name)
    }

    pub fn kinds(&self) -> &[WriteBackKind] {
        &self.kinds
    }

    /// A kind of write-back: `call`, `note` or `field`.
    pub fn kind(&self, name: &str, params: &Params) -> Option<&WriteBackKind> {
        self.kinds.iter().find(|kind| kind.name == name && in_mode(&kind.modes, params))
    }

    /// The parameters with the defaults of those not given, and which modes hold.
    pub fn with_defaults(&self, given: &Params) -> Params {
        let mut params: Params = self.manifest.parameters.iter().map(|p| (p.get_ref().id.clone(), p.get_ref().default.clone())).collect();
        params.extend(given.iter().filter(|(_, value)| !value.is_empty()).map(|(id, value)| (id.clone(), value.clone())));
        modes::settle(&self.modes, &mut params, &self.manifest.empty);
        params
    }

    /// What is wrong with a connection's parameters, in sentences.
    pub fn check_params(&self, params: &Params) -> Vec<String> {
        let known: BTreeSet<&str> = self.manifest.parameters.iter().map(|p| p.get_ref().id.as_str()).collect();
        let unknown = params.keys().filter(|id| !known.contains(id.as_str())).map(|id| {
            let hint = did_you_mean(id, known.iter().copied());
            format!("the plugin `{}` has no parameter `{id}`{hint}", self.id())
        });
        let mut faults: Vec<String> = unknown.collect();
        let whole = self.with_defaults(params);
        for parameter in self.manifest.parameters.iter().map(toml::Spanned::get_ref) {
            let id = &parameter.id;
            let value = params.get(id).map_or("", |value| value.trim());
            let value = if value.is_empty() { parameter.default.as_str() } else { value };
            match parameter.kind {
                // It is not asked for, so nothing is missing.
                _ if parameter.mode.as_ref().is_some_and(|of| !in_mode(&of.0.iter().map(|name| modes::key(name)).collect::<Vec<_>>(), &whole)) => {}
                // A hook may bring its own; whether each has it is known only there.
                _ if value.is_empty() && parameter.required && parameter.scope == ParameterScope::Connection => {
                    faults.push(format!("the parameter `{id}` is missing"))
                }
                _ if value.is_empty() => {}
                _ if !parameter.secret && value.starts_with('$') && super::path::parse(value).is_err() => {
                    faults.push(format!("the parameter `{id}` begins like a JSONPath, but is none"));
                }
                ParameterKind::Url if !is_http(value) => faults.push(format!("the parameter `{id}` must be an http or https address")),
                ParameterKind::Choice if !parameter.choices.iter().any(|choice| choice == value) => {
                    let hint = did_you_mean(value, parameter.choices.iter().map(String::as_str));
                    faults.push(format!("the parameter `{id}` must be one of {}{hint}", parameter.choices.join(", ")));
                }
                ParameterKind::Date if value.parse::<jiff::civil::Date>().is_err() => {
                    faults.push(format!("the parameter `{id}` must be a date such as 2027-02-20"));
                }
                ParameterKind::Table if value.split(['\n', ';']).any(|line| !line.trim().is_empty() && !line.contains('=')) => {
                    faults.push(format!("the parameter `{id}` must have lines `word = word`"));
                }
                ParameterKind::Bool if !matches!(value, "true" | "false") => faults.push(format!("the parameter `{id}` must be true or false")),
                _ => {}
            }
        }
        faults.extend(self.check_secrets(&whole));
        faults
    }

    /// Whether a request is there in the modes of these parameters.
    pub fn in_mode(&self, request: &Request, params: &Params) -> bool {
        in_mode(&request.modes, params)
    }

    /// Whether conditions of a write-back kind or step hold; JSONPaths look at the context itself.
    pub fn holds(&self, conditions: &[Condition], context: &Json, params: &Params) -> Result<bool, RenderError> {
        let scope = Scope { params: Some(params), whole: Some(context), ..Scope::default() };
        all(conditions, &Source { document: context, scope, empty: &self.manifest.empty })
    }
}

fn is_http(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}
