//! A task's facts with what proves them.

use tallystick_bundle::FactBundle;
use tallystick_core::{Fact, Id};
use tallystick_escrow::Task;

use crate::{
    app::App,
    change::stream_of,
    log::{LogReader, TreeError},
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
        let mut facts = journal.stream(&stream_of(id), 0).await?;
        facts.truncate(PROVEN_MAX);
        let mut proven = Vec::with_capacity(facts.len());
        for fact in facts {
            let bundle = match log.prove(fact.seq).await {
                Ok((fact, proof)) => {
                    let authority = journal.authority(fact.authority).await?;
                    // What does not fit with the request behind it is proven without.
                    let whole = FactBundle::try_new(fact.clone(), authority, proof.clone());
                    Some(whole.or_else(|_| FactBundle::try_new(fact, None, proof)).map_err(|_| too_large())?)
                }
                Err(TreeError::NotYet { .. }) => None,
                Err(error) => return Err(error),
            };
            proven.push(ProvenFact { fact, bundle });
        }
        Ok(proven)
    }
}

fn too_large() -> TreeError {
    TreeError::Tree(tallystick_log::LogError::TooLarge { max: tallystick_log::EXTRA_BYTES_MAX })
}
