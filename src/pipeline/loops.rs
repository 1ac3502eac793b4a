//! Which loops of the workers are down: one that panicked, until it runs again.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The loops that are down, by name.
#[derive(Debug, Default)]
pub struct Loops(Mutex<BTreeSet<&'static str>>);

impl Loops {
    fn names(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn fell(&self, name: &'static str) {
        self.names().insert(name);
    }

    pub fn runs(&self, name: &'static str) {
        self.names().remove(name);
    }

    /// The first that is down.
    pub fn down(&self) -> Option<&'static str> {
        self.names().first().copied()
    }
}
