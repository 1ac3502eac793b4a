//! Which names a template uses, and which of them do not exist: every branch of the parsed template is walked.

use std::collections::BTreeSet;

use handlebars::template::{BlockParam, HelperTemplate, Parameter, Template as Parsed, TemplateElement};
use handlebars::{Path, PathSeg};
use serde_json::Value as Json;

use super::helpers;
use super::names::Shape;
use super::problem::did_you_mean;
use super::template::Fault;
use super::template_reads::Reads;

/// Walks a parsed template and collects faults and names.
pub struct Walk<'a> {
    pub faults: Vec<Fault>,
    pub reads: Reads,
    pub params: BTreeSet<String>,
    pub tables: BTreeSet<String>,
    pub tokens: BTreeSet<String>,
    /// What `this` is, outermost first.
    scopes: Vec<&'a Shape>,
    /// Names of block parameters in force.
    blocks: Vec<String>,
    line: usize,
    root: &'a Shape,
}

impl<'a> Walk<'a> {
    /// Walks a whole template.
    pub fn over(parsed: &Parsed, names: &'a Shape) -> Walk<'a> {
        let mut walk = Walk {
            faults: Vec::new(),
            reads: Reads::default(),
            params: BTreeSet::new(),
            tables: BTreeSet::new(),
            tokens: BTreeSet::new(),
            scopes: vec![names],
            blocks: Vec::new(),
            line: 1,
            root: names,
        };
        walk.template(parsed);
        walk
    }

    fn fault(&mut self, message: String) {
        self.faults.push(Fault { line: self.line, message });
    }

    fn template(&mut self, template: &Parsed) {
        for (index, element) in template.elements.iter().enumerate() {
            if let Some(mapping) = template.mapping.get(index) {
                self.line = mapping.0;
            }
            self.element(element);
        }
    }

    fn element(&mut self, element: &TemplateElement) {
        match element {
            TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
            TemplateElement::Expression(expression) => self.expression(expression),
            TemplateElement::HtmlExpression(_) => {
                self.fault("`{{{…}}}` and `{{& …}}` switch escaping off and are not allowed; use `{{json …}}` in JSON".to_owned())
            }
            TemplateElement::HelperBlock(block) => self.block(block),
            _ => self.fault("partials and decorators are not part of this format".to_owned()),
        }
    }

    fn expression(&mut self, expression: &HelperTemplate) {
        let bare = expression.params.is_empty() && expression.hash.is_empty();
        match &expression.name {
            Parameter::Path(_) | Parameter::Name(_) if !bare => self.helper(expression),
            Parameter::Name(name) if helpers::is_helper(name) => self.fault(format!("the helper `{name}` needs an argument")),
            Parameter::Path(Path::Relative((segments, raw))) if segments.len() == 1 && helpers::is_helper(raw) => {
                self.fault(format!("the helper `{raw}` needs an argument"))
            }
            name => {
                let name = name.clone();
                self.parameter(&name);
            }
        }
    }

    fn helper(&mut self, expression: &HelperTemplate) {
        let name = name_of(&expression.name);
        if !helpers::is_helper(&name) {
            self.fault(format!("there is no helper `{name}`{}", did_you_mean(&name, helpers::NAMES.iter().copied())));
        } else if let Some(fault) = helpers::wrong_count(&name, expression.params.len()) {
            self.fault(fault);
        } else if name == "table" {
            match expression.params.first() {
                Some(Parameter::Literal(Json::String(table))) => {
                    self.tables.insert(table.clone());
                }
                _ => self.fault("`table` takes the name of a table in quotes first".to_owned()),
            }
        }
        self.arguments(expression);
    }

    fn arguments(&mut self, expression: &HelperTemplate) {
        for parameter in expression.params.iter().chain(expression.hash.values()) {
            self.parameter(parameter);
        }
    }

    fn parameter(&mut self, parameter: &Parameter) {
        match parameter {
            Parameter::Literal(_) => {}
            Parameter::Name(name) => self.path(&[PathSeg::Named(name.clone())]),
            Parameter::Path(Path::Relative((segments, _))) => self.path(segments),
            Parameter::Path(Path::Local((_, name, _))) => {
                if !matches!(name.as_str(), "index" | "key" | "first" | "last") || self.scopes.len() < 2 {
                    self.fault(format!("`@{name}` is not known here"));
                }
            }
            Parameter::Subexpression(sub) => match sub.as_element() {
                TemplateElement::Expression(inner) if inner.params.is_empty() && inner.hash.is_empty() => self.expression(inner),
                TemplateElement::Expression(inner) => self.helper(inner),
                _ => self.fault("this expression is not understood".to_owned()),
            },
            _ => self.fault("this expression is not understood".to_owned()),
        }
    }

    /// Checks a name; gives what stands there.
    fn path(&mut self, segments: &[PathSeg]) {
        self.shape(segments);
    }

    fn shape(&mut self, segments: &[PathSeg]) -> Option<&'a Shape> {
        let (mut up, mut at_root, mut names) = (0, false, Vec::new());
        for segment in segments {
            match segment {
                PathSeg::Named(name) => names.push(name.as_str()),
                // The rules of the grammar have no public names; their debug texts are those of the grammar file.
                PathSeg::Ruled(rule) => match format!("{rule:?}").as_str() {
                    "path_up" => up += 1,
                    "path_root" => at_root = true,
                    _ => {}
                },
                _ => {}
            }
        }
        if up == 0 && !at_root && names.first().is_some_and(|name| self.blocks.iter().any(|block| block == name)) {
            return Some(&Shape::Open);
        }
        let names = if names.first() == Some(&"this") { names.split_off(1) } else { names };
        let depth = self.scopes.len().saturating_sub(1).checked_sub(up);
        let start = if at_root { Some(self.root) } else { depth.and_then(|depth| self.scopes.get(depth).copied()) };
        let Some(mut shape) = start else {
            self.fault("`../` leads out of the template".to_owned());
            return None;
        };
        if at_root || depth == Some(0) {
            self.use_names(&names);
        } else if let Some(first) = names.first().filter(|first| matches!(shape, Shape::Open) && self.root.child(first).is_some()) {
            let whole = names.join(".");
            self.fault(format!("`{first}` is not inside this block; write `@root.{whole}`"));
            return None;
        }
        for (index, name) in names.iter().enumerate() {
            match shape.child(name) {
                Some(child) => shape = child,
                None => {
                    let whole = names.get(..=index).unwrap_or_default().join(".");
                    let hint = did_you_mean(name, shape.children());
                    self.fault(format!("there is no name `{whole}` here{hint}"));
                    return None;
                }
            }
        }
        Some(shape)
    }

    fn use_names(&mut self, names: &[&str]) {
        match names {
            ["param"] => self.fault("`param` is used whole; name the parameter".to_owned()),
            ["param", id, ..] => drop(self.params.insert((*id).to_owned())),
            ["token", id, ..] => drop(self.tokens.insert((*id).to_owned())),
            [] if self.scopes.len() < 2 => self.fault("`this` is the whole context; name what is meant".to_owned()),
            _ => {}
        }
        self.reads.add(names);
    }

    fn block(&mut self, block: &HelperTemplate) {
        let name = name_of(&block.name);
        if !helpers::BLOCKS.contains(&name.as_str()) {
            self.fault(format!("there is no block `{name}`{}", did_you_mean(&name, helpers::BLOCKS.iter().copied())));
        }
        self.arguments(block);
        let inner = match (name.as_str(), block.params.first()) {
            ("with", Some(Parameter::Path(Path::Relative((segments, _))))) => {
                let before = self.faults.len();
                let shape = self.shape(segments);
                self.faults.truncate(before);
                Some(shape.unwrap_or(&Shape::Open))
            }
            ("with" | "each", _) => Some(&Shape::Open),
            _ => None,
        };
        let blocks = self.blocks.len();
        self.blocks.extend(block_params(block));
        if let Some(shape) = inner {
            self.scopes.push(shape);
        }
        if let Some(template) = &block.template {
            self.template(template);
        }
        if inner.is_some() {
            self.scopes.pop();
        }
        self.blocks.truncate(blocks);
        if let Some(template) = &block.inverse {
            self.template(template);
        }
    }
}

fn block_params(block: &HelperTemplate) -> Vec<String> {
    match &block.block_param {
        Some(BlockParam::Single(one)) => vec![name_of(one)],
        Some(BlockParam::Pair((one, two))) => vec![name_of(one), name_of(two)],
        _ => Vec::new(),
    }
}

fn name_of(parameter: &Parameter) -> String {
    match parameter {
        Parameter::Name(name) => name.clone(),
        Parameter::Path(Path::Relative((_, raw)) | Path::Local((_, _, raw))) => raw.clone(),
        _ => String::new(),
    }
}
