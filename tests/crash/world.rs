//! Everything around the program that outlives its deaths: the simulated phones, the fake CRM, a drop-in caller's own server.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::web::{self, Data, Path};
use actix_web::{App, HttpResponse, HttpServer};
use callbridge::simulator::mood::{Mood, Whom};
use callbridge::simulator::{crm, dialer, script};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::fetch::Fetch;

/// Calls to this number are dialled and never reported.
pub const NEVER_REPORTED: &str = "0987000001";
/// Its report comes again later with other notes: an entry has to be updated.
pub const REPORTED_AGAIN: &str = "0987000002";

/// How often a forwarded report came, by the caller's own call id.
pub type Forwards = Arc<Mutex<BTreeMap<String, u32>>>;

pub struct World {
    pub runtime: Runtime,
    pub phone: dialer::Running,
    pub crm: crm::Running,
    pub forwards: Forwards,
    pub forward_url: String,
    pub fetch: Arc<Fetch>,
    pub client: reqwest::Client,
    /// Customers of the CRM, each with a phone number.
    pub customers: Vec<String>,
}

impl World {
    pub fn start() -> World {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let inside = runtime.enter();
        // A call rings 5 ms and talks about as long; a report that finds nobody is posted again every 50 ms, for 2 s.
        let pace = script::Pace { ring_secs: 0.1, talk_secs: 0.1, slow_secs: 1.0, late_secs: 4.0 };
        let options = dialer::Options { speed: 20.0, pace, report_retries: 40, ..dialer::Options::default() };
        let phone = dialer::start(options, free_port()).unwrap();
        phone.set_mood(Whom::Phone(NEVER_REPORTED.into()), Some(Mood::ReportLost));
        phone.set_mood(Whom::Phone(REPORTED_AGAIN.into()), Some(Mood::ReportLateWithNotes));
        let options = crm::Options { searchable: true, index_lag_ms: 200, client_id: true, sample: false, ..crm::Options::default() };
        let crm = crm::start(options, free_port()).unwrap();
        let forwards = Forwards::default();
        let forward_url = listen_for_forwards(&forwards);
        let fetch = Fetch::start();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(3)).build().unwrap();
        drop(inside);
        let mut world = World { runtime, phone, crm, forwards, forward_url, fetch, client, customers: Vec::new() };
        let answer: Value = world.runtime.block_on(async {
            let request = world.client.post(format!("{}api/customers", world.crm.url)).json(&json!({ "count": 200 }));
            request.send().await.unwrap().json().await.unwrap()
        });
        world.customers = answer["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
        world.fetch.customers.set(world.customers.clone()).unwrap();
        world
    }

    /// The text at an address, or why there is none.
    pub fn get(&self, url: &str) -> Result<String, String> {
        self.runtime.block_on(async {
            let answer = self.client.get(url).send().await.map_err(|e| e.to_string())?;
            let status = answer.status();
            let text = answer.text().await.map_err(|e| e.to_string())?;
            if status.is_success() { Ok(text) } else { Err(format!("{status}: {text}")) }
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.runtime.block_on(async {
            self.phone.stop().await;
            self.crm.stop().await;
        });
    }
}

pub fn free_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

async fn forwarded(forwards: Data<Mutex<BTreeMap<String, u32>>>, call_id: Path<String>) -> HttpResponse {
    *forwards.lock().unwrap().entry(call_id.into_inner()).or_default() += 1;
    HttpResponse::Ok().finish()
}

fn listen_for_forwards(forwards: &Forwards) -> String {
    let listener = free_port();
    let url = format!("http://{}/forwarded", listener.local_addr().unwrap());
    let data = Data::from(Arc::clone(forwards));
    let app = move || App::new().app_data(data.clone()).route("/forwarded/{call_id}", web::post().to(forwarded));
    tokio::spawn(HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run());
    url
}
