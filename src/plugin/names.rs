//! The names a template may use, per place, with a sample for each: the closed context of `docs/PLUGINS.md`.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::manifest::{AuthSpec, Manifest, OneOrMany};

/// What stands under a name.
#[derive(Debug, Clone)]
pub enum Shape {
    /// Any data: what is absent below is empty.
    Open,
    /// One value, with a sample to try templates on.
    Leaf(Json),
    /// Exactly these names.
    Object(BTreeMap<String, Shape>),
}

impl Shape {
    fn object<K: Into<String>>(entries: impl IntoIterator<Item = (K, Shape)>) -> Shape {
        Shape::Object(entries.into_iter().map(|(name, shape)| (name.into(), shape)).collect())
    }

    /// Exactly the names of this sample.
    pub fn of_sample(sample: Json) -> Shape {
        Shape::leaves(sample)
    }

    fn leaves(sample: Json) -> Shape {
        match sample {
            Json::Object(map) => {
                Shape::object(map.into_iter().map(|(name, value)| (name, if value.is_object() { Shape::leaves(value) } else { Shape::Leaf(value) })))
            }
            other => Shape::Leaf(other),
        }
    }

    /// The shape under `name`; `None` when there is no such name.
    pub fn child(&self, name: &str) -> Option<&Shape> {
        match self {
            Shape::Open => Some(&Shape::Open),
            Shape::Leaf(_) => None,
            Shape::Object(map) => map.get(name),
        }
    }

    /// The names directly under this one.
    pub fn children(&self) -> impl Iterator<Item = &str> {
        match self {
            Shape::Object(map) => Some(map.keys().map(String::as_str)),
            _ => None,
        }
        .into_iter()
        .flatten()
    }

    /// Data of this shape: samples, or nulls where `empty`.
    pub fn data(&self, empty: bool) -> Json {
        match self {
            Shape::Open if empty => Json::Null,
            Shape::Open => json!({}),
            Shape::Leaf(_) if empty => Json::Null,
            Shape::Leaf(sample) => sample.clone(),
            Shape::Object(map) => Json::Object(map.iter().map(|(name, shape)| (name.clone(), shape.data(empty))).collect::<Map<_, _>>()),
        }
    }
}

/// `param.<id>`: bases, auth, secrets.
pub fn params<'a>(ids: impl IntoIterator<Item = &'a str>) -> Shape {
    Shape::object([("param", texts(ids))])
}

/// What is the same for every delivery and request of a connection: parameters, modes, what handshakes and subscriptions keep.
pub fn fixed(manifest: &Manifest) -> Shape {
    let captured = manifest.handshake.iter().flat_map(|h| h.get_ref().capture.keys());
    let subscriptions = manifest.subscribe.iter().map(|at| {
        let spec = at.get_ref();
        let others = [&spec.renew, &spec.check, &spec.find].into_iter().flatten();
        let stored = spec.create.store.keys().chain(others.flat_map(|part| part.store.keys()));
        (spec.name.get_ref().clone(), texts(stored.map(String::as_str).chain(["secret", "url"])))
    });
    // A default is a better sample than any other text: it may have to be a time zone.
    let sample = |default: &str| Shape::Leaf(json!(if default.is_empty() { "1" } else { default }));
    let ids = manifest.parameters.iter().map(|p| (p.get_ref().id.clone(), sample(&p.get_ref().default)));
    let params = Shape::object([("param", Shape::object(ids))]);
    let modes = Shape::object(manifest.modes.keys().map(|name| (name.clone(), Shape::Leaf(true.into()))));
    with(&params, [("mode", modes), ("captured", texts(captured.map(String::as_str))), ("subscription", Shape::object(subscriptions))])
}

/// Plain texts under these names.
pub fn texts<'a>(names: impl IntoIterator<Item = &'a str>) -> Shape {
    Shape::object(names.into_iter().map(|name| (name, Shape::Leaf(json!("1")))))
}

/// What the logins of this plugin store.
pub fn token(manifest: &Manifest) -> Shape {
    let auths = AuthSpec::each(manifest.auth.as_ref());
    let logins = auths.iter().flat_map(|at| at.get_ref().start.keys().chain(at.get_ref().login.iter().flat_map(|login| login.store.keys())));
    let connects = manifest.connect.as_ref().map(OneOrMany::each).unwrap_or_default();
    let connects = connects.iter().flat_map(|at| at.get_ref().token.store.keys());
    texts(logins.chain(connects).map(String::as_str))
}

/// With what the logins of this plugin store.
pub fn with_token(base: &Shape, manifest: &Manifest) -> Shape {
    with(base, [("token", token(manifest))])
}

/// With more names.
pub fn and(base: &Shape, more: impl IntoIterator<Item = (&'static str, Shape)>) -> Shape {
    with(base, more)
}

fn with(base: &Shape, more: impl IntoIterator<Item = (&'static str, Shape)>) -> Shape {
    let mut map = match base {
        Shape::Object(map) => map.clone(),
        _ => BTreeMap::new(),
    };
    map.extend(more.into_iter().map(|(name, shape)| (name.to_owned(), shape)));
    Shape::Object(map)
}

/// `receive.map`, `receive.ignore`.
pub fn receive(params: &Shape) -> Shape {
    let open = ["item", "parent", "place", "body", "query", "header"].map(|name| (name, Shape::Open));
    with(params, open.into_iter().chain([("hook", Shape::leaves(json!({"name": "1", "url": "1"})))]))
}

/// `answers`: what the sender is told.
pub fn answer(params: &Shape) -> Shape {
    with(params, [("query", Shape::Open), ("event", Shape::leaves(json!({"id": "1"})))])
}

/// A look-up's request, conditions and map; `known`: the look-ups whose answers are known there, with what they store.
pub fn lookup(params: &Shape, known: &BTreeMap<String, Vec<String>>) -> Shape {
    let record = Shape::leaves(json!({"type": "1", "id": "1"}));
    let answers = Shape::object(known.keys().map(|name| (name.clone(), Shape::Open)));
    with(params, [("item", Shape::Open), ("record", record), ("owner", Shape::Leaf(json!("1"))), ("lookup", answers), ("steps", steps(known))])
}

/// The request of a look-up for many records: nothing of a single one.
pub fn batch(params: &Shape) -> Shape {
    with(params, [("record", Shape::leaves(json!({"type": "1"}))), ("batch", Shape::leaves(json!({"ids": ["1", "2"]})))])
}

/// The requests of a subscription.
pub fn subscribe(params: &Shape) -> Shape {
    with(params, [("hook", Shape::leaves(json!({"name": "1", "url": "https://1"}))), ("now", Shape::Leaf(json!("2026-11-22T03:20:30Z")))])
}

/// The same before it is made: what an answer has to give is not there.
pub fn subscribe_before(params: &Shape, name: &str) -> Shape {
    let mut before = subscribe(params);
    if let Shape::Object(map) = &mut before
        && let Some(Shape::Object(all)) = map.get_mut("subscription")
    {
        all.insert(name.to_owned(), texts(["secret", "url"]));
    }
    before
}

/// A poll's request, cursor and conditions.
pub fn poll(params: &Shape) -> Shape {
    let place = [("cursor", json!("1")), ("page", json!(1)), ("now", json!("2026-11-22T03:20:30Z"))];
    with(params, place.map(|(name, sample)| (name, Shape::Leaf(sample))))
}

/// What tells the CRM that an item was taken.
pub fn poll_ack(params: &Shape) -> Shape {
    with(&poll(params), [("item", Shape::Open)])
}

/// `steps.<name>.<key>`: what earlier steps stored.
pub fn steps(stored: &BTreeMap<String, Vec<String>>) -> Shape {
    Shape::object(stored.iter().map(|(step, keys)| (step.clone(), texts(keys.iter().map(String::as_str)))))
}

/// Write-back; `stored`: what earlier steps stored.
pub fn write_back(params: &Shape, manifest: &Manifest, stored: &BTreeMap<String, Vec<String>>) -> Shape {
    let kept = manifest.receive.iter().flat_map(|variant| variant.get_ref().keep.keys());
    let mut shape = with(params, [("steps", steps(stored)), ("event", texts(kept.map(String::as_str)))]);
    if let (Shape::Object(map), Shape::Object(more)) = (&mut shape, Shape::leaves(sample())) {
        map.extend(more);
        map.insert("after".to_owned(), Shape::Open);
    }
    shape
}

/// What `$` is in conditions of write-back: the same without what never changes, which is no part of the document.
pub fn write_back_document(manifest: &Manifest, stored: &BTreeMap<String, Vec<String>>) -> Shape {
    write_back(&nothing(), manifest, stored)
}

/// What `$` is in conditions of a login.
pub fn login_document(stored: &BTreeMap<String, Vec<String>>) -> Shape {
    with(&nothing(), [("steps", steps(stored)), ("jwt", Shape::Leaf(json!("1")))])
}

/// A document in which there is nothing: subscriptions and polls are wanted or not by parameters alone.
pub fn nothing() -> Shape {
    Shape::Object(BTreeMap::new())
}

/// A note text: write-back without note, entry and steps.
pub fn note() -> Shape {
    let mut shape = Shape::leaves(sample());
    if let Shape::Object(map) = &mut shape {
        map.remove("note");
        map.remove("entry");
        map.insert("after".to_owned(), Shape::Open);
    }
    shape
}

/// One value for every declared name of the write-back context. `context` builds the real one; a test compares the two.
fn sample() -> Json {
    json!({
        "record": {"type": "1", "id": "1"},
        "owner": "1",
        "customer": {"phone": "0912345678", "phone_e164": "+84912345678", "phone_national": "0912345678", "name": "1", "gender": "female", "info": "1"},
        "call": {
            "id": "call_00000000000000000000000000", "state": "ended", "line": "1", "line_name": "1", "connection": "1",
            "created_at": "2026-11-22T03:20:30Z", "placed_at": "2026-11-22T03:20:31Z", "started_at": "2026-11-22T03:20:35Z",
            "ended_at": "2026-11-22T03:22:05Z", "refusal": "1", "reason": "1", "advice": "1",
            "time_zone": "Asia/Ho_Chi_Minh", "test": false, "test_phone": "1", "round": 2, "again_at": "2026-11-22T05:22:05Z", "listed": false, "marker": "1"
        },
        "report": {
            "disposition": "answered", "interest": "interested", "call_status": 1, "sim": "1", "call_seconds": 95, "answer_seconds": 74,
            "send_sms": false, "sms_content": "1", "notes": "1", "version": 1
        },
        "note": {"text": "1", "html": "1", "markdown": "1", "title": "1"},
        "language": "vi",
        "entry": {"id": "1", "correction": "1"}
    })
}
