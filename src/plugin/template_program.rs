//! Templates of text, names, helpers and `if`, as nearly all of them are: filled in from borrowed data. Handlebars parses every template
//! and renders the others (`each`, `with`): it wants to own its data, which costs most of the time of a small text.

use std::borrow::Cow;

use handlebars::template::{HelperTemplate, Parameter, Template as Parsed, TemplateElement};
use handlebars::{JsonRender, JsonTruthy, Path, PathSeg};
use serde_json::Value as Json;

use super::helpers::{self, Call};
use super::tables::Tables;
use super::template::{Escape, RenderError};
use super::template_scope::Scope;

/// The parts of a template, in order.
#[derive(Debug, Clone, Default)]
pub struct Program(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Name(Vec<String>),
    /// What a helper gives, written as that helper writes.
    Helper {
        of: Argument,
        line: usize,
    },
    /// `if`, and `unless` as its opposite.
    If {
        of: Argument,
        line: usize,
        wanted: bool,
        then: Program,
        otherwise: Program,
    },
}

#[derive(Debug, Clone)]
enum Argument {
    Literal(Json),
    Name(Vec<String>),
    Call(Call, Vec<Argument>),
    /// The word that a word becomes in the table of this name.
    Table(String, Box<Argument>),
}

/// What one rendering fills in from.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    pub scope: &'a Scope<'a>,
    pub escape: Escape,
    pub tables: Option<&'a Tables>,
}

impl Program {
    /// `None`: it holds something that only handlebars renders.
    pub fn of(parsed: &Parsed, escape: Escape) -> Option<Program> {
        let line = |index: usize| parsed.mapping.get(index).map_or(1, |mapping| mapping.0);
        parsed.elements.iter().enumerate().map(|(index, element)| Part::of(element, escape, line(index))).collect::<Option<Vec<_>>>().map(Program)
    }

    /// The parameter that is all of it.
    pub fn only_param(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Part::Name(path)] => match path.as_slice() {
                [root, id] if root == "param" => Some(id),
                _ => None,
            },
            _ => None,
        }
    }

    pub fn render(&self, ground: Ground<'_>, out: &mut String) -> Result<(), RenderError> {
        for part in &self.0 {
            let failed = |line: usize| move |message| RenderError { line, message };
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Name(path) => match ground.scope.value(path).as_deref() {
                    None => {}
                    Some(Json::String(text)) => ground.escape.push(text, out),
                    Some(other) => ground.escape.push(&other.render(), out),
                },
                Part::Helper { of: Argument::Call(call, of), line } => {
                    let value = ground.call(*call, of).map_err(failed(*line))?;
                    out.push_str(&call.written(&value));
                }
                Part::Helper { of, line } => ground.escape.push(&ground.value(of).map_err(failed(*line))?.render(), out),
                Part::If { of, line, wanted, then, otherwise } => {
                    let holds = ground.value(of).map_err(failed(*line))?.is_truthy(false);
                    if holds == *wanted { then } else { otherwise }.render(ground, out)?;
                }
            }
        }
        Ok(())
    }
}

impl Ground<'_> {
    fn value<'a>(&'a self, argument: &'a Argument) -> Result<Cow<'a, Json>, String> {
        Ok(match argument {
            Argument::Literal(json) => Cow::Borrowed(json),
            Argument::Name(path) => self.scope.value(path).unwrap_or(Cow::Owned(Json::Null)),
            Argument::Call(call, of) => Cow::Owned(self.call(*call, of)?),
            Argument::Table(name, of) => {
                let word = self.value(of)?.render();
                Cow::Owned(self.tables.map_or(Json::Null, |tables| tables.find(name, &word, self.scope.params)))
            }
        })
    }

    fn call(&self, call: Call, of: &[Argument]) -> Result<Json, String> {
        let values = of.iter().map(|argument| self.value(argument)).collect::<Result<Vec<_>, _>>()?;
        call.value(&values.iter().map(AsRef::as_ref).collect::<Vec<&Json>>())
    }
}

impl Part {
    fn of(element: &TemplateElement, escape: Escape, line: usize) -> Option<Part> {
        match element {
            TemplateElement::RawString(text) => Some(Part::Text(text.clone())),
            TemplateElement::Comment(_) => Some(Part::Text(String::new())),
            TemplateElement::Expression(expression) if expression.params.is_empty() && expression.hash.is_empty() => {
                names(&expression.name).filter(|path| !is_helper(path)).map(Part::Name)
            }
            TemplateElement::Expression(expression) => Some(Part::Helper { of: called(expression, escape)?, line }),
            TemplateElement::HelperBlock(block) => Part::of_block(block, escape, line),
            _ => None,
        }
    }

    fn of_block(block: &HelperTemplate, escape: Escape, line: usize) -> Option<Part> {
        let wanted = match names(&block.name)?.as_slice() {
            [one] if one == "if" => true,
            [one] if one == "unless" => false,
            _ => return None,
        };
        let ([of], true, None) = (block.params.as_slice(), block.hash.is_empty(), &block.block_param) else { return None };
        let inner = |template: &Option<Parsed>| template.as_ref().map_or(Some(Program::default()), |parsed| Program::of(parsed, escape));
        Some(Part::If { of: argument(of, escape)?, line, wanted, then: inner(&block.template)?, otherwise: inner(&block.inverse)? })
    }
}

fn argument(parameter: &Parameter, escape: Escape) -> Option<Argument> {
    match parameter {
        Parameter::Literal(json) => Some(Argument::Literal(json.clone())),
        Parameter::Path(_) => names(parameter).map(Argument::Name),
        Parameter::Subexpression(inner) => match inner.as_element() {
            TemplateElement::Expression(expression) => called(expression, escape),
            _ => None,
        },
        _ => None,
    }
}

/// A helper with its arguments.
fn called(expression: &HelperTemplate, escape: Escape) -> Option<Argument> {
    let (path, true) = (names(&expression.name)?, expression.hash.is_empty()) else { return None };
    let [name] = path.as_slice() else { return None };
    if let ("table", [Parameter::Literal(Json::String(table)), of]) = (name.as_str(), expression.params.as_slice()) {
        return Some(Argument::Table(table.clone(), Box::new(argument(of, escape)?)));
    }
    let of = expression.params.iter().map(|parameter| argument(parameter, escape)).collect::<Option<Vec<_>>>()?;
    Some(Argument::Call(helpers::call(name, escape)?, of))
}

fn is_helper(path: &[String]) -> bool {
    matches!(path, [one] if helpers::is_helper(one))
}

/// The segments of a plain name.
fn names(name: &Parameter) -> Option<Vec<String>> {
    match name {
        Parameter::Path(Path::Relative((segments, _))) => {
            segments.iter().map(|s| if let PathSeg::Named(name) = s { Some(name.clone()) } else { None }).collect()
        }
        Parameter::Name(name) => Some(vec![name.clone()]),
        _ => None,
    }
}
