//! JSON, as it is and as senders really write it. One look over the text, before anything is built, counts its depth and cost and
//! finds what has to be written differently so that nothing is lost.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value as Json;

use super::charset;
use super::limits::{Budget, MAX_DEPTH, ParseError, too_deep, unreadable};
use crate::error::Code;

/// Up to here a float holds every integer.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// One JSON document.
pub fn decode(body: &[u8], declared: Option<&str>) -> Result<Json, ParseError> {
    decode_text(&charset::text(body, declared)?, &mut Budget::new())
}

/// One JSON document in UTF-8: an answer.
pub fn decode_utf8(body: &[u8]) -> Result<Json, ParseError> {
    decode(body, None)
}

/// One JSON document that is text already.
pub(super) fn decode_text(text: &str, budget: &mut Budget) -> Result<Json, ParseError> {
    let mut look = Look { text, bytes: text.as_bytes(), at: 0, depth: 0, objects: 0, mended: Mended::default() };
    look.over(budget)?;
    let text = look.mended.finish(text);
    serde_json::from_str(&text).map_err(|error| unreadable(Code::BadJson, format!("line {} column {}", error.line(), error.column())))
}

/// The text with what had to be written differently; nothing is copied where nothing had to.
#[derive(Default)]
struct Mended {
    /// `None`: nothing was written differently so far.
    out: Option<String>,
    /// The text is copied up to here.
    to: usize,
}

impl Mended {
    /// `with` in the place of that piece.
    fn replace(&mut self, text: &str, piece: Range<usize>, with: &str) {
        let out = self.out.get_or_insert_with(|| String::with_capacity(text.len() + text.len() / 8));
        out.push_str(&text[self.to..piece.start]);
        out.push_str(with);
        self.to = piece.end;
    }

    fn finish(self, text: &str) -> Cow<'_, str> {
        let Some(mut out) = self.out else { return Cow::Borrowed(text) };
        out.push_str(&text[self.to..]);
        Cow::Owned(out)
    }
}

struct Look<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    /// One bit per level, the innermost lowest: set in an object.
    objects: u64,
    mended: Mended,
}

impl Look<'_> {
    fn over(&mut self, budget: &mut Budget) -> Result<(), ParseError> {
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.string();
                    continue;
                }
                b'-' | b'0'..=b'9' => {
                    self.number();
                    continue;
                }
                b'[' | b'{' => {
                    self.depth += 1;
                    if self.depth > MAX_DEPTH {
                        return Err(too_deep());
                    }
                    self.objects = self.objects << 1 | u64::from(*byte == b'{');
                    if *byte == b'{' { budget.object()? } else { budget.element()? }
                }
                b']' | b'}' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.objects >>= 1;
                }
                b',' if self.objects & 1 == 1 => budget.member(0)?,
                b',' => budget.element()?,
                _ => {}
            }
            self.at += 1;
        }
        Ok(())
    }

    /// Over a string: a NUL and half a surrogate pair are shown as �, a raw line break or tab is what it looks like.
    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.at += 1;
                    return;
                }
                b'\\' => self.escape(),
                b'\n' => self.fix(1, "\\n"),
                b'\r' => self.fix(1, "\\r"),
                b'\t' => self.fix(1, "\\t"),
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) {
        match self.unicode(self.at) {
            None => self.at += 2,
            Some(0xd800..=0xdbff) if matches!(self.unicode(self.at + 6), Some(0xdc00..=0xdfff)) => self.at += 12,
            Some(0 | 0xd800..=0xdfff) => self.fix(6, "\\ufffd"),
            Some(_) => self.at += 6,
        }
    }

    /// The unit that `\uXXXX` at `at` stands for.
    fn unicode(&self, at: usize) -> Option<u32> {
        let hex = self.bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        if !hex.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        u32::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
    }

    fn fix(&mut self, length: usize, with: &'static str) {
        self.mended.replace(self.text, self.at..self.at + length, with);
        self.at += length;
    }

    /// Over a number: one whose digits no number can hold becomes text.
    fn number(&mut self) {
        let from = self.at;
        while self.bytes.get(self.at).is_some_and(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        // Where a key should be, a number is an error that stays one.
        let key = self.bytes[self.at..].iter().find(|b| !b.is_ascii_whitespace()) == Some(&b':');
        if self.at - from > 15 && !key && loses_digits(&self.bytes[from..self.at]) {
            self.mended.replace(self.text, from..from, "\"");
            self.mended.replace(self.text, self.at..self.at, "\"");
        }
    }
}

/// Whether this is a right JSON number without an exponent that neither 64 bits nor a float can hold.
fn loses_digits(number: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(number) else { return false };
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, fraction)| (whole, Some(fraction)));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || (whole.len() > 1 && whole.starts_with('0')) || !fraction.is_none_or(all_digits) {
        return false;
    }
    match fraction {
        None => text.parse::<i64>().is_err() && text.parse::<u64>().is_err(),
        Some(_) => text.parse::<f64>().is_ok_and(|n| n.abs() > EXACT),
    }
}
