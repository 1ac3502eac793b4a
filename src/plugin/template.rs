//! Handlebars templates, compiled once: names are checked in every branch when the plugin is loaded, data is never evaluated.
//!
//! Most templates are text with plain names in it; those are filled in without handlebars, from borrowed data.

use std::collections::BTreeSet;
use std::sync::Arc;

use handlebars::template::{Parameter, Template as Parsed, TemplateElement};
use handlebars::{Context, Path, PathSeg, RenderContext, Renderable, StringOutput};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;

use super::Params;
use super::helpers;
use super::names::Shape;
use super::tables::Tables;
use super::template_depth::too_deep;
use super::template_names::Walk;
use super::template_reads::Reads;
use super::template_scope::Scope;

/// Everything but RFC 3986's unreserved characters.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where the tables stand in the data of a rendering; no template can name it.
pub const TABLES: &str = "@tables";

/// How what is filled in is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    Text,
    Json,
    Html,
    /// Percent-encoding: one component of a URL or one value of a form.
    Url,
}

impl Escape {
    pub fn apply(self, text: &str) -> String {
        match self {
            Escape::Text => text.to_owned(),
            Escape::Html => handlebars::html_escape(text),
            Escape::Url => encode_component(text),
            Escape::Json => {
                let quoted = Json::String(text.to_owned()).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
        }
    }
}

/// Percent-encodes one component of a URL.
pub fn encode_component(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

/// A template whose rendering failed: a helper did not take its argument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template line {line}: {message}")]
pub struct RenderError {
    pub line: usize,
    pub message: String,
}

/// A fault in a template's text; lines count from 1 inside the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub line: usize,
    pub message: String,
}

/// A compiled template.
#[derive(Debug, Clone)]
pub struct Template {
    source: String,
    escape: Escape,
    program: Program,
    reads: Reads,
    /// The parameters it uses.
    params: BTreeSet<String>,
    /// The names of the tables it uses, and where they are.
    tables: BTreeSet<String>,
    /// The tokens it uses.
    tokens: BTreeSet<String>,
    words: Option<Arc<Tables>>,
}

#[derive(Debug, Clone)]
enum Program {
    Plain(Vec<Part>),
    Full(Box<Parsed>),
}

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Name(Vec<String>),
    /// `{{json a.b}}` in a JSON file.
    Json(Vec<String>),
}

impl Template {
    /// Compiles `source`, checking every name in every branch against `names`.
    pub fn compile(source: &str, escape: Escape, names: &Shape) -> Result<Template, Vec<Fault>> {
        if let Some(fault) = too_deep(source) {
            return Err(vec![fault]);
        }
        let parsed = Parsed::compile(source).map_err(|error| {
            let line = error.pos().map_or(1, |(line, _)| line);
            vec![Fault { line, message: format!("the template cannot be read: {}", error.reason()) }]
        })?;
        let walk = Walk::over(&parsed, names);
        if !walk.faults.is_empty() {
            return Err(walk.faults);
        }
        let (reads, params, tables, tokens) = (walk.reads, walk.params, walk.tables, walk.tokens);
        let program = match plain(&parsed, escape) {
            Some(parts) => Program::Plain(parts),
            None => Program::Full(Box::new(parsed)),
        };
        Ok(Template { source: source.to_owned(), escape, program, reads, params, tables, tokens, words: None })
    }

    /// The template of no text at all.
    pub fn nothing() -> Template {
        Template {
            source: String::new(),
            escape: Escape::Text,
            program: Program::Plain(Vec::new()),
            reads: Reads::default(),
            params: BTreeSet::new(),
            tables: BTreeSet::new(),
            tokens: BTreeSet::new(),
            words: None,
        }
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// The parameters this template uses.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.params.iter().map(String::as_str)
    }

    /// The tables this template uses.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().map(String::as_str)
    }

    /// The tokens this template uses.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(String::as_str)
    }

    /// Where its tables are.
    pub fn set_tables(&mut self, words: &Arc<Tables>) {
        if !self.tables.is_empty() {
            self.words = Some(Arc::clone(words));
        }
    }

    pub fn uses(&self, root: &str) -> bool {
        self.reads.has_root(root)
    }

    /// The parameter that is all of this template.
    pub fn only_param(&self) -> Option<&str> {
        match &self.program {
            Program::Plain(parts) => match parts.as_slice() {
                [Part::Name(path)] => match path.as_slice() {
                    [root, id] if root == "param" => Some(id),
                    _ => None,
                },
                _ => None,
            },
            Program::Full(_) => None,
        }
    }

    /// Fills the template in, once: what stands in the data is never read as a template.
    pub fn render(&self, scope: &Scope<'_>) -> Result<String, RenderError> {
        let parsed = match &self.program {
            Program::Plain(parts) => {
                let mut out = String::new();
                for part in parts {
                    match part {
                        Part::Text(text) => out.push_str(text),
                        Part::Name(path) if self.escape == Escape::Text => out.push_str(&scope.text(path)),
                        Part::Name(path) => out.push_str(&self.escape.apply(&scope.text(path))),
                        Part::Json(path) => out.push_str(&scope.json_text(path)),
                    }
                }
                return Ok(out);
            }
            Program::Full(parsed) => parsed,
        };
        self.render_full(parsed, scope.owned(&self.reads), scope.params)
    }

    /// Renders with an owned context, as samples are.
    pub fn render_data(&self, data: Json) -> Result<String, RenderError> {
        match &self.program {
            Program::Plain(_) => self.render(&Scope { whole: Some(&data), ..Scope::default() }),
            Program::Full(parsed) => self.render_full(parsed, data, None),
        }
    }

    fn render_full(&self, parsed: &Parsed, mut data: Json, params: Option<&Params>) -> Result<String, RenderError> {
        if let (Some(words), Json::Object(map)) = (&self.words, &mut data) {
            map.insert(TABLES.to_owned(), words.data(&self.tables, params));
        }
        let context = Context::from(data);
        let mut render = RenderContext::new(None);
        let mut out = StringOutput::new();
        parsed
            .render(helpers::registry(self.escape), &context, &mut render, &mut out)
            .map_err(|error| RenderError { line: error.line_no.unwrap_or(1), message: error.reason().to_string() })?;
        out.into_string().map_err(|_| RenderError { line: 1, message: "the result is not UTF-8".to_owned() })
    }
}

/// The parts of a template that has only text, plain names, and in a JSON file names written as JSON.
fn plain(parsed: &Parsed, escape: Escape) -> Option<Vec<Part>> {
    let part = |element: &TemplateElement| match element {
        TemplateElement::RawString(text) => Some(Part::Text(text.clone())),
        TemplateElement::Comment(_) => Some(Part::Text(String::new())),
        TemplateElement::Expression(expression) if !expression.hash.is_empty() => None,
        TemplateElement::Expression(expression) => match (&expression.name, expression.params.as_slice()) {
            (name, []) => dotted(name).filter(|path| !matches!(path.as_slice(), [one] if helpers::is_helper(one))).map(Part::Name),
            (name, [of]) if escape == Escape::Json && dotted(name).is_some_and(|path| path == ["json"]) => dotted(of).map(Part::Json),
            _ => None,
        },
        _ => None,
    };
    parsed.elements.iter().map(part).collect()
}

/// The segments of a plain name.
fn dotted(name: &Parameter) -> Option<Vec<String>> {
    match name {
        Parameter::Path(Path::Relative((segments, _))) => {
            segments.iter().map(|s| if let PathSeg::Named(name) = s { Some(name.clone()) } else { None }).collect()
        }
        Parameter::Name(name) => Some(vec![name.clone()]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The same name once alone, once where handlebars itself has to write it.
    #[test]
    fn json_written_without_handlebars_is_what_handlebars_writes() {
        let params: Params = [("id".to_owned(), "a \"b\"".to_owned()), ("mode.new".to_owned(), "true".to_owned())].into();
        let whole = json!({
            "call": {"id": "line\nbreak", "test": false, "round": null, "list": ["x", {"y": 1.5}]}, "entry": {"id": "é < & >"}, "steps": {"one": {"n": 7}}
        });
        let query = vec![("q".to_owned(), "1".to_owned()), ("q".to_owned(), "2".to_owned())];
        let scope = Scope { params: Some(&params), whole: Some(&whole), query: Some(&query), owner: Some("me"), ..Scope::default() };
        let names =
            ["call", "call.id", "call.test", "call.round", "call.list", "call.list.1.y", "entry.id", "steps.one.n", "param.id", "mode.new", "query.q", "owner"];
        for name in names {
            let compile = |source: &str| Template::compile(source, Escape::Json, &Shape::Open).unwrap();
            let (plain, full) = (compile(&format!("{{{{json {name}}}}}")), compile(&format!("{{{{#if true}}}}{{{{json {name}}}}}{{{{/if}}}}")));
            assert!(matches!(plain.program, Program::Plain(_)) && matches!(full.program, Program::Full(_)), "{name}");
            assert_eq!(plain.render(&scope).unwrap(), full.render(&scope).unwrap(), "{name}");
        }
    }
}
