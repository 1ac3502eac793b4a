//! Bytes to text. What is UTF-8 is read as that, whatever the header says; else the declared charset counts.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::limits::{ParseError, unreadable};
use crate::error::Code;

/// The text of a body; `declared` is the charset of its header or its own first line, if it names one.
pub fn text<'a>(bytes: &'a [u8], declared: Option<&str>) -> Result<Cow<'a, str>, ParseError> {
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => return utf8(rest).map(Cow::Borrowed),
        [0xff, 0xfe, rest @ ..] => return other(UTF_16LE, rest),
        [0xfe, 0xff, rest @ ..] => return other(UTF_16BE, rest),
        _ => {}
    }
    unmarked(bytes, declared)
}

/// The same for a piece of a body: what looks like a byte order mark at its beginning is none.
pub fn unmarked<'a>(bytes: &'a [u8], declared: Option<&str>) -> Result<Cow<'a, str>, ParseError> {
    match (utf8(bytes), declared.and_then(|label| Encoding::for_label(label.trim().as_bytes()))) {
        (Err(_), Some(encoding)) if encoding != UTF_8 => other(encoding, bytes),
        (read, _) => read.map(Cow::Borrowed),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, ParseError> {
    std::str::from_utf8(bytes).map_err(|error| unreadable(Code::BadEncoding, format!("not UTF-8 at byte {}", error.valid_up_to())))
}

fn other<'a>(encoding: &'static Encoding, bytes: &'a [u8]) -> Result<Cow<'a, str>, ParseError> {
    encoding
        .decode_without_bom_handling_and_without_replacement(bytes)
        .ok_or_else(|| unreadable(Code::BadEncoding, format!("neither UTF-8 nor {}", encoding.name())))
}

/// A parameter of a `Content-Type` or `Content-Disposition`: `charset`, `boundary`, `name`. Quotes are taken off.
pub fn parameter(header: &str, name: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    while !rest.trim().is_empty() {
        let (key, after) = rest.split_once('=')?;
        let (value, next) = value(after.trim_start());
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = next.split_once(';').map_or("", |(_, rest)| rest);
    }
    None
}

/// The value at the beginning, quoted or not, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut out = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (out, &quoted[at + 1..]),
            // Browsers write a quote as %22 and leave a backslash alone; others escape both with a backslash.
            '\\' if quoted[at + 1..].starts_with(['"', '\\']) => out.extend(chars.next().map(|(_, c)| c)),
            _ => out.push(c),
        }
    }
    (out, "")
}
