//! One function per RPC method.
//!
//! Every function has the errors of [`RpcClient::call`]; those worth branching on are named.

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{Block, BlockHash, OutPoint, Transaction, Txid};
use serde_json::json;

use crate::types::{
    BlockHeaderInfo, BlockchainInfo, FeeEstimate, MempoolAcceptance, MempoolEntry, MempoolInfo, PackageResult,
    TxOutInfo,
};
use crate::{RpcClient, RpcError};

/// How careful a fee estimate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EstimateMode {
    /// Follows a falling market.
    Economical,
    /// Keeps to the higher estimate for longer.
    Conservative,
}

impl EstimateMode {
    fn name(self) -> &'static str {
        match self {
            Self::Economical => "economical",
            Self::Conservative => "conservative",
        }
    }
}

#[allow(clippy::missing_errors_doc, reason = "the module says it once for all")]
impl RpcClient {
    /// `getblockchaininfo`: the network and its tip.
    pub async fn get_blockchain_info(&self) -> Result<BlockchainInfo, RpcError> {
        self.read("getblockchaininfo", json!([])).await
    }

    /// `getblockcount`: the height of the tip.
    pub async fn get_block_count(&self) -> Result<u32, RpcError> {
        self.read("getblockcount", json!([])).await
    }

    /// `getbestblockhash`: the hash of the tip.
    pub async fn get_best_block_hash(&self) -> Result<BlockHash, RpcError> {
        self.read("getbestblockhash", json!([])).await
    }

    /// `getblockhash`: the block of the best chain at `height`; above the tip [`RpcError::is_invalid_parameter`].
    pub async fn get_block_hash(&self, height: u32) -> Result<BlockHash, RpcError> {
        self.read("getblockhash", json!([height])).await
    }

    /// `getblockheader`: a header with its height and work; [`RpcError::is_not_found`] if unknown.
    pub async fn get_block_header(&self, hash: &BlockHash) -> Result<BlockHeaderInfo, RpcError> {
        let info: BlockHeaderInfo = self.read("getblockheader", json!([hash, true])).await?;
        if info.hash == *hash {
            Ok(info)
        } else {
            Err(RpcError::decode("getblockheader", "the header is not the one asked for"))
        }
    }

    /// `getblock` with verbosity 0: a whole block; [`RpcError::is_not_found`] if unknown.
    pub async fn get_block(&self, hash: &BlockHash) -> Result<Block, RpcError> {
        let hex: String = self.read("getblock", json!([hash, 0])).await?;
        let block: Block = deserialize_hex(&hex).map_err(|e| RpcError::decode("getblock", e))?;
        if block.block_hash() == *hash && block.check_merkle_root() {
            Ok(block)
        } else {
            Err(RpcError::decode("getblock", "the block is not the one asked for"))
        }
    }

    /// `gettxout`: an output if it is unspent; with `include_mempool` as the mempool sees it.
    pub async fn get_tx_out(&self, outpoint: &OutPoint, include_mempool: bool) -> Result<Option<TxOutInfo>, RpcError> {
        self.read("gettxout", json!([outpoint.txid, outpoint.vout, include_mempool])).await
    }

    /// `sendrawtransaction`: broadcasts; a transaction that the mempool has already is a success.
    ///
    /// See [`RpcError::is_rejected`], [`RpcError::is_missing_inputs`], [`RpcError::is_already_in_chain`].
    pub async fn send_raw_transaction(&self, tx: &Transaction) -> Result<Txid, RpcError> {
        self.call("sendrawtransaction", json!([serialize_hex(tx)])).await
    }

    /// `submitpackage`: broadcasts parents with the child that pays for them. Look into the answer: a package that is
    /// refused is not an error of the call.
    pub async fn submit_package(&self, txs: &[Transaction]) -> Result<PackageResult, RpcError> {
        let hex: Vec<String> = txs.iter().map(serialize_hex).collect();
        self.call("submitpackage", json!([hex])).await
    }

    /// `testmempoolaccept`: what the mempool would say; nothing is broadcast.
    pub async fn test_mempool_accept(&self, txs: &[Transaction]) -> Result<Vec<MempoolAcceptance>, RpcError> {
        let hex: Vec<String> = txs.iter().map(serialize_hex).collect();
        self.read("testmempoolaccept", json!([hex])).await
    }

    /// `estimatesmartfee`: the rate to be in a block within `target_blocks` (1 to 1008).
    pub async fn estimate_smart_fee(&self, target_blocks: u16, mode: EstimateMode) -> Result<FeeEstimate, RpcError> {
        self.read("estimatesmartfee", json!([target_blocks, mode.name()])).await
    }

    /// `getrawmempool`: the ids of all transactions in the mempool.
    pub async fn get_raw_mempool(&self) -> Result<Vec<Txid>, RpcError> {
        self.read("getrawmempool", json!([])).await
    }

    /// `getmempoolentry`: one transaction in the mempool; [`RpcError::is_not_found`] if it is not there.
    pub async fn get_mempool_entry(&self, txid: &Txid) -> Result<MempoolEntry, RpcError> {
        self.read("getmempoolentry", json!([txid])).await
    }

    /// `getmempoolinfo`: the size of the mempool and its lowest fee rates.
    pub async fn get_mempool_info(&self) -> Result<MempoolInfo, RpcError> {
        self.read("getmempoolinfo", json!([])).await
    }
}
