//! Published vectors; `tests/vectors/README.md` tells where they come from.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use std::{fs, path::PathBuf};
use tallystick_log::*;

/// A folder at run time: two checkouts may share one folder of built tests.
fn folder() -> PathBuf {
    PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("tests/vectors")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Case {
    file: String,
    leaf_idx: u64,
    tree_size: u64,
    start: u64,
    end: u64,
    size: u64,
    size1: u64,
    size2: u64,
    root: Option<String>,
    leaf_hash: Option<String>,
    root1: Option<String>,
    root2: Option<String>,
    proof: Option<Vec<String>>,
    want_err: bool,
}

fn hash(text: &Option<String>) -> Result<Hash, LogError> {
    hash_from_slice(&STANDARD.decode(text.as_deref().unwrap_or_default()).map_err(|_| LogError::BadHash)?)
}

fn proof(case: &Case) -> Result<Vec<Hash>, LogError> {
    case.proof.iter().flatten().map(|text| hash(&Some(text.clone()))).collect()
}

/// Runs a suite. `stricter` are all cases that the suite accepts and we refuse, each with the reason.
fn run(name: &str, count: usize, stricter: &[(&str, LogError)], check: impl Fn(&Case) -> Result<(), LogError>) {
    let text = fs::read_to_string(folder().join(format!("merkle-{name}.json"))).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&text).unwrap();
    assert_eq!(cases.len(), count);
    let mut refused = Vec::new();
    for case in &cases {
        match check(case) {
            Ok(()) => assert!(!case.want_err, "{} must be refused", case.file),
            Err(_) if case.want_err => {}
            Err(why) => refused.push((case.file.as_str(), why)),
        }
    }
    refused.sort_by_key(|(file, _)| *file);
    assert_eq!(refused, stricter);
}

#[test]
fn inclusion() {
    run("inclusion", 98, &[], |c| {
        verify_inclusion(&hash(&c.leaf_hash)?, c.leaf_idx, c.tree_size, &proof(c)?, &hash(&c.root)?)
    });
}

#[test]
fn consistency() {
    run(
        "consistency",
        98,
        &[("consistency/additional/sizes-are-equal-one-and-proof-is-empty.json", LogError::BadHash)],
        |c| verify_consistency(c.size1, c.size2, &proof(c)?, &hash(&c.root1)?, &hash(&c.root2)?),
    );
}

#[test]
fn subtree_inclusion() {
    run("subtreeinclusion", SUBTREE_INCLUSION, &[], |c| {
        let subtree = Subtree::try_new(c.start, c.end)?;
        verify_subtree_inclusion(&hash(&c.leaf_hash)?, c.leaf_idx, subtree, &proof(c)?, &hash(&c.root)?)
    });
}

#[test]
fn subtree_consistency() {
    // An empty subtree proves nothing, and a hash has 32 bytes.
    let empty = |at| LogError::BadSubtree { start: at, end: at };
    let stricter = [
        ("sizes-are-equal-one-and-proof-is-empty", LogError::BadHash),
        ("subtree-is-empty-sizes-are-equal-one-subtree-root-valid-proof-is-empty", empty(1)),
        ("subtree-is-empty-sizes-are-equal-one-subtree-root-valid-tree-root-random-proof-is-empty", empty(1)),
        ("subtree-is-empty-sizes-are-equal-zero-subtree-root-valid-proof-is-empty", empty(0)),
        ("subtree-is-empty-sizes-are-equal-zero-subtree-root-valid-tree-root-random-proof-is-empty", empty(0)),
        ("subtree-is-empty-subtree-root-valid-proof-is-empty", empty(1)),
        ("subtree-is-empty-subtree-root-valid-tree-root-random-proof-is-empty", empty(1)),
    ];
    let stricter = stricter.map(|(stem, why)| (format!("subtreeconsistency/additional/{stem}.json"), why));
    let stricter: Vec<(&str, LogError)> = stricter.iter().map(|(file, why)| (file.as_str(), *why)).collect();
    run("subtreeconsistency", 322 - SUBTREE_INCLUSION, &stricter, |c| {
        let subtree = Subtree::try_new(c.start, c.end)?;
        verify_subtree_consistency(subtree, c.size, &proof(c)?, &hash(&c.root1)?, &hash(&c.root2)?)
    });
}
const SUBTREE_INCLUSION: usize = 204;

#[test]
fn a_real_certificate_log_of_961984011_leaves() {
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(folder().join("ct-real").join(name)).unwrap()).unwrap()
    };
    let text = |value: &serde_json::Value| hash(&value.as_str().map(str::to_owned)).unwrap();
    let list = |value: &serde_json::Value| -> Vec<Hash> { value.as_array().unwrap().iter().map(text).collect() };
    let expected = json("expected.json");
    let (size, root) = (expected["log_size"].as_u64().unwrap(), text(&expected["root"]));
    let inclusion = json(expected["inclusion"]["file"].as_str().unwrap());
    let leaf = text(&expected["inclusion"]["leaf_hash"]);
    let path = list(&inclusion["audit_path"]);
    assert_eq!(path.len(), 30);
    verify_inclusion(&leaf, 10_000, size, &path, &root).unwrap();
    let consistency = json(expected["consistency"]["file"].as_str().unwrap());
    let first = text(&expected["consistency"]["first_root_derived"]);
    verify_consistency(3_654_490, size, &list(&consistency["consistency"]), &first, &root).unwrap();
}

#[test]
fn a_signed_log_of_tessera() {
    let key =
        VerifierKey::parse("example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx").unwrap();
    let folder = folder().join("tessera-log");
    let read = |id: TileId| fs::read(folder.join(LogPath::Tile(id).to_string()));
    let mut last = TreeHead::default();
    for size in 0..=15u64 {
        let bytes = fs::read(folder.join(format!("checkpoint.{size}"))).unwrap();
        let signed = SignedCheckpoint::parse(&bytes).unwrap();
        assert_eq!(signed.to_string().as_bytes(), bytes);
        let checkpoint = signed.verify(&key).unwrap();
        assert_eq!(checkpoint.size(), size);
        let mut prover = Prover::new(size, read);
        assert_eq!(prover.root().unwrap(), *checkpoint.root());
        assert_eq!(TileEdge::load(size, read).unwrap().root().unwrap(), *checkpoint.root());
        let proof = if last.size == 0 { Vec::new() } else { prover.consistency(last.size).unwrap() };
        let request = AddCheckpoint::try_new(last.size, proof, signed.clone()).unwrap();
        assert_eq!(AddCheckpoint::parse(request.to_string().as_bytes()).unwrap(), request);
        request.verify(&key, last).unwrap();
        last = TreeHead { size, root: *checkpoint.root() };
        if size > 0 {
            let id = TileId::try_new(0, 0, u16::try_from(size).unwrap()).unwrap();
            let bundle = fs::read(folder.join(LogPath::Entries(id).to_string())).unwrap();
            let entries = parse_entries(&bundle, id.width()).unwrap();
            assert_eq!(root_of_entries(entries.iter().copied()), *checkpoint.root());
            assert_eq!(encode_entries(&entries).unwrap(), bundle);
        }
    }
}

#[test]
fn the_example_of_signed_note() {
    let text = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\
                — quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
    let note = Note::parse(text.as_bytes()).unwrap();
    assert_eq!(note.to_string(), text);
    assert_eq!(note.signatures().len(), 1);
    assert!(note.text().ends_with("sera.\n"));
}

/// The standard's own example has no key, so the signature of this one is checked: it is from Go's package `note`.
#[test]
fn a_published_note_with_its_key() {
    let key = VerifierKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
    let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
                — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let note = Note::parse(text.as_bytes()).unwrap();
    assert_eq!(note.verify(&key), Ok(None));
    let changed = Note::parse(text.replacen("don't", "do", 1).as_bytes()).unwrap();
    assert_eq!(changed.verify(&key), Err(LogError::BadSignature));
}

/// A verifier key has one spelling: the name, eight lowercase hexadecimal digits, and base64 of kind and key.
#[test]
fn other_spellings_of_a_key_are_refused() {
    let good = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    assert_eq!(VerifierKey::parse(good).unwrap().to_vkey(), good);
    for bad in [
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+0c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "EnochRoot+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq_LDE4izWy10TW",
        "PeterNeumann+c74f20a3+BBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n",
    ] {
        assert_eq!(VerifierKey::parse(bad), Err(LogError::BadKey), "{bad}");
    }
}
