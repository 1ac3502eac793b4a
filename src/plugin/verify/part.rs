//! The pieces of a signed message.

use std::borrow::Cow;

use crate::domain::event::Delivery;
use crate::plugin::Params;
use crate::plugin::body::query_value;

/// A piece of the signed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Method,
    Uri,
    UriDecoded,
    /// Of the address, without host and query.
    Path,
    Body,
    Secret,
    Header(String),
    Query(String),
    Param(String),
    Text(String),
}

/// The words that parts are written with, for "did you mean".
pub const WORDS: [&str; 6] = ["method", "uri", "uri_decoded", "path", "body", "secret"];

impl Part {
    /// Reads a part as the manifest writes it.
    pub fn parse(text: &str) -> Option<Part> {
        match text.split_once(':') {
            Some(("header", name)) => Some(Part::Header(name.to_ascii_lowercase())),
            Some(("query", name)) => Some(Part::Query(name.to_owned())),
            Some(("param", id)) => Some(Part::Param(id.to_owned())),
            Some(("text", literal)) => Some(Part::Text(literal.to_owned())),
            Some(_) => None,
            None => match text {
                "method" => Some(Part::Method),
                "uri" => Some(Part::Uri),
                "uri_decoded" => Some(Part::UriDecoded),
                "path" => Some(Part::Path),
                "body" => Some(Part::Body),
                "secret" => Some(Part::Secret),
                _ => None,
            },
        }
    }

    pub(super) fn feed(&self, delivery: &Delivery, params: &Params, secret: &str, sink: &mut dyn FnMut(&[u8])) {
        match self {
            Part::Method => sink(delivery.method.as_bytes()),
            Part::Uri => sink(delivery.uri.as_bytes()),
            Part::UriDecoded => sink(uri_decoded(&delivery.uri).as_bytes()),
            Part::Path => sink(path(&delivery.uri).as_bytes()),
            Part::Body => sink(&delivery.body),
            Part::Secret => sink(secret.as_bytes()),
            Part::Header(name) => sink(delivery.header(name).unwrap_or_default().as_bytes()),
            Part::Query(name) => sink(query_value(&delivery.query, name).unwrap_or_default().as_bytes()),
            Part::Param(id) => sink(params.get(id).map(String::as_bytes).unwrap_or_default()),
            Part::Text(text) => sink(text.as_bytes()),
        }
    }
}

fn path(uri: &str) -> &str {
    let after_host = uri.split_once("://").map_or(uri, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
    after_host.split(['?', '#']).next().unwrap_or_default()
}

/// The URI with `%3A %2F %3F %40 %21 %24 %27 %28 %29 %2A %2C %3B` decoded and every other escape kept.
fn uri_decoded(uri: &str) -> Cow<'_, str> {
    if !uri.contains('%') {
        return Cow::Borrowed(uri);
    }
    let mut out = String::with_capacity(uri.len());
    let mut rest = uri;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let decoded = rest.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok()).map(char::from).filter(|c| ":/?@!$'()*,;".contains(*c));
        match decoded {
            Some(c) => {
                out.push(c);
                rest = &rest[at + 3..];
            }
            None => {
                out.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn a_path_has_neither_host_nor_query() {
        for (uri, expected) in [("https://a.vn/hooks/x?b=/c", "/hooks/x"), ("/hooks/x", "/hooks/x"), ("https://a.vn", "/"), ("https://a.vn?x", "/")] {
            assert_eq!(path(uri), expected, "{uri}");
        }
    }
}
