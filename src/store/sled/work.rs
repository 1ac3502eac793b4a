//! The tasks of one kind: when each is due, and which are run now. Never two runs at once for one subject.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::domain::time::Time;
use crate::store::task::Subject;

#[derive(Default)]
pub struct Work {
    due: BTreeSet<(Time, Subject)>,
    at: HashMap<Subject, Time>,
    running: HashSet<Subject>,
    /// Asked for while it ran.
    again: HashMap<Subject, Time>,
}

impl Work {
    /// Work of which nothing is known but what is run now.
    pub fn only_running(self) -> Work {
        Work { running: self.running, ..Work::default() }
    }

    /// A task is wanted; one that is run now is wanted once more.
    pub fn ask(&mut self, subject: Subject, due: Time) {
        if self.running.contains(&subject) {
            self.again.insert(subject, due);
            return;
        }
        if let Some(old) = self.at.insert(subject, due) {
            self.due.remove(&(old, subject));
        }
        self.due.insert((due, subject));
    }

    /// Subjects whose task is due, marked as running.
    pub fn take(&mut self, now: Time, max: usize) -> Vec<Subject> {
        let mut taken = Vec::new();
        while taken.len() < max {
            let Some((due, subject)) = self.due.first().copied().filter(|(due, _)| *due <= now) else { break };
            self.due.remove(&(due, subject));
            self.at.remove(&subject);
            self.running.insert(subject);
            taken.push(subject);
        }
        taken
    }

    /// Who ran it says: again then.
    pub fn next(&mut self, subject: Subject, due: Time) {
        self.running.remove(&subject);
        let due = self.again.remove(&subject).unwrap_or(due);
        self.ask(subject, due);
    }

    pub fn done(&mut self, subject: Subject) {
        self.running.remove(&subject);
        self.again.remove(&subject);
        if let Some(due) = self.at.remove(&subject) {
            self.due.remove(&(due, subject));
        }
    }

    /// Puts a taken task back unless a step has already said what becomes of it.
    pub fn release(&mut self, subject: Subject, due: Time) {
        if self.running.contains(&subject) {
            self.next(subject, due);
        }
    }

    pub fn next_at(&self) -> Option<Time> {
        self.due.first().map(|(due, _)| *due)
    }

    /// How many are due or run.
    pub fn len(&self) -> usize {
        self.due.len() + self.running.len()
    }
}
