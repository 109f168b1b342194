//! Every block that was ever seen, as a tree, and the best chain through it.

use std::collections::HashMap;
use std::sync::Arc;

use bitcoin::block::Header;
use bitcoin::pow::Work;
use bitcoin::{Block, BlockHash, Network, Txid};

use super::coins::BlockUndo;
use super::rules::LockContext;

/// How many blocks the median time is taken over (BIP 113).
const MEDIAN_TIME_BLOCKS: usize = 11;

/// A block with the ids of its transactions, computed once.
#[derive(Debug)]
pub struct StoredBlock {
    /// The block.
    pub block: Block,
    /// The ids of its transactions, in order.
    pub txids: Vec<Txid>,
}

impl StoredBlock {
    pub(crate) fn new(block: Block) -> Self {
        let txids = block.txdata.iter().map(bitcoin::Transaction::compute_txid).collect();
        Self { block, txids }
    }
}

/// A header in the tree, with what is known about it.
#[derive(Debug)]
pub struct Node {
    /// The header.
    pub header: Header,
    /// Its height.
    pub height: u32,
    /// The work from the first block to this.
    pub work: Work,
    /// The block; `None` while only the header was good.
    pub stored: Option<Arc<StoredBlock>>,
    /// What it spent; known once it was in the best chain.
    pub undo: Option<Arc<BlockUndo>>,
    /// It, or an ancestor, breaks a rule or was declared invalid.
    pub failed: bool,
    /// The order in which blocks came: among equals the first wins.
    pub sequence: u64,
}

/// The tree of headers. The first block is always there, and the best chain always begins with it.
#[derive(Debug)]
pub struct BlockTree {
    nodes: HashMap<BlockHash, Node>,
    best: Vec<BlockHash>,
    sequence: u64,
}

impl BlockTree {
    /// A tree with the first block of regtest.
    pub(crate) fn new() -> Self {
        let genesis = bitcoin::constants::genesis_block(Network::Regtest);
        let hash = genesis.block_hash();
        let node = Node {
            header: genesis.header,
            height: 0,
            work: genesis.header.work(),
            stored: Some(Arc::new(StoredBlock::new(genesis))),
            undo: Some(Arc::default()),
            failed: false,
            sequence: 0,
        };
        Self { nodes: HashMap::from([(hash, node)]), best: vec![hash], sequence: 1 }
    }

    /// A known header.
    #[must_use]
    pub fn get(&self, hash: &BlockHash) -> Option<&Node> {
        self.nodes.get(hash)
    }

    pub(crate) fn get_mut(&mut self, hash: &BlockHash) -> Option<&mut Node> {
        self.nodes.get_mut(hash)
    }

    /// All known headers, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&BlockHash, &Node)> {
        self.nodes.iter()
    }

    /// The hash of the tip.
    #[must_use]
    pub fn tip_hash(&self) -> BlockHash {
        *self.best.last().expect("the first block is never removed")
    }

    /// The tip.
    #[must_use]
    pub fn tip(&self) -> &Node {
        &self.nodes[&self.tip_hash()]
    }

    /// The block of the best chain at a height.
    #[must_use]
    pub fn best_at(&self, height: u32) -> Option<BlockHash> {
        self.best.get(height as usize).copied()
    }

    /// Whether a block is in the best chain.
    #[must_use]
    pub fn is_best(&self, hash: &BlockHash) -> bool {
        self.get(hash).is_some_and(|node| self.best_at(node.height) == Some(*hash))
    }

    /// Adds a header below a known parent, or finds it.
    pub(crate) fn insert(&mut self, header: Header) -> Option<BlockHash> {
        let hash = header.block_hash();
        let parent = self.nodes.get(&header.prev_blockhash)?;
        let (height, work) = (parent.height + 1, parent.work + header.work());
        let sequence = self.sequence;
        self.nodes.entry(hash).or_insert_with(|| Node {
            header,
            height,
            work,
            stored: None,
            undo: None,
            failed: false,
            sequence,
        });
        Some(hash)
    }

    /// Keeps the body of a known header.
    pub(crate) fn store(&mut self, hash: &BlockHash, block: StoredBlock) {
        let sequence = self.sequence;
        if let Some(node) = self.nodes.get_mut(hash) {
            node.stored = Some(Arc::new(block));
            node.sequence = sequence;
            self.sequence += 1;
        }
    }

    pub(crate) fn push_best(&mut self, hash: BlockHash, undo: BlockUndo) {
        if let Some(node) = self.nodes.get_mut(&hash) {
            node.undo = Some(Arc::new(undo));
            self.best.push(hash);
        }
    }

    /// Takes the tip off the best chain, but never the first block.
    pub(crate) fn pop_best(&mut self) -> Option<BlockHash> {
        if self.best.len() > 1 { self.best.pop() } else { None }
    }

    /// The ancestor of a known block at a height, itself included.
    #[must_use]
    pub fn ancestor(&self, hash: &BlockHash, height: u32) -> Option<BlockHash> {
        let mut hash = *hash;
        loop {
            let node = self.get(&hash)?;
            if node.height < height {
                return None;
            }
            if node.height == height {
                return Some(hash);
            }
            // Below the fork the best chain answers at once.
            if self.best_at(node.height) == Some(hash) {
                return self.best_at(height);
            }
            hash = node.header.prev_blockhash;
        }
    }

    /// The median time of the 11 blocks that end with a known one (BIP 113); 0 for an unknown.
    #[must_use]
    pub fn median_time(&self, hash: &BlockHash) -> u32 {
        let mut times = Vec::with_capacity(MEDIAN_TIME_BLOCKS);
        let mut next = self.get(hash);
        while let Some(node) = next {
            times.push(node.header.time);
            if times.len() == MEDIAN_TIME_BLOCKS {
                break;
            }
            next = self.get(&node.header.prev_blockhash);
        }
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or(0)
    }

    /// The path from the best chain to a known block: the fork, and the blocks above it from the lowest up.
    pub(crate) fn path_from_best(&self, hash: &BlockHash) -> Option<(u32, Vec<BlockHash>)> {
        let mut path = Vec::new();
        let mut hash = *hash;
        while !self.is_best(&hash) {
            path.push(hash);
            hash = self.get(&hash)?.header.prev_blockhash;
        }
        path.reverse();
        Some((self.get(&hash)?.height, path))
    }

    /// The block with the most work among those that could be connected; among equals the first that came.
    pub(crate) fn most_work(&self) -> BlockHash {
        let mut candidates: Vec<(&BlockHash, &Node)> =
            self.nodes.iter().filter(|(_, node)| node.stored.is_some() && !node.failed).collect();
        candidates.sort_unstable_by(|(_, a), (_, b)| b.work.cmp(&a.work).then(a.sequence.cmp(&b.sequence)));
        let connectable = |hash: &BlockHash| {
            self.path_from_best(hash).is_some_and(|(_, path)| {
                path.iter().all(|hash| self.get(hash).is_some_and(|node| node.stored.is_some() && !node.failed))
            })
        };
        candidates.into_iter().map(|(hash, _)| *hash).find(connectable).unwrap_or_else(|| self.tip_hash())
    }

    /// A known block and everything above it.
    pub(crate) fn with_descendants(&self, hash: &BlockHash) -> Vec<BlockHash> {
        let Some(height) = self.get(hash).map(|node| node.height) else { return Vec::new() };
        self.nodes.keys().filter(|other| self.ancestor(other, height) == Some(*hash)).copied().collect()
    }
}

/// The place above a known block, for lock times.
pub(crate) struct Above<'a> {
    tree: &'a BlockTree,
    parent: BlockHash,
    height: u32,
    median_time: u32,
}

impl<'a> Above<'a> {
    pub(crate) fn new(tree: &'a BlockTree, parent: BlockHash) -> Self {
        let height = tree.get(&parent).map_or(0, |node| node.height + 1);
        Self { tree, parent, height, median_time: tree.median_time(&parent) }
    }
}

impl LockContext for Above<'_> {
    fn height(&self) -> u32 {
        self.height
    }

    fn median_time(&self) -> u32 {
        self.median_time
    }

    fn median_time_at(&self, height: u32) -> u32 {
        self.tree.ancestor(&self.parent, height).map_or(0, |hash| self.tree.median_time(&hash))
    }
}
