//! The items inside a body, as places in it: nothing is copied.

use serde_json::Value as Json;
use serde_json_path::{JsonPath, PathElement};

use super::body::{ParseError, unreadable};
use crate::error::Code;

/// The most items of one delivery.
pub const MAX_ITEMS: usize = 500;

/// Where an item is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Piece {
    /// JSON pointers; `""` is the whole body.
    item: String,
    parent: String,
    /// The keys and numbers on the way to it.
    pub keys: Vec<String>,
}

impl Piece {
    pub fn item<'a>(&self, body: &'a Json) -> &'a Json {
        body.pointer(&self.item).unwrap_or(&Json::Null)
    }

    /// The record around it: what the step before the last found; the body where there is only one step.
    pub fn parent<'a>(&self, body: &'a Json) -> &'a Json {
        body.pointer(&self.parent).unwrap_or(&Json::Null)
    }
}

/// Goes down the paths step by step; without any the body is the one item.
pub fn pieces(paths: &[JsonPath], body: &Json) -> Result<Vec<Piece>, ParseError> {
    let mut found = vec![Piece::default()];
    for path in paths {
        let mut next = Vec::new();
        for piece in &found {
            let from = piece.item(body);
            // Counted first: places take more memory than items.
            let more = path.query(from).len();
            if next.len() + more > MAX_ITEMS {
                return Err(unreadable(Code::TooManyItems, format!("more than {MAX_ITEMS} records")));
            }
            next.extend(path.query_located(from).iter().map(|node| {
                let keys = node.location().iter().map(|element| match element {
                    PathElement::Name(name) => (*name).to_owned(),
                    PathElement::Index(index) => index.to_string(),
                });
                Piece {
                    item: format!("{}{}", piece.item, node.location().to_json_pointer()),
                    parent: piece.item.clone(),
                    keys: piece.keys.iter().cloned().chain(keys).collect(),
                }
            }));
        }
        found = next;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(list: &[&str]) -> Vec<JsonPath> {
        list.iter().map(|path| JsonPath::parse(path).unwrap()).collect()
    }

    #[test]
    fn a_batch_in_two_levels_knows_its_parent() {
        let body = json!({"Id": "x", "Notifications": [{"Action": "a", "Data": [{"Id": 1}, {"Id": 2}]}, {"Action": "b", "Data": [{"Id": 3}]}]});
        let pieces = pieces(&paths(&["$.Notifications[*]", "$.Data[*]"]), &body).unwrap();
        let seen: Vec<_> = pieces.iter().map(|piece| (piece.parent(&body)["Action"].clone(), piece.item(&body)["Id"].clone())).collect();
        assert_eq!(seen, [(json!("a"), json!(1)), (json!("a"), json!(2)), (json!("b"), json!(3))]);
    }

    #[test]
    fn a_place_names_the_keys_on_the_way() {
        let body = json!({"leads": {"sta/t~us": [{"id": "1"}]}, "account": {"id": "3"}});
        let pieces = pieces(&paths(&["$.*.*[*]"]), &body).unwrap();
        assert_eq!(pieces.len(), 1);
        assert_eq!((pieces[0].keys.join(","), pieces[0].item(&body)), ("leads,sta/t~us,0".to_owned(), &json!({"id": "1"})));
    }

    #[test]
    fn without_a_path_the_body_is_the_item_and_more_than_500_are_refused() {
        let body = json!({"a": 1});
        assert_eq!(pieces(&[], &body).unwrap()[0].item(&body), &body);
        assert_eq!(pieces(&paths(&["$[*]"]), &json!(vec![1; 501])).unwrap_err().code, Code::TooManyItems);
        assert_eq!(pieces(&paths(&["$[*]"]), &json!(vec![1; 500])).unwrap().len(), 500);
        assert!(pieces(&paths(&["$[*]"]), &json!([])).unwrap().is_empty());
    }
}
