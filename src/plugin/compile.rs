//! From the manifest as written to a plugin that runs: values, conditions, templates and requests, each fault with its line.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json_path::JsonPath;

use super::compile_request::kind_of;
use super::extract::usual_genders;
use super::manifest::{At, AuthSpec, ConditionSpec, Conditions, GenderSpec, Manifest, MapSpec, ModeSpec, Op, ValueSpec};
use super::modes;
use super::names::{self, Shape};
use super::path::Path;
use super::plugin::{GenderMap, Mapping, OccurredAt, TimeUnit};
use super::problem::{Problem, did_you_mean, line_of};
use super::tables::Tables;
use super::template::{Escape, Template};
use super::value::{Condition, Value};
use crate::domain::record::Gender;

pub const MANIFEST: &str = "plugin.toml";

/// Compiles pieces of one plugin and collects what is wrong.
#[derive(Debug)]
pub struct Compiler<'a> {
    source: &'a str,
    pub(super) files: &'a BTreeMap<String, Vec<u8>>,
    pub(super) bases: BTreeSet<String>,
    pub problems: Vec<Problem>,
    pub used_params: BTreeSet<String>,
    /// Those that bases are made of.
    pub base_params: BTreeSet<String>,
    pub used_modes: BTreeSet<String>,
    pub used_tables: BTreeSet<String>,
    modes: BTreeSet<String>,
    pub(super) auths: BTreeSet<String>,
    pub(super) token: Shape,
    pub tables: Arc<Tables>,
    pub(super) used_files: BTreeSet<String>,
    pub used_maps: BTreeSet<String>,
    pub used_fields: BTreeSet<String>,
    /// What `$` is where that is the engine's own and not the CRM's.
    document: Option<Shape>,
}

impl<'a> Compiler<'a> {
    pub fn new(source: &'a str, files: &'a BTreeMap<String, Vec<u8>>, manifest: &Manifest) -> Compiler<'a> {
        Compiler {
            source,
            files,
            bases: manifest.bases.keys().cloned().collect(),
            problems: Vec::new(),
            used_params: BTreeSet::new(),
            base_params: BTreeSet::new(),
            used_modes: BTreeSet::new(),
            used_tables: BTreeSet::new(),
            modes: manifest.modes.keys().cloned().collect(),
            auths: AuthSpec::each(manifest.auth.as_ref())
                .iter()
                .map(|at| at.get_ref().id.as_ref().map_or_else(|| "main".to_owned(), |id| id.get_ref().clone()))
                .collect(),
            token: names::token(manifest),
            tables: Arc::new(Tables::new(manifest)),
            used_files: BTreeSet::new(),
            used_maps: BTreeSet::new(),
            used_fields: BTreeSet::new(),
            document: None,
        }
    }

    pub fn line<T>(&self, at: &At<T>) -> usize {
        line_of(self.source, at.span().start)
    }

    pub fn error<T>(&mut self, at: &At<T>, message: impl Into<String>) {
        let line = self.line(at);
        self.problems.push(Problem::error(MANIFEST, line, message));
    }

    pub fn warning<T>(&mut self, at: &At<T>, message: impl Into<String>) {
        let line = self.line(at);
        self.problems.push(Problem::warning(MANIFEST, line, message));
    }

    /// A template in the manifest. A faulty one is replaced by nothing, so that all faults are found at once.
    pub fn template(&mut self, at: &At<String>, escape: Escape, names: &Shape) -> Template {
        let line = self.line(at);
        self.compile(MANIFEST, line, at.get_ref(), escape, names)
    }

    /// A template that is absent is empty.
    pub fn template_or_empty(&mut self, at: Option<&At<String>>, names: &Shape) -> Template {
        match at {
            Some(at) => self.template(at, Escape::Text, names),
            None => nothing(),
        }
    }

    pub(super) fn compile(&mut self, file: &str, first_line: usize, source: &str, escape: Escape, names: &Shape) -> Template {
        match Template::compile(source, escape, names) {
            Ok(mut template) => {
                self.used_params.extend(template.params().map(str::to_owned));
                for name in template.tables().filter(|name| !self.tables.has(name)).collect::<Vec<_>>() {
                    let hint = did_you_mean(name, self.tables.names());
                    self.problems.push(Problem::error(file, first_line, format!("there is no table `{name}` in [tables]{hint}")));
                }
                self.used_tables.extend(template.tables().map(str::to_owned));
                template.set_tables(&self.tables);
                template
            }
            Err(faults) => {
                self.problems.extend(faults.into_iter().map(|fault| Problem::error(file, first_line + fault.line.saturating_sub(1), fault.message)));
                nothing()
            }
        }
    }

    pub fn json_path(&mut self, at: &At<String>) -> Option<JsonPath> {
        self.path(at).map(|path| path.query().clone())
    }

    fn path(&mut self, at: &At<String>) -> Option<Path> {
        match Path::parse(at.get_ref()) {
            Ok(path) => Some(path),
            Err(error) => {
                self.error(at, format!("`{}` is not a JSONPath: {error}", at.get_ref()));
                None
            }
        }
    }

    pub fn value(&mut self, at: &At<ValueSpec>, names: &Shape) -> Value {
        match at.get_ref() {
            ValueSpec::Text(text) if text.starts_with('$') => {
                let text = At::new(at.span(), text.clone());
                self.known_path(&text);
                self.path(&text).map_or_else(|| Value::List(Vec::new()), Value::Path)
            }
            ValueSpec::Text(text) => {
                let line = self.line(at);
                let template = self.compile(MANIFEST, line, text, Escape::Text, names);
                match template.only_param().map(str::to_owned) {
                    Some(id) => Value::Param(id),
                    None => Value::Template(Box::new(template)),
                }
            }
            ValueSpec::List(list) => Value::List(list.iter().map(|one| self.value(one, names)).collect()),
            ValueSpec::If(inner) => {
                let mut conditions = self.conditions(&inner.conditions, names);
                conditions.extend(self.mode_condition(&inner.mode));
                Value::If(Box::new(self.value(&inner.value, names)), conditions)
            }
        }
    }

    /// What is not in a document of the engine's own can never be found there.
    fn known_path(&mut self, at: &At<String>) {
        let Some(fault) = self.document.as_ref().and_then(|document| Path::parse(at.get_ref()).ok()?.unknown_in(document)) else { return };
        self.error(at, format!("`{}`: {fault}", at.get_ref()));
    }

    /// A value of a document of the engine's own.
    pub fn value_on(&mut self, document: Shape, at: &At<ValueSpec>, names: &Shape) -> Value {
        self.document = Some(document);
        let compiled = self.value(at, names);
        self.document = None;
        compiled
    }

    /// Conditions about a document of the engine's own.
    pub fn conditions_on(&mut self, document: Shape, conditions: &Conditions, names: &Shape) -> Vec<Condition> {
        self.document = Some(document);
        let compiled = self.conditions(conditions, names);
        self.document = None;
        compiled
    }

    /// The keys of the modes a block carries; each must be declared.
    pub fn modes(&mut self, spec: &ModeSpec) -> Vec<String> {
        let Some(at) = spec else { return Vec::new() };
        for name in at.get_ref().0.iter().filter(|name| !self.modes.contains(*name)).collect::<Vec<_>>() {
            let hint = did_you_mean(name, self.modes.iter().map(String::as_str));
            self.error(at, format!("there is no mode `{name}` in [modes]{hint}"));
        }
        self.used_modes.extend(at.get_ref().0.iter().cloned());
        at.get_ref().0.iter().map(|name| modes::key(name)).collect()
    }

    fn mode_condition(&mut self, spec: &ModeSpec) -> Option<Condition> {
        Some(self.modes(spec)).filter(|modes| !modes.is_empty()).map(Condition::Mode)
    }

    pub fn conditions(&mut self, conditions: &Conditions, names: &Shape) -> Vec<Condition> {
        conditions.0.iter().filter_map(|one| self.condition(one, names)).collect()
    }

    fn condition(&mut self, spec: &ConditionSpec, names: &Shape) -> Option<Condition> {
        if let (None, None, Some(_)) = (&spec.value, &spec.any, &spec.mode) {
            return self.mode_condition(&spec.mode);
        }
        if let Some(mode) = &spec.mode {
            self.error(mode, "a condition with `mode` has nothing else");
        }
        match (&spec.value, &spec.any) {
            (None, Some(any)) => Some(Condition::Any(any.iter().filter_map(|one| self.condition(one, names)).collect())),
            (Some(at), None) => {
                let value = self.value(at, names);
                let to = spec.to.as_ref().map(|to| self.value(to, names));
                match (spec.op, &to) {
                    (Op::Exists | Op::Missing, Some(_)) => self.error(at, "`exists` and `missing` take no `to`"),
                    (Op::Exists | Op::Missing, None) | (_, Some(_)) => {}
                    (_, None) => self.error(at, "the condition has no `to`"),
                }
                Some(Condition::Test { value, op: spec.op, to })
            }
            (Some(at), Some(_)) => {
                self.error(at, "a condition has either `value` or `any`");
                None
            }
            (None, None) => {
                self.problems.push(Problem::error(MANIFEST, 0, "a condition has neither `value`, `any` nor `mode`"));
                None
            }
        }
    }

    /// A field that differs from record to record and is given as a bare word: who writes `id` means `$.id`.
    fn bare_word(&mut self, field: &str, at: &At<ValueSpec>) {
        match at.get_ref() {
            ValueSpec::Text(text) if !text.trim().is_empty() && !text.starts_with('$') && !text.contains("{{") => {
                let plain = text.chars().all(|c| c.is_alphanumeric() || "_.".contains(c));
                let path = if plain { format!("$.{text}") } else { format!("$['{text}']") };
                self.warning(at, format!("`{field}` is the text `{text}` itself, the same for every record; `{path}` is the field of that name"));
            }
            // The last of several stands for what is not there: "Customer" for a name.
            ValueSpec::List(list) => list.iter().take((list.len() - usize::from(list.len() > 1)).max(1)).for_each(|one| self.bare_word(field, one)),
            ValueSpec::Text(_) | ValueSpec::If(_) => {}
        }
    }

    pub fn mapping(&mut self, spec: &MapSpec, names: &Shape) -> Mapping {
        for (field, at) in [("phone", &spec.phone), ("name", &spec.name), ("record_id", &spec.record_id), ("owner", &spec.owner), ("event_id", &spec.event_id)]
        {
            at.iter().for_each(|at| self.bare_word(field, at));
        }
        let mut value = |at: &Option<At<ValueSpec>>| at.as_ref().map(|at| self.value(at, names));
        Mapping {
            event_id: value(&spec.event_id),
            priority: value(&spec.priority),
            record_type: value(&spec.record_type),
            record_id: value(&spec.record_id),
            owner: value(&spec.owner),
            phone: value(&spec.phone),
            name: value(&spec.name),
            info: value(&spec.info),
            consent: value(&spec.consent),
            note: value(&spec.note),
            gender: spec.gender.as_ref().map(|gender| self.gender(gender, names)),
            occurred_at: spec.occurred_at.as_ref().map(|at| {
                let unit = match at.unit.as_str() {
                    "ms" => TimeUnit::Ms,
                    "s" => TimeUnit::S,
                    "rfc3339" => TimeUnit::Rfc3339,
                    pattern => {
                        if !pattern.contains('%') {
                            self.error(&at.value, format!("`{pattern}` is not a unit: ms, s, rfc3339 or a strftime pattern"));
                        }
                        TimeUnit::Pattern(pattern.to_owned())
                    }
                };
                OccurredAt { value: self.value(&at.value, names), unit, zone: at.zone.as_ref().map(|zone| self.value(zone, names)) }
            }),
        }
    }

    fn gender(&mut self, spec: &GenderSpec, names: &Shape) -> GenderMap {
        if let Some(at) = &spec.table {
            if !self.tables.has(at.get_ref()) {
                let hint = did_you_mean(at.get_ref(), self.tables.names());
                self.error(at, format!("there is no table `{}` in [tables]{hint}", at.get_ref()));
            }
            self.used_tables.insert(at.get_ref().clone());
        }
        let lower = |words: &[String]| words.iter().map(|word| word.trim().to_lowercase()).collect::<Vec<_>>();
        let own = vec![(Gender::Male, lower(&spec.male)), (Gender::Female, lower(&spec.female)), (Gender::Company, lower(&spec.company))];
        let words = if own.iter().all(|(_, words)| words.is_empty()) { usual_genders() } else { own };
        let table = spec.table.as_ref().map(|at| (at.get_ref().clone(), Arc::clone(&self.tables)));
        GenderMap { value: self.value(&spec.value, names), words, table }
    }

    pub fn duration(&mut self, at: &At<String>) -> Duration {
        parse_duration(at.get_ref()).unwrap_or_else(|| {
            self.error(at, format!("`{}` is not a duration such as 500ms, 10s, 5m, 2h or 30d", at.get_ref()));
            Duration::ZERO
        })
    }

    /// Template files that nothing names, and files that have no place here.
    pub fn check_files(&mut self) {
        for path in self.files.keys() {
            if path.starts_with("templates/") {
                if kind_of(path).is_none() && !path.ends_with(".graphql") {
                    self.problems.push(Problem::error(path, 0, "a template ends in .json.hbs, .html.hbs, .xml.hbs, .txt.hbs, .form.hbs or .graphql"));
                } else if !self.used_files.contains(path) {
                    self.problems.push(Problem::warning(path, 0, "nothing in plugin.toml names this template"));
                }
                continue;
            }
            let of_a_case = path.starts_with("cases/") && path.split('/').count() == 3;
            if !of_a_case && !matches!(path.as_str(), MANIFEST | "README.md" | "icon.svg" | "vectors.json") {
                let hint = did_you_mean(path, ["README.md", "icon.svg", "vectors.json"]);
                self.problems.push(Problem::error(path, 0, format!("this file has no place in a plugin{hint}")));
            }
        }
    }
}

pub(super) fn nothing() -> Template {
    Template::nothing()
}

/// `500ms`, `10s`, `5m`, `2h`, `30d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit.trim() {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(number.checked_mul(3600)?)),
        "d" => Some(Duration::from_secs(number.checked_mul(86400)?)),
        _ => None,
    }
}
