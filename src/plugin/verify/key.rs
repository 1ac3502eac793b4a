//! Secrets and public keys in the forms in which admins get them, and the digests made with them.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, Mac};
use ring::signature::{ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::plugin::manifest::{Algorithm, KeyEncoding};

/// Padding or none, as senders differ.
pub const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// Whether two texts are the same, in a time that does not tell where they differ.
pub fn same(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// Several secrets stand with white space between them while one is being rotated. It may also be one that holds a space.
pub fn each(secrets: &str) -> impl Iterator<Item = &str> {
    let whole = secrets.trim();
    whole.contains(char::is_whitespace).then_some(whole).into_iter().chain(whole.split_whitespace())
}

/// Several public keys: PEM blocks, or base64 with white space between them.
pub fn each_public(keys: &str) -> Vec<Vec<u8>> {
    if !keys.contains("-----BEGIN") {
        return each(keys).filter_map(|key| BASE64.decode(key).ok()).collect();
    }
    let blocks = keys.split("-----BEGIN").skip(1).filter_map(|block| {
        let (_, rest) = block.split_once("-----")?;
        let (inner, _) = rest.split_once("-----END")?;
        // A line break that a form or an environment variable kept as two signs.
        let inner: String = inner.replace("\\n", "\n").split_whitespace().collect();
        BASE64.decode(inner).ok()
    });
    blocks.collect()
}

/// The key of an HMAC.
pub fn key(encoding: KeyEncoding, secret: &str) -> Option<Cow<'_, [u8]>> {
    match encoding {
        KeyEncoding::Utf8 => Some(Cow::Borrowed(secret.as_bytes())),
        KeyEncoding::Hex => hex::decode(secret).ok().map(Cow::Owned),
        KeyEncoding::Base64 => BASE64.decode(secret).ok().filter(|key| !key.is_empty()).map(Cow::Owned),
        KeyEncoding::Base64Text => Some(Cow::Owned(BASE64.encode(secret).into_bytes())),
        KeyEncoding::Whsec => BASE64.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).ok().filter(|key| !key.is_empty()).map(Cow::Owned),
    }
}

/// An HMAC over what `feed` gives.
pub fn hmac(algorithm: Algorithm, key: &[u8], feed: impl Fn(&mut dyn FnMut(&[u8]))) -> Option<Vec<u8>> {
    macro_rules! with {
        ($hash:ty) => {{
            let mut mac = Hmac::<$hash>::new_from_slice(key).ok()?;
            feed(&mut |bytes| mac.update(bytes));
            mac.finalize().into_bytes().to_vec()
        }};
    }
    Some(match algorithm {
        Algorithm::Sha1 => with!(Sha1),
        Algorithm::Sha256 => with!(Sha256),
        Algorithm::Sha512 => with!(Sha512),
    })
}

/// An Ed25519 signature; the key raw (32 bytes) or in its SPKI wrapping.
pub fn ed25519(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let raw = if key.len() == 32 { Some(key) } else { unwrapped(key) };
    raw.is_some_and(|raw| raw.len() == 32 && UnparsedPublicKey::new(&ED25519, raw).verify(message, signature).is_ok())
}

/// An RSA signature (PKCS #1 v1.5, SHA-256); the key in its SPKI wrapping or as PKCS #1.
pub fn rsa(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let raw = unwrapped(key).unwrap_or(key);
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, raw).verify(message, signature).is_ok()
}

/// The key inside a SubjectPublicKeyInfo: SEQUENCE { SEQUENCE { algorithm }, BIT STRING }.
fn unwrapped(spki: &[u8]) -> Option<&[u8]> {
    let (inner, rest) = der(0x30, spki)?;
    let (_, inner) = der(0x30, inner).filter(|_| rest.is_empty())?;
    let (bits, rest) = der(0x03, inner)?;
    bits.strip_prefix(&[0]).filter(|_| rest.is_empty())
}

/// One DER value with this tag, and what follows it.
fn der(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (length.iter().fold(0usize, |n, byte| n << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length).filter(|_| *found == tag)
}
