//! Follows the log from outside, and believes nothing that it has not checked.

use anyhow::Result;
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tallystick_core::{Digest32, Fact, fact::CHAIN_START};
use tallystick_log::{
    Checkpoint, Hash, LogError, Prover, SignedCheckpoint, TILE_WIDTH, TileEdge, TileId, VerifierKey, WitnessPolicy,
    leaf_hash, parse_entries, parse_tile, verify_consistency, verify_inclusion,
};

use super::{
    Violation,
    files::Files,
    ledger::Ledger,
    numbers::{Numbers, add},
};

/// Between two looks at the checkpoint.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// How far the log was followed.
#[derive(Clone, Debug)]
struct Head {
    /// Nothing before the log's first.
    checkpoint: Option<Checkpoint>,
    /// The tree, made of the entries themselves.
    edge: TileEdge,
    /// The hash of the last fact.
    last: Digest32,
}

impl Head {
    const fn size(&self) -> u64 {
        self.edge.size()
    }
}

/// Who must have signed.
pub(super) struct Signers {
    pub log: VerifierKey,
    pub policy: WitnessPolicy,
}

/// Follows one log.
pub(super) struct Follower {
    files: Files,
    signers: Arc<Signers>,
    ledger: Arc<Ledger>,
    numbers: Arc<Numbers>,
    head: Head,
}

impl Follower {
    /// Begins at the checkpoint that is published now: entries from here on are checked.
    ///
    /// # Errors
    /// The first [`Violation`], or that the node cannot be reached.
    pub async fn begin(
        files: Files,
        signers: Arc<Signers>,
        ledger: Arc<Ledger>,
        numbers: Arc<Numbers>,
    ) -> Result<Self> {
        let head = Head { checkpoint: None, edge: TileEdge::new(), last: CHAIN_START };
        let mut follower = Self { files, signers, ledger, numbers, head };
        let Some(checkpoint) = follower.checkpoint().await? else { return Ok(follower) };
        let size = checkpoint.size();
        let edge = follower.files.compute_from(size, |read| TileEdge::load(size, read)).await?;
        let root = edge.root().map_err(|why| Violation::Tiles { size, why })?;
        ensure_root(size, &root, &checkpoint)?;
        if let Some(index) = size.checked_sub(1) {
            // Of what was before, the last entry's hash is needed: the next one names it.
            let (facts, leaves) = follower.entries(index, size, None).await?;
            let proof = follower.files.compute_from(size, |read| Prover::new(size, read).inclusion(index)).await?;
            for (fact, leaf) in facts.iter().zip(&leaves) {
                verify_inclusion(leaf, index, size, &proof, checkpoint.root())
                    .map_err(|why| Violation::Tiles { size, why })?;
                follower.head.last = fact.hash;
            }
        }
        follower.head.edge = edge;
        follower.head.checkpoint = Some(checkpoint);
        follower.numbers.size.store(size, Ordering::Relaxed);
        Ok(follower)
    }

    /// Follows until it is dropped, which may be at any time.
    ///
    /// # Errors
    /// As [`once`](Self::once).
    pub async fn follow(&mut self) -> Result<()> {
        loop {
            self.once().await?;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Fetches the checkpoint and, if it is new, checks all that came with it.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub async fn once(&mut self) -> Result<()> {
        let (old, checkpoint) = (self.head.size(), self.checkpoint().await?);
        let at = Instant::now();
        let Some(checkpoint) = checkpoint else {
            return if old == 0 { Ok(()) } else { Err(Violation::WentBack { from: old, to: 0 }.into()) };
        };
        let new = checkpoint.size();
        if new < old {
            return Err(Violation::WentBack { from: old, to: new }.into());
        }
        if let Some(known) = self.head.checkpoint.as_ref().filter(|known| known.size() == new) {
            let why = LogError::TwoTrees { size: new };
            let same = known.root() == checkpoint.root();
            return if same { Ok(()) } else { Err(Violation::NotExtended { old, new, why }.into()) };
        }
        self.extends(&checkpoint).await?;
        let (facts, leaves) = self.entries(old, new, Some(self.head.last)).await?;
        let mut edge = self.head.edge.clone();
        let root =
            edge.integrate(&leaves).and_then(|_| edge.root()).map_err(|why| Violation::Tiles { size: new, why })?;
        ensure_root(new, &root, &checkpoint)?;
        self.head.last = facts.last().map_or(self.head.last, |fact| fact.hash);
        (self.head.edge, self.head.checkpoint) = (edge, Some(checkpoint));
        self.files.forget(false);
        add(&self.numbers.entries, facts.len());
        add(&self.numbers.checkpoints, 1);
        self.numbers.size.store(new, Ordering::Relaxed);
        Ok(facts.into_iter().try_for_each(|fact| self.ledger.saw(fact, at))?)
    }

    /// The published checkpoint with its signatures checked; nothing before the first.
    async fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        let Some(bytes) = self.files.checkpoint().await? else { return Ok(None) };
        let signed = SignedCheckpoint::parse(&bytes).map_err(Violation::Checkpoint)?;
        let checkpoint = signed.verify(&self.signers.log).map_err(Violation::Checkpoint)?.clone();
        self.signers.policy.verify(signed.note()).map_err(Violation::Checkpoint)?;
        Ok(Some(checkpoint))
    }

    /// Checks that a checkpoint's tree begins with the one before it, by a proof made of its tiles.
    async fn extends(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let (old, new) = (self.head.size(), checkpoint.size());
        let mut made = self.root_and_proof(old, new).await?;
        if made.0 != *checkpoint.root() {
            // Tiles of another history, perhaps: with those of this one the proof says more.
            self.files.forget(true);
            made = self.root_and_proof(old, new).await?;
        }
        let (root, proof) = made;
        ensure_root(new, &root, checkpoint)?;
        if let Some(known) = self.head.checkpoint.as_ref().filter(|_| old > 0) {
            verify_consistency(old, new, &proof, known.root(), checkpoint.root())
                .map_err(|why| Violation::NotExtended { old, new, why })?;
        }
        Ok(())
    }

    async fn root_and_proof(&mut self, old: u64, new: u64) -> Result<(Hash, Vec<Hash>)> {
        let compute = |read: &mut dyn FnMut(TileId) -> _| {
            let mut prover = Prover::new(new, read);
            Ok((prover.root()?, if old == 0 { Vec::new() } else { prover.consistency(old)? }))
        };
        self.files.compute_from(new, compute).await
    }

    /// The facts from index `from` to before `to`, and their leaves: each is a fact, follows the one before it (`last`,
    /// if that is known), and is the leaf that the tile has.
    async fn entries(&mut self, from: u64, to: u64, last: Option<Digest32>) -> Result<(Vec<Fact>, Vec<Hash>)> {
        let (mut at, mut last, mut facts, mut leaves) = (from, last, Vec::new(), Vec::new());
        while at < to {
            let first = at - at % u64::from(TILE_WIDTH);
            let width = u16::try_from(to - first).map_or(TILE_WIDTH, |width| width.min(TILE_WIDTH));
            let id = TileId::try_new(0, first / u64::from(TILE_WIDTH), width);
            let id = id.map_err(|why| Violation::Tiles { size: to, why })?;
            let hashes =
                parse_tile(id, &self.files.tile(id).await?).map_err(|why| Violation::Tiles { size: to, why })?;
            let bytes = self.files.entries(id).await?;
            let bad = |seq, why| Violation::Entry { seq, why };
            let entries = parse_entries(&bytes, width).map_err(|_| bad(at + 1, "its bundle is malformed"))?;
            for ((seq, entry), hash) in (first + 1..).zip(entries).zip(hashes).filter(|((seq, _), _)| *seq > at) {
                if leaf_hash(entry) != hash {
                    return Err(bad(seq, "it is not the leaf that the tree has").into());
                }
                let fact = Fact::from_entry(entry).map_err(|_| bad(seq, "it is no fact"))?;
                if fact.seq != seq {
                    return Err(bad(seq, "it is a fact with another number").into());
                }
                if last.is_some_and(|last| last != fact.prev) {
                    return Err(bad(seq, "it does not follow the fact before it").into());
                }
                last = Some(fact.hash);
                leaves.push(hash);
                facts.push(fact);
            }
            at = first + u64::from(width);
        }
        Ok((facts, leaves))
    }
}

fn ensure_root(size: u64, root: &Hash, checkpoint: &Checkpoint) -> Result<(), Violation> {
    let why = LogError::RootMismatch;
    if root == checkpoint.root() { Ok(()) } else { Err(Violation::Tiles { size, why }) }
}
