//! Text that must never be shown: keys, tokens, passwords.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq;

/// What stands in place of a secret wherever one would be printed.
pub const PLACEHOLDER: &str = "[secret]";

/// A secret. It is wiped from memory when dropped; `Debug` and serde write `[secret]`, only [`SecretText::expose`] tells it.
#[derive(Clone)]
pub struct SecretText(SecretString);

impl SecretText {
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The secret itself. Hand it on to a request or a comparison, never to a log.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }

    /// Whether `given` is this secret, in a time that does not tell how much of it was right. An empty secret matches nothing.
    pub fn matches(&self, given: &str) -> bool {
        !self.is_empty() && bool::from(self.expose().as_bytes().ct_eq(given.as_bytes()))
    }
}

impl Default for SecretText {
    fn default() -> Self {
        Self::new("")
    }
}

impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        bool::from(self.expose().as_bytes().ct_eq(other.expose().as_bytes()))
    }
}

impl Eq for SecretText {}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "[empty]" } else { PLACEHOLDER })
    }
}

/// An empty secret is written as empty text, so that "not set" can be seen.
impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(if self.is_empty() { "" } else { PLACEHOLDER })
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        if text == PLACEHOLDER {
            // Text that was printed and read again: taking it would replace the real secret without a word.
            return Err(serde::de::Error::custom("`[secret]` stands for a secret; give the secret itself"));
        }
        Ok(Self::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = SecretText::new("hunter2-hunter2");
        assert_eq!(format!("{secret:?}"), "[secret]");
        assert_eq!(serde_json::to_string(&secret).unwrap(), r#""[secret]""#);
        assert_eq!(serde_json::to_string(&SecretText::default()).unwrap(), r#""""#);
    }

    #[test]
    fn a_printed_secret_is_not_read_as_one() {
        assert!(serde_json::from_str::<SecretText>(r#""[secret]""#).is_err());
        assert_eq!(serde_json::from_str::<SecretText>(r#""abc""#).unwrap().expose(), "abc");
    }

    #[test]
    fn an_empty_secret_matches_nothing() {
        assert!(!SecretText::default().matches(""));
        assert!(SecretText::new("k").matches("k"));
        assert!(!SecretText::new("k").matches("kk"));
    }
}
