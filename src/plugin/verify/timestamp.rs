//! When a delivery was signed. One signed too long ago, or in the future, is stale.

use std::time::Duration;

use super::scheme::{Evidence, Place, VerifyError};
use crate::domain::time::Time;
use crate::plugin::manifest::TimestampUnit;

#[derive(Debug, Clone)]
pub struct Timestamp {
    /// Not asked for by Standard Webhooks, which has its own.
    pub place: Place,
    pub unit: TimestampUnit,
    pub tolerance: Duration,
}

impl Timestamp {
    pub(super) fn check(&self, evidence: &Evidence<'_>) -> Result<(), VerifyError> {
        let given = self.place.find(evidence).ok_or(VerifyError::Missing)?;
        near(read(&given, self.unit).ok_or(VerifyError::Mismatch)?, evidence.delivery.received_at, self.tolerance)
    }
}

pub(super) fn read(text: &str, unit: TimestampUnit) -> Option<Time> {
    match unit {
        TimestampUnit::Ms => text.trim().parse().ok().map(Time),
        TimestampUnit::S => text.trim().parse::<i64>().ok().map(|s| Time(s.saturating_mul(1000))),
        TimestampUnit::Rfc3339 => Time::parse_rfc3339(text),
    }
}

pub(super) fn near(given: Time, now: Time, tolerance: Duration) -> Result<(), VerifyError> {
    let by = now.since(given).max(given.since(now));
    if by <= tolerance { Ok(()) } else { Err(VerifyError::Stale { by }) }
}
