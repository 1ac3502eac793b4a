//! The table "Parsing rules" of `docs/PLUGINS.md`, line by line.

use bytes::Bytes;
use serde_json::Value as Json;

use super::{Format, Reading, decode};
use crate::domain::event::Delivery;
use crate::domain::time::Time;

/// A delivery of these bytes.
pub fn delivery(content_type: &str, body: impl Into<Bytes>) -> Delivery {
    Delivery {
        method: "POST".to_owned(),
        uri: String::new(),
        tail: String::new(),
        query: String::new(),
        headers: vec![("content-type".to_owned(), content_type.to_owned())],
        body: body.into(),
        received_at: Time(0),
    }
}

/// One line of the table.
#[derive(Debug)]
struct Rule {
    format: String,
    sent: Vec<u8>,
    read: String,
}

fn rules() -> Vec<Rule> {
    let page = include_str!("../../../docs/PLUGINS.md");
    let section = page.split("\n## Parsing rules\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let lines = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| `body`"));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [format, sent, read] = cells[..] else { panic!("not three cells: {line}") };
            let code = |cell: &str| cell.split('`').nth(1).unwrap_or_default().to_owned();
            let read = if read.starts_with('`') { code(read) } else { read.to_owned() };
            Rule { format: format.to_owned(), sent: bytes(&code(sent)), read }
        })
        .collect()
}

/// `↵` and `‹ff›` for what cannot stand in a table.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let text = text.replace('↵', "\r\n");
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('‹') {
        let (byte, after) = after.split_once('›').unwrap();
        out.extend(before.bytes());
        out.push(u8::from_str_radix(byte, 16).unwrap());
        rest = after;
    }
    out.extend(rest.bytes());
    out
}

fn read(rule: &Rule) -> Result<Json, String> {
    let (kind, header) = rule.format.split_once(';').map_or((rule.format.as_str(), ""), |(kind, header)| (kind, header.trim()));
    let (kind, option) = kind.split_once(',').map_or((kind, ""), |(kind, option)| (kind, option.trim()));
    let format = match kind {
        "json" => Some(Format::Json),
        "form" => Some(Format::Form),
        "multipart" => Some(Format::Multipart),
        "xml" => Some(Format::Xml),
        "query" => Some(Format::Query),
        "sniff" => None,
        other => panic!("unknown format {other}"),
    };
    let content_type = match (kind, header) {
        ("multipart", _) => "multipart/form-data; boundary=x".to_owned(),
        (_, header) if header.starts_with("charset") => format!("text/plain; {header}"),
        (_, header) => header.to_owned(),
    };
    let (j, l) = (["j".to_owned()], ["l".to_owned()]);
    let reading = Reading { format, json_fields: if option == "json_fields" { &j } else { &[] }, lists: if option == "lists" { &l } else { &[] } };
    let mut delivery = delivery(&content_type, rule.sent.clone());
    if kind == "query" {
        delivery.query = String::from_utf8(rule.sent.clone()).unwrap();
        delivery.body = Bytes::new();
    }
    decode(reading, &delivery).map_err(|error| error.code.to_string())
}

#[test]
fn every_rule_of_the_table_holds() {
    let rules = rules();
    assert!(rules.len() > 60, "{} rules were found", rules.len());
    let mut wrong = Vec::new();
    for rule in &rules {
        let expected = match serde_json::from_str::<Json>(&rule.read) {
            Ok(json) => Ok(json),
            Err(_) => Err(rule.read.clone()),
        };
        let found = read(rule);
        if found != expected {
            wrong.push(format!("{} {:?}: expected {expected:?}, found {found:?}", rule.format, String::from_utf8_lossy(&rule.sent)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_order_of_fields_is_kept() {
    let read = decode(Reading { format: Some(Format::Form), ..Reading::default() }, &delivery("", "z=1&a[y]=2&a[b]=3&m=4")).unwrap();
    assert_eq!(read.to_string(), r#"{"z":"1","a":{"y":"2","b":"3"},"m":"4"}"#);
}

#[test]
fn a_boundary_inside_a_part_s_text_ends_nothing() {
    let body = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nsee --x and --xy\r\n--xy\r\n--x--";
    let read = decode(Reading { format: Some(Format::Multipart), ..Reading::default() }, &delivery("multipart/form-data; boundary=\"x\"", body)).unwrap();
    assert_eq!(read.to_string(), r#"{"a":"see --x and --xy\r\n--xy"}"#);
}
