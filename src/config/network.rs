//! A network such as `10.0.0.0/8` or `fd00::/8`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// All addresses that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    pub address: IpAddr,
    pub prefix: u8,
}

/// Text that is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a network; write an address with the number of fixed bits, such as 192.168.1.0/24, 10.0.0.5 or fd00::/8")]
pub struct BadNetwork(pub String);

fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

impl Network {
    /// Whether the address is inside; an IPv4 address written as IPv6 (`::ffff:…`) counts as the IPv4 one.
    pub fn contains(self, address: IpAddr) -> bool {
        let ((own, width), (other, other_width)) = (bits(self.address.to_canonical()), bits(address.to_canonical()));
        let shift = u32::from(width.saturating_sub(self.prefix));
        width == other_width && own.checked_shr(shift).unwrap_or(0) == other.checked_shr(shift).unwrap_or(0)
    }
}

impl FromStr for Network {
    type Err = BadNetwork;
    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let bad = || BadNetwork(text.to_owned());
        let (address, prefix) = text.trim().split_once('/').map_or((text.trim(), None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse::<IpAddr>().map_err(|_| bad())?.to_canonical();
        let width = bits(address).1;
        let prefix = prefix.map_or(Ok(width), |p| p.parse().map_err(|_| bad()))?;
        if prefix > width { Err(bad()) } else { Ok(Self { address, prefix }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_inside_its_network_only() {
        let inside = |network: &str, address: &str| network.parse::<Network>().unwrap().contains(address.parse().unwrap());
        assert!(inside("127.0.0.0/8", "127.1.2.3") && inside("127.0.0.0/8", "::ffff:127.0.0.1"));
        assert!(!inside("127.0.0.0/8", "128.0.0.1") && !inside("10.0.0.5", "10.0.0.6"));
        assert!(inside("fd00::/8", "fd12::1") && !inside("fd00::/8", "10.0.0.1"));
        assert!(inside("0.0.0.0/0", "8.8.8.8") && inside("::/0", "fe80::1"));
        for text in ["", "10.0.0.0/33", "10.0.0.0/x", "localhost", "10.0.0/8"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
