//! OpenTimestamps' own examples, and files that would harm a careless reader.

use bitcoin::CompactTarget;
use std::{fs, path::PathBuf};
use tallystick_log::anchor::*;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/ots")
}

fn read(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap()
}

fn json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&read(name)).unwrap()
}

#[test]
fn every_example_parses_and_those_with_content_are_of_it() {
    for name in [
        "bad-stamp.txt",
        "different-blockchains.txt",
        "empty",
        "hello-world.txt",
        "incomplete.txt",
        "known-and-unknown-notary.txt",
        "merkle1.txt",
        "merkle2.txt",
        "merkle3.txt",
        "two-calendars.txt",
        "unknown-notary.txt",
    ] {
        let file = OtsFile::parse(&read(&format!("{name}.ots"))).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(file.digest().is_of(&read(name)), "{name}");
        assert!(!file.digest().is_of(b"something else"), "{name}");
        assert!(file.attestations().count() > 0, "{name}");
    }
    for name in ["bitcoin.pdf.ots", "gdp2q25-2nd.pdf.ots"] {
        OtsFile::parse(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let both = OtsFile::parse(&read("sha1/a-or-b.ots")).unwrap();
    assert!(both.digest().is_of(&read("sha1/a")) && both.digest().is_of(&read("sha1/b")));
}

#[test]
fn finished_examples_lead_to_the_roots_that_their_own_client_computes() {
    let expected = json("headers/expected_roots.json");
    let mut seen = 0;
    for (name, told) in expected.as_object().unwrap().iter().filter(|(_, told)| told.is_object()) {
        let file = OtsFile::parse(&read(name)).unwrap();
        let mut root = hex::decode(told["root"].as_str().unwrap()).unwrap();
        root.reverse();
        let height = told["height"].as_u64().unwrap();
        let found = file.attestations().any(|(message, by)| message == root && *by == Attestation::Bitcoin { height });
        assert!(found, "{name}");
        seen += 1;
    }
    assert_eq!(seen, 7);
}

#[test]
fn examples_that_only_promise_prove_nothing() {
    let headers = headers();
    for name in ["incomplete.txt", "merkle1.txt", "two-calendars.txt", "unknown-notary.txt"] {
        let file = OtsFile::parse(&read(&format!("{name}.ots"))).unwrap();
        assert_eq!(file.verify(&read(name), &headers), Err(AnchorError::NotAttested), "{name}");
    }
}

fn headers() -> Headers {
    let block = &json("headers/blocks.json")[0];
    let height = u32::try_from(block["height"].as_u64().unwrap()).unwrap();
    let bytes = hex::decode(block["header"].as_str().unwrap()).unwrap();
    Headers::parse(height, &bytes, Target::from(CompactTarget::from_consensus(0x1d00_ffff))).unwrap()
}

#[test]
fn a_real_block_proves_one_example_and_refutes_the_other() {
    let headers = headers();
    let hello = OtsFile::parse(&read("hello-world.txt.ots")).unwrap();
    assert_eq!(hello.verify(&read("hello-world.txt"), &headers), Ok((358_391, 1_432_827_678)));
    let bad = OtsFile::parse(&read("bad-stamp.txt.ots")).unwrap();
    assert_eq!(bad.verify(&read("bad-stamp.txt"), &headers), Err(AnchorError::BadPath));
}

#[test]
fn invalid_examples_are_refused() {
    for name in ["bad-major-version", "exceeds-max-msg-length", "invalid-file-digest-type"] {
        assert_eq!(OtsFile::parse(&read(&format!("invalid/{name}.ots"))), Err(AnchorError::BadOts), "{name}");
    }
}

const START: &[u8] = b"\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94\x01\x08";
const END: &[u8] = b"\x00\x05\x88\x96\x0d\x73\xd7\x19\x01\x01\x07";

fn with(body: &[u8]) -> Result<OtsFile, AnchorError> {
    OtsFile::parse(&[START, &[3; 32], body].concat())
}

#[test]
fn hostile_files_end_at_their_limits() {
    assert!(with(END).is_ok());
    let refused: [(&str, Vec<u8>); 12] = [
        ("nothing", vec![]),
        ("trailing", [END, &[0]].concat()),
        ("doubling", [&[0xf3; 8], END].concat()),
        ("deep", [&[0x08; 257], END].concat()),
        ("a long operand", [&[0xf0, 0x81, 0x20], &[0; 4_097][..], END].concat()),
        ("a number without end", [0xf0].into_iter().chain([0xff; 40]).collect()),
        ("two spellings", [&[0xf0, 0x81, 0x00, 9], END].concat()),
        ("an empty operand", [&[0xf0, 0x00], END].concat()),
        ("more than there is", [&[0x00][..], &[9; 8], &[0xff, 0xff, 0xff, 0xff, 0x7f]].concat()),
        ("a fork of a fork", [&[0xff, 0xff], END, END, END].concat()),
        ("a fork to nowhere", [&[0xff], END].concat()),
        ("a strange address", [b"\x00\x83\xdf\xe3\x0d\x2e\xf9\x0c\x8e\x03\x02a?".as_slice()].concat()),
    ];
    for (name, body) in refused {
        assert_eq!(with(&body), Err(AnchorError::BadOts), "{name}");
    }
    assert!(with(&[&[0x08; 256], END].concat()).is_ok());
    assert_eq!(OtsFile::parse(&vec![0; OTS_BYTES_MAX + 1]), Err(AnchorError::TooLarge { max: OTS_BYTES_MAX }));
    let many: Vec<u8> = std::iter::repeat_n([&[0xff][..], END].concat(), 1_024).flatten().collect();
    assert_eq!(with(&[&many, END].concat()), Err(AnchorError::BadOts));
}
