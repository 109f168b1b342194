//! Requests with real signatures.

use nostr::event::{EventBuilder, FinalizeEvent, Kind, Tag};
use nostr::key::Keys;
use tallystick_core::{Digest32, NostrKey, SignedRequest, Timestamp, canonical};

/// A request over `body` that user `n` really signed at this time (NIP-98), in whole seconds. Its key is
/// [`escrow::key`](crate::escrow::key)'s.
///
/// # Panics
/// Never: what is signed has the right form.
pub fn signed_request(n: u8, body: &[u8], at: Timestamp) -> SignedRequest {
    let mut secret = [1; 32];
    secret[31] = n;
    let keys = Keys::parse(&Digest32(secret).to_string()).expect("far below the curve's order");
    let payload = canonical::sha256(body).to_string();
    let tags = [["u", "http://localhost:8080/graphql"], ["method", "POST"], ["payload", payload.as_str()]]
        .map(|tag| Tag::parse(tag).expect("a tag"));
    let event = EventBuilder::new(Kind::HttpAuth, "")
        .tags(tags)
        .custom_created_at(nostr::types::Timestamp::from_secs(at.as_secs()))
        .finalize(&keys)
        .expect("a signature");
    SignedRequest {
        author: NostrKey::try_new(event.pubkey.to_bytes()).expect("a key"),
        id: Digest32(event.id.to_bytes()),
        event: event.as_json(),
        body: body.to_vec(),
    }
}
