//! From answers to a schema: every named type once, under `definitions`.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};

use crate::plugin::case;
use crate::plugin::manifest::Manifest;

use super::probe::{Probe, Question, Seen, Sort, Step};

/// The schema of what `T` reads. The draft is the one that editors of TOML know.
pub fn schema<T: DeserializeOwned>(title: &str) -> Json {
    let ask = |way: &[Step], question: Question<'_>| {
        let seen = RefCell::new(None);
        // The walk never comes to an end with a value; what it saw is what counts.
        let _ = T::deserialize(Probe { way, question, seen: &seen });
        seen.into_inner()
    };
    let mut builder = Builder { ask: &ask, definitions: BTreeMap::new() };
    let root = builder.at(&mut Vec::new());
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": title,
        "allOf": [root],
        "definitions": builder.definitions,
    })
}

/// The schemas of the two files a person writes: name and text.
pub fn schema_files() -> [(&'static str, String); 2] {
    let text = |schema: &Json| format!("{schema:#}\n");
    [("plugin.schema.json", text(&schema::<Manifest>("callbridge: plugin.toml"))), ("case.schema.json", text(&case::schema()))]
}

struct Builder<'a> {
    ask: &'a dyn Fn(&[Step], Question<'_>) -> Option<Seen>,
    definitions: BTreeMap<String, Json>,
}

impl Builder<'_> {
    /// The schema of the place at the end of `way`.
    fn at(&mut self, way: &mut Vec<Step>) -> Json {
        match (self.ask)(way, Question::What) {
            Some(Seen::Struct { name, keys }) => self.defined(name.to_owned(), |builder| {
                let required = builder.required(way);
                builder.table(way, keys, &required)
            }),
            Some(Seen::Any { kind, words }) => self.defined(short(kind), |builder| builder.any(way, kind, &words)),
            Some(Seen::List) => json!({"type": "array", "items": self.below(way, Step::Element)}),
            Some(Seen::Table) => json!({"type": "object", "additionalProperties": self.below(way, Step::Key("?".to_owned()))}),
            Some(Seen::Words(words)) => json!({"enum": words}),
            Some(Seen::Bool) => json!({"type": "boolean"}),
            Some(Seen::Integer) => json!({"type": "integer"}),
            Some(Seen::Number) => json!({"type": "number"}),
            Some(Seen::Text) => json!({"type": "string"}),
            _ => json!({}),
        }
    }

    fn below(&mut self, way: &mut Vec<Step>, step: Step) -> Json {
        way.push(step);
        let schema = self.at(way);
        way.pop();
        schema
    }

    /// A reference to a definition, which is made where it is met first; a type may hold itself.
    fn defined(&mut self, name: String, make: impl FnOnce(&mut Self) -> Json) -> Json {
        if !self.definitions.contains_key(&name) {
            self.definitions.insert(name.clone(), Json::Null);
            let schema = make(self);
            self.definitions.insert(name.clone(), schema);
        }
        json!({"$ref": format!("#/definitions/{name}")})
    }

    fn table(&mut self, way: &mut Vec<Step>, keys: &[&str], required: &[&str]) -> Json {
        let properties: Map<String, Json> = keys.iter().map(|key| ((*key).to_owned(), self.below(way, Step::Key((*key).to_owned())))).collect();
        let mut schema = json!({"type": "object", "additionalProperties": false, "properties": properties});
        if let (false, Some(map)) = (required.is_empty(), schema.as_object_mut()) {
            map.insert("required".to_owned(), json!(required));
        }
        schema
    }

    /// Keys without which the type is not read: each answer names the next one.
    fn required(&self, way: &[Step]) -> Vec<&'static str> {
        let mut given: Vec<&'static str> = Vec::new();
        let mut attempt = 0;
        loop {
            match (self.ask)(way, Question::Missing { given: &given, attempt }) {
                Some(Seen::Misses(key)) if !given.contains(&key) => given.push(key),
                Some(Seen::Unclear(_) | Seen::Misses(_)) if attempt < 3 => attempt += 1,
                _ => return given,
            }
        }
    }

    /// Each sort of value that the type takes.
    fn any(&mut self, way: &mut Vec<Step>, kind: &str, words: &str) -> Json {
        if kind.ends_with("serde_json::value::Value") {
            return json!({"type": ["string", "number", "boolean", "object", "array"]});
        }
        let mut sorts = Vec::new();
        for (sort, name) in [(Sort::Text, "string"), (Sort::Bool, "boolean"), (Sort::Integer, "integer"), (Sort::Number, "number")] {
            match (self.ask)(way, Question::Takes(sort)) {
                Some(Seen::Words(words)) => sorts.push(json!({"enum": words})),
                Some(Seen::Complete) => sorts.push(json!({"type": name})),
                _ => {}
            }
        }
        if (self.ask)(way, Question::Takes(Sort::List)) == Some(Seen::Complete) {
            sorts.push(json!({"type": "array", "items": self.below(way, Step::Element)}));
        }
        match (self.ask)(way, Question::Takes(Sort::Table)) {
            Some(Seen::Keys(keys)) => sorts.push(self.table(way, keys, &[])),
            Some(Seen::Complete) => sorts.push(json!({"type": "object", "additionalProperties": self.below(way, Step::Key("?".to_owned()))})),
            _ => {}
        }
        json!({"description": words, "anyOf": sorts})
    }
}

/// `a::b::Several<c::D>` to `Several_D`.
fn short(kind: &str) -> String {
    let parts = kind.split(['<', '>', ',', ' ']).filter(|part| !part.is_empty());
    parts.filter_map(|part| part.rsplit("::").next()).collect::<Vec<_>>().join("_")
}
