//! Logs: on stderr, as text for people or one JSON object per line for machines.
//!
//! A line reads alone and has fields; bodies, keys and whole phone numbers are never logged.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::{self, LogFormat};

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("`{0}` is not a log level; write error, warn, info, debug or trace, or per module: info,callbridge::outbound=debug")]
    Level(String),
    #[error("logging was started twice")]
    Twice,
}

/// Starts logging for the process. `CALLBRIDGE_LOG` overrides `log.level`.
pub fn init(log: &config::Log) -> Result<(), TelemetryError> {
    let level = config::env("CALLBRIDGE_LOG").filter(|level| !level.trim().is_empty()).unwrap_or_else(|| log.level.clone());
    let filter = filter(&level)?;
    let terminal = std::io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if json { lines.json().flatten_event(true).try_init() } else { lines.with_ansi(terminal).try_init() };
    started.map_err(|_| TelemetryError::Twice)
}

fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let bad = || TelemetryError::Level(level.to_owned());
    // A bare word that is no level would be taken for a module's name, and nothing at all would be logged.
    let bare = level.split(',').map(str::trim).filter(|part| !part.contains(['=', ':', '[']));
    if bare.into_iter().any(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(bad());
    }
    EnvFilter::try_new(level).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_and_misspelt_ones_refused() {
        for level in ["info", "off", "info,callbridge::outbound=debug", "warn,callbridge=trace"] {
            assert!(filter(level).is_ok(), "{level}");
        }
        for level in ["inof", "info,callbridge=loud", "verbose"] {
            assert!(filter(level).is_err(), "{level}");
        }
    }
}
