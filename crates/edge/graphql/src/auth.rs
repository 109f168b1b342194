//! NIP-98: who signed a request, and for what.

use base64::{Engine, engine::general_purpose::STANDARD};
use nostr::event::{Event, Kind};
use sha2::{Digest, Sha256};
use tallystick_core::{Digest32, Duration, NostrKey, SignedRequest, Timestamp};

use crate::{config::EdgeConfig, error::EdgeError, replay::ReplayGuard};

const SCHEME: &str = "Nostr";
/// A NIP-98 event has some 600 bytes, and base64 makes four bytes of three.
const HEADER_BYTES_MAX: usize = 8 * 1024;
const TAGS_MAX: usize = 16;

/// Checks signed requests.
pub(crate) struct Authenticator {
    urls: Vec<String>,
    skew: Duration,
    seen: ReplayGuard,
}

/// The HTTP request to which a signature must belong.
pub(crate) struct Expected<'a> {
    /// In capitals.
    pub method: &'static str,
    pub body: &'a [u8],
    /// Whether the signature must name the body's hash.
    pub payload: bool,
}

impl Authenticator {
    pub fn new(config: &EdgeConfig) -> Self {
        let seen = ReplayGuard::new(config.replay_memory_max);
        Self { urls: config.public_urls.clone(), skew: config.clock_skew, seen }
    }

    /// Checks an `Authorization` header, and takes it: the second time it is refused.
    pub fn check(&self, header: &str, expected: &Expected<'_>, now: Timestamp) -> Result<SignedRequest, EdgeError> {
        let json = decode(header)?;
        let event = Event::from_json(&json).map_err(|_| EdgeError::AuthMalformed("this is no Nostr event"))?;
        if event.kind != Kind::HttpAuth {
            return Err(EdgeError::AuthMalformed("its kind must be 27235"));
        }
        if event.tags.len() > TAGS_MAX {
            return Err(EdgeError::AuthMalformed("it has too many tags"));
        }
        let until = self.check_claims(&event, expected, now)?;
        event.verify().map_err(|_| EdgeError::BadSignature)?;
        let author = NostrKey::try_new(event.pubkey.to_bytes()).map_err(|_| EdgeError::BadSignature)?;
        let id = Digest32(event.id.to_bytes());
        self.seen.admit(id, until, now)?;
        Ok(SignedRequest { author, id, event: json, body: expected.body.to_vec() })
    }

    /// What the event says about address, method, body and time. Answers until when it may be used.
    fn check_claims(&self, event: &Event, expected: &Expected<'_>, now: Timestamp) -> Result<Timestamp, EdgeError> {
        let url = single(event, "u")?.ok_or(EdgeError::AuthMalformed("it needs a tag `u`"))?;
        if !self.urls.iter().any(|own| own == url) {
            return Err(EdgeError::WrongUrl);
        }
        let method = single(event, "method")?.ok_or(EdgeError::AuthMalformed("it needs a tag `method`"))?;
        if method != expected.method {
            return Err(EdgeError::WrongMethod);
        }
        let signed_at = Timestamp::from_secs(event.created_at.as_secs());
        let until = signed_at.after(self.skew);
        if until < now || signed_at > now.after(self.skew) {
            return Err(EdgeError::Expired);
        }
        match single(event, "payload")? {
            Some(hash) => {
                let hash: Digest32 = hash.parse().map_err(|_| EdgeError::WrongPayload)?;
                if hash.0 != <[u8; 32]>::from(Sha256::digest(expected.body)) {
                    return Err(EdgeError::WrongPayload);
                }
            }
            None if expected.payload => return Err(EdgeError::WrongPayload),
            None => {}
        }
        Ok(until)
    }
}

/// The event in the header, as its author wrote it.
fn decode(header: &str) -> Result<String, EdgeError> {
    if header.len() > HEADER_BYTES_MAX {
        return Err(EdgeError::AuthMalformed("it is too long"));
    }
    let (scheme, encoded) = header.split_once(' ').ok_or(EdgeError::AuthMalformed("expected `Nostr <base64>`"))?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(EdgeError::AuthMalformed("expected the scheme `Nostr`"));
    }
    let json = STANDARD.decode(encoded).map_err(|_| EdgeError::AuthMalformed("this is no base64"))?;
    String::from_utf8(json).map_err(|_| EdgeError::AuthMalformed("this is no JSON"))
}

/// The value of a tag that may be there once.
fn single<'a>(event: &'a Event, name: &str) -> Result<Option<&'a str>, EdgeError> {
    let mut values = event.tags.iter().filter(|tag| tag.kind() == name);
    let value = values.next().map(|tag| tag.content().unwrap_or_default());
    match values.next() {
        Some(_) => Err(EdgeError::AuthMalformed("the tags `u`, `method` and `payload` may be there once")),
        None => Ok(value),
    }
}
