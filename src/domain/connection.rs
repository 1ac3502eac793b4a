//! A connection's settings: one configured use of a plugin.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::after::AfterRule;
use super::foreign::Countries;
use super::hours::Window;
use super::id::{ConnectionId, LineId, WorkspaceId};
use super::param::ParamText;
use super::rate::{Limit, Rate};
use super::secret::SecretText;
use super::span;
use super::trigger::Trigger;

/// One `[[connections]]` entry, or the same shape made in the console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    pub id: ConnectionId,
    #[serde(default)]
    pub workspace: WorkspaceId,
    /// Id of the plugin.
    pub plugin: String,
    /// What people see; the id where absent.
    #[serde(default)]
    pub name: Option<String>,
    /// The unguessable part of the webhook address; short for one hook named `default`.
    #[serde(default)]
    pub hook_key: Option<SecretText>,
    /// More webhook addresses (a CRM with one address per event).
    #[serde(default)]
    pub hooks: Vec<Hook>,
    /// A hook key of this connection stands in a public form or page: per-address, per-number and daily caps apply.
    #[serde(default)]
    pub exposed: bool,
    /// Lines that may place its calls, in order of preference.
    #[serde(default)]
    pub lines: Vec<LineId>,
    #[serde(default)]
    pub line_choice: LineChoice,
    /// CRM owner → line, for `line_choice = "owner"`.
    #[serde(default)]
    pub owners: BTreeMap<String, LineId>,
    /// How long a call waits for its owner's line before another may take it.
    #[serde(default = "owner_wait", with = "span::text")]
    pub owner_wait: Duration,
    #[serde(default)]
    pub purpose: Purpose,
    #[serde(default)]
    pub mode: Mode,
    /// In `mode = "test"` the dialer gets this number instead of the customer's; absent = nothing is dialled.
    #[serde(default)]
    pub test_phone: Option<String>,
    #[serde(default)]
    pub language: Language,
    /// Webhooks taken per hook key.
    #[serde(default = "inbound_rate")]
    pub inbound_rate: Rate,
    /// The brake: new calls above it wait for a person.
    #[serde(default = "max_new_calls")]
    pub max_new_calls: Limit,
    /// When calls may be placed. See [`Connection::calling_hours`] for what an empty list means.
    #[serde(default)]
    pub hours: Vec<Window>,
    /// IANA name.
    #[serde(default = "time_zone")]
    pub time_zone: String,
    /// Calls to one number across the workspace. See [`Connection::calls_per_number`] for what absent means.
    #[serde(default)]
    pub max_per_number: Option<Limit>,
    /// Countries whose numbers are dialled besides Vietnamese ones.
    #[serde(default)]
    pub countries: Countries,
    /// The same record and number within this time is a duplicate.
    #[serde(default = "duplicate_window", with = "span::text")]
    pub duplicate_window: Duration,
    /// Overrides the plugin's `api` base.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Overrides the plugin's other bases by name.
    #[serde(default)]
    pub base_urls: BTreeMap<String, String>,
    /// What is written into the CRM, in this order; a kind that the plugin does not know is skipped, an empty list writes nothing.
    #[serde(default = "write_back")]
    pub write_back: Vec<Kind>,
    /// Whether a call that ends without a report leaves its sentence on the record too.
    #[serde(default = "yes")]
    pub write_back_unreported: bool,
    /// Overrides what the plugin says about this connection's calls.
    #[serde(default)]
    pub priority: Option<Priority>,
    /// Overrides the instance's `calls.expire_interactive`.
    #[serde(default, with = "span::optional")]
    pub expire_interactive: Option<Duration>,
    /// Overrides the instance's `calls.expire_automation`.
    #[serde(default, with = "span::optional")]
    pub expire_automation: Option<Duration>,
    /// Overrides the instance's `calls.max_age`.
    #[serde(default, with = "span::optional")]
    pub max_age: Option<Duration>,
    /// Put numbers on the do-not-call list when the customer was `not_interested`.
    #[serde(default)]
    pub learn_do_not_call: bool,
    /// What follows from a result.
    #[serde(default)]
    pub after: Vec<AfterRule>,
    /// Own note template by name (`answered`, `no_answer`, `lost` …), over those that ship.
    #[serde(default)]
    pub notes: BTreeMap<String, String>,
    /// Which records mean a call; absent: all that the plugin does not ignore.
    #[serde(default)]
    pub trigger: Option<Trigger>,
    /// The plugin's parameters.
    #[serde(default)]
    pub parameters: BTreeMap<String, ParamText>,
}

/// One webhook address of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    pub name: String,
    pub hook_key: SecretText,
    #[serde(default)]
    pub exposed: bool,
    /// Over the connection's own.
    #[serde(default)]
    pub parameters: BTreeMap<String, ParamText>,
}

/// How the line is chosen when a call is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineChoice {
    /// The first of `lines` that is free.
    #[default]
    First,
    /// The line of the record's owner in the CRM.
    Owner,
    RoundRobin,
    LeastBusy,
}

/// Why customers are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Confirmations, appointments, call-backs that the customer asked for.
    #[default]
    Care,
    /// Decree 91/2020's rules apply.
    Advertising,
}

/// Whether calls are placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Off,
    /// The full flow, but the dialer gets `test_phone` or nothing, and the note says so. What the console makes starts here.
    Test,
    #[default]
    Live,
}

/// The language of notes and sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    #[default]
    Vi,
    En,
}

impl Language {
    pub fn as_str(self) -> &'static str {
        match self {
            Language::Vi => "vi",
            Language::En => "en",
        }
    }

    /// Which of the two it is.
    pub fn of<T>(self, (vi, en): (T, T)) -> T {
        match self {
            Language::Vi => vi,
            Language::En => en,
        }
    }
}

/// What can be written back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An entry in the CRM's call log.
    Call,
    Note,
    /// Fields of the record itself.
    Field,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Call => "call",
            Kind::Note => "note",
            Kind::Field => "field",
        }
    }
}

/// Who waits for the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Someone clicked and waits.
    Interactive,
    #[default]
    Automation,
}

fn owner_wait() -> Duration {
    Duration::from_secs(600)
}
fn inbound_rate() -> Rate {
    Rate { count: 50, period: Duration::from_secs(1) }
}
fn max_new_calls() -> Limit {
    Limit::Rate(Rate { count: 60, period: Duration::from_secs(3600) })
}
fn time_zone() -> String {
    "Asia/Ho_Chi_Minh".to_owned()
}
fn duplicate_window() -> Duration {
    Duration::from_secs(600)
}
fn write_back() -> Vec<Kind> {
    vec![Kind::Call, Kind::Note]
}
fn yes() -> bool {
    true
}

impl Connection {
    /// A connection with every default and nothing to call with.
    pub fn new(id: ConnectionId, plugin: &str) -> Self {
        Self {
            id,
            workspace: WorkspaceId::default(),
            plugin: plugin.to_owned(),
            name: None,
            hook_key: None,
            hooks: Vec::new(),
            exposed: false,
            lines: Vec::new(),
            line_choice: LineChoice::default(),
            owners: BTreeMap::new(),
            owner_wait: owner_wait(),
            purpose: Purpose::default(),
            mode: Mode::default(),
            test_phone: None,
            language: Language::default(),
            inbound_rate: inbound_rate(),
            max_new_calls: max_new_calls(),
            hours: Vec::new(),
            time_zone: time_zone(),
            max_per_number: None,
            countries: Countries::default(),
            duplicate_window: duplicate_window(),
            base_url: None,
            base_urls: BTreeMap::new(),
            write_back: write_back(),
            write_back_unreported: true,
            priority: None,
            expire_interactive: None,
            expire_automation: None,
            max_age: None,
            learn_do_not_call: false,
            after: Vec::new(),
            notes: BTreeMap::new(),
            trigger: None,
            parameters: BTreeMap::new(),
        }
    }

    /// The name people see.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(self.id.as_str())
    }

    /// Every webhook address: `hook_key` as the hook `default`, then `hooks`.
    pub fn all_hooks(&self) -> Vec<Hook> {
        let first =
            self.hook_key.as_ref().map(|key| Hook { name: "default".to_owned(), hook_key: key.clone(), exposed: self.exposed, parameters: BTreeMap::new() });
        first.into_iter().chain(self.hooks.iter().cloned()).collect()
    }

    /// The hook of this key; all keys are compared, in constant time each.
    pub fn hook(&self, key: &str) -> Option<Hook> {
        self.all_hooks().into_iter().fold(None, |found, hook| if hook.hook_key.matches(key) { Some(hook) } else { found })
    }

    /// The parameters in force at `hook`: its own ones over the connection's.
    pub fn parameters_at(&self, hook: &Hook) -> BTreeMap<String, ParamText> {
        let mut parameters = self.parameters.clone();
        parameters.extend(hook.parameters.iter().map(|(id, value)| (id.clone(), value.clone())));
        parameters
    }

    /// The windows in force: the given ones, else any time for care and 08:00–17:00 every day for advertising. Empty = any time.
    pub fn calling_hours(&self) -> Vec<Window> {
        match (self.hours.is_empty(), self.purpose) {
            (true, Purpose::Advertising) => vec![Window::ADVERTISING],
            _ => self.hours.clone(),
        }
    }

    /// The cap per number in force: the given one, else 3 in 24 h for care (holds) and 1 in 24 h for advertising (refuses).
    pub fn calls_per_number(&self) -> Limit {
        let day = |count| Limit::Rate(Rate { count, period: Duration::from_secs(86_400) });
        self.max_per_number.unwrap_or(match self.purpose {
            Purpose::Care => day(3),
            Purpose::Advertising => day(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_new() {
        let read: Connection = serde_json::from_str(r#"{"id":"c","plugin":"p"}"#).unwrap();
        assert_eq!(read, Connection::new("c".into(), "p"));
    }

    #[test]
    fn what_is_shown_holds_no_secret() {
        let mut connection = Connection::new("c".into(), "p");
        connection.hook_key = Some("key-of-the-hook".into());
        connection.hooks.push(Hook { name: "x".into(), hook_key: "key-of-x".into(), exposed: false, parameters: BTreeMap::new() });
        connection.parameters.insert("token".into(), "token-of-theirs".into());
        let shown = serde_json::to_string(&connection).unwrap() + &format!("{connection:?}");
        assert!(!shown.contains("key-of") && !shown.contains("token-of"), "{shown}");
    }

    #[test]
    fn a_hook_is_found_by_its_key() {
        let mut connection = Connection::new("c".into(), "p");
        connection.hook_key = Some("k1".into());
        let parameters = BTreeMap::from([("secret".to_owned(), ParamText::new("of-the-hook"))]);
        connection.parameters.insert("secret".into(), "of-the-connection".into());
        connection.hooks.push(Hook { name: "lead".into(), hook_key: "k2".into(), exposed: false, parameters });
        assert_eq!(connection.hook("k1").unwrap().name, "default");
        let lead = connection.hook("k2").unwrap();
        assert_eq!(connection.parameters_at(&lead)["secret"].expose(), "of-the-hook");
        assert_eq!(connection.hook(""), None);
    }

    #[test]
    fn advertising_brings_the_decrees_hours_and_cap() {
        let mut connection = Connection::new("c".into(), "p");
        assert!(connection.calling_hours().is_empty());
        connection.purpose = Purpose::Advertising;
        assert_eq!(connection.calling_hours(), [Window::ADVERTISING]);
        assert_eq!(connection.calls_per_number().to_string(), "1/24h");
    }
}
