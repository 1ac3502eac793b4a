//! The HTTP client of the simulators: reports from the phone, webhooks from the demo CRM.

use std::time::Duration;

use super::Error;

/// One client for all requests of a simulator; connections are kept alive, redirects are not followed.
pub fn new(timeout: Duration) -> Result<reqwest::Client, Error> {
    // Fails only when a provider is there already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(timeout)
        .connect_timeout(Duration::from_secs(3))
        // Shorter than the keep-alive of usual servers: a report must not be lost on a connection the bridge just closed.
        .pool_idle_timeout(Duration::from_secs(2))
        .user_agent("callbridge-simulator")
        .build()?;
    Ok(client)
}
