//! Where a request comes from.

use axum::http::HeaderMap;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const FORWARDED: &str = "x-forwarded-for";

/// Where a request comes from, as far as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// This machine itself.
    Near,
    /// Elsewhere: an IPv4 address, or the first 64 bits of an IPv6 one.
    Far(IpAddr),
}

impl Source {
    /// The source of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            address if address.is_loopback() => Self::Near,
            address => Self::Far(counted(address)),
        }
    }

    /// The source of a request from this peer. What a trusted proxy tells counts, from its end on, up to the first that no
    /// trusted proxy stands for: everything before that its sender may have made up. Peers that are not known share one
    /// source.
    pub fn read(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let Some(peer) = peer.map(|peer| peer.to_canonical()) else {
            return Self::Far(Ipv4Addr::UNSPECIFIED.into());
        };
        let trusts = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
        if !trusts(&peer) {
            return Self::of(peer);
        }
        let lines = headers.get_all(FORWARDED).iter().rev().map(|value| value.to_str().unwrap_or("?"));
        for entry in lines.flat_map(|line| line.rsplit(',')) {
            match entry.trim().parse().map(|address: IpAddr| address.to_canonical()) {
                Ok(address) if trusts(&address) => {}
                Ok(address) => return Self::Far(counted(address)),
                Err(_) => break,
            }
        }
        // The proxy tells nothing: whoever comes through it is counted together.
        Self::Far(counted(peer))
    }
}

fn counted(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn read(peer: &str, forwarded: &[&str], trusted: &[&str]) -> Source {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED, HeaderValue::from_str(value).unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        Source::read(Some(peer.parse().unwrap()), &headers, &trusted)
    }

    fn far(address: &str) -> Source {
        Source::Far(address.parse().unwrap())
    }

    #[test]
    fn only_a_trusted_proxy_is_listened_to() {
        let proxy = ["10.0.0.0/8", "127.0.0.1/32"];
        assert_eq!(read("192.0.2.9", &["198.51.100.7"], &proxy), far("192.0.2.9"));
        assert_eq!(read("10.1.2.3", &["198.51.100.7"], &proxy), far("198.51.100.7"));
        assert_eq!(read("127.0.0.1", &["198.51.100.7"], &proxy), far("198.51.100.7"));
        assert_eq!(read("127.0.0.1", &["198.51.100.7"], &[]), Source::Near);
    }

    #[test]
    fn what_a_client_made_up_counts_for_nothing() {
        let proxy = ["10.0.0.0/8"];
        for forwarded in [
            &["203.0.113.1, 198.51.100.7"][..],
            &["203.0.113.1", "198.51.100.7, 10.9.9.9"],
            &["127.0.0.1, 198.51.100.7,10.9.9.9"],
            &["nonsense, 198.51.100.7"],
        ] {
            assert_eq!(read("10.1.2.3", forwarded, &proxy), far("198.51.100.7"), "{forwarded:?}");
        }
        for forwarded in [&[][..], &["nonsense"], &["198.51.100.7, nonsense"], &["10.9.9.9"], &[""]] {
            assert_eq!(read("10.1.2.3", forwarded, &proxy), far("10.1.2.3"), "{forwarded:?}");
        }
        assert_eq!(read("10.1.2.3", &["127.0.0.1"], &proxy), far("127.0.0.1"), "nobody says to be this machine");
    }

    #[test]
    fn an_ipv6_address_counts_by_its_first_half() {
        assert_eq!(read("2001:db8:1:2:3:4:5:6", &[], &[]), far("2001:db8:1:2::"));
        assert_eq!(read("fd00::1", &["2001:db8:1:2:3::"], &["fd00::/8"]), far("2001:db8:1:2::"));
        assert_eq!(Source::read(None, &HeaderMap::new(), &[]), far("0.0.0.0"));
    }
}
