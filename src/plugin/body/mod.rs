//! From bytes to values: JSON, forms with brackets, multipart and XML, each bounded in depth, number and memory.
//!
//! The rules are the table "Parsing rules" of `docs/PLUGINS.md`, which `tests` runs line by line.

mod charset;
mod form;
mod json;
mod limits;
mod multipart;
mod sniff;
mod xml;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;

pub use form::query_value;
pub use json::decode_utf8 as decode_json;
pub use limits::{ParseError, unreadable};
pub use sniff::{Format, Reading, decode, format, is_list};
