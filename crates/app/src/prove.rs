//! A task's facts with what proves them.

use tallystick_bundle::{BundleAnchor, FactBundle};
use tallystick_core::{Fact, Id};
use tallystick_escrow::Task;
use tallystick_log::anchor::AnchorProof;

use crate::{
    anchor::{self, Anchor, Anchors},
    app::App,
    change::stream_of,
    log::{LogReader, TreeError},
    port::journal::StoreError,
};

/// Facts of one task that are proven in one go.
pub const PROVEN_MAX: usize = 256;

/// A fact, and its bundle once it is under the published checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenFact {
    /// The fact.
    pub fact: Fact,
    /// All that proves it, contents included. Nothing before it is published.
    pub bundle: Option<FactBundle>,
}

impl App {
    /// The journal as a log.
    pub fn log(&self) -> LogReader {
        let parts = &self.0.parts;
        LogReader::new(parts.journal.clone(), parts.log.clone())
    }

    /// A task's facts, from its first, with their proofs and contents: for those who may read them. [`PROVEN_MAX`] at
    /// most. Of an erased task, the facts without their contents.
    ///
    /// # Errors
    /// [`TreeError`].
    pub async fn prove(&self, id: Id<Task>) -> Result<Vec<ProvenFact>, TreeError> {
        let (journal, log) = (&self.0.parts.journal, self.log());
        let mut anchors = Anchors::default();
        anchors.follow(&journal.stream(anchor::event::STREAM, 0).await?)?;
        let mut facts = journal.stream(&stream_of(id), 0).await?;
        facts.truncate(PROVEN_MAX);
        let mut proven = Vec::with_capacity(facts.len());
        for fact in facts {
            let bundle = match log.prove(fact.seq).await {
                Ok((fact, proof)) => {
                    let authority = journal.authority(fact.authority).await?;
                    // What does not fit with the request behind it is proven without.
                    let anchor = anchor_of(&log, &anchors, fact.seq, proof.checkpoint().unverified().size()).await?;
                    let whole = FactBundle::try_new(fact.clone(), authority, anchor.clone(), proof.clone());
                    let less = |_| FactBundle::try_new(fact, None, anchor, proof);
                    Some(whole.or_else(less).map_err(|_| too_large())?)
                }
                Err(TreeError::NotYet { .. }) => None,
                Err(error) => return Err(error),
            };
            proven.push(ProvenFact { fact, bundle });
        }
        Ok(proven)
    }
}

/// The first anchor that holds a fact, once it counts, for a bundle under a checkpoint of this size.
async fn anchor_of(log: &LogReader, anchors: &Anchors, seq: u64, size: u64) -> Result<Option<BundleAnchor>, TreeError> {
    let holds = |anchor: &&Anchor| anchor.confirmed_version().is_some_and(|version| version.size >= seq);
    let Some(anchor) = anchors.all().iter().find(holds) else { return Ok(None) };
    let exported = anchor::export(anchor).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let proof = AnchorProof::parse(&exported.proof).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let theirs = anchor.confirmed_version().map_or(0, |version| version.size);
    let consistency = match theirs == size {
        true => Vec::new(),
        false => log.consistency(theirs.min(size), theirs.max(size)).await?,
    };
    Ok(Some(BundleAnchor { text: exported.checkpoint, proof, consistency }))
}

fn too_large() -> TreeError {
    TreeError::Tree(tallystick_log::LogError::TooLarge { max: tallystick_log::EXTRA_BYTES_MAX })
}
