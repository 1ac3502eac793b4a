//! The demo CRM as a running server: options, state, routes.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, JsonConfig};
use actix_web::{App, HttpServer};

use super::book::{Ask, Book, Note, Totals};
use super::fail::{Plan, Switches};
use super::live::Pages;
use super::{fail, live, page, rest, results};
use crate::clock::Clock;
use crate::simulator::{Error, client};

/// How the demo CRM is connected and what it can do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the Call button posts its webhook; can be set later.
    pub hook_url: Option<String>,
    /// Signs that webhook (Standard Webhooks, `whsec_…`).
    pub hook_secret: Option<String>,
    /// The bearer token everything under `/api` needs.
    pub token: Option<String>,
    /// The Standard Webhooks secret results must be signed with.
    pub result_secret: Option<String>,
    /// The control API of the simulated phone (`…/_sim`), for the phone panel.
    pub phone_url: Option<String>,
    pub searchable: bool,
    pub index_lag_ms: i64,
    pub client_id: bool,
    /// Starts with the demo's customers, else empty.
    pub sample: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            hook_url: None,
            hook_secret: None,
            token: None,
            result_secret: None,
            phone_url: None,
            searchable: true,
            index_lag_ms: 0,
            client_id: false,
            sample: true,
        }
    }
}

/// What changes.
#[derive(Debug)]
pub struct State {
    pub book: Book,
    pub plans: Vec<Plan>,
    pub switches: Switches,
    hook_url: Option<String>,
}

/// One CRM.
#[derive(Debug)]
pub struct Crm {
    pub options: Options,
    pub clock: Clock,
    pub client: reqwest::Client,
    pub pages: Pages,
    state: Mutex<State>,
}

/// A demo CRM that runs. Dropping it leaves it running; [`Running::stop`] ends it.
#[derive(Debug, Clone)]
pub struct Running {
    /// The page.
    pub url: String,
    /// Where results are posted.
    pub results_url: String,
    pub address: SocketAddr,
    server: ServerHandle,
    watch: Option<tokio::task::AbortHandle>,
    crm: Arc<Crm>,
}

/// Starts a CRM on a bound listener. Call it inside a tokio runtime.
pub fn start(options: Options, listener: TcpListener) -> Result<Running, Error> {
    let runtime = tokio::runtime::Handle::try_current().map_err(|_| Error::NoRuntime)?;
    let address = listener.local_addr()?;
    let crm = Arc::new(Crm::new(options)?);
    let data = Data::from(Arc::clone(&crm));
    let server =
        HttpServer::new(move || App::new().app_data(data.clone()).configure(routes)).workers(1).shutdown_timeout(1).disable_signals().listen(listener)?.run();
    let handle = server.handle();
    runtime.spawn(server);
    let watch = crm.options.phone_url.clone().map(|url| runtime.spawn(live::watch_phone(Arc::clone(&crm), url)).abort_handle());
    Ok(Running { url: format!("http://{address}/"), results_url: format!("http://{address}/api/results"), address, server: handle, watch, crm })
}

fn routes(config: &mut web::ServiceConfig) {
    // Large enough for 5,000 customers in one request.
    config.app_data(JsonConfig::default().limit(4 * 1024 * 1024).content_type_required(true));
    page::routes(config);
    config
        .route("/_crm/stats", web::get().to(fail::stats))
        .route("/_crm/fail", web::post().to(fail::fail))
        .route("/_crm/switches", web::post().to(fail::switches))
        .service(web::scope("/api").wrap(from_fn(fail::guard)).route("/results", web::post().to(results::take)).configure(rest::routes));
}

impl Crm {
    fn new(options: Options) -> Result<Crm, Error> {
        let book = if options.sample { Book::sample() } else { Book::default() };
        let switches = Switches { searchable: options.searchable, index_lag_ms: options.index_lag_ms, client_id: options.client_id };
        let state = State { book, plans: Vec::new(), switches, hook_url: options.hook_url.clone() };
        let client = client::new(Duration::from_secs(10))?;
        Ok(Crm { options, clock: Clock::System, client, pages: Pages::default(), state: Mutex::new(state) })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn hook_url(&self) -> Option<String> {
        self.state().hook_url.clone()
    }

    /// Shows a new or changed note, and the press it answers, on open pages.
    pub fn tell_note(&self, note: &Note, ask: Option<Ask>) {
        self.pages.tell("note", note);
        if let Some(ask) = ask {
            self.pages.tell("ask", ask);
        }
    }
}

impl Running {
    /// Closes the socket and all open pages' streams.
    pub async fn stop(&self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
        self.server.stop(false).await;
    }

    /// Where the Call button posts from now on.
    pub fn set_hook_url(&self, url: String) {
        self.crm.state().hook_url = Some(url);
    }

    pub fn totals(&self) -> Totals {
        self.crm.state().book.totals()
    }

    /// How many entries each call id has.
    pub fn entries_by_call(&self) -> std::collections::BTreeMap<String, usize> {
        self.crm.state().book.entries_by_call()
    }

    /// The entries on a customer, oldest first.
    pub fn notes_of(&self, customer_id: &str) -> Vec<Note> {
        self.crm.state().book.notes_of_customer(customer_id).cloned().collect()
    }
}
