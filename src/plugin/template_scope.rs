//! What one rendering may read: delivery, record, parameters, look-ups, what a write-back knows. Borrowed until handlebars needs its own.

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
    fn pairs(list: &[(String, String)], name: &str) -> Option<String> {
        list.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
    }

    /// The text of a dotted name.
    pub(super) fn text(&self, path: &[String]) -> String {
        let (Some(root), rest) = (path.first(), path.get(1..).unwrap_or_default()) else { return String::new() };
        let one = rest.first().map(String::as_str).unwrap_or_default();
        match root.as_str() {
            "param" if self.params.is_some() => self.params.and_then(|params| params.get(one)).cloned().unwrap_or_default(),
            fixed if self.params.is_some() && FIXED.contains(&fixed) => self.params.and_then(|params| params.get(&path.join("."))).cloned().unwrap_or_default(),
            "lookup" if self.lookups.is_some() => {
                let answer = self.lookups.and_then(|map| map.get(one)).and_then(|json| dig(json, rest.get(1..).unwrap_or_default()));
                answer.map(JsonRender::render).unwrap_or_default()
            }
            "query" if self.query.is_some() => self.query.and_then(|list| Self::pairs(list, one)).unwrap_or_default(),
            "header" if self.headers.is_some() => self.headers.and_then(|list| Self::pairs(list, one)).unwrap_or_default(),
            "record" if self.record.is_some() => self.record.map(|r| if one == "id" { r.id.clone() } else { r.kind.clone() }).unwrap_or_default(),
            "owner" if self.owner.is_some() => self.owner.unwrap_or_default().to_owned(),
            root => self.json(root).and_then(|json| dig(json, rest)).map(JsonRender::render).unwrap_or_default(),
        }
    }

    /// A dotted name as `json` writes it: null where nothing is.
    pub(super) fn json_text(&self, path: &[String]) -> String {
        let Some((root, rest)) = path.split_first() else { return Json::Null.to_string() };
        match self.json(root) {
            // Roots that are kept otherwise are made JSON first.
            _ if self.is_made(root) => {
                let mut reads = Reads::default();
                reads.add(&path.iter().map(String::as_str).collect::<Vec<_>>());
                dig(&self.owned(&reads), path).map_or_else(|| Json::Null.to_string(), Json::to_string)
            }
            json => json.and_then(|json| dig(json, rest)).map_or_else(|| Json::Null.to_string(), Json::to_string),
        }
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
                fixed if FIXED.contains(&fixed) => self.params.map(|params| fixed_data(params, fixed)),
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
