//! Texts that phones sent with their calls, counted per number: how many may go by Decree 91/2020 is little.

use std::time::Duration;

use super::keys::{self, Tree};
use super::tx::Tx;
use crate::domain::call::Call;
use crate::domain::rate::Rate;
use crate::domain::time::Time;
use crate::domain::window::Recent;
use crate::store::verbs::StoreError;

/// Advertising texts to one number.
pub const TEXTS: Rate = Rate { count: 3, period: Duration::from_secs(86_400) };

/// The texts that went to a call's number.
pub fn texts(tx: &Tx<'_>, call: &Call) -> Result<Recent, StoreError> {
    let stored = tx.raw(Tree::Index, &keys::texts(&call.workspace, call.phone.e164()))?.unwrap_or_default();
    Ok(Recent::from_bytes(stored.get(8..).unwrap_or_default()))
}

/// Counts a text that the phone sent with a call.
pub fn count_text(tx: &mut Tx<'_>, call: &Call, now: Time) -> Result<(), StoreError> {
    let mut recent = texts(tx, call)?;
    recent.0.push_back(now);
    let from = now.minus(TEXTS.period);
    recent.0.retain(|at| *at > from);
    let value = [&now.plus(TEXTS.period).0.to_be_bytes()[..], &recent.to_bytes()].concat();
    tx.write_raw(Tree::Index, keys::texts(&call.workspace, call.phone.e164()), value);
    Ok(())
}
