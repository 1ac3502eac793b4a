//! `multipart/form-data`, read like a form. Of files only name, type and size are kept.

use serde_json::{Value as Json, json};

use super::charset::{self, parameter};
use super::form::{Fields, visible};
use super::limits::{ParseError, unreadable};
use crate::error::Code;

/// The longest boundary that RFC 2046 allows.
const MAX_BOUNDARY: usize = 70;
/// The most bytes of one part's own headers.
const MAX_HEAD: usize = 8 * 1024;

/// The fields of a multipart body. A boundary that the header does not name is read off the first line.
pub fn decode(body: &[u8], content_type: &str) -> Result<Json, ParseError> {
    let bad = |why: &str| unreadable(Code::BadForm, why);
    let boundary = boundary(body, content_type).ok_or_else(|| bad("the multipart body has no boundary"))?;
    let mut fields = Fields::new();
    // The first boundary may stand at the very beginning; every other one begins a line.
    let mut rest = match body.strip_prefix(boundary.as_slice()) {
        Some(rest) => rest,
        None => after(body, &boundary).ok_or_else(|| bad("the multipart body does not begin with its boundary"))?.1,
    };
    loop {
        if rest.starts_with(b"--") {
            return Ok(fields.finish());
        }
        let part = line_end(rest).ok_or_else(|| bad("a boundary is not alone in its line"))?;
        let (part, next) = after(part, &boundary).ok_or_else(|| bad("the multipart body is cut off"))?;
        add(&mut fields, part)?;
        rest = next;
    }
}

/// With its two dashes.
fn boundary(body: &[u8], content_type: &str) -> Option<Vec<u8>> {
    let named = parameter(content_type, "boundary").filter(|_| content_type.trim_start().to_ascii_lowercase().starts_with("multipart/"));
    let boundary = match named {
        Some(named) => format!("--{named}").into_bytes(),
        None => first_line(body)?.to_vec(),
    };
    (3..=MAX_BOUNDARY + 2).contains(&boundary.len()).then_some(boundary)
}

/// The first line, if it looks like a boundary.
pub fn first_line(body: &[u8]) -> Option<&[u8]> {
    let line = body.split(|byte| *byte == b'\n').next()?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let next = body.get(line.len()..)?.trim_ascii_start();
    let heads = next.get(..20).is_some_and(|head| head.eq_ignore_ascii_case(b"content-disposition:")) || next.starts_with(b"Content-");
    (line.starts_with(b"--") && line.len() > 2 && line.iter().all(|b| b.is_ascii_graphic()) && heads).then_some(line)
}

/// What stands before the next line that begins with the boundary, and what follows the boundary.
fn after<'a>(bytes: &'a [u8], boundary: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut from = 0;
    while let Some(found) = find(&bytes[from..], boundary) {
        let (at, end) = (from + found, from + found + boundary.len());
        let follows = &bytes[end..];
        let whole = follows.starts_with(b"--") || line_end(follows).is_some();
        if whole && (at == 0 || bytes[at - 1] == b'\n') {
            let part = bytes[..at].strip_suffix(b"\n").unwrap_or(&bytes[..at]);
            return Some((part.strip_suffix(b"\r").unwrap_or(part), follows));
        }
        from = at + 1;
    }
    None
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == first) {
        if bytes[from + at..].starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// What follows the end of this line, which may have spaces before it.
fn line_end(bytes: &[u8]) -> Option<&[u8]> {
    let spaces = bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let rest = &bytes[spaces..];
    rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n"))
}

fn add(fields: &mut Fields, part: &[u8]) -> Result<(), ParseError> {
    let bad = |why: &str| unreadable(Code::BadForm, why);
    let (head, content) = head(part).ok_or_else(|| bad("a part has no end of its headers"))?;
    let head = charset::text(head, None)?;
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(n, _)| n.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).next()
    };
    let disposition = header("content-disposition").unwrap_or_default();
    let name = parameter(&disposition, "name").ok_or_else(|| bad("a part has no name"))?;
    let kind = header("content-type").unwrap_or_default();
    if let Some(file) = parameter(&disposition, "filename").or_else(|| parameter(&disposition, "filename*")) {
        return fields.add(&name, json!({"filename": visible(file), "content_type": visible(kind), "size": content.len()}));
    }
    let text = charset::text(content, parameter(&kind, "charset").as_deref())?;
    fields.add(&name, Json::String(visible(text.into_owned())))
}

/// The part's headers and its content, an empty line between them.
fn head(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    for line in part.split_inclusive(|byte| *byte == b'\n') {
        if matches!(line, b"\n" | b"\r\n") {
            return Some((&part[..at], &part[at + line.len()..]));
        }
        at += line.len();
        if at > MAX_HEAD {
            return None;
        }
    }
    None
}
