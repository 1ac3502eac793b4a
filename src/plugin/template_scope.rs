//! What one rendering may read: delivery, record, parameters, look-ups, what a write-back knows. Borrowed until handlebars needs its own.

use std::borrow::Cow;

use handlebars::JsonRender;
use serde_json::{Map, Value as Json};

use super::Params;
use super::template_reads::Reads;

/// Names whose texts stand among the parameters under their dotted names: `mode.x`, `captured.x`, `token.x`, `subscription.a.x`, `hook.x`.
const FIXED: &[&str] = &["mode", "captured", "token", "subscription", "hook"];

/// The data of one rendering, borrowed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope<'a> {
    pub params: Option<&'a Params>,
    pub item: Option<&'a Json>,
    pub parent: Option<&'a Json>,
    pub body: Option<&'a Json>,
    pub query: Option<&'a [(String, String)]>,
    pub headers: Option<&'a [(String, String)]>,
    pub record: Option<&'a crate::domain::record::RecordRef>,
    pub owner: Option<&'a str>,
    pub lookups: Option<&'a Map<String, Json>>,
    /// Further roots in one object: the write-back context.
    pub whole: Option<&'a Json>,
}

impl Scope<'_> {
    /// The text of a dotted name.
    pub(super) fn text(&self, path: &[String]) -> String {
        match self.value(path) {
            None => String::new(),
            Some(Cow::Owned(Json::String(text))) => text,
            Some(json) => json.render(),
        }
    }

    /// What stands at a dotted name; borrowed where it is JSON there.
    pub(super) fn value(&self, path: &[String]) -> Option<Cow<'_, Json>> {
        let (root, rest) = path.split_first()?;
        if let Some(made) = self.made(root, rest) {
            return made.map(Cow::Owned);
        }
        match (root.as_str(), self.lookups) {
            ("lookup", Some(answers)) if !rest.is_empty() => dig(answers.get(&rest[0])?, &rest[1..]).map(Cow::Borrowed),
            // Roots that are kept otherwise are made JSON first.
            (root, _) if self.is_made(root) => {
                let mut reads = Reads::default();
                reads.add(&path.iter().map(String::as_str).collect::<Vec<_>>());
                dig(&self.owned(&reads), path).cloned().map(Cow::Owned)
            }
            (root, _) => dig(self.json(root)?, rest).map(Cow::Borrowed),
        }
    }

    /// A single value of a root that is given as something else than JSON; `None`: it is not a single one.
    fn made(&self, root: &str, rest: &[String]) -> Option<Option<Json>> {
        let one = match rest {
            [] => "",
            [one] => one.as_str(),
            _ => return None,
        };
        let of = |list: &[(String, String)]| list.iter().find(|(name, _)| name == one).map(|(_, value)| Json::from(value.as_str()));
        let found = match (root, one) {
            ("owner", "") => self.owner?.into(),
            (_, "") => return None,
            ("param", _) => return Some(self.params?.get(one).map(|text| text.as_str().into())),
            ("mode", _) => return Some(self.params?.get(&format!("mode.{one}")).map(|text| Json::Bool(text == "true"))),
            ("query", _) => return Some(of(self.query?)),
            ("header", _) => return Some(of(self.headers?)),
            ("record", "id") => self.record?.id.as_str().into(),
            ("record", "type") => self.record?.kind.as_str().into(),
            _ => return None,
        };
        Some(Some(found))
    }

    /// Whether a root is given as something else than JSON.
    fn is_made(&self, root: &str) -> bool {
        match root {
            "query" => self.query.is_some(),
            "header" => self.headers.is_some(),
            "record" => self.record.is_some(),
            "owner" => self.owner.is_some(),
            "lookup" => self.lookups.is_some(),
            root => self.params.is_some() && (root == "param" || FIXED.contains(&root)),
        }
    }

    pub fn text_of_param(&self, id: &str) -> String {
        self.text(&["param".to_owned(), id.to_owned()])
    }

    fn json(&self, root: &str) -> Option<&Json> {
        match root {
            "item" => self.item,
            "parent" => self.parent,
            "body" => self.body,
            _ => None,
        }
        .or_else(|| self.whole.and_then(|whole| whole.get(root)))
    }

    /// An owned copy of what a template reads, for handlebars.
    pub(super) fn owned(&self, reads: &Reads) -> Json {
        let map = |list: &[(String, String)]| list.iter().rev().map(|(n, v)| (n.clone(), Json::String(v.clone()))).collect::<Map<_, _>>();
        let mut data = Map::new();
        for (root, below) in reads.roots() {
            let value = match root {
                "param" if self.params.is_some() => self.params.map(|params| {
                    let named = below.roots().filter_map(|(name, _)| Some((name.to_owned(), Json::String(params.get(name)?.clone()))));
                    named.collect::<Map<_, _>>().into()
                }),
                fixed if self.params.is_some() && FIXED.contains(&fixed) => self.params.map(|params| fixed_data(params, fixed)),
                "query" if self.query.is_some() => self.query.map(|list| map(list).into()),
                "header" if self.headers.is_some() => self.headers.map(|list| map(list).into()),
                "record" if self.record.is_some() => self.record.map(|r| serde_json::json!({"type": r.kind, "id": r.id})),
                "owner" if self.owner.is_some() => self.owner.map(Json::from),
                "lookup" if self.lookups.is_some() => self.lookups.map(|answers| below.copy_of(answers).into()),
                root => self.json(root).map(|json| below.copy(json)),
            };
            data.insert(root.to_owned(), value.unwrap_or(Json::Null));
        }
        Json::Object(data)
    }
}

/// Everything under `root.` among the parameters, as nested data.
fn fixed_data(params: &Params, root: &str) -> Json {
    let mut data = Map::new();
    for (key, value) in params.range(format!("{root}.")..) {
        let Some(path) = key.strip_prefix(root).and_then(|rest| rest.strip_prefix('.')) else { break };
        let value = if root == "mode" { Json::Bool(value == "true") } else { value.clone().into() };
        match path.split_once('.') {
            None => {
                data.insert(path.to_owned(), value);
            }
            Some((name, inner)) => {
                if let Json::Object(map) = data.entry(name).or_insert_with(|| Json::Object(Map::new())) {
                    map.insert(inner.to_owned(), value);
                }
            }
        }
    }
    Json::Object(data)
}

fn dig<'a>(json: &'a Json, path: &[String]) -> Option<&'a Json> {
    path.iter().try_fold(json, |json, name| match json {
        Json::Array(list) => list.get(name.parse::<usize>().ok()?),
        other => other.get(name),
    })
}
