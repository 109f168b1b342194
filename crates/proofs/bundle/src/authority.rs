//! Whether an authority really stands behind a fact.

use nostr::event::{Event, Kind};
use tallystick_core::{
    Authority, Digest32, Duration, Fact, NodeWord, NostrKey, SignedRequest, Timestamp, canonical,
    fact::authority_digest,
};

use crate::BundleError;

/// Facts of one decision, at most: so far back the version may be that a node's word names.
const DECISION_FACTS_MAX: u64 = 64;

/// How long before its fact a request may have been signed: a node takes signatures of a minute, and works on a request for
/// half a minute at most. The rest is for clocks that are set.
pub const SIGNED_BEFORE_MAX: Duration = Duration::from_secs(120);
/// How far the clock of whoever signs may be ahead of the node's.
pub const SIGNED_AHEAD_MAX: Duration = Duration::from_secs(30);

/// Who stands behind a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Who signed.
    pub author: NostrKey,
    /// What a user's request says of itself; nothing of a node's word, which says it of the fact.
    pub claims: Option<Claims>,
}

/// What a signed request says of itself (NIP-98).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// When it was signed, in whole seconds.
    pub at: Timestamp,
    /// The address that it was signed for.
    pub url: String,
}

impl Claims {
    /// Checks that a node may have taken the request when it recorded the fact.
    ///
    /// # Errors
    /// [`BundleError::OtherTime`].
    pub fn check_time(&self, recorded: Timestamp) -> Result<(), BundleError> {
        if self.at > recorded.after(SIGNED_AHEAD_MAX) || self.at.after(SIGNED_BEFORE_MAX) < recorded {
            return Err(BundleError::OtherTime { signed: self.at, recorded });
        }
        Ok(())
    }
}

/// Checks that an authority is the one that a fact names, and that its author signed it. Answers who that is.
///
/// A user's word is a Nostr event (NIP-01) of kind 27235 whose `payload` tag is the SHA-256 of the body (NIP-98). When it
/// was signed and for which address is answered, and not compared with anything; what it asks for is not looked at. A node's
/// word is a BIP-340 signature over stream, version, time, height and command.
///
/// # Errors
/// [`BundleError::OtherAuthority`], [`BundleError::BadAuthority`].
pub fn check_authority(fact: &Fact, authority: &Authority) -> Result<Signed, BundleError> {
    if authority_digest(authority) != fact.authority {
        return Err(BundleError::OtherAuthority);
    }
    let claims = match authority {
        Authority::Request(request) => Some(check_request(request)?),
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
            None
        }
    };
    Ok(Signed { author: authority.author(), claims })
}

/// Checks a user's signed request by itself. Answers what it says of itself.
///
/// # Errors
/// [`BundleError::BadAuthority`].
pub fn check_request(request: &SignedRequest) -> Result<Claims, BundleError> {
    let event = Event::from_json(&request.event).map_err(|_| BundleError::BadAuthority("this is no Nostr event"))?;
    if event.kind != Kind::HttpAuth {
        return Err(BundleError::BadAuthority("the event's kind is not 27235"));
    }
    event.verify().map_err(|_| BundleError::BadAuthority("the event's id or signature is wrong"))?;
    let author = NostrKey::try_new(event.pubkey.to_bytes()).ok();
    if author != Some(request.author) || Digest32(event.id.to_bytes()) != request.id {
        return Err(BundleError::BadAuthority("the event is another one"));
    }
    let payload = single(&event, "payload")?.and_then(|hash| hash.parse::<Digest32>().ok());
    if payload != Some(canonical::sha256(&request.body)) {
        return Err(BundleError::BadAuthority("another body was signed"));
    }
    let url = single(&event, "u")?.ok_or(BundleError::BadAuthority("it is signed for no address"))?.to_owned();
    Ok(Claims { at: Timestamp::from_secs(event.created_at.as_secs()), url })
}

/// The value of a tag that may be there once.
fn single<'a>(event: &'a Event, name: &str) -> Result<Option<&'a str>, BundleError> {
    let mut values = event.tags.iter().filter(|tag| tag.kind() == name).map(|tag| tag.content());
    let value = values.next().flatten();
    match values.next() {
        Some(_) => Err(BundleError::BadAuthority("a tag is there twice")),
        None => Ok(value),
    }
}
