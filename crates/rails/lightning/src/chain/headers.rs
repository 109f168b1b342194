//! Headers that were seen lately, so that a reorganisation can be walked back without asking for each.

use std::collections::{HashMap, VecDeque};

use bitcoin::BlockHash;
use lightning_block_sync::Cache;
use lightning_block_sync::poll::ValidatedBlockHeader;

/// A week of blocks; a deeper reorganisation asks the chain source.
const HEADERS_MAX: usize = 1_008;

/// The newest headers. See the module.
#[derive(Default)]
pub(crate) struct HeaderCache {
    headers: HashMap<BlockHash, ValidatedBlockHeader>,
    order: VecDeque<BlockHash>,
}

impl Cache for HeaderCache {
    fn look_up(&self, hash: &BlockHash) -> Option<&ValidatedBlockHeader> {
        self.headers.get(hash)
    }

    fn block_connected(&mut self, hash: BlockHash, header: ValidatedBlockHeader) {
        if self.headers.insert(hash, header).is_none() {
            self.order.push_back(hash);
        }
        while self.order.len() > HEADERS_MAX {
            let oldest = self.order.pop_front();
            oldest.and_then(|hash| self.headers.remove(&hash));
        }
    }

    fn block_disconnected(&mut self, hash: &BlockHash) -> Option<ValidatedBlockHeader> {
        self.order.retain(|known| known != hash);
        self.headers.remove(hash)
    }
}
