//! Where what was sent differs from what was to be sent.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use url::Url;

use super::exchange::{DONE, Exchange};
use crate::domain::request::Outbound;

/// Differences of two JSON documents, by path; `"*"` stands for anything.
pub fn json(path: &str, expected: &Json, real: &Json, out: &mut Vec<String>) {
    match (expected, real) {
        (Json::String(any), _) if any == "*" => {}
        (Json::Object(left), Json::Object(right)) => {
            for (name, value) in left {
                match right.get(name) {
                    Some(found) => json(&format!("{path}.{name}"), value, found, out),
                    None => out.push(format!("{path}.{name}: expected {value}, absent")),
                }
            }
            out.extend(right.iter().filter(|(name, _)| !left.contains_key(*name)).map(|(name, value)| format!("{path}.{name}: not expected, found {value}")));
        }
        (Json::Array(left), Json::Array(right)) if left.len() == right.len() => {
            for (index, (value, found)) in left.iter().zip(right).enumerate() {
                json(&format!("{path}[{index}]"), value, found, out);
            }
        }
        _ if expected == real => {}
        _ => out.push(format!("{path}: expected {expected}, found {real}")),
    }
}

/// Differences of a request.
pub fn request(place: &str, expected: &Exchange, real: &Outbound, out: &mut Vec<String>) {
    let (host, target) = parts(&real.url);
    if (expected.method.as_str(), expected.target.as_str()) != (real.method.as_str(), target.as_str()) {
        out.push(format!("{place}: expected {} {}, found {} {target}", expected.method, expected.target, real.method));
    }
    for (name, value) in expected.headers.iter().filter(|(name, _)| name != "content-length") {
        let found = if name == "host" { Some(host.as_str()) } else { real.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()) };
        if value != "*" && found != Some(value.as_str()) {
            out.push(format!("{place}: header {name}: expected `{value}`, found `{}`", found.unwrap_or("nothing")));
        }
    }
    let form = real.headers.iter().any(|(name, value)| name == "content-type" && value.starts_with("application/x-www-form-urlencoded"));
    body(&format!("{place}: body"), &expected.body, &String::from_utf8_lossy(&real.body), form, out);
}

/// Differences of two bodies: JSON as JSON, a form by its pairs, anything else as text; `"*"` stands for anything.
pub fn body(place: &str, expected: &str, real: &str, form: bool, out: &mut Vec<String>) {
    let (expected, real) = (expected.trim(), real.replace("\r\n", "\n"));
    let real = real.trim();
    match (serde_json::from_str::<Json>(expected), serde_json::from_str::<Json>(real)) {
        (Ok(left), Ok(right)) => json(&format!("{place} $"), &left, &right, out),
        _ if expected == real || expected == "*" => {}
        _ if form => pairs(place, expected, real, out),
        _ => out.push(format!("{place}: expected `{expected}`, found `{real}`")),
    }
}

/// By name, in whatever order the names stand; values of one name in their order.
fn pairs(place: &str, expected: &str, real: &str, out: &mut Vec<String>) {
    let read = |text: &str| {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        url::form_urlencoded::parse(text.as_bytes()).into_owned().for_each(|(name, value)| all.entry(name).or_default().push(value));
        all
    };
    let (left, mut right) = (read(expected), read(real));
    for (name, values) in left {
        let found = right.remove(&name).unwrap_or_default();
        for (at, value) in values.iter().enumerate() {
            match found.get(at) {
                Some(same) if value == "*" || value == same => {}
                Some(other) => out.push(format!("{place}: expected {name}={value}, found {name}={other}")),
                None => out.push(format!("{place}: expected {name}={value}, absent")),
            }
        }
        out.extend(found.iter().skip(values.len()).map(|value| format!("{place}: not expected, found {name}={value}")));
    }
    out.extend(right.iter().flat_map(|(name, values)| values.iter().map(move |value| format!("{place}: not expected, found {name}={value}"))));
}

/// A pair as `--bless` writes it: what was really sent, what the answer was read as, and the answer as it was.
pub fn blessed(expected: Option<&Exchange>, real: &Outbound, class: &str) -> String {
    let (host, target) = parts(&real.url);
    let mut text = format!(">>>\n{} {target} HTTP/1.1\nHost: {host}\n", real.method);
    for (name, value) in real.headers.iter().filter(|(name, _)| name != "accept") {
        let any = expected.is_some_and(|e| e.headers.iter().any(|(n, v)| n.eq_ignore_ascii_case(name) && v == "*"));
        let name = name.split('-').map(capital).collect::<Vec<_>>().join("-");
        text.push_str(&format!("{name}: {}\n", if any { "*" } else { value }));
    }
    text.push('\n');
    let body = String::from_utf8_lossy(&real.body);
    let pretty = serde_json::from_str::<Json>(&body).ok().and_then(|json| serde_json::to_string_pretty(&json).ok());
    text.push_str(&pretty.unwrap_or_else(|| body.into_owned()));
    let answer = expected.map_or("HTTP/1.1 200 OK\nContent-Type: application/json\n\n{\"id\":\"1\"}", |expected| expected.answer_text.as_str());
    let class = if class == DONE { String::new() } else { format!(" {class}") };
    format!("{}\n<<<{class}\n{answer}\n", text.trim_end_matches('\n'))
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Host with its port, and path with its query.
fn parts(url: &str) -> (String, String) {
    let Ok(url) = Url::parse(url) else { return (String::new(), url.to_owned()) };
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    (host, target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_compared_by_its_pairs() {
        let differences = |expected: &str, real: &str| {
            let mut out = Vec::new();
            body("body", expected, real, true, &mut out);
            out
        };
        assert_eq!(differences("a=1&b=x+y", "a=1&b=x%20y"), Vec::<String>::new());
        assert_eq!(differences("a=*&b=2", "a=1&b=2"), Vec::<String>::new());
        assert_eq!(differences("b=2&a=*&l=1&l=2", "a=1&l=1&b=2&l=2"), Vec::<String>::new(), "the order of names says nothing");
        assert_eq!(differences("l=1&l=2", "l=2&l=1").len(), 2, "that of a list does");
        assert_eq!(differences("a=1&b=2", "b=2&c=3"), ["body: expected a=1, absent", "body: not expected, found c=3"]);
        assert!(!differences("a=1", "a=1&b=2").is_empty() && !differences("a=1&b=3", "a=1&b=2").is_empty());
    }
}
