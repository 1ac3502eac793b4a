//! What senders' own libraries, documents and stock tools signed (`tests/data/sender-vectors.json`), each through a receive variant
//! or a handshake written as a plugin would write it.

use std::collections::BTreeMap;

use bytes::Bytes;
use callbridge::domain::event::Delivery;
use callbridge::domain::time::Time;
use callbridge::plugin::load::{Files, load};
use callbridge::plugin::{Params, Plugin};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    crm: String,
    title: String,
    secret: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    id: String,
    method: String,
    uri: String,
    headers: BTreeMap<String, String>,
    body: String,
    clock_ms: i64,
    expected: String,
    /// The keys of a scheme; none: nothing but the address proves the sender.
    #[serde(default)]
    scheme: String,
    /// The keys of a handshake, and of the scheme `key` that it may name.
    #[serde(default)]
    handshake: String,
    #[serde(default)]
    key: String,
    answer: Option<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Vector {
    fn plugin(&self) -> Plugin {
        let parameter = |id: &str| format!("[[parameters]]\nid = \"{id}\"\ntitle = {{ vi = \"x\", en = \"x\" }}\n");
        let verify = if self.scheme.is_empty() { String::new() } else { format!("[[receive.verify]]\n{}\n", self.scheme) };
        let handshake = if self.handshake.is_empty() { String::new() } else { format!("[[handshake]]\nname = \"hello\"\n{}\n", self.handshake) };
        let key = if self.key.is_empty() { String::new() } else { format!("[verify.key]\n{}\n", self.key) };
        let manifest = format!(
            "spec = 1\nid = \"sender\"\nname = \"Sender\"\n{}{}{}{key}{handshake}[[receive]]\nname = \"in\"\nmethods = [\"GET\", \"POST\"]\nbody = \"sniff\"\n{verify}[receive.map]\nphone = \"$.phone\"\n",
            parameter("secret"),
            parameter("user"),
            parameter("id")
        );
        let files = Files::from([("plugin.toml".to_owned(), manifest.clone().into_bytes())]);
        load("sender", files).unwrap_or_else(|error| panic!("{} {}: {error}\n{manifest}", self.crm, self.title))
    }

    fn params(&self) -> Params {
        [("secret", &self.secret), ("user", &self.user), ("id", &self.id)].into_iter().map(|(n, v)| (n.to_owned(), v.clone())).collect()
    }

    fn delivery(&self) -> Delivery {
        Delivery {
            method: self.method.clone(),
            uri: self.uri.clone(),
            tail: String::new(),
            query: self.uri.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default(),
            headers: self.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect(),
            body: Bytes::from(self.body.clone()),
            received_at: Time(self.clock_ms),
        }
    }

    /// Whether the variant, or the handshake and its own check, believes it.
    fn believed(&self, plugin: &Plugin, delivery: &Delivery, params: &Params) -> bool {
        if self.handshake.is_empty() {
            return plugin.verify(plugin.variant("in").unwrap(), delivery, None, params).is_ok();
        }
        let shaken = plugin.handshake(delivery, params).unwrap_or_else(|| panic!("{} {} is no handshake", self.crm, self.title));
        plugin.verify_handshake(&shaken, delivery, params).is_ok()
    }
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../data/sender-vectors.json")).unwrap()
}

#[test]
fn every_vector_comes_out_as_its_sender_says() {
    let mut wrong = Vec::new();
    for vector in vectors() {
        let (plugin, params, delivery) = (vector.plugin(), vector.params(), vector.delivery());
        if vector.believed(&plugin, &delivery, &params) != (vector.expected == "accept") {
            wrong.push(format!("{} {}: was to be {}ed", vector.crm, vector.title, vector.expected));
            continue;
        }
        let Some(expected) = &vector.answer else { continue };
        let shaken = plugin.handshake(&delivery, &params).unwrap();
        let answer = plugin.answer_handshake(&shaken, &delivery, &params).unwrap();
        let headers: BTreeMap<String, String> = answer.headers.into_iter().collect();
        assert_eq!((answer.status, &headers, &answer.body), (expected.status, &expected.headers, &expected.body), "{} {}", vector.crm, vector.title);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn another_secret_or_another_body_is_never_believed() {
    let signed = vectors().into_iter().filter(|v| v.expected == "accept" && !v.scheme.is_empty());
    let mut count = 0;
    for vector in signed {
        let (plugin, delivery) = (vector.plugin(), vector.delivery());
        let of_bodies = !vector.scheme.contains("kind = \"token\"") && !vector.scheme.contains("kind = \"basic\"");
        let mut other = vector.params();
        other.insert("secret".to_owned(), "YW5vdGhlciBzZWNyZXQgYWx0b2dldGhlcg==".to_owned());
        assert!(!vector.believed(&plugin, &delivery, &other), "{} {}", vector.crm, vector.title);
        if of_bodies {
            let changed = Delivery { body: Bytes::from(format!("{} ", vector.body)), ..delivery };
            assert!(!vector.believed(&plugin, &changed, &vector.params()), "{} {}", vector.crm, vector.title);
            count += 1;
        }
    }
    assert!(count > 30, "{count} signatures");
}

/// Where a CRM's own documents disagree, the way that held is named.
#[test]
fn the_combination_that_held_is_named() {
    let named: Vec<String> = vectors()
        .into_iter()
        .filter(|vector| vector.scheme.contains("base64_text"))
        .map(|vector| vector.plugin().verify(vector.plugin().variant("in").unwrap(), &vector.delivery(), None, &vector.params()).unwrap().0)
        .collect();
    assert_eq!(named.len(), 4);
    assert!(named[0].contains("sha256") && named[0].contains("sha1="), "{named:?}");
    assert!(named[3].contains("sha1, key utf8"), "{named:?}");
}
