//! Whether anyone has seen more of a log than a journal holds.

use anyhow::{Context, Result, anyhow};
use std::{fmt, sync::Arc};
use tallystick_app::{
    log::TreeError,
    port::{
        journal::Journal,
        limits::PAGE_MAX,
        witness::{Witness, WitnessError},
    },
};
use tallystick_core::{Code, Coded};
use tallystick_log::{
    AddCheckpoint, Checkpoint, CompactRange, Hash, LogError, SignedCheckpoint, SigningKey, VerifierKey, leaf_hash,
};
use tokio::task::JoinSet;

use crate::{
    published,
    restore::{Refusal, told},
};

/// The tree that a journal makes.
pub struct Held {
    range: CompactRange,
    /// The checkpoints that it should hold, with the root that it has at their size.
    roots: Vec<(u64, Option<Hash>)>,
}

/// Who has seen more than a journal holds, or another history.
#[derive(Clone, Debug, thiserror::Error)]
pub enum More {
    /// A witness.
    #[error(transparent)]
    Witness(TreeError),
    /// Whoever wrote the file of a checkpoint, which the log signed.
    #[error(
        "{name} is the checkpoint of a tree of {theirs} facts, and this journal has {ours}: it was put back to an older \
        state, or two nodes have used its key"
    )]
    Checkpoint {
        /// The file.
        name: String,
        /// Facts under the checkpoint.
        theirs: u64,
        /// Facts here.
        ours: u64,
    },
}

impl Coded for More {
    fn code(&self) -> Code {
        match self {
            Self::Witness(error) => error.code(),
            Self::Checkpoint { .. } => Code("log.rollback"),
        }
    }
}

/// What was heard of others.
#[derive(Debug, Default)]
pub struct Heard {
    /// Who has seen more, or another history, as a sentence each.
    pub more: Vec<More>,
    /// Who has seen no more: name and size.
    pub no_more: Vec<(String, u64)>,
    /// Who told nothing, and why.
    pub silent: Vec<(String, WitnessError)>,
}

impl Held {
    /// Reads the whole journal.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn read(journal: &dyn Journal, sizes: &[u64]) -> Result<Self> {
        let mut held = Self { range: CompactRange::new(), roots: sizes.iter().map(|size| (*size, None)).collect() };
        held.note();
        loop {
            let page = journal.facts(held.size(), PAGE_MAX).await?;
            if page.is_empty() {
                return Ok(held);
            }
            for fact in page {
                held.range.append(leaf_hash(&fact.entry()), |_, _| ())?;
                held.note();
            }
        }
    }

    fn note(&mut self) {
        let size = self.range.size();
        for (_, root) in self.roots.iter_mut().filter(|(at, _)| *at == size) {
            *root = Some(self.range.root());
        }
    }

    /// Facts.
    pub fn size(&self) -> u64 {
        self.range.size()
    }

    /// Checks that a checkpoint is of this history, as far as that goes.
    ///
    /// # Errors
    /// If it is of another one.
    pub fn follows(&self, checkpoint: &Checkpoint) -> Result<()> {
        let found = self.roots.iter().find(|(size, root)| *size == checkpoint.size() && root.is_some());
        if found.is_none_or(|(_, root)| root.as_ref() == Some(checkpoint.root())) {
            return Ok(());
        }
        Err(told(Refusal::OtherHistory { size: checkpoint.size() }))
    }

    /// The checkpoints compared with it.
    ///
    /// # Errors
    /// If one is of another history.
    pub fn compare(&self, checkpoints: &[(String, Checkpoint)], heard: &mut Heard) -> Result<()> {
        for (name, checkpoint) in checkpoints {
            if checkpoint.size() > self.size() {
                let (name, theirs, ours) = (name.clone(), checkpoint.size(), self.size());
                heard.more.push(More::Checkpoint { name, theirs, ours });
            } else {
                self.follows(checkpoint).with_context(|| name.clone())?;
            }
        }
        Ok(())
    }

    /// Asks all witnesses at once what they last cosigned. None of them goes forward by it: each is shown a checkpoint
    /// as if that were its last, and cosigns only if it is (C2SP tlog-witness).
    ///
    /// # Errors
    /// If no question can be made.
    pub async fn ask(&self, witnesses: Vec<Arc<dyn Witness>>, key: &SigningKey, heard: &mut Heard) -> Result<()> {
        let ours = self.size();
        let checkpoint = Checkpoint::try_new(key.verifier().name().as_str(), ours, self.range.root())?;
        let request = AddCheckpoint::try_new(ours, Vec::new(), SignedCheckpoint::sign(checkpoint, key)?)?;
        let mut asked = JoinSet::new();
        for witness in witnesses {
            let request = request.clone();
            asked.spawn(
                async move { (witness.key().name().as_str().to_owned(), witness.add_checkpoint(&request).await) },
            );
        }
        while let Some(answer) = asked.join_next().await {
            match answer? {
                (name, Ok(_)) => heard.no_more.push((name, ours)),
                (name, Err(WitnessError::Behind { size })) if size > ours => heard.more(name, size, ours),
                (name, Err(WitnessError::Behind { size })) => heard.no_more.push((name, size)),
                (witness, Err(WitnessError::OtherHistory(_))) => {
                    heard.more.push(More::Witness(TreeError::Fork { witness, theirs: ours, ours }));
                }
                (name, Err(error)) => heard.silent.push((name, error)),
            }
        }
        Ok(())
    }
}

impl Heard {
    fn more(&mut self, witness: String, theirs: u64, ours: u64) {
        self.more.push(More::Witness(TreeError::Rollback { witness, theirs, ours }));
    }

    /// Whether the journal is known to be the newest: nobody has seen more, and so many witnesses answered that every
    /// published checkpoint was cosigned by one of them at least.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self, witnesses: usize, needed: usize) -> Result<()> {
        if let Some(rollback) = self.more.first() {
            return Err(told(rollback.clone()));
        }
        let needed = if witnesses == 0 { 0 } else { witnesses.saturating_sub(needed) + 1 };
        let answered = self.no_more.len();
        if answered >= needed { Ok(()) } else { Err(told(Refusal::Unseen { answered, witnesses, needed })) }
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, size) in &self.no_more {
            writeln!(f, "{name} has seen {size} facts")?;
        }
        for (name, error) in &self.silent {
            writeln!(f, "{name} told nothing: {error} ({})", error.code())?;
        }
        self.more.iter().try_for_each(|rollback| writeln!(f, "{rollback}"))
    }
}

/// Reads a checkpoint, which the log must have signed.
///
/// # Errors
/// If it is none, or not this log's.
pub fn checkpoint(bytes: &[u8], log: &VerifierKey) -> Result<Checkpoint> {
    // A node's own file of what it has published has a line before it.
    let note = published::note(bytes).unwrap_or(bytes);
    let read = || -> Result<Checkpoint, LogError> { Ok(SignedCheckpoint::parse(note)?.verify(log)?.clone()) };
    read().map_err(|error| anyhow!("{error} ({})", error.code()))
}
