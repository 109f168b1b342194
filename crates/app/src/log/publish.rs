//! Signs checkpoints, has them cosigned, and publishes them.

use std::sync::Arc;
use tallystick_core::Coded;
use tallystick_log::{
    AddCheckpoint, Checkpoint, LogError, NoteSignature, SignedCheckpoint, SigningKey, TileEdge, WitnessPolicy,
    verify_consistency,
};
use tokio::task::JoinSet;

use super::{LogReader, TreeError};
use crate::port::{
    log::{LogStore, Published},
    witness::{Witness, WitnessError},
};

/// How long all witnesses together may take for one checkpoint.
const WITNESS_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(10);
/// How long the others are waited for once enough have cosigned.
const GRACE: std::time::Duration = std::time::Duration::from_millis(250);
/// How often one witness is asked for one checkpoint: it may tell another size each time.
const TRIES_MAX: usize = 3;

/// A witness, and what is known of it since the start.
struct Known {
    witness: Arc<dyn Witness>,
    /// The size that it last cosigned.
    size: u64,
    /// Whether it has seen no more than this journal holds.
    no_more: bool,
}

/// Publishes checkpoints.
pub(super) struct Publisher {
    store: Arc<dyn LogStore>,
    reader: LogReader,
    key: Arc<SigningKey>,
    policy: WitnessPolicy,
    witnesses: Vec<Known>,
    /// Whether all witnesses have had their time to answer since the start.
    waited: bool,
}

impl Publisher {
    /// A publisher that needs `needed` cosignatures of these witnesses.
    ///
    /// # Errors
    /// [`LogError::BadPolicy`] or [`LogError::BadKey`] if there are not so many, or one is there twice.
    pub(super) fn try_new(
        store: Arc<dyn LogStore>,
        reader: LogReader,
        key: Arc<SigningKey>,
        witnesses: Vec<Arc<dyn Witness>>,
        needed: usize,
    ) -> Result<Self, LogError> {
        let policy = WitnessPolicy::try_new(needed, witnesses.iter().map(|witness| witness.key().clone()).collect())?;
        let witnesses = witnesses.into_iter().map(|witness| Known { witness, size: 0, no_more: false }).collect();
        Ok(Self { store, reader, key, policy, witnesses, waited: false })
    }

    /// How many witnesses may say otherwise: with one more, at least one of them cosigned whatever was published.
    fn others(&self) -> usize {
        self.witnesses.len().saturating_sub(self.policy.k())
    }

    /// Whether so many have seen no more than this journal holds that nobody can have been shown more. Nobody can tell if
    /// no cosignature is needed.
    pub(super) fn is_newest(&self) -> bool {
        self.policy.k() == 0 || self.witnesses.iter().filter(|known| known.no_more).count() > self.others()
    }

    /// Publishes a checkpoint of this tree, if it is larger than the published one and enough witnesses cosign.
    /// Answers whether there is nothing left to do. After a start the witnesses are asked in any case, until enough of them
    /// have answered: a journal that was put back to an older state may have nothing new to publish, and a witness that is
    /// new, or was put back as well, knows nothing of it.
    ///
    /// # Errors
    /// [`TreeError::Rollback`] or [`TreeError::Fork`] if witnesses have seen more than there is, or another history; else
    /// as the store fails.
    pub(super) async fn publish(&mut self, tree: &TileEdge) -> Result<bool, TreeError> {
        let published = self.store.log_state().await?.published.map_or(0, |published| published.size);
        if published >= tree.size() && self.is_newest() {
            return Ok(true);
        }
        if published > tree.size() {
            // Another process is ahead of this one, which sees the tree grow in a moment.
            return Ok(false);
        }
        let checkpoint = Checkpoint::try_new(self.key.verifier().name().as_str(), tree.size(), tree.root()?)?;
        let mut signed = SignedCheckpoint::sign(checkpoint, &self.key)?;
        let signatures = self.cosignatures(&signed).await?;
        if published == tree.size() {
            return Ok(self.is_newest());
        }
        for signature in signatures {
            signed.note_mut().add(signature)?;
        }
        if let Err(LogError::TooFewWitnesses { have, need }) = self.policy.verify(signed.note()) {
            tracing::warn!(
                have,
                need,
                size = tree.size(),
                "too few witnesses cosigned: the checkpoint is not published"
            );
            return Ok(false);
        }
        let note = signed.to_string().into_bytes();
        // If another process was faster, what it published is as good.
        self.store.publish(Published { size: tree.size(), note }).await?;
        Ok(true)
    }

    /// Asks all witnesses at once. One that does not answer in time, or not well, is passed over and told in the log.
    ///
    /// # Errors
    /// [`TreeError::Rollback`] or [`TreeError::Fork`] as soon as more witnesses tell of one than could be spared: it is told
    /// without a signature, and fewer could lie.
    async fn cosignatures(&mut self, signed: &SignedCheckpoint) -> Result<Vec<NoteSignature>, TreeError> {
        let mut asked = JoinSet::new();
        for (at, known) in self.witnesses.iter().enumerate() {
            let asking = ask(Arc::clone(&known.witness), known.size, self.reader.clone(), signed.clone());
            asked.spawn(async move { (at, tokio::time::timeout(WITNESS_TIME_MAX, asking).await) });
        }
        let (mut signatures, mut rollbacks) = (Vec::new(), 0);
        loop {
            // Once there are enough, the others have a moment more; after a start all have their time.
            let enough = signatures.len() >= self.policy.k() && (self.waited || self.is_newest());
            let patience = if enough { GRACE } else { WITNESS_TIME_MAX };
            let Ok(Some(answer)) = tokio::time::timeout(patience, asked.join_next()).await else { break };
            let Ok((at, answer)) = answer else {
                tracing::error!("asking a witness ended in a panic");
                continue;
            };
            let others = self.others();
            let Some(known) = self.witnesses.get_mut(at) else { continue };
            let name = known.witness.key().name();
            match answer {
                Ok(Ok(signature)) => {
                    known.size = signed.unverified().size();
                    known.no_more = true;
                    signatures.push(signature);
                }
                Ok(Err(Unasked::Witness(error))) => {
                    tracing::warn!(witness = %name, code = %error.code(), "a witness did not cosign: {error}");
                }
                Ok(Err(Unasked::Tree(error))) if error.is_rollback() => {
                    tracing::error!(witness = %name, code = %error.code(), "{error}");
                    known.no_more = false;
                    rollbacks += 1;
                    if rollbacks > others {
                        return Err(error);
                    }
                }
                Ok(Err(Unasked::Tree(error))) => return Err(error),
                Err(_) => tracing::warn!(witness = %name, "a witness did not answer in time"),
            }
        }
        self.waited = true;
        Ok(signatures)
    }
}

/// Why a witness gave nothing.
enum Unasked {
    Witness(WitnessError),
    Tree(TreeError),
}

impl From<TreeError> for Unasked {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}

/// Asks one witness, from the size that it tells.
async fn ask(
    witness: Arc<dyn Witness>,
    mut old_size: u64,
    reader: LogReader,
    signed: SignedCheckpoint,
) -> Result<NoteSignature, Unasked> {
    let (size, name) = (signed.unverified().size(), witness.key().name().as_str().to_owned());
    let mut tries = 0;
    loop {
        tries += 1;
        match try_once(&*witness, old_size, &reader, &signed).await? {
            Err(WitnessError::Behind { size: theirs }) if theirs > size => {
                if reader.has(theirs).await.map_err(TreeError::from)? {
                    let newer = "another process has asked for a newer checkpoint".to_owned();
                    return Err(Unasked::Witness(WitnessError::Unavailable(newer)));
                }
                return Err(TreeError::Rollback { witness: name, theirs, ours: size }.into());
            }
            Err(WitnessError::Behind { size: theirs }) if tries < TRIES_MAX => old_size = theirs,
            Err(WitnessError::OtherHistory(_)) if old_size > 0 => {
                return Err(TreeError::Fork { witness: name, theirs: old_size, ours: size }.into());
            }
            answer => return answer.map_err(Unasked::Witness),
        }
    }
}

/// # Errors
/// [`TreeError`] if no proof can be made, or the one that was made does not hold: what a witness says of it is nothing
/// then.
async fn try_once(
    witness: &dyn Witness,
    old_size: u64,
    reader: &LogReader,
    signed: &SignedCheckpoint,
) -> Result<Result<NoteSignature, WitnessError>, TreeError> {
    let size = signed.unverified().size();
    let proof = match old_size {
        0 => Vec::new(),
        same if same == size => Vec::new(),
        older => reader.consistency(older, size).await?,
    };
    let answer = witness.add_checkpoint(&AddCheckpoint::try_new(old_size, proof.clone(), signed.clone())?).await;
    if old_size > 0 && matches!(answer, Err(WitnessError::OtherHistory(_))) {
        let old_root = reader.root(old_size).await?;
        verify_consistency(old_size, size, &proof, &old_root, signed.unverified().root())?;
    }
    Ok(answer)
}
