//! The client's half of NIP-98.

use base64::{Engine, engine::general_purpose::STANDARD};
use nostr::{
    event::{EventBuilder, FinalizeEvent, Kind, Tag},
    key::Keys,
    types::Timestamp as NostrTime,
};
use sha2::{Digest, Sha256};
use tallystick_core::Timestamp;

/// Why a request cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The system has no randomness to give.
    #[error("the system has no randomness to give: {0}")]
    Randomness(getrandom::Error),
    /// The key does not sign.
    #[error("the request cannot be signed: {0}")]
    Key(String),
}

/// The value of the `Authorization` header for a request (NIP-98). `body` is absent for a GET request.
///
/// A tag `request` with 16 random bytes makes two signatures over the same request in one second differ: an event
/// is accepted once.
///
/// # Errors
/// [`SignError`] if the system has no randomness.
pub fn authorization(
    keys: &Keys,
    url: &str,
    method: &str,
    body: Option<&[u8]>,
    now: Timestamp,
) -> Result<String, SignError> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(SignError::Randomness)?;
    let tag = |name: &str, value: String| Tag::custom(name, [value]);
    let event = EventBuilder::new(Kind::HttpAuth, "")
        .tag(tag("u", url.to_owned()))
        .tag(tag("method", method.to_owned()))
        .tag_maybe(body.map(|body| tag("payload", hex::encode(Sha256::digest(body)))))
        .tag(tag("request", hex::encode(nonce)))
        .custom_created_at(NostrTime::from_secs(now.as_secs()))
        .finalize(keys)
        .map_err(|error| SignError::Key(error.to_string()))?;
    Ok(format!("Nostr {}", STANDARD.encode(event.as_json())))
}
