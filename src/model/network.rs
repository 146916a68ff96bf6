//! An IP network: an address and how many of its bits count.
//!
//! Strict on purpose: `10.1.2.3/8` is a mistake more often than a wish, and the difference decides
//! who is believed. An IPv4 address in IPv6 clothes (`::ffff:10.0.0.1`) is the IPv4 address, on both
//! sides of the comparison.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bits in front of an IPv4 address that is written as an IPv6 address.
const MAPPED_BITS: u8 = 96;

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    /// The first of them.
    base: IpAddr,
    prefix: u8,
}

/// Why a text is not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NetworkError {
    /// Neither an address nor an address with a prefix.
    NotAnAddress,
    /// The prefix is no number, or longer than an address of this family, which has so many bits.
    Prefix(u8),
    /// Bits are set that do not count; this network has none.
    HostBits(Network),
}

impl Network {
    /// Reads `10.0.0.0/8`, `fd00::/8`, or one address.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub(crate) fn parse(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| NetworkError::NotAnAddress)?;
        let width = width(written);
        let digits = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let prefix = match prefix {
            None => width,
            Some(text) => Some(text)
                .filter(digits)
                .and_then(|text| text.parse().ok())
                .filter(|bits| *bits <= width)
                .ok_or(NetworkError::Prefix(width))?,
        };
        let base = masked(written, prefix);
        let network = match (base.to_canonical(), prefix.checked_sub(MAPPED_BITS)) {
            (IpAddr::V4(v4), Some(prefix)) if base.is_ipv6() => Self {
                base: IpAddr::V4(v4),
                prefix,
            },
            _ => Self { base, prefix },
        };
        if base == written {
            Ok(network)
        } else {
            Err(NetworkError::HostBits(network))
        }
    }

    /// Whether the address belongs to it.
    pub(crate) fn contains(self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.base.is_ipv4() && masked(ip, self.prefix) == self.base
    }

    /// Whether it is every address of its family.
    pub(crate) fn is_everything(self) -> bool {
        self.prefix == 0
    }
}

fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// The address without the bits behind the prefix.
fn masked(ip: IpAddr, prefix: u8) -> IpAddr {
    // How many bits do not count; as many as there are shift out everything.
    let rest = u32::from(width(ip).saturating_sub(prefix));
    match ip {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(rest).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(rest).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::parse(text).unwrap_or_else(|why| panic!("{text}: {why:?}"))
    }

    #[test]
    fn a_network_holds_the_addresses_that_begin_with_its_bits() {
        for (text, inside, outside) in [
            (
                "10.0.0.0/8",
                &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"][..],
                &["11.0.0.0", "9.255.255.255", "::a00:1"][..],
            ),
            ("192.0.2.7", &["192.0.2.7"], &["192.0.2.6", "192.0.2.8"]),
            (
                "192.0.2.6/31",
                &["192.0.2.6", "192.0.2.7"],
                &["192.0.2.5", "192.0.2.8"],
            ),
            ("0.0.0.0/0", &["0.0.0.0", "255.255.255.255"], &["::1"]),
            ("fd00::/8", &["fd00::1", "fdff::"], &["fe00::", "10.0.0.1"]),
            ("2001:db8::/33", &["2001:db8:7fff::"], &["2001:db8:8000::"]),
            ("::1", &["::1"], &["::2", "127.0.0.1"]),
            ("::/0", &["::", "ffff::"], &["127.0.0.1"]),
            ("::ffff:10.0.0.0/104", &["10.9.9.9"], &["11.0.0.0"]),
        ] {
            for ip in inside {
                assert!(
                    network(text).contains(ip.parse().expect(ip)),
                    "{ip} in {text}"
                );
            }
            for ip in outside {
                assert!(
                    !network(text).contains(ip.parse().expect(ip)),
                    "{ip} not in {text}"
                );
            }
        }
    }

    #[test]
    fn what_is_hardly_meant_is_no_network() {
        for text in [
            "",
            "localhost",
            "10.0.0/8",
            "10.0.0.0.0/8",
            "[::1]",
            "/8",
            "10.0.0.1:80",
            " ::1",
        ] {
            assert_eq!(
                Network::parse(text),
                Err(NetworkError::NotAnAddress),
                "{text:?}"
            );
        }
        for (text, bits) in [
            ("10.0.0.0/33", 32),
            ("10.0.0.0/", 32),
            ("10.0.0.0/+8", 32),
            ("10.0.0.0/255.0.0.0", 32),
            ("::/129", 128),
            ("::/8/8", 128),
        ] {
            assert_eq!(
                Network::parse(text),
                Err(NetworkError::Prefix(bits)),
                "{text}"
            );
        }
        assert_eq!(
            Network::parse("10.1.2.3/8"),
            Err(NetworkError::HostBits(network("10.0.0.0/8")))
        );
        assert_eq!(network("::ffff:10.0.0.0/104").to_string(), "10.0.0.0/8");
    }
}
