//! [`Network`]: where people may come from.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network in CIDR notation, or one address.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNet);

impl Network {
    /// Reads a network that a person types. What stands behind its prefix is a slip: an address that was meant alone, or another network.
    ///
    /// # Errors
    ///
    /// A sentence with the value, and with what was probably meant.
    pub fn typed(text: &str) -> Result<Self, String> {
        match text.parse::<IpNet>() {
            Ok(net) if net != net.trunc() => Err(format!(
                "{text:?} has bits set behind its /{}; write {} for the network, or {} for that address alone",
                net.prefix_len(),
                net.trunc(),
                net.addr()
            )),
            _ => text.parse(),
        }
    }

    /// Whether `address` lies in it. An IPv4 address that came over an IPv6 socket counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network
            .map(|network| Self(network.trunc()))
            .map_err(|_| format!("{text:?} is no network; write it like 10.0.0.0/8 or 2001:db8::1"))
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.0.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_mapped_addresses_and_single_ones() {
        let network: Network = "10.0.0.0/8".parse().unwrap();
        assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network.contains("11.1.2.3".parse().unwrap()));
        let one: Network = "2001:db8::1".parse().unwrap();
        assert!(one.contains("2001:db8::1".parse().unwrap()));
        assert!(!one.contains("2001:db8::2".parse().unwrap()));
    }

    #[test]
    fn bits_behind_the_prefix_of_a_typed_network_are_no_network() {
        for (text, meant) in [("10.0.0.1/8", "10.0.0.0/8"), ("2001:db8::1/32", "2001:db8::/32")] {
            assert!(Network::typed(text).unwrap_err().contains(meant), "{text}");
        }
        for text in ["10.0.0.0/8", "10.0.0.1", "10.0.0.1/32", "0.0.0.0/0", "2001:db8::1"] {
            assert!(Network::typed(text).is_ok(), "{text}");
        }
        assert!(Network::typed("nonsense").unwrap_err().contains("no network"));
    }
}
