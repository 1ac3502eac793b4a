//! *Values* and *conditions*, compiled: where a piece of data is found, and when something holds.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::manifest::Op;
use super::modes::in_mode;
use super::path::{self, Path};
use super::template::{RenderError, Template};
use super::template_scope::Scope;

/// A compiled *value* of `docs/PLUGINS.md`.
#[derive(Debug, Clone)]
pub enum Value {
    Path(Path),
    Template(Box<Template>),
    /// A parameter's text; where the admin wrote a JSONPath, what it finds.
    Param(String),
    List(Vec<Value>),
    If(Box<Value>, Vec<Condition>),
}

/// Where values are looked for: the current document, the names of templates, the words that count as empty.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    pub document: &'a Json,
    pub scope: Scope<'a>,
    pub empty: &'a [String],
}

impl Source<'_> {
    /// Whether this counts as no value.
    pub fn is_empty(&self, value: &Json) -> bool {
        match value {
            Json::Null | Json::Bool(false) => true,
            Json::String(s) => s.trim().is_empty() || self.empty.iter().any(|word| word == s.trim()),
            Json::Array(list) => list.is_empty(),
            Json::Object(map) => map.is_empty(),
            _ => false,
        }
    }
}

impl Value {
    /// Whether it is looked for in the document, at least in part.
    pub fn looks_at_document(&self) -> bool {
        match self {
            Value::Path(_) => true,
            Value::List(list) => list.iter().any(Value::looks_at_document),
            Value::If(value, _) => value.looks_at_document(),
            Value::Template(_) | Value::Param(_) => false,
        }
    }

    /// Whether it ends in a `""`: then nothing at all is a value, too.
    pub fn may_be_empty(&self) -> bool {
        match self {
            Value::List(list) => list.last().is_some_and(Value::may_be_empty),
            Value::Template(template) => template.source().is_empty(),
            _ => false,
        }
    }

    /// The value as text, trimmed; `""` when it is empty.
    pub fn text(&self, source: &Source<'_>) -> Result<String, RenderError> {
        Ok(self.json(source)?.map(|json| text_of(&json)).unwrap_or_default())
    }

    /// The first non-empty value.
    pub fn json<'a>(&self, source: &Source<'a>) -> Result<Option<Cow<'a, Json>>, RenderError> {
        self.find(source, &|json| !source.is_empty(json))
    }

    /// The first value that is there: `false` is one, too.
    pub fn there<'a>(&self, source: &Source<'a>) -> Result<Option<Cow<'a, Json>>, RenderError> {
        self.find(source, &|json| matches!(json, Json::Bool(_)) || !source.is_empty(json))
    }

    /// The first value that is there at all: `false` is one.
    pub fn truth(&self, source: &Source<'_>) -> Result<Option<bool>, RenderError> {
        Ok(self.there(source)?.and_then(|json| match json.as_ref() {
            Json::Bool(b) => Some(*b),
            Json::Number(n) => Some(n.as_f64().is_some_and(|n| n != 0.0)),
            Json::String(s) => truth_word(s),
            _ => None,
        }))
    }

    fn find<'a>(&self, source: &Source<'a>, wanted: &dyn Fn(&Json) -> bool) -> Result<Option<Cow<'a, Json>>, RenderError> {
        match self {
            Value::Path(path) => Ok(path.find(source.document, wanted).map(Cow::Borrowed)),
            Value::Template(template) => {
                let text = Json::String(template.render(&source.scope)?.trim().to_owned());
                Ok(Some(text).filter(|text| wanted(text)).map(Cow::Owned))
            }
            Value::Param(id) => {
                let text = source.scope.text_of_param(id);
                if text.starts_with('$')
                    && let Some(found) = path::find_written(&text, source.document, wanted)
                {
                    return Ok(found.map(Cow::Borrowed));
                }
                Ok(Some(Json::String(text.trim().to_owned())).filter(|text| wanted(text)).map(Cow::Owned))
            }
            Value::List(list) => {
                for value in list {
                    if let Some(found) = value.find(source, wanted)? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            }
            Value::If(value, conditions) => {
                if all(conditions, source)? {
                    value.find(source, wanted)
                } else {
                    Ok(None)
                }
            }
        }
    }
}

/// JSON as the text people mean by it.
pub fn text_of(json: &Json) -> String {
    match json {
        Json::Null => String::new(),
        Json::String(s) => s.trim().to_owned(),
        other => other.to_string(),
    }
}

fn truth_word(word: &str) -> Option<bool> {
    match word.trim().to_lowercase().as_str() {
        "true" | "1" | "yes" | "y" | "on" | "có" | "đồng ý" => Some(true),
        "false" | "0" | "no" | "n" | "off" | "không" | "từ chối" => Some(false),
        _ => None,
    }
}

/// A compiled condition.
#[derive(Debug, Clone)]
pub enum Condition {
    Any(Vec<Condition>),
    /// One of these modes, as keys among the parameters.
    Mode(Vec<String>),
    Test {
        value: Value,
        op: Op,
        to: Option<Value>,
    },
}

/// Whether every condition holds.
pub fn all(conditions: &[Condition], source: &Source<'_>) -> Result<bool, RenderError> {
    for condition in conditions {
        if !condition.holds(source)? {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Condition {
    pub fn holds(&self, source: &Source<'_>) -> Result<bool, RenderError> {
        let (value, op, to) = match self {
            Condition::Any(any) => {
                for condition in any {
                    if condition.holds(source)? {
                        return Ok(true);
                    }
                }
                return Ok(false);
            }
            Condition::Mode(modes) => return Ok(source.scope.params.is_none_or(|params| in_mode(modes, params))),
            Condition::Test { value, op, to } => (value, *op, to.as_ref()),
        };
        match op {
            Op::Exists => return Ok(value.json(source)?.is_some()),
            Op::Missing => return Ok(value.json(source)?.is_none()),
            Op::In | Op::NotIn => {
                let text = compared(value, source)?;
                let found = words(to, source)?.contains(&text);
                return Ok(found == (op == Op::In));
            }
            _ => {}
        }
        let left = compared(value, source)?;
        let right = to.map_or_else(|| Ok(String::new()), |to| compared(to, source))?;
        Ok(match op {
            Op::Ne => left != right,
            Op::Contains => left.contains(&right),
            Op::NotContains => !left.contains(&right),
            Op::MatchesPrefix => left.starts_with(&right),
            Op::Gt => numbers(&left, &right).is_some_and(|(l, r)| l > r),
            Op::Lt => numbers(&left, &right).is_some_and(|(l, r)| l < r),
            _ => left == right,
        })
    }
}

/// The text a condition compares. `false` compares as the text `false`, not as nothing.
fn compared(value: &Value, source: &Source<'_>) -> Result<String, RenderError> {
    Ok(value.there(source)?.map(|json| text_of(&json)).unwrap_or_default())
}

/// The words of `to`: a list, or text with commas between the words (a parameter of type `list`).
fn words(to: Option<&Value>, source: &Source<'_>) -> Result<Vec<String>, RenderError> {
    match to {
        None => Ok(Vec::new()),
        Some(Value::List(list)) => list.iter().map(|value| compared(value, source)).collect(),
        Some(value) => Ok(compared(value, source)?.split([',', '\n']).map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()),
    }
}

fn numbers(left: &str, right: &str) -> Option<(f64, f64)> {
    Some((left.parse().ok()?, right.parse().ok()?))
}
