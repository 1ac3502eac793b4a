//! Identifiers: UUIDv7 for what happens (16 bytes in keys, prefix + 26 Crockford characters outside), names for what is configured.
//!
//! At most 36 characters of `[a-z0-9_]`: the dialer's limit for `callId` is not documented.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// 26 Crockford base-32 characters of 16 bytes.
pub fn crockford(bytes: [u8; 16]) -> String {
    let n = u128::from_be_bytes(bytes);
    (0..26).map(|i| char::from(ALPHABET[((n >> (125 - 5 * i)) & 31) as usize])).collect()
}

/// The 16 bytes of 26 Crockford characters, in lower case only.
pub fn parse_crockford(text: &str) -> Option<[u8; 16]> {
    if text.len() != 26 {
        return None;
    }
    let mut n: u128 = 0;
    for (i, c) in text.bytes().enumerate() {
        let value = ALPHABET.iter().position(|a| *a == c)? as u128;
        if i == 0 && value > 7 {
            return None;
        }
        n = (n << 5) | value;
    }
    Some(n.to_be_bytes())
}

/// Text that is not an id of the wanted kind.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an id of this kind (expected {1}…)")]
pub struct BadId(pub String, pub &'static str);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// The text before the 26 characters.
            pub const PREFIX: &'static str = $prefix;

            /// From a UUID that the caller made (ids of time order: version 7).
            pub fn from_uuid(id: uuid::Uuid) -> Self {
                Self(*id.as_bytes())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, crockford(self.0))
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                text.strip_prefix($prefix).and_then(parse_crockford).map(Self).ok_or_else(|| BadId(text.to_owned(), $prefix))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

uuid_id!(
    /// One webhook delivery.
    EventId, "evt_");
uuid_id!(
    /// One wish to phone one customer; also the `callId` sent to the dialer.
    CallId, "call_");
uuid_id!(
    /// One try of an outbound request.
    AttemptId, "att_");
uuid_id!(
    /// What we fetch from a CRM, or register there: a digest of its names, not of time order.
    SourceId, "src_");

uuid_id!(
    /// A trouble that the admin is told of; the same for the same trouble.
    AlertId, "alert_");

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub std::sync::Arc<str>);

        impl $name {
            pub fn new(text: &str) -> Self {
                Self(text.into())
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }
    };
}

name_id!(
    /// One customer company. `main` exists by itself.
    WorkspaceId);
name_id!(
    /// One configured use of a plugin.
    ConnectionId);
name_id!(
    /// One Auto Call phone.
    LineId);

impl Default for WorkspaceId {
    fn default() -> Self {
        Self::new("main")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_being_written_and_read() {
        for bytes in [[0u8; 16], [0xff; 16], [7; 16]] {
            let id = CallId(bytes);
            let text = id.to_string();
            assert_eq!(text.len(), 31);
            assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
            assert_eq!(text.parse::<CallId>().unwrap(), id);
        }
    }

    #[test]
    fn text_of_another_kind_is_refused() {
        assert!("evt_00000000000000000000000000".parse::<CallId>().is_err());
        assert!("call_zzzzzzzzzzzzzzzzzzzzzzzzzz".parse::<CallId>().is_err());
    }
}
