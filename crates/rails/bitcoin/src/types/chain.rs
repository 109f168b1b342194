//! Answers about blocks and outputs.

use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::pow::Work;
use bitcoin::{Amount, BlockHash, CompactTarget, Network, ScriptBuf, TxMerkleNode};
use serde::{Deserialize, Deserializer, de};

/// The answer to `getblockchaininfo`.
#[derive(Clone, Debug, Deserialize)]
pub struct BlockchainInfo {
    /// The network.
    #[serde(rename = "chain", deserialize_with = "network")]
    pub network: Network,
    /// The height of the best block.
    pub blocks: u32,
    /// The height of the best header; more than `blocks` while it catches up.
    pub headers: u32,
    /// The hash of the best block.
    #[serde(rename = "bestblockhash")]
    pub best_block_hash: BlockHash,
    /// The median time of the last 11 blocks (BIP 113), seconds since 1970.
    #[serde(rename = "mediantime")]
    pub median_time: u32,
    /// The work in the best chain.
    #[serde(rename = "chainwork", deserialize_with = "work")]
    pub chain_work: Work,
    /// It is still far behind the network.
    #[serde(rename = "initialblockdownload")]
    pub initial_block_download: bool,
    /// Old blocks are deleted.
    pub pruned: bool,
}

/// The answer to `getblockheader`. The header hashes to `hash`: this is checked while reading.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "HeaderFields")]
pub struct BlockHeaderInfo {
    /// The header itself.
    pub header: Header,
    /// Its hash.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
    /// Blocks from this to the tip, counting this; -1 if it is not in the best chain.
    pub confirmations: i64,
    /// The work from the first block to this, in all.
    pub chain_work: Work,
    /// The median time of the 11 blocks that end here (BIP 113), seconds since 1970.
    pub median_time: u32,
    /// The next block of the best chain.
    pub next_block_hash: Option<BlockHash>,
}

#[derive(Deserialize)]
struct HeaderFields {
    hash: BlockHash,
    confirmations: i64,
    height: u32,
    version: i32,
    #[serde(rename = "merkleroot")]
    merkle_root: TxMerkleNode,
    time: u32,
    #[serde(rename = "mediantime")]
    median_time: u32,
    nonce: u32,
    bits: String,
    #[serde(rename = "chainwork", deserialize_with = "work")]
    chain_work: Work,
    #[serde(rename = "previousblockhash")]
    prev: Option<BlockHash>,
    #[serde(rename = "nextblockhash")]
    next: Option<BlockHash>,
}

impl TryFrom<HeaderFields> for BlockHeaderInfo {
    type Error = String;

    fn try_from(fields: HeaderFields) -> Result<Self, String> {
        let header = Header {
            version: Version::from_consensus(fields.version),
            // Only the first block has no parent, and its field is zero.
            prev_blockhash: fields.prev.unwrap_or_else(BlockHash::all_zeros),
            merkle_root: fields.merkle_root,
            time: fields.time,
            bits: CompactTarget::from_unprefixed_hex(&fields.bits).map_err(|e| e.to_string())?,
            nonce: fields.nonce,
        };
        if header.block_hash() != fields.hash {
            return Err("the header does not hash to its hash".to_owned());
        }
        Ok(Self {
            header,
            hash: fields.hash,
            height: fields.height,
            confirmations: fields.confirmations,
            chain_work: fields.chain_work,
            median_time: fields.median_time,
            next_block_hash: fields.next,
        })
    }
}

/// The answer to `gettxout`: an unspent output.
#[derive(Clone, Debug, Deserialize)]
pub struct TxOutInfo {
    /// The tip that the answer is about.
    #[serde(rename = "bestblock")]
    pub best_block: BlockHash,
    /// Blocks from its own to the tip; 0 in the mempool.
    pub confirmations: u32,
    /// The amount.
    #[serde(with = "bitcoin::amount::serde::as_btc")]
    pub value: Amount,
    /// The script that it is locked with.
    #[serde(rename = "scriptPubKey", deserialize_with = "script")]
    pub script_pubkey: ScriptBuf,
    /// It is the reward of a block, spendable only after 100 more.
    pub coinbase: bool,
}

fn network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Network, D::Error> {
    let name = String::deserialize(deserializer)?;
    Network::from_core_arg(&name).map_err(de::Error::custom)
}

fn work<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Work, D::Error> {
    let hex = String::deserialize(deserializer)?;
    Work::from_unprefixed_hex(&hex).map_err(de::Error::custom)
}

fn script<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ScriptBuf, D::Error> {
    #[derive(Deserialize)]
    struct Script {
        hex: ScriptBuf,
    }
    Ok(Script::deserialize(deserializer)?.hex)
}
