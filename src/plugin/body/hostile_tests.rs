//! Bodies made to hurt: each is refused with its code, or read as the data it is, at once and in little memory.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::tests::delivery;
use super::{Format, Reading, decode};
use crate::error::Code;

/// What a refusal may take of this thread: 50 ms, and several times that where nothing is optimised and the machine is busy.
const AT_ONCE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 300 } else { 50 });

/// The time that this thread has worked: what others do on a busy machine does not count.
fn worked() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

fn read(format: Option<Format>, content_type: &str, body: &[u8]) -> Result<serde_json::Value, Code> {
    let delivery = delivery(content_type, body.to_vec());
    let read = || {
        let before = worked();
        let result = decode(Reading { format, ..Reading::default() }, &delivery).map_err(|error| error.code);
        (worked() - before, result)
    };
    // A neighbour on the same core slows this thread, too: the best of a few tries is its own.
    let (took, result) = (0..5).map(|_| read()).find(|(took, _)| *took < AT_ONCE).unwrap_or_else(read);
    assert!(took < AT_ONCE, "{took:?} for {:?}…", String::from_utf8_lossy(&body[..body.len().min(40)]));
    result
}

fn json(body: &str) -> Result<serde_json::Value, Code> {
    read(Some(Format::Json), "application/json", body.as_bytes())
}

fn form(body: &str) -> Result<serde_json::Value, Code> {
    read(Some(Format::Form), "application/x-www-form-urlencoded", body.as_bytes())
}

fn xml(body: &str) -> Result<serde_json::Value, Code> {
    read(Some(Format::Xml), "text/xml", body.as_bytes())
}

/// As much of `unit` as a body of 1 MiB may hold.
fn full(unit: &str) -> String {
    unit.repeat((1 << 20) / unit.len())
}

/// Kilobytes of memory that this process took at its most.
#[cfg(target_os = "linux")]
fn most_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn memory_of_hostile_bodies() {
    // In a process of its own, for other tests take memory too.
    if !std::env::args().any(|arg| arg == "--exact") {
        let name = "plugin::body::hostile_tests::memory_of_hostile_bodies";
        let alone = std::process::Command::new(std::env::current_exe().unwrap()).args([name, "--exact", "--nocapture"]).output().unwrap();
        let text = String::from_utf8_lossy(&alone.stdout);
        assert!(alone.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&alone.stderr));
        return;
    }
    let deep: String = (0..2_000).map(|n| format!("{n}{}=1&", "[b]".repeat(60))).collect();
    let wide = format!("{{{}\"b\":0}}", (0..60_000).map(|n| format!("\"{n}\":0,")).collect::<String>());
    let bodies: Vec<(Format, String)> = vec![
        (Format::Json, full("[")),
        (Format::Json, format!("[{}1]", full("1,"))),
        (Format::Json, format!("[{}1]", "1,".repeat(130_000))),
        (Format::Json, format!("[{}{{}}]", "{\"a\":0},".repeat(20_000))),
        (Format::Json, wide),
        (Format::Json, format!("\"{}\"", full("\\ud800"))),
        (Format::Form, deep),
        (Format::Form, format!("a={}", full("%00"))),
        (Format::Xml, format!("<r>{}</r>", full("<a b=\"\"/>"))),
        (Format::Xml, format!("<r>{}</r>", "<a/>".repeat(60_000))),
    ];
    for (format, body) in bodies {
        let bytes = body.into_bytes();
        let delivery = delivery("", bytes);
        // What was the most before is forgotten.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let (before, from) = (most_kib(), Instant::now());
        let result = decode(Reading { format: Some(format), ..Reading::default() }, &delivery).map(drop).map_err(|error| error.code);
        let (more, took) = (most_kib().saturating_sub(before), from.elapsed());
        eprintln!("{format:?} {:?}… {result:?}: {more} KiB, {took:?}", String::from_utf8_lossy(&delivery.body[..20]));
        assert!(more < 20 * 1024, "{more} KiB");
    }
}

#[test]
fn depth_is_refused_before_anything_is_built() {
    assert_eq!(json(&"[".repeat(10_000)), Err(Code::TooDeep));
    assert_eq!(json(&full("[")), Err(Code::TooDeep));
    assert_eq!(json(&format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000))), Err(Code::TooDeep));
    assert!(json(&format!("{}1{}", "[".repeat(64), "]".repeat(64))).is_ok());
    assert_eq!(form(&format!("a{}=1", "[b]".repeat(100_000))), Err(Code::TooDeep));
    assert_eq!(xml(&"<a>".repeat(10_000)), Err(Code::TooDeep));
    assert_eq!(xml(&full("<a>")), Err(Code::TooDeep));
    assert!(xml(&format!("{}{}", "<a>".repeat(64), "</a>".repeat(64))).is_ok());
}

#[test]
fn entities_are_never_expanded() {
    let mut laughs = "<!DOCTYPE lolz [<!ENTITY lol \"lol\">".to_owned();
    for n in 1..10 {
        laughs += &format!("<!ENTITY lol{n} \"{}\">", format!("&lol{};", n - 1).repeat(10));
    }
    assert_eq!(xml(&format!("<?xml version=\"1.0\"?>{laughs}]><lolz>&lol9;</lolz>")), Err(Code::BadXml));
    assert_eq!(xml("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>"), Err(Code::BadXml));
    assert_eq!(xml("<a b=\"&lol;\"/>"), Err(Code::BadXml));
    assert_eq!(xml(&format!("<a>{}</a>", full("&lol9;"))), Err(Code::BadXml));
}

#[test]
fn many_small_values_are_refused_before_they_take_memory() {
    for body in [format!("[{}1]", full("1,")), format!("[{}[]]", full("[],")), format!("[{}{{}}]", full("{},")), format!("[{}0]", full("{\"a\":0},"))] {
        assert_eq!(json(&body), Err(Code::TooManyValues));
    }
    assert_eq!(json(&format!("{{{}\"b\":0}}", (0..90_000).map(|n| format!("\"{n}\":0,")).collect::<String>())), Err(Code::TooManyValues));
    assert_eq!(xml(&format!("<r>{}</r>", full("<a/>"))), Err(Code::TooManyValues));
    assert_eq!(xml(&format!("<r>{}</r>", full("<a b=\"\"/>"))), Err(Code::TooManyValues));
    assert_eq!(xml(&format!("<r {}/>", (0..10_000).map(|n| format!("a{n}=\"\" ")).collect::<String>())), Err(Code::TooManyValues));
    assert_eq!(form(&full("a=1&")), Err(Code::BadForm));
    // 2,000 names that share nothing, each as deep as may be.
    let deep: String = (0..2_000).map(|n| format!("{n}{}=1&", "[b]".repeat(60))).collect();
    assert_eq!(form(&deep), Err(Code::TooManyValues));
}

#[test]
fn a_large_but_usual_body_is_read() {
    let item = r#"{"eventId":3891201457,"subscriptionId":2741003,"portalId":62515,"occurredAt":1795338021512,"subscriptionType":"contact.propertyChange","objectId":7701234,"propertyName":"lifecyclestage","propertyValue":"salesqualifiedlead"},"#;
    let body = format!("[{}]", item.repeat(2_000).trim_end_matches(','));
    assert_eq!(json(&body).unwrap().as_array().unwrap().len(), 2_000);
    let record = "<Notification><Id>04l5g00000abCdEAAU</Id><sObject><Id>0035g00000LmNoPAAV</Id><Phone>0912345678</Phone></sObject></Notification>";
    assert!(xml(&format!("<n>{}</n>", record.repeat(500))).is_ok());
}

#[test]
fn long_texts_numbers_and_odd_signs_are_data() {
    let long = "x".repeat(1_000_000);
    assert_eq!(json(&format!("{{\"a\":\"{long}\"}}")).unwrap()["a"], long);
    assert_eq!(form(&format!("a={long}")).unwrap()["a"], long);
    assert_eq!(xml(&format!("<a>{long}</a>")).unwrap()["a"], long);
    let digits = "9".repeat(1_000_000);
    assert_eq!(json(&format!("{{\"a\":{digits}}}")).unwrap()["a"], digits);
    assert_eq!(json("{\"a\":1e308,\"b\":-1e308}").unwrap()["a"], 1e308);
    assert_eq!(json("{\"a\":1e999}"), Err(Code::BadJson));
    assert_eq!(json(&format!("{{\"a\":1e{digits}}}")), Err(Code::BadJson));
    // Right-to-left signs and template syntax are text like any other.
    for text in ["\u{202e}8765432190\u{202c}", "{{param.token}}{{#each @root}}", "${7*7}", "'; DROP TABLE calls;--"] {
        assert_eq!(json(&serde_json::json!({"a": text}).to_string()).unwrap()["a"], text);
    }
    let nuls = full("\\u0000");
    assert_eq!(json(&format!("\"{nuls}\"")).unwrap().as_str().unwrap().chars().next(), Some('\u{fffd}'));
    assert!(json(&format!("\"{}\"", full("\\ud800"))).is_ok());
    assert_eq!(form(&format!("a={}", full("%00"))).unwrap()["a"].as_str().unwrap().chars().next(), Some('\u{fffd}'));
    assert_eq!(xml("<a>\0</a>"), Err(Code::BadXml));
}

#[test]
fn a_number_that_is_no_json_does_not_become_json() {
    for body in ["{99999999999999999999:1}", "[099999999999999999999]", "[-99999999999999999999-]", "[99999999999999999999.]", "[--99999999999999999999]"] {
        assert_eq!(json(body), Err(Code::BadJson), "{body}");
    }
    assert_eq!(json("[-99999999999999999999]").unwrap()[0], "-99999999999999999999");
}

#[test]
fn multipart_bodies_that_never_end_are_refused() {
    let read = |body: &str| read(Some(Format::Multipart), "multipart/form-data; boundary=x", body.as_bytes());
    assert_eq!(read(&full("--x\r\n")), Err(Code::BadForm));
    assert_eq!(read(&full("-")), Err(Code::BadForm));
    assert_eq!(read(&format!("--x\r\n{}", full("a: b\r\n"))), Err(Code::BadForm));
    let part = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n";
    assert_eq!(read(&format!("{}--x--", part.repeat(3_000))), Err(Code::BadForm));
    assert!(read(&format!("{}--x--", part.repeat(2_000))).is_ok());
}
