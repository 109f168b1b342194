//! Whether an authority really stands behind a fact.

use nostr::event::{Event, Kind};
use tallystick_core::{
    Authority, Digest32, Fact, NodeWord, NostrKey, SignedRequest, canonical, fact::authority_digest,
};

use crate::BundleError;

/// Facts of one decision, at most: so far back the version may be that a node's word names.
const DECISION_FACTS_MAX: u64 = 64;

/// Checks that an authority is the one that a fact names, and that its author signed it. Answers who that is.
///
/// A user's word is a Nostr event (NIP-01) of kind 27235 whose `payload` tag is the SHA-256 of the body (NIP-98). When it
/// was signed, for which address, and what it asks for is not looked at. A node's word is a BIP-340 signature over stream,
/// version, time, height and command.
///
/// # Errors
/// [`BundleError::OtherAuthority`], [`BundleError::BadAuthority`].
pub fn check_authority(fact: &Fact, authority: &Authority) -> Result<NostrKey, BundleError> {
    if authority_digest(authority) != fact.authority {
        return Err(BundleError::OtherAuthority);
    }
    match authority {
        Authority::Request(request) => check_request(request)?,
        Authority::Node { author, command, signature } => {
            let newest = fact.version.saturating_sub(1);
            let signed = |expected_version| {
                let word = NodeWord {
                    stream: &fact.stream,
                    expected_version,
                    recorded_at: fact.recorded_at,
                    height: fact.height,
                    command,
                };
                author.verify(&word.digest(), signature).is_ok()
            };
            // The facts of one decision share a word, which names the version before the first of them.
            if !(newest.saturating_sub(DECISION_FACTS_MAX)..=newest).rev().any(signed) {
                return Err(BundleError::BadAuthority("the node's word is for another fact"));
            }
        }
    }
    Ok(authority.author())
}

/// Checks a user's signed request by itself.
///
/// # Errors
/// [`BundleError::BadAuthority`].
pub fn check_request(request: &SignedRequest) -> Result<(), BundleError> {
    let event = Event::from_json(&request.event).map_err(|_| BundleError::BadAuthority("this is no Nostr event"))?;
    if event.kind != Kind::HttpAuth {
        return Err(BundleError::BadAuthority("the event's kind is not 27235"));
    }
    event.verify().map_err(|_| BundleError::BadAuthority("the event's id or signature is wrong"))?;
    let author = NostrKey::try_new(event.pubkey.to_bytes()).ok();
    if author != Some(request.author) || Digest32(event.id.to_bytes()) != request.id {
        return Err(BundleError::BadAuthority("the event is another one"));
    }
    let mut payloads = event.tags.iter().filter(|tag| tag.kind() == "payload").map(|tag| tag.content());
    let payload = payloads.next().flatten().and_then(|hash| hash.parse::<Digest32>().ok());
    if payloads.next().is_some() || payload != Some(canonical::sha256(&request.body)) {
        return Err(BundleError::BadAuthority("another body was signed"));
    }
    Ok(())
}
