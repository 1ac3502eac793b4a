//! Handlebars templates, compiled once: names are checked in every branch when the plugin is loaded, data is never evaluated.
//!
//! Most need nothing that only handlebars can do; those are filled in from borrowed data, see `template_program.rs`.

use std::collections::BTreeSet;
use std::sync::Arc;

use handlebars::template::Template as Parsed;
use handlebars::{Context, RenderContext, Renderable, StringOutput};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;

use super::Params;
use super::helpers;
use super::names::Shape;
use super::tables::Tables;
use super::template_depth::too_deep;
use super::template_names::Walk;
use super::template_program::{Ground, Program};
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
        let mut out = String::with_capacity(text.len());
        self.push(text, &mut out);
        out
    }

    /// Writes it behind what is there.
    pub fn push(self, text: &str, out: &mut String) {
        match self {
            Escape::Text => out.push_str(text),
            Escape::Html => out.push_str(&handlebars::html_escape(text)),
            Escape::Url => out.extend(utf8_percent_encode(text, COMPONENT)),
            Escape::Json if !text.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) => out.push_str(text),
            Escape::Json => {
                let quoted = Json::from(text).to_string();
                out.push_str(&quoted[1..quoted.len() - 1]);
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
    text: Text,
    reads: Reads,
    /// The parameters it uses.
    params: BTreeSet<String>,
    /// The names of the tables it uses, and where they are.
    tables: BTreeSet<String>,
    /// The tokens it uses.
    tokens: BTreeSet<String>,
    words: Option<Arc<Tables>>,
    #[cfg(test)]
    parsed: Arc<Parsed>,
}

#[derive(Debug, Clone)]
enum Text {
    Own(Program),
    /// Rendered by handlebars.
    Full(Box<Parsed>),
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
        #[cfg(test)]
        let kept = Arc::new(parsed.clone());
        let text = Program::of(&parsed, escape).map_or_else(|| Text::Full(Box::new(parsed)), Text::Own);
        Ok(Template {
            source: source.to_owned(),
            escape,
            text,
            reads,
            params,
            tables,
            tokens,
            words: None,
            #[cfg(test)]
            parsed: kept,
        })
    }

    /// The template of no text at all.
    pub fn nothing() -> Template {
        Template {
            source: String::new(),
            escape: Escape::Text,
            text: Text::Own(Program::default()),
            reads: Reads::default(),
            params: BTreeSet::new(),
            tables: BTreeSet::new(),
            tokens: BTreeSet::new(),
            words: None,
            #[cfg(test)]
            parsed: Arc::default(),
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
        match &self.text {
            Text::Own(program) => program.only_param(),
            Text::Full(_) => None,
        }
    }

    /// Fills the template in, once: what stands in the data is never read as a template.
    pub fn render(&self, scope: &Scope<'_>) -> Result<String, RenderError> {
        match &self.text {
            Text::Own(program) => {
                let mut out = String::with_capacity(self.source.len());
                let rendered = program.render(Ground { scope, escape: self.escape, tables: self.words.as_deref() }, &mut out).map(|()| out);
                #[cfg(test)]
                tests::as_handlebars_writes(self, scope, &rendered);
                rendered
            }
            Text::Full(parsed) => self.render_full(parsed, scope.owned(&self.reads), scope.params),
        }
    }

    /// Renders from one object.
    pub fn render_data(&self, data: &Json) -> Result<String, RenderError> {
        self.render(&Scope { whole: Some(data), ..Scope::default() })
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

#[cfg(test)]
pub mod tests {
    use std::cell::Cell;

    use super::*;
    use serde_json::json;

    thread_local! {
        static COMPARED: Cell<bool> = const { Cell::new(false) };
    }

    /// From here on this test has every text rendered by handlebars as well: both must write the same.
    pub fn compare() {
        COMPARED.set(true);
    }

    pub(super) fn as_handlebars_writes(template: &Template, scope: &Scope<'_>, rendered: &Result<String, RenderError>) {
        if !COMPARED.get() {
            return;
        }
        let full = template.render_full(&template.parsed, scope.owned(&template.reads), scope.params);
        // Where a list stands instead of an object handlebars gives up; here its members are nothing, as those of a text are.
        if full.as_ref().is_err_and(|error| error.message.contains("can only be accessed")) {
            return;
        }
        assert_eq!(*rendered, full, "{}", template.source);
    }

    #[test]
    fn what_is_written_without_handlebars_is_what_handlebars_writes() {
        compare();
        let params: Params = [("id".to_owned(), "a \"b\"".to_owned()), ("mode.new".to_owned(), "true".to_owned()), ("none".to_owned(), String::new())].into();
        let whole = json!({
            "call": {"id": "line\nbreak", "test": false, "round": null, "list": ["x", {"y": 1.5}], "zero": 0, "empty": [], "n": "12"},
            "entry": {"id": "é < & >"}, "steps": {"one": {"n": 7}}
        });
        let query = vec![("q".to_owned(), "1".to_owned()), ("q".to_owned(), "2".to_owned())];
        let record = crate::domain::record::RecordRef { kind: "lead".into(), id: "7&8".into() };
        let lookups = json!({"one": {"rows": [{"id": 3}]}}).as_object().unwrap().clone();
        let scope = Scope {
            params: Some(&params),
            whole: Some(&whole),
            query: Some(&query),
            record: Some(&record),
            lookups: Some(&lookups),
            owner: Some("me"),
            ..Scope::default()
        };
        let names = [
            "call",
            "call.id",
            "call.test",
            "call.round",
            "call.list",
            "call.list.1.y",
            "call.zero",
            "call.empty",
            "call.none.x",
            "entry.id",
            "steps.one.n",
            "param.id",
            "param.none",
            "param.unknown",
            "mode.new",
            "mode.old",
            "query.q",
            "query.none",
            "record.id",
            "record.type",
            "owner",
            "lookup.one.rows.0.id",
            "lookup.two.x",
            "lookup.one",
        ];
        let forms = [
            "{{X}}",
            "{{json X}}",
            "{{#if X}}\n a {{X}}\n{{else}}\n b\n{{/if}}\n",
            "{{#unless X}}none{{else}}{{upper X}}{{/unless}}",
            "{{#if (eq X \"me\")}}1{{else if (or X mode.new)}}2{{else}}3{{/if}}",
            "{{default X \"<none>\"}} {{pick X call.id}} {{concat X \"&\" 5}}",
            "{{ms X}}",
            "{{int X}}",
            "{{! nothing }}\n\n{{url X}} {{truncate X 3}} {{map X \"me\" \"you\" \"*\" \"<they>\"}}\n{{iso X}}",
        ];
        for escape in [Escape::Text, Escape::Json, Escape::Html, Escape::Url] {
            for source in forms.iter().flat_map(|form| names.iter().map(|name| form.replace('X', name))) {
                let template = Template::compile(&source, escape, &Shape::Open).unwrap();
                assert!(matches!(template.text, Text::Own(_)), "{source}");
                let _compared = template.render(&scope);
            }
        }
        let each = Template::compile("{{#each call.list}}{{this}}{{/each}}", Escape::Text, &Shape::Open).unwrap();
        assert!(matches!(each.text, Text::Full(_)));
    }
}
