//! `POST /api/results`: the outcome of a call becomes one note on its customer, however often it is delivered.

use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::book::{Note, Outcome};
use super::server::Crm;
use super::{rest, sign};
use crate::domain::time::Time;

/// A result, read leniently: flat, or grouped the way templates like to write it.
#[derive(Debug, PartialEq)]
struct CallResult {
    call_id: String,
    record_id: String,
    text: String,
    outcome: Outcome,
}

/// Takes a result; a repeat or an older version changes nothing.
pub async fn take(crm: Data<Crm>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let now = crm.clock.now();
    if !is_signed(&crm, &request, &body, now) {
        return HttpResponse::Unauthorized().json(json!({ "error": "the signature does not match" }));
    }
    let Ok(value) = serde_json::from_slice::<Value>(&body) else {
        return HttpResponse::BadRequest().json(json!({ "error": "the body is not JSON" }));
    };
    let result = read(&value);
    if result.call_id.is_empty() || result.record_id.is_empty() {
        return HttpResponse::UnprocessableEntity().json(json!({ "error": "call_id and record_id are needed" }));
    }
    store(&crm, result, now)
}

fn store(crm: &Crm, result: CallResult, now: Time) -> HttpResponse {
    let mut state = crm.state();
    let book = &mut state.book;
    if book.customer(&result.record_id).is_none() {
        return rest::missing("customer");
    }
    let known = book.notes_of_call(&result.call_id).next().cloned();
    let version = |note: &Note| note.outcome.as_ref().map_or(0, |o| o.version);
    let (note, created) = match known {
        Some(old) if version(&old) > result.outcome.version || is_same(&old, &result) => {
            return HttpResponse::Ok().json(json!({ "id": old.id, "created": false, "changed": false }));
        }
        Some(old) => match book.change_note(&old.id, Some(result.text), Some(result.outcome), now) {
            Some(note) => (note.clone(), false),
            None => return rest::missing("note"),
        },
        None => {
            let note = Note { customer_id: result.record_id, call_id: result.call_id, text: result.text, outcome: Some(result.outcome), ..Note::default() };
            (book.add_note(note, false, now).0.clone(), true)
        }
    };
    let ask = book.resolved(&note.customer_id, &note.call_id, now);
    drop(state);
    crm.tell_note(&note, ask);
    let answer = json!({ "id": note.id, "created": created, "changed": true });
    if created { HttpResponse::Created().json(answer) } else { HttpResponse::Ok().json(answer) }
}

fn is_same(old: &Note, new: &CallResult) -> bool {
    old.text == new.text && old.outcome.as_ref() == Some(&new.outcome)
}

fn read(value: &Value) -> CallResult {
    CallResult {
        call_id: text(value, &["/call_id", "/call/id", "/callId"]),
        record_id: text(value, &["/record_id", "/record/id", "/recordId"]),
        text: text(value, &["/note", "/note/text", "/text"]),
        outcome: Outcome {
            state: text(value, &["/state", "/call/state"]),
            disposition: text(value, &["/disposition", "/report/disposition"]),
            interest: text(value, &["/interest", "/report/interest"]),
            answer_seconds: integer(value, &["/answer_seconds", "/report/answer_seconds"]),
            call_seconds: integer(value, &["/call_seconds", "/report/call_seconds"]),
            notes: text(value, &["/notes", "/report/notes"]),
            version: integer(value, &["/version", "/report/version"]).unwrap_or(0),
        },
    }
}

/// The first of these places that holds a text or a number.
fn text(value: &Value, places: &[&str]) -> String {
    let read = |found: &Value| match found {
        Value::String(s) => Some(s.trim().to_owned()),
        Value::Number(n) => Some(n.to_string()),
        _ => None,
    };
    places.iter().filter_map(|place| value.pointer(place)).find_map(read).unwrap_or_default()
}

fn integer(value: &Value, places: &[&str]) -> Option<i64> {
    text(value, places).parse().ok()
}

fn is_signed(crm: &Crm, request: &HttpRequest, body: &[u8], now: Time) -> bool {
    let Some(secret) = &crm.options.result_secret else { return true };
    let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    sign::is_right(secret, header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"), body, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_and_grouped_results_read_alike() {
        let flat = json!({"call_id": "c1", "record_id": 1001, "state": "ended", "disposition": "answered", "interest": "interested",
            "note": "Đã nghe máy", "answer_seconds": "31", "call_seconds": 42, "notes": "hẹn lại", "version": 2});
        let grouped = json!({"call": {"id": "c1", "state": "ended"}, "record": {"id": "1001"}, "note": {"text": "Đã nghe máy"},
            "report": {"disposition": "answered", "interest": "interested", "answer_seconds": 31, "call_seconds": 42, "notes": "hẹn lại", "version": 2}});
        assert_eq!(read(&flat), read(&grouped));
        assert_eq!(read(&flat).outcome.answer_seconds, Some(31));
        assert_eq!(read(&json!({"report": null})).call_id, "");
    }
}
