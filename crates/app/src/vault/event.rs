//! The fact that tells that evidence was erased. It is public: hashes of what nobody but its readers could read.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_civics::dispute::Dispute;
use tallystick_core::{Digest32, Fact, Id, canonical};

use crate::port::evidence::Matter;

/// What the names of streams begin with that tell of evidence: one stream for each dispute.
pub const STREAMS: &str = "evidence/";
/// The kind of fact that tells of an erasure.
pub const ERASED: &str = "evidence.erased";

/// The public body of an [`ERASED`] fact: these pieces are gone on purpose.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EvidenceErased {
    /// The dispute, and its task.
    pub matter: Matter,
    /// SHA-256 of each piece, in order.
    pub hashes: Vec<Digest32>,
}

impl EvidenceErased {
    /// What a fact says of an erasure; nothing if it is another fact.
    pub fn of(fact: &Fact) -> Option<Self> {
        let content = fact.body.content().filter(|_| fact.kind == ERASED)?;
        let erased: Self = canonical::decode("erasure of evidence", content).ok()?;
        (fact.stream == stream_of(erased.matter.dispute)).then_some(erased)
    }
}

/// The stream that tells of a dispute's evidence.
pub(crate) fn stream_of(dispute: Id<Dispute>) -> String {
    format!("{STREAMS}{dispute}")
}
