//! The client over TLS: who is trusted, and who is not.

use std::sync::Arc;
use tallystick_app::port::witness::{Witness as _, WitnessError};
use tallystick_witness_client::{HttpWitness, HttpWitnessConfig};
use tokio::{net::TcpListener, sync::Mutex};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use crate::server::{converse, cosignature, http, request, witness_key};

#[tokio::test]
async fn only_a_certificate_of_a_known_root_is_spoken_to() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let root = made.cert.der().to_vec();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = http(200, "text/plain", &cosignature(&witness_key()));
    let serving = tokio::spawn(async move {
        let heard = Mutex::default();
        while let Ok((stream, _)) = listener.accept().await {
            // Whoever does not trust us hangs up in the handshake.
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            converse(stream, Some(&answer), &heard).await;
        }
    });
    let ask = |host: &str, roots: Vec<Vec<u8>>| {
        let prefix = format!("https://{host}:{port}");
        let config = HttpWitnessConfig { roots, ..HttpWitnessConfig::new(prefix, witness_key().verifier().clone()) };
        async move { HttpWitness::try_new(config).unwrap().add_checkpoint(&request()).await }
    };
    ask("localhost", vec![root.clone()]).await.unwrap();
    let stranger = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap().cert.der().to_vec();
    let untrusted = ask("localhost", vec![stranger]).await.unwrap_err();
    assert!(matches!(&untrusted, WitnessError::Unavailable(why) if why.contains("certificate")), "{untrusted}");
    let misnamed = ask("127.0.0.1", vec![root]).await.unwrap_err();
    assert!(matches!(&misnamed, WitnessError::Unavailable(why) if why.contains("certificate")), "{misnamed}");
    serving.abort();
}
