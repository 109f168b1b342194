//! NIP-98: who signed a request, and for what.
//!
//! Checked in two steps, so that who does not sign is not listened to for long: first the header alone (claims, time,
//! signature), then, once it has arrived, that the body is the one that was signed. A read is then remembered here, a
//! command in the journal, so that each works once.

use base64::{Engine, engine::general_purpose::STANDARD};
use nostr::event::{Event, Kind};
use sha2::{Digest, Sha256};
use tallystick_core::{Digest32, Duration, NostrKey, SignedRequest, Timestamp};

use crate::{
    config::EdgeConfig,
    error::EdgeError,
    quota::{Shares, Standing},
    replay::{ReplayGuard, Ticket},
};

const SCHEME: &str = "Nostr";
/// The path of the addresses that the node is configured with.
pub(crate) const ENDPOINT: &str = "/graphql";
/// A NIP-98 event has some 600 bytes, and base64 makes four bytes of three. What is signed is kept for good.
const HEADER_BYTES_MAX: usize = 4 * 1024;
const TAGS_MAX: usize = 16;

/// Checks signed requests.
pub(crate) struct Authenticator {
    urls: Vec<String>,
    age_max: Duration,
    ahead_max: Duration,
    /// In whole seconds, as events have it.
    started: Timestamp,
    seen: ReplayGuard,
}

/// A header that was signed for this URL and method, at about this time.
pub(crate) struct Signed {
    pub author: NostrKey,
    pub at: Timestamp,
    id: Digest32,
    until: Timestamp,
    /// What the signature says the body's hash is.
    payload: Option<Digest32>,
    /// As its author wrote it.
    event: String,
}

impl Signed {
    /// The request with the body that belongs to it.
    ///
    /// # Errors
    /// [`EdgeError::WrongPayload`] if another body was signed, or none.
    pub fn with_body(self, body: &[u8]) -> Result<SignedRequest, EdgeError> {
        if self.payload != Some(Digest32(Sha256::digest(body).into())) {
            return Err(EdgeError::WrongPayload);
        }
        Ok(SignedRequest { author: self.author, id: self.id, event: self.event, body: body.to_vec() })
    }

    /// That the body was signed that has this hash.
    ///
    /// # Errors
    /// [`EdgeError::WrongPayload`].
    pub fn has_payload(&self, hash: Digest32) -> Result<(), EdgeError> {
        if self.payload == Some(hash) { Ok(()) } else { Err(EdgeError::WrongPayload) }
    }

    /// That no other body than an empty one was signed.
    ///
    /// # Errors
    /// [`EdgeError::WrongPayload`].
    pub fn without_body(&self) -> Result<(), EdgeError> {
        match self.payload {
            Some(hash) if hash.0 != <[u8; 32]>::from(Sha256::digest([])) => Err(EdgeError::WrongPayload),
            _ => Ok(()),
        }
    }

    /// What the memory of reads keeps of it.
    pub fn ticket(&self) -> Ticket {
        Ticket { id: self.id, author: self.author, at: self.at, until: self.until }
    }
}

impl Authenticator {
    /// Begins to listen, at this time: reads that were signed before may have been answered by an earlier process.
    pub fn new(config: &EdgeConfig, now: Timestamp) -> Self {
        // 1/32: some hundred reads a second and key, while it is quiet.
        let shares =
            Shares { total: config.replay_memory_max, per_key: config.replay_memory_per_key_max, free_divisor: 32 };
        Self {
            urls: config.public_urls.clone(),
            age_max: config.signature_age_max,
            ahead_max: config.signature_ahead_max,
            started: Timestamp::from_secs(now.as_secs()),
            seen: ReplayGuard::new(shares),
        }
    }

    /// Checks an `Authorization` header for a request of `/graphql` with this method, in capitals.
    pub fn check(&self, header: &str, method: &str, now: Timestamp) -> Result<Signed, EdgeError> {
        self.check_at(ENDPOINT, header, method, now)
    }

    /// The same for another path of this node.
    pub fn check_at(&self, path: &str, header: &str, method: &str, now: Timestamp) -> Result<Signed, EdgeError> {
        let json = decode(header)?;
        let event = Event::from_json(&json).map_err(|_| EdgeError::AuthMalformed("this is no Nostr event"))?;
        if event.kind != Kind::HttpAuth {
            return Err(EdgeError::AuthMalformed("its kind must be 27235"));
        }
        if event.tags.len() > TAGS_MAX {
            return Err(EdgeError::AuthMalformed("it has too many tags"));
        }
        self.check_claims(&event, path, method)?;
        let at = Timestamp::from_secs(event.created_at.as_secs());
        let until = at.after(self.age_max);
        if until < now || at > now.after(self.ahead_max) {
            return Err(EdgeError::Expired);
        }
        let payload = single(&event, "payload")?.map(str::parse).transpose().map_err(|_| EdgeError::WrongPayload)?;
        event.verify().map_err(|_| EdgeError::BadSignature)?;
        let author = NostrKey::try_new(event.pubkey.to_bytes()).map_err(|_| EdgeError::BadSignature)?;
        Ok(Signed { author, at, id: Digest32(event.id.to_bytes()), until, payload, event: json })
    }

    /// Takes a read: the second time it is refused. The memory does not outlive the process, so that what was signed
    /// before it began is refused as well.
    pub fn admit_read(&self, ticket: Ticket, standing: Standing, now: Timestamp) -> Result<(), EdgeError> {
        if ticket.at < self.started {
            return Err(EdgeError::BeforeStart);
        }
        self.seen.admit(ticket, standing, now)
    }

    /// What the event says about address and method.
    fn check_claims(&self, event: &Event, path: &str, expected: &str) -> Result<(), EdgeError> {
        let url = single(event, "u")?.ok_or(EdgeError::AuthMalformed("it needs a tag `u`"))?;
        let fits = |own: &String| match path {
            ENDPOINT => own == url,
            _ => own.strip_suffix(ENDPOINT).and_then(|base| url.strip_prefix(base)) == Some(path),
        };
        if !self.urls.iter().any(fits) {
            return Err(EdgeError::WrongUrl);
        }
        let method = single(event, "method")?.ok_or(EdgeError::AuthMalformed("it needs a tag `method`"))?;
        if method == expected { Ok(()) } else { Err(EdgeError::WrongMethod) }
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
pub(crate) fn single<'a>(event: &'a Event, name: &str) -> Result<Option<&'a str>, EdgeError> {
    let mut values = event.tags.iter().filter(|tag| tag.kind() == name);
    let value = values.next().map(|tag| tag.content().unwrap_or_default());
    match values.next() {
        Some(_) => Err(EdgeError::AuthMalformed("the tags `u`, `method` and `payload` may be there once")),
        None => Ok(value),
    }
}
