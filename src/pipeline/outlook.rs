//! What would happen to a call now, and why: the answer to "why does it wait" and to "what if". It asks the scheduler's own function.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::app::{App, policy};
use crate::domain::call::{Call, State};
use crate::domain::id::LineId;
use crate::domain::line::LineSettings;
use crate::domain::phone::Phone;
use crate::domain::rule::{Asked, Policy, Ruling, ruling};
use crate::domain::schedule::{Brakes, LinePolicy, LineState, NotNow, may_place};
use crate::domain::time::Time;
use crate::error::Code;
use crate::store::{Store, StoreError};

/// What a call that is queued may expect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outlook {
    /// This line is free for it; `ahead` other calls wait for that line too.
    Now { line: LineId, ahead: usize },
    /// No line takes it now, or a rule holds it; `until` is the earliest moment that is known.
    Waits { code: Code, until: Option<Time>, line: Option<LineId> },
    /// A rule refuses it.
    Refused { code: Code },
}

/// Calls that are thought of as made already: the second number of a list waits for the first.
#[derive(Debug, Default)]
pub struct Thought {
    /// The lines that they would go over.
    pub lines: HashMap<LineId, Planned>,
    /// Placed, by number.
    pub numbers: HashMap<Phone, usize>,
    /// New calls of automation.
    pub new: u32,
}

impl Thought {
    /// As many calls more would go over this line, at once or in their turn.
    pub fn take(&mut self, app: &App, line: &LineId, (calls, interactive): (u16, bool), now: Time) -> Result<(), StoreError> {
        let live = app.live.load();
        let Some(settings) = live.lines.get(line) else { return Ok(()) };
        let planned = match self.lines.entry(line.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Planned { calls: 0, placed: 0, state: state(app, settings, now)? }),
        };
        let (policy, brakes) = (policy(settings), app.store.brakes());
        (0..calls).for_each(|_| planned.take(&policy, &brakes, interactive, now));
        Ok(())
    }
}

/// A line as it would be after calls that are only thought of.
#[derive(Debug)]
pub struct Planned {
    pub calls: u16,
    /// Those of them that would be placed at once: each has a slot, and nobody knows for how long.
    placed: usize,
    /// Their rate and their share of the month are taken.
    state: LineState,
}

impl Planned {
    fn take(&mut self, policy: &LinePolicy, brakes: &Brakes, interactive: bool, now: Time) {
        self.calls = self.calls.saturating_add(1);
        let at = match may_place(policy, &self.state, brakes, interactive, self.placed, now) {
            Ok(()) => {
                self.placed += 1;
                now
            }
            Err(NotNow { code: Code::HoldRate | Code::HoldSilent, until: Some(until) }) => until,
            // When its slot is free nobody knows; the rate and the month count it all the same.
            Err(NotNow { code: Code::HoldBusy, .. }) => now,
            Err(_) => return,
        };
        self.state.spend(policy, self.state.rate_until(policy, at).unwrap_or(at));
    }
}

/// A line's stored state, by the clock that is now.
fn state(app: &App, settings: &LineSettings, now: Time) -> Result<LineState, StoreError> {
    let mut state = app.store.line(&settings.workspace, &settings.id)?;
    state.set_back(now);
    Ok(state)
}

/// What is asked about: a call, or one that might be made.
pub struct Question<'a> {
    pub policy: &'a Policy,
    pub asked: Asked,
    pub phone: &'a Phone,
    pub lines: &'a [LineId],
    /// They are its owner's: from when on it may go over all of these.
    pub then: Option<(Time, &'a [LineId])>,
    /// It would be made now: the brake has a say.
    pub new: bool,
}

/// What would happen: a refusal first, then stop-all, then what the rules hold, then the lines.
pub fn of(app: &App, question: &Question<'_>, thought: &Thought, now: Time) -> Result<Outlook, StoreError> {
    let Question { policy, asked, phone, new, .. } = question;
    let mut history = app.store.history(&policy.workspace, phone, policy, now)?;
    history.placed.extend(std::iter::repeat_n(now, thought.numbers.get(phone).copied().unwrap_or(0)));
    match ruling(policy, asked, &history, now) {
        Ruling::Refuse { code } => return Ok(Outlook::Refused { code }),
        _ if app.store.brakes().stopped.is_some() => return in_turn(app, question, thought, now),
        Ruling::Hold { code, until } => return Ok(Outlook::Waits { code, until, line: None }),
        Ruling::Go => {}
    }
    if *new && !asked.interactive && app.store.brake_room(policy, now)?.is_some_and(|room| room <= thought.new) {
        return Ok(Outlook::Waits { code: Code::HoldBrake, until: None, line: None });
    }
    in_turn(app, question, thought, now)
}

/// Over its owner's line; where that does not take it soon enough, over the others as soon as it may.
fn in_turn(app: &App, question: &Question<'_>, thought: &Thought, now: Time) -> Result<Outlook, StoreError> {
    let asked = &question.asked;
    let own = of_lines(app, question.lines, asked.interactive, thought, now)?;
    let Some((from, all)) = question.then.filter(|(from, _)| *from > now && *from < asked.expires_at) else { return Ok(own) };
    let others = of_lines(app, all, asked.interactive, thought, now)?;
    Ok(sooner_of(own, others, from))
}

/// Of what its owner's line says and what all of its lines say, over which it may go from then on.
fn sooner_of(own: Outlook, all: Outlook, from: Time) -> Outlook {
    let Outlook::Waits { until, line, .. } = &own else { return own };
    if until.is_some_and(|until| until <= from) {
        return own;
    }
    match all {
        Outlook::Waits { until: Some(until), .. } if until <= from => Outlook::Waits { code: Code::HoldOwner, until: Some(from), line: line.clone() },
        Outlook::Now { .. } => Outlook::Waits { code: Code::HoldOwner, until: Some(from), line: line.clone() },
        all if sooner(&all, &own) => all,
        _ => own,
    }
}

/// Over the lines that may place it, the best one.
pub fn of_lines(app: &App, lines: &[LineId], interactive: bool, thought: &Thought, now: Time) -> Result<Outlook, StoreError> {
    let live = app.live.load();
    let brakes = app.store.brakes();
    let mut best = Outlook::Waits { code: Code::NoLine, until: None, line: None };
    for id in lines {
        let Some(settings) = live.lines.get(id) else { continue };
        let stored;
        let (state, also_taken) = match thought.lines.get(id) {
            Some(planned) => (&planned.state, planned.placed),
            None => {
                stored = state(app, settings, now)?;
                (&stored, 0)
            }
        };
        let outlook = match may_place(&policy(settings), state, &brakes, interactive, also_taken, now) {
            Ok(()) => return Ok(Outlook::Now { line: id.clone(), ahead: app.store.waiting(id).ready }),
            // Its call is out because nobody hears of the phone: that it is silent says more than that it is busy.
            Err(not) if not.code == Code::HoldBusy && state.silent_since.is_some() && !interactive => {
                Outlook::Waits { code: Code::HoldSilent, until: None, line: Some(id.clone()) }
            }
            Err(not) => Outlook::Waits { code: not.code, until: not.until, line: Some(id.clone()) },
        };
        if sooner(&outlook, &best) {
            best = outlook;
        }
    }
    Ok(best)
}

impl Outlook {
    /// The line whose turn it waits for, or that is free for it: it takes something of that line from those behind it.
    pub fn takes_of(&self) -> Option<&LineId> {
        match self {
            Outlook::Now { line, .. } => Some(line),
            Outlook::Waits { code: Code::HoldBusy | Code::HoldRate | Code::HoldSilent, line, .. } => line.as_ref(),
            _ => None,
        }
    }
}

/// Why a queued call is not placed yet; `None` for a call that waits for nothing here.
pub fn of_call(app: &App, call: &Call, now: Time) -> Result<Option<Outlook>, StoreError> {
    if call.state != State::Queued {
        return Ok(None);
    }
    let Some(policy) = app.live.load().policy(call.connection.as_ref(), &call.workspace) else {
        return Ok(Some(Outlook::Waits { code: Code::HoldRemoved, until: None, line: None }));
    };
    // A back-off, and the time of one call more, are the call's own; everything else is the line's and may have changed since it was written.
    if let Some(hold) = call.hold
        && matches!(hold.code, Code::HoldBackoff | Code::HoldAgain)
        && hold.until.is_some_and(|until| until > now)
    {
        return Ok(Some(Outlook::Waits { code: hold.code, until: hold.until, line: None }));
    }
    let live = app.live.load();
    // A person chose its lines: when none of them is left, no other takes it.
    if !call.lines.is_empty() && !call.lines.iter().any(|id| live.lines.contains_key(id)) {
        return Ok(Some(Outlook::Waits { code: Code::HoldLineRemoved, until: None, line: None }));
    }
    let (lines, then) = (live.lines_of(call, now), live.after_owner(call));
    let question = Question { policy: &policy, asked: Asked::of(call), phone: &call.phone, lines, then, new: false };
    of(app, &question, &Thought::default(), now).map(Some)
}

/// A hold that a person would have to wait out, known beforehand: its code, if it ends after `limit` or when nobody knows.
pub fn hopeless(outlook: &Outlook, limit: Time) -> Option<Code> {
    match outlook {
        Outlook::Refused { code } => Some(*code),
        // Busy is left out: a slot's time is only its latest end.
        Outlook::Waits { code, until, .. } => {
            let known = matches!(code, Code::HoldStopped | Code::HoldPaused | Code::HoldQuota | Code::HoldRate | Code::HoldDialer | Code::NoLine);
            (known && until.is_none_or(|until| until > limit)).then_some(code.refused())
        }
        Outlook::Now { .. } => None,
    }
}

/// Why a new call for which somebody waits would not go in time.
pub fn in_vain(app: &App, call: &Call, now: Time) -> Result<Option<Code>, StoreError> {
    if !call.interactive {
        return Ok(None);
    }
    Ok(of_call(app, call, now)?.and_then(|outlook| hopeless(&outlook, call.expires_at)))
}

fn sooner(one: &Outlook, other: &Outlook) -> bool {
    match (one, other) {
        (_, Outlook::Waits { code: Code::NoLine, .. }) => true,
        (Outlook::Waits { until: Some(a), .. }, Outlook::Waits { until: Some(b), .. }) => a < b,
        // Busy without a time ends with a call, a pause only by a person.
        (Outlook::Waits { code: Code::HoldBusy, .. }, Outlook::Waits { until: None, .. }) => true,
        (Outlook::Waits { until: Some(_), .. }, Outlook::Waits { until: None, code, .. }) => *code != Code::HoldBusy,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(code: Code, until: Option<i64>) -> Outlook {
        Outlook::Waits { code, until: until.map(Time), line: None }
    }

    #[test]
    fn a_person_hears_at_once_of_a_hold_that_outlasts_the_wait() {
        let limit = Time(1000);
        assert_eq!(hopeless(&waits(Code::HoldPaused, None), limit), Some(Code::RefusedPaused));
        assert_eq!(hopeless(&waits(Code::HoldDialer, Some(1001)), limit), Some(Code::RefusedDialer));
        assert_eq!(hopeless(&waits(Code::HoldDialer, Some(999)), limit), None);
        assert_eq!(hopeless(&waits(Code::HoldRate, Some(1001)), limit), Some(Code::RefusedRate));
        assert_eq!(hopeless(&waits(Code::HoldRate, Some(1000)), limit), None);
        // The slot's time is only its latest end: a report frees it earlier.
        assert_eq!(hopeless(&waits(Code::HoldBusy, Some(5000)), limit), None);
        assert_eq!(hopeless(&Outlook::Now { line: "a".into(), ahead: 3 }, limit), None);
    }

    #[test]
    fn who_waits_for_a_paused_line_of_the_owner_is_told_when_the_others_may_take_it() {
        let (paused, from, own) = (waits(Code::HoldPaused, None), Time(8), waits(Code::HoldOwner, Some(8)));
        let free = Outlook::Now { line: "b".into(), ahead: 0 };
        assert_eq!(sooner_of(paused.clone(), free.clone(), from), own);
        assert_eq!(sooner_of(paused.clone(), waits(Code::HoldRate, Some(7)), from), own);
        assert_eq!(sooner_of(paused.clone(), waits(Code::HoldRate, Some(9)), from), waits(Code::HoldRate, Some(9)));
        assert_eq!(sooner_of(paused.clone(), paused.clone(), from), paused, "then all of them are paused");
        assert_eq!(sooner_of(waits(Code::HoldRate, Some(7)), free.clone(), from), waits(Code::HoldRate, Some(7)));
        assert_eq!(sooner_of(free.clone(), waits(Code::HoldPaused, None), from), free);
        assert_eq!(hopeless(&own, Time(1000)), None);
    }

    #[test]
    fn the_line_that_is_free_first_is_told() {
        assert!(sooner(&waits(Code::HoldRate, Some(1)), &waits(Code::HoldRate, Some(2))));
        assert!(sooner(&waits(Code::HoldBusy, None), &waits(Code::HoldPaused, None)));
        assert!(sooner(&waits(Code::HoldPaused, None), &waits(Code::NoLine, None)));
        assert!(!sooner(&waits(Code::HoldPaused, None), &waits(Code::HoldRate, Some(2))));
    }
}
