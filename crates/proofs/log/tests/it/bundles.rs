//! Bundles, notes and requests: what is changed is refused, what is random does not panic.

use crate::support::{bundle, entry, signed};
use proptest::prelude::*;
use tallystick_log::*;

#[test]
fn any_flipped_bit_is_refused() {
    let (bundle, log, policy) = bundle(37, 21);
    let bytes = bundle.to_string().into_bytes();
    let verified = ProofBundle::parse(&bytes).unwrap();
    assert_eq!(verified.verify(&entry(21), &log, &policy).unwrap().cosigned.len(), 2);
    assert!(verified.verify(&entry(20), &log, &policy).is_err());
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let refused = ProofBundle::parse(&bytes).and_then(|b| b.verify(&entry(21), &log, &policy).map(drop));
        assert!(refused.is_err(), "bit {bit}");
    }
}

#[test]
fn too_few_witnesses_and_wrong_starts_are_refused() {
    let (signed, log, policy) = signed(9, [5; 32]);
    let bare = Note::try_new(signed.note().text()).unwrap();
    assert_eq!(policy.verify(&bare), Err(LogError::TooFewWitnesses { have: 0, need: 2 }));
    let twice = vec![policy.witnesses()[0].clone(); 2];
    assert_eq!(WitnessPolicy::try_new(1, twice), Err(LogError::BadPolicy));
    let request = AddCheckpoint::try_new(3, vec![], signed).unwrap();
    assert_eq!(request.verify(&log, TreeHead::default()), Err(LogError::OldSize { old: 3, known: 0 }));
    assert!(request.verify(&log, TreeHead { size: 3, root: [5; 32] }).is_err());
}

proptest! {
    #[test]
    fn parsers_do_not_panic(at in 0usize..2000, with: Vec<u8>, cut in 0usize..2000, text in ".{0,200}") {
        let mut bytes = bundle(37, 21).0.to_string().into_bytes();
        let at = at % bytes.len();
        bytes.splice(at..(at + cut % 8).min(bytes.len()), with.iter().copied());
        for bytes in [bytes.as_slice(), &with, text.as_bytes()] {
            if let Ok(bundle) = ProofBundle::parse(bytes) {
                prop_assert_eq!(bundle.to_string().into_bytes(), bytes);
            }
            let _ = (Note::parse(bytes), AddCheckpoint::parse(bytes), witness::parse_cosignatures(bytes));
        }
        let _ = (VerifierKey::parse(&text), Checkpoint::parse(&text), NoteSignature::parse(&text));
    }
}
