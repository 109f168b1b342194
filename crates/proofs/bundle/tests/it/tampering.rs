//! Nothing but the bundle itself passes for it.

use proptest::prelude::*;
use std::sync::LazyLock;
use tallystick_bundle::{BundleAnchor, BundleError, FactBundle};
use tallystick_core::{Body, Opening};
use tallystick_log::anchor::AnchorError;

use crate::anchors::anchor;
use crate::support::{bundle, facts, policy, prove, request};

/// One bundle: signing again would make another one.
static BUNDLE: LazyLock<String> = LazyLock::new(|| bundle().to_string());

fn proves(bytes: &[u8]) -> bool {
    let (log, policy) = policy();
    FactBundle::parse(bytes).is_ok_and(|bundle| bundle.verify(&log, &policy, None).is_ok())
}

#[test]
fn a_bundle_is_small_and_reads_back() {
    assert!(BUNDLE.len() < 8 * 1024, "{} bytes", BUNDLE.len());
    let read = FactBundle::parse(BUNDLE.as_bytes()).unwrap();
    assert!(read.to_string() == *BUNDLE);
    assert!(proves(BUNDLE.as_bytes()));
}

#[test]
fn another_opening_or_fact_proves_nothing() {
    let authority = request(b"create a task");
    let facts = facts(&[0, 1, 2].map(|n| (Body::private([n; 32], vec![n]), &authority)));
    let (log, policy) = policy();
    let verify = |fact, index| {
        let bundle = FactBundle::try_new(fact, Some(authority.clone()), None, prove(&facts, index)).unwrap();
        bundle.verify(&log, &policy, None).map(|_| ())
    };
    assert_eq!(verify(facts[1].clone(), 1), Ok(()));
    let mut forged = facts[1].clone();
    let Body::Private { opening: Some(Opening { content, .. }), .. } = &mut forged.body else { panic!("private") };
    content.push(0);
    assert_eq!(verify(forged, 1), Err(BundleError::OtherContents));
    assert!(matches!(verify(facts[1].clone(), 2), Err(BundleError::Log(_))));
    // A fact whose number is not its leaf's was logged in the wrong place.
    let mut wrong = facts.clone();
    wrong[1].seq = 7;
    let bundle = FactBundle::try_new(wrong[1].clone(), None, None, prove(&wrong, 1)).unwrap();
    assert_eq!(bundle.verify(&log, &policy, None), Err(BundleError::OtherFact { proven: 2, fact: 7 }));
}

#[test]
fn a_bare_proof_holds_no_fact() {
    let authority = request(b"create a task");
    let facts = facts(&[(Body::Public(vec![1]), &authority)]);
    let bare = prove(&facts, 0);
    assert_eq!(FactBundle::parse(bare.to_string().as_bytes()), Err(BundleError::NoFact));
    let other = bare.with_extra(b"something".to_vec()).unwrap();
    assert_eq!(FactBundle::parse(other.to_string().as_bytes()), Err(BundleError::NoFact));
}

/// Each bit of the whole file in turn.
fn every_bit_counts(bytes: &[u8], proves: impl Fn(&[u8]) -> bool) {
    assert!(proves(bytes));
    // Two of three cosignatures are enough: a damaged one must be refused all the same, and not passed over.
    for bit in 0..bytes.len() * 8 {
        let mut turned = bytes.to_vec();
        turned[bit / 8] ^= 1 << (bit % 8);
        assert!(!proves(&turned), "bit {bit}: {:?}", String::from_utf8_lossy(&turned[bit / 8..]).lines().next());
    }
}

#[test]
fn every_bit_of_a_bundle_counts() {
    every_bit_counts(BUNDLE.as_bytes(), proves);
}

/// Also of what only headers could tell, where there are none.
#[test]
fn every_bit_of_a_bundle_with_an_anchor_counts() {
    let authority = request(b"create a task");
    let facts = facts(&[1, 2, 3].map(|n| (Body::private([n; 32], vec![n]), &authority)));
    let (anchor, headers) = anchor(&facts, 2);
    let bundle = FactBundle::try_new(facts[1].clone(), Some(authority), Some(anchor), prove(&facts, 1)).unwrap();
    let bytes = bundle.to_string();
    every_bit_counts(bytes.as_bytes(), proves);
    let (log, policy) = policy();
    every_bit_counts(bytes.as_bytes(), |bytes| {
        FactBundle::parse(bytes).is_ok_and(|bundle| bundle.verify(&log, &policy, Some(&headers)).is_ok())
    });
}

#[test]
fn what_an_anchor_commits_to_is_checked_without_headers() {
    let authority = request(b"create a task");
    let facts = facts(&[1, 2, 3].map(|n| (Body::private([n; 32], vec![n]), &authority)));
    let (log, policy) = policy();
    let (two, _) = anchor(&facts, 2);
    let forged = BundleAnchor { proof: anchor(&facts, 3).0.proof, ..two };
    let bundle = FactBundle::try_new(facts[1].clone(), Some(authority), Some(forged), prove(&facts, 1)).unwrap();
    assert_eq!(bundle.verify(&log, &policy, None), Err(AnchorError::WrongCommitment.into()));
}

proptest! {
    #[test]
    fn other_bytes_prove_nothing_and_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert!(!proves(&bytes));
    }

    #[test]
    fn changed_bundles_prove_nothing(at in 0..BUNDLE.len(), cut in 0..40usize, put in prop::collection::vec(any::<u8>(), 0..40)) {
        let bytes = BUNDLE.as_bytes();
        let end = (at + cut).min(bytes.len());
        let changed = [&bytes[..at], &put, &bytes[end..]].concat();
        prop_assert!(changed == bytes || !proves(&changed));
    }
}
