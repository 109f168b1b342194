//! The draw: vectors worked out apart, shares that follow weights, and who is never drawn.

use serde::Deserialize;
use std::collections::BTreeMap;
use tallystick_civics::{
    dispute::{Award, Dispute, Seats, commitment},
    draw::{CANDIDATES_MAX, Candidate, Candidates, CandidatesError, WEIGHT_MAX, draw},
};
use tallystick_core::{Coded, Digest32, Id, NostrKey, canonical};

use crate::given::{candidates, id, key};

#[derive(Deserialize)]
struct Vectors {
    draws: Vec<DrawVector>,
    votes: Vec<VoteVector>,
}

#[derive(Deserialize)]
struct DrawVector {
    block_hash: Digest32,
    dispute: Id<Dispute>,
    round: u32,
    seats: usize,
    candidates: Vec<(NostrKey, u32)>,
    candidates_digest: Digest32,
    order: Vec<NostrKey>,
}

#[derive(Deserialize)]
struct VoteVector {
    dispute: Id<Dispute>,
    round: u32,
    arbitrator: NostrKey,
    award: String,
    salt: Digest32,
    commitment: Digest32,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../vectors/draw.json")).unwrap()
}

fn list(entries: impl IntoIterator<Item = (NostrKey, u32)>) -> Candidates {
    let list = entries.into_iter().map(|(arbitrator, weight)| Candidate { arbitrator, weight });
    Candidates::try_new(list.collect()).unwrap()
}

fn seats(count: usize) -> Seats {
    [Seats::One, Seats::Three, Seats::Five, Seats::Seven].into_iter().find(|seats| seats.count() == count).unwrap()
}

#[test]
fn draws_are_those_of_the_vectors() {
    let vectors = vectors().draws;
    assert_eq!(vectors.len(), 8);
    for vector in vectors {
        let candidates = list(vector.candidates);
        assert_eq!(candidates.digest(), vector.candidates_digest);
        let order = draw(&vector.block_hash, vector.dispute, vector.round, &candidates, seats(vector.seats));
        assert_eq!(order, vector.order);
    }
}

#[test]
fn commitments_are_those_of_the_vectors() {
    let vectors = vectors().votes;
    assert_eq!(vectors.len(), 4);
    for vote in vectors {
        let award = Award::new(u64::from_str_radix(&vote.award, 16).unwrap());
        assert_eq!(
            commitment(vote.dispute, vote.round, vote.arbitrator, award, &vote.salt.0),
            vote.commitment,
            "{award:?}"
        );
    }
}

#[test]
fn a_commitment_binds_everything() {
    let (award, salt) = (Award::new(1), [5; 32]);
    let all = [
        commitment(id(), 1, key(1), award, &salt),
        commitment(Id::from_parts(1, [0; 10]), 1, key(1), award, &salt),
        commitment(id(), 2, key(1), award, &salt),
        commitment(id(), 1, key(2), award, &salt),
        commitment(id(), 1, key(1), Award::new(2), &salt),
        commitment(id(), 1, key(1), award, &[6; 32]),
    ];
    for (n, one) in all.iter().enumerate() {
        assert!(!all[..n].contains(one));
    }
}

/// 20,000 blocks: who is asked first follows the weights within 5 %.
#[test]
fn first_picks_follow_the_weights() {
    let mut entries: Vec<_> = [100, 150, 200, 250, 300].into_iter().zip(10..).map(|(w, n)| (key(n), w)).collect();
    entries.sort();
    let candidates = list(entries.iter().copied());
    let mut first: BTreeMap<NostrKey, u32> = BTreeMap::new();
    for block in 0u32..20_000 {
        let hash = canonical::sha256(&block.to_le_bytes());
        *first.entry(draw(&hash, id(), 1, &candidates, Seats::One)[0]).or_default() += 1;
    }
    for (arbitrator, weight) in entries {
        // 20 for each unit of a weight, since all weights together are 1,000.
        let (picked, expected) = (first[&arbitrator], 20 * weight);
        assert!(picked.abs_diff(expected) * 20 <= expected, "weight {weight}: {picked} first picks, not {expected}");
    }
}

#[test]
fn nobody_is_drawn_twice_and_all_are_drawn_when_few() {
    for round in 1..200 {
        let mut order = draw(&Digest32([9; 32]), id(), round, &candidates(), Seats::Seven);
        assert_eq!(order.len(), 25);
        order.sort();
        assert!(order.is_sorted_by(|one, next| one < next));
    }
    assert_eq!(draw(&Digest32([9; 32]), id(), 1, &candidates(), Seats::Three).len(), 12);
    assert_eq!(draw(&Digest32([9; 32]), id(), 1, &Candidates::default(), Seats::Three), []);
}

#[test]
fn block_dispute_and_round_each_change_the_draw() {
    let order = |block, dispute, round| draw(&Digest32([block; 32]), dispute, round, &candidates(), Seats::Five);
    let other = Id::from_parts(1, [0; 10]);
    let orders = [order(1, id(), 1), order(2, id(), 1), order(1, other, 1), order(1, id(), 2)];
    for (n, one) in orders.iter().enumerate() {
        assert!(!orders[..n].contains(one));
    }
}

#[test]
fn lists_that_are_refused() {
    let of = |entries: &[(u8, u32)]| {
        let list = entries.iter().map(|(n, weight)| Candidate { arbitrator: key(*n), weight: *weight });
        Candidates::try_new(list.collect())
    };
    let (low, high) = if key(1) < key(2) { (1, 2) } else { (2, 1) };
    assert!(of(&[(low, 1), (high, WEIGHT_MAX)]).is_ok());
    assert_eq!(of(&[(high, 1), (low, 1)]), Err(CandidatesError::Unsorted(key(low))));
    assert_eq!(of(&[(low, 1), (low, 1)]), Err(CandidatesError::Unsorted(key(low))));
    for weight in [0, WEIGHT_MAX + 1] {
        assert_eq!(of(&[(low, weight)]), Err(CandidatesError::Weight { weight }));
    }
    let many = vec![Candidate { arbitrator: key(1), weight: 1 }; CANDIDATES_MAX + 1];
    let error = Candidates::try_new(many).unwrap_err();
    assert_eq!(error, CandidatesError::TooMany { count: 10_001 });
    assert_eq!(error.code().0, "dispute.candidates");
    // Nor are they read from bytes.
    let bytes = canonical::encode(&vec![Candidate { arbitrator: key(1), weight: 0 }]);
    assert!(canonical::decode::<Candidates>("candidates", &bytes).is_err());
}
