//! Stored work: what a worker has to do, when, and how often it tried. A restart in a pause neither loses nor hurries it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::id::{AlertId, CallId, ConnectionId, EventId, SourceId};
use crate::domain::time::Time;

/// The kinds of work, each with its own queue so that a backlog of one does not stop another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum TaskKind {
    /// Split an event into items and map them.
    Map = 1,
    /// Look up one item and map it.
    Lookup = 2,
    /// Write a call's result into the CRM.
    WriteBack = 3,
    /// Send a drop-in call's report to its caller.
    Forward = 4,
    /// Tell receivers of an alert.
    Alert = 5,
    /// Fetch records from a CRM, keep alive what we registered there. It is never done.
    Poll = 6,
}

impl TaskKind {
    pub const ALL: [TaskKind; 6] = [TaskKind::Map, TaskKind::Lookup, TaskKind::WriteBack, TaskKind::Forward, TaskKind::Alert, TaskKind::Poll];
    /// Those that come to an end.
    pub const ENDING: [TaskKind; 5] = [TaskKind::Map, TaskKind::Lookup, TaskKind::WriteBack, TaskKind::Forward, TaskKind::Alert];

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            TaskKind::Map => "map",
            TaskKind::Lookup => "lookup",
            TaskKind::WriteBack => "write_back",
            TaskKind::Forward => "forward",
            TaskKind::Alert => "alert",
            TaskKind::Poll => "poll",
        }
    }

    /// Its place in arrays over [`TaskKind::ALL`].
    pub fn index(self) -> usize {
        self as usize - 1
    }
}

/// What a task is about; with the kind it is the task's key: there is at most one of a kind for a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    Event(EventId),
    Item(EventId, u16),
    Call(CallId),
    Alert(AlertId),
    Source(SourceId),
}

/// A stored task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub kind: TaskKind,
    pub subject: Subject,
    pub due: Time,
    /// Attempts made so far.
    #[serde(default)]
    pub tries: u32,
    /// When the first attempt was due, moved on by all waiting of our own: what lies between it and `due` are the pauses that tries cost.
    pub first_due: Time,
    /// The start of the process that wrote it; a task of an earlier one may have been under way when that ended.
    pub epoch: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionId>,
}

impl Task {
    /// How long it has been tried: its pauses after attempts. Turns, limits, searches that lag and the time when nothing ran do not count.
    pub fn tried_for(&self) -> Duration {
        self.due.since(self.first_due)
    }

    /// The same work again at `due`. `counted`: the pause after an attempt that costs one of its tries; else only time goes by.
    pub fn again(&mut self, due: Time, counted: Option<Duration>) {
        let tried_for = self.tried_for().saturating_add(counted.unwrap_or_default());
        self.tries += u32::from(counted.is_some());
        (self.first_due, self.due) = (due.minus(tried_for), due);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pauses_after_attempts_count_as_time_in_which_it_was_tried() {
        let (now, hour) = (Time(1_795_338_022_000), Duration::from_secs(3600));
        let subject = Subject::Call(CallId([1; 16]));
        let mut task = Task { kind: TaskKind::WriteBack, subject, due: now, tries: 0, first_due: now, epoch: 1, connection: None };
        task.again(now.plus(hour * 5), None);
        assert_eq!((task.tries, task.tried_for()), (0, Duration::ZERO), "its turn came late");
        task.again(now.plus(hour * 8), Some(hour));
        assert_eq!((task.tries, task.tried_for(), task.due), (1, hour, now.plus(hour * 8)), "it ran two hours late, and then a pause was asked for");
        task.again(now.plus(hour * 9), None);
        assert_eq!((task.tries, task.tried_for()), (1, hour));
    }
}
