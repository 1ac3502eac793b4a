//! Standard Webhooks signatures (standardwebhooks.com, symmetric `v1`), to make and to check.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::domain::time::Time;

/// How far a timestamp may be away, as the specification's own libraries have it.
const TOLERANCE_SECS: i64 = 300;

/// The three headers for a body.
pub fn headers(secret: &str, id: &str, body: &[u8], now: Time) -> [(&'static str, String); 3] {
    let timestamp = now.0.div_euclid(1000).to_string();
    let signature = format!("v1,{}", signature(secret, id, &timestamp, body));
    [("webhook-id", id.to_owned()), ("webhook-timestamp", timestamp), ("webhook-signature", signature)]
}

/// Whether one of the given signatures is right and its timestamp near `now`.
pub fn is_right(secret: &str, id: &str, timestamp: &str, signatures: &str, body: &[u8], now: Time) -> bool {
    let near = timestamp.parse::<i64>().is_ok_and(|at| (now.0.div_euclid(1000)).abs_diff(at) <= TOLERANCE_SECS.unsigned_abs());
    let expected = signature(secret, id, timestamp, body);
    let given = signatures.split_whitespace().filter_map(|s| s.strip_prefix("v1,"));
    near && given.into_iter().any(|s| bool::from(s.as_bytes().ct_eq(expected.as_bytes())))
}

fn signature(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    // A secret that is not base64 is taken as it is: people paste their own.
    let bare = secret.trim().strip_prefix("whsec_").unwrap_or(secret.trim());
    let key = STANDARD.decode(bare).unwrap_or_else(|_| bare.as_bytes().to_vec());
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return String::new() };
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_s_own_vector_is_right() {
        let (secret, id, at) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330");
        let body = br#"{"test": 2432232314}"#;
        let signatures = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let now = Time(1_614_265_330_000);
        assert!(is_right(secret, id, at, &format!("v1,AAAA {signatures}"), body, now));
        assert_eq!(headers(secret, id, body, now)[2].1, signatures);
        assert!(!is_right(secret, id, at, signatures, b"{}", now));
        assert!(!is_right(secret, id, at, signatures, body, Time(now.0 + 301_000)));
    }
}
