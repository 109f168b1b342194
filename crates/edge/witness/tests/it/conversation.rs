//! A published conversation; `tests/vectors/README.md` tells where it comes from.

use base64::{Engine, engine::general_purpose::STANDARD};
use std::{fs, path::PathBuf};
use tallystick_log::*;
use tallystick_witness::{Record, TrustedLog, Witness};

use crate::support::{Post, ask};

const LOG_KEY: &str = "ffdc2d4d98e4124d3feaf788c0c2f9abfd796083d1f0495437f302ec79cf100f";
const KEY_HASH: &str = "4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562";

fn bytes<const N: usize>(hexadecimal: &str) -> [u8; N] {
    hex::decode(hexadecimal).unwrap().try_into().unwrap()
}

/// A request of the older form as one of today, and the status that it was answered with.
fn translated(key: &VerifierKey, request: &str) -> (String, u16) {
    let (fields, rest) = request.split_once("```\nHTTP ").unwrap();
    let field = |name: &'static str| fields.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix('='));
    let one = |name: &'static str| field(name).next().unwrap();
    let origin = format!("sigsum.org/v1/tree/{}", one("key_hash"));
    let checkpoint = Checkpoint::try_new(&origin, one("size").parse().unwrap(), bytes(one("root_hash"))).unwrap();
    // The name and id of the log's key, and its signature.
    let signature: [u8; 64] = bytes(one("signature"));
    let line = STANDARD.encode([key.id().as_slice(), &signature].concat());
    let hashes: String = field("node_hash").map(|hash| STANDARD.encode(bytes::<32>(hash)) + "\n").collect();
    let body = format!("old {}\n{hashes}\n{checkpoint}\n\u{2014} {} {line}\n", one("old_size"), key.name());
    (body, rest[..3].parse().unwrap())
}

#[test]
fn litewitness() {
    let origin = format!("sigsum.org/v1/tree/{KEY_HASH}");
    let key = VerifierKey::try_new(KeyName::try_new(&origin).unwrap(), KeyKind::Note, &bytes(LOG_KEY)).unwrap();
    let log = TrustedLog::try_new(&origin, vec![key.clone()]).unwrap();
    let post = Post::new(2);
    Record::begin(post.records.as_ref(), &log).unwrap();
    let open = || {
        let logs = vec![log.clone()];
        Witness::open(post.key(), logs, post.records.clone(), post.evidence.clone(), post.clock.clone()).unwrap()
    };
    let folder = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("tests/vectors");
    let text = fs::read_to_string(folder.join("litewitness.hurl")).unwrap();
    let requests: Vec<_> = text.split("POST ").skip(1).map(|request| translated(&key, request)).collect();
    assert_eq!(requests.len(), 8);
    let mut seen = Vec::new();
    for (body, published) in &requests {
        // Started again between any two.
        let status = ask(&open(), body.as_bytes()).map_or_else(|refusal| refusal.status().as_u16(), |_| 200);
        let unknown_log = !body.contains(&format!("\n{origin}\n"));
        assert_eq!(status, if unknown_log { 404 } else { *published }, "{body}");
        seen.push(status);
    }
    assert_eq!(seen, [200, 403, 404, 422, 422, 200, 409, 200]);
    assert_eq!(Record::read(post.records.as_ref(), &log, post.key().verifier()).unwrap().head().size, 5);
}
