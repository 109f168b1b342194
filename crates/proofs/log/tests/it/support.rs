//! A naive tree straight from RFC 6962 §2.1, and a log with witnesses.

use tallystick_log::*;

pub fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&mth(left), &mth(right))
        }
    }
}

fn split(n: usize) -> usize {
    n.next_power_of_two() / 2
}

pub fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut proof, other) = if m < k { (path(m, left), mth(right)) } else { (path(m - k, right), mth(left)) };
    proof.push(other);
    proof
}

pub fn consistency(m: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if whole { Vec::new() } else { vec![mth(leaves)] };
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut proof, other) =
        if m <= k { (consistency(m, left, whole), mth(right)) } else { (consistency(m - k, right, false), mth(left)) };
    proof.push(other);
    proof
}

pub fn leaves(n: usize) -> Vec<Hash> {
    (0..n).map(|i| leaf_hash(&entry(i))).collect()
}

pub fn entry(i: usize) -> Vec<u8> {
    format!("entry {i}").into_bytes()
}

pub fn key(name: &str, kind: KeyKind, seed: u8) -> SigningKey {
    SigningKey::try_from_seed(KeyName::try_new(name).unwrap(), kind, &[seed; 32]).unwrap()
}

pub const ORIGIN: &str = "log.example/journal";

/// A checkpoint signed by the log and two witnesses, with the log's key and a policy that needs both.
pub fn signed(size: u64, root: Hash) -> (SignedCheckpoint, VerifierKey, WitnessPolicy) {
    let log = key(ORIGIN, KeyKind::Note, 1);
    let mut signed = SignedCheckpoint::sign(Checkpoint::try_new(ORIGIN, size, root).unwrap(), &log).unwrap();
    let witnesses = [key("w1.example", KeyKind::Cosignature, 2), key("w2.example", KeyKind::Cosignature, 3)];
    for (witness, time) in witnesses.iter().zip(1_700_000_000..) {
        let line = witness.cosign(signed.unverified(), time).unwrap();
        signed.note_mut().add(line).unwrap();
    }
    let policy = WitnessPolicy::try_new(2, witnesses.iter().map(|w| w.verifier().clone()).collect()).unwrap();
    (signed, log.verifier().clone(), policy)
}

pub fn bundle(n: usize, index: usize) -> (ProofBundle, VerifierKey, WitnessPolicy) {
    let leaves = leaves(n);
    let (signed, log, policy) = signed(n as u64, mth(&leaves));
    (ProofBundle::try_new(index as u64, path(index, &leaves), signed).unwrap(), log, policy)
}
