//! What is hashed and stored never changes by accident. The values were computed apart from this code, from the
//! definitions: SHA-256 over the tag and each field, every one with its length before it.

use tallystick_core::fact::authority_digest;
use tallystick_core::{Authority, BlockHeight, Body, Digest32, Fact, Signature, SignedRequest, Timestamp};
use tallystick_testkit::escrow::requester;

fn fact() -> Fact {
    Fact {
        seq: 7,
        stream: "escrow/x".into(),
        version: 3,
        kind: "escrow.task_expired".into(),
        body: Body::Public(vec![0x13]),
        authority: Digest32([2; 32]),
        recorded_at: Timestamp::from_millis(1_800_000_000_123),
        height: BlockHeight(800_000),
        prev: Digest32([1; 32]),
        hash: Digest32([0; 32]),
    }
}

#[test]
fn a_facts_link_never_changes() {
    assert_eq!(hex::encode(fact().link().0), "9980046719d12072a522c17d16e99c9a9a6933aada269539343105eea19edb30");
}

#[test]
fn every_field_is_part_of_the_link() {
    let link = fact().link();
    let others = [
        Fact { seq: 8, ..fact() },
        Fact { stream: "escrow/y".into(), ..fact() },
        Fact { version: 4, ..fact() },
        Fact { kind: "escrow.task_settled".into(), ..fact() },
        Fact { body: Body::Public(vec![0x13, 0]), ..fact() },
        Fact { authority: Digest32([3; 32]), ..fact() },
        Fact { recorded_at: Timestamp::from_millis(1), ..fact() },
        Fact { height: BlockHeight(800_001), ..fact() },
        Fact { prev: Digest32([0; 32]), ..fact() },
        // The border between two fields is part of it too.
        Fact { kind: "escrow.task_expired\u{13}".into(), body: Body::Public(Vec::new()), ..fact() },
    ];
    for other in others {
        assert_ne!(other.link(), link, "{other:?}");
    }
    assert_eq!(Fact { hash: Digest32([9; 32]), ..fact() }.link(), link, "the hash itself is not");
}

#[test]
fn an_authoritys_digest_never_changes() {
    let request = Authority::Request(SignedRequest {
        author: requester(),
        id: Digest32([5; 32]),
        event: r#"{"kind":27235}"#.into(),
        body: b"body".to_vec(),
    });
    let node = Authority::Node { author: requester(), command: vec![7], signature: Signature([6; 64]) };
    let digest = |authority| hex::encode(authority_digest(authority).0);
    assert_eq!(digest(&request), "4aac914bcf91d07959acb539f5b8268527ac06093fd81ac8c09990f87e313c69");
    assert_eq!(digest(&node), "bc51c7f4cbe00722550fe2589984e1caf1b46e9dbb6f15795f6ef7d3b635507a");
}
