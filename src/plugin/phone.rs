//! The ways a phone number is written for a CRM: `+84…`, `0…`, and the spellings under which it may be kept there.

use crate::domain::phone::{self, Phone, PhoneError};
use crate::error::Code;

/// E.164 and national form; what is no number that can be dialled is given back as it is.
pub fn forms(text: &str) -> (String, String) {
    match read(text) {
        Some(phone) => (phone.e164().to_owned(), phone.national()),
        None => (text.trim().to_owned(), text.trim().to_owned()),
    }
}

/// Every usual spelling, the likeliest first; of what is no number only itself.
pub fn spellings(text: &str) -> Vec<String> {
    match read(text) {
        Some(phone) => phone.spellings(),
        None if text.trim().is_empty() => Vec::new(),
        None => vec![text.trim().to_owned()],
    }
}

/// A Vietnamese number, or one of another country as it stands: whether that is dialled was decided before.
fn read(text: &str) -> Option<Phone> {
    match phone::normalise(text) {
        Ok(phone) => Some(phone),
        Err(PhoneError::Foreign) => Phone::of_e164(&format!("+{}", phone::foreign_digits(text)?)),
        Err(_) => None,
    }
}

/// Whether a call could be made to it.
pub fn check(text: &str) -> Result<(), Code> {
    if text.trim().is_empty() {
        return Err(Code::MissingPhone);
    }
    phone::normalise(text).map(|_| ()).map_err(|e| e.code())
}

#[cfg(test)]
mod tests {
    use super::{forms, spellings};

    #[test]
    fn every_usual_spelling_gives_the_same_two_forms() {
        for text in ["0912345678", "+84 912 345 678", "84912345678", "0084912345678", "912345678", "+84 (0)912.345.678", "091-234-5678"] {
            assert_eq!(forms(text), ("+84912345678".to_owned(), "0912345678".to_owned()), "{text}");
        }
        for text in ["+65 6123 4567", "006561234567"] {
            assert_eq!(forms(text), ("+6561234567".to_owned(), "006561234567".to_owned()), "{text}");
            assert_eq!(spellings(text), ["+6561234567", "6561234567", "006561234567"], "{text}");
        }
        assert_eq!((spellings("  "), spellings("call me")), (vec![], vec!["call me".to_owned()]));
    }
}
