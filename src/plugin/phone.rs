//! The two ways a phone number is written for a CRM: `+84…` and `0…`.
//!
//! Only for helpers and transcripts: what may be dialled is decided elsewhere.

use crate::error::Code;

/// E.164 and national form; other text is given back without its separators.
pub fn forms(text: &str) -> (String, String) {
    let kept: String = text.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
    let digits = kept.trim_start_matches('+');
    let subscriber = if kept.starts_with("+84") || (digits.starts_with("84") && digits.len() >= 11) {
        digits.get(2..).map(|rest| rest.trim_start_matches('0'))
    } else if let Some(rest) = digits.strip_prefix("0084") {
        Some(rest.trim_start_matches('0'))
    } else if !kept.starts_with('+') && digits.starts_with('0') && !digits.starts_with("00") {
        digits.get(1..)
    } else if !kept.starts_with('+') && digits.len() == 9 && digits.starts_with(['3', '5', '7', '8', '9']) {
        Some(digits)
    } else {
        None
    };
    match subscriber.filter(|s| (8..=10).contains(&s.len())) {
        Some(subscriber) => (format!("+84{subscriber}"), format!("0{subscriber}")),
        None => (kept.clone(), kept),
    }
}

/// Whether a transcript would call this number; the whole truth is the domain's.
pub fn check(text: &str) -> Result<(), Code> {
    if text.trim().is_empty() {
        return Err(Code::MissingPhone);
    }
    let (e164, national) = forms(text);
    match (e164.starts_with("+84"), national.len()) {
        (true, 10 | 11) => Ok(()),
        (false, _) if e164.starts_with('+') => Err(Code::ForeignPhone),
        _ => Err(Code::BadPhone),
    }
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
