//! `callbridge config explain`: each value and where it came from.

use config::{Value, ValueKind};

use super::layers::{self, join};
use super::load::{Sources, merge};
use super::problem::{ConfigError, Problem};
use crate::domain::secret::PLACEHOLDER;

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Explained {
    /// `connections.shop.lines`
    pub key: String,
    /// As written in a settings file; a secret as `[secret]`, a reference (`env:NAME`) as itself.
    pub value: String,
    /// `built in`, `shop.toml:12` or `environment variable CALLBRIDGE__…`.
    pub from: String,
}

/// Every value in force, by key. References are shown, not followed; files that cannot be read are an error.
pub fn explain(sources: &Sources) -> Result<Vec<Explained>, ConfigError> {
    let mut problems: Vec<Problem> = Vec::new();
    let tree = merge(sources, &mut problems);
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    let mut rows = Vec::new();
    flatten(&tree, "", false, &mut rows);
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(rows)
}

fn flatten(value: &Value, key: &str, secret: bool, rows: &mut Vec<Explained>) {
    if let ValueKind::Table(table) = &value.kind {
        for (name, below) in table {
            flatten(below, &join(key, name), secret || is_secret(name), rows);
        }
        return;
    }
    rows.push(Explained { key: key.to_owned(), value: show(value, secret), from: layers::origin(value).unwrap_or_default() });
}

/// Keys whose values are, or may be, secrets. A plugin's parameters all count: only its manifest knows which are.
fn is_secret(name: &str) -> bool {
    matches!(name, "key" | "old_keys" | "secret_key" | "hook_key" | "parameters")
        || ["token", "password", "secret"].iter().any(|word| name.contains(word) && name != "secrets")
}

fn show(value: &Value, secret: bool) -> String {
    match &value.kind {
        ValueKind::String(text) if text.starts_with("env:") || text.starts_with("file:") || text.is_empty() => format!("{text:?}"),
        // An address with a password inside, as databases have them.
        ValueKind::String(text) if secret || (text.contains("://") && text.contains('@')) => PLACEHOLDER.to_owned(),
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Array(items) => format!("[{}]", items.iter().map(|item| show(item, secret)).collect::<Vec<_>>().join(", ")),
        ValueKind::Table(table) => {
            let mut fields: Vec<String> = table.iter().map(|(name, below)| format!("{name} = {}", show(below, secret || is_secret(name)))).collect();
            fields.sort();
            format!("{{ {} }}", fields.join(", "))
        }
        _ if secret => PLACEHOLDER.to_owned(),
        ValueKind::Nil => String::new(),
        ValueKind::Boolean(value) => value.to_string(),
        ValueKind::I64(number) => number.to_string(),
        ValueKind::U64(number) => number.to_string(),
        ValueKind::I128(number) => number.to_string(),
        ValueKind::U128(number) => number.to_string(),
        ValueKind::Float(number) => number.to_string(),
    }
}
