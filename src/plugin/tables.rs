//! `[tables]`: words and what they become, with the admin's own lines on top.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::Params;
use super::manifest::{Manifest, ParameterKind};

/// Everything else.
const OTHER: &str = "*";

/// The tables of a plugin.
#[derive(Debug, Default)]
pub struct Tables(BTreeMap<String, Table>);

#[derive(Debug, Default)]
struct Table {
    /// By the word in lower case.
    words: Map<String, Json>,
    /// The parameters with the admin's own lines.
    own: Vec<String>,
}

fn folded(word: &str) -> String {
    word.trim().to_lowercase()
}

impl Tables {
    pub fn new(manifest: &Manifest) -> Tables {
        let mut tables: BTreeMap<String, Table> = BTreeMap::new();
        for (name, table) in &manifest.tables {
            let words = table.get_ref().iter().map(|(word, to)| (folded(word), to.clone())).collect();
            tables.insert(name.clone(), Table { words, own: Vec::new() });
        }
        for parameter in manifest.parameters.iter().map(toml::Spanned::get_ref).filter(|p| p.kind == ParameterKind::Table) {
            if let Some(table) = parameter.table.as_ref().and_then(|name| tables.get_mut(name)) {
                table.own.push(parameter.id.clone());
            }
        }
        Tables(tables)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// What a word becomes; null where the table has no word for it.
    pub fn find(&self, name: &str, word: &str, params: Option<&Params>) -> Json {
        let Some(table) = self.0.get(name) else { return Json::Null };
        if table.own.is_empty() { look(&table.words, word) } else { look(&table.with_own(params), word) }
    }

    /// The tables of these names as data for templates.
    pub fn data<'a>(&self, names: impl IntoIterator<Item = &'a String>, params: Option<&Params>) -> Json {
        names.into_iter().filter_map(|name| Some((name.clone(), Json::Object(self.0.get(name)?.with_own(params))))).collect::<Map<_, _>>().into()
    }
}

impl Table {
    fn with_own(&self, params: Option<&Params>) -> Map<String, Json> {
        let mut words = self.words.clone();
        for text in self.own.iter().filter_map(|id| params?.get(id)) {
            words.extend(lines(text).map(|(word, to)| (folded(word), to.into())));
        }
        words
    }
}

/// What a word becomes in a table's data.
pub fn look(words: &Map<String, Json>, word: &str) -> Json {
    words.get(&folded(word)).or_else(|| words.get(OTHER)).cloned().unwrap_or(Json::Null)
}

/// The lines `word = word` of a parameter.
pub fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(['\n', ';']).filter_map(|line| line.split_once('=')).map(|(word, to)| (word.trim(), to.trim()))
}
