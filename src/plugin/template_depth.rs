//! How deep a template's blocks and brackets stand inside one another: told before it is read, for that takes ever longer.

use super::template::Fault;

/// Blocks inside one another.
const BLOCKS: usize = 64;
/// Helpers inside one another, in brackets: each takes longer to read than the one around it.
const BRACKETS: usize = 12;
/// `{{else if}}` of one block are blocks inside one another, too.
const BRANCHES: usize = 64;

/// A fault where something stands deeper than anybody writes it.
pub fn too_deep(source: &str) -> Option<Fault> {
    let (mut blocks, mut branches) = (0_usize, 0_usize);
    let mut at = 0;
    while let Some(open) = source.get(at..)?.find("{{").map(|found| at + found) {
        let inside = source.get(open + 2..)?;
        let end = if inside.starts_with("!--") { inside.find("--}}").map(|end| end + 2) } else { inside.find("}}") };
        let tag = inside.get(..end.unwrap_or(inside.len()))?;
        let tag = tag.trim_start_matches(['~', '{']);
        let message = match tag.as_bytes().first() {
            Some(b'!') => None,
            Some(b'#' | b'^') => {
                blocks += 1;
                (blocks > BLOCKS).then(|| format!("more than {BLOCKS} blocks stand inside one another"))
            }
            Some(b'/') => {
                (blocks, branches) = (blocks.saturating_sub(1), 0);
                None
            }
            _ if tag.trim_start().starts_with("else ") => {
                branches += 1;
                (branches > BRANCHES).then(|| format!("more than {BRANCHES} `else if` stand in a row: use a table"))
            }
            _ => None,
        };
        let message = message.or_else(|| (brackets(tag) > BRACKETS).then(|| format!("more than {BRACKETS} brackets stand inside one another")));
        if let Some(message) = message {
            return Some(Fault { line: source.get(..open)?.matches('\n').count() + 1, message });
        }
        at = open + 2 + end.unwrap_or(inside.len());
    }
    None
}

/// Those in quotes left out.
fn brackets(tag: &str) -> usize {
    let (mut depth, mut most, mut quote) = (0_usize, 0, None);
    for c in tag.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
        most = most.max(depth);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::super::names::Shape;
    use super::super::template::{Escape, Template};
    use super::*;

    #[test]
    fn what_stands_too_deep_is_refused_before_it_is_read() {
        let refused = |source: &str| Template::compile(source, Escape::Text, &Shape::Open).unwrap_err().remove(0);
        for (source, said) in [
            (format!("a\n{}x{}", "{{#if a}}".repeat(5_000), "{{/if}}".repeat(5_000)), "blocks"),
            (format!("a\n{}", "{{~#if a}}".repeat(5_000)), "blocks"),
            (format!("a\n{{{{#if a}}}}{}{{{{/if}}}}", "{{else if b}}".repeat(5_000)), "else if"),
            (format!("a\n{{{{upper {}a{}}}}}", "(upper ".repeat(5_000), ")".repeat(5_000)), "brackets"),
            (format!("a\n{{{{upper {}", "(upper ".repeat(5_000)), "brackets"),
        ] {
            let fault = refused(&source);
            assert!(fault.line == 2 && fault.message.contains(said), "{fault:?}");
        }
    }

    #[test]
    fn what_people_write_is_read() {
        let deep = |n: usize| format!("{}x{}", "{{#if a}}".repeat(n), "{{/if}}".repeat(n));
        for source in [
            deep(20),
            "{{#if a}}x{{/if}}\n".repeat(200),
            "{{upper (upper (upper (upper \"((((((((((((((((((((\")))}}".to_owned(),
            format!("{{{{!-- {} --}}}}x", "{{#if a}}".repeat(100)),
        ] {
            assert_eq!(too_deep(&source), None);
        }
        assert!(Template::compile(&deep(BLOCKS), Escape::Text, &Shape::Open).is_ok());
        let most = format!("{{{{upper {}a{}}}}}", "(upper ".repeat(BRACKETS), ")".repeat(BRACKETS));
        assert!(Template::compile(&most, Escape::Text, &Shape::Open).is_ok());
        let branches = format!("{{{{#if a}}}}{}{{{{/if}}}}", "{{else if b}}".repeat(BRANCHES));
        assert!(Template::compile(&branches, Escape::Text, &Shape::Open).is_ok());
    }
}
