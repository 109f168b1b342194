//! Ports for servers that stop and come back.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that Linux gives to outgoing connections unless told otherwise (32768 to 60999), and above those
/// of well-known servers: what is free now is not taken by the next client that connects somewhere.
const PORTS: Range<u16> = 10_240..32_768;

/// An address of 127.0.0.1 that is free now and was not given to anybody in this process before.
///
/// # Errors
/// If no port can be listened on.
pub fn free_port() -> io::Result<SocketAddr> {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end - PORTS.start;
    // Processes that run at once begin at different places.
    let first = process::id().wrapping_mul(2_654_435_761) >> 16;
    let mut outcome = Err(io::Error::from(io::ErrorKind::AddrInUse));
    for _ in 0..count {
        let given = GIVEN.fetch_add(1, Ordering::Relaxed);
        let place = (first + u32::from(given)) % u32::from(count);
        let port = PORTS.start + u16::try_from(place).expect("less than the count");
        outcome = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| listener.local_addr());
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_port_is_free_and_given_once() {
        let mut listeners = Vec::new();
        let mut ports = BTreeSet::new();
        for _ in 0..64 {
            let address = free_port().unwrap();
            assert!(PORTS.contains(&address.port()), "{address}");
            assert!(ports.insert(address.port()), "{address} again");
            listeners.push(TcpListener::bind(address).unwrap());
        }
    }
}
