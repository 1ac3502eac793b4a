//! What the page loads: its three files, the list, one customer, and the phone's switch.

use actix_web::http::header;
use actix_web::web::{self, Data, Json, Path};
use actix_web::{HttpResponse, Responder};
use serde::Deserialize;
use serde_json::{Value, json};

use super::server::Crm;
use super::{call, live, rest};

const HTML: &str = include_str!("../../../templates/demo/index.html");
const CSS: &str = include_str!("../../../templates/demo/app.css");
const JS: &str = include_str!("../../../templates/demo/app.js");
const ICON: &str = include_str!("../../../templates/demo/icon.svg");

const POLICY: &str = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/", web::get().to(|| file("text/html; charset=utf-8", HTML)))
        .route("/app.css", web::get().to(|| file("text/css; charset=utf-8", CSS)))
        .route("/app.js", web::get().to(|| file("text/javascript; charset=utf-8", JS)))
        .route("/icon.svg", web::get().to(|| file("image/svg+xml", ICON)))
        .route("/page/customers", web::get().to(list))
        .route("/page/customers/{id}", web::get().to(detail))
        .route("/page/customers/{id}/call", web::post().to(call::press))
        .route("/page/phone", web::post().to(switch_phone))
        .route("/page/events", web::get().to(live::events));
}

async fn file(kind: &'static str, text: &'static str) -> impl Responder {
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(text)
}

/// Customers with what the list shows of their last note. At most 500: the page is not made for more.
async fn list(crm: Data<Crm>) -> impl Responder {
    let state = crm.state();
    let row = |customer| {
        let mut row = json!(customer);
        let id = row["id"].as_str().unwrap_or_default().to_owned();
        let last = state.book.notes_of_customer(&id).last();
        row["last"] = last.map_or(Value::Null, |n| json!({ "at_ms": n.updated_ms, "outcome": n.outcome }));
        row
    };
    Json(state.book.customers().take(500).map(row).collect::<Vec<_>>())
}

async fn detail(crm: Data<Crm>, id: Path<String>) -> HttpResponse {
    let state = crm.state();
    let Some(customer) = state.book.customer(&id) else { return rest::missing("customer") };
    let notes: Vec<_> = state.book.notes_of_customer(&id).collect();
    let asks: Vec<_> = state.book.asks_of(&id).collect();
    HttpResponse::Ok().json(json!({ "customer": customer, "notes": notes, "asks": asks, "now_ms": crm.clock.now().0 }))
}

#[derive(Deserialize)]
struct Switch {
    on: bool,
}

async fn switch_phone(crm: Data<Crm>, body: Json<Switch>) -> HttpResponse {
    let Some(control) = &crm.options.phone_url else { return rest::missing("phone") };
    let answer = crm.client.post(format!("{control}/phone")).json(&json!({ "on": body.on })).send().await;
    if answer.is_ok_and(|a| a.status().is_success()) {
        HttpResponse::Ok().json(json!({ "on": body.on }))
    } else {
        HttpResponse::BadGateway().json(json!({ "error": "the simulated phone does not answer" }))
    }
}
