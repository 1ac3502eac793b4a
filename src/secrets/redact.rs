//! Takes known secrets out of texts, whatever form they appear in: plain, percent-encoded, JSON-escaped, base64.
//!
//! By value and not by field name: a CRM that echoes a token in an error page is caught too.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::secret::PLACEHOLDER;

/// Shorter secrets are left alone: they would tear holes into every text. Also the length of the beginnings that forms are found by.
const SHORTEST: usize = 6;
type Beginning = [u8; SHORTEST];

/// What browsers leave as it is in a query, besides letters and digits.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// As little as possible is encoded.
const LOOSE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'%').add(b'?').add(b'&').add(b'+');

/// The known secrets in all their forms; build a new one when they change.
///
/// Thousands of lines have thousands of keys, and every header of every webhook is searched: what a byte costs must not grow
/// with the number of secrets.
#[derive(Default)]
pub struct Redactor {
    /// By their first bytes; longest first, so that a secret inside a longer one does not leave its rest.
    by_beginning: HashMap<Beginning, Vec<Vec<u8>>>,
    /// One bit for each pair of bytes that a form begins with; empty without secrets. Most places of a text end here.
    pairs: Vec<u64>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms)", self.by_beginning.values().map(Vec::len).sum::<usize>())
    }
}

impl Redactor {
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        Self::of(secrets.into_iter().flat_map(|secret| forms(secret.trim())))
    }

    /// This one with more secrets.
    #[must_use]
    pub fn and<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        Self::of(self.by_beginning.values().flatten().cloned().chain(secrets.into_iter().flat_map(|secret| forms(secret.trim()))))
    }

    fn of(all: impl Iterator<Item = Vec<u8>>) -> Self {
        let mut redactor = Self::default();
        for form in all {
            let Some(beginning) = form.first_chunk::<SHORTEST>() else { continue };
            if redactor.pairs.is_empty() {
                redactor.pairs = vec![0; 1024];
            }
            let (word, bit) = pair(beginning[0], beginning[1]);
            if let Some(bits) = redactor.pairs.get_mut(word) {
                *bits |= bit;
            }
            redactor.by_beginning.entry(*beginning).or_default().push(form);
        }
        for forms in redactor.by_beginning.values_mut() {
            forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
            forms.dedup();
            forms.shrink_to_fit();
        }
        redactor
    }

    /// The text with `[secret]` in place of every secret; borrowed when there is none.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.replace(text.as_bytes()) {
            None => Cow::Borrowed(text),
            // Forms are whole UTF-8 texts, so what is left around them is too.
            Some(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// The same for bytes of any encoding.
    pub fn bytes<'t>(&self, bytes: &'t [u8]) -> Cow<'t, [u8]> {
        self.replace(bytes).map_or(Cow::Borrowed(bytes), Cow::Owned)
    }

    fn find(&self, bytes: &[u8], from: usize) -> Option<(usize, usize)> {
        if self.pairs.is_empty() {
            return None;
        }
        bytes.get(from..)?.windows(SHORTEST).enumerate().find_map(|(i, window)| {
            let beginning: &Beginning = window.try_into().ok()?;
            let (word, bit) = pair(beginning[0], beginning[1]);
            if self.pairs.get(word)? & bit == 0 {
                return None;
            }
            let here = bytes.get(from + i..)?;
            let form = self.by_beginning.get(beginning)?.iter().find(|form| here.starts_with(form))?;
            Some((from + i, form.len()))
        })
    }

    fn replace(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut found = self.find(bytes, 0)?;
        let mut out = Vec::with_capacity(bytes.len());
        let mut done = 0;
        loop {
            let (at, length) = found;
            out.extend_from_slice(bytes.get(done..at).unwrap_or_default());
            out.extend_from_slice(PLACEHOLDER.as_bytes());
            done = at + length;
            match self.find(bytes, done) {
                Some(next) => found = next,
                None => break,
            }
        }
        out.extend_from_slice(bytes.get(done..).unwrap_or_default());
        Some(out)
    }
}

/// Where the bit of a pair of bytes is.
fn pair(first: u8, second: u8) -> (usize, u64) {
    (usize::from(first) << 2 | usize::from(second >> 6), 1 << (second & 63))
}

fn forms(secret: &str) -> Vec<Vec<u8>> {
    if secret.len() < SHORTEST {
        return Vec::new();
    }
    let mut forms = vec![secret.to_owned()];
    let encoded = |set: &'static AsciiSet| utf8_percent_encode(secret, set).to_string();
    for text in [encoded(NON_ALPHANUMERIC), encoded(QUERY), encoded(LOOSE)] {
        forms.push(text.replace("%20", "+"));
        forms.push(lower_escapes(&text));
        forms.push(text);
    }
    let json = serde_json::Value::from(secret).to_string();
    forms.push(json.trim_matches('"').replace('/', "\\/"));
    if let Some(inside) = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')) {
        forms.push(inside.to_owned());
    }
    forms.extend(base64_forms(secret.as_bytes()));
    // Plain secrets look the same in most forms, and each form is kept for as long as the program runs.
    forms.sort_unstable();
    forms.dedup();
    forms.into_iter().map(String::into_bytes).collect()
}

/// `%2f` for `%2F`; the rest keeps its case.
fn lower_escapes(text: &str) -> String {
    let mut digits_left = 0;
    text.chars()
        .map(|c| match (c, digits_left) {
            ('%', _) => {
                digits_left = 2;
                c
            }
            (_, 0) => c,
            _ => {
                digits_left -= 1;
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

/// The base64 of the secret alone, and the part of it that stays the same inside a longer text such as `user:secret`.
fn base64_forms(secret: &[u8]) -> Vec<String> {
    let mut forms = vec![STANDARD.encode(secret)];
    for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        for offset in 0..3 {
            let padded: Vec<u8> = std::iter::repeat_n(0, offset).chain(secret.iter().copied()).collect();
            let whole = padded.len() / 3 * 3;
            let text = engine.encode(&padded[..whole]);
            // The first group mixes in what stands before the secret.
            forms.push(text.get(if offset == 0 { 0 } else { 4 }..).unwrap_or_default().to_owned());
        }
    }
    // Short pieces would be found by chance.
    forms.retain(|form| form.len() >= 8);
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form() {
        let secret = "pä/ss \"w+rd=x";
        let redactor = Redactor::new([secret]);
        let json = serde_json::json!({ "token": secret }).to_string();
        let url = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
        let form = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>();
        for text in [secret, &json, &json.replace('/', "\\/"), &url, &lower_escapes(&url), &form, &STANDARD.encode(secret)] {
            let text = format!("before {text} after");
            let shown = redactor.text(&text);
            assert!(shown.contains(PLACEHOLDER) && shown.starts_with("before ") && shown.ends_with(" after"), "{text} -> {shown}");
            assert!(!shown.contains("w+rd") && !shown.contains("w%2"), "{shown}");
        }
    }

    #[test]
    fn basic_authentication_is_found_at_every_offset() {
        let redactor = Redactor::new(["a-longer-secret"]);
        for user in ["", "u", "us", "use", "user"] {
            let header = format!("Basic {}", STANDARD.encode(format!("{user}:a-longer-secret")));
            assert!(redactor.text(&header).contains(PLACEHOLDER), "{user}");
        }
    }

    #[test]
    fn a_text_is_searched_for_thousands_of_secrets_in_one_go() {
        let secrets: Vec<String> = (0..5_000).map(|n| format!("line-key-{n:04}-of-many")).collect();
        let redactor = Redactor::new(secrets.iter().map(String::as_str));
        assert_eq!(redactor.text("a line-key-0007-of-many and line-key-4999-of-many, line-key-5000-of-many"), "a [secret] and [secret], line-key-5000-of-many");
        assert_eq!(redactor.text("line-key-0000-of-many"), "[secret]");
        assert_eq!(redactor.text("line-"), "line-");
    }

    #[test]
    fn the_longer_secret_wins_and_nothing_is_copied_without_one() {
        let redactor = Redactor::new(["secret-1", "secret-1-and-more", "short"]);
        assert_eq!(redactor.text("x secret-1-and-more y secret-1 short"), "x [secret] y [secret] short");
        assert!(matches!(redactor.text("nothing to hide"), Cow::Borrowed(_)));
        assert!(matches!(Redactor::default().bytes(b"\xff\xfe"), Cow::Borrowed(_)));
        assert_eq!(redactor.bytes(b"\xffsecret-1\xfe").as_ref(), b"\xff[secret]\xfe");
        assert!(!format!("{redactor:?}").contains("secret-1"));
    }
}
