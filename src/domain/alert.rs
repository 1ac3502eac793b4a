//! What the admin is told without asking: trouble that lasts, told once when it begins and once when it is over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::connection::Language;
use super::id::{AlertId, WorkspaceId};
use super::param::ParamText;
use super::time::Time;
use crate::error::Code;

/// What kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A line was paused by what the dialer answered.
    LinePaused,
    /// A phone does not report.
    LineSilent,
    /// A CRM refuses our requests.
    ConnectionFailing,
    /// A CRM does not send us what it should: our webhook cannot be registered there.
    NotSubscribed,
    /// A secret ends soon, or has ended.
    SecretEnds,
    /// The dialer as a whole cannot be used.
    Dialer,
    /// More waits than allowed, and it grows.
    Backlog,
    /// A connection's brake holds new calls.
    Brake,
    /// Someone pressed stop.
    Stopped,
}

impl AlertKind {
    pub const ALL: [AlertKind; 9] = [
        AlertKind::LinePaused,
        AlertKind::LineSilent,
        AlertKind::ConnectionFailing,
        AlertKind::NotSubscribed,
        AlertKind::SecretEnds,
        AlertKind::Dialer,
        AlertKind::Backlog,
        AlertKind::Brake,
        AlertKind::Stopped,
    ];

    /// The public word.
    pub fn as_str(self) -> &'static str {
        match self {
            AlertKind::LinePaused => "line_paused",
            AlertKind::LineSilent => "line_silent",
            AlertKind::ConnectionFailing => "connection_failing",
            AlertKind::NotSubscribed => "not_subscribed",
            AlertKind::SecretEnds => "secret_ends",
            AlertKind::Dialer => "dialer",
            AlertKind::Backlog => "backlog",
            AlertKind::Brake => "brake",
            AlertKind::Stopped => "stopped",
        }
    }
}

/// What an alert is about: there is one for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    pub workspace: WorkspaceId,
    pub kind: AlertKind,
    /// A line's or connection's id, or a word; below a connection `<its id>/<name>`.
    pub subject: String,
}

impl About {
    pub fn new(workspace: &WorkspaceId, kind: AlertKind, subject: &str) -> Self {
        Self { workspace: workspace.clone(), kind, subject: subject.to_owned() }
    }

    /// The same for the same.
    pub fn id(&self) -> AlertId {
        let mut hash = Sha256::new();
        for part in [self.workspace.as_str(), self.kind.as_str(), &self.subject] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        AlertId(id)
    }
}

/// A trouble, present or past. The same trouble again is a new episode of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    pub id: AlertId,
    pub workspace: WorkspaceId,
    pub kind: AlertKind,
    pub subject: String,
    pub code: Code,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The beginning of the newest episode.
    pub raised_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleared_at: Option<Time>,
    /// How often it was noticed in this episode.
    pub times: u32,
    /// Who was told what, by the name of the `[[alerts]]` entry.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub told: BTreeMap<String, Told>,
}

/// What one receiver was told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Told {
    /// The episode whose beginning was told, by its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raised: Option<Time>,
    /// The episode whose end was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<Time>,
    /// The last message could not be delivered, and was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// What a receiver has to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    Raised,
    Recovered,
}

impl Alert {
    pub fn is_open(&self) -> bool {
        self.cleared_at.is_none()
    }

    /// What this receiver does not know yet. A trouble that was over before it was told is not told at all.
    pub fn message_for(&self, receiver: &str) -> Option<Message> {
        let told = self.told.get(receiver);
        let knows = told.and_then(|t| t.raised) == Some(self.raised_at);
        match self.is_open() {
            true => (!knows).then_some(Message::Raised),
            false => (knows && told.and_then(|t| t.recovered) != Some(self.raised_at)).then_some(Message::Recovered),
        }
    }

    /// Notes that the receiver was told, or that it was given up with `failed`.
    pub fn note_told(&mut self, receiver: &str, message: Message, failed: Option<String>) {
        let told = self.told.entry(receiver.to_owned()).or_default();
        told.failed = failed;
        match message {
            Message::Raised => told.raised = Some(self.raised_at),
            Message::Recovered => told.recovered = Some(self.raised_at),
        }
    }
}

/// One `[[alerts]]` entry: who is told, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertTarget {
    pub name: String,
    /// Of `templates/alerts/`, or the text of one of your own.
    pub template: String,
    /// Where it is sent, if the template does not say or for a server of your own.
    #[serde(default)]
    pub url: Option<String>,
    #[serde(default)]
    pub language: Language,
    /// Which kinds; empty: all.
    #[serde(default)]
    pub kinds: Vec<AlertKind>,
    #[serde(default)]
    pub workspace: WorkspaceId,
    #[serde(default)]
    pub parameters: BTreeMap<String, ParamText>,
}

impl AlertTarget {
    pub fn wants(&self, alert: &Alert) -> bool {
        // What stops every line stops those of each workspace.
        let concerns_all = matches!(alert.kind, AlertKind::Stopped | AlertKind::Dialer);
        (concerns_all || self.workspace == alert.workspace) && (self.kinds.is_empty() || self.kinds.contains(&alert.kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert() -> Alert {
        let about = About::new(&WorkspaceId::default(), AlertKind::LinePaused, "sales-1");
        let (id, About { workspace, kind, subject }) = (about.id(), about);
        Alert {
            id,
            workspace,
            kind,
            subject,
            code: Code::Dialer2116,
            detail: String::new(),
            raised_at: Time(5),
            cleared_at: None,
            times: 1,
            told: BTreeMap::new(),
        }
    }

    #[test]
    fn each_episode_is_told_once_and_its_end_once() {
        let mut alert = alert();
        assert_eq!(alert.message_for("boss"), Some(Message::Raised));
        alert.note_told("boss", Message::Raised, None);
        assert_eq!((alert.message_for("boss"), alert.message_for("ops")), (None, Some(Message::Raised)));
        alert.cleared_at = Some(Time(9));
        assert_eq!((alert.message_for("boss"), alert.message_for("ops")), (Some(Message::Recovered), None), "ops never heard of it");
        alert.note_told("boss", Message::Recovered, None);
        assert_eq!(alert.message_for("boss"), None);
        (alert.raised_at, alert.cleared_at) = (Time(20), None);
        assert_eq!(alert.message_for("boss"), Some(Message::Raised));
    }

    #[test]
    fn what_stops_everybody_is_told_to_everybody() {
        let target: AlertTarget = serde_json::from_value(serde_json::json!({"name": "boss", "template": "telegram", "workspace": "acme"})).unwrap();
        for (kind, wanted) in [(AlertKind::Stopped, true), (AlertKind::Dialer, true), (AlertKind::LinePaused, false), (AlertKind::Backlog, false)] {
            assert_eq!(target.wants(&Alert { kind, ..alert() }), wanted, "{kind:?}");
        }
        let choosy = AlertTarget { kinds: vec![AlertKind::LineSilent], ..target };
        assert!(!choosy.wants(&Alert { kind: AlertKind::Stopped, ..alert() }));
    }

    #[test]
    fn different_troubles_have_different_ids() {
        let id = |w: &str, kind, s: &str| About::new(&w.into(), kind, s).id();
        assert_eq!(id("main", AlertKind::LinePaused, "a"), id("main", AlertKind::LinePaused, "a"));
        let others = [id("x", AlertKind::LinePaused, "a"), id("main", AlertKind::LineSilent, "a"), id("main", AlertKind::LinePaused, "b")];
        assert!(others.iter().all(|other| *other != id("main", AlertKind::LinePaused, "a")));
    }

    #[test]
    fn kinds_have_their_public_words() {
        for kind in AlertKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
