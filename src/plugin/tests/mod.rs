//! Tests of the engine as a whole, on a small plugin of their own.

mod built_in;
mod case;
mod case_answers;
mod case_expect;
mod case_subscribe;
mod flow;
mod hostile;
mod inbound;
mod load;
mod notes;
mod outbound;
mod signatures;
mod speed;

use std::collections::BTreeMap;

use bytes::Bytes;

use super::load::{Files, load};
use super::{Params, Plugin};
use crate::domain::event::Delivery;
use crate::domain::time::Time;

pub const MANIFEST: &str = include_str!("../testdata/sample.toml");
pub const NOTE: &str = r#"{ "text": "{{note.text}}", "seconds": {{json report.answer_seconds}}{{#if owner}}, "owner": "{{owner}}"{{/if}} }"#;

/// The sample with another manifest and note template.
pub fn folder(manifest: &str, note: &str) -> Files {
    BTreeMap::from([("plugin.toml".to_owned(), manifest.as_bytes().to_vec()), ("templates/note.json.hbs".to_owned(), note.as_bytes().to_vec())])
}

pub fn sample() -> Plugin {
    load("sample", folder(MANIFEST, NOTE)).unwrap()
}

/// The problems of a sample in which one piece was replaced.
pub fn broken(from: &str, to: &str) -> String {
    assert!(MANIFEST.contains(from), "the sample has no {from}");
    match load("sample", folder(&MANIFEST.replacen(from, to, 1), NOTE)) {
        Ok(plugin) => plugin.warnings().iter().map(|p| format!("{p}\n")).collect(),
        Err(error) => error.problems.iter().map(|p| format!("{p}\n")).collect(),
    }
}

pub fn params(list: &[(&str, &str)]) -> Params {
    let given = [("site", "https://crm.example.vn"), ("token", "t0ken")].iter().chain(list).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    sample().with_defaults(&given)
}

pub fn delivery(headers: &[(&str, &str)], body: impl Into<Bytes>) -> Delivery {
    Delivery {
        method: "POST".to_owned(),
        uri: "https://bridge.example.vn/hooks/a/b".to_owned(),
        tail: String::new(),
        query: String::new(),
        headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        body: body.into(),
        received_at: Time(1_795_338_022_000),
    }
}
