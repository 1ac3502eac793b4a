//! What a template reads of its data: handlebars wants to own it, so only that is copied. A delivery may be a mebibyte, and each of
//! its records has a dozen templates.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

/// The names below one name; none of them: all that lies below it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads(BTreeMap<String, Reads>);

impl Reads {
    /// A name given by its segments from the root.
    pub fn add(&mut self, names: &[&str]) {
        let Some((first, rest)) = names.split_first() else { return };
        match self.0.get_mut(*first) {
            Some(read_whole) if read_whole.0.is_empty() => {}
            Some(below) if rest.is_empty() => below.0.clear(),
            Some(below) => below.add(rest),
            None => {
                let mut below = Reads::default();
                below.add(rest);
                self.0.insert((*first).to_owned(), below);
            }
        }
    }

    /// The first segments of the names, with what is read below each.
    pub fn roots(&self) -> impl Iterator<Item = (&str, &Reads)> {
        self.0.iter().map(|(name, below)| (name.as_str(), below))
    }

    pub fn has_root(&self, root: &str) -> bool {
        self.0.contains_key(root)
    }

    /// A copy of what is read of `json`. What is no object is copied whole: its length may be asked for.
    pub fn copy(&self, json: &Json) -> Json {
        match json {
            Json::Object(map) => Json::Object(self.copy_of(map)),
            other => other.clone(),
        }
    }

    /// The same of an object's members.
    pub fn copy_of(&self, map: &Map<String, Json>) -> Map<String, Json> {
        if self.0.is_empty() {
            return map.clone();
        }
        self.0.iter().filter_map(|(name, below)| Some((name.clone(), below.copy(map.get(name)?)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn copied(names: &[&str], json: &Json) -> Json {
        let mut reads = Reads::default();
        names.iter().for_each(|name| reads.add(&name.split('.').collect::<Vec<_>>()));
        reads.copy(json)
    }

    #[test]
    fn only_what_is_named_is_copied_and_a_name_takes_all_below_it() {
        let json = json!({"item": {"id": 7, "name": "An", "tags": ["x", {"y": 1}], "big": "…"}, "body": {"rows": [1, 2]}, "lang": "vi"});
        assert_eq!(copied(&["item.id", "lang", "none.at.all"], &json), json!({"item": {"id": 7}, "lang": "vi"}));
        assert_eq!(copied(&["item.id", "item"], &json), json!({"item": json["item"]}));
        assert_eq!(copied(&["item", "item.id"], &json), json!({"item": json["item"]}));
        assert_eq!(copied(&["item.tags.0", "body.rows.length"], &json), json!({"item": {"tags": json["item"]["tags"]}, "body": {"rows": [1, 2]}}));
    }
}
