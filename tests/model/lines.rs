//! How the phones are, as the judge knows it: slots, silence, pauses, the month's requests, and what the admin was told of them.

use std::collections::HashMap;
use std::time::Duration;

use callbridge::domain::alert::Alert;
use callbridge::domain::call::{Call, State};
use callbridge::domain::id::{CallId, LineId};
use callbridge::domain::schedule::{LinePolicy, LineState, month_of};
use callbridge::domain::time::Time;
use callbridge::error::Code;

use crate::ops::Answer;
use crate::setting::{PAUSE_2116, SETTLE, SLOT};

/// A silent phone is tried this often.
const PROBE_EVERY: Duration = Duration::from_secs(900);

/// What a world says of a line.
pub struct Health {
    pub state: LineState,
    /// The alerts that it is paused and that it is silent; `None`: this world tells nobody.
    pub told: Option<[Option<Alert>; 2]>,
}

/// All phones.
#[derive(Default)]
pub struct Phones {
    lines: HashMap<LineId, Phone>,
    /// The clock was set, and what was heard before cannot be compared with what was placed after; or an answer came when its slot was
    /// over, and who noticed what first is anybody's guess; or a report came in the very millisecond of a placing. A line may then be called silent that is not, never the other way round.
    inexact: bool,
    /// The clock was set back, and a slot may be over at any time between its own length from then and what was written.
    set_back: bool,
}

#[derive(Default)]
struct Phone {
    slots: HashMap<CallId, Slot>,
    /// In the order of what happened, whatever the clock says.
    happened: u64,
    heard: u64,
    silent: bool,
    last_placed: Option<Time>,
    paused: Paused,
    /// When the dialer paused it: a pause of the future was written before the clock was set back, and is over.
    paused_at: Time,
    /// The admin was told that it is paused: when, why and until when that held.
    told: Option<(Time, Code, Option<Time>)>,
    /// The admin was told that its month is used up.
    quota_told: bool,
    months: HashMap<String, u64>,
}

struct Slot {
    at: Time,
    placed: u64,
    until: Time,
}

/// Why it is paused, the stronger reason below the weaker one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Paused {
    #[default]
    No,
    /// A probe may try again then.
    Until(Time),
    /// Until a person does something about its key.
    Key,
    /// A person said so.
    Person,
}

impl Phone {
    /// Slots whose time is over are free; a phone that was not heard of since one of them was taken is silent.
    fn look(&mut self, now: Time) {
        let heard = self.heard;
        self.silent |= self.slots.values().any(|slot| slot.until <= now && slot.placed > heard);
        self.slots.retain(|_, slot| slot.until > now);
    }

    fn well(&mut self, now: Time) {
        self.paused = Paused::No;
        if let Some((_, _, over)) = &mut self.told {
            over.get_or_insert(now);
        }
    }

    /// A call that was placed when the pause was over was its probe.
    fn probed(&mut self, call: &Call, now: Time) {
        if let Paused::Until(until) = self.paused
            && call.placing_at.unwrap() >= until
        {
            self.well(now);
        }
    }
}

impl Phones {
    fn of(&mut self, line: &LineId) -> &mut Phone {
        let phone = self.lines.entry(line.clone()).or_default();
        phone.happened += 1;
        phone
    }

    pub fn placed(&mut self, settings: &LinePolicy, call: &Call, now: Time) {
        let set_back = self.set_back;
        let phone = self.of(&settings.id);
        phone.look(now);
        // When a slot was over that was taken before the clock was set back, the world may see later.
        let silent = phone.silent && !set_back;
        assert!(!settings.paused, "placed on a line that is paused in the file");
        assert!(matches!(phone.paused, Paused::No | Paused::Until(_)), "placed on a line that waits for a person: {:?}", phone.paused);
        if let Paused::Until(until) = phone.paused {
            assert!(until <= now || phone.paused_at > now, "placed on a paused line before its probe");
        }
        assert!(phone.slots.len() < settings.max_in_flight as usize, "more in flight than allowed");
        if silent || phone.paused != Paused::No {
            assert!(phone.slots.is_empty(), "more than one call at a time on a line that is not known to be well");
        }
        if silent && !call.interactive {
            assert!(phone.last_placed.is_none_or(|at| now >= at.plus(PROBE_EVERY) || now < at), "automation piled onto a silent phone");
        }
        let used = phone.months.entry(month_of(now)).or_default();
        assert!(settings.monthly_quota.is_none_or(|quota| *used < quota), "more requests than the month has");
        *used += 1;
        phone.last_placed = Some(now);
        phone.slots.insert(call.id, Slot { at: now, placed: phone.happened, until: now.plus(SLOT) });
    }

    pub fn answered(&mut self, call: &Call, before: State, answer: Answer, now: Time) {
        let mut late = false;
        let phone = self.of(call.line.as_ref().unwrap());
        if matches!(call.state, State::Queued | State::Refused) {
            late = phone.slots.remove(&call.id).is_none_or(|slot| slot.until <= now);
        }
        match (answer, call.state) {
            (Answer::NotSent, State::Queued) => *phone.months.get_mut(&month_of(call.placing_at.unwrap())).unwrap() -= 1,
            (Answer::SwitchedOff | Answer::BadKey, State::Queued) => {
                let (code, paused) =
                    if answer == Answer::BadKey { (Code::Dialer2117, Paused::Key) } else { (Code::Dialer2116, Paused::Until(now.plus(PAUSE_2116))) };
                phone.paused_at = now;
                phone.paused = match phone.paused {
                    Paused::Until(_) => paused,
                    old => old.max(paused),
                };
                if phone.told.is_none_or(|(_, old, over)| over.is_some() || old != code) {
                    phone.told = Some((now, code, None));
                }
            }
            (Answer::Taken, State::Placed) if before != State::Placed => phone.probed(call, now),
            _ => {}
        }
        self.inexact |= late;
    }

    pub fn reported(&mut self, call: &Call, now: Time) {
        let phone = self.of(call.line.as_ref().unwrap());
        let same_moment = phone.slots.iter().any(|(id, slot)| *id != call.id && slot.at == now);
        (phone.heard, phone.silent) = (phone.happened, false);
        if let Some(slot) = phone.slots.get_mut(&call.id) {
            slot.until = slot.until.min(now.plus(SETTLE));
        }
        phone.slots.retain(|_, slot| slot.until > now);
        phone.probed(call, now);
        self.inexact |= same_moment;
    }

    pub fn pause(&mut self, line: &LineId) {
        self.of(line).paused = Paused::Person;
    }

    pub fn resume(&mut self, line: &LineId, now: Time) {
        let phone = self.of(line);
        // A slot that is over was noticed before, or is noticed afterwards.
        let over = phone.slots.values().any(|slot| slot.until <= now);
        phone.slots.retain(|_, slot| slot.until > now);
        phone.silent = false;
        phone.well(now);
        self.inexact |= over;
    }

    /// A slot that was over is not taken again. Whether somebody noticed that it was is not asked.
    pub fn clock_set(&mut self, before: Time, after: Time) {
        self.inexact = true;
        self.set_back |= after < before;
        for phone in self.lines.values_mut() {
            phone.slots.retain(|_, slot| slot.until > before);
            if let Some(last) = phone.last_placed.filter(|last| *last > after) {
                phone.slots.values_mut().for_each(|slot| slot.until = slot.until.min(after.plus(slot.until.since(last).max(SETTLE))));
                phone.last_placed = Some(after);
            }
        }
    }

    /// Compares with what the world says. After a sweep nothing is left to be noticed.
    pub fn compare(&mut self, line: &LineId, health: &Health, swept: Option<Time>) {
        let (exact, set_back) = (!self.inexact, self.set_back);
        let phone = self.of(line);
        let pause = health.state.pause.as_ref();
        let said = match pause {
            None => Paused::No,
            Some(pause) if !pause.by.is_empty() => Paused::Person,
            Some(pause) => pause.until.map_or(Paused::Key, Paused::Until),
        };
        assert_eq!(said, phone.paused, "why the line {line} is paused");
        if let Some(now) = swept {
            phone.look(now);
            let silent = health.state.silent_since.is_some();
            assert!(silent || !phone.silent || set_back, "nobody noticed that the phone of {line} is silent");
            assert!(!exact || !silent || phone.silent, "the phone of {line} is called silent and is not");
        }
        let Some([paused, silent]) = &health.told else { return };
        let paused = paused.as_ref().map(|alert| (alert.raised_at, alert.code, alert.cleared_at));
        // A month that is used up is told by the same alert, which this model does not follow.
        phone.quota_told |= paused.is_some_and(|(_, code, _)| code == Code::HoldQuota);
        assert!(phone.quota_told || paused == phone.told, "what was told of the pause of {line}: {paused:?}, not {:?}", phone.told);
        assert_eq!(
            silent.as_ref().filter(|alert| alert.is_open()).map(|alert| alert.raised_at),
            health.state.silent_since,
            "what was told of the silence of {line}"
        );
    }
}
