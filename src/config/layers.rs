//! One layer of settings: a TOML text or the environment, as values that know where they stand.

use std::collections::HashMap;
use std::path::Path;

use config::{Map, Value, ValueKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;

/// What [`Layer::origin`] says of the compiled-in defaults.
pub(super) const BUILT_IN: &str = "built in";

/// Lists whose entries merge across files, and the key that names an entry. `*` is any entry of the list before it.
const KEYED: [(&str, &str); 7] = [
    ("lines", "id"),
    ("connections", "id"),
    ("workspaces", "id"),
    ("api_keys", "name"),
    ("gateway_keys", "name"),
    ("alerts", "name"),
    ("connections.*.hooks", "name"),
];

/// A layer for the `config` crate.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    table: Map<String, Value>,
}

impl config::Source for Layer {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }
    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.table.clone())
    }
}

/// Reads a TOML text; `name` is how errors call it.
pub(super) fn from_toml(name: &str, text: &str, problems: &mut Vec<Problem>) -> Layer {
    let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
    let mut reader = TomlReader { name, line_ends, problems };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let origin = error.span().map(|span| reader.origin(span.start));
        reader.problems.push(Problem::new(origin.as_deref().or(Some(name)), "", error.message()));
    }
    if !errors.is_empty() {
        return Layer { table: Map::new() };
    }
    Layer { table: reader.table(table.get_ref(), "", "") }
}

struct TomlReader<'a> {
    name: &'a str,
    /// Where each line ends: every value is asked for its line, and there may be thousands.
    line_ends: Vec<usize>,
    problems: &'a mut Vec<Problem>,
}

impl TomlReader<'_> {
    fn origin(&self, offset: usize) -> String {
        if self.name == BUILT_IN {
            return BUILT_IN.to_owned();
        }
        format!("{}:{}", self.name, self.line_ends.partition_point(|end| *end < offset) + 1)
    }

    /// `path` with ids as they are, `shape` with `*` instead.
    fn table(&mut self, table: &DeTable<'_>, path: &str, shape: &str) -> Map<String, Value> {
        table
            .iter()
            .map(|(key, value)| {
                let name = key.get_ref().as_ref();
                let value = self.value(value, key.span().start, &join(path, name), &join(shape, name));
                (name.to_owned(), value)
            })
            .collect()
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, at: usize, path: &str, shape: &str) -> Value {
        let origin = self.origin(at);
        let keyed = KEYED.iter().find(|(list, _)| *list == shape).map(|(_, key)| *key);
        let kind = match (value.get_ref(), keyed) {
            (DeValue::Array(items), Some(key)) => ValueKind::Table(self.keyed(items.iter(), key, path, shape)),
            (_, Some(_)) => {
                self.problems.push(Problem::new(Some(&origin), path, format!("this is a list of tables; write [[{path}]]")));
                ValueKind::Table(Map::new())
            }
            (DeValue::Array(items), None) => {
                ValueKind::Array(items.iter().enumerate().map(|(i, item)| self.value(item, item.span().start, &join(path, &i.to_string()), shape)).collect())
            }
            (DeValue::Table(table), None) => ValueKind::Table(self.table(table, path, shape)),
            (DeValue::String(text), None) => ValueKind::String(text.as_ref().to_owned()),
            (DeValue::Boolean(value), None) => ValueKind::Boolean(*value),
            (DeValue::Integer(number), None) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => ValueKind::I64(number),
                Err(_) => ValueKind::String(number.as_str().to_owned()),
            },
            (DeValue::Float(number), None) => match number.as_str().parse() {
                Ok(number) => ValueKind::Float(number),
                Err(_) => ValueKind::String(number.as_str().to_owned()),
            },
            (DeValue::Datetime(moment), None) => ValueKind::String(moment.to_string()),
        };
        Value::new(Some(&origin), kind)
    }

    /// A list of tables as a table by `key`, so that entries of several files merge.
    fn keyed<'t>(&mut self, items: impl Iterator<Item = &'t Spanned<DeValue<'t>>>, key: &str, path: &str, shape: &str) -> Map<String, Value> {
        let mut entries = Map::new();
        let mut seen: HashMap<String, String> = HashMap::new();
        for item in items {
            let origin = self.origin(item.span().start);
            let id = item.get_ref().get(key).and_then(|id| id.get_ref().as_str());
            let (Some(table), Some(id)) = (item.get_ref().as_table(), id) else {
                self.problems.push(Problem::new(Some(&origin), path, format!("an entry of this list needs `{key} = \"…\"`")));
                continue;
            };
            if let Some(first) = seen.insert(id.to_owned(), origin.clone()) {
                let message = format!("`{id}` is here twice (first at {first}); entries of one file need different {key}s");
                self.problems.push(Problem::new(Some(&origin), path, message));
                continue;
            }
            let table = self.table(table, &join(path, id), &join(shape, "*"));
            entries.insert(id.to_owned(), Value::new(Some(&origin), ValueKind::Table(table)));
        }
        entries
    }
}

/// Reads `CALLBRIDGE__SECTION__KEY` variables: single values, which stay text until the setting's type reads them.
pub(super) fn from_env(variables: &[(String, String)], problems: &mut Vec<Problem>) -> Layer {
    let mut table = Map::new();
    for (name, text) in variables {
        let Some(rest) = name.strip_prefix("CALLBRIDGE__") else { continue };
        let path: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
        let origin = format!("environment variable {name}");
        if path.iter().any(String::is_empty) || KEYED.iter().any(|(list, _)| path.first().is_some_and(|first| first == list)) {
            let message = "the environment reaches single values only; put this into a file, with `env:NAME` where the value comes from the environment";
            problems.push(Problem::new(Some(&origin), &path.join("."), message));
            continue;
        }
        insert(&mut table, &path, Value::new(Some(&origin), text.clone()));
    }
    Layer { table }
}

fn insert(table: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            table.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let below = table.entry(first.clone()).or_insert_with(|| Value::new(None, ValueKind::Table(Map::new())));
            if !matches!(below.kind, ValueKind::Table(_)) {
                below.kind = ValueKind::Table(Map::new());
            }
            if let ValueKind::Table(below) = &mut below.kind {
                insert(below, rest, value);
            }
        }
    }
}

/// `a.b` of `a` and `b`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Where a value stands: its own place, or for a table the first place inside it.
pub(super) fn origin(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Table(table) => table.values().filter_map(origin).min_by_key(|origin| place(origin)),
        _ => value.origin().map(str::to_owned),
    }
}

/// File and line of an origin, for sorting.
pub(super) fn place(origin: &str) -> (String, u64) {
    match origin.rsplit_once(':').map(|(file, line)| (file, line.parse::<u64>())) {
        Some((file, Ok(line))) => (file.to_owned(), line),
        _ => (origin.to_owned(), 0),
    }
}

/// The directory of the file in which a value stands.
pub(super) fn directory(origin: Option<&str>) -> Option<&Path> {
    let (file, line) = origin?.rsplit_once(':')?;
    line.parse::<u64>().ok()?;
    Path::new(file).parent()
}
