//! `callbridge simulate`: a stand-in for the callone API, its phones, and a small CRM.

use std::net::SocketAddr;
use std::process::ExitCode;

use crate::simulator::{self, crm, dialer, mood};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the stand-in for the dialer listens.
    #[arg(long, default_value = "127.0.0.1:8091")]
    listen: SocketAddr,
    /// Also start the small demo CRM here.
    #[arg(long, value_name = "ADDRESS")]
    crm: Option<SocketAddr>,
    /// The bridge's webhook address that the demo CRM calls.
    #[arg(long, value_name = "URL", requires = "crm")]
    hook_url: Option<String>,
    /// How every phone behaves: answers, no_answer, busy, report_lost, …
    #[arg(long, value_parser = parse_mood)]
    mood: Option<mood::Mood>,
    /// Everything that takes time takes this many times less.
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// Take only these secret keys; any key if none is given.
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// Post reports in camelCase instead of the vendor's PascalCase.
    #[arg(long)]
    camel_case: bool,
}

/// `--speed`: also of the demo.
pub fn speed(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|speed: &f64| speed.is_finite() && *speed > 0.0).ok_or_else(|| "a number above 0, for example 10".to_owned())
}

fn parse_mood(text: &str) -> Result<mood::Mood, String> {
    text.parse().map_err(|_| format!("there is no mood `{text}`; there are: {}", mood::names()))
}

/// Runs until it is told to stop.
pub async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut options =
        dialer::Options { speed: args.speed, keys: args.keys.iter().cloned().collect(), camel_case: args.camel_case, ..dialer::Options::default() };
    if let Some(mood) = args.mood {
        options.moods.everyone = mood;
    }
    let crm = args.crm.map(|address| (crm::Options { hook_url: args.hook_url.clone(), sample: true, ..crm::Options::default() }, address));
    simulator::run(simulator::Options { dialer: options, listen: args.listen, crm }).await?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_that_is_none_is_refused() {
        assert_eq!(speed("2.5"), Ok(2.5));
        for text in ["0", "-1", "nan", "inf", "x"] {
            assert!(speed(text).is_err(), "{text}");
        }
    }
}
