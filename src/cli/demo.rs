//! `callbridge demo`: bridge, simulated phone and a small demo CRM in one process. They meet only over HTTP.

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use super::bridge::{Bridge, Role};
use crate::config::Settings;
use crate::domain::connection::{Connection, Kind};
use crate::domain::id::{ConnectionId, LineId};
use crate::domain::line::LineSettings;
use crate::domain::rate::Limit;
use crate::domain::secret::SecretText;
use crate::simulator::{self, crm, dialer, script};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the demo CRM's page listens; the next free port is taken if this one is in use.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Everything that takes time takes this many times less.
    #[arg(long, default_value_t = 1.0, value_parser = super::simulate::speed)]
    speed: f64,
    /// Keep the demo's data here; without it the data goes when the demo ends.
    #[arg(long, value_name = "DIR")]
    data: Option<std::path::PathBuf>,
}

/// A key that nobody can guess, for one run.
fn random_key() -> anyhow::Result<String> {
    let mut bytes = [0u8; 24];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
    Ok(hex::encode(bytes))
}

/// Starts all three and runs until it is told to stop.
pub async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let scratch = std::env::temp_dir().join(format!("callbridge-demo-{}", std::process::id()));
    let data = args.data.clone().unwrap_or_else(|| scratch.clone());
    let line_key = random_key()?;
    let pace = script::Pace { ring_secs: 4.0, talk_secs: 9.0, ..script::Pace::default() };
    let options = dialer::Options { speed: args.speed, pace, moods: simulator::demo_moods(), keys: [line_key.clone()].into(), ..dialer::Options::default() };
    let phone = dialer::start(options, TcpListener::bind("127.0.0.1:0")?)?;
    let hook_key = random_key()?;
    let result_token = random_key()?;
    let page = listen(args.listen)?;
    let crm_options = crm::Options { token: Some(result_token.clone()), phone_url: Some(phone.control_url.clone()), sample: true, ..crm::Options::default() };
    let crm = crm::start(crm_options, page)?;
    let bridge_listener = TcpListener::bind("127.0.0.1:0")?;
    let settings = settings(&data, &phone.url, &line_key, &hook_key, &crm.results_url, &result_token)?;
    let bridge = Bridge::start(settings, Some(bridge_listener), Role::All, true)?;
    crm.set_hook_url(format!("{}/hooks/demo/{hook_key}", bridge.url()));
    println!("\n  Open this page and press Call on a customer:\n\n      {}\n", crm.url);
    println!("  The bridge runs at {}, the simulated phone at {}.", bridge.url(), phone.url);
    println!("  The three meet only over HTTP, as they would in real life. Ctrl-C ends the demo.\n");
    super::serve::told_to_stop().await?;
    bridge.stop().await;
    crm.stop().await;
    phone.stop().await;
    if args.data.is_none() {
        let _ = std::fs::remove_dir_all(&scratch);
    }
    Ok(ExitCode::SUCCESS)
}

/// The wished port or, if it is taken, any free one.
fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).or_else(|_| TcpListener::bind((address.ip(), 0))).with_context(|| format!("cannot listen on {address}"))
}

fn settings(data: &std::path::Path, dialer_url: &str, line_key: &str, hook_key: &str, results_url: &str, token: &str) -> anyhow::Result<Settings> {
    let mut settings = Settings::built_in()?;
    settings.store.path = data.to_owned();
    settings.store.snapshot.every = Duration::ZERO;
    settings.dialer.url = dialer_url.to_owned();
    settings.dialer.settle = Duration::from_secs(1);
    // The demo's phone types nothing more after its report.
    settings.dialer.report_settle = Duration::from_millis(500);
    settings.outbound.allow_networks = vec!["127.0.0.0/8".parse()?];
    settings.lines = vec![LineSettings::new(LineId::new("demo-phone"), SecretText::new(line_key))];
    let mut connection = Connection::new(ConnectionId::new("demo"), "generic");
    connection.hook_key = Some(SecretText::new(hook_key));
    connection.lines = vec![LineId::new("demo-phone")];
    connection.max_new_calls = Limit::Off;
    // People try their own number again and again.
    connection.max_per_number = Some(Limit::Off);
    // Whoever tries the demo presses the same button twice.
    connection.duplicate_window = Duration::ZERO;
    connection.write_back = vec![Kind::Note];
    connection.parameters = [("result_url", results_url), ("result_token", token)].into_iter().map(|(id, value)| (id.to_owned(), value.into())).collect();
    settings.connections = vec![connection];
    Ok(settings)
}
