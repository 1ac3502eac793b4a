//! `callbridge check`: is everything in place? One line per question, and an exit code for scripts.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::Cli;
use super::bridge::assemble;
use super::output::{self, FAILED, list, text};
use crate::clock::Clock;
use crate::config::{self, Settings};
use crate::domain::time::Time;
use crate::outbound::local::{Local, LocalError};
use crate::outbound::{Guard, probe};
use crate::plugin::Registry;

/// A clock before this release was made is wrong.
const RELEASED: Time = Time(1_795_000_000_000);

/// The answers, in the order of the questions.
#[derive(Default)]
struct Findings(Vec<Value>);

impl Findings {
    fn good(&mut self, about: &str, says: impl Into<String>) {
        self.0.push(json!({"about": about, "result": "ok", "says": says.into()}));
    }

    /// Doubtful, but it may be meant so.
    fn doubt(&mut self, about: &str, says: impl Into<String>) {
        self.0.push(json!({"about": about, "result": "warning", "says": says.into()}));
    }

    fn bad(&mut self, about: &str, says: impl Into<String>) {
        self.0.push(json!({"about": about, "result": "error", "says": says.into()}));
    }

    fn failed(&self) -> bool {
        self.0.iter().any(|finding| finding["result"] == "error")
    }
}

pub async fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    let mut findings = Findings::default();
    match config::load(&cli.sources()) {
        Err(error) => error.problems.iter().for_each(|problem| findings.bad("settings", problem.to_string())),
        Ok(settings) => look(&settings, &mut findings).await,
    }
    let failed = findings.failed();
    output::show(cli.json, &Value::Array(findings.0), |all| {
        let rows: Vec<Vec<String>> = list(all, "").iter().map(|f| vec![text(f, "/result"), text(f, "/about"), text(f, "/says").replace('\n', " · ")]).collect();
        output::table(&["RESULT", "ABOUT", ""], &rows)
    });
    Ok(if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

async fn look(settings: &Settings, findings: &mut Findings) {
    if settings.warnings.is_empty() {
        findings.good("settings", counts(settings));
    }
    settings.warnings.iter().for_each(|warning| findings.doubt("settings", warning.to_string()));
    let registry = plugins(settings, findings);
    if let Err(faults) = super::bridge::receivers(settings) {
        faults.to_string().lines().for_each(|fault| findings.bad("alerts", fault));
    }
    if settings.alerts.is_empty() {
        findings.doubt("alerts", "there is no [[alerts]]: nobody is told when a line is paused or a CRM refuses. OPERATIONS.md, \"Alerts\"");
    }
    setup(settings, &registry, findings);
    store(settings, findings).await;
    space(settings, findings);
    clock(findings);
    dialer(settings, findings).await;
    public_url(settings, findings);
}

fn counts(settings: &Settings) -> String {
    let of = [(settings.lines.len(), "line"), (settings.connections.len(), "connection"), (settings.api_keys.len(), "API key")];
    of.map(|(n, one)| output::counted(n as u64, one)).join(", ")
}

fn plugins(settings: &Settings, findings: &mut Findings) -> Registry {
    let (registry, errors) = Registry::open(settings.plugins.path.as_deref());
    errors.iter().for_each(|error| findings.bad("plugins", error.to_string()));
    if errors.is_empty() {
        findings.good("plugins", registry.ids().join(", "));
    }
    if let Err(faults) = super::bridge::check_connections(settings, &registry) {
        faults.to_string().lines().for_each(|fault| findings.bad("connections", fault));
    }
    super::bridge::broken(settings, &registry).into_iter().for_each(|fault| findings.bad("connections", format!("{fault}; it is held until that is mended")));
    registry
}

/// What loads, but cannot lead to a call.
fn setup(settings: &Settings, registry: &Registry, findings: &mut Findings) {
    if settings.lines.is_empty() {
        findings.doubt("lines", "there is no line: nothing can be dialled. Add [[lines]] with the secretKey of a phone");
    }
    for connection in &settings.connections {
        if connection.lines.is_empty() {
            findings.doubt("connections", format!("`{}` names no lines: its calls cannot be placed", connection.id));
        }
        let given = connection.parameters.iter().map(|(id, value)| (id.clone(), value.expose())).collect();
        let fetches = registry.get(&connection.plugin).is_some_and(|plugin| plugin.fetches(&plugin.with_defaults(&given)));
        if connection.all_hooks().is_empty() && !fetches {
            findings.doubt("connections", format!("`{}` has no hook_key: no webhook can come in", connection.id));
        }
    }
}

async fn store(settings: &Settings, findings: &mut Findings) {
    let path = &settings.store.path;
    match Local::open(&settings.store.socket()).await {
        Ok(server) => return running(&server, findings).await,
        Err(LocalError::NoServer) => {}
        Err(error) => return findings.bad("server", error.to_string()),
    }
    if !path.exists() {
        return findings.doubt("store", format!("{} does not exist yet; the server makes it at its first start", path.display()));
    }
    findings.doubt("server", "no server is running on this store");
    match assemble(settings, settings.server.base_url()) {
        Ok(_) => findings.good("store", format!("{} can be opened", path.display())),
        Err(error) => findings.bad("store", format!("{error:#}")),
    }
}

async fn running(server: &Local, findings: &mut Findings) {
    match server.ask("GET", "/readyz", None).await {
        Ok((200, answer)) => findings.good("server", format!("running and ready, {} calls queued", text(&answer, "/queued"))),
        Ok((status, answer)) => findings.bad("server", format!("running, but not ready ({status}): {}", text(&answer, "/why"))),
        Err(error) => findings.bad("server", error.to_string()),
    }
    if let Ok((200, stats)) = server.ask("GET", "/api/v1/stats", None).await {
        for equation in list(&stats, "/equations") {
            let says = format!("{} ({} and {})", text(equation, "/says"), text(equation, "/left"), text(equation, "/right"));
            if equation["holds"] == json!(true) { findings.good("sums", says) } else { findings.bad("sums", format!("does not hold: {says}")) }
        }
        if !stats["brakes"]["stopped"].is_null() {
            findings.doubt("calling", format!("stopped by {}: {}", text(&stats, "/brakes/stopped/by"), text(&stats, "/brakes/stopped/reason")));
        }
        if !stats["brakes"]["dialer"].is_null() {
            let [why, advice] = ["sentence", "advice"].map(|part| text(&stats, &format!("/brakes/dialer/reason/{part}/en")));
            findings.doubt("dialer", format!("every line waits until {}: {why}; {advice}", text(&stats, "/brakes/dialer/until")));
        }
    }
    if let Ok((200, alerts)) = server.ask("GET", "/api/v1/alerts", None).await {
        for alert in list(&alerts, "/items").iter().filter(|alert| alert["recovered"] != json!(true)) {
            let parts = ["/name", "/reason/sentence/en", "/detail"].map(|part| text(alert, part));
            findings.doubt("alerts", parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": "));
        }
    }
    if let Ok((200, lines)) = server.ask("GET", "/api/v1/lines", None).await {
        for line in list(&lines, "/items").iter().filter(|line| !line["pause"].is_null()) {
            let pause = format!("{}; {}", text(line, "/pause/reason/sentence/en"), text(line, "/pause/reason/advice/en"));
            findings.doubt("lines", format!("`{}` is paused: {pause}", text(line, "/id")));
        }
    }
}

fn space(settings: &Settings, findings: &mut Findings) {
    let mut path: &Path = &settings.store.path;
    // The directory may not be there yet: its disk is that of the nearest one above.
    while !path.exists() {
        match path.parent() {
            Some(above) if !above.as_os_str().is_empty() => path = above,
            _ => path = Path::new("."),
        }
    }
    match rustix::fs::statvfs(path) {
        Err(error) => findings.bad("disk", format!("{}: {error}", path.display())),
        Ok(disk) => {
            let free_mib = disk.f_bavail.saturating_mul(disk.f_frsize) / (1024 * 1024);
            let reserve = settings.store.reserve_mib;
            let says = format!("{free_mib} MiB free; webhooks are refused below {reserve} MiB");
            match free_mib {
                free if free < reserve => findings.bad("disk", says),
                free if free < reserve.saturating_mul(8).max(1024) => findings.doubt("disk", says),
                _ => findings.good("disk", says),
            }
        }
    }
}

fn clock(findings: &mut Findings) {
    let now = Clock::System.now();
    if now < RELEASED {
        findings.bad("clock", format!("it says {now}: signatures, calling hours and expiry go by it. Set it, and let NTP keep it"));
    } else {
        findings.good("clock", now.rfc3339());
    }
}

async fn dialer(settings: &Settings, findings: &mut Findings) {
    let url = &settings.dialer.url;
    if !url.ends_with('/') {
        findings.bad("dialer", format!("dialer.url must end with a slash: {url}/"));
    }
    if let Some(file) = settings.dialer.ca_file.as_ref().filter(|file| !file.is_file()) {
        findings.bad("dialer", format!("dialer.ca_file {} is not there", file.display()));
    }
    let guard = Guard::new(settings.outbound.allow_networks.clone());
    match probe::reach(&guard, url, settings.dialer.connect_timeout).await {
        Ok(address) => findings.good("dialer", format!("{url} can be reached ({address})")),
        Err(why) => findings.bad("dialer", why),
    }
}

/// The phone reports to this address, from outside.
fn public_url(settings: &Settings, findings: &mut Findings) {
    let about = "public_url";
    // Where there is none, the settings' own warning has said so.
    let Some(text) = &settings.server.public_url else { return };
    let Ok(url) = url::Url::parse(text) else { return findings.bad(about, format!("{text} is not an address")) };
    let inner = match url.host() {
        Some(url::Host::Ipv4(address)) => !Guard::default().allows(address.into()),
        Some(url::Host::Ipv6(address)) => !Guard::default().allows(address.into()),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".local"),
        None => true,
    };
    if inner {
        findings.doubt(about, format!("{text} is an inner address: only programs in the same network reach it"));
    } else if url.scheme() != "https" {
        findings.doubt(about, format!("{text} is not https: keys and customers' numbers would travel readably"));
    } else {
        findings.good(about, text.clone());
    }
}
