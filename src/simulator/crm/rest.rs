//! The REST interface that a bridge writes to: customers, their notes, a search.

use actix_web::web::{self, Data, Json, Path, Query};
use actix_web::{HttpResponse, Responder};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::book::{Customer, Note};
use super::server::Crm;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/customers", web::post().to(add_customers))
        .route("/customers/{id}", web::get().to(customer))
        .route("/customers/{id}", web::put().to(change_customer))
        .route("/customers/{id}/notes", web::post().to(add_note))
        .route("/notes", web::get().to(find_notes))
        .route("/notes/{id}", web::get().to(note))
        .route("/notes/{id}", web::patch().to(change_note));
}

/// A 404 that says what is missing.
pub fn missing(what: &str) -> HttpResponse {
    HttpResponse::NotFound().json(json!({ "error": format!("there is no such {what}") }))
}

/// What `POST /api/customers` takes: one, many, or a number of made-up ones.
#[derive(Deserialize)]
#[serde(untagged)]
enum NewCustomers {
    Count { count: u32 },
    Many(Vec<Customer>),
    One(Box<Customer>),
}

async fn add_customers(crm: Data<Crm>, body: Json<NewCustomers>) -> impl Responder {
    let customers = match body.into_inner() {
        NewCustomers::One(customer) => vec![*customer],
        NewCustomers::Many(customers) => customers,
        NewCustomers::Count { count } => (0..count).map(made_up).collect(),
    };
    let mut state = crm.state();
    let ids: Vec<String> = customers.into_iter().map(|c| state.book.add_customer(c)).collect();
    HttpResponse::Created().json(json!({ "ids": ids }))
}

fn made_up(number: u32) -> Customer {
    let phone = format!("09{:08}", 10_000_000 + number % 90_000_000);
    Customer { name: format!("Khách {number}"), phone, stage: "new".to_owned(), ..Customer::default() }
}

async fn customer(crm: Data<Crm>, id: Path<String>) -> HttpResponse {
    crm.state().book.customer(&id).map_or_else(|| missing("customer"), |c| HttpResponse::Ok().json(c))
}

async fn change_customer(crm: Data<Crm>, id: Path<String>, changes: Json<Map<String, Value>>) -> HttpResponse {
    let changed = crm.state().book.change_customer(&id, changes.into_inner()).cloned();
    let Some(customer) = changed else { return missing("customer") };
    crm.pages.tell("customer", &customer);
    HttpResponse::Ok().json(customer)
}

#[derive(Deserialize)]
struct NewNote {
    text: String,
    #[serde(default)]
    call_id: String,
    #[serde(default)]
    client_id: String,
}

async fn add_note(crm: Data<Crm>, id: Path<String>, body: Json<NewNote>) -> HttpResponse {
    let NewNote { text, call_id, client_id } = body.into_inner();
    let now = crm.clock.now();
    let mut state = crm.state();
    if state.book.customer(&id).is_none() {
        return missing("customer");
    }
    let unique = state.switches.client_id;
    let note = Note { customer_id: id.into_inner(), call_id, client_id, text, ..Note::default() };
    let (note, made) = state.book.add_note(note, unique, now);
    let (note, customer_id, call_id) = (note.clone(), note.customer_id.clone(), note.call_id.clone());
    let ask = state.book.resolved(&customer_id, &call_id, now);
    drop(state);
    crm.tell_note(&note, ask);
    if made { HttpResponse::Created().json(note) } else { HttpResponse::Ok().json(note) }
}

async fn note(crm: Data<Crm>, id: Path<String>) -> HttpResponse {
    crm.state().book.note(&id).map_or_else(|| missing("note"), |n| HttpResponse::Ok().json(n))
}

#[derive(Deserialize)]
struct Change {
    text: String,
}

async fn change_note(crm: Data<Crm>, id: Path<String>, change: Json<Change>) -> HttpResponse {
    let now = crm.clock.now();
    let changed = crm.state().book.change_note(&id, Some(change.into_inner().text), None, now).cloned();
    let Some(note) = changed else { return missing("note") };
    crm.tell_note(&note, None);
    HttpResponse::Ok().json(note)
}

#[derive(Deserialize)]
struct Search {
    call_id: String,
}

async fn find_notes(crm: Data<Crm>, search: Query<Search>) -> HttpResponse {
    let now = crm.clock.now();
    let mut state = crm.state();
    if !state.switches.searchable {
        return missing("search");
    }
    state.book.totals.searches += 1;
    let indexed_ms = now.0 - state.switches.index_lag_ms;
    let found: Vec<&Note> = state.book.notes_of_call(&search.call_id).filter(|n| n.created_ms <= indexed_ms).collect();
    HttpResponse::Ok().json(json!({ "results": found }))
}
