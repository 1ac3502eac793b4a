//! Which format a body has, by what the plugin says or by its content, and the one way in to all readers.

use serde_json::Value as Json;

use super::charset::parameter;
use super::limits::{Budget, ParseError, unreadable};
use super::{form, json, multipart, xml};
use crate::domain::event::Delivery;
use crate::error::Code;

/// How bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Form,
    Multipart,
    Xml,
    /// The query string instead of the body.
    Query,
}

/// What a receive variant says about its bodies.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading<'a> {
    /// `None`: by the content, whatever the header says.
    pub format: Option<Format>,
    /// Fields that hold JSON as text.
    pub json_fields: &'a [String],
    /// XML elements that are lists though there be only one of them.
    pub lists: &'a [String],
}

/// The format a body is read in.
pub fn format(said: Option<Format>, delivery: &Delivery) -> Format {
    match said {
        Some(Format::Form) if content_type(delivery).starts_with("multipart/") => Format::Multipart,
        Some(format) => format,
        None => sniffed(delivery),
    }
}

fn sniffed(delivery: &Delivery) -> Format {
    let body = delivery.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&delivery.body).trim_ascii_start();
    match body.first() {
        None => Format::Query,
        Some(b'{' | b'[') => Format::Json,
        Some(b'<') => Format::Xml,
        // UTF-16 says nothing by its first byte.
        Some(0xff | 0xfe) if content_type(delivery).contains("xml") => Format::Xml,
        Some(0xff | 0xfe) => Format::Json,
        Some(_) if content_type(delivery).starts_with("multipart/") || multipart::first_line(body).is_some() => Format::Multipart,
        Some(_) => Format::Form,
    }
}

/// Whether the body is a list (`true`) or one record; a form and XML always are one record.
pub fn is_list(format: Format, delivery: &Delivery) -> Option<bool> {
    if format != Format::Json {
        return Some(false);
    }
    let body = delivery.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&delivery.body);
    match body.trim_ascii_start().first() {
        Some(b'[') => Some(true),
        Some(b'{') => Some(false),
        _ => None,
    }
}

/// Reads a body.
pub fn decode(reading: Reading<'_>, delivery: &Delivery) -> Result<Json, ParseError> {
    let content_type = content_type(delivery);
    let charset = parameter(&content_type, "charset");
    let charset = charset.as_deref();
    let body = &delivery.body;
    let mut read = match format(reading.format, delivery) {
        Format::Json => json::decode(body, charset).or_else(|error| match error.code {
            // A form may begin with a bracket too.
            Code::BadJson if reading.format.is_none() && content_type.contains("form-urlencoded") => form::decode(body, charset),
            Code::BadJson if content_type.contains("form") || content_type.contains("xml") => Err(expected("JSON", &content_type)),
            _ => Err(error),
        }),
        Format::Form if reading.format.is_none() && !may_be_a_form(&content_type) => Err(expected("JSON, XML or a form", &content_type)),
        Format::Form if reading.format.is_some() && content_type.contains("json") && is_list(Format::Json, delivery).is_some() => {
            Err(expected("a form", &content_type))
        }
        Format::Form => form::decode(body, charset),
        Format::Multipart => multipart::decode(body, delivery.header("content-type").unwrap_or_default()),
        Format::Xml => xml::decode(body, charset, reading.lists),
        Format::Query => form::decode(delivery.query.as_bytes(), None),
    }?;
    for field in reading.json_fields {
        if let Some(value) = read.get_mut(field) {
            unfold(value)?;
        }
    }
    Ok(read)
}

fn expected(what: &str, content_type: &str) -> ParseError {
    unreadable(Code::WrongContentType, format!("`{content_type}`, expected {what}"))
}

fn content_type(delivery: &Delivery) -> String {
    delivery.header("content-type").unwrap_or_default().trim().to_ascii_lowercase()
}

/// Scripts that post a form say nothing, `text/plain` or JSON as often as the right type; a picture is never a form.
fn may_be_a_form(content_type: &str) -> bool {
    content_type.is_empty() || content_type.starts_with("text/plain") || content_type.contains("json") || content_type.contains("form-urlencoded")
}

/// Text that is JSON becomes what it says; text that is not stays. Too much of it is refused like any body.
fn unfold(value: &mut Json) -> Result<(), ParseError> {
    match value {
        Json::String(text) => match json::decode_text(text, &mut Budget::new()) {
            Ok(json) => *value = json,
            Err(error) if error.code != Code::BadJson => return Err(error),
            Err(_) => {}
        },
        Json::Array(list) => list.iter_mut().try_for_each(unfold)?,
        _ => {}
    }
    Ok(())
}
