//! What may happen, and the player that does it to a world.

use callbridge::domain::id::{CallId, LineId};
use callbridge::domain::time::Time;
use proptest::prelude::*;

use crate::check::Check;
use crate::lines::Health;
use crate::setting::{self, START};

/// What the dialer answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Taken,
    Refused,
    NotSent,
    /// 2116: a probe may try again later.
    SwitchedOff,
    /// 2117: a person must do something.
    BadKey,
    SystemError,
    Unclear,
}

#[derive(Debug, Clone)]
pub enum Op {
    Wish {
        connection: usize,
        phone: usize,
        click: bool,
    },
    /// Everything that may be placed now is.
    Place,
    /// One of the requests that are out.
    Answer {
        which: usize,
        answer: Answer,
    },
    /// One of the calls that may have been sent.
    Report {
        which: usize,
    },
    Wait {
        secs: i64,
    },
    /// The clock itself is set.
    SetClock {
        hours: i64,
    },
    Sweep,
    Restart,
    Pause {
        line: usize,
    },
    Resume {
        line: usize,
    },
    StopAll,
    ResumeAll,
    Rules {
        variant: usize,
    },
    Lines {
        variant: usize,
    },
    DoNotCall {
        phone: usize,
    },
    Release,
    Cancel {
        which: usize,
    },
}

pub fn sequence() -> impl Strategy<Value = Vec<Op>> {
    let answer = prop_oneof![
        6 => Just(Answer::Taken), 1 => Just(Answer::Refused), 2 => Just(Answer::NotSent), 2 => Just(Answer::SwitchedOff),
        1 => Just(Answer::BadKey), 1 => Just(Answer::SystemError), 2 => Just(Answer::Unclear),
    ];
    let wait = prop_oneof![4 => 0i64..15, 3 => 15i64..700, 2 => 700i64..8000, 1 => 8000i64..200_000];
    let op = prop_oneof![
        10 => (0usize..2, 0usize..4, prop::bool::weighted(0.3)).prop_map(|(connection, phone, click)| Op::Wish { connection, phone, click }),
        12 => Just(Op::Place),
        8 => (0usize..8, answer).prop_map(|(which, answer)| Op::Answer { which, answer }),
        6 => (0usize..8).prop_map(|which| Op::Report { which }),
        10 => wait.prop_map(|secs| Op::Wait { secs }),
        1 => prop_oneof![Just(-1i64), Just(1)].prop_map(|hours| Op::SetClock { hours }),
        5 => Just(Op::Sweep),
        1 => Just(Op::Restart),
        1 => (0usize..2).prop_map(|line| Op::Pause { line }),
        2 => (0usize..2).prop_map(|line| Op::Resume { line }),
        1 => Just(Op::StopAll),
        2 => Just(Op::ResumeAll),
        2 => (0..setting::VARIANTS).prop_map(|variant| Op::Rules { variant }),
        1 => (0..setting::LINE_VARIANTS).prop_map(|variant| Op::Lines { variant }),
        1 => (0usize..4).prop_map(|phone| Op::DoNotCall { phone }),
        1 => Just(Op::Release),
        1 => (0usize..8).prop_map(|which| Op::Cancel { which }),
    ];
    prop::collection::vec(op, 5..70)
}

/// The bridge, whatever it is made of. Each verb judges what it does.
pub trait World {
    fn wish(&mut self, connection: usize, phone: usize, click: bool, check: &mut Check, now: Time);
    fn place(&mut self, check: &mut Check, now: Time);
    fn answer(&mut self, which: usize, answer: Answer, check: &mut Check, now: Time);
    fn report(&mut self, which: usize, check: &mut Check, now: Time);
    fn sweep(&mut self, now: Time);
    fn restart(&mut self);
    fn pause(&mut self, line: &LineId, now: Time);
    fn resume(&mut self, line: &LineId, now: Time);
    fn stop_all(&mut self, stopped: bool, now: Time);
    fn rules(&mut self, check: &Check);
    fn lines(&mut self, check: &Check);
    fn health(&self, line: &LineId) -> Health;
    fn do_not_call(&mut self, phone: usize, now: Time);
    fn release(&mut self, now: Time);
    fn cancel(&mut self, which: usize, now: Time);
    /// When something is due next.
    fn next_at(&mut self, now: Time) -> Option<Time>;
    /// Calls that are not over.
    fn alive(&mut self) -> Vec<CallId>;
    fn finish(self);
}

fn line(n: usize) -> LineId {
    LineId::new(["l0", "l1"][n])
}

/// Plays a sequence, then lets time pass until every call is over.
pub fn play(mut world: impl World, sequence: &[Op]) {
    let (mut check, mut now) = (Check::new(), START);
    world.rules(&check);
    for op in sequence {
        let mut swept = None;
        match op {
            Op::Wish { connection, phone, click } => world.wish(*connection, *phone, *click, &mut check, now),
            Op::Place => world.place(&mut check, now),
            Op::Answer { which, answer } => world.answer(*which, *answer, &mut check, now),
            Op::Report { which } => world.report(*which, &mut check, now),
            Op::Wait { secs } => now = Time(now.0 + secs * 1000),
            Op::SetClock { hours } => {
                // Whatever was written before woke the loop: it has looked at the clock that is set now.
                world.next_at(now);
                let after = Time(now.0 + hours * 3_600_000);
                check.clock_set(now, after);
                now = after;
            }
            Op::Sweep => {
                world.sweep(now);
                swept = Some(now);
            }
            Op::Restart => {
                world.restart();
                world.lines(&check);
                world.rules(&check);
            }
            Op::Pause { line: n } => {
                check.phones.pause(&line(*n));
                world.pause(&line(*n), now);
            }
            Op::Resume { line: n } => {
                check.phones.resume(&line(*n), now);
                world.resume(&line(*n), now);
            }
            Op::StopAll | Op::ResumeAll => {
                let stopped = matches!(op, Op::StopAll);
                check.stop_all(stopped);
                world.stop_all(stopped, now);
            }
            Op::Lines { variant } => {
                check.settings = setting::lines(*variant);
                world.lines(&check);
            }
            Op::Rules { variant } => {
                check.policies = setting::policies(*variant);
                world.rules(&check);
            }
            Op::DoNotCall { phone } => {
                check.do_not_call.insert(setting::phone(*phone));
                world.do_not_call(*phone, now);
            }
            Op::Release => world.release(now),
            Op::Cancel { which } => world.cancel(*which, now),
        }
        for n in 0..2 {
            check.phones.compare(&line(n), &world.health(&line(n)), swept);
        }
    }
    run_out(&mut world, &mut check, now);
    world.finish();
}

/// Nobody acts any more: whatever was left, held or braked is over when its deadlines are.
fn run_out(world: &mut impl World, check: &mut Check, from: Time) {
    let (mut now, end) = (from, Time(from.0 + 17 * 86_400_000));
    for _ in 0..5000 {
        world.sweep(now);
        world.place(check, now);
        let alive = world.alive();
        if alive.is_empty() {
            return;
        }
        let next = world.next_at(now).expect("something will end the calls that are left");
        assert!(next <= end, "calls are left that nothing ends in time: {alive:?}");
        now = Time(next.0.max(now.0 + 1));
    }
    panic!("it does not come to an end: {:?}", world.alive());
}
