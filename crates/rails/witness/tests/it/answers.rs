//! What a witness may answer, and what is made of it.

use std::time::{Duration, Instant};
use tallystick_app::port::witness::WitnessError;
use tallystick_core::Coded;
use tallystick_log::{KeyKind, NOTE_BYTES_MAX, NoteSignature};
use tallystick_witness_client::{ConfigError, HttpWitness, HttpWitnessConfig};
use tokio::net::TcpListener;

use crate::server::{Server, ask, cosignature, http, key, request, witness_key};

const PATIENCE: Duration = Duration::from_secs(30);
const TEXT: &str = "text/plain; charset=utf-8";
const SIZE: &str = "text/x.tlog.size";

async fn asked(answer: Vec<u8>) -> Result<NoteSignature, WitnessError> {
    Server::start(Some(answer)).await.asked(PATIENCE).await
}

#[tokio::test]
async fn a_cosignature_is_checked_and_answered() {
    let server = Server::start(Some(http(200, TEXT, &cosignature(&witness_key())))).await;
    let line = server.asked(PATIENCE).await.unwrap();
    assert_eq!(format!("{line}\n"), cosignature(&witness_key()));
    let heard = String::from_utf8(server.heard.lock().await.clone()).unwrap();
    assert!(heard.starts_with("POST /w/1/add-checkpoint HTTP/1.1\r\n"), "{heard}");
    assert!(heard.ends_with(&format!("\r\n\r\n{}", request())), "{heard}");
}

#[tokio::test]
async fn cosignatures_by_others_are_passed_over() {
    let (ours, other) = (cosignature(&witness_key()), cosignature(&key("x.example", KeyKind::Cosignature, 9)));
    let line = asked(http(200, TEXT, &format!("{other}{ours}{other}"))).await.unwrap();
    assert_eq!(format!("{line}\n"), ours);
    // The same name with another key is another key.
    let namesake = cosignature(&key("w.example", KeyKind::Cosignature, 9));
    for body in [&other, &namesake] {
        let nonsense = asked(http(200, TEXT, body)).await.unwrap_err();
        assert!(
            matches!(&nonsense, WitnessError::Nonsense(why) if why.contains("no cosignature by w.example")),
            "{nonsense}"
        );
    }
}

#[tokio::test]
async fn a_wrong_cosignature_is_nonsense() {
    let good = cosignature(&witness_key());
    let (head, base64) = good.trim_end().rsplit_once(' ').unwrap();
    // Other bytes in the place of the signature: the line still names the key.
    let bent = format!("{head} {}{}\n", &base64[..base64.len() - 8], "AAAAAAA=");
    for body in ["", "ok\n", &bent, &format!("{good}{bent}"), good.trim_end(), "\n"] {
        let error = asked(http(200, TEXT, body)).await.unwrap_err();
        assert_eq!(error.code().0, "witness.nonsense", "{body:?}");
    }
}

#[tokio::test]
async fn each_status_has_its_meaning() {
    let (refused, other) = ("witness.refused", "witness.other_history");
    let (later, nonsense) = ("witness.unavailable", "witness.nonsense");
    let cases = [
        (400, refused),
        (403, refused),
        (404, refused),
        (409, other),
        (413, refused),
        (422, other),
        (408, later),
        (429, later),
        (500, later),
        (503, later),
        (201, nonsense),
        (204, nonsense),
        (301, nonsense),
        (302, nonsense),
        (401, nonsense),
    ];
    for (status, code) in cases {
        let body = if status == 204 { "" } else { "be so kind,\n\u{7}\tsay why" };
        let error = asked(http(status, TEXT, body)).await.unwrap_err();
        assert_eq!(error.code().0, code, "{status}");
        let told = format!("HTTP {status}{}", if status == 204 { "" } else { " be so kind, say why" });
        assert!(error.to_string().ends_with(&told), "{error}");
    }
}

#[tokio::test]
async fn a_size_tells_where_to_start() {
    assert_eq!(asked(http(409, SIZE, "5\n")).await, Err(WitnessError::Behind { size: 5 }));
    assert_eq!(asked(http(409, "Text/X.tlog.size; charset=utf-8", "0\n")).await, Err(WitnessError::Behind { size: 0 }));
    // From there the request has started already: asking again would never end.
    assert_eq!(asked(http(409, SIZE, "3\n")).await.unwrap_err().code().0, "witness.other_history");
    for body in ["", "5", "05\n", "-1\n", "5\n5\n", "99999999999999999999\n"] {
        assert_eq!(asked(http(409, SIZE, body)).await.unwrap_err().code().0, "witness.nonsense", "{body:?}");
    }
}

#[tokio::test]
async fn what_is_long_slow_or_away_is_not_waited_for() {
    let long = "x".repeat(NOTE_BYTES_MAX + 1);
    let error = asked(http(200, TEXT, &long)).await.unwrap_err();
    assert!(matches!(&error, WitnessError::Nonsense(why) if why.contains("longer than")), "{error}");
    // Without a length in the header nobody can know before.
    let error = asked(format!("HTTP/1.1 200 X\r\n\r\n{}", long.repeat(4)).into_bytes()).await.unwrap_err();
    assert!(matches!(&error, WitnessError::Nonsense(why) if why.contains("longer than")), "{error}");

    let begun = Instant::now();
    let silent = Server::start(None).await.asked(Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(silent.code().0, "witness.unavailable");
    assert!(begun.elapsed() >= Duration::from_millis(200));
    let half = Server::start(Some(b"HTTP/1.1 200 X\r\ncontent-length: 50\r\n\r\nhalf".to_vec())).await;
    assert_eq!(half.asked(PATIENCE).await.unwrap_err().code().0, "witness.unavailable");
    let no_http = Server::start(Some(b"I am no web server\r\n\r\n".to_vec())).await;
    assert_eq!(no_http.asked(PATIENCE).await.unwrap_err().code().0, "witness.unavailable");
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    assert_eq!(ask(port, PATIENCE).await.unwrap_err().code().0, "witness.unavailable");
}

#[test]
fn a_logs_key_is_no_witness() {
    let key = key("w.example", KeyKind::Note, 2).verifier().clone();
    let refused = HttpWitness::try_new(HttpWitnessConfig::new("https://w.example", key)).unwrap_err();
    assert!(matches!(refused, ConfigError::Key(_)));
}
