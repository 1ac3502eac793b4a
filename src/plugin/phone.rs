//! The two ways a phone number is written for a CRM: `+84…` and `0…`.

use crate::domain::phone;
use crate::error::Code;

/// E.164 and national form; what is no number that can be dialled is given back as it is.
pub fn forms(text: &str) -> (String, String) {
    match phone::normalise(text) {
        Ok(phone) => (phone.e164().to_owned(), phone.national()),
        Err(_) => (text.trim().to_owned(), text.trim().to_owned()),
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
    use super::forms;

    #[test]
    fn every_usual_spelling_gives_the_same_two_forms() {
        for text in ["0912345678", "+84 912 345 678", "84912345678", "0084912345678", "912345678", "+84 (0)912.345.678", "091-234-5678"] {
            assert_eq!(forms(text), ("+84912345678".to_owned(), "0912345678".to_owned()), "{text}");
        }
    }
}
