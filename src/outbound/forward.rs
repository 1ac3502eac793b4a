//! A drop-in caller's own report, in the vendor's PascalCase with the caller's own CallId.

use bytes::Bytes;
use serde_json::json;

use crate::domain::call::Call;
use crate::domain::report::Report;
use crate::domain::request::Outbound;

/// The request; a call that ended without a report says so as one that could not be reached.
pub fn compose(call: &Call, sentence: &str) -> Option<Outbound> {
    let forward = call.forward.as_ref().filter(|f| !f.url.is_empty())?;
    let unreached = Report { response_status: 4, notes: sentence.to_owned(), ..Report::default() };
    let report = call.report.as_ref().unwrap_or(&unreached);
    let body = json!({
        "Phone": call.customer.phone,
        "Name": call.customer.name,
        "Gender": call.customer.gender.map(|g| g.dialer_word()).unwrap_or_default(),
        "Info": call.customer.info,
        "CallId": forward.call_id,
        "CallDetail": {
            "CallStatus": report.call_status.unwrap_or(0),
            "CallBySim": report.sim,
            "CallDuration": report.call_duration,
            "AnswerDuration": report.answer_duration,
            "SendSms": report.send_sms,
            "SmsContent": report.sms_content,
            "ResponseStatus": report.response_status,
            "CallNotes": report.notes,
        }
    });
    Some(Outbound {
        method: "POST".into(),
        url: forward.url.clone(),
        headers: vec![("content-type".into(), "application/json; charset=UTF-8".into())],
        body: Bytes::from(body.to_string()),
        allow_hosts: Vec::new(),
    })
}
