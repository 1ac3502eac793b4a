//! Bytes that nobody meant: every target starts from the recordings, vectors and cases, changes them, and must neither panic nor
//! hang. What it found is printed, shrunk, by proptest.
//!
//! Each runs for `CALLBRIDGE_FUZZ_SECONDS` (2 here, 20 in `tests/run`).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use callbridge::domain::event::Delivery;
use callbridge::domain::phone;
use callbridge::domain::report::{DurationUnit, Report};
use callbridge::domain::time::Time;
use callbridge::plugin::body::{self, Format, Reading};
use callbridge::plugin::load::{self, Files};
use callbridge::plugin::vectors::Vector;
use callbridge::plugin::{Learnt, LookupContext, MapContext, Plugin};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Map;

/// Nothing small may take this long, also in a slow build on a busy machine.
const TOO_LONG: Duration = Duration::from_secs(5);

/// Cases between two looks at the clock.
const ROUND: u32 = 200;

/// One change of some bytes.
#[derive(Debug, Clone)]
enum Edit {
    Flip(u32, u8),
    Put(u32, Vec<u8>),
    Cut(u32, u8),
    Double(u32, u8),
    Truncate(u32),
    Word(u32, u8),
}

const WORDS: &[&str] = &[
    "{{",
    "}}",
    "{{{",
    "{{#each @root}}",
    "{{#if",
    "$",
    "$..*",
    "$[?@.a]",
    "$.phone",
    "\"",
    "\\u0000",
    "\\ud800",
    "null",
    "[]",
    "{}",
    "[[[[[[[[",
    "{\"a\":",
    "%ff",
    "%00",
    "&",
    "=",
    "[]=",
    "1e999",
    "-0",
    "99999999999999999999",
    "true",
    "\r\n",
    "\t",
    "\u{feff}",
    "\u{202e}",
    "\u{200b}",
    "Ａ",
    "０９１２",
    "+84",
    "084",
    "/",
    "../",
    "\n[[receive]]\n",
    "if = [",
    "kind = ",
    "'",
    "\u{0}",
    "ế",
    "👍",
];

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<u32>();
    prop_oneof![
        (at, any::<u8>()).prop_map(|(at, bits)| Edit::Flip(at, bits)),
        (at, proptest::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Edit::Put(at, bytes)),
        (at, any::<u8>()).prop_map(|(at, n)| Edit::Cut(at, n)),
        (at, any::<u8>()).prop_map(|(at, n)| Edit::Double(at, n)),
        at.prop_map(Edit::Truncate),
        (at, any::<u8>()).prop_map(|(at, n)| Edit::Word(at, n)),
    ]
}

fn edited(seed: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for edit in edits {
        let place = |at: &u32| *at as usize % (bytes.len() + 1);
        match edit {
            Edit::Flip(at, bits) => {
                let at = place(at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= bits;
                }
            }
            Edit::Put(at, new) => {
                let at = place(at);
                bytes.splice(at..at, new.iter().copied());
            }
            Edit::Cut(at, n) => {
                let at = place(at);
                bytes.drain(at..(at + usize::from(*n)).min(bytes.len()));
            }
            Edit::Double(at, n) => {
                let at = place(at);
                let part = bytes[at..(at + usize::from(*n)).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            Edit::Truncate(at) => {
                let at = place(at);
                bytes.truncate(at);
            }
            Edit::Word(at, n) => {
                let at = place(at);
                bytes.splice(at..at, WORDS[usize::from(*n) % WORDS.len()].bytes());
            }
        }
    }
    bytes
}

/// Runs `target` on changed seeds for the time that is given. Which seed and which changes is drawn by proptest, which shrinks them.
fn fuzz(name: &str, seeds: usize, target: impl Fn(usize, &[Edit])) {
    assert!(seeds > 0, "{name} has no seeds");
    let seconds = std::env::var("CALLBRIDGE_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(2.0);
    let (from, budget) = (Instant::now(), Duration::from_secs_f64(seconds));
    let config = Config { cases: ROUND, failure_persistence: None, max_shrink_time: 20_000, ..Config::default() };
    let runs = RefCell::new(0u64);
    for seed in 0..seeds {
        target(seed, &[]);
    }
    let mut rounds = 0;
    while from.elapsed() < budget {
        // A runner counts its successes over all its runs: a used one would run nothing more.
        let mut runner = TestRunner::new(config.clone());
        rounds += 1;
        let strategy = (0..seeds, proptest::collection::vec(edit(), 0..6));
        let result = runner.run(&strategy, |(seed, edits)| {
            *runs.borrow_mut() += 1;
            let before = Instant::now();
            target(seed, &edits);
            prop_assert!(before.elapsed() < TOO_LONG, "it took {:?}", before.elapsed());
            Ok(())
        });
        if let Err(error) = result {
            panic!("{name}, after {} runs: {error}", runs.borrow());
        }
    }
    assert_eq!(*runs.borrow(), rounds * u64::from(ROUND), "every round ran");
    eprintln!("{name}: {} runs in {:?} from {seeds} seeds", runs.borrow(), from.elapsed());
}

fn plugins() -> Vec<Plugin> {
    load::built_in().map(|(id, files)| load::load(&id, files).unwrap()).collect()
}

/// Every case of every plugin, and beside its own parameters none at all.
fn deliveries(plugins: &[Plugin]) -> Vec<(usize, Delivery, callbridge::plugin::Params)> {
    let mut found = Vec::new();
    for (n, plugin) in plugins.iter().enumerate() {
        for name in plugin.case_names() {
            let case = plugin.case(&name).unwrap();
            found.push((n, case.webhook.clone(), plugin.with_defaults(&case.parameters)));
            found.push((n, case.webhook, plugin.with_defaults(&Default::default())));
        }
    }
    found
}

/// What ingest and map do with a body, whoever sent it: every variant is tried, not only the one that fits.
fn receive(plugin: &Plugin, delivery: &Delivery, params: &callbridge::plugin::Params) {
    let _ = plugin.select(delivery, params).map(|selected| selected.variant.name.clone());
    if let Some(shaken) = plugin.handshake(delivery, params) {
        let _ = plugin.captured(&shaken, delivery, params);
        let _ = plugin.answer_handshake(&shaken, delivery, params);
    }
    let lookups = Map::new();
    for variant in plugin.variants() {
        let Ok(body) = plugin.parse(variant, delivery) else { continue };
        let Ok(items) = plugin.split(variant, &body) else { continue };
        for piece in items.iter().take(20) {
            let item = piece.item(&body);
            let context = MapContext { params, body: &body, query: &delivery.query, headers: &delivery.headers, lookups: &lookups };
            let Ok(mapped) = plugin.map(variant, piece, &context) else { continue };
            let _ = phone::normalise(&mapped.customer.phone);
            let context = LookupContext { params, item, learnt: &Learnt::default() };
            if let Ok(Some(lookup)) = plugin.next_lookup(&mapped, &context, &BTreeSet::new())
                && let Ok(request) = plugin.compose_lookup(lookup, &mapped, &context, &[], &Default::default(), callbridge::domain::time::Time(0))
            {
                let url = url::Url::parse(&request.url).expect("a composed address can be read");
                assert!(request.headers.iter().all(|(_, v)| !v.contains(['\r', '\n'])), "a header holds one line");
                assert!(matches!(url.scheme(), "http" | "https"), "{url}");
            }
        }
    }
}

#[test]
fn a_body_through_select_parse_split_and_map() {
    let plugins = plugins();
    let seeds = deliveries(&plugins);
    fuzz("bodies", seeds.len(), |n, edits| {
        let (plugin, delivery, params) = &seeds[n];
        let mut delivery = delivery.clone();
        delivery.body = Bytes::from(edited(&delivery.body, edits));
        receive(&plugins[*plugin], &delivery, params);
    });
}

/// Bodies as they are sent in each format, in every format's reader.
const FORMATS: &[(&str, &str)] = &[
    ("application/json", r#"{"a":[1,2.5,-1e3,99999999999999999999,"\ud83d\udc4d",null],"j":"{\"b\":[1]}","deep":{"er":[[[[]]]]}}"#),
    ("application/x-www-form-urlencoded", "a[b][c]=1&a[b][]=x&a=2&d[x[y]][z]=%C4%91&j=%7B%22b%22%3A1%7D&e=+1&e=2&n[0]=a&n[1]=b"),
    (
        "multipart/form-data; boundary=\"x y\"",
        "--x y\r\nContent-Disposition: form-data; name=\"a[b]\"\r\n\r\n1\r\n--x y\r\nContent-Disposition: form-data; name=\"f\"; filename=\"t.txt\"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhello\r\n--x y--\r\n",
    ),
    (
        "text/xml; charset=utf-8",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:E xmlns:s=\"urn:x\"><b i:t=\"s:C\">1 &amp; &#x1EC5;</b><b/><c i:nil=\"true\"/><![CDATA[<d>]]><!-- e --></s:E>",
    ),
    ("text/xml", "<!DOCTYPE a [<!ENTITY b \"cc\"><!ENTITY d \"&b;&b;\">]><a>&d;</a>"),
];

/// Whether a text or a key has a NUL; `\\u0000` written out is six signs like any others.
fn has_nul(json: &serde_json::Value) -> bool {
    match json {
        serde_json::Value::String(text) => text.contains('\0'),
        serde_json::Value::Array(list) => list.iter().any(has_nul),
        serde_json::Value::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        _ => false,
    }
}

#[test]
fn a_body_in_every_format() {
    let (json_fields, lists) = (["j".to_owned()], ["b".to_owned()]);
    let readers = [None, Some(Format::Json), Some(Format::Form), Some(Format::Multipart), Some(Format::Xml), Some(Format::Query)];
    fuzz("formats", FORMATS.len() * 2, |n, edits| {
        let (content_type, body) = FORMATS[n / 2];
        // Every other seed: the header is changed as well.
        let content_type = if n % 2 == 0 { content_type.to_owned() } else { String::from_utf8_lossy(&edited(content_type.as_bytes(), edits)).into_owned() };
        let body = edited(body.as_bytes(), edits);
        let delivery = Delivery {
            method: "POST".to_owned(),
            uri: String::new(),
            tail: String::new(),
            query: String::from_utf8_lossy(&body).into_owned(),
            headers: vec![("content-type".to_owned(), content_type)],
            body: Bytes::from(body),
            received_at: Time(0),
        };
        for format in readers {
            match body::decode(Reading { format, json_fields: &json_fields, lists: &lists }, &delivery) {
                Ok(read) => assert!(!has_nul(&read), "a NUL came through: {read}"),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    });
}

#[test]
fn a_query_and_a_content_type() {
    let plugins = plugins();
    let seeds = deliveries(&plugins);
    fuzz("queries", seeds.len(), |n, edits| {
        let (plugin, delivery, params) = &seeds[n];
        let mut delivery = delivery.clone();
        delivery.query = String::from_utf8_lossy(&edited(delivery.query.as_bytes(), edits)).into_owned();
        delivery.tail = String::from_utf8_lossy(&edited(delivery.tail.as_bytes(), edits)).into_owned();
        for (name, value) in &mut delivery.headers {
            if name == "content-type" {
                *value = String::from_utf8_lossy(&edited(value.as_bytes(), edits)).into_owned();
            }
        }
        receive(&plugins[*plugin], &delivery, params);
    });
}

/// Signature headers: never a panic, and a changed body never passes where the unchanged one did by a digest of the body.
#[test]
fn signature_headers_through_verify() {
    let plugins = plugins();
    let mut seeds = Vec::new();
    for (n, plugin) in plugins.iter().enumerate() {
        let vectors: Vec<Vector> = plugin.file("vectors.json").map(|bytes| serde_json::from_slice(bytes).unwrap()).unwrap_or_default();
        for vector in vectors {
            let delivery = Delivery {
                method: vector.method.clone(),
                query: vector.uri.split_once('?').map(|(_, q)| q.to_owned()).unwrap_or_default(),
                uri: vector.uri,
                tail: String::new(),
                headers: vector.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect(),
                body: Bytes::from(vector.body),
                received_at: Time::parse_rfc3339(&vector.clock).unwrap(),
            };
            seeds.push((n, delivery, plugin.with_defaults(&vector.parameters)));
        }
        seeds.extend(deliveries(&plugins).into_iter().filter(|(of, ..)| *of == n));
    }
    fuzz("signatures", seeds.len(), |n, edits| {
        let (plugin, delivery, params) = &seeds[n];
        let plugin = &plugins[*plugin];
        let mut changed = delivery.clone();
        for (_, value) in &mut changed.headers {
            *value = String::from_utf8_lossy(&edited(value.as_bytes(), edits)).into_owned();
        }
        for variant in plugin.variants() {
            let _ = plugin.verify(variant, &changed, None, params);
        }
        let mut changed = delivery.clone();
        changed.uri = String::from_utf8_lossy(&edited(changed.uri.as_bytes(), edits)).into_owned();
        changed.method = String::from_utf8_lossy(&edited(changed.method.as_bytes(), edits)).into_owned();
        changed.body = Bytes::from(edited(&changed.body, edits));
        for variant in plugin.variants() {
            let _ = plugin.verify(variant, &changed, None, params);
        }
    });
}

#[test]
fn a_phone_number_through_normalise() {
    let seeds: Vec<&str> = include_str!("../data/phones.tsv").lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split('\t').next()).collect();
    fuzz("phones", seeds.len(), |n, edits| {
        let text = String::from_utf8_lossy(&edited(seeds[n].as_bytes(), edits)).into_owned();
        if let Ok(phone) = phone::normalise(&text) {
            let national = phone.national();
            assert!(national.starts_with('0') && (10..=11).contains(&national.len()) && national.bytes().all(|b| b.is_ascii_digit()), "{text:?} → {national}");
            assert_eq!(phone::normalise(&national).as_ref().ok(), Some(&phone), "{text:?}: what is dialled is the same number");
            assert_eq!(phone::normalise(phone.e164()).as_ref().ok(), Some(&phone), "{text:?}: what is kept is the same number");
        }
    });
}

#[test]
fn a_report_through_read() {
    let plugins = plugins();
    let mut seeds: Vec<Vec<u8>> = plugins
        .iter()
        .flat_map(|p| p.files().filter(|(path, _)| path.ends_with("-report.json")).map(|(_, bytes)| bytes.to_vec()).collect::<Vec<_>>())
        .collect();
    seeds.push(br#"{"callDetail":{"answerDuration":"12","responseStatus":"2","callDuration":1e300,"sendSms":"true"}}"#.to_vec());
    seeds.push(br#"{"answerduration":-1,"RESPONSESTATUS":9223372036854775807}"#.to_vec());
    fuzz("reports", seeds.len(), |n, edits| {
        let Ok(report) = Report::read(&edited(&seeds[n], edits)) else { return };
        let _ = (report.disposition().as_str(), report.interest().as_str());
        for since in [None, Some(0), Some(i64::MAX)] {
            let (call, answer) = report.seconds(DurationUnit::Auto, since);
            assert!(call >= 0 && answer >= 0, "{report:?}");
        }
    });
}

/// A manifest or a template of somebody's own: it loads, or it is refused with a place and a sentence; what loads can be used.
#[test]
fn a_manifest_and_templates_through_load() {
    let plugins = plugins();
    let cases = deliveries(&plugins);
    let mut seeds: Vec<(usize, Files, String)> = Vec::new();
    for (n, plugin) in plugins.iter().enumerate() {
        // Without cases, read-me and icon, which `load` only keeps.
        let files: Files =
            plugin.files().filter(|(path, _)| *path == "plugin.toml" || path.starts_with("templates/")).map(|(p, b)| (p.to_owned(), b.to_vec())).collect();
        seeds.extend(files.keys().map(|path| (n, files.clone(), path.clone())));
    }
    fuzz("manifests", seeds.len(), |n, edits| {
        let (plugin, files, path) = &seeds[n];
        let mut files = files.clone();
        let bytes = edited(&files[path], edits);
        files.insert(path.clone(), bytes);
        match load::load(plugins[*plugin].id(), files) {
            Err(error) => assert!(!error.problems.is_empty() && error.problems.iter().all(|p| !p.to_string().is_empty())),
            Ok(loaded) => {
                for (_, delivery, params) in cases.iter().filter(|(of, ..)| of == plugin).take(2) {
                    receive(&loaded, delivery, params);
                }
            }
        }
    });
}
