//! Webhooks as a program with an HMAC secret would send them: 600 bytes of JSON, each another customer.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Bytes of a body.
pub const BODY_BYTES: usize = 600;

pub fn connection_id(n: usize) -> String {
    format!("bench-{n}")
}

pub fn hook_key(n: usize) -> String {
    format!("hook-key-of-bench-connection-{n:06}")
}

pub fn hmac_secret(n: usize) -> String {
    format!("hmac-secret-of-bench-connection-{n:06}")
}

pub fn line_id(n: usize) -> String {
    format!("line-{n}")
}

pub fn line_key(n: usize) -> String {
    format!("LK{:026X}", (n as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060))
}

/// The n-th customer.
pub fn body(n: usize) -> String {
    let start = format!(
        "{{\"phone\":\"09{:08}\",\"name\":\"Nguyễn Thị Minh Khai\",\"gender\":\"Nữ\",\"record_type\":\"lead\",\"record_id\":\"{n}\",\"owner\":\"17\",\"campaign\":{{\"source\":\"facebook\",\"medium\":\"paid\",\"utm\":[\"a\",\"b\",3]}},\"score\":{},\"info\":\"",
        10_000_000 + n % 80_000_000,
        n % 100
    );
    let padding = BODY_BYTES.saturating_sub(start.len() + 2);
    let words = "khách hỏi giá và hẹn gọi lại; ";
    let mut info = words.repeat(padding / words.len());
    info.push_str(&".".repeat(padding - info.len()));
    format!("{start}{info}\"}}")
}

/// The whole request, signed, to a connection's hook.
pub fn request(connection: usize, n: usize) -> Vec<u8> {
    signed(connection, "application/json", body(n).as_bytes())
}

/// Any body, signed, to a connection's hook.
pub fn signed(connection: usize, content_type: &str, body: &[u8]) -> Vec<u8> {
    let signature = Hmac::<Sha256>::new_from_slice(hmac_secret(connection).as_bytes())
        .map(|mut mac| {
            mac.update(body);
            hex::encode(mac.finalize().into_bytes())
        })
        .unwrap_or_default();
    let head = format!(
        "POST /hooks/{}/{} HTTP/1.1\r\nhost: bridge.example.vn\r\nuser-agent: bench/1.0\r\naccept: */*\r\ncontent-type: {content_type}\r\nx-signature: {signature}\r\ncontent-length: {}\r\n\r\n",
        connection_id(connection),
        hook_key(connection),
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Requests `from..from + count`, spread over the connections in turn.
pub fn requests(connections: usize, from: usize, count: usize) -> Vec<Vec<u8>> {
    (from..from + count).map(|n| request(n % connections, n)).collect()
}
