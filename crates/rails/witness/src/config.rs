//! Where a witness is, and whose cosignatures it makes.

use hyper::Uri;
use std::{net::IpAddr, time::Duration};
use tallystick_core::{Code, Coded};
use tallystick_log::VerifierKey;

/// How an [`HttpWitness`](crate::HttpWitness) reaches its witness.
#[derive(Clone, Debug)]
pub struct HttpWitnessConfig {
    /// The submission prefix (C2SP tlog-witness), such as `https://witness.example/w1`; `add-checkpoint` is added to it.
    pub prefix: String,
    /// The key whose cosignatures count.
    pub key: VerifierKey,
    /// The longest that one request may take, connecting included.
    pub timeout: Duration,
    /// Root certificates besides the system's, in DER.
    pub roots: Vec<Vec<u8>>,
    /// Speak without TLS to other machines too. A cosignature is checked all the same; who listens learns what the log
    /// publishes anyway, and who meddles can keep the witness away, and tell a size that it never said: that alone stops no node.
    pub insecure: bool,
}

impl HttpWitnessConfig {
    /// The usual limit for one request: two round trips, an fsync, and a slow line.
    pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

    /// A configuration with the usual timeout and the system's root certificates.
    #[must_use]
    pub fn new(prefix: impl Into<String>, key: VerifierKey) -> Self {
        let prefix = prefix.into();
        Self { prefix, key, timeout: Self::TIMEOUT_DEFAULT, roots: Vec::new(), insecure: false }
    }

    /// The address of `add-checkpoint`.
    pub(crate) fn address(&self) -> Result<Uri, ConfigError> {
        let prefix: Uri = self.prefix.parse().map_err(|_| ConfigError::Url("it is no URL"))?;
        let host = prefix.host().filter(|host| !host.is_empty()).ok_or(ConfigError::Url("it names no host"))?;
        if prefix.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(ConfigError::Url("it must not hold credentials"));
        }
        if prefix.query().is_some() {
            return Err(ConfigError::Url("it must end with its path"));
        }
        match prefix.scheme_str() {
            Some("https") => {}
            Some("http") if self.insecure || is_loopback(host) => {}
            Some("http") => return Err(ConfigError::Url("without TLS only a witness on this machine is asked")),
            _ => return Err(ConfigError::Url("it must begin with https:// or http://")),
        }
        let address = format!("{}/add-checkpoint", self.prefix.trim_end_matches('/'));
        address.parse().map_err(|_| ConfigError::Url("it is no URL"))
    }
}

/// Whether a host can only be this machine.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Why no client can be made of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The submission prefix.
    #[error("the address of the witness is not usable: {0}")]
    Url(&'static str),
    /// The key makes no cosignatures.
    #[error("the key {0} is not that of a witness: it must be of the kind `cosignature/v1` (0x04)")]
    Key(String),
    /// TLS cannot be set up.
    #[error("no TLS to the witness: {0}")]
    Tls(String),
}

impl Coded for ConfigError {
    fn code(&self) -> Code {
        match self {
            Self::Url(_) => Code("witness.url"),
            Self::Key(_) => Code("witness.key_kind"),
            Self::Tls(_) => Code("witness.tls"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallystick_log::{KeyKind, KeyName, SigningKey};

    fn address(prefix: &str, insecure: bool) -> Result<String, ConfigError> {
        let name = KeyName::try_new("witness.example").unwrap();
        let key = SigningKey::try_from_seed(name, KeyKind::Cosignature, &[1; 32]).unwrap().verifier().clone();
        let config = HttpWitnessConfig { insecure, ..HttpWitnessConfig::new(prefix, key) };
        config.address().map(|uri| uri.to_string())
    }

    #[test]
    fn the_call_is_added_to_the_prefix() {
        for (prefix, call) in [
            ("https://witness.example", "https://witness.example/add-checkpoint"),
            ("https://witness.example/", "https://witness.example/add-checkpoint"),
            ("https://witness.example/w1", "https://witness.example/w1/add-checkpoint"),
            ("http://127.0.0.1:8090/w1/", "http://127.0.0.1:8090/w1/add-checkpoint"),
            ("http://[::1]:8090", "http://[::1]:8090/add-checkpoint"),
            ("http://localhost", "http://localhost/add-checkpoint"),
        ] {
            assert_eq!(address(prefix, false).unwrap(), call);
        }
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for open in ["http://witness.example", "http://10.0.0.1/w1", "http://localhost.example/"] {
            assert!(address(open, false).is_err(), "{open}");
            assert!(address(open, true).is_ok(), "{open}");
        }
        for bad in ["", "witness.example", "/w1", "ftp://127.0.0.1/", "https://a@b.example/", "https://b.example/?q=1"]
        {
            assert!(address(bad, true).is_err(), "{bad}");
        }
    }
}
