//! The CRM record that asked for a call, and the customer found on it.

use serde::{Deserialize, Serialize};

/// A record in the CRM: its type in the plugin's words and its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct RecordRef {
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
}

/// What the dialer is told as `customerGender` (vietnam.md 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gender {
    Male,
    Female,
    Company,
}

impl Gender {
    /// The dialer's word.
    pub fn dialer_word(self) -> &'static str {
        match self {
            Gender::Male => "Nam",
            Gender::Female => "Nữ",
            Gender::Company => "Công Ty",
        }
    }
}

/// Who is phoned, as the CRM knows them; `phone` is as written there until `phone::normalise` reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Customer {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phone: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gender: Option<Gender>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub info: String,
}

/// The longest texts of a call. One wish must not fill the store or be refused by the dialer for its size, which would hold every line.
const NAME_CHARS: usize = 200;
const PHONE_CHARS: usize = 300;
const INFO_CHARS: usize = 2_000;
/// An id is never cut: it would be another record.
pub const ID_BYTES: usize = 200;

impl Customer {
    /// Cuts what is longer than a phone shows or a person reads.
    pub fn cut(&mut self) {
        for (text, chars) in [(&mut self.phone, PHONE_CHARS), (&mut self.name, NAME_CHARS), (&mut self.info, INFO_CHARS)] {
            cut(text, chars);
        }
    }
}

impl RecordRef {
    pub fn is_too_long(&self) -> bool {
        self.kind.len() > ID_BYTES || self.id.len() > ID_BYTES
    }
}

/// At most so many characters, the last one `…` where there were more.
pub fn cut(text: &mut String, chars: usize) {
    if let Some((end, _)) = text.char_indices().nth(chars) {
        let end = text[..end].char_indices().next_back().map_or(0, |(last, _)| last);
        text.truncate(end);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let mut name = "ễ".repeat(NAME_CHARS + 1);
        cut(&mut name, NAME_CHARS);
        assert_eq!((name.chars().count(), name.chars().last()), (NAME_CHARS, Some('…')));
        let mut whole = "ễ".repeat(NAME_CHARS);
        cut(&mut whole, NAME_CHARS);
        assert!(!whole.contains('…'));
    }
}
