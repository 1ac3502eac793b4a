//! Vietnamese phone numbers: whatever people type in, as the one form that is compared and dialled.
//!
//! The steps and their order come from the numbering plan's traps: `0841234567` is a mobile and not a country code, `0838221234` is a
//! mobile and not Saigon's old fixed line, a spreadsheet eats the leading zero. Where two readings are possible the number is refused:
//! a refusal costs a look, a wrong number costs a stranger's evening.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Code;

/// A number that may be dialled, kept as E.164 (`+84…`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Phone(String);

/// Why a text is not a number that may be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    #[error("there is no phone number")]
    Empty,
    #[error("the number is not Vietnamese")]
    Foreign,
    #[error("service, emergency and short numbers are never dialled")]
    Service,
    #[error("this is not a phone number that can be dialled")]
    NotANumber,
}

impl PhoneError {
    /// The row of the error table.
    pub fn code(self) -> Code {
        match self {
            PhoneError::Empty => Code::MissingPhone,
            PhoneError::Foreign => Code::ForeignPhone,
            PhoneError::Service => Code::ServiceNumber,
            PhoneError::NotANumber => Code::BadPhone,
        }
    }
}

impl Phone {
    /// `+84912345678`: for comparing, keeping and the CRM.
    pub fn e164(&self) -> &str {
        &self.0
    }

    /// `0912345678`: for the dialer and for people. Of another country as it is dialled from Vietnam: `006561234567`.
    pub fn national(&self) -> String {
        match self.0.strip_prefix("+84") {
            Some(rest) => format!("0{rest}"),
            None => format!("00{}", &self.0[1..]),
        }
    }

    /// Spellings under which a CRM may keep it, the likeliest first: for look-ups that compare text.
    pub fn spellings(&self) -> Vec<String> {
        let (plain, national) = (&self.0[1..], self.national());
        let mut all = vec![self.0.clone(), plain.to_owned(), national.clone()];
        if self.is_vietnamese() {
            let groups =
                |sign: &str| [&national[..national.len() - 6], &national[national.len() - 6..national.len() - 3], &national[national.len() - 3..]].join(sign);
            all.extend([national[1..].to_owned(), groups(" "), groups("."), format!("+84 {}", &groups(" ")[1..])]);
        }
        all
    }

    pub fn is_vietnamese(&self) -> bool {
        self.0.starts_with("+84")
    }

    /// A number in the form it is kept in; `None` if it is not in that form.
    pub fn of_e164(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+').filter(|d| (7..=15).contains(&d.len()) && d.bytes().all(|b| b.is_ascii_digit()) && !d.starts_with('0'))?;
        if digits.starts_with("84") { normalise(text).ok() } else { Some(Self(text.to_owned())) }
    }

    /// `091•••678`: for logs and lists.
    pub fn masked(&self) -> String {
        let national = self.national();
        format!("{}•••{}", &national[..3], &national[national.len() - 3..])
    }

    pub fn is_mobile(&self) -> bool {
        !self.0.starts_with("+842")
    }

    /// `national` is digits only, accepted by [`plan`].
    fn from_national(national: &str) -> Self {
        Self(format!("+84{}", &national[1..]))
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl Serialize for Phone {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Phone {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        // What is stored was read before; by hand it may be written as people do.
        Phone::of_e164(&text).map_or_else(|| normalise(&text).map_err(serde::de::Error::custom), Ok)
    }
}

/// A field longer than this holds no phone number worth looking for.
const MAX_BYTES: usize = 1000;

/// Fewer digits beside words (`Phòng 12`, `sau 17h`) are not what was meant as the number.
const LIKELY_DIGITS: usize = 7;

/// Reads the number in a text as people and programs write it.
pub fn normalise(text: &str) -> Result<Phone, PhoneError> {
    // Cutting it could cut a number into somebody else's.
    if text.len() > MAX_BYTES {
        return Err(PhoneError::NotANumber);
    }
    let text = clean(text);
    if says_nothing(&text) {
        return Err(PhoneError::Empty);
    }
    let text = spreadsheet_number(&text)?.unwrap_or(text);
    let meant = meant(&text).ok_or(PhoneError::NotANumber)?;
    let first_of_several = meant.starts.iter().find_map(|at| {
        let (left, right) = meant.digits.split_at(*at);
        if right.len() >= 9 { national(left, meant.plus).ok() } else { None }
    });
    first_of_several.map_or_else(|| national(&meant.digits, meant.plus), Ok).map(|national| Phone::from_national(&national))
}

/// All numbers in a text that may hold several.
pub fn every(text: &str) -> Vec<Phone> {
    if text.len() > MAX_BYTES {
        return Vec::new();
    }
    let text = clean(text);
    if says_nothing(&text) {
        return Vec::new();
    }
    let text = match spreadsheet_number(&text) {
        Ok(Some(number)) => number,
        Ok(None) => text,
        Err(_) => return Vec::new(),
    };
    let has_words = text.chars().any(char::is_alphabetic);
    let likely = runs(&text).into_iter().filter(|run| !has_words || run.digits.len() >= LIKELY_DIGITS);
    likely.flat_map(|run| parts(&run)).map(|national| Phone::from_national(&national)).collect()
}

/// The numbers of a run: cut where a group that begins with 0 leaves a whole number on its left.
fn parts(run: &Run) -> Vec<String> {
    let (mut found, mut from) = (Vec::new(), 0);
    for at in run.starts.iter().copied() {
        if run.digits.len() - at >= 9
            && let Ok(left) = national(&run.digits[from..at], run.plus && from == 0)
        {
            found.push(left);
            from = at;
        }
    }
    found.extend(national(&run.digits[from..], run.plus && from == 0));
    found
}

/// The digits that are meant as the number.
fn meant(text: &str) -> Option<Run> {
    let mut runs = runs(text);
    let has_words = text.chars().any(char::is_alphabetic);
    let likely = runs.iter().position(|run| !has_words || run.digits.len() >= LIKELY_DIGITS).unwrap_or(0);
    (likely < runs.len()).then(|| runs.swap_remove(likely))
}

/// Country code and number of a text that [`normalise`] finds foreign.
pub fn foreign_digits(text: &str) -> Option<String> {
    let run = meant(&clean(text))?;
    if run.plus { Some(run.digits) } else { run.digits.strip_prefix("00").map(str::to_owned) }
}

/// One script of digits, one kind of dash and space, nothing invisible.
fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '０'..='９' => push_digit(&mut out, c, '０'),
            '٠'..='٩' => push_digit(&mut out, c, '٠'),
            '۰'..='۹' => push_digit(&mut out, c, '۰'),
            '＋' | '﹢' => out.push('+'),
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '－' => out.push('-'),
            // Zero-width and direction marks, soft hyphen, byte order mark, combining marks.
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{ad}' | '\u{feff}' | '\u{300}'..='\u{36f}' => {}
            '\n' | '\r' => out.push('\n'),
            c if c.is_whitespace() || c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    for (coded, plain) in [("%2B", "+"), ("%2b", "+"), ("%20", " "), ("&nbsp;", " "), ("&#43;", "+")] {
        if out.contains(coded) {
            out = out.replace(coded, plain);
        }
    }
    out.trim().to_owned()
}

fn push_digit(out: &mut String, c: char, zero: char) {
    out.extend(char::from_digit(u32::from(c) - u32::from(zero), 10));
}

/// Words that programs and people leave in an empty field.
fn says_nothing(text: &str) -> bool {
    const WORDS: [&str; 17] = [
        "null",
        "none",
        "nil",
        "n/a",
        "na",
        "undefined",
        "false",
        "nan",
        "empty",
        "không",
        "khong",
        "không có",
        "khong co",
        "chưa có",
        "chua co",
        "ko có",
        "ko co",
    ];
    let word = text.to_lowercase();
    WORDS.contains(&word.as_str()) || !text.chars().any(char::is_alphanumeric)
}

/// A number that a spreadsheet or a float made of a phone number: `9.12345678E8`, `912345678.0`. `None` if it is no such thing.
///
/// `9.12346E+08` is refused: the digits that were rounded away belong to somebody else.
fn spreadsheet_number(text: &str) -> Result<Option<String>, PhoneError> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if let Some((whole, zeros)) = text.rsplit_once('.')
        && digits(whole.strip_prefix('+').unwrap_or(whole))
        && whole.len() >= LIKELY_DIGITS
        && digits(zeros)
        && zeros.bytes().all(|b| b == b'0')
        // A number that was made a float has lost its 0 in front: `0912345.000` is a person's way of writing.
        && (!whole.starts_with('0') || national(whole, false).is_ok())
    {
        return Ok(Some(whole.to_owned()));
    }
    let Some((mantissa, exponent)) = text.split_once(['E', 'e']) else { return Ok(None) };
    let (first, rest) = mantissa.trim_start_matches('+').split_once(['.', ',']).unwrap_or((mantissa, ""));
    let bare = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if first.len() != 1 || !digits(first) || !(rest.is_empty() || digits(rest)) || !digits(bare) {
        return Ok(None);
    }
    let places: usize = bare.parse().ok().filter(|places| *places < 16).ok_or(PhoneError::NotANumber)?;
    // `E8` is a program's exact way of writing, which leaves out zeros at the end; `E+08` is a spreadsheet's display, rounded to fit.
    let exact = bare == exponent && !bare.starts_with('0') && rest.len() >= 5;
    if exponent.starts_with('-') || rest.len() > places || (rest.len() < places && !exact) {
        return Err(PhoneError::NotANumber);
    }
    Ok(Some(format!("{first}{rest:0<places$}")))
}

/// Digits that belong together, and whether a plus came first.
#[derive(Debug, Default)]
struct Run {
    plus: bool,
    digits: String,
    /// Where a group that begins with 0 begins: there a second number may start.
    starts: Vec<usize>,
}

/// Steps 1 to 3: splits at `,` `;` `/` and line breaks, at words (an extension, a name), and at a dash followed by a space and a new 0.
fn runs(text: &str) -> Vec<Run> {
    let mut found = Vec::new();
    let mut run = Run::default();
    let mut rest = text;
    let mut in_group = false;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let joins = c.is_ascii_digit() || (c.is_whitespace() && c != '\n') || ".-()[]'\"’‘“”`´_·•=".contains(c);
        if c == '+' || !joins || (c == '-' && after.trim_start_matches(' ').starts_with('0') && after.starts_with(' ')) {
            finish(&mut run, &mut found);
            run.plus = c == '+';
        } else if c.is_ascii_digit() {
            if !in_group && c == '0' && !run.digits.is_empty() {
                run.starts.push(run.digits.len());
            }
            run.digits.push(c);
        } else if let Some(after_zero) = trunk_zero(&run, rest) {
            rest = after_zero;
            in_group = false;
            continue;
        }
        in_group = c.is_ascii_digit();
        rest = after;
    }
    finish(&mut run, &mut found);
    found
}

fn finish(run: &mut Run, found: &mut Vec<Run>) {
    let run = std::mem::take(run);
    if !run.digits.is_empty() {
        found.push(run);
    }
}

/// What follows a `(0)` written after the country code.
fn trunk_zero<'a>(run: &Run, rest: &'a str) -> Option<&'a str> {
    let code = if run.plus { (1..=3).contains(&run.digits.len()) } else { run.digits == "84" || run.digits == "0084" };
    let inside = rest.strip_prefix('(').filter(|_| code)?;
    inside.trim_start().strip_prefix('0')?.trim_start().strip_prefix(')')
}

/// Steps 4 to 8: the national form of digits, `0912345678` or `02838221234`.
fn national(digits: &str, plus: bool) -> Result<String, PhoneError> {
    if digits.bytes().all(|b| b == b'0') {
        return Err(PhoneError::NotANumber);
    }
    let with_code = if plus { Some(digits.strip_prefix("84")) } else { digits.strip_prefix("00").map(|rest| rest.strip_prefix("84")) };
    if let Some(own_code) = with_code {
        let rest = own_code.ok_or(PhoneError::Foreign)?;
        return if is_service(rest) { Err(PhoneError::Service) } else { plan(&zero_in_front(rest)) };
    }
    match (digits.len(), digits.as_bytes().first()) {
        (11 | 12, Some(b'8')) if digits.starts_with("84") => plan(&zero_in_front(&digits[2..])),
        (9, Some(b'3' | b'5' | b'7' | b'8' | b'9')) | (10, Some(b'2')) => plan(&format!("0{digits}")),
        _ => plan(digits),
    }
}

fn zero_in_front(rest: &str) -> String {
    format!("0{}", rest.strip_prefix('0').unwrap_or(rest))
}

/// Steps 7 and 8: the migration of 2018, then the shapes of today's numbering plan.
fn plan(digits: &str) -> Result<String, PhoneError> {
    if digits.len() == 11 && ["012", "016", "018", "019"].iter().any(|old| digits.starts_with(old)) {
        let (old, number) = digits.split_at(4);
        let new = MIGRATED.iter().find_map(|row| row.strip_prefix(old)).ok_or(PhoneError::NotANumber)?;
        return Ok(format!("{}{number}", new.trim_start()));
    }
    match (digits.len(), digits.as_bytes()) {
        (10, [b'0', b'3' | b'5' | b'7' | b'8' | b'9', ..]) | (11, [b'0', b'2', ..]) => Ok(digits.to_owned()),
        // People write a zero before a hotline too: 01900 1234.
        _ if is_service(digits) || (digits.len() > 6 && digits.strip_prefix('0').is_some_and(is_service)) => Err(PhoneError::Service),
        _ => Err(PhoneError::NotANumber),
    }
}

/// 1800 and 1900 with 4 to 6 more digits; emergency and short numbers of 3 to 5.
fn is_service(digits: &str) -> bool {
    let long = digits.starts_with("1800") || digits.starts_with("1900");
    (long && (8..=10).contains(&digits.len())) || (!digits.starts_with('0') && (3..=5).contains(&digits.len()))
}

/// Prefixes of 11-digit mobiles and what they became on 15 September 2018.
const MIGRATED: [&str; 21] = [
    "0120 070", "0121 079", "0122 077", "0126 076", "0128 078", "0123 083", "0124 084", "0125 085", "0127 081", "0129 082", "0162 032", "0163 033", "0164 034",
    "0165 035", "0166 036", "0167 037", "0168 038", "0169 039", "0186 056", "0188 058", "0199 059",
];
