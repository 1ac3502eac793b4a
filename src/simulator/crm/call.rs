//! The Call button: this server posts a webhook to the bridge, as any CRM's automation would, and keeps what was answered.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde_json::{Value, json};

use super::book::{Ask, AskState, Customer};
use super::server::Crm;
use super::{rest, sign};

/// The longest part of an answer that is kept and shown.
const ANSWER_KEPT_CHARS: usize = 800;

/// `POST /page/customers/{id}/call`.
pub async fn press(crm: Data<Crm>, id: Path<String>) -> HttpResponse {
    let ask_id = format!("ask_{}", crm.clock.uuid().simple());
    let asked = {
        let mut state = crm.state();
        let customer = state.book.customer(&id).cloned();
        customer.map(|customer| (state.book.ask(ask_id, &customer.id, crm.clock.now()), customer))
    };
    let Some((ask, customer)) = asked else { return rest::missing("customer") };
    crm.pages.tell("ask", &ask);
    let (state, status, say, answer) = post_webhook(&crm, &customer, &ask).await;
    let done = crm.state().book.answered(&ask.id, state, status, say, answer, crm.clock.now());
    crm.pages.tell("ask", &done);
    HttpResponse::Ok().json(done)
}

async fn post_webhook(crm: &Crm, customer: &Customer, ask: &Ask) -> (AskState, Option<u16>, String, String) {
    let failed = |say: String| (AskState::Failed, None, say, String::new());
    let Some(url) = crm.hook_url() else { return failed("no hook URL is configured".to_owned()) };
    let body = webhook(customer, ask).to_string();
    let mut request = crm.client.post(url).header("content-type", "application/json; charset=utf-8");
    if let Some(secret) = &crm.options.hook_secret {
        for (name, value) in sign::headers(secret, &ask.id, body.as_bytes(), crm.clock.now()) {
            request = request.header(name, value);
        }
    }
    let answer = match request.body(body).send().await {
        Ok(answer) => answer,
        // Without the URL: it holds the hook key.
        Err(error) => return failed(root_cause(&error.without_url())),
    };
    let status = answer.status();
    let text: String = answer.text().await.unwrap_or_default().chars().take(ANSWER_KEPT_CHARS).collect();
    let state = if status.is_success() { AskState::Accepted } else { AskState::Rejected };
    (state, Some(status.as_u16()), readable(&text), text)
}

/// What the bridge's plugin for self-made systems reads.
fn webhook(customer: &Customer, ask: &Ask) -> Value {
    let gender = match customer.gender.as_str() {
        "male" => "Nam",
        "female" => "Nữ",
        "company" => "Công Ty",
        _ => "",
    };
    json!({
        "event_id": ask.id, "occurred_at": crate::domain::time::Time(ask.asked_ms).rfc3339(),
        "phone": customer.phone, "name": customer.name, "gender": gender, "info": customer.info,
        "record_id": customer.id, "record_type": "customer", "owner": customer.owner, "priority": "interactive",
    })
}

/// The sentence for people in an answer: a problem's detail or title, or whatever comes close.
fn readable(text: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return String::new() };
    let places = ["/detail", "/message", "/error/message", "/error", "/title", "/status"];
    places.iter().filter_map(|place| value.pointer(place)?.as_str()).find(|s| !s.is_empty()).unwrap_or_default().to_owned()
}

/// The innermost reason: "Connection refused" says more than "error sending request".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_answer_is_told_in_its_own_words() {
        assert_eq!(readable(r#"{"title":"Bad phone","detail":"this is not a phone number","status":422}"#), "this is not a phone number");
        assert_eq!(readable(r#"{"status":"stored"}"#), "stored");
        assert_eq!(readable("<html>"), "");
    }
}
