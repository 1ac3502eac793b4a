//! What each mood does, as data: the answer, whether the phone dials, how long it rings and talks, which reports it posts.
//! Pure: the same mood, pace and chance give the same script.

use super::mood::Mood;

/// How long things take, in seconds of the played world; the server divides by its speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    pub ring_secs: f64,
    pub talk_secs: f64,
    pub slow_secs: f64,
    pub late_secs: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { ring_secs: 5.0, talk_secs: 12.0, slow_secs: 15.0, late_secs: 40.0 }
    }
}

/// What the caller of the API gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reply {
    /// HTTP 200 with this errorCode.
    Code(u16),
    /// This status and nothing readable.
    Status(u16),
    /// A page for people.
    Html(u16),
    /// The connection closes without an answer.
    Cut,
}

/// When the caller gets it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    AtOnce,
    AfterSecs(f64),
    /// After the first report was posted, or after this many seconds if that does not happen.
    AfterReport(f64),
}

/// One report to post.
#[derive(Debug, Clone, PartialEq)]
pub struct Posting {
    /// Seconds after the end of the call, or after the posting before.
    pub after_secs: f64,
    pub response_status: i64,
    pub notes: &'static str,
}

/// What the phone does with the call.
#[derive(Debug, Clone, PartialEq)]
pub struct Play {
    /// Only after the phone was switched on.
    pub held: bool,
    pub ring_secs: f64,
    /// `None`: nobody answers.
    pub talk_secs: Option<f64>,
    pub call_status: i64,
    pub postings: Vec<Posting>,
}

/// Everything one request leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    pub reply: Reply,
    pub when: When,
    /// `None`: the phone never hears of it.
    pub play: Option<Play>,
}

/// `errorCode` of a taken request.
pub const TAKEN: u16 = 0;
pub const EMPTY: u16 = 2111;
pub const WRONG_KEY: u16 = 2112;

const INTERESTED: i64 = 1;
const NOT_INTERESTED: i64 = 2;
const NO_RESPONSE: i64 = 3;
const UNREACHABLE: i64 = 4;

/// What the agent typed after a good call.
const GOOD_NOTES: [&str; 6] = [
    "Khách quan tâm, hẹn gọi lại chiều mai lúc 15h.",
    "Đã tư vấn, khách nhờ gửi báo giá qua Zalo.",
    "Khách đồng ý đặt lịch xem hàng thứ Bảy.",
    "Khách hỏi về bảo hành, cần gửi thêm tài liệu.",
    "Đã xác nhận đơn, giao trong tuần này.",
    "Khách muốn dùng thử một tháng trước khi ký.",
];

/// The script of a mood. `chance` is any number; it decides what a mixed mood becomes, how long a talk lasts and the notes.
pub fn script(mood: Mood, pace: &Pace, chance: u64) -> Script {
    let answered = |response_status: i64, notes: &'static str| play(pace, chance, response_status, notes);
    let good = || answered(INTERESTED, GOOD_NOTES[pick(chance, 8, GOOD_NOTES.len())]);
    let taken = |play| Script { reply: Reply::Code(TAKEN), when: When::AtOnce, play: Some(play) };
    let refused = |reply| Script { reply, when: When::AtOnce, play: None };
    let dialled_anyway = |reply| Script { reply, when: When::AtOnce, play: Some(good()) };
    match mood {
        Mood::Answers => taken(good()),
        Mood::Mixed => script(mixed(chance), pace, chance),
        Mood::NoAnswer => taken(unanswered(pace.ring_secs * 2.0, 2, NO_RESPONSE, "")),
        Mood::Busy => taken(unanswered(pace.ring_secs * 0.2, 3, UNREACHABLE, "Máy bận.")),
        Mood::NotInterested => taken(answered(NOT_INTERESTED, "Khách không có nhu cầu, đề nghị không gọi lại.")),
        Mood::WrongKey => refused(Reply::Code(WRONG_KEY)),
        Mood::AccountNotFound => refused(Reply::Code(2113)),
        Mood::AccountNotActivated => refused(Reply::Code(2114)),
        Mood::ApiNotAllowed => refused(Reply::Code(2115)),
        Mood::SwitchedOff => refused(Reply::Code(2116)),
        Mood::KeyExpired => refused(Reply::Code(2117)),
        Mood::QuotaUsedUp => refused(Reply::Code(2118)),
        Mood::UnknownCode => refused(Reply::Code(2999)),
        Mood::RateLimited => refused(Reply::Status(429)),
        Mood::Unavailable => refused(Reply::Status(503)),
        Mood::SystemError => refused(Reply::Code(2222)),
        Mood::UnavailableAfterDialling => dialled_anyway(Reply::Status(503)),
        Mood::SystemErrorAfterDialling => dialled_anyway(Reply::Code(2222)),
        Mood::Slow => Script { when: When::AfterSecs(pace.slow_secs), ..taken(good()) },
        Mood::HtmlError => refused(Reply::Html(500)),
        Mood::CutAfterPlacing => dialled_anyway(Reply::Cut),
        Mood::ReportLost => taken(Play { postings: Vec::new(), ..good() }),
        Mood::ReportBeforeAnswer => {
            // Short, or the caller would give up waiting before the report comes.
            let quick = Play { ring_secs: pace.ring_secs.min(0.2), talk_secs: Some(pace.talk_secs.min(1.0)), ..good() };
            Script { when: When::AfterReport(pace.slow_secs), ..taken(quick) }
        }
        Mood::ReportTwice => {
            let mut play = good();
            play.postings.extend(play.postings.first().cloned().map(|p| Posting { after_secs: 1.0, ..p }));
            taken(play)
        }
        Mood::ReportLateWithNotes => {
            let first = Posting { after_secs: 0.0, response_status: NO_RESPONSE, notes: "" };
            let second = Posting { after_secs: pace.late_secs, response_status: INTERESTED, notes: GOOD_NOTES[pick(chance, 8, GOOD_NOTES.len())] };
            taken(Play { postings: vec![first, second], ..good() })
        }
        Mood::PhoneOff => taken(Play { held: true, ..good() }),
    }
}

/// Six in ten answer, two do not, one is busy, one is not interested.
fn mixed(chance: u64) -> Mood {
    match pick(chance, 0, 10) {
        0..6 => Mood::Answers,
        6 | 7 => Mood::NoAnswer,
        8 => Mood::Busy,
        _ => Mood::NotInterested,
    }
}

fn play(pace: &Pace, chance: u64, response_status: i64, notes: &'static str) -> Play {
    // Between half and one and a half times the usual talk, in steps of a sixteenth.
    let sixteenths = u8::try_from(pick(chance, 24, 17)).unwrap_or(8);
    let talk_secs = pace.talk_secs * (0.5 + f64::from(sixteenths) / 16.0);
    let posting = Posting { after_secs: 0.0, response_status, notes };
    Play { held: false, ring_secs: pace.ring_secs, talk_secs: Some(talk_secs), call_status: 1, postings: vec![posting] }
}

fn unanswered(ring_secs: f64, call_status: i64, response_status: i64, notes: &'static str) -> Play {
    let posting = Posting { after_secs: 0.0, response_status, notes };
    Play { held: false, ring_secs, talk_secs: None, call_status, postings: vec![posting] }
}

/// A number below `choices` from the bits of `chance` at `shift`.
fn pick(chance: u64, shift: u32, choices: usize) -> usize {
    let bits = (chance >> shift) & 0xffff;
    usize::try_from(bits).unwrap_or(0) % choices
}

/// A number that depends on the seed and on `text` only: the same run plays the same calls.
pub fn chance(seed: u64, text: &str) -> u64 {
    let mut state = seed ^ 0xcbf2_9ce4_8422_2325;
    for byte in text.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    // The last step of splitmix64: FNV alone leaves the high bits of short texts alike.
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_taken_is_left_undialled() {
        for mood in Mood::ALL {
            let script = script(*mood, &Pace::default(), 7);
            if script.reply == Reply::Code(TAKEN) {
                assert!(script.play.is_some(), "{mood} is taken and must be dialled");
            }
            let nameless = matches!(mood, Mood::UnavailableAfterDialling | Mood::SystemErrorAfterDialling | Mood::CutAfterPlacing);
            assert_eq!(script.play.is_some(), script.reply == Reply::Code(TAKEN) || nameless, "{mood}");
        }
    }

    #[test]
    fn a_late_report_has_other_notes_than_the_first() {
        let play = script(Mood::ReportLateWithNotes, &Pace::default(), 1).play.unwrap();
        assert_eq!(play.postings.len(), 2);
        assert_ne!(play.postings[0].notes, play.postings[1].notes);
        let twice = script(Mood::ReportTwice, &Pace::default(), 1).play.unwrap();
        assert_eq!(twice.postings[0].notes, twice.postings[1].notes);
    }

    #[test]
    fn the_same_seed_plays_the_same_mix() {
        let moods = |seed| (0..1000).map(|n| mixed(chance(seed, &n.to_string()))).collect::<Vec<_>>();
        assert_eq!(moods(1), moods(1));
        assert_ne!(moods(1), moods(2));
        let answered = moods(3).into_iter().filter(|m| *m == Mood::Answers).count();
        assert!((500..700).contains(&answered), "{answered} of 1000 answered");
    }
}
