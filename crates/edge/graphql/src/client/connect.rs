//! How the client reaches a node: TLS, and where it may be left out.

use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};
use std::{net::IpAddr, sync::Arc, time::Duration};

use super::{CONNECT_TIMEOUT, ClientError, Options, body::Outgoing};

/// Shorter than the time after which an edge closes a connection that is idle.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// A plain HTTP client: it follows no redirect and uses no proxy, so that nobody else sees what is signed.
pub(super) type Http = HyperClient<HttpsConnector<HttpConnector>, Outgoing>;

/// Reads a node's URL: `https`, or `http` if the node is on this machine or the options allow it.
///
/// # Errors
/// `client.url`.
pub(super) fn read_url(url: &str, options: &Options) -> Result<Uri, ClientError> {
    let uri: Uri = url.parse().map_err(|error| ClientError::new("client.url", error))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(_)) => Ok(uri),
        (Some("http"), Some(host)) if options.insecure || is_loopback(host) => Ok(uri),
        (Some("http"), Some(_)) => Err(ClientError::new(
            "client.url",
            "without TLS anybody on the way can read and change what is said: use https, or allow it (`--insecure`)",
        )),
        _ => Err(ClientError::new("client.url", "the node's URL must begin with https:// or http://")),
    }
}

/// Whether a host can only be this machine.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// TLS 1.2 and 1.3 with the system's roots (`SSL_CERT_FILE` names others) and those of the options.
///
/// # Errors
/// `client.tls`.
pub(super) fn tls(uri: &Uri, options: &Options) -> Result<Arc<ClientConfig>, ClientError> {
    let failed = |error: rustls::Error| ClientError::new("client.tls", error);
    let mut roots = RootCertStore::empty();
    if uri.scheme_str() == Some("https") {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for root in &options.roots {
            roots.add(CertificateDer::from(root.as_slice())).map_err(failed)?;
        }
        if roots.is_empty() {
            return Err(ClientError::new(
                "client.tls",
                "this system has no root certificates; SSL_CERT_FILE names some",
            ));
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(failed)?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// The HTTP client with this TLS.
pub(super) fn http(tls: &ClientConfig, options: &Options) -> Http {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1();
    HyperClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_MAX)
        .pool_max_idle_per_host(if options.reconnect { 0 } else { usize::MAX })
        .build(connector.wrap_connector(tcp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_only_this_machine_is_asked() {
        let read = |url: &str, insecure| read_url(url, &Options { insecure, ..Options::default() }).is_ok();
        for fine in [
            "https://tally.example/graphql",
            "http://127.0.0.1:8080/graphql",
            "http://127.9.9.9/graphql",
            "http://[::1]:8080/graphql",
            "http://localhost:8080/graphql",
        ] {
            assert!(read(fine, false), "{fine}");
        }
        for open in ["http://tally.example/graphql", "http://192.168.1.2/graphql", "http://localhost.example/graphql"] {
            assert!(!read(open, false), "{open}");
            assert!(read(open, true), "{open}");
        }
        for no_url in ["", "/graphql", "ftp://127.0.0.1/", "127.0.0.1:8080", "wss://tally.example/graphql"] {
            assert!(!read(no_url, true), "{no_url}");
        }
    }
}
