//! Data that wants more than to be data.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Map, Value as Json, json};

use super::{delivery, params, sample};
use crate::domain::record::{Customer, RecordRef};
use crate::domain::time::Time;
use crate::error::Code;
use crate::plugin::context::{CallFacts, WriteBack};
use crate::plugin::note::Note;
use crate::plugin::{ComposeError, Learnt, LookupContext, Mapped};

fn context(record: &str, owner: &str, note: &str) -> Json {
    let (record, customer, call) = (RecordRef { kind: "lead".to_owned(), id: record.to_owned() }, Customer::default(), CallFacts::default());
    let owner = Some(owner).filter(|o| !o.is_empty());
    let parts = WriteBack { record: &record, owner, customer: &customer, call: &call, report: None, language: "vi" };
    parts.context(&Note::from_text(note), "note", Some("7"), &Map::new())
}

fn create(record: &str, owner: &str, note: &str) -> Result<crate::domain::request::Outbound, ComposeError> {
    let plugin = sample();
    let step = &plugin.kind("note", &params(&[])).unwrap().create[0];
    plugin.compose(&step.request, &context(record, owner, note), &params(&[]), &BTreeMap::new(), Time(0))
}

#[test]
fn template_syntax_in_data_is_only_text() {
    let hostile = "{{param.token}} {{#each @root}}{{this}}{{/each}} \" \\ \u{1}";
    let request = create("1", "", hostile).unwrap();
    let body: Json = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body, json!({"text": hostile, "seconds": null}));
    assert!(!String::from_utf8_lossy(&request.body).contains("t0ken"));
}

#[test]
fn a_line_break_cannot_begin_a_header() {
    for owner in ["a\r\nX-Evil: 1", "a\nb", "a\u{0}b"] {
        assert!(matches!(create("1", owner, "n"), Err(ComposeError::BadHeader { .. })), "{owner:?}");
    }
    assert_eq!(create("1", "Lê Hoa", "n").unwrap().headers[0], ("x-owner".to_owned(), "Lê Hoa".to_owned()));
}

#[test]
fn a_record_id_stays_one_segment_of_its_own_host() {
    for (id, path) in [
        ("../../admin", "/api/leads/..%2F..%2Fadmin/notes"),
        ("@evil.vn", "/api/leads/%40evil.vn/notes"),
        ("//evil.vn/x", "/api/leads/%2F%2Fevil.vn%2Fx/notes"),
        ("a?b=c#d", "/api/leads/a%3Fb%3Dc%23d/notes"),
        ("%2e%2e", "/api/leads/%252e%252e/notes"),
        ("a\\..\\b\r\n", "/api/leads/a%5C..%5Cb%0D%0A/notes"),
        ("Việt", "/api/leads/Vi%E1%BB%87t/notes"),
    ] {
        let request = create(id, "", "n").unwrap();
        assert_eq!(request.url, format!("https://crm.example.vn{path}"), "{id}");
    }
    for id in ["..", ".", ""] {
        assert!(matches!(create(id, "", "n"), Err(ComposeError::BadPath { .. })), "{id:?}");
    }
}

#[test]
fn a_plain_name_in_a_path_is_encoded_too() {
    let plugin = sample();
    let mapped = Mapped { record: RecordRef { kind: "lead".to_owned(), id: "1/../2&x=y".to_owned() }, ..Mapped::default() };
    let (item, lookups, own) = (json!({}), Learnt::default(), params(&[("phone_field", "a b&c")]));
    let lookup = plugin.lookup("lead").unwrap();
    let context = LookupContext { params: &own, item: &item, learnt: &lookups };
    let request = plugin.compose_lookup(lookup, &mapped, &context, &[], &BTreeMap::new(), Time(0)).unwrap();
    assert_eq!(request.url, "https://crm.example.vn/api/leads/1%2F..%2F2%26x%3Dy?fields=phone,a%20b%26c");
}

#[test]
fn a_base_is_an_address_and_nothing_else() {
    let plugin = sample();
    let step = &plugin.kind("note", &params(&[])).unwrap().create[0];
    let compose = |site: &str, bases: &[(&str, &str)]| {
        let bases = bases.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        plugin.compose(&step.request, &context("1", "", "n"), &params(&[("site", site)]), &bases, Time(0))
    };
    for site in ["file:///etc/passwd", "https://user:pw@crm.example.vn", "https://crm.example.vn?x=", "nonsense"] {
        assert!(matches!(compose(site, &[]), Err(ComposeError::BadBase { .. })), "{site}");
    }
    let own = compose("https://crm.example.vn", &[("api", "http://127.0.0.1:8090/x/")]).unwrap();
    assert_eq!((own.url.as_str(), own.allow_hosts), ("http://127.0.0.1:8090/x/leads/1/notes", vec!["127.0.0.1".to_owned()]));
}

#[test]
fn deep_or_broken_bodies_are_refused_quickly() {
    let plugin = sample();
    let variant = plugin.variant("list").unwrap();
    let refused = |body: Vec<u8>| plugin.parse(variant, &delivery(&[], body)).unwrap_err().code;
    let before = Instant::now();
    assert_eq!(refused("[".repeat(10_000).into_bytes()), Code::TooDeep);
    assert_eq!(refused(format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)).into_bytes()), Code::TooDeep);
    assert!(before.elapsed().as_millis() < 100);
    assert_eq!(refused(b"[\"\xff\"]".to_vec()), Code::BadEncoding);
    assert_eq!(refused(b"[1".to_vec()), Code::BadJson);
    assert!(plugin.parse(variant, &delivery(&[], format!("{}1{}", "[".repeat(64), "]".repeat(64)))).is_ok());
    assert!(plugin.parse(variant, &delivery(&[], "\u{feff}[\"[[[[\\\"{{{{\"]")).is_ok());
    let form = plugin.variant("form").unwrap();
    assert_eq!(plugin.parse(form, &delivery(&[], format!("a{}=1", "[b]".repeat(100)))).unwrap_err().code, Code::TooDeep);
    assert_eq!(plugin.parse(form, &delivery(&[], "a=%ff")).unwrap_err().code, Code::BadEncoding);
    assert_eq!(plugin.split(variant, &json!(vec![1; 501])).unwrap_err().code, Code::TooManyItems);
}
