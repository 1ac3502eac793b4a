//! JSONPath. Nearly all that plugins write is plain (`$.a.b[0]`, `$.list[?@.key == 'phone'].value`, `$.list[*].id`): that is followed
//! without making a list of nodes.

use serde_json::Value as Json;
use serde_json_path::JsonPath;

use super::names::Shape;
use super::problem::did_you_mean;

/// Brackets inside one another: the library takes twice as long for each.
const DEEPEST: usize = 8;

/// A text that is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("more than {DEEPEST} brackets stand inside one another")]
    TooDeep,
    #[error("{0}")]
    NotOne(String),
}

/// Reads a path; everybody who reads one does so here.
pub fn parse(text: &str) -> Result<JsonPath, PathError> {
    if deepest(text) > DEEPEST {
        return Err(PathError::TooDeep);
    }
    JsonPath::parse(text).map_err(|error| PathError::NotOne(error.message().to_owned()))
}

/// How many brackets of a path stand inside one another, those in quotes left out.
fn deepest(text: &str) -> usize {
    let (mut depth, mut most, mut quote, mut escaped) = (0_usize, 0, None, false);
    for c in text.chars() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[' | '(') => depth += 1,
            (None, ']' | ')') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
        most = most.max(depth);
    }
    most
}

/// A compiled path.
#[derive(Debug, Clone)]
pub struct Path {
    /// What a plain one is.
    steps: Option<Vec<Step>>,
    query: Box<JsonPath>,
}

/// One step of a plain path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(usize),
    /// `[*]`
    Each,
    /// `[?@.a.b == 'text']`: those under which there is this value.
    Where(Vec<String>, Json),
}

impl Path {
    pub fn parse(text: &str) -> Result<Self, PathError> {
        Ok(Self { query: Box::new(parse(text)?), steps: plain(text) })
    }

    /// Why it can find nothing in a document of this shape; `None` where it may, or where nobody can tell.
    pub fn unknown_in(&self, document: &Shape) -> Option<String> {
        let mut shape = document;
        for step in self.steps.as_ref()? {
            let Step::Name(name) = step else { return None };
            match shape.child(name) {
                Some(child) => shape = child,
                None if shape.children().next().is_some() => {
                    return Some(format!("there is no `{name}` here{}", did_you_mean(name, shape.children())));
                }
                None => return Some(format!("there is nothing here for `{name}` to be found in")),
            }
        }
        None
    }

    /// The library's form of it.
    pub fn query(&self) -> &JsonPath {
        &self.query
    }

    /// The first node that is wanted.
    pub fn find<'a>(&self, json: &'a Json, wanted: &dyn Fn(&Json) -> bool) -> Option<&'a Json> {
        match &self.steps {
            Some(steps) => follow(steps, json, wanted),
            None => first(&self.query, json, wanted),
        }
    }
}

/// The first wanted node of a path that an admin wrote; nothing where it is none.
pub fn find_written<'a>(text: &str, json: &'a Json, wanted: &dyn Fn(&Json) -> bool) -> Option<Option<&'a Json>> {
    match plain(text) {
        Some(steps) => Some(follow(&steps, json, wanted)),
        None => parse(text).ok().map(|path| first(&path, json, wanted)),
    }
}

/// The first wanted node, in the order of the document.
fn follow<'a>(steps: &[Step], json: &'a Json, wanted: &dyn Fn(&Json) -> bool) -> Option<&'a Json> {
    let Some((step, rest)) = steps.split_first() else { return Some(json).filter(|node| wanted(node)) };
    match (step, json) {
        (Step::Name(_) | Step::Index(_), _) => follow(rest, step.of(json)?, wanted),
        (_, Json::Array(list)) => list.iter().filter(|child| step.takes(child)).find_map(|child| follow(rest, child, wanted)),
        (_, Json::Object(map)) => map.values().filter(|child| step.takes(child)).find_map(|child| follow(rest, child, wanted)),
        _ => None,
    }
}

fn first<'a>(path: &JsonPath, json: &'a Json, wanted: &dyn Fn(&Json) -> bool) -> Option<&'a Json> {
    path.query(json).all().into_iter().find(|node| wanted(node))
}

impl Step {
    fn of<'a>(&self, json: &'a Json) -> Option<&'a Json> {
        match (self, json) {
            (Step::Name(name), Json::Object(map)) => map.get(name),
            (Step::Index(at), Json::Array(list)) => list.get(*at),
            _ => None,
        }
    }

    /// Whether it goes on to this child.
    fn takes(&self, child: &Json) -> bool {
        match self {
            Step::Where(names, value) => names.iter().try_fold(child, |json, name| json.as_object()?.get(name)) == Some(value),
            _ => true,
        }
    }
}

/// The steps of `$`, `.name`, `['name']`, `["name"]`, `[0]`, `[*]` and `[?@.name == 'text']`; anything else is for the library.
fn plain(text: &str) -> Option<Vec<Step>> {
    let mut rest = text.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = if rest.starts_with('.') {
            let (name, after) = dotted(rest)?;
            (Step::Name(name.to_owned()), after)
        } else {
            let (inside, after) = rest.strip_prefix('[')?.split_once(']')?;
            (bracketed(inside)?, after)
        };
        steps.push(step);
        rest = after;
    }
    Some(steps)
}

/// `.name`, and what follows it.
fn dotted(text: &str) -> Option<(&str, &str)> {
    let name = text.strip_prefix('.')?;
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_').then(|| name.split_at(end))
}

/// A text in quotes that means what stands in it.
fn quoted(text: &str) -> Option<&str> {
    let inside = ['\'', '"'].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))?;
    (!inside.chars().any(|c| matches!(c, '\\' | '\'' | '"') || c.is_control())).then_some(inside)
}

/// `?@.a.b == 'text'`, or `true` or `false` on the right.
fn filter(inside: &str) -> Option<Step> {
    let (left, right) = inside.strip_prefix("?@")?.split_once(" == ")?;
    let (mut names, mut rest) = (Vec::new(), left);
    while !rest.is_empty() {
        let (name, after) = dotted(rest)?;
        names.push(name.to_owned());
        rest = after;
    }
    let value = match right {
        "true" => true.into(),
        "false" => false.into(),
        text => quoted(text)?.into(),
    };
    Some(Step::Where(names, value))
}

fn bracketed(inside: &str) -> Option<Step> {
    match quoted(inside) {
        Some(name) => Some(Step::Name(name.to_owned())),
        None if inside == "*" => Some(Step::Each),
        None if inside.starts_with('?') => filter(inside),
        None if inside == "0" || (inside.bytes().all(|b| b.is_ascii_digit()) && inside.len() <= 9 && !inside.starts_with('0')) => {
            inside.parse().ok().map(Step::Index)
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_paths_are_known_and_others_left_to_the_library() {
        for text in
            ["$", "$.a", "$.a_1.b", "$['a b'][\"c.d\"]", "$.list[0][12]", "$._x", "$.a[*].b", "$.a[?@.b.c == 'x y'].d", "$[?@ == \"x\"]", "$[?@.a == true]"]
        {
            assert!(Path::parse(text).is_ok_and(|path| path.steps.is_some()), "{text}");
        }
        let filters =
            ["$[?@.a == 1]", "$[?@.a == 'x' && @.b == 'y']", "$[?@.a=='x']", "$[?@['a'] == 'x']", "$[?@.a != 'x']", "$[?@.a == null]", "$[?@.a == @.b]"];
        for text in filters {
            assert!(Path::parse(text).is_ok_and(|path| path.steps.is_none()), "{text}");
        }
        for text in ["$..a", "$.a[-1]", "$.a[?@.b]", "$.é", "$['a','b']", "$['it\\'s']", "$[1:2]", "$[ 0 ]", "$.*"] {
            assert!(Path::parse(text).is_ok_and(|path| path.steps.is_none()), "{text}");
        }
        for text in ["", "a", "$.", "$.1a", "$[01]", "$[", "$.a b", "$['a'", "$[]"] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn brackets_inside_one_another_are_counted_before_they_are_read() {
        let nested = |open: &str, deep: usize, close: &str| format!("$[?@.a{}{}]", open.repeat(deep), close.repeat(deep));
        assert!(parse(&nested("[?@.a", 3, "]")).is_ok());
        for text in [nested("[?@.a", 5_000, "]"), format!("$[?{}@.a{}]", "(".repeat(5_000), ")".repeat(5_000)), nested("[?@.a", 5_000, "")] {
            assert_eq!(parse(&text).unwrap_err(), PathError::TooDeep);
            assert_eq!(find_written(&text, &json!({}), &|_| true), None);
        }
        assert!(parse(&format!("$['{}']", "[".repeat(100))).is_ok(), "a name");
        assert!(parse(&format!("$[?@.a == '\\'{}']", "(".repeat(100))).is_ok(), "a text with a quote in it");
        // As deep as it may be, and wrong at the end.
        let worst = format!("$[?{}@.a[?@.b{}", "(!(".repeat(2), "[?@.c".repeat(2));
        assert!(matches!(parse(&worst), Err(PathError::NotOne(_))));
    }

    proptest! {
        /// What we call plain the library reads as well, and finds the same.
        #[test]
        fn a_plain_path_finds_what_the_library_finds(text in r#"\$(\.[ab1_]{1,2}|\[[0-3]\]|\['[ab.' ]{1,2}'\]|\["b"\]|\[\*\]|\[\?@(\.[ab]){0,2} == ('x'|"c"|true)\]){0,4}"#) {
            let documents = [
                json!({"a": {"b": [1, {"a": null}, [2]], "a1": "x"}, "b": [[{"b": 5}], "c"], "a.": 7, "_": {"a": 1}}),
                json!([[{"a": 1, "b": {"b": 2}}], {"a b": 3}, "x"]),
                json!({"a": [{"a": "x", "b": 1}, {"a": true, "b": {"a": "x"}}, {"b": {"b": "c"}, "a": "x"}, "x", true], "b": {"a": {"a": "x"}, "b": "c"}}),
            ];
            if let Some(steps) = plain(&text) {
                let path = JsonPath::parse(&text).unwrap();
                for document in &documents {
                    prop_assert_eq!(follow(&steps, document, &|_| true), path.query(document).first());
                    let texts = |node: &Json| node.is_string();
                    prop_assert_eq!(follow(&steps, document, &texts), first(&path, document, &texts));
                }
            }
        }
    }
}
