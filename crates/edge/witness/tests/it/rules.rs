//! What is cosigned, what is not, and with which status.

use proptest::prelude::*;
use tallystick_core::{Coded, Timestamp};
use tallystick_log::*;
use tallystick_testkit::cases;
use tallystick_witness::{Evidence, Record, Refusal, StateError, TrustedLog, Witness};

use crate::support::{Log, NOW_S, ORIGIN, Post, ask, key};

fn status(result: &Result<NoteSignature, Refusal>) -> u16 {
    result.as_ref().map_or_else(|refusal| refusal.status().as_u16(), |_| 200)
}

/// The time that a witness, started for it, tells with its cosignature.
fn cosigned_at(post: &Post, log: &Log, old: u64, new: u64) -> Option<u64> {
    let line = ask(&post.open(), &log.body(old, new)).unwrap();
    post.key().verifier().verify(log.checkpoint(new).note().text(), &line).unwrap()
}

#[test]
fn a_log_grows_and_each_step_is_cosigned_with_the_time() {
    let (log, post) = (Log::new(40), Post::new(2));
    let witness = post.open();
    let mut last = 0;
    for size in [0, 0, 1, 1, 2, 7, 8, 33, 40, 40] {
        let line = ask(&witness, &log.body(last, size)).unwrap();
        let checkpoint = log.checkpoint(size);
        assert_eq!(witness.key().verify(checkpoint.note().text(), &line), Ok(Some(NOW_S)));
        assert_eq!(post.head(), TreeHead { size, root: *checkpoint.unverified().root() });
        last = size;
    }
    // Started again, it goes on from there.
    let witness = post.open();
    assert_eq!(ask(&witness, &log.body(33, 40)), Err(Refusal::OldSize { known: 40 }));
    ask(&witness, &log.body(40, 40)).unwrap();
}

#[test]
fn a_clock_that_goes_back_does_not_take_cosignatures_with_it() {
    let (log, post) = (Log::new(9), Post::new(2));
    let cosigned_at = |old, new| cosigned_at(&post, &log, old, new);
    assert_eq!(cosigned_at(0, 3), Some(NOW_S));
    post.clock.set(Timestamp::from_secs(NOW_S - 1_000));
    assert_eq!((cosigned_at(3, 5), cosigned_at(5, 5)), (Some(NOW_S), Some(NOW_S)));
    post.clock.set(Timestamp::from_secs(NOW_S + 7));
    assert_eq!(cosigned_at(5, 9), Some(NOW_S + 7));
}

/// Nor what was said again of one tree, later than its record was first written.
#[test]
fn a_time_that_was_told_again_is_not_undone_by_a_clock_that_goes_back() {
    let (log, post) = (Log::new(9), Post::new(2));
    let cosigned_at = |old, new| cosigned_at(&post, &log, old, new);
    assert_eq!(cosigned_at(0, 3), Some(NOW_S));
    post.clock.set(Timestamp::from_secs(NOW_S + 1_000));
    assert_eq!(cosigned_at(3, 3), Some(NOW_S + 1_000));
    post.clock.set(Timestamp::from_secs(NOW_S + 10));
    assert_eq!(cosigned_at(3, 9), Some(NOW_S + 1_000));
}

/// Whoever asks again and again, with a checkpoint that anyone can have, costs no write.
#[test]
fn the_same_cosignature_is_given_again_for_a_while() {
    let (log, post) = (Log::new(9), Post::new(2));
    let witness = post.open();
    let line = ask(&witness, &log.body(0, 3)).unwrap();
    let before = post.records.files();
    post.clock.set(Timestamp::from_secs(NOW_S + 60));
    assert_eq!(ask(&witness, &log.body(3, 3)), Ok(line.clone()));
    assert_eq!(post.records.files(), before);
    post.clock.set(Timestamp::from_secs(NOW_S + 61));
    assert_ne!(ask(&witness, &log.body(3, 3)), Ok(line));
}

#[test]
fn each_refusal_has_the_status_of_the_standard_and_changes_nothing() {
    let (log, post) = (Log::new(20), Post::new(2));
    let witness = post.open();
    ask(&witness, &log.body(0, 5)).unwrap();
    let before = post.records.files();
    let fork = log.forked(3);
    let with =
        |proof: Vec<Hash>, old, new| AddCheckpoint::try_new(old, proof, log.checkpoint(new)).unwrap().to_string();
    let foreign = |origin: &str, seed| {
        let checkpoint = Checkpoint::try_new(origin, 9, [3; 32]).unwrap();
        let signed = SignedCheckpoint::sign(checkpoint, &key(origin, KeyKind::Note, seed)).unwrap();
        AddCheckpoint::try_new(0, vec![], signed).unwrap().to_string()
    };
    let text = |body: Vec<u8>| String::from_utf8(body).unwrap();
    let cases = [
        ("nonsense", "old 5\n".to_owned(), 400),
        ("old above new", text(log.body(4, 4)).replacen("old 4", "old 5", 1), 400),
        ("an old size with a leading zero", text(log.body(5, 6)).replacen("old 5", "old 05", 1), 400),
        ("another log", foreign("log.example/other", 1), 404),
        ("the right name and the wrong key", foreign(ORIGIN, 9), 403),
        ("a smaller old size", text(log.body(4, 9)), 409),
        ("from nothing", text(log.body(0, 9)), 409),
        ("a larger old size", text(log.body(6, 9)), 409),
        ("another tree of this size", text(fork.body(5, 5)), 409),
        ("no proof", with(vec![], 5, 9), 422),
        ("a wrong proof", with(vec![[1; 32]; 4], 5, 9), 422),
        ("a proof of nothing", with(vec![[1; 32]], 5, 5), 422),
        ("another history", text(fork.body(5, 9)), 422),
    ];
    for (name, body, expected) in cases {
        assert_eq!(status(&ask(&witness, body.as_bytes())), expected, "{name}");
        assert_eq!(post.records.files(), before, "{name}");
    }
    assert_eq!(ask(&witness, &fork.body(5, 5)), Err(Refusal::TwoHistories { size: 5 }));
    assert_eq!(ask(&witness, &log.body(4, 9)), Err(Refusal::OldSize { known: 5 }));
    ask(&witness, &log.body(5, 9)).unwrap();
}

#[test]
fn the_first_tree_needs_no_proof_and_must_have_none() {
    let log = Log::new(3);
    let with = |size, proof| AddCheckpoint::try_new(0, proof, log.checkpoint(size)).unwrap().to_string();
    for size in [0, 1, 3] {
        let witness = Post::new(2).open();
        assert_eq!(status(&ask(&witness, with(size, vec![[1; 32]]).as_bytes())), 422, "{size}");
        assert_eq!(status(&ask(&witness, with(size, vec![]).as_bytes())), 200, "{size}");
    }
    // An empty tree has one root. Another one is no checkpoint.
    let body = with(0, vec![])
        .replace("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    assert_eq!(status(&ask(&Post::new(2).open(), body.as_bytes())), 400);
}

#[test]
fn signatures_by_others_are_passed_over() {
    let (log, witness) = (Log::new(3), Post::new(2).open());
    let mut signed = log.checkpoint(3);
    for seed in 10..40 {
        let line = key(&format!("w{seed}"), KeyKind::Cosignature, seed).cosign(signed.unverified(), 5).unwrap();
        signed.note_mut().add(line).unwrap();
    }
    let request = AddCheckpoint::try_new(0, vec![], signed).unwrap();
    ask(&witness, request.to_string().as_bytes()).unwrap();
}

#[test]
fn a_log_may_change_its_key() {
    let (log, post) = (Log::new(9), Post::new(2));
    ask(&post.open(), &log.body(0, 5)).unwrap();
    let (old, new) = (Log::key(), key(ORIGIN, KeyKind::Note, 77));
    let open = |keys: Vec<VerifierKey>| {
        let logs = vec![TrustedLog::try_new(ORIGIN, keys).unwrap()];
        Witness::open(post.key(), logs, post.records.clone(), post.evidence.clone(), post.clock.clone())
    };
    // What was cosigned was signed by the old key: it is still needed.
    assert_eq!(open(vec![new.verifier().clone()]).unwrap_err().code().0, "witness.damaged");
    let witness = open(vec![new.verifier().clone(), old.verifier().clone()]).unwrap();
    let checkpoint = SignedCheckpoint::sign(log.checkpoint(9).unverified().clone(), &new).unwrap();
    let proof = log.request(5, 9).to_string().replace(&log.checkpoint(9).to_string(), &checkpoint.to_string());
    ask(&witness, proof.as_bytes()).unwrap();
    open(vec![new.verifier().clone()]).unwrap();
}

#[test]
fn a_record_that_is_missing_or_changed_stops_the_start() {
    let (log, post) = (Log::new(9), Post::new(2));
    let fresh = post.records.files();
    ask(&post.open(), &log.body(0, 5)).unwrap();
    let (name, record) = post.records.files().pop_first().unwrap();
    let code = |bytes: Option<&[u8]>| {
        post.records.set(&name, bytes);
        post.open_on(post.records.clone()).map(drop).map_err(|error| error.code().0)
    };
    assert_eq!(code(None), Err("witness.no_record"));
    for bit in 0..record.len() * 8 {
        let mut changed = record.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(code(Some(&changed)), Err("witness.damaged"), "bit {bit}");
    }
    for length in 0..record.len() {
        assert_eq!(code(Some(&record[..length])), Err("witness.damaged"), "{length} bytes");
    }
    // A checkpoint that we have not cosigned, or not ours, is no record.
    assert_eq!(code(Some(log.checkpoint(9).to_string().as_bytes())), Err("witness.damaged"));
    let theirs = Post::new(3);
    ask(&theirs.open(), &log.body(0, 9)).unwrap();
    assert_eq!(code(theirs.records.files().get(&name).map(Vec::as_slice)), Err("witness.damaged"));
    assert_eq!(code(Some(&record)), Ok(()));
    // Nor is an older one of our own, or the sentence that anyone can write.
    let sentence = fresh.get(&name).unwrap();
    assert_eq!(code(Some(sentence)), Err("witness.damaged"));
    post.records.set(&name, Some(&record));
    ask(&post.open(), &log.body(5, 9)).unwrap();
    let newest = post.records.files().remove(&name).unwrap();
    assert_eq!(code(Some(&record)), Err("witness.damaged"));
    assert_eq!(code(Some(sentence)), Err("witness.damaged"));
    post.records.set(&name, Some(&newest));
    // A record that is there is never begun anew.
    assert!(!Record::begin(post.records.as_ref(), &Log::trusted()).unwrap());
    assert_ne!(post.records.files(), fresh);
    // Nor one of a log that was cosigned once, whatever the configuration says of it now.
    post.records.set(&name, None);
    let begun = Record::begin(post.records.as_ref(), &Log::trusted());
    assert_eq!(begun.map_err(|error| error.code().0), Err("witness.no_record"));
}

#[test]
fn a_new_log_is_told_from_one_whose_mark_was_removed() {
    let post = Post::new(2);
    let files: Vec<String> = post.records.files().into_keys().collect();
    let [record, mark] = files.as_slice() else { panic!("{files:?}") };
    post.open();
    post.records.set(mark, None);
    assert_eq!(post.open_on(post.records.clone()).unwrap_err().code().0, "witness.damaged");
    // What was interrupted before the record was there is begun again.
    let post = Post::new(2);
    post.records.set(record, None);
    assert!(Record::begin(post.records.as_ref(), &Log::trusted()).unwrap());
    post.open();
}

#[test]
fn an_operator_may_begin_anew() {
    let (log, post) = (Log::new(9), Post::new(2));
    ask(&post.open(), &log.body(0, 5)).unwrap();
    Record::begin_anew(post.records.as_ref(), &Log::trusted()).unwrap();
    assert_eq!(post.head().size, 0);
    ask(&post.open(), &log.forked(2).body(0, 7)).unwrap();
    // A witness from before there were marks has none until it is started.
    let mark = post.records.files().into_keys().next_back().unwrap();
    post.records.set(&mark, None);
    post.open();
    assert!(post.records.files().contains_key(&mark));
}

#[test]
fn what_makes_no_sense_is_refused_at_the_start() {
    let post = Post::new(2);
    let open = |key: SigningKey, logs| {
        let opened = Witness::open(key, logs, post.records.clone(), post.evidence.clone(), post.clock.clone());
        opened.map(drop).map_err(|error| error.code().0)
    };
    assert_eq!(open(Log::key(), vec![Log::trusted()]), Err("witness.config"));
    assert_eq!(open(post.key(), vec![Log::trusted(), Log::trusted()]), Err("witness.config"));
    let log = |origin: &str, keys| TrustedLog::try_new(origin, keys).map_err(|error: StateError| error.code().0);
    assert_eq!(log(ORIGIN, vec![]), Err("witness.config"));
    assert_eq!(log("log.example/x", vec![Log::key().verifier().clone()]), Err("witness.config"));
    assert_eq!(log(ORIGIN, vec![post.key().verifier().clone()]), Err("witness.config"));
}

#[test]
fn evidence_is_kept_once_and_proves_what_it_says() {
    let (log, post) = (Log::new(20), Post::new(2));
    let witness = post.open();
    ask(&witness, &log.body(0, 5)).unwrap();
    // Whatever size the request starts from.
    for old in [5, 0, 3] {
        assert_eq!(status(&ask(&witness, &log.forked(3).body(old, 5))), 409);
    }
    let all = Evidence::all(post.evidence.as_ref()).unwrap();
    let [(_, Ok(piece))] = all.as_slice() else { panic!("one piece: {all:?}") };
    assert!(piece.proves(&Log::trusted()));
    assert_eq!((piece.size, piece.seen_s), (5, NOW_S));
    for wrong in [
        Evidence { refused: piece.cosigned.clone(), ..piece.clone() },
        Evidence { size: 6, ..piece.clone() },
        Evidence { origin: "log.example/other".to_owned(), ..piece.clone() },
        Evidence { refused: piece.refused.replacen("\n5\n", "\n6\n", 1), ..piece.clone() },
    ] {
        assert!(!wrong.proves(&Log::trusted()), "{wrong:?}");
    }
    // A log that signs ever more trees fills no disk.
    for common in [0, 1, 2, 4] {
        let mut fork = log.forked(common);
        for _ in 0..8 {
            fork = fork.forked(common);
            assert_eq!(status(&ask(&witness, &fork.body(5, 5))), 409);
        }
    }
    assert_eq!(Evidence::all(post.evidence.as_ref()).unwrap().len(), 16);
    post.evidence.set("broken.json", Some(b"{"));
    assert!(Evidence::all(post.evidence.as_ref()).unwrap().iter().any(|(_, piece)| piece.is_err()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(256)))]

    /// Whatever is sent: no panic, nothing cosigned that does not extend what was.
    #[test]
    fn any_body_at_all(at in 0usize..800, cut in 0usize..40, with: Vec<u8>, flip in 0usize..6400, noise: Vec<u8>) {
        let (log, post) = (Log::new(20), Post::new(2));
        let witness = post.open();
        ask(&witness, &log.body(0, 5)).unwrap();
        let good = log.body(5, 13);
        let mut spliced = good.clone();
        let at = at % spliced.len();
        spliced.splice(at..(at + cut).min(good.len()), with);
        let mut flipped = good.clone();
        let bit = flip % (flipped.len() * 8);
        flipped[bit / 8] ^= 1 << (bit % 8);
        for body in [noise, spliced, flipped] {
            let extends = AddCheckpoint::parse(&body)
                .is_ok_and(|request| request.verify(Log::key().verifier(), post.head()).is_ok());
            prop_assert_eq!(ask(&witness, &body).is_ok(), extends);
        }
    }
}
