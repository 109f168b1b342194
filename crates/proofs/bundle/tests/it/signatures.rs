//! Who stands behind a fact.

use tallystick_bundle::{BundleError, FactBundle, check_authority};
use tallystick_core::{Authority, Body, fact::authority_digest};

use crate::support::{facts, policy, prove, request, word};

#[test]
fn users_and_nodes_words_are_checked_and_named() {
    let (user, node) = (request(b"body"), word(1));
    let facts = facts(&[(Body::Public(vec![1]), &user), (Body::private([2; 32], vec![2]), &node)]);
    let (log, policy) = policy();
    for (index, authority) in [user, node].into_iter().enumerate() {
        let proof = prove(&facts, index);
        let bundle = FactBundle::try_new(facts[index].clone(), Some(authority.clone()), None, proof.clone()).unwrap();
        let proven = bundle.verify(&log, &policy, None).unwrap();
        assert_eq!((proven.author, proven.cosigned.len()), (Some(authority.author()), 3));
        assert_eq!(proven.fact, &facts[index]);
        // Told without it, the fact is proven all the same, and nobody named.
        let bare = FactBundle::try_new(facts[index].clone(), None, None, proof).unwrap();
        assert_eq!(bare.verify(&log, &policy, None).unwrap().author, None);
    }
}

/// A decision of several facts has one word, which names the version before the first.
#[test]
fn the_facts_of_one_decision_share_a_word() {
    let word_of_first = word(0);
    let facts = facts(&[0, 1, 2].map(|n| (Body::Public(vec![n]), &word_of_first)));
    for fact in &facts {
        assert_eq!(check_authority(fact, &word_of_first), Ok(word_of_first.author()), "{}", fact.seq);
    }
    // But a word never speaks for facts that were there before it.
    let later = word(2);
    let mut fact = facts[1].clone();
    fact.authority = authority_digest(&later);
    let why = BundleError::BadAuthority("the node's word is for another fact");
    assert_eq!(check_authority(&fact, &later), Err(why));
}

#[test]
fn what_was_not_signed_is_refused() {
    let good = request(b"body");
    let fact = |authority: &Authority| facts(&[(Body::Public(vec![1]), authority)]).remove(0);
    assert_eq!(check_authority(&fact(&good), &request(b"other")), Err(BundleError::OtherAuthority));
    let Authority::Request(request) = good else { panic!("a request") };
    let mut forged = Vec::new();
    let mut change = |change: &dyn Fn(&mut tallystick_core::SignedRequest)| {
        let mut request = request.clone();
        change(&mut request);
        forged.push(Authority::Request(request));
    };
    change(&|request| request.body = b"another body".to_vec());
    change(&|request| request.author = word(0).author());
    change(&|request| request.id.0[0] ^= 1);
    change(&|request| request.event = request.event.replace("27235", "27236"));
    change(&|request| request.event = request.event.replace("POST", "GET"));
    change(&|request| request.event = "{}".into());
    assert_eq!(forged.len(), 6);
    for authority in forged {
        let refused = check_authority(&fact(&authority), &authority);
        assert!(matches!(refused, Err(BundleError::BadAuthority(_))), "{refused:?}");
    }
}
