//! Every manifest and case that ships fits the schemas, and what the types do not read does not.

use serde_json::{Value as Json, json};

use super::schema;
use crate::plugin::case;
use crate::plugin::load::built_in;
use crate::plugin::manifest::Manifest;

/// A schema's complaints about a value; only what our schemas use.
fn faults(root: &Json, schema: &Json, value: &Json, at: &str, out: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        return faults(root, root.pointer(name.trim_start_matches('#')).unwrap(), value, at, out);
    }
    for one in schema["allOf"].as_array().into_iter().flatten() {
        faults(root, one, value, at, out);
    }
    if let Some(ways) = schema["anyOf"].as_array() {
        let tries: Vec<Vec<String>> = ways.iter().map(|way| collect(root, way, value, at)).collect();
        if tries.iter().all(|faults| !faults.is_empty()) {
            out.extend(tries.into_iter().flatten());
        }
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        out.push(format!("{at}: {value} is not one of {}", schema["enum"]));
    }
    let sort = match value {
        Json::Object(_) => "object",
        Json::Array(_) => "array",
        Json::String(_) => "string",
        Json::Bool(_) => "boolean",
        Json::Number(n) if n.is_f64() => "number",
        Json::Number(_) => "integer",
        Json::Null => "null",
    };
    let sorts: Vec<&str> = match &schema["type"] {
        Json::String(one) => vec![one],
        Json::Array(several) => several.iter().filter_map(Json::as_str).collect(),
        _ => vec![sort],
    };
    if !sorts.iter().any(|wanted| *wanted == sort || (*wanted == "number" && sort == "integer")) {
        out.push(format!("{at}: {value} is no {}", schema["type"]));
    }
    for (index, element) in value.as_array().into_iter().flatten().enumerate().filter(|_| schema["items"].is_object()) {
        faults(root, &schema["items"], element, &format!("{at}[{index}]"), out);
    }
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        if value.is_object() && value.get(required).is_none() {
            out.push(format!("{at}: `{required}` is missing"));
        }
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        match (&schema["properties"][key], &schema["additionalProperties"]) {
            (known, _) if known.is_object() => faults(root, known, inner, &format!("{at}.{key}"), out),
            (_, Json::Bool(false)) => out.push(format!("{at}: `{key}` is not known")),
            (_, any) if any.is_object() => faults(root, any, inner, &format!("{at}.{key}"), out),
            _ => {}
        }
    }
}

fn collect(root: &Json, schema: &Json, value: &Json, at: &str) -> Vec<String> {
    let mut out = Vec::new();
    faults(root, schema, value, at, &mut out);
    out
}

fn check(schema: &Json, toml: &str) -> Vec<String> {
    collect(schema, schema, &toml::from_str::<Json>(toml).unwrap(), "$")
}

#[test]
fn every_manifest_and_case_that_ships_fits() {
    let (manifests, cases) = (schema::<Manifest>("plugin"), case::schema());
    let mut seen = 0;
    for (id, files) in built_in() {
        for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".toml")) {
            let schema = if path == "plugin.toml" { &manifests } else { &cases };
            assert_eq!(check(schema, std::str::from_utf8(bytes).unwrap()), Vec::<String>::new(), "{id}/{path}");
            seen += 1;
        }
    }
    assert!(seen > 6, "{seen}");
}

#[test]
fn a_wrong_key_word_or_kind_does_not_fit() {
    let manifests = schema::<Manifest>("plugin");
    let good = "spec = 1\nid = \"a\"\nname = \"A\"\n[[receive]]\nname = \"x\"\nbody = \"json\"\n[receive.map]\nphone = [\"$.a\", { value = \"$.b\", if = { value = \"$.c\", op = \"exists\" } }]\n";
    assert_eq!(check(&manifests, good), Vec::<String>::new());
    for (from, to, said) in [
        ("id = \"a\"\n", "", "`id` is missing"),
        ("[receive.map]", "[receive.mapp]", "`mapp` is not known"),
        ("\"json\"", "\"jason\"", "is not one of"),
        ("op = \"exists\"", "op = \"is\"", "is not one of"),
        ("value = \"$.b\", if", "valeu = \"$.b\", if", "`valeu` is not known"),
        ("spec = 1", "spec = \"1\"", "is no \"integer\""),
    ] {
        let faults = check(&manifests, &good.replace(from, to)).join("\n");
        assert!(faults.contains(said), "{to}: {faults}");
    }
    assert!(check(&case::schema(), "title = \"x\"").join("\n").contains("`clock` is missing"));
    assert_eq!(schema::<Manifest>("plugin")["definitions"]["Words"]["required"], json!(["vi", "en"]));
}
