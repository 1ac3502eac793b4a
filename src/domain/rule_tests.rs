//! What the rules say, by example and by property.

use std::time::Duration;

use proptest::prelude::*;

use super::call::Hold;
use super::connection::{Connection, Mode, Purpose};
use super::dnc::Scope;
use super::holiday::Calendar;
use super::phone;
use super::rate::Rate;
use super::rule::*;
use super::time::Time;
use super::workspace::Workspace;
use crate::error::Code;

/// 2026-11-23T09:00:22+07:00, a Monday.
const NOW: Time = Time(1_795_399_222_000);

fn policy(purpose: Purpose) -> Policy {
    let mut connection = Connection::new("c".into(), "p");
    connection.purpose = purpose;
    Policy::of(&connection, None, &Calendar::read("vietnam").unwrap(), Waits::default())
}

fn asked() -> Asked {
    Asked { interactive: false, consent: Some(true), hold: None, expires_at: NOW.plus(Duration::from_secs(86_400)) }
}

fn placed(hours_ago: &[u64]) -> History {
    History { placed: hours_ago.iter().map(|h| NOW.minus(Duration::from_secs(h * 3600))).collect(), ..History::default() }
}

#[test]
fn care_waits_for_the_cap_and_advertising_refuses() {
    let care = policy(Purpose::Care);
    assert_eq!(ruling(&care, &asked(), &placed(&[1, 30]), NOW), Ruling::Go);
    let until = NOW.plus(Duration::from_secs(3600));
    assert_eq!(ruling(&care, &asked(), &placed(&[23, 2, 1, 40]), NOW), Ruling::Hold { code: Code::HoldCap, until: Some(until) });
    let advertising = policy(Purpose::Advertising);
    assert_eq!(ruling(&advertising, &asked(), &placed(&[23]), NOW), Ruling::Refuse { code: Code::NumberCap });
    assert_eq!(ruling(&advertising, &asked(), &placed(&[24]), NOW), Ruling::Go);
}

#[test]
fn advertising_needs_consent_and_silence_is_none() {
    let advertising = policy(Purpose::Advertising);
    for consent in [None, Some(false)] {
        let asked = Asked { consent, ..asked() };
        assert_eq!(ruling(&advertising, &asked, &History::default(), NOW), Ruling::Refuse { code: Code::MissingConsent });
        assert_eq!(ruling(&policy(Purpose::Care), &asked, &History::default(), NOW), Ruling::Go);
    }
}

#[test]
fn the_national_list_concerns_advertising_and_the_own_list_everybody() {
    let listed = |scope| History { do_not_call: Some(scope), ..History::default() };
    assert_eq!(ruling(&policy(Purpose::Care), &asked(), &listed(Scope::Advertising), NOW), Ruling::Go);
    assert_eq!(ruling(&policy(Purpose::Advertising), &asked(), &listed(Scope::Advertising), NOW), Ruling::Refuse { code: Code::DoNotCall });
    assert_eq!(ruling(&policy(Purpose::Care), &asked(), &listed(Scope::All), NOW), Ruling::Refuse { code: Code::DoNotCall });
}

#[test]
fn someone_who_waits_hears_at_once_that_it_is_too_late_in_the_day() {
    let advertising = policy(Purpose::Advertising);
    let evening = NOW.plus(Duration::from_secs(9 * 3600));
    let click = Asked { interactive: true, expires_at: evening.plus(Duration::from_secs(120)), ..asked() };
    assert_eq!(ruling(&advertising, &click, &History::default(), evening), Ruling::Refuse { code: Code::RefusedWindow });
    // Tomorrow, 24 November 2026, is a day off.
    let until = Time::parse_rfc3339("2026-11-25T08:00:00+07:00");
    assert_eq!(ruling(&advertising, &asked(), &History::default(), evening), Ruling::Hold { code: Code::HoldWindow, until });
    let soon = Time::parse_rfc3339("2026-11-23T07:59:00+07:00").unwrap();
    let click = Asked { interactive: true, expires_at: soon.plus(Duration::from_secs(120)), ..asked() };
    assert!(matches!(ruling(&advertising, &click, &History::default(), soon), Ruling::Hold { .. }), "a minute can be waited");
}

#[test]
fn a_fourth_text_in_a_day_holds_advertising_and_nothing_else() {
    let texted = History { texted: [1, 5, 9].map(|h| NOW.minus(Duration::from_secs(h * 3600))).to_vec(), ..History::default() };
    let until = Some(NOW.plus(Duration::from_secs(15 * 3600)));
    assert_eq!(ruling(&policy(Purpose::Advertising), &asked(), &texted, NOW), Ruling::Hold { code: Code::HoldSms, until });
    assert_eq!(ruling(&policy(Purpose::Care), &asked(), &texted, NOW), Ruling::Go);
    let click = Asked { interactive: true, expires_at: NOW.plus(Duration::from_secs(120)), ..asked() };
    assert_eq!(ruling(&policy(Purpose::Advertising), &click, &texted, NOW), Ruling::Refuse { code: Code::RefusedSms });
}

#[test]
fn who_waits_is_never_told_that_the_call_waits() {
    let limit = NOW.plus(Duration::from_secs(120));
    let click = Asked { interactive: true, expires_at: limit, ..asked() };
    let day_off = Time::parse_rfc3339("2026-11-24T09:00:00+07:00").unwrap();
    let back_off = Hold { code: Code::HoldBackoff, since: NOW, until: Some(limit.plus(Duration::from_secs(1))) };
    let refusals = [
        ruling(&policy(Purpose::Care), &click, &placed(&[1, 2, 3]), NOW),
        ruling(&policy(Purpose::Care), &Asked { hold: Some(back_off), ..click }, &History::default(), NOW),
        ruling(&policy(Purpose::Advertising), &Asked { expires_at: day_off, ..click }, &History::default(), day_off),
        ruling(&policy(Purpose::Advertising), &click, &History::default(), NOW.plus(Duration::from_secs(10 * 3600))),
    ];
    for refusal in refusals {
        let Ruling::Refuse { code } = refusal else { panic!("{refusal:?}") };
        assert!(!code.sentence("vi").contains("chờ") && !code.sentence("en").contains("waits"), "{code}: {}", code.sentence("vi"));
        assert!(!code.advice("vi").contains("Không cần làm gì") && !code.advice("en").contains("Nothing to do"), "{code}");
    }
}

#[test]
fn a_brake_waits_for_a_person_and_a_back_off_for_its_time() {
    let care = policy(Purpose::Care);
    let with = |code, since: Time, until| Asked { hold: Some(Hold { code, since, until }), ..asked() };
    let later = NOW.plus(Duration::from_secs(30));
    assert_eq!(ruling(&care, &with(Code::HoldBrake, NOW, None), &History::default(), NOW), Ruling::Hold { code: Code::HoldBrake, until: None });
    let backoff = with(Code::HoldBackoff, NOW, Some(later));
    assert_eq!(ruling(&care, &backoff, &History::default(), NOW), Ruling::Hold { code: Code::HoldBackoff, until: Some(later) });
    assert_eq!(ruling(&care, &backoff, &History::default(), later), Ruling::Go);
    assert_eq!(ruling(&care, &backoff, &History::default(), NOW.minus(Duration::from_secs(3600))), Ruling::Go, "the clock was set back");
}

#[test]
fn a_connection_that_is_off_waits_and_a_test_without_a_phone_is_refused() {
    let off = Policy { mode: Mode::Off, ..policy(Purpose::Care) };
    assert_eq!(ruling(&off, &asked(), &History::default(), NOW), Ruling::Hold { code: Code::ConnectionOff, until: None });
    let test = Policy { mode: Mode::Test, ..policy(Purpose::Care) };
    assert_eq!(ruling(&test, &asked(), &History::default(), NOW), Ruling::Refuse { code: Code::TestMode });
    let own = Policy { test_phone: phone::normalise("0912345678").ok(), ..test };
    assert_eq!(ruling(&own, &asked(), &History::default(), NOW), Ruling::Go);
}

#[test]
fn care_without_hours_ignores_the_calendar_but_not_the_companys_own_day_off() {
    let tet = Time::parse_rfc3339("2027-02-06T09:00:00+07:00").unwrap();
    let calendar = Calendar::read("vietnam").unwrap();
    let mut connection = Connection::new("c".into(), "p");
    let workspace = Workspace { holidays: vec!["2027-03-01".parse().unwrap()], ..Workspace::default() };
    let care = Policy::of(&connection, Some(&workspace), &calendar, Waits::default());
    assert_eq!(care.opening.shut(tet), None);
    assert_eq!(care.opening.shut(Time::parse_rfc3339("2027-03-01T09:00:00+07:00").unwrap()), Some(Code::HoldHoliday));
    connection.hours = vec!["08:00-18:00".parse().unwrap()];
    assert_eq!(Policy::of(&connection, None, &calendar, Waits::default()).opening.shut(tet), Some(Code::HoldHoliday));
}

#[test]
fn the_sentence_of_a_holiday_names_the_day() {
    let tet = Time::parse_rfc3339("2027-02-06T09:00:00+07:00").unwrap();
    let named = policy(Purpose::Advertising);
    assert_eq!(named.sentence(Code::HoldHoliday, tet, "en"), "waits until the holiday is over (Lunar New Year)");
    assert_eq!(named.sentence(Code::RefusedHoliday, tet, "vi"), "không gọi: hôm nay là ngày nghỉ lễ (Tết Nguyên đán Đinh Mùi)");
    assert_eq!(named.sentence(Code::HoldWindow, tet, "en"), Code::HoldWindow.sentence("en"));
    assert_eq!(named.sentence(Code::HoldHoliday, NOW, "en"), "waits until the holiday is over", "a day of the company's own has no name");
    let own = Calendar::read("[[holidays]]\ndays = \"2026-11-23\"\nvi = \"Giỗ tổ nghề\"\n").unwrap();
    let connection = Connection { hours: vec!["08:00-18:00".parse().unwrap()], ..Connection::new("c".into(), "p") };
    let own = Policy::of(&connection, None, &own, Waits::default());
    assert_eq!(own.sentence(Code::HoldHoliday, NOW, "en"), "waits until the holiday is over (Giỗ tổ nghề)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Placing whenever the rules say go, over any wishes, never breaks the cap in any window, and never happens while it is shut.
    #[test]
    fn the_cap_holds_in_every_window(count in 1u32..5, hours in 1u64..48, steps in prop::collection::vec(0u64..20_000, 1..80), advertising: bool) {
        let purpose = if advertising { Purpose::Advertising } else { Purpose::Care };
        let period = Duration::from_secs(hours * 3600);
        let policy = Policy { cap: Rate::new(count, period), ..policy(purpose) };
        let (mut now, mut history) = (NOW, History::default());
        for step in steps {
            now = now.plus(Duration::from_secs(step));
            match ruling(&policy, &asked(), &history, now) {
                Ruling::Go => {
                    prop_assert_eq!(policy.opening.shut(now), None);
                    history.placed.push(now);
                }
                Ruling::Hold { code: Code::HoldCap, until } => {
                    // Not a moment too long: it goes then, unless it is shut.
                    let until = until.unwrap();
                    prop_assert!(until > now);
                    let then = ruling(&policy, &asked(), &history, until);
                    prop_assert!(then == Ruling::Go || matches!(then, Ruling::Hold { code: Code::HoldWindow | Code::HoldHoliday | Code::HoldDay, .. }), "{then:?}");
                }
                Ruling::Hold { until, .. } => prop_assert!(until.is_some()),
                Ruling::Refuse { code } => prop_assert!(advertising && code == Code::NumberCap),
            }
        }
        for (i, from) in history.placed.iter().enumerate() {
            let within = history.placed[i..].iter().filter(|at| at.since(*from) < period).count();
            prop_assert!(within <= count as usize, "{within} in {hours} h");
        }
    }
}

#[test]
fn the_cap_holds_from_the_last_call_that_it_allows_until_the_first_of_them_is_a_period_ago() {
    let minutes = |n: i64| Time(n * 60_000);
    let policy = Policy { cap: Some("2/1h".parse().unwrap()), ..policy(Purpose::Care) };
    let held = policy.capped(&[minutes(70), minutes(0), minutes(30), minutes(200)]);
    assert_eq!(held.within(minutes(0), minutes(1000)).collect::<Vec<_>>(), [(minutes(30), minutes(60)), (minutes(70), minutes(90))]);
    assert_eq!([0, 30, 59, 60, 80].map(|n| held.ends(minutes(n))), [0, 60, 60, 60, 90].map(minutes));
    assert!(Policy { cap: None, ..policy }.capped(&[minutes(0), minutes(1)]).is_none());
}
