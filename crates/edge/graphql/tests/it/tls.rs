//! The client over TLS, which ends at a proxy before the node, as in production.

use futures::StreamExt;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tallystick_graphql::client::{Client, Options};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::world::{PATIENCE, World, requester};

/// A node behind a proxy with TLS, and the certificate that a client must trust.
async fn behind_tls() -> (World, String, Vec<u8>, JoinHandle<()>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().to_vec();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/graphql", listener.local_addr().unwrap().port());
    let world = World::with(|config| config.public_urls.push(url.clone())).await;
    let node = world.url.trim_start_matches("http://").trim_end_matches("/graphql").to_owned();
    let proxy = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, node) = (acceptor.clone(), node.clone());
            tokio::spawn(async move {
                let mut outside = acceptor.accept(stream).await?;
                let mut inside = TcpStream::connect(node).await?;
                tokio::io::copy_bidirectional(&mut outside, &mut inside).await
            });
        }
    });
    (world, url, certificate, proxy)
}

#[tokio::test]
async fn queries_and_updates_go_over_tls() {
    let (world, url, certificate, proxy) = behind_tls().await;
    let options = Options { roots: vec![certificate], ..Options::default() };
    let tap = Arc::new(Mutex::new(Vec::new()));
    let client = Client::with_options(&url, requester(), &options).unwrap().with_clock(Arc::clone(&world.clock) as _);
    let client = client.with_tap(Arc::clone(&tap));
    let node = client.query("{ node { lightning { alias } } }", json!({})).await.unwrap();
    assert_eq!(node["node"]["lightning"]["alias"], "tally");
    let id = world.create().await;
    let query = "subscription($id: UUID) { taskUpdates(id: $id) { state } }";
    let mut updates = client.subscribe(query, json!({ "id": id.to_string() })).await.unwrap();
    let first: Value = tokio::time::timeout(PATIENCE, updates.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(first["taskUpdates"]["state"], "OPEN");
    // Everything that was heard is in the tap, as it came.
    let heard = String::from_utf8(tap.lock().unwrap().clone()).unwrap();
    for told in ["{\"data\":{\"node\":", "connection_ack", "\"type\":\"next\"", "\"OPEN\""] {
        assert!(heard.contains(told), "{told} is not in {heard}");
    }
    proxy.abort();
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (_world, url, certificate, proxy) = behind_tls().await;
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.der().to_vec();
    let options = |root| Options { roots: vec![root], ..Options::default() };
    let stranger = Client::with_options(&url, requester(), &options(other)).unwrap();
    let error = stranger.query("{ node { height } }", json!({})).await.unwrap_err();
    assert_eq!(error.code, "client.unreachable", "{error}");
    assert!(error.message.contains("certificate"), "{error}");
    assert!(error.message.starts_with(&format!("{url}: ")), "{error}");
    let error = stranger.subscribe("subscription { taskUpdates { id } }", json!({})).await.err().unwrap();
    assert_eq!(error.code, "client.unreachable", "{error}");
    // Another name than the certificate's.
    let renamed = url.replace("localhost", "127.0.0.1");
    let misled = Client::with_options(renamed, requester(), &options(certificate)).unwrap();
    assert_eq!(misled.query("{ node { height } }", json!({})).await.unwrap_err().code, "client.unreachable");
    proxy.abort();
}

/// Whoever reads that there is no answer reads where none is, and nothing that is secret.
#[tokio::test]
async fn nobody_at_an_address_is_told_with_the_address() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://user:hunter2@{nobody}/graphql?token=hunter2");
    let client = Client::new(url, requester()).unwrap();
    let asked = client.query("{ node { height } }", json!({})).await.unwrap_err();
    let subscribed = client.subscribe("subscription { taskUpdates { id } }", json!({})).await.err().unwrap();
    for error in [asked, subscribed] {
        assert!(error.message.starts_with(&format!("http://{nobody}/graphql: ")), "{error}");
        assert!(error.message.contains("refused") && !error.message.contains("hunter2"), "{error}");
    }
}
