//! Who stands behind a fact.

use tallystick_bundle::{BundleError, FactBundle, check_authority};
use tallystick_core::{Authority, Body, Timestamp, fact::authority_digest};

use crate::support::{NOW, facts, policy, prove, request, request_at, word};

#[test]
fn users_and_nodes_words_are_checked_and_named() {
    let (user, node) = (request(b"body"), word(1));
    let facts = facts(&[(Body::Public(vec![1]), &user), (Body::private([2; 32], vec![2]), &node)]);
    let (log, policy) = policy();
    for (index, authority) in [user, node].into_iter().enumerate() {
        let proof = prove(&facts, index);
        let bundle = FactBundle::try_new(facts[index].clone(), Some(authority.clone()), None, proof.clone()).unwrap();
        let proven = bundle.verify(&log, &policy, None).unwrap();
        let signed = proven.signed.unwrap();
        assert_eq!((signed.author, proven.cosigned.len()), (authority.author(), 3));
        let url = signed.claims.map(|claims| claims.url);
        assert_eq!(url.as_deref(), matches!(authority, Authority::Request(_)).then_some("http://localhost/graphql"));
        assert_eq!(proven.fact, &facts[index]);
        // Told without it, the fact is proven all the same, and nobody named.
        let bare = FactBundle::try_new(facts[index].clone(), None, None, proof).unwrap();
        assert_eq!(bare.verify(&log, &policy, None).unwrap().signed, None);
    }
}

/// A decision of several facts has one word, which names the version before the first.
#[test]
fn the_facts_of_one_decision_share_a_word() {
    let word_of_first = word(0);
    let facts = facts(&[0, 1, 2].map(|n| (Body::Public(vec![n]), &word_of_first)));
    for fact in &facts {
        let signed = check_authority(fact, &word_of_first);
        assert_eq!(signed.map(|signed| signed.author), Ok(word_of_first.author()), "{}", fact.seq);
    }
    // But a word never speaks for facts that were there before it.
    let later = word(2);
    let mut fact = facts[1].clone();
    fact.authority = authority_digest(&later);
    let why = BundleError::BadAuthority("the node's word is for another fact");
    assert_eq!(check_authority(&fact, &later), Err(why));
}

/// A request that was signed once is not kept for a fact of another day.
#[test]
fn a_request_is_signed_when_its_fact_is_recorded() {
    let (log, policy) = policy();
    let secs = NOW.as_secs();
    for (at, holds) in [
        (secs - 119, true),
        (secs - 120, false),
        (secs - 86_400, false),
        (secs + 30, true),
        (secs + 31, false),
        (0, false),
    ] {
        let authority = request_at(b"body", Timestamp::from_secs(at));
        let facts = facts(&[(Body::Public(vec![1]), &authority)]);
        let bundle = FactBundle::try_new(facts[0].clone(), Some(authority), None, prove(&facts, 0)).unwrap();
        let verified = bundle.verify(&log, &policy, None).map(|_| ());
        let other = BundleError::OtherTime { signed: Timestamp::from_secs(at), recorded: NOW };
        assert_eq!(verified, if holds { Ok(()) } else { Err(other) }, "{at}");
    }
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
