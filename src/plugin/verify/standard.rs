//! <https://www.standardwebhooks.com>: `v1,` signatures over `id.timestamp.body`, several with a space between; also with svix's header names.

use std::time::Duration;

use base64::Engine;

use super::key::{self, BASE64};
use super::scheme::{Evidence, VerifyError};
use super::timestamp;
use crate::plugin::manifest::{Algorithm, TimestampUnit};

/// The tolerance of the specification.
const TOLERANCE: Duration = Duration::from_secs(300);

pub(super) fn check(evidence: &Evidence<'_>, secret: &str, tolerance: Option<Duration>) -> Result<(), VerifyError> {
    let delivery = evidence.delivery;
    let header = |name: &str| delivery.header(&format!("webhook-{name}")).or_else(|| delivery.header(&format!("svix-{name}")));
    let (Some(id), Some(time), Some(signatures)) = (header("id"), header("timestamp"), header("signature")) else { return Err(VerifyError::Missing) };
    let signatures: Vec<Vec<u8>> = signatures.split_whitespace().filter_map(|one| one.strip_prefix("v1,")).filter_map(|one| BASE64.decode(one).ok()).collect();
    let right = key::each(secret).flat_map(keys).any(|key| {
        let computed = mac(&key, id, time, &delivery.body);
        computed.is_some_and(|computed| signatures.iter().any(|signature| key::same(&computed, signature)))
    });
    if !right {
        return Err(VerifyError::Mismatch);
    }
    let given = timestamp::read(time, TimestampUnit::S).ok_or(VerifyError::Mismatch)?;
    timestamp::near(given, delivery.received_at, tolerance.unwrap_or(TOLERANCE))
}

/// The signature header as we send it ourselves.
pub fn sign(secret: &str, id: &str, time: &str, body: &[u8]) -> Option<String> {
    let key = keys(secret).into_iter().next()?;
    Some(format!("v1,{}", BASE64.encode(mac(&key, id, time, body)?)))
}

fn mac(key: &[u8], id: &str, time: &str, body: &[u8]) -> Option<Vec<u8>> {
    key::hmac(Algorithm::Sha256, key, |sink| [id.as_bytes(), b".", time.as_bytes(), b".", body].into_iter().for_each(sink))
}

/// `whsec_` and base64; a secret without that beginning may also be meant as it is.
fn keys(secret: &str) -> Vec<Vec<u8>> {
    match secret.strip_prefix("whsec_") {
        Some(encoded) => BASE64.decode(encoded).into_iter().filter(|key| !key.is_empty()).collect(),
        None => std::iter::once(secret.as_bytes().to_vec()).chain(BASE64.decode(secret).ok().filter(|key| !key.is_empty())).collect(),
    }
}
