//! Where a request comes from: the connection's other end, or what a proxy that we trust says.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use axum::http::{Extensions, HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The other end of a request's connection, in its extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Addresses that begin alike: `10.0.0.0/8`, `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: IpAddr,
    bits: u32,
}

impl Cidr {
    /// Whether the address is one of them.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is no address or network of addresses, such as 10.0.0.0/8 or ::1");
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse::<u32>).map_err(|_| wrong())?;
        if bits > most { Err(wrong()) } else { Ok(Self { address, bits }) }
    }
}

impl TryFrom<String> for Cidr {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// What one customer of a network has: an address or, in IPv6, 2⁶⁴ of them, which count as one.
pub(crate) fn customer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The client's address: the last of those forwarded that no trusted proxy has, read from the right, where
/// each proxy adds the one it has seen. What a client writes there itself is further left.
pub(super) fn client(extensions: &Extensions, headers: &HeaderMap, trusted: &[Cidr]) -> IpAddr {
    let peer = extensions.get::<Peer>().map_or(Ipv4Addr::LOCALHOST.into(), |peer| peer.0.ip());
    let mut address = peer.to_canonical();
    let lines: Vec<&str> =
        headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let mut told = lines.iter().rev().flat_map(|line| line.rsplit(','));
    while trusted.iter().any(|cidr| cidr.holds(address)) {
        match told.next().and_then(read) {
            Some(next) => address = next,
            None => break,
        }
    }
    address
}

/// An address, with a port or without.
fn read(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text.parse::<IpAddr>();
    let address = address.or_else(|_| text.parse::<SocketAddr>().map(|both| both.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().expect(text)
    }

    #[test]
    fn a_network_holds_what_begins_alike() {
        for (network, address, holds) in [
            ("10.0.0.0/8", "10.255.3.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("192.168.1.1", "192.168.1.1", true),
            ("192.168.1.1", "192.168.1.2", false),
            ("0.0.0.0/0", "255.1.2.3", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(cidr(network).holds(address), holds, "{network} {address}");
        }
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "::1/129", "localhost", "10.0.0.0/-1"] {
            assert!(wrong.parse::<Cidr>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_what_it_has_seen_itself() {
        let ask = |peer: &str, forwarded: &[&'static str], trusted: &[Cidr]| {
            let mut extensions = Extensions::new();
            extensions.insert(Peer(SocketAddr::new(peer.parse().expect("an address"), 1)));
            let mut headers = HeaderMap::new();
            for line in forwarded {
                headers.append(FORWARDED_FOR, axum::http::HeaderValue::from_static(line));
            }
            client(&extensions, &headers, trusted).to_string()
        };
        let inner = [cidr("10.0.0.0/8")];
        assert_eq!(ask("1.2.3.4", &["9.9.9.9"], &[]), "1.2.3.4");
        assert_eq!(ask("1.2.3.4", &["9.9.9.9"], &inner), "1.2.3.4");
        assert_eq!(ask("10.0.0.1", &["9.9.9.9"], &inner), "9.9.9.9");
        assert_eq!(ask("10.0.0.1", &["6.6.6.6, 9.9.9.9"], &inner), "9.9.9.9");
        assert_eq!(ask("10.0.0.1", &["6.6.6.6", "9.9.9.9, 10.0.0.2"], &inner), "9.9.9.9");
        assert_eq!(ask("10.0.0.1", &["nonsense"], &inner), "10.0.0.1");
        assert_eq!(ask("10.0.0.1", &["[2001:db8::1]:443"], &inner), "2001:db8::1");
        assert_eq!(ask("10.0.0.1", &[], &inner), "10.0.0.1");
    }
}
