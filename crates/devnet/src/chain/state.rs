//! The chain as a whole: tree, unspent outputs, mempool.

use std::collections::HashMap;
use std::sync::Arc;

use bitcoin::{Block, BlockHash, Transaction, Txid, Witness};

use super::block_rules::{check_block, check_block_above, check_body, check_header_above, witness_commitment};
use super::coins::CoinSet;
use super::connect::connect_block;
use super::reject::BlockReject;
use super::tree::{Above, BlockTree, Node, StoredBlock};
use crate::mempool::{Mempool, Site};

/// When a branch is declared invalid, the transactions of at most this many of its blocks go back to the mempool.
const INVALIDATED_BLOCKS_KEPT_MAX: usize = 10;

/// What became of a block that was handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is in the best chain now.
    Connected,
    /// It is known already.
    Duplicate,
    /// It is kept on a branch with less work, or waits for an ancestor.
    Inconclusive,
    /// It breaks a rule.
    Rejected(BlockReject),
}

/// A regtest chain with its mempool.
#[derive(Debug)]
pub struct Chain {
    tree: BlockTree,
    coins: CoinSet,
    mempool: Mempool,
    tx_index: HashMap<Txid, BlockHash>,
    now: u64,
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

impl Chain {
    /// A chain with nothing but the first block of regtest.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tree: BlockTree::new(),
            coins: CoinSet::default(),
            mempool: Mempool::default(),
            tx_index: HashMap::new(),
            now: 0,
        }
    }

    /// Tells the time, in seconds since 1970. The chain itself has no clock.
    pub fn set_time(&mut self, now: u64) {
        self.now = now;
    }

    /// The time that it was told last, in seconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Every header.
    #[must_use]
    pub fn tree(&self) -> &BlockTree {
        &self.tree
    }

    /// The unspent outputs of the best chain.
    #[must_use]
    pub fn coins(&self) -> &CoinSet {
        &self.coins
    }

    /// The transactions that wait for a block.
    #[must_use]
    pub fn mempool(&self) -> &Mempool {
        &self.mempool
    }

    /// The last block that a transaction was connected in; it may be off the best chain by now.
    #[must_use]
    pub fn block_of(&self, txid: &Txid) -> Option<BlockHash> {
        self.tx_index.get(txid).copied()
    }

    /// The mempool, with what it needs to know to change.
    pub(crate) fn mempool_mut(&mut self) -> (&mut Mempool, Site<'_>) {
        let above = Above::new(&self.tree, self.tree.tip_hash());
        (&mut self.mempool, Site { coins: &self.coins, above, now: self.now })
    }

    /// Takes a block.
    pub fn submit(&mut self, mut block: Block) -> Submitted {
        self.complete_witness(&mut block);
        let stored = StoredBlock::new(block);
        let hash = match self.accept(stored) {
            Ok(Some(hash)) => hash,
            Ok(None) => return Submitted::Duplicate,
            Err(reject) => return Submitted::Rejected(reject),
        };
        let failures = self.activate();
        if let Some((_, reject)) = failures.into_iter().find(|(failed, _)| *failed == hash) {
            return Submitted::Rejected(reject);
        }
        if self.tree.is_best(&hash) { Submitted::Connected } else { Submitted::Inconclusive }
    }

    /// A commitment without the reserved value that it needs gets the usual one, as BIP 22 miners leave it out.
    fn complete_witness(&self, block: &mut Block) {
        let known_parent = self.tree.get(&block.header.prev_blockhash).is_some();
        let Some(coinbase) = block.txdata.first_mut() else { return };
        if known_parent && witness_commitment(coinbase).is_some() && coinbase.is_coinbase() {
            let witness = &mut coinbase.input[0].witness;
            if witness.is_empty() {
                *witness = Witness::from_slice(&[[0u8; 32]]);
            }
        }
    }

    /// Checks a block as far as its parent allows and keeps it. `None` if it was there already.
    fn accept(&mut self, stored: StoredBlock) -> Result<Option<BlockHash>, BlockReject> {
        check_block(&stored)?;
        let header = stored.block.header;
        let hash = header.block_hash();
        match self.tree.get(&hash) {
            Some(Node { failed: true, .. }) => {
                let details = format!("block {hash} was previously marked invalid");
                return Err(BlockReject::new("duplicate-invalid", details));
            }
            Some(Node { stored: Some(_), .. }) => return Ok(None),
            _ => {}
        }
        let Some(parent) = self.tree.get(&header.prev_blockhash) else {
            return Err(BlockReject::new("prev-blk-not-found", ""));
        };
        if parent.failed {
            return Err(BlockReject::new("bad-prevblk", ""));
        }
        let height = parent.height + 1;
        let median_time = self.tree.median_time(&header.prev_blockhash);
        check_header_above(&header, median_time, self.now)?;
        self.tree.insert(header);
        if let Err(reject) = check_block_above(&stored.block, height, median_time) {
            if let (false, Some(node)) = (reject.mutated, self.tree.get_mut(&hash)) {
                node.failed = true;
            }
            return Err(reject);
        }
        self.tree.store(&hash, stored);
        Ok(Some(hash))
    }

    /// Moves to the branch with the most work. Returns the blocks that failed on the way.
    fn activate(&mut self) -> Vec<(BlockHash, BlockReject)> {
        let mut failures = Vec::new();
        let mut returned = Vec::new();
        loop {
            let target = self.tree.most_work();
            if target == self.tree.tip_hash() {
                break;
            }
            let Some((fork, path)) = self.tree.path_from_best(&target) else { break };
            while self.tree.tip().height > fork {
                let Some(stored) = self.disconnect_tip() else { break };
                returned.push(stored);
            }
            for hash in path {
                if let Err(reject) = self.connect(&hash) {
                    self.mark_failed(&hash);
                    failures.push((hash, reject));
                    break;
                }
            }
        }
        self.settle_mempool(returned);
        failures
    }

    fn connect(&mut self, hash: &BlockHash) -> Result<(), BlockReject> {
        let stored = self
            .tree
            .get(hash)
            .and_then(|node| node.stored.clone())
            .ok_or_else(|| BlockReject::new("missing-block", "its body is not known"))?;
        let above = Above::new(&self.tree, self.tree.tip_hash());
        let (changes, undo) = connect_block(&stored, &self.coins, &above)?;
        self.coins.apply(changes);
        self.tree.push_best(*hash, undo);
        for txid in &stored.txids {
            self.tx_index.insert(*txid, *hash);
        }
        self.mempool.remove_for_block(&stored);
        Ok(())
    }

    /// Takes the tip back and restores what it spent.
    fn disconnect_tip(&mut self) -> Option<Arc<StoredBlock>> {
        let hash = self.tree.pop_best()?;
        let node = self.tree.get(&hash)?;
        let (stored, undo) = (node.stored.clone()?, node.undo.clone()?);
        self.coins.undo(&stored.block.txdata, &stored.txids, &undo);
        Some(stored)
    }

    fn mark_failed(&mut self, hash: &BlockHash) {
        for hash in self.tree.with_descendants(hash) {
            if let Some(node) = self.tree.get_mut(&hash) {
                node.failed = true;
            }
        }
    }

    /// After disconnecting, the transactions of the old blocks are tried again, and what no longer fits goes.
    /// `returned` begins with the block that was the highest.
    fn settle_mempool(&mut self, returned: Vec<Arc<StoredBlock>>) {
        if returned.is_empty() {
            return;
        }
        let txs: Vec<Transaction> = returned
            .iter()
            .rev()
            .flat_map(|stored| stored.block.txdata.iter().filter(|tx| !tx.is_coinbase()).cloned())
            .collect();
        let (mempool, site) = self.mempool_mut();
        mempool.rebuild(txs, &site);
    }

    /// Declares a block and everything above it invalid (`invalidateblock`). `false` if it is unknown.
    pub fn invalidate(&mut self, hash: &BlockHash) -> bool {
        let Some(height) = self.tree.get(hash).map(|node| node.height) else { return false };
        if height == 0 {
            return true;
        }
        self.mark_failed(hash);
        let mut returned = Vec::new();
        if self.tree.is_best(hash) {
            while self.tree.tip().height >= height {
                let Some(stored) = self.disconnect_tip() else { break };
                returned.push(stored);
            }
        }
        let kept = returned.len().min(INVALIDATED_BLOCKS_KEPT_MAX);
        let any = !returned.is_empty();
        returned.truncate(kept);
        if any {
            self.settle_mempool(returned);
        }
        self.activate();
        true
    }

    /// Takes back [`Self::invalidate`] for a block, what is below it and what is above it. `false` if it is unknown.
    pub fn reconsider(&mut self, hash: &BlockHash) -> bool {
        if self.tree.get(hash).is_none() {
            return false;
        }
        let mut hashes = self.tree.with_descendants(hash);
        let mut below = *hash;
        while let Some(node) = self.tree.get(&below) {
            hashes.push(below);
            below = node.header.prev_blockhash;
        }
        for hash in hashes {
            if let Some(node) = self.tree.get_mut(&hash) {
                node.failed = false;
            }
        }
        self.activate();
        true
    }

    /// Whether a block would connect on top of the tip, but for its proof of work.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(crate) fn test_on_tip(&self, block: &Block) -> Result<(), BlockReject> {
        let above = Above::new(&self.tree, self.tree.tip_hash());
        let median_time = self.tree.median_time(&self.tree.tip_hash());
        let stored = StoredBlock::new(block.clone());
        check_body(&stored)?;
        check_block_above(block, self.tree.tip().height + 1, median_time)?;
        connect_block(&stored, &self.coins, &above).map(|_| ())
    }
}
