//! A CRM that has to be asked: it gives one record after the other, and is told of each that was taken.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use actix_web::web::{self, Data, Path};
use actix_web::{App, HttpResponse, HttpServer};
use serde_json::json;

use super::world::free_port;

/// What it gave and what it was told.
#[derive(Default)]
pub struct Fetch {
    pub url: String,
    /// The highest number it gave.
    pub served: AtomicU32,
    /// How often it was told of each.
    pub taken: Mutex<BTreeMap<u32, u32>>,
    /// It gives nothing more.
    pub closed: AtomicBool,
    pub customers: OnceLock<Vec<String>>,
}

impl Fetch {
    /// Listens in the runtime that is entered.
    pub fn start() -> Arc<Fetch> {
        let listener = free_port();
        let fetch = Arc::new(Fetch { url: format!("http://{}/fetch", listener.local_addr().unwrap()), ..Fetch::default() });
        let data = Data::from(Arc::clone(&fetch));
        let app = move || {
            let app = App::new().app_data(data.clone());
            app.route("/fetch/after/{n}", web::get().to(after)).route("/fetch/taken/{n}", web::post().to(taken))
        };
        tokio::spawn(HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run());
        fetch
    }
}

async fn after(fetch: Data<Fetch>, n: Path<u32>) -> HttpResponse {
    let customers = fetch.customers.get().map_or(&[][..], Vec::as_slice);
    if fetch.closed.load(Ordering::SeqCst) || customers.is_empty() {
        return HttpResponse::Ok().json(json!({ "data": [] }));
    }
    let n = n.into_inner() + 1;
    fetch.served.fetch_max(n, Ordering::SeqCst);
    let customer = &customers[n as usize % customers.len()];
    HttpResponse::Ok().json(json!({
        "event_id": format!("fetched-{n}"), "record_id": customer, "phone": format!("0912{:06}", 100_000 + n), "data": [n]
    }))
}

async fn taken(fetch: Data<Fetch>, n: Path<u32>) -> HttpResponse {
    *fetch.taken.lock().unwrap().entry(n.into_inner()).or_default() += 1;
    HttpResponse::Ok().json(json!({}))
}
