//! The stand-in for the vendor's callone API, on a real socket.
//!
//! What it checks is what the vendor documents: the slash at the end, POST, JSON, and errorCodes in answers of HTTP 200.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use futures_util::stream;

use super::body::Request;
use super::mood::{Mood, Moods, Whom};
use super::phone::{Call, World};
use super::script::{Pace, Reply, When};
use super::stats::{CallCount, KeyCount, Totals};
use super::{Error, client, control};

/// How the simulated API and its phones behave.
#[derive(Debug, Clone)]
pub struct Options {
    /// Everything that takes time takes this many times less. Reported durations stay those of the played world.
    pub speed: f64,
    pub pace: Pace,
    pub moods: Moods,
    /// The keys that are known; empty: any key is.
    pub keys: HashSet<String>,
    /// Reports with camelCase names instead of the vendor's PascalCase.
    pub camel_case: bool,
    /// How often a report that was not answered with 2xx is posted again, one second apart. The real one is not known to do so.
    pub report_retries: u32,
    /// Decides mixed moods, the length of talks and the notes.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        let moods = Moods::default();
        Options { speed: 1.0, pace: Pace::default(), moods, keys: HashSet::new(), camel_case: false, report_retries: 0, seed: 1 }
    }
}

/// A simulator that runs. Dropping it leaves it running; [`Running::stop`] ends it.
#[derive(Debug, Clone)]
pub struct Running {
    /// The callone address, with its slash.
    pub url: String,
    /// The base of the control API.
    pub control_url: String,
    pub address: SocketAddr,
    server: ServerHandle,
    world: Arc<World>,
}

/// Starts a simulator on a bound listener. Call it inside a tokio runtime; phones and reports run there.
pub fn start(options: Options, listener: TcpListener) -> Result<Running, Error> {
    let runtime = tokio::runtime::Handle::try_current().map_err(|_| Error::NoRuntime)?;
    let address = listener.local_addr()?;
    let speed = if options.speed.is_finite() && options.speed > 0.0 { options.speed } else { 1.0 };
    let world = World::new(Options { speed, ..options }, client::new(Duration::from_secs(10))?, runtime.clone());
    let world = Arc::new(world);
    let data = Data::from(Arc::clone(&world));
    let server = HttpServer::new(move || App::new().app_data(data.clone()).configure(routes))
        .workers(1)
        .backlog(4096)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    runtime.spawn(server);
    let control_url = format!("http://{address}/_sim");
    Ok(Running { url: format!("http://{address}/campaign/callone/"), control_url, address, server: handle, world })
}

impl Running {
    /// Closes the socket; calls that are being played end silently.
    pub async fn stop(&self) {
        self.world.reset();
        self.server.stop(false).await;
    }

    pub fn totals(&self) -> Totals {
        self.world.state().stats.totals()
    }

    /// What happened to one call id; all 0 if it was never met.
    pub fn call(&self, call_id: &str) -> CallCount {
        self.world.state().stats.call(call_id)
    }

    pub fn calls(&self) -> std::collections::BTreeMap<String, CallCount> {
        self.world.state().stats.calls()
    }

    pub fn keys(&self) -> std::collections::BTreeMap<String, KeyCount> {
        self.world.state().stats.keys()
    }

    /// Sets a mood, or takes it away.
    pub fn set_mood(&self, whom: Whom, mood: Option<Mood>) {
        self.world.state().moods.set(whom, mood);
    }

    /// Switches the phone of `key`, or all phones, on or off.
    pub fn switch(&self, key: Option<&str>, on: bool) {
        self.world.switch(key, on);
    }

    /// Forgets counts and calls; moods go back to those of the options.
    pub fn reset(&self) {
        self.world.reset();
    }
}

fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/campaign/callone/").route(web::post().to(callone)));
    control::routes(config);
}

async fn callone(world: Data<World>, http: HttpRequest, body: Bytes) -> HttpResponse {
    let world = world.into_inner();
    if !is_json(&http) {
        world.state().stats.unreadable(415);
        return HttpResponse::UnsupportedMediaType().finish();
    }
    let Some(request) = Request::read(&body) else {
        world.state().stats.unreadable(400);
        return HttpResponse::BadRequest().json(serde_json::json!({ "title": "One or more validation errors occurred.", "status": 400 }));
    };
    let (reply, when, call) = world.ask(request);
    wait(&world, when, call.as_deref()).await;
    answer(reply)
}

async fn wait(world: &World, when: When, call: Option<&Call>) {
    match (when, call) {
        (When::AtOnce, _) | (When::AfterReport(_), None) => {}
        (When::AfterSecs(secs), _) => world.sleep(secs).await,
        (When::AfterReport(limit_secs), Some(call)) => world.first_report(call, limit_secs).await,
    }
}

fn answer(reply: Reply) -> HttpResponse {
    match reply {
        Reply::Code(code) => HttpResponse::Ok()
            .content_type("application/json; charset=utf-8")
            .body(format!("{{\"errorCode\":{code},\"hasError\":{}}}", code != super::script::TAKEN)),
        Reply::Status(429) => HttpResponse::TooManyRequests().insert_header((header::RETRY_AFTER, "2")).finish(),
        Reply::Status(status) => HttpResponse::build(status_code(status)).finish(),
        Reply::Html(status) => HttpResponse::build(status_code(status))
            .content_type("text/html; charset=utf-8")
            .body("<!DOCTYPE html><html><head><title>Server Error</title></head><body><h1>Server Error in '/' Application.</h1></body></html>"),
        // A body that fails before its first byte: the server drops the connection before the head was written out.
        Reply::Cut => HttpResponse::Ok().streaming(stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut")) })),
    }
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn is_json(http: &HttpRequest) -> bool {
    let content_type = http.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}
