//! What nobody should send: the status of the contract, an answer that says what to fix, something the admin can see, and no panic.

use std::time::{Duration, Instant};

use base64::Engine;
use callbridge::domain::call::State;
use callbridge::domain::item::Outcome;
use callbridge::error::Code;
use callbridge::simulator::mood::Mood;
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::bridge::{Fixture, HOOK_KEY, Setup, hook_path};
use super::wire::{self, Raw};

const JSON: &str = "Content-Type: application/json";
const GOOD: &[u8] = br#"{"phone":"0912345678","record_id":"1001"}"#;

async fn bridge() -> Fixture {
    Setup::new(Mood::Answers).with(|s| s.lines[0].paused = true).start().await
}

/// The answer is this problem, and tells what to do.
fn problem(answer: &Raw, code: Code) {
    assert_eq!(answer.status, code.entry().status, "{answer:?}");
    assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"));
    let body = answer.json();
    assert_eq!((body["code"].as_str(), body["status"].as_u64()), (Some(code.as_str()), Some(u64::from(answer.status))));
    assert!(!body["title"].as_str().unwrap().is_empty() && !body["advice"].as_str().unwrap().is_empty(), "{body}");
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    assert!(!String::from_utf8_lossy(&answer.body).contains(HOOK_KEY));
}

/// Refused, and the admin sees it.
async fn refused(f: &Fixture, headers: &[&str], body: &[u8], code: Code) {
    let before = f.rejected().len();
    problem(&f.deliver_bytes(headers, body).await, code);
    let rejected = f.rejected();
    assert_eq!(rejected.len(), before + 1);
    let newest = rejected.iter().max_by_key(|r| r.at).unwrap();
    assert!(rejected.iter().any(|r| r.code == code && r.body_bytes == newest.body_bytes), "{rejected:?}");
    assert!(f.events().is_empty());
}

/// Taken, but no call comes of it; the event says why.
async fn no_call(body: serde_json::Value, code: Code) {
    let f = bridge().await;
    assert_eq!(f.deliver(&body).await.status, 200);
    let outcomes = f.outcomes().await;
    assert!(matches!(&outcomes[..], [Outcome::Refused { code: found, .. }] if *found == code), "{body}: {outcomes:?}");
    assert!(f.calls().is_empty());
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_json() {
    let f = bridge().await;
    for body in [&b"{"[..], b"{\"phone\":0912345678}", b"{\"phone\":\"0912\",}", b"[1,", b"{\"a\":1}{\"a\":2}"] {
        refused(&f, &[JSON], body, Code::BadJson).await;
    }
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_content_type() {
    let f = bridge().await;
    for kind in ["application/xml", "image/png", "application/octet-stream"] {
        let before = f.rejected().len();
        let answer = f.deliver_bytes(&[&format!("Content-Type: {kind}")], b"<lead><phone>0912345678</lead>").await;
        assert!(matches!(answer.status, 415 | 422), "{kind}: {answer:?}");
        assert!(!answer.json()["advice"].as_str().unwrap().is_empty());
        assert_eq!((f.rejected().len(), f.events().len()), (before + 1, 0));
    }
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_2_mb() {
    let f = bridge().await;
    let body = format!(r#"{{"phone":"0912345678","info":"{}"}}"#, "x".repeat(2 << 20));
    refused(&f, &[JSON], body.as_bytes(), Code::TooLarge).await;
    // Chunked, so that nobody knows before.
    let mut socket = TcpStream::connect(&f.address).await.unwrap();
    let head = format!("POST {} HTTP/1.1\r\nHost: {}\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n", hook_path(), f.address);
    socket.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    for _ in 0..32 {
        if socket.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let _ = socket.write_all(b"0\r\n\r\n").await;
    problem(&wire::answer(&mut socket, Duration::from_secs(10)).await.unwrap(), Code::TooLarge);
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smaller_limit_of_the_admin_s_own() {
    let f = Setup::new(Mood::Answers).with(|s| s.server.max_body_bytes = 100).start().await;
    refused(&f, &[JSON], format!(r#"{{"phone":"0912345678","info":"{}"}}"#, "x".repeat(100)).as_bytes(), Code::TooLarge).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_utf_8() {
    let f = bridge().await;
    refused(&f, &[JSON], b"{\"phone\":\"0912345678\",\"name\":\"\xff\xfe\"}", Code::BadEncoding).await;
    refused(&f, &["Content-Type: application/x-www-form-urlencoded"], b"phone=0912345678&name=%ff%fe", Code::BadEncoding).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_nesting() {
    let f = bridge().await;
    for body in ["[".repeat(500_000), format!("{}1{}", r#"{"a":"#.repeat(5000), "}".repeat(5000))] {
        refused(&f, &[JSON], body.as_bytes(), Code::TooDeep).await;
    }
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_records_at_once() {
    let f = bridge().await;
    let records: Vec<_> = (0..501).map(|n| json!({"phone": "0912345678", "id": n})).collect();
    refused(&f, &[JSON], json!(records).to_string().as_bytes(), Code::TooManyItems).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_phone() {
    no_call(json!({"name": "Lan", "record_id": "1001"}), Code::MissingPhone).await;
    no_call(json!({"phone": "  ", "record_id": "1001"}), Code::MissingPhone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_phone() {
    no_call(json!({"phone": "+1 202 555 0123", "record_id": "1001"}), Code::ForeignPhone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_nobody_can_dial() {
    no_call(json!({"phone": "09123", "record_id": "1001"}), Code::BadPhone).await;
    no_call(json!({"phone": "113", "record_id": "1001"}), Code::ServiceNumber).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_or_missing_signature() {
    let f = Setup::new(Mood::Answers).parameter("hmac_secret", "secret-of-the-tests").start().await;
    let mut mac = Hmac::<Sha256>::new_from_slice(b"secret-of-the-tests").unwrap();
    mac.update(GOOD);
    let right = format!("X-Signature: {}", hex::encode(mac.finalize().into_bytes()));
    refused(&f, &[JSON, "X-Signature: 00ff"], GOOD, Code::BadSignature).await;
    refused(&f, &[JSON, &right.replace(": ", ": 0")], GOOD, Code::BadSignature).await;
    refused(&f, &[JSON, &right], &[GOOD, b" "].concat(), Code::BadSignature).await;
    refused(&f, &[JSON], GOOD, Code::MissingSignature).await;
    // A body that cannot be read is no excuse: who sent it is asked first.
    let answer = f.deliver_bytes(&[JSON, &right], GOOD).await;
    assert_eq!((answer.status, f.events().len()), (200, 1));
    let kept = f.rejected().iter().map(|r| r.excerpt.clone()).collect::<String>();
    assert!(!kept.contains("secret-of-the-tests"));
    f.until("the right one is called", |f| f.calls().pop()).await;
    f.until("it is over", |f| f.notes(f.calls()[0].id).pop()).await;
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_timestamp() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let f = Setup::new(Mood::Answers).parameter("webhook_secret", secret).with(|s| s.lines[0].paused = true).start().await;
    let key = base64::engine::general_purpose::STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap();
    let signed = |at: i64| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("msg_1.{at}.").as_bytes());
        mac.update(GOOD);
        let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
        [JSON.to_owned(), "webhook-id: msg_1".into(), format!("webhook-timestamp: {at}"), format!("webhook-signature: v1,{signature}")]
    };
    let now = f.now().0 / 1000;
    for at in [now - 3600, now + 3600] {
        let headers = signed(at);
        refused(&f, &headers.each_ref().map(String::as_str), GOOD, Code::StaleSignature).await;
    }
    let headers = signed(now);
    assert_eq!(f.deliver_bytes(&headers.each_ref().map(String::as_str), GOOD).await.status, 200);
    f.finish().await;
}

/// Nothing is kept of what has no address here: anybody could fill the list.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_connection_or_key() {
    let f = bridge().await;
    for path in ["/hooks/nobody/hook-key-of-the-tests-0001", "/hooks/crm/hook-key-of-the-tests-0002", "/hooks/crm/x", "/hooks/crm/%ff%fe", "/hooks/crm/x/y/z"] {
        problem(&wire::post(&f.address, path, &[JSON], GOOD).await, Code::UnknownHook);
    }
    assert!(f.rejected().is_empty() && f.events().is_empty());
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_inbound_rate() {
    let f = Setup::new(Mood::Answers).connection(|c| c.inbound_rate = "2/min".parse().unwrap()).with(|s| s.lines[0].paused = true).start().await;
    for n in 0..2 {
        assert_eq!(f.deliver(&json!({"phone": "0912345678", "id": n, "event_id": format!("e{n}")})).await.status, 200);
    }
    let answer = f.deliver(&json!({"phone": "0912345678", "event_id": "e3"})).await;
    problem(&answer, Code::OverLimit);
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full() {
    let f = Setup::new(Mood::Answers).with(|s| s.store.reserve_mib = u64::MAX / (2 << 20)).start().await;
    let answer = f.deliver_bytes(&[JSON], GOOD).await;
    problem(&answer, Code::CannotStore);
    assert!(answer.header("retry-after").is_some());
    assert!(f.events().is_empty() && f.calls().is_empty());
    f.finish().await;
}

/// A body that drips is cut off, and nobody else waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn slow_loris_with_its_body() {
    let f = Setup::new(Mood::Answers).with(|s| s.lines[0].paused = true).with(|s| s.server.body_timeout = Duration::from_millis(500)).start().await;
    let mut sockets = Vec::new();
    for _ in 0..200 {
        let mut socket = TcpStream::connect(&f.address).await.unwrap();
        let head = format!("POST {} HTTP/1.1\r\nHost: {}\r\n{JSON}\r\nContent-Length: 1000\r\n\r\n{{", hook_path(), f.address);
        socket.write_all(head.as_bytes()).await.unwrap();
        sockets.push(socket);
    }
    let before = Instant::now();
    assert_eq!(f.deliver_bytes(&[JSON], GOOD).await.status, 200);
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
    for socket in &mut sockets {
        problem(&wire::answer(socket, Duration::from_secs(10)).await.unwrap(), Code::TooSlow);
    }
    f.finish().await;
}

/// The same with the head; the server's limit for heads is 10 s.
#[tokio::test(flavor = "multi_thread")]
async fn slow_loris_with_its_head() {
    let f = bridge().await;
    let mut sockets = Vec::new();
    for _ in 0..200 {
        let mut socket = TcpStream::connect(&f.address).await.unwrap();
        socket.write_all(format!("POST {} HTTP/1.1\r\nHost: x\r\nX-A: ", hook_path()).as_bytes()).await.unwrap();
        sockets.push(socket);
    }
    assert_eq!(f.deliver_bytes(&[JSON], GOOD).await.status, 200);
    for socket in &mut sockets {
        let mut bytes = Vec::new();
        tokio::time::timeout(Duration::from_secs(30), socket.read_to_end(&mut bytes)).await.expect("the connection is closed").unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
    }
    f.finish().await;
}

/// What is no HTTP, and what is HTTP that nobody should write.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_wire() {
    let f = bridge().await;
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"GET\r\n\r\n", b"\0\0\0\0\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n"] {
        let mut socket = TcpStream::connect(&f.address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await.expect("the connection is closed");
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
    let smuggled = format!("POST {} HTTP/1.1\r\nHost: x\r\n{JSON}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", hook_path());
    let answer = wire::send(&f.address, smuggled.as_bytes()).await;
    assert!(answer.is_none_or(|a| a.status >= 400));
    assert_eq!(f.deliver_bytes(&[JSON], GOOD).await.status, 200, "the bridge lives on");
    f.finish().await;
}

/// Only what a variant declares is taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_nobody_declared() {
    let f = bridge().await;
    let request = format!("DELETE {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", hook_path());
    let answer = wire::send(&f.address, request.as_bytes()).await.unwrap();
    assert!(matches!(answer.status, 405 | 422), "{answer:?}");
    assert!(!answer.json()["advice"].as_str().unwrap().is_empty());
    f.finish().await;
}

/// One wish must not fill the store, nor be refused by the dialer for its size, which would hold every line.
#[tokio::test(flavor = "multi_thread")]
async fn a_wish_with_endless_texts_is_cut_and_dialled() {
    let f = Setup::new(Mood::Answers).start().await;
    let id = f.wish_with("0912345678", json!({"name": "Ễ".repeat(50_000), "info": "x".repeat(700_000)})).await;
    let call = f.reaches(id, State::Ended).await;
    assert_eq!((call.customer.name.chars().count(), call.customer.info.chars().count()), (200, 2_000));
    f.logged(id).await;
    assert_eq!(f.deliver(&json!({"phone": "0912345679", "record_id": "r".repeat(5_000)})).await.status, 200);
    let outcomes = f.outcomes().await;
    assert!(matches!(outcomes[..], [Outcome::Refused { code: Code::TooLarge, .. }]), "{outcomes:?}");
    f.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_the_hook_does_not_take() {
    let f = bridge().await;
    for method in ["DELETE"] {
        let request = format!("{method} {} HTTP/1.1\r\nHost: {}\r\n\r\n", hook_path(), f.address);
        assert_eq!(wire::send(&f.address, request.as_bytes()).await.unwrap().status, 405, "{method}");
    }
    f.finish().await;
}
