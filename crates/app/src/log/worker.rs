//! Keeps the log up to date.

use std::sync::Arc;
use tallystick_core::{Coded, Duration};
use tallystick_log::{Checkpoint, LogError, SigningKey};

use super::{LogReader, TreeError, integrate::Integrator, publish::Publisher};
use crate::port::{journal::Journal, log::LogStore, witness::Witness};

/// The longest pause after a failure.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How a node keeps its log.
pub struct LogConfig {
    /// What signs its checkpoints (Ed25519). The key's name is the log's origin (C2SP tlog-checkpoint).
    pub key: SigningKey,
    /// How often facts are integrated and a checkpoint is signed, if there is something new.
    pub interval: Duration,
    /// Who is asked to cosign.
    pub witnesses: Vec<Arc<dyn Witness>>,
    /// How many cosignatures a checkpoint needs before it is published.
    pub witnesses_needed: usize,
}

/// The worker that keeps the log up to date. One process at a time should run it; two do no harm.
pub struct LogWorker {
    integrator: Integrator,
    publisher: Publisher,
    reader: LogReader,
    published: Option<KnownToBePublished>,
    interval: Duration,
}

/// A checkpoint that is known to be published, and who knows it.
struct KnownToBePublished {
    by: String,
    checkpoint: Checkpoint,
}

impl LogWorker {
    /// A worker for this journal's log.
    ///
    /// # Errors
    /// [`LogError::BadPolicy`] if more cosignatures are needed than there are witnesses, or one is there twice.
    pub fn try_new(journal: Arc<dyn Journal>, store: Arc<dyn LogStore>, config: LogConfig) -> Result<Self, LogError> {
        let reader = LogReader::new(Arc::clone(&journal), Arc::clone(&store));
        let LogConfig { key, interval, witnesses, witnesses_needed } = config;
        let publisher =
            Publisher::try_new(Arc::clone(&store), reader.clone(), Arc::new(key), witnesses, witnesses_needed)?;
        Ok(Self { integrator: Integrator::new(journal, store), publisher, reader, published: None, interval })
    }

    /// Nothing is published that does not go on from this checkpoint, which `by` knows to be published: a log that was wiped, and
    /// is made again, could be another one.
    #[must_use]
    pub fn going_on_from(self, by: impl Into<String>, checkpoint: Checkpoint) -> Self {
        Self { published: Some(KnownToBePublished { by: by.into(), checkpoint }), ..self }
    }

    /// Integrates what is new and publishes a checkpoint of it. Answers whether all that is in the journal is under the
    /// published checkpoint now.
    ///
    /// # Errors
    /// [`TreeError`].
    pub async fn run_once(&mut self) -> Result<bool, TreeError> {
        let tree = self.integrator.catch_up().await?;
        if let Some(known) = &self.published {
            known.is_beginning(tree.size(), &self.reader).await?;
            self.published = None;
        }
        if tree.size() == 0 {
            return Ok(true);
        }
        self.publisher.publish(tree).await
    }

    /// Whether enough witnesses have told, since the start, that they have seen no more than this journal holds: with so
    /// many, nobody can have been shown more. True if no witness is needed.
    pub fn is_newest(&self) -> bool {
        self.publisher.is_newest()
    }

    /// Works until this is dropped, or it must not go on.
    ///
    /// # Errors
    /// What no other try can mend: a damaged journal or tree, or a journal that was put back to an older state.
    pub async fn run(&mut self) -> TreeError {
        let mut pause = self.interval;
        loop {
            match self.run_once().await {
                Ok(true) => pause = self.interval,
                Ok(false) => pause = longer(pause),
                Err(error) if !error.is_final() => {
                    tracing::error!(code = %error.code(), "the log does not come forward: {error}");
                    pause = longer(pause);
                }
                Err(error) => return error,
            }
            tokio::time::sleep(std::time::Duration::from_millis(pause.as_millis())).await;
        }
    }
}

impl KnownToBePublished {
    /// Checks that a tree of this size begins with it.
    async fn is_beginning(&self, ours: u64, reader: &LogReader) -> Result<(), TreeError> {
        let (witness, theirs) = (self.by.clone(), self.checkpoint.size());
        if theirs > ours {
            return Err(TreeError::Rollback { witness, theirs, ours });
        }
        if theirs > 0 && reader.root(theirs).await? != *self.checkpoint.root() {
            return Err(TreeError::Fork { witness, theirs, ours });
        }
        Ok(())
    }
}

fn longer(pause: Duration) -> Duration {
    Duration::from_millis(pause.as_millis().max(1).saturating_mul(2)).min(PAUSE_MAX)
}
