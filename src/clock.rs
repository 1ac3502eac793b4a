//! The clock: the only module that reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::time::Time;

/// The system's clock, or one that a test sets.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    #[default]
    System,
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands still at `now` until [`Clock::set`].
    pub fn fixed(now: Time) -> Self {
        Clock::Fixed(Arc::new(AtomicI64::new(now.0)))
    }

    pub fn now(&self) -> Time {
        match self {
            Clock::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Clock::Fixed(cell) => Time(cell.load(Ordering::Relaxed)),
        }
    }

    /// Moves a fixed clock; the system's clock stays as it is.
    pub fn set(&self, now: Time) {
        if let Clock::Fixed(cell) = self {
            cell.store(now.0, Ordering::Relaxed);
        }
    }
}

impl Clock {
    /// A new id in time order (UUID version 7).
    pub fn uuid(&self) -> uuid::Uuid {
        uuid::Uuid::now_v7()
    }
}
