//! Who sent a request: the peer, or the address that a trusted proxy says.

use std::net::IpAddr;

use actix_web::HttpRequest;

use crate::config::Network;

/// `X-Forwarded-For` is read from its end, where our own proxies wrote; the first address that is none of them is the sender.
pub fn address(request: &HttpRequest, trusted: &[Network]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let headers: Vec<&str> = request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok()).collect();
    Some(of(peer, &headers, trusted))
}

fn of(peer: IpAddr, forwarded: &[&str], trusted: &[Network]) -> IpAddr {
    let trusts = |ip: IpAddr| trusted.iter().any(|network| network.contains(ip));
    let mut sender = peer;
    for entry in forwarded.iter().flat_map(|value| value.split(',')).rev() {
        if !trusts(sender) {
            break;
        }
        // Something unreadable was written by somebody who is not to be believed.
        let Ok(ip) = entry.trim().trim_matches(['[', ']']).parse() else { break };
        sender = ip;
    }
    sender
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Vec<Network> = ["127.0.0.1", "10.0.0.0/8"].iter().map(|n| n.parse().unwrap()).collect();
        let sender = |peer: &str, forwarded: &[&str]| of(peer.parse().unwrap(), forwarded, &trusted).to_string();
        assert_eq!(sender("203.0.113.9", &["192.0.2.1"]), "203.0.113.9", "anybody can write the header");
        assert_eq!(sender("127.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(sender("127.0.0.1", &["198.51.100.7, 192.0.2.1, 10.1.2.3"]), "192.0.2.1", "what stands before it was written by the sender");
        assert_eq!(sender("127.0.0.1", &["198.51.100.7", "192.0.2.1"]), "192.0.2.1");
        assert_eq!(sender("127.0.0.1", &["unknown"]), "127.0.0.1");
        assert_eq!(sender("127.0.0.1", &[]), "127.0.0.1");
    }
}
