//! The file.

use std::fmt;
use tallystick_core::{Authority, Body, Fact, Opening, canonical};
use tallystick_log::anchor::{Anchored, Headers};
use tallystick_log::{Checkpoint, Cosigned, LogError, ProofBundle, VerifierKey, WitnessPolicy};

use crate::{BundleAnchor, BundleError, Signed, check_authority};

const EXTRA_TAG: &str = "tallystick/bundle/v1";

/// A fact with its proof. The file is a C2SP tlog-proof; its `extra` holds, framed, the fact's entry, the salt and the
/// content that open a private body, the authority's canonical bytes, the anchor in Bitcoin, and the SHA-256 of all these and
/// the proof without `extra`. What is not told is empty. The last makes a file that was damaged differ from a whole one even
/// in what a verifier may pass over: the signature of a witness that it does not know, and what of an anchor only headers tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactBundle {
    fact: Fact,
    authority: Option<Authority>,
    anchor: Option<BundleAnchor>,
    proof: ProofBundle,
}

/// What a bundle proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven<'a> {
    /// The fact; its body has its content if the bundle tells it.
    pub fact: &'a Fact,
    /// Who signed what caused it, if the bundle tells it.
    pub signed: Option<Signed>,
    /// The checkpoint that it is under.
    pub checkpoint: &'a Checkpoint,
    /// Which witnesses have cosigned that, and when.
    pub cosigned: Vec<Cosigned>,
    /// Where it is in Bitcoin, if the bundle has an anchor and there were headers to check it against.
    pub anchored: Option<Anchored>,
}

impl FactBundle {
    /// A bundle of these. Without an authority, an anchor, or the body's opening, it tells less, and proves the rest.
    ///
    /// # Errors
    /// [`BundleError::Log`] with [`LogError::TooLarge`] if it does not fit.
    pub fn try_new(
        fact: Fact,
        authority: Option<Authority>,
        anchor: Option<BundleAnchor>,
        proof: ProofBundle,
    ) -> Result<Self, BundleError> {
        let extra = extra(&fact, authority.as_ref(), anchor.as_ref(), &proof);
        let proof = proof.with_extra(extra)?;
        Ok(Self { fact, authority, anchor, proof })
    }

    /// Reads a bundle. Nothing in it is checked yet, but that it has this form. What is read prints as the same bytes.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        let proof = ProofBundle::parse(bytes)?;
        let framed = proof.extra().and_then(|extra| canonical::unframe::<6>(EXTRA_TAG, extra));
        let [entry, salt, content, authority, anchor, _] = framed.ok_or(BundleError::NoFact)?;
        let mut fact = Fact::from_entry(entry)?;
        if let Body::Private { opening, .. } = &mut fact.body {
            *opening = match <[u8; 32]>::try_from(salt) {
                Ok(salt) => Some(Opening { salt, content: content.to_vec() }),
                Err(_) => None,
            };
        }
        let authority = match authority {
            [] => None,
            bytes => Some(canonical::decode("authority", bytes).map_err(|_| BundleError::OtherAuthority)?),
        };
        let anchor = if anchor.is_empty() { None } else { Some(BundleAnchor::parse(anchor)?) };
        let right = extra(&fact, authority.as_ref(), anchor.as_ref(), &proof);
        // Whatever else could be written in its place, such as a salt where there is nothing to open, is refused.
        match proof.extra() == Some(&right) {
            true => Ok(Self { fact, authority, anchor, proof }),
            false => Err(LogError::BadBundle.into()),
        }
    }

    /// Checks everything: the log's signature and the witnesses', that the fact is under the checkpoint, that its body is
    /// the one that it commits to, that its author signed it at its time, and, against `headers`, that Bitcoin vouches for it.
    ///
    /// # Errors
    /// [`BundleError`]; the bundle proves nothing then.
    pub fn verify(
        &self,
        log: &VerifierKey,
        policy: &WitnessPolicy,
        headers: Option<&Headers>,
    ) -> Result<Proven<'_>, BundleError> {
        let verified = self.proof.verify(&self.fact.entry(), log, policy)?;
        let proven = verified.index.saturating_add(1);
        if proven != self.fact.seq {
            return Err(BundleError::OtherFact { proven, fact: self.fact.seq });
        }
        if !self.fact.body.is_sound() {
            return Err(BundleError::OtherContents);
        }
        let signed = self.authority.as_ref().map(|authority| check_authority(&self.fact, authority)).transpose()?;
        if let Some(claims) = signed.as_ref().and_then(|signed| signed.claims.as_ref()) {
            claims.check_time(self.fact.recorded_at)?;
        }
        let checkpoint = verified.checkpoint;
        let anchored = match (&self.anchor, headers) {
            (Some(anchor), Some(headers)) => Some(anchor.verify(self.fact.seq, checkpoint, headers)?),
            (Some(anchor), None) => anchor.check(self.fact.seq, checkpoint).map(|_| None)?,
            (None, _) => None,
        };
        Ok(Proven { fact: &self.fact, signed, checkpoint, cosigned: verified.cosigned, anchored })
    }

    /// Its anchor; not checked.
    pub const fn anchor(&self) -> Option<&BundleAnchor> {
        self.anchor.as_ref()
    }

    /// The fact; not checked.
    pub const fn unverified(&self) -> &Fact {
        &self.fact
    }

    /// What caused it, if it is told; not checked.
    pub const fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }
}

impl fmt::Display for FactBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.proof.fmt(f)
    }
}

fn extra(fact: &Fact, authority: Option<&Authority>, anchor: Option<&BundleAnchor>, proof: &ProofBundle) -> Vec<u8> {
    let (salt, content): (&[u8], &[u8]) = match &fact.body {
        Body::Private { opening: Some(Opening { salt, content }), .. } => (salt, content),
        Body::Public(_) | Body::Private { opening: None, .. } => (&[], &[]),
    };
    let authority = authority.map(canonical::encode).unwrap_or_default();
    let anchor = anchor.map(BundleAnchor::to_bytes).unwrap_or_default();
    let (entry, proof) = (fact.entry(), proof.clone().without_extra().to_string());
    let whole = canonical::digest(EXTRA_TAG, &[&entry, salt, content, &authority, &anchor, proof.as_bytes()]);
    canonical::frame(EXTRA_TAG, &[&entry, salt, content, &authority, &anchor, &whole.0])
}
