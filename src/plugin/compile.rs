//! From the manifest as written to a plugin that runs: values, conditions, templates and requests, each fault with its line.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json_path::JsonPath;

use super::extract::usual_genders;
use super::manifest::{
    At, AuthSpec, ConditionSpec, Conditions, GenderSpec, Manifest, MapSpec, ModeSpec, Op, RequestKind, RequestParts, ResponseSpec, RetryAfterSpec, ValueSpec,
    WaitUnit,
};
use super::modes;
use super::names::{self, Shape};
use super::plugin::{GenderMap, Mapping, OccurredAt, TimeUnit};
use super::problem::{Problem, did_you_mean, line_of};
use super::request::{AuthChoice, Body, Field, Request};
use super::respond::{ResponseRule, RetryAfter};
use super::tables::Tables;
use super::template::{Escape, Template};
use super::value::{Condition, Value};
use crate::domain::record::Gender;

pub const MANIFEST: &str = "plugin.toml";

/// Compiles pieces of one plugin and collects what is wrong.
#[derive(Debug)]
pub struct Compiler<'a> {
    source: &'a str,
    files: &'a BTreeMap<String, Vec<u8>>,
    bases: BTreeSet<String>,
    pub problems: Vec<Problem>,
    pub used_params: BTreeSet<String>,
    pub used_modes: BTreeSet<String>,
    pub used_tables: BTreeSet<String>,
    modes: BTreeSet<String>,
    auths: BTreeSet<String>,
    token: Shape,
    pub tables: Arc<Tables>,
    used_files: BTreeSet<String>,
}

impl<'a> Compiler<'a> {
    pub fn new(source: &'a str, files: &'a BTreeMap<String, Vec<u8>>, manifest: &Manifest) -> Compiler<'a> {
        Compiler {
            source,
            files,
            bases: manifest.bases.keys().cloned().collect(),
            problems: Vec::new(),
            used_params: BTreeSet::new(),
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

    fn compile(&mut self, file: &str, first_line: usize, source: &str, escape: Escape, names: &Shape) -> Template {
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
        match JsonPath::parse(at.get_ref()) {
            Ok(path) => Some(path),
            Err(error) => {
                self.error(at, format!("`{}` is not a JSONPath: {}", at.get_ref(), error.message()));
                None
            }
        }
    }

    pub fn value(&mut self, at: &At<ValueSpec>, names: &Shape) -> Value {
        match at.get_ref() {
            ValueSpec::Text(text) if text.starts_with('$') => {
                let text = At::new(at.span(), text.clone());
                self.json_path(&text).map_or_else(|| Value::List(Vec::new()), |path| Value::Path(Box::new(path)))
            }
            ValueSpec::Text(text) => {
                let line = self.line(at);
                let template = self.compile(MANIFEST, line, text, Escape::Text, names);
                match template.only_param().map(str::to_owned) {
                    Some(id) => Value::Param(id),
                    None => Value::Template(template),
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

    pub fn mapping(&mut self, spec: &MapSpec, names: &Shape) -> Mapping {
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
                OccurredAt { value: self.value(&at.value, names), unit }
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

    /// A request; `at` is the block it stands in, for messages.
    pub fn request<T>(&mut self, place: &str, kind: RequestKind, at: &At<T>, parts: RequestParts<'_>, names: &Shape) -> Request {
        let names = &names::and(names, [("token", self.token.clone())]);
        let base = match parts.base {
            Some(at) => self.base_name(at),
            None => {
                let usual = self.usual_base();
                if !self.bases.contains(&usual) {
                    self.error(at, "the request names no base, and there is none called `api`");
                }
                usual
            }
        };
        let path = match parts.path {
            Some(at) => {
                let source = at.get_ref().trim();
                if !source.is_empty() && !source.starts_with('/') {
                    self.error(at, "a path begins with `/`");
                }
                self.template(at, Escape::Url, names)
            }
            None => nothing(),
        };
        let method = self.method(at, &parts);
        let text = |c: &mut Self, map: &BTreeMap<String, At<String>>| {
            map.iter().map(|(name, value)| (name.clone(), c.template(value, Escape::Text, names))).collect::<Vec<_>>()
        };
        let query = text(self, parts.query);
        let headers = text(self, parts.headers).into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        let (body, usual) = self.request_body(at, &parts, names);
        let content_type = parts.content_type.map(|at| at.get_ref().clone()).or(usual.map(str::to_owned));
        let auth = match parts.auth {
            None if kind == RequestKind::Login => AuthChoice::None,
            None => AuthChoice::OfBase,
            Some(at) if at.get_ref() == "none" => AuthChoice::None,
            Some(at) => {
                if !self.auths.contains(at.get_ref()) {
                    let hint = did_you_mean(at.get_ref(), self.auths.iter().map(String::as_str));
                    self.error(at, format!("there is no [[auth]] with the id `{}`{hint}", at.get_ref()));
                }
                AuthChoice::Named(at.get_ref().clone())
            }
        };
        let sign = parts.sign.map(|sign| self.template(&sign.secret, Escape::Text, names));
        let modes = self.modes(parts.mode);
        let responses = parts.responses.iter().map(|rule| self.response(rule, names)).collect();
        Request { place: place.to_owned(), kind, modes, method, base, auth, path, query, headers, body, content_type, sign, responses }
    }

    /// A base's name; it must be there.
    pub fn base_name(&mut self, at: &At<String>) -> String {
        if !self.bases.contains(at.get_ref()) {
            let hint = did_you_mean(at.get_ref(), self.bases.iter().map(String::as_str));
            self.error(at, format!("there is no base `{}`{hint}", at.get_ref()));
        }
        at.get_ref().clone()
    }

    /// The only base, else `api`.
    pub fn usual_base(&self) -> String {
        match (self.bases.len(), self.bases.iter().next()) {
            (1, Some(only)) => only.clone(),
            _ => "api".to_owned(),
        }
    }

    fn request_body<T>(&mut self, at: &At<T>, parts: &RequestParts<'_>, names: &Shape) -> (Body, Option<&'static str>) {
        let file = parts.body.filter(|body| !body.get_ref().is_empty());
        if usize::from(file.is_some()) + usize::from(!parts.form.is_empty()) + usize::from(!parts.json.is_empty()) > 1 {
            self.error(at, "a request has one of `body`, `form` and `json`");
        }
        let (body, usual) = if !parts.form.is_empty() {
            (Body::Form(self.fields(parts.form, names)), Some("application/x-www-form-urlencoded"))
        } else if !parts.json.is_empty() {
            (Body::Flat(self.fields(parts.json, names)), Some("application/json"))
        } else {
            match file.and_then(|at| self.body(at, names)) {
                Some((template, json, content_type)) => (Body::File { template, json }, Some(content_type)),
                None => (Body::None, None),
            }
        };
        match parts.graphql.and_then(|at| self.plain_file(at, ".graphql")) {
            Some(query) => (Body::GraphQl { query, variables: Box::new(body) }, Some("application/json")),
            None => (body, usual),
        }
    }

    fn fields(&mut self, map: &BTreeMap<String, At<String>>, names: &Shape) -> Vec<(String, Field)> {
        let mut fields = Vec::new();
        for (name, value) in map {
            let field = match value.get_ref().strip_prefix('@') {
                Some(file) => match self.body(&At::new(value.span(), file.to_owned()), names) {
                    Some((template, json, _)) => Field::File(template, json),
                    None => continue,
                },
                None => Field::Text(self.template(value, Escape::Text, names)),
            };
            fields.push((name.clone(), field));
        }
        fields
    }

    /// A file that goes out as it is.
    fn plain_file(&mut self, at: &At<String>, ending: &str) -> Option<String> {
        let file = format!("templates/{}", at.get_ref());
        let text = self.files.get(&file).and_then(|bytes| String::from_utf8(bytes.clone()).ok());
        match text {
            Some(text) if file.ends_with(ending) => {
                self.used_files.insert(file);
                Some(text)
            }
            _ => {
                let known = self.files.keys().filter_map(|path| path.strip_prefix("templates/"));
                let hint = did_you_mean(at.get_ref(), known);
                self.error(at, format!("there is no file `{file}` that ends in `{ending}`{hint}"));
                None
            }
        }
    }

    /// A rule about answers; its templates see `status` and `header`.
    pub fn response(&mut self, at: &At<ResponseSpec>, names: &Shape) -> ResponseRule {
        let spec = at.get_ref();
        if spec.status.is_empty() && spec.body.0.is_empty() {
            self.error(at, "a response rule needs `status` or `body`");
        }
        let names = names::and(names, [("status", Shape::Leaf(200.into())), ("header", Shape::Open)]);
        let retry_after = match &spec.retry_after {
            None => RetryAfter::Header("retry-after".to_owned(), WaitUnit::Seconds),
            Some(RetryAfterSpec::Header(unit)) => RetryAfter::Header("retry-after".to_owned(), *unit),
            Some(RetryAfterSpec::Elsewhere(table)) => match (&table.header, &table.body, &table.wait) {
                (Some(header), None, None) => RetryAfter::Header(header.to_ascii_lowercase(), table.unit),
                (None, Some(body), None) => RetryAfter::Body(self.value(body, &names), table.unit),
                (None, None, Some(wait)) => RetryAfter::Fixed(self.duration(wait)),
                _ => {
                    self.error(at, "`retry_after` has one of `header`, `body` and `wait`");
                    RetryAfter::Header("retry-after".to_owned(), WaitUnit::Seconds)
                }
            },
        };
        ResponseRule {
            requests: spec.requests.0.clone(),
            modes: self.modes(&spec.mode),
            status: spec.status.clone(),
            body: self.conditions(&spec.body, &names),
            class: spec.class,
            retry_after,
            say: spec.say.clone(),
        }
    }

    fn method<T>(&mut self, at: &At<T>, parts: &RequestParts<'_>) -> String {
        let has_body = parts.body.is_some_and(|b| !b.get_ref().is_empty()) || !parts.form.is_empty() || !parts.json.is_empty() || parts.graphql.is_some();
        let Some(method) = parts.method else { return if has_body { "POST" } else { "GET" }.to_owned() };
        if !matches!(method.get_ref().as_str(), "GET" | "POST" | "PUT" | "PATCH" | "DELETE") {
            self.error(at, format!("`{}` is not a method: GET, POST, PUT, PATCH or DELETE", method.get_ref()));
        }
        method.get_ref().clone()
    }

    fn body(&mut self, at: &At<String>, names: &Shape) -> Option<(Template, bool, &'static str)> {
        let file = format!("templates/{}", at.get_ref());
        let known = self.files.keys().filter_map(|path| path.strip_prefix("templates/"));
        let Some(bytes) = self.files.get(&file) else {
            let hint = did_you_mean(at.get_ref(), known);
            self.error(at, format!("there is no file `{file}`{hint}"));
            return None;
        };
        self.used_files.insert(file.clone());
        let (escape, content_type) = kind_of(&file)?;
        let Ok(source) = std::str::from_utf8(bytes) else {
            self.problems.push(Problem::error(&file, 0, "the file is not UTF-8"));
            return None;
        };
        let before = self.problems.len();
        let template = self.compile(&file, 1, source, escape, names);
        let json = escape == Escape::Json;
        if json && self.problems.len() == before {
            self.try_json(&file, &template, names);
        }
        Some((template, json, content_type))
    }

    /// A JSON body must be JSON when every name has a value; when none has, it should be.
    fn try_json(&mut self, file: &str, template: &Template, names: &Shape) {
        let parse = |empty: bool| match template.render_data(names.data(empty)) {
            Err(error) => Err((error.line, error.message)),
            Ok(text) => {
                serde_json::from_str::<serde::de::IgnoredAny>(&text).map_err(|error| (error.line(), format!("it does not become JSON: {error}"))).map(drop)
            }
        };
        if let Err((line, message)) = parse(false) {
            self.problems.push(Problem::error(file, line, message));
        } else if let Err((line, message)) = parse(true) {
            self.problems.push(Problem::warning(file, line, format!("when every name is absent: {message}; write `{{{{json name}}}}` for what may be null")));
        }
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

fn kind_of(path: &str) -> Option<(Escape, &'static str)> {
    match path.strip_suffix(".hbs")?.rsplit_once('.')?.1 {
        "json" => Some((Escape::Json, "application/json")),
        "xml" => Some((Escape::Html, "application/xml; charset=utf-8")),
        "html" => Some((Escape::Html, "text/html; charset=utf-8")),
        "txt" => Some((Escape::Text, "text/plain; charset=utf-8")),
        "form" => Some((Escape::Url, "application/x-www-form-urlencoded")),
        _ => None,
    }
}

fn nothing() -> Template {
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
