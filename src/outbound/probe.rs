//! Can an address be reached at all? DNS, the guard, a TCP connection; not a byte is sent.

use std::net::SocketAddr;
use std::time::Duration;

use super::guard::Guard;

/// The address that took the connection, or a sentence that says what failed.
pub async fn reach(guard: &Guard, url: &str, timeout: Duration) -> Result<SocketAddr, String> {
    let url = url::Url::parse(url).map_err(|error| format!("the address is not readable: {error}"))?;
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return Err("the address names no host".into()) };
    let bare = host.trim_matches(['[', ']']);
    let found: Vec<SocketAddr> = tokio::net::lookup_host((bare, port)).await.map_err(|error| format!("{host} has no address: {error}"))?.collect();
    let allowed: Vec<SocketAddr> = found.iter().copied().filter(|address| guard.allows(address.ip())).collect();
    if let (true, Some(address)) = (allowed.is_empty(), found.first()) {
        return Err(format!("{host} is an inner address ({}); allow its network in outbound.allow_networks if it is really yours", address.ip()));
    }
    let mut last = format!("{host} has no address");
    for address in allowed {
        match tokio::time::timeout(timeout, tokio::net::TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(address),
            Ok(Err(error)) => last = format!("{address} does not take a connection: {error}"),
            Err(_) => last = format!("{address} did not take a connection within {} s", timeout.as_secs()),
        }
    }
    Err(last)
}
