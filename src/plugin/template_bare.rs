//! What stands outside quotes in a JSON template: a text there would be read as JSON, and so would what somebody typed into it.

use handlebars::template::{BlockParam, HelperTemplate, Parameter, Template as Parsed, TemplateElement};
use handlebars::{Path, PathSeg};

use super::template::Fault;
use super::template_depth::too_deep;

/// What comes from outside: from a CRM, a customer or a form.
const OUTSIDE: &[&str] = &[
    "record",
    "event",
    "customer",
    "lookup",
    "steps",
    "owner",
    "token",
    "item",
    "parent",
    "body",
    "query",
    "header",
    "captured",
    "subscription",
    "entry",
    "note",
];
/// What the phone reports in words of its own or a person's.
const REPORTED: &[&str] = &["notes", "sms_content", "sim", "call_status"];

/// Helpers whose result is JSON whatever they are given. `map` and `table` give words of the manifest.
const SAFE: &[&str] = &["json", "int", "number_id", "ms", "minutes", "epoch_ms", "epoch_s", "table", "map", "eq", "ne", "and", "or", "not"];

/// Every expression that writes something from outside where no quotes are.
pub fn bare(source: &str) -> Vec<Fault> {
    // What cannot be read is told elsewhere.
    let Some(Ok(parsed)) = too_deep(source).is_none().then(|| Parsed::compile(source)) else { return Vec::new() };
    let mut walk = Walk { faults: Vec::new(), line: 1, quoted: false, scopes: vec![false], blocks: Vec::new() };
    walk.template(&parsed);
    walk.faults
}

struct Walk {
    faults: Vec<Fault>,
    line: usize,
    /// Inside a JSON text.
    quoted: bool,
    /// Whether `this` comes from outside, outermost first; the outermost is the context itself.
    scopes: Vec<bool>,
    /// Block parameters in force that come from outside.
    blocks: Vec<String>,
}

impl Walk {
    fn template(&mut self, template: &Parsed) {
        for (index, element) in template.elements.iter().enumerate() {
            if let Some(mapping) = template.mapping.get(index) {
                self.line = mapping.0;
            }
            match element {
                TemplateElement::RawString(text) => self.text(text),
                TemplateElement::Expression(expression) if !self.quoted => self.expression(expression),
                TemplateElement::HelperBlock(block) => self.block(block),
                _ => {}
            }
        }
    }

    fn text(&mut self, text: &str) {
        let mut escaped = false;
        for letter in text.chars() {
            match letter {
                _ if escaped => escaped = false,
                '\\' if self.quoted => escaped = true,
                '"' => self.quoted = !self.quoted,
                _ => {}
            }
        }
    }

    fn expression(&mut self, expression: &HelperTemplate) {
        if expression.params.is_empty() {
            if self.is_outside(&expression.name) {
                let name = written(&expression.name);
                self.fault(format!(
                    "`{{{{{name}}}}}` stands outside quotes, where its text would be read as JSON: write `\"{{{{{name}}}}}\"`, `{{{{json {name}}}}}`, or for a number `{{{{json (int {name})}}}}`"
                ));
            }
            return;
        }
        let helper = written(&expression.name);
        let written_out = match helper.as_str() {
            // What is compared is not written.
            "map" => expression.params.iter().skip(2).step_by(2).any(|word| self.is_outside(word)),
            name if SAFE.contains(&name) => false,
            _ => expression.params.iter().any(|argument| self.is_outside(argument)),
        };
        if written_out {
            self.fault(format!(
                "`{{{{{helper} …}}}}` stands outside quotes, where its text would be read as JSON: write `{{{{json ({helper} …)}}}}`, or quotes around it"
            ));
        }
    }

    fn fault(&mut self, message: String) {
        self.faults.push(Fault { line: self.line, message });
    }

    /// Whether something from outside is in it, however deep.
    fn is_outside(&self, parameter: &Parameter) -> bool {
        match parameter {
            Parameter::Name(name) => self.reaches(&[PathSeg::Named(name.clone())]),
            Parameter::Path(Path::Relative((segments, _))) => self.reaches(segments),
            // `@key` of data that comes from outside.
            Parameter::Path(Path::Local(_)) => self.scopes.iter().any(|outside| *outside),
            Parameter::Subexpression(sub) => match sub.as_element() {
                TemplateElement::Expression(inner) => {
                    self.is_outside(&inner.name) && inner.params.is_empty() || inner.params.iter().any(|argument| self.is_outside(argument))
                }
                _ => false,
            },
            _ => false,
        }
    }

    fn reaches(&self, segments: &[PathSeg]) -> bool {
        let (mut up, mut at_root, mut path) = (0, false, Vec::new());
        for segment in segments {
            match segment {
                PathSeg::Named(name) => path.push(name.as_str()),
                // The rules of the grammar have no public names, as in `template_names`.
                PathSeg::Ruled(rule) => match format!("{rule:?}").as_str() {
                    "path_up" => up += 1,
                    "path_root" => at_root = true,
                    _ => {}
                },
                _ => {}
            }
        }
        let first = path.first().copied();
        let of = |name: Option<&str>, names: &[&str]| name.is_some_and(|name| names.contains(&name));
        let outside = of(first, OUTSIDE) || (first == Some("report") && of(path.get(1).copied(), REPORTED));
        let depth = self.scopes.len().saturating_sub(1 + up);
        match depth {
            _ if at_root => outside,
            _ if first.is_some_and(|first| self.blocks.iter().any(|block| block == first)) => true,
            0 => outside,
            depth => self.scopes.get(depth).copied().unwrap_or(false),
        }
    }

    fn block(&mut self, block: &HelperTemplate) {
        let outside = block.params.first().is_some_and(|of| self.is_outside(of));
        let enters = matches!(written(&block.name).as_str(), "with" | "each");
        let before = self.blocks.len();
        if enters {
            self.scopes.push(outside);
            self.blocks.extend(block_params(block).filter(|_| outside));
        }
        let begins = self.quoted;
        if let Some(template) = &block.template {
            self.template(template);
        }
        if enters {
            self.scopes.pop();
            self.blocks.truncate(before);
        }
        if let Some(template) = &block.inverse {
            let ends = std::mem::replace(&mut self.quoted, begins);
            self.template(template);
            self.quoted = ends;
        }
    }
}

fn block_params(block: &HelperTemplate) -> impl Iterator<Item = String> {
    let names = match &block.block_param {
        Some(BlockParam::Single(one)) => vec![one],
        Some(BlockParam::Pair((one, two))) => vec![one, two],
        _ => Vec::new(),
    };
    names.into_iter().map(written)
}

fn written(parameter: &Parameter) -> String {
    match parameter {
        Parameter::Name(name) => name.clone(),
        Parameter::Path(Path::Relative((_, raw)) | Path::Local((_, _, raw))) => raw.clone(),
        _ => "…".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(source: &str) -> Vec<String> {
        bare(source).into_iter().map(|fault| format!("{}: {}", fault.line, fault.message)).collect()
    }

    #[test]
    fn what_comes_from_outside_is_not_written_without_quotes() {
        let found = faults("{\n  \"ids\": [{{record.id}}],\n  \"a\": {{upper customer.name}}\n}");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("2: `{{record.id}}`") && found[0].contains("{{json (int record.id)}}"), "{found:?}");
        assert!(found[1].starts_with("3: ") && found[1].contains("{{json (upper …)}}"), "{found:?}");
        for source in [
            "[{{concat \"1\" (default owner 2)}}]",
            "[{{#if record.id}}\"\\\"\", {{else}}{{record.id}}{{/if}}]",
            "[{{#each lookup.a.list}}{{this}}{{/each}}]",
            "[{{#each lookup.a.list as |one|}}{{one.id}}{{/each}}]",
            "[{{#each call.list}}{{@root.steps.a.id}}{{/each}}]",
            "[{{map call.id \"*\" record.id}}]",
            "[{{report.notes}}]",
        ] {
            assert_eq!(faults(source).len(), 1, "{source}: {:?}", faults(source));
        }
    }

    #[test]
    fn quotes_safe_helpers_and_our_own_values_are_fine() {
        for source in [
            "{\"a\": \"x \\\" {{record.id}}\", \"b\": {{json (int record.id)}}, \"c\": {{int owner}}}",
            "{\"a\": {{json customer.name}}, \"b\": {{report.answer_seconds}}, \"c\": {{ms report.answer_seconds}}}",
            "{\"a\": {{map record.type \"lead\" \"1\" \"*\" \"2\"}}, \"b\": {{eq record.type \"lead\"}}}",
            "{\"a\": \"{{#if owner}}{{owner}}{{else}}{{customer.name}}{{/if}}\"}",
            "[{{#each call.list}}{{this}}{{/each}}]",
        ] {
            assert_eq!(faults(source), Vec::<String>::new(), "{source}");
        }
    }
}
