//! A connection's turn: its CRM's rate and how many requests it takes at once. Nobody waits inside a worker for it: work whose
//! turn has not come goes back with the time at which it will, so that one slow CRM never holds up another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::rate::Gcra;
use crate::domain::time::Time;
use crate::store::Subject;

/// How soon to look again when every place is taken; grows with the number that look.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Two workers that looked at the clock one after the other may come the other way round.
const MIXED_UP: Duration = Duration::from_secs(1);

/// The limits of one connection.
pub struct Turns {
    rate: Option<Gcra>,
    at_once: usize,
    places: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
}

/// Budgets that several connections share, by their name.
#[derive(Default)]
pub struct Budgets(Mutex<HashMap<String, Arc<Turns>>>);

impl Budgets {
    /// These turns over the budget of this name: rate, patience and places are then one for all. A connection with another number
    /// of places (one that goes one at a time) keeps its own.
    pub fn share(&self, name: &str, turns: Arc<Turns>) -> Arc<Turns> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = all.entry(name.to_owned()).or_insert_with(|| Arc::clone(&turns));
        if Arc::ptr_eq(&first.state, &turns.state) {
            return turns;
        }
        let places = if first.at_once == turns.at_once { Arc::clone(&first.places) } else { Arc::clone(&turns.places) };
        Arc::new(Turns { rate: turns.rate, at_once: turns.at_once, places, state: Arc::clone(&first.state) })
    }
}

#[derive(Default)]
struct State {
    arrival_ns: i64,
    /// The first moment that is not promised to anybody.
    promised_until_ns: i64,
    /// The CRM asked for patience until then.
    held_until: Option<Time>,
    /// Turns that were promised: whose, and when.
    promised: HashMap<Subject, Time>,
    /// The latest moment that was asked about: one that is much earlier means that the clock was set back.
    seen: Time,
}

impl State {
    /// Everything that was said by a clock that was set back since is as far away as it was then.
    fn bring_to(&mut self, now: Time) {
        let back = self.seen.since(now);
        if back > MIXED_UP {
            let ns = i64::try_from(back.as_nanos()).unwrap_or(i64::MAX);
            self.arrival_ns = self.arrival_ns.saturating_sub(ns);
            self.promised_until_ns = self.promised_until_ns.saturating_sub(ns);
            self.held_until = self.held_until.map(|until| until.minus(back));
            self.promised.values_mut().for_each(|at| *at = at.minus(back));
            self.seen = now;
        }
        self.seen = self.seen.max(now);
    }
}

/// May the work start?
pub enum Turn {
    Now(OwnedSemaphorePermit),
    /// Not before then. It costs no attempt.
    At(Time),
}

impl Turns {
    pub fn new(rate: Option<Gcra>, at_once: usize) -> Self {
        let at_once = at_once.max(1);
        Self { rate, at_once, places: Arc::new(Semaphore::new(at_once)), state: Arc::default() }
    }

    /// The same limits, whatever is used of them.
    pub fn limits_like(&self, other: &Turns) -> bool {
        (self.rate, self.at_once) == (other.rate, other.at_once)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a turn; a promised turn is kept until it is used.
    pub fn ask(&self, subject: Subject, now: Time) -> Turn {
        let mut state = self.state();
        state.bring_to(now);
        if let Some(until) = state.held_until.filter(|until| *until > now) {
            return Turn::At(until);
        }
        let due = match state.promised.get(&subject) {
            Some(at) if *at > now => return Turn::At(*at),
            Some(_) => None,
            None => self.reserve(&mut state, now),
        };
        if let Some(at) = due {
            state.promised.insert(subject, at);
            return Turn::At(at);
        }
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => {
                if state.promised.remove(&subject).is_some() {
                    self.spend(&mut state, now);
                }
                Turn::Now(place)
            }
            Err(_) => {
                let crowd = Duration::from_millis(u64::try_from(state.promised.len()).unwrap_or(u64::MAX));
                let at = now.plus(LOOK_AGAIN.max(crowd));
                state.promised.insert(subject, at);
                Turn::At(at)
            }
        }
    }

    /// Takes the next free moment of the rate; `None`: it is now. Promised moments stand one behind the other.
    fn reserve(&self, state: &mut State, now: Time) -> Option<Time> {
        let rate = self.rate.as_ref()?;
        let now_ns = now.0.saturating_mul(1_000_000);
        let free = rate.check(state.arrival_ns, now_ns);
        if let (Ok(next), true) = (free, state.promised_until_ns <= now_ns) {
            state.arrival_ns = next;
            return None;
        }
        let at_ns = free.err().unwrap_or(now_ns).max(state.promised_until_ns);
        state.promised_until_ns = at_ns.saturating_add(rate.period_ns);
        Some(Time(at_ns.saturating_add(999_999) / 1_000_000))
    }

    /// Nobody starts before then: the CRM said so, or its budget is used up.
    pub fn hold(&self, until: Time) {
        let mut state = self.state();
        state.held_until = state.held_until.max(Some(until));
    }

    /// A further request of work that has its turn: it counts, but does not wait.
    pub fn count(&self) {
        self.spend(&mut self.state(), Time(0));
    }

    fn spend(&self, state: &mut State, now: Time) {
        if let Some(rate) = &self.rate {
            state.arrival_ns = state.arrival_ns.max(now.0.saturating_mul(1_000_000)).saturating_add(rate.period_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::CallId;
    use crate::domain::rate::Rate;

    const NOW: Time = Time(1_795_338_022_000);

    fn subject(n: u8) -> Subject {
        Subject::Call(CallId([n; 16]))
    }

    fn at(turn: Turn) -> Option<Duration> {
        match turn {
            Turn::Now(_) => None,
            Turn::At(at) => Some(at.since(NOW)),
        }
    }

    #[test]
    fn turns_are_promised_one_after_the_other_and_kept() {
        let turns = Turns::new(Some(Gcra::new(Rate::new(10, Duration::from_secs(1)).unwrap(), 1)), 10);
        let ms = |n| Some(Duration::from_millis(n));
        assert_eq!(at(turns.ask(subject(1), NOW)), None);
        assert_eq!(at(turns.ask(subject(2), NOW)), ms(100));
        assert_eq!(at(turns.ask(subject(3), NOW)), ms(200));
        assert_eq!(at(turns.ask(subject(2), NOW)), ms(100), "asking again costs nothing");
        assert_eq!(at(turns.ask(subject(2), NOW.plus(Duration::from_millis(100)))), None);
    }

    #[test]
    fn a_crm_that_asks_for_patience_is_not_asked() {
        let turns = Turns::new(None, 1);
        turns.hold(NOW.plus(LOOK_AGAIN * 8));
        turns.hold(NOW.plus(LOOK_AGAIN));
        assert_eq!(at(turns.ask(subject(1), NOW)), Some(LOOK_AGAIN * 8));
        assert_eq!(at(turns.ask(subject(1), NOW.plus(LOOK_AGAIN * 8))), None);
    }

    #[test]
    fn connections_that_share_a_budget_wait_for_each_other() {
        let budgets = Budgets::default();
        let own = || Arc::new(Turns::new(Some(Gcra::new(Rate::new(10, Duration::from_secs(1)).unwrap(), 1)), 10));
        let (one, two, other) = (budgets.share("site", own()), budgets.share("site", own()), budgets.share("elsewhere", own()));
        assert_eq!(at(one.ask(subject(1), NOW)), None);
        assert_eq!(at(two.ask(subject(2), NOW)), Some(Duration::from_millis(100)));
        assert_eq!(at(other.ask(subject(3), NOW)), None);
        one.hold(NOW.plus(LOOK_AGAIN * 8));
        assert_eq!(at(two.ask(subject(4), NOW)), Some(LOOK_AGAIN * 8), "who asks one for patience asks both");
    }

    #[test]
    fn a_clock_set_back_an_hour_leaves_every_wait_as_long_as_it_was() {
        let turns = Turns::new(Some(Gcra::new(Rate::new(10, Duration::from_secs(1)).unwrap(), 1)), 10);
        let back = NOW.minus(Duration::from_secs(3600));
        for n in 1..4 {
            turns.ask(subject(n), NOW);
        }
        let wait = |n, now: Time| match turns.ask(subject(n), now) {
            Turn::Now(_) => None,
            Turn::At(at) => Some(at.since(now).as_millis()),
        };
        assert_eq!([wait(2, back), wait(3, back), wait(4, back)], [Some(100), Some(200), Some(300)]);
        turns.hold(back.plus(Duration::from_secs(5)));
        assert_eq!(wait(2, back.minus(Duration::from_secs(3600))), Some(5000));
    }

    #[test]
    fn a_full_house_is_looked_at_again_later() {
        let turns = Turns::new(None, 1);
        let first = turns.ask(subject(1), NOW);
        assert_eq!(at(turns.ask(subject(2), NOW)), Some(LOOK_AGAIN));
        drop(first);
        assert_eq!(at(turns.ask(subject(2), NOW.plus(LOOK_AGAIN))), None);
    }
}
