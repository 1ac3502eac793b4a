//! Which addresses callbridge may connect to. An address in an event must never reach into the operator's network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::config::Network;

/// The guard: public addresses, and the networks that the instance's own config file allows.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allowed: Arc<[Network]>,
}

/// Raised inside the resolver, so that it can be told apart from a failed look-up.
#[derive(Debug, thiserror::Error)]
#[error("{host} is an inner address ({address}); allow its network in outbound.allow_networks if it is really yours")]
pub struct Blocked {
    pub host: String,
    pub address: IpAddr,
}

impl Guard {
    pub fn new(allowed: Vec<Network>) -> Self {
        Self { allowed: allowed.into() }
    }

    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !is_special(address) || self.allowed.iter().any(|network| network.contains(address))
    }

    /// Address literals never reach the resolver: they are checked here, before each request.
    pub fn check_url(&self, url: &url::Url) -> Result<(), Blocked> {
        let address = match url.host() {
            Some(url::Host::Ipv4(a)) => IpAddr::V4(a),
            Some(url::Host::Ipv6(a)) => IpAddr::V6(a),
            _ => return Ok(()),
        };
        if self.allows(address) { Ok(()) } else { Err(Blocked { host: address.to_string(), address }) }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let (good, bad): (Vec<SocketAddr>, Vec<SocketAddr>) = found.into_iter().partition(|a| guard.allows(a.ip()));
            match (good.is_empty(), bad.first()) {
                (true, Some(address)) => Err(Box::new(Blocked { host, address: address.ip() }) as Box<dyn std::error::Error + Send + Sync>),
                _ => Ok(Box::new(good.into_iter()) as Addrs),
            }
        })
    }
}

fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => is_special_v4(a),
        IpAddr::V6(a) => is_special_v6(a),
    }
}

fn is_special_v4(a: Ipv4Addr) -> bool {
    let [first, second, third, _] = a.octets();
    a.is_loopback()
        || a.is_private()
        || a.is_link_local()
        || a.is_multicast()
        || a.is_broadcast()
        || a.is_documentation()
        || first == 0
        || first >= 240
        || (first == 100 && (64..128).contains(&second))
        || (first == 192 && second == 0 && third == 0)
        || (first == 198 && (18..20).contains(&second))
}

fn is_special_v6(a: Ipv6Addr) -> bool {
    let [first, second, ..] = a.segments();
    a.is_loopback()
        || a.is_unspecified()
        || a.is_multicast()
        || (first & 0xfe00) == 0xfc00
        || (first & 0xffc0) == 0xfe80
        || (first == 0x2001 && second == 0xdb8)
        // NAT64 and 6to4 hold an IPv4 address that would have to be checked: never a CRM's.
        || (first == 0x64 && second == 0xff9b)
        || first == 0x2002
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(guard: &Guard, url: &str) -> bool {
        guard.check_url(&url::Url::parse(url).unwrap()).is_ok()
    }

    #[test]
    fn inner_addresses_are_refused_however_they_are_written() {
        let guard = Guard::default();
        for host in [
            "127.0.0.1",
            "2130706433",
            "0x7f.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "10.1.2.3",
            "169.254.169.254",
            "100.64.0.1",
            "[fd00::1]",
            "[fe80::1]",
            "0.0.0.0",
            "192.168.1.1",
            "[64:ff9b::7f00:1]",
        ] {
            assert!(!allows(&guard, &format!("http://{host}/")), "{host}");
        }
        assert!(allows(&guard, "http://8.8.8.8/"));
    }

    #[test]
    fn an_allowed_network_is_reached_and_nothing_beside_it() {
        let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap(), "fd12::/16".parse().unwrap()]);
        assert!(allows(&guard, "http://127.9.9.9/") && allows(&guard, "http://[fd12::5]/") && allows(&guard, "http://[::ffff:127.0.0.1]/"));
        assert!(!allows(&guard, "http://10.0.0.1/") && !allows(&guard, "http://[fd13::5]/"));
    }
}
