//! A line's settings: one Auto Call phone.

use serde::{Deserialize, Serialize};

use super::id::{LineId, WorkspaceId};
use super::rate::{Gcra, Rate};
use super::secret::SecretText;

/// One `[[lines]]` entry, or the same shape made in the console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineSettings {
    pub id: LineId,
    #[serde(default)]
    pub workspace: WorkspaceId,
    /// What people see; the id where absent.
    #[serde(default)]
    pub name: Option<String>,
    /// The `secretKey` of the callone API (LẤY in the app's API settings).
    pub secret_key: SecretText,
    /// At most this many calls placed; no limit besides the slots where absent.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// How many calls may go at once after a pause, within `rate`.
    #[serde(default = "one")]
    pub burst: u32,
    /// Calls that may ring or talk at the same time.
    #[serde(default = "one")]
    pub max_in_flight: u32,
    /// Requests per month of the vendor's plan; absent = not counted against anything.
    #[serde(default)]
    pub monthly_quota: Option<u64>,
    /// Starts paused; a pause made in the console or by the dialer's answer is kept in the store, not here.
    #[serde(default)]
    pub paused: bool,
}

fn one() -> u32 {
    1
}

impl LineSettings {
    /// A line with every default.
    pub fn new(id: LineId, secret_key: SecretText) -> Self {
        Self { id, workspace: WorkspaceId::default(), name: None, secret_key, rate: None, burst: 1, max_in_flight: 1, monthly_quota: None, paused: false }
    }

    /// The name people see.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(self.id.as_str())
    }

    /// The limiter of this line, if it has a rate.
    pub fn gcra(&self) -> Option<Gcra> {
        self.rate.map(|rate| Gcra::new(rate, self.burst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_new() {
        let read: LineSettings = serde_json::from_str(r#"{"id":"sales-1","secret_key":"k"}"#).unwrap();
        assert_eq!(read, LineSettings::new("sales-1".into(), "k".into()));
    }

    #[test]
    fn an_unknown_field_is_refused() {
        assert!(serde_json::from_str::<LineSettings>(r#"{"id":"a","secret_key":"k","rat":"6/min"}"#).is_err());
    }
}
