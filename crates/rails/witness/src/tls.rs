//! The connection below: TLS 1.2 and 1.3 on the system's roots, HTTP/1.1 kept alive.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};
use std::{sync::Arc, time::Duration};

use crate::ConfigError;

/// Shorter than the time after which most servers close a connection that is idle.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// The HTTP client.
pub(crate) type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client for this address; `SSL_CERT_FILE` names other roots than the system's.
pub(crate) fn connect(address: &Uri, more_roots: &[Vec<u8>]) -> Result<Http, ConfigError> {
    let failed = |error: rustls::Error| ConfigError::Tls(error.to_string());
    let mut roots = RootCertStore::empty();
    if address.scheme_str() == Some("https") {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for root in more_roots {
            roots.add(CertificateDer::from(root.as_slice())).map_err(failed)?;
        }
        if roots.is_empty() {
            return Err(ConfigError::Tls("this system has no root certificates; SSL_CERT_FILE names some".to_owned()));
        }
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let tls = tls.with_safe_default_protocol_versions().map_err(failed)?;
    let tls = tls.with_root_certificates(roots).with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_MAX)
        .build(connector.wrap_connector(tcp)))
}
