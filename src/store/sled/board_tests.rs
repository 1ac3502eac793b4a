//! Stories about lines and the calls that wait for them, in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use super::board::{Board, Waiting};
use super::calls::Delay;
use crate::domain::connection::LineChoice;
use crate::domain::id::{CallId, LineId, WorkspaceId};
use crate::domain::pool::{Pool, PoolId};
use crate::domain::rate::Gcra;
use crate::domain::schedule::{Brakes, LinePolicy, LineState, Pause, Stopped};
use crate::domain::time::Time;
use crate::error::Code;

const T0: Time = Time(1_795_338_022_000);

fn secs(n: u64) -> Time {
    T0.plus(Duration::from_secs(n))
}

fn policy(id: &str, slots: u32) -> LinePolicy {
    LinePolicy { id: id.into(), workspace: WorkspaceId::default(), rate: None, max_in_flight: slots, monthly_quota: None, paused: false }
}

fn pool(id: &str, lines: &[&str], choice: LineChoice) -> Pool {
    let owners = BTreeMap::from([("lan".to_owned(), LineId::new("b"))]);
    let id = PoolId::Connection(id.into());
    Pool { id, lines: lines.iter().map(|l| LineId::new(l)).collect(), choice, owners, owner_wait: Duration::from_secs(600) }
}

fn board(lines: &[&str], pools: Vec<Pool>) -> Board {
    let mut board = Board::default();
    board.configure(lines.iter().map(|id| policy(id, 1)).collect(), pools);
    board
}

struct Wish<'a> {
    n: u8,
    of: &'a str,
    at: Time,
    click: bool,
    owner: Option<&'a str>,
    pinned: &'a [&'a str],
}

fn wish(n: u8, of: &str) -> Wish<'_> {
    Wish { n, of, at: secs(n.into()), click: false, owner: None, pinned: &[] }
}

fn id(n: u8) -> CallId {
    CallId([n; 16])
}

fn add(board: &mut Board, wish: Wish<'_>) {
    let waiting = Waiting {
        call: id(wish.n),
        pool: PoolId::Connection(wish.of.into()),
        pinned: wish.pinned.iter().map(|l| LineId::new(l)).collect(),
        owner: wish.owner.map(str::to_owned),
        interactive: wish.click,
        wished: wish.at,
        expires: Time::NEVER,
        number: wish.n.into(),
    };
    board.add(waiting, None);
}

/// Who goes over which line now, in order: `1a 2b`. Claimed calls stay claimed.
fn claims(board: &mut Board, now: Time) -> String {
    let claims = board.next_calls(now, 100).claims;
    claims.iter().map(|c| format!("{}{}", c.call.0[0], c.line)).collect::<Vec<_>>().join(" ")
}

/// The call is placed: its line is busy until `until`.
fn placed(board: &mut Board, n: u8, line: &str, at: Time, until: Time) {
    board.remove(id(n));
    let mut state = board.state(&line.into()).cloned().unwrap_or_default();
    state.in_flight.insert(id(n), until);
    state.last_placing = Some(at);
    board.set_state(&line.into(), state);
}

fn free(board: &mut Board, line: &str) {
    let mut state = board.state(&line.into()).cloned().unwrap_or_default();
    state.in_flight.clear();
    board.set_state(&line.into(), state);
}

#[test]
fn one_line_takes_one_call_at_a_time_the_oldest_first() {
    let mut b = board(&["a"], vec![pool("c", &["a"], LineChoice::First)]);
    add(&mut b, wish(2, "c"));
    add(&mut b, wish(1, "c"));
    assert_eq!(claims(&mut b, secs(9)), "1a");
    assert_eq!(claims(&mut b, secs(9)), "", "the claim is not placed yet");
    placed(&mut b, 1, "a", secs(9), secs(300));
    assert_eq!(claims(&mut b, secs(10)), "");
    assert_eq!(b.next_calls(secs(10), 9).wake_at, Some(secs(300)), "the slot's end");
    free(&mut b, "a");
    assert_eq!(claims(&mut b, secs(11)), "2a");
}

#[test]
fn first_means_the_first_free_one_of_the_list_whatever_became_free_first() {
    let mut b = board(&["z", "m", "a"], vec![pool("c", &["m", "z", "a"], LineChoice::First)]);
    add(&mut b, wish(1, "c"));
    add(&mut b, wish(2, "c"));
    assert_eq!(claims(&mut b, secs(5)), "1m 2z");
    placed(&mut b, 1, "m", secs(5), secs(300));
    placed(&mut b, 2, "z", secs(5), secs(300));
    free(&mut b, "z");
    free(&mut b, "m");
    add(&mut b, wish(3, "c"));
    assert_eq!(claims(&mut b, secs(6)), "3m");
}

#[test]
fn round_robin_goes_on_where_it_stopped() {
    let mut b = board(&["a", "b", "c"], vec![pool("x", &["a", "b", "c"], LineChoice::RoundRobin)]);
    let mut order = Vec::new();
    for n in 1..=7 {
        add(&mut b, wish(n, "x"));
        let claim = claims(&mut b, secs(100 + u64::from(n)));
        let line = claim[1..].to_owned();
        placed(&mut b, n, &line, secs(100), secs(300));
        free(&mut b, &line);
        order.push(line);
    }
    assert_eq!(order.join(""), "abcabca");
    // The one whose turn it is talks: the next one takes it.
    placed(&mut b, 99, "b", secs(200), secs(300));
    add(&mut b, wish(8, "x"));
    assert_eq!(claims(&mut b, secs(201)), "8c");
}

#[test]
fn least_busy_means_the_fewest_calls_then_the_longest_rest() {
    let mut b = Board::default();
    let slots = [policy("a", 3), policy("b", 3), policy("c", 3)];
    b.configure(slots.to_vec(), vec![pool("x", &["a", "b", "c"], LineChoice::LeastBusy)]);
    placed(&mut b, 91, "a", secs(1), secs(900));
    placed(&mut b, 92, "a", secs(2), secs(900));
    placed(&mut b, 93, "b", secs(3), secs(900));
    placed(&mut b, 94, "c", secs(4), secs(900));
    add(&mut b, wish(5, "x"));
    assert_eq!(claims(&mut b, secs(10)), "5b", "b and c have one call each; b rests longer");
    placed(&mut b, 5, "b", secs(10), secs(900));
    for n in 6..=9 {
        add(&mut b, wish(n, "x"));
    }
    assert_eq!(claims(&mut b, secs(11)), "6c 7a 8c 9b", "the claims under way count");
}

#[test]
fn an_owners_call_waits_for_its_line_and_then_takes_another() {
    let mut b = board(&["a", "b"], vec![pool("c", &["a", "b"], LineChoice::Owner)]);
    placed(&mut b, 90, "b", T0, secs(5000));
    add(&mut b, Wish { owner: Some("lan"), ..wish(1, "c") });
    add(&mut b, Wish { owner: Some("nobody we know"), ..wish(2, "c") });
    assert_eq!(claims(&mut b, secs(5)), "2a", "an owner without a line goes over any");
    placed(&mut b, 2, "a", secs(5), secs(5000));
    free(&mut b, "a");
    assert_eq!(claims(&mut b, secs(500)), "");
    assert_eq!(b.waiting(&"a".into()).all(), 0);
    assert_eq!(b.next_calls(secs(500), 9).wake_at, Some(secs(601)), "wished at 1 s");
    assert_eq!(claims(&mut b, secs(601)), "1a");
}

#[test]
fn an_owners_free_line_is_taken_although_another_stands_before_it() {
    let mut b = board(&["a", "b"], vec![pool("c", &["a", "b"], LineChoice::Owner)]);
    add(&mut b, Wish { owner: Some("lan"), ..wish(1, "c") });
    assert_eq!(claims(&mut b, secs(700)), "1b", "also after owner_wait");
}

#[test]
fn clicks_go_before_automation_also_over_another_queue() {
    let mut b = board(&["a"], vec![pool("c", &["a"], LineChoice::First), pool("d", &["a"], LineChoice::First)]);
    add(&mut b, wish(1, "c"));
    add(&mut b, Wish { click: true, ..wish(3, "d") });
    add(&mut b, Wish { click: true, ..wish(2, "c") });
    assert_eq!(claims(&mut b, secs(5)), "2a");
    placed(&mut b, 2, "a", secs(5), secs(300));
    free(&mut b, "a");
    assert_eq!(claims(&mut b, secs(6)), "3a");
    placed(&mut b, 3, "a", secs(6), secs(300));
    free(&mut b, "a");
    assert_eq!(claims(&mut b, secs(7)), "1a");
}

#[test]
fn connections_that_share_a_line_take_turns() {
    let mut b = board(&["a"], vec![pool("big", &["a"], LineChoice::First), pool("small", &["a"], LineChoice::First)]);
    (1..=6).for_each(|n| add(&mut b, wish(n, "big")));
    (11..=12).for_each(|n| add(&mut b, wish(n, "small")));
    // A pinned call is its connection's: it brings no turn of its own.
    add(&mut b, Wish { pinned: &["a"], ..wish(0, "big") });
    let mut order = Vec::new();
    for _ in 0..9 {
        let claim = claims(&mut b, secs(100));
        let n: u8 = claim.trim_end_matches('a').parse().unwrap();
        placed(&mut b, n, "a", secs(100), secs(300));
        free(&mut b, "a");
        order.push(n);
    }
    assert_eq!(order, [0, 11, 1, 12, 2, 3, 4, 5, 6]);
}

#[test]
fn a_line_that_serves_two_gives_its_click_before_it_is_chosen_for_automation() {
    let mut b = board(&["a", "b"], vec![pool("both", &["b", "a"], LineChoice::First), pool("only-b", &["b"], LineChoice::First)]);
    b.set_brakes(Brakes { stopped: Some(Stopped { by: "x".into(), since: T0, reason: String::new() }), ..Brakes::default() });
    add(&mut b, wish(1, "both"));
    add(&mut b, Wish { click: true, ..wish(2, "only-b") });
    assert_eq!(claims(&mut b, secs(4)), "");
    b.set_brakes(Brakes::default());
    assert_eq!(claims(&mut b, secs(5)), "2b 1a");
}

#[test]
fn few_places_are_shared_by_the_queues() {
    let mut b = board(&["a", "b", "c", "d"], vec![pool("x", &["a", "b"], LineChoice::First), pool("y", &["c", "d"], LineChoice::First)]);
    (1..=2).for_each(|n| add(&mut b, wish(n, "x")));
    (3..=4).for_each(|n| add(&mut b, wish(n, "y")));
    let next = b.next_calls(secs(9), 2);
    assert_eq!(next.claims.iter().map(|c| c.call.0[0]).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(next.wake_at, Some(secs(9)), "there is more to do at once");
    assert_eq!(claims(&mut b, secs(9)), "2b 4d");
}

#[test]
fn a_call_that_waits_follows_the_configuration() {
    let mut b = board(&["a"], Vec::new());
    add(&mut b, wish(1, "c"));
    add(&mut b, Wish { pinned: &["a"], ..wish(2, "c") });
    assert_eq!(claims(&mut b, secs(5)), "", "its connection was taken out: also the pinned one is held");
    b.configure(vec![policy("a", 1), policy("n", 1)], vec![pool("c", &["n"], LineChoice::First)]);
    assert_eq!(claims(&mut b, secs(6)), "1n 2a");
    b.configure(vec![policy("a", 1)], vec![pool("c", &["a"], LineChoice::First)]);
    assert_eq!(b.waiting(&"n".into()).all(), 0);
}

#[test]
fn calls_that_wait_for_a_time_of_their_own_wait_for_the_line_all_the_same() {
    let mut b = board(&["a", "b"], vec![pool("c", &["a", "b"], LineChoice::Owner)]);
    let counts = |b: &Board, line: &str| {
        let queue = b.waiting(&line.into());
        (queue.ready, queue.later)
    };
    add(&mut b, wish(1, "c"));
    add(&mut b, Wish { owner: Some("lan"), ..wish(2, "c") });
    assert_eq!((counts(&b, "a"), counts(&b, "b")), ((1, 0), (2, 0)), "the owner's call waits for her line only");
    let held = |n, owner: Option<&str>| Waiting {
        call: id(n),
        pool: PoolId::Connection("c".into()),
        pinned: Vec::new(),
        owner: owner.map(str::to_owned),
        interactive: false,
        wished: secs(n.into()),
        expires: Time::NEVER,
        number: n.into(),
    };
    b.add(held(3, None), Some(Delay::fixed(Time::NEVER)));
    b.add(held(4, Some("lan")), Some(Delay::fixed(secs(700))));
    assert_eq!((counts(&b, "a"), counts(&b, "b")), ((1, 1), (2, 2)));
    let claimed = b.next_calls(secs(5), 9).claims;
    assert_eq!(claimed.len(), 2);
    assert_eq!((counts(&b, "a"), counts(&b, "b")), ((1, 1), (1, 2)), "what is claimed waits until its step is done");
    // The dialer answers as if its address were wrong: everything goes back and waits.
    for claim in &claimed {
        b.unclaim(claim, Some(secs(305)));
    }
    assert_eq!((counts(&b, "a"), counts(&b, "b")), ((0, 2), (0, 4)));
    b.next_calls(secs(604), 0);
    assert_eq!((counts(&b, "a"), counts(&b, "b")), ((2, 2), (2, 2)), "two are awake, and the owner's goes over any line since 602 s");
    b.configure(vec![policy("a", 1)], vec![pool("c", &["a"], LineChoice::First)]);
    b.remove(id(4));
    b.remove(id(3));
    b.remove(id(2));
    assert_eq!((counts(&b, "a"), counts(&b, "b")), ((1, 0), (0, 0)));
}

#[test]
fn a_silent_line_takes_clicks_and_its_probe_and_comes_after_those_that_are_well() {
    let mut b = board(&["a", "b"], vec![pool("c", &["a", "b"], LineChoice::First)]);
    b.set_state(&"a".into(), LineState { silent_since: Some(T0), last_placing: Some(T0), ..LineState::default() });
    add(&mut b, Wish { click: true, ..wish(1, "c") });
    add(&mut b, wish(2, "c"));
    assert_eq!(claims(&mut b, secs(5)), "1b");
    placed(&mut b, 1, "b", secs(5), secs(5000));
    assert_eq!(claims(&mut b, secs(6)), "");
    add(&mut b, Wish { click: true, ..wish(3, "c") });
    assert_eq!(claims(&mut b, secs(7)), "3a", "a person waits: one at a time goes through");
    placed(&mut b, 3, "a", secs(7), secs(307));
    assert_eq!(claims(&mut b, secs(400)), "");
    assert_eq!(claims(&mut b, secs(907)), "2a", "the probe, 15 minutes after the last try");
}

#[test]
fn a_call_that_is_claimed_and_not_begun_still_waits() {
    let mut b = board(&["a"], vec![pool("c", &["a"], LineChoice::First)]);
    (1..4).for_each(|n| add(&mut b, wish(n, "c")));
    assert_eq!(claims(&mut b, secs(5)), "1a");
    assert_eq!(b.waiting(&"a".into()).all(), 3);
    b.remove(id(1));
    assert_eq!(b.waiting(&"a".into()).all(), 2);
}

#[test]
fn a_rate_spaces_calls_and_wakes_in_time() {
    let mut b = Board::default();
    let rate = Gcra::new("6/min".parse().unwrap(), 1);
    b.configure(vec![LinePolicy { rate: Some(rate), ..policy("a", 5) }], vec![pool("c", &["a"], LineChoice::First)]);
    add(&mut b, wish(1, "c"));
    add(&mut b, wish(2, "c"));
    let arrival = rate.check(0, secs(20).0 * 1_000_000).unwrap();
    assert_eq!(b.next_calls(secs(20), 1).claims.len(), 1);
    b.remove(id(1));
    b.set_state(&"a".into(), LineState { arrival_ns: arrival, ..LineState::default() });
    let next = b.next_calls(secs(21), 9);
    assert!(next.claims.is_empty() && next.wake_at == Some(secs(30)));
    assert_eq!(claims(&mut b, secs(30)), "2a");
}

#[test]
fn a_pause_ends_by_its_time_or_by_a_person() {
    let mut b = board(&["a"], vec![pool("c", &["a"], LineChoice::First)]);
    let pause = |until| Pause { code: Code::Dialer2116, since: T0, until, by: String::new(), detail: String::new(), key: String::new() };
    b.set_state(&"a".into(), LineState { pause: Some(pause(None)), ..LineState::default() });
    add(&mut b, wish(1, "c"));
    assert_eq!(b.next_calls(secs(9), 9).wake_at, None, "nobody knows when");
    b.set_state(&"a".into(), LineState { pause: Some(pause(Some(secs(900)))), ..LineState::default() });
    assert_eq!(b.next_calls(secs(9), 9).wake_at, Some(secs(900)));
    assert_eq!(claims(&mut b, secs(900)), "1a");
}

/// A number is learnt while a phone waits for its answer: however many calls wait, only those to the number are looked at.
#[test]
fn calls_to_a_number_are_found_at_the_same_price_among_a_hundred_thousand() {
    let filled = |calls: u32| {
        let mut b = board(&["a"], vec![pool("c", &["a"], LineChoice::First)]);
        for n in 0..calls {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&n.to_be_bytes());
            let phone = crate::domain::dnc::phone_of(84_912_000_000 + u64::from(n / 2)).unwrap();
            let number = super::lookup::short(&phone);
            let pool = PoolId::Connection("c".into());
            b.add(Waiting { call: CallId(id), pool, pinned: Vec::new(), owner: None, interactive: false, wished: T0, expires: Time::NEVER, number }, None);
        }
        b
    };
    let phone = crate::domain::dnc::phone_of(84_912_000_007).unwrap();
    let fastest = |b: &Board| {
        let tries = (0..20).map(|_| {
            let begun = std::time::Instant::now();
            for _ in 0..1000 {
                assert_eq!(b.calls_to(&phone).len(), 2);
            }
            begun.elapsed()
        });
        tries.min().unwrap()
    };
    let (mut few, many) = (filled(100), filled(100_000));
    let ratio = fastest(&many).as_secs_f64() / fastest(&few).as_secs_f64();
    assert!(ratio < 10.0, "1000 times as many calls wait, and a look-up takes {ratio:.1} times as long");
    for call in few.calls_to(&phone) {
        few.remove(call);
    }
    assert!(few.calls_to(&phone).is_empty() && few.queued() == 98);
}
