//! Caps of a webhook address that stands in a public form: anybody can read it there, and must not be able to keep a phone busy.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::rate::Rate;
use crate::domain::time::Time;
use crate::domain::window::Recent;

/// `calls.exposed_*`.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    pub per_address: Rate,
    pub per_number: Rate,
    pub per_day: Rate,
}

/// Addresses that are remembered at once; the longest quiet one is forgotten for a new one.
const ADDRESSES: usize = 20_000;

/// What came in by one exposed address of ours. Per number counts the store, which knows the number and keeps it over restarts.
pub struct Doorman {
    caps: Caps,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    all: Recent,
    by_address: HashMap<IpAddr, Recent>,
}

impl Doorman {
    pub fn new(caps: Caps) -> Self {
        Self { caps, state: Mutex::default() }
    }

    /// The cap for calls to one number, which the store counts.
    pub fn per_number(&self) -> Rate {
        self.caps.per_number
    }

    /// Lets one delivery in, or says how long to wait. Senders without an address share one count.
    pub fn admit(&self, from: Option<IpAddr>, now: Time) -> Result<(), Duration> {
        let from = from.map_or(IpAddr::from([0, 0, 0, 0]), |ip| ip.to_canonical());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.by_address.len() >= ADDRESSES && !state.by_address.contains_key(&from) {
            let quietest = state.by_address.iter().min_by_key(|(_, recent)| recent.over_at(self.caps.per_address)).map(|(ip, _)| *ip);
            quietest.and_then(|ip| state.by_address.remove(&ip));
        }
        // The address first: one that is over its cap must not use up the day of the others.
        let mut own = state.by_address.get(&from).cloned().unwrap_or_default();
        let admitted = own.take(self.caps.per_address, now).and_then(|()| state.all.take(self.caps.per_day, now));
        if admitted.is_ok() {
            state.by_address.insert(from, own);
        }
        admitted.map_err(|until| until.since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_795_338_022_000);

    #[test]
    fn one_address_cannot_use_up_what_belongs_to_all() {
        let rate = |text: &str| text.parse().unwrap();
        let door = Doorman::new(Caps { per_address: rate("2/h"), per_number: rate("2/24h"), per_day: rate("3/24h") });
        let ip = |n: u8| Some(IpAddr::from([192, 0, 2, n]));
        let admit = |n, minutes: u64| door.admit(ip(n), NOW.plus(Duration::from_secs(minutes * 60)));
        assert!(admit(1, 0).is_ok() && admit(1, 1).is_ok());
        assert_eq!(admit(1, 2), Err(Duration::from_secs(58 * 60)));
        assert!(admit(2, 3).is_ok());
        assert_eq!(admit(3, 4), Err(Duration::from_secs((24 * 60 - 4) * 60)), "the day is full");
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert!(door.admit(Some(mapped), NOW.plus(Duration::from_secs(120))).is_err(), "the same address, written otherwise");
    }
}
