//! Requests, their bodies and the rules about their answers: from the manifest as written to what runs.

use std::collections::BTreeMap;

use super::compile::{Compiler, nothing};
use super::manifest::{At, RequestKind, RequestParts, ResponseSpec, RetryAfterSpec, WaitUnit};
use super::names::{self, Shape};
use super::problem::{Problem, did_you_mean};
use super::request::{AuthChoice, Body, Field, Request};
use super::respond::{ResponseRule, RetryAfter};
use super::template::{Escape, Template};
use super::template_bare::bare;

impl Compiler<'_> {
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
        let named = [parts.body, parts.graphql].into_iter().flatten().map(|file| file.get_ref().as_str()).filter(|file| !file.is_empty());
        let inside = parts.form.values().chain(parts.json.into_iter().flatten().map(|(_, text)| text)).filter_map(|text| text.get_ref().strip_prefix('@'));
        let files = named.chain(inside).map(str::to_owned).collect();
        Request {
            place: place.to_owned(),
            line: self.line(at),
            files,
            kind,
            modes,
            method,
            base,
            auth,
            path,
            query,
            headers,
            body,
            content_type,
            sign,
            responses,
        }
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
        if usize::from(file.is_some()) + usize::from(!parts.form.is_empty()) + usize::from(parts.json.is_some()) > 1 {
            self.error(at, "a request has one of `body`, `form` and `json`");
        }
        let (body, usual) = if !parts.form.is_empty() {
            (Body::Form(self.fields(parts.form, names)), Some("application/x-www-form-urlencoded"))
        } else if let Some(json) = parts.json {
            (Body::Flat(self.fields(json, names)), Some("application/json"))
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
            at: at.span().start,
            line: self.line(at),
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
        let has_body = parts.body.is_some_and(|b| !b.get_ref().is_empty()) || !parts.form.is_empty() || parts.json.is_some() || parts.graphql.is_some();
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
            self.problems.extend(bare(source).into_iter().map(|fault| Problem::warning(&file, fault.line, fault.message)));
            self.try_json(&file, &template, names);
        }
        Some((template, json, content_type))
    }

    /// A JSON body must be JSON when every name has a value; when none has, it should be.
    fn try_json(&mut self, file: &str, template: &Template, names: &Shape) {
        let parse = |empty: bool| match template.render_data(&names.data(empty)) {
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
}

/// How a template's ending escapes, and the content type it means.
pub fn kind_of(path: &str) -> Option<(Escape, &'static str)> {
    match path.strip_suffix(".hbs")?.rsplit_once('.')?.1 {
        "json" => Some((Escape::Json, "application/json")),
        "xml" => Some((Escape::Html, "application/xml; charset=utf-8")),
        "html" => Some((Escape::Html, "text/html; charset=utf-8")),
        "txt" => Some((Escape::Text, "text/plain; charset=utf-8")),
        "form" => Some((Escape::Url, "application/x-www-form-urlencoded")),
        _ => None,
    }
}
