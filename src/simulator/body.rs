//! The two bodies of the vendor's API: the callone request as it is read, and the report as it is written.

use serde_json::{Value, json};

use super::script::{Play, Posting};

/// A callone request. Absent fields are empty, as the vendor's own page sends them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    pub key: String,
    pub phone: String,
    pub name: String,
    pub gender: String,
    pub info: String,
    pub call_id: String,
    pub callback_url: String,
}

impl Request {
    /// Reads the body with names in any case (the vendor's samples use two). `None`: not a JSON object.
    pub fn read(body: &[u8]) -> Option<Request> {
        let Value::Object(fields) = serde_json::from_slice(body).ok()? else { return None };
        let mut request = Request::default();
        for (name, value) in fields {
            let field = match name.to_ascii_lowercase().as_str() {
                "secretkey" => &mut request.key,
                "customerphone" => &mut request.phone,
                "customername" => &mut request.name,
                "customergender" => &mut request.gender,
                "customerinfo" => &mut request.info,
                "callid" => &mut request.call_id,
                "apicallbackurl" => &mut request.callback_url,
                _ => continue,
            };
            *field = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                _ => String::new(),
            };
        }
        Some(request)
    }
}

/// The callback body of one posting.
pub fn report(request: &Request, play: &Play, posting: &Posting, camel_case: bool) -> Value {
    // An answered call lasts at least a second, also in a played world without time: 0 would mean "not answered".
    let answer = play.talk_secs.map_or(0, |secs| whole(secs).max(1));
    let call = whole(play.ring_secs) + answer;
    if camel_case {
        return json!({
            "phone": request.phone, "name": request.name, "gender": request.gender, "info": request.info, "callId": request.call_id,
            "callDetail": {
                "callStatus": play.call_status, "callBySim": "SIM 1", "callDuration": call, "answerDuration": answer,
                "sendSms": false, "smsContent": "", "responseStatus": posting.response_status, "callNotes": posting.notes,
            },
        });
    }
    json!({
        "Phone": request.phone, "Name": request.name, "Gender": request.gender, "Info": request.info, "CallId": request.call_id,
        "CallDetail": {
            "CallStatus": play.call_status, "CallBySim": "SIM 1", "CallDuration": call, "AnswerDuration": answer,
            "SendSms": false, "SmsContent": "", "ResponseStatus": posting.response_status, "CallNotes": posting.notes,
        },
    })
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates; durations are far below")]
fn whole(secs: f64) -> i64 {
    secs.round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::report::{Disposition, Interest, Report};
    use crate::simulator::mood::Mood;
    use crate::simulator::script::{Pace, script};

    #[test]
    fn names_are_read_in_any_case() {
        let camel = Request::read(br#"{"secretKey":"k","customerPhone":"0912345678","callId":"c","apiCallbackUrl":""}"#).unwrap();
        let pascal = Request::read(br#"{"SecretKey":"k","CUSTOMERPHONE":"0912345678","CallId":"c","other":1}"#).unwrap();
        assert_eq!(camel, pascal);
        assert_eq!(Request::read(b"secretKey=k"), None);
        assert_eq!(Request::read(b"[]"), None);
    }

    #[test]
    fn a_written_report_says_what_the_mood_means() {
        for (mood, disposition, interest) in [
            (Mood::Answers, Disposition::Answered, Interest::Interested),
            (Mood::NoAnswer, Disposition::NoAnswer, Interest::NoResponse),
            (Mood::Busy, Disposition::Unreachable, Interest::Unreachable),
            (Mood::NotInterested, Disposition::Answered, Interest::NotInterested),
        ] {
            let pace = Pace { ring_secs: 0.0, talk_secs: 0.0, ..Pace::default() };
            let play = script(mood, &pace, 5).play.unwrap();
            for camel_case in [false, true] {
                let body = report(&Request { call_id: "c1".into(), ..Request::default() }, &play, &play.postings[0], camel_case);
                let read = Report::read(body.to_string().as_bytes()).unwrap();
                assert_eq!((read.disposition(), read.interest(), read.call_id.as_str()), (disposition, interest, "c1"), "{mood}");
            }
        }
    }
}
