//! Block headers that a bundle is checked against: how they are known to be Bitcoin's.

use anyhow::Result;
use bitcoin::{Network, constants::genesis_block, params::Params, pow::Work};
use std::{fmt, str::FromStr};
use tallystick_log::anchor::{AnchorError, BlockHash, Headers};

/// A block of Bitcoin's main network that everybody knows: its height and hash.
const KNOWN: (u32, &str) = (840_000, "0000000000000000000320283a032748cef8227873ff4872689bf23f1cda83a5");
/// Hashes that each block of the main network must have cost where no block is known, as a power of two: none has cost less
/// since August 2019.
const WORK_LOG2: u8 = 75;

/// What ties headers to their network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tied {
    /// The latest block among them that is known: what it is, and its height. All before it are as certain as it is; of
    /// those after it it says nothing, as anybody can go on from any block.
    known: Option<(&'static str, u32)>,
    /// From this height on each block has cost [`WORK_LOG2`]. Nothing is asked of a test network.
    dear_from: Option<u32>,
}

/// Checks headers, and finds out what ties them to their network.
pub(super) fn tie(headers: &Headers, network: Network, block: Option<BlockHash>) -> Result<Tied, AnchorError> {
    headers.check_difficulty(&Params::new(network))?;
    let end = headers.first_height().saturating_add(u32::try_from(headers.as_slice().len()).unwrap_or(u32::MAX));
    let holds = |height: u32| (headers.first_height()..end).contains(&height);
    let mut known = None;
    if holds(0) {
        at(headers, 0, genesis_block(network).block_hash())?;
        known = Some(("the genesis block", 0));
    }
    if network == Network::Bitcoin && holds(KNOWN.0) {
        at(headers, KNOWN.0, BlockHash::from_str(KNOWN.1).map_err(|_| AnchorError::OtherChain)?)?;
        known = Some(("a block that this program knows", KNOWN.0));
    }
    if let Some(block) = block {
        let height = headers.height_of(&block)?;
        if known.is_none_or(|(_, other)| other < height) {
            known = Some(("the block of --block", height));
        }
    }
    let dear_from = (network == Network::Bitcoin).then(|| {
        let least = least_work();
        let dear = headers.as_slice().iter().rev().take_while(|header| header.work() >= least).count();
        end.saturating_sub(u32::try_from(dear).unwrap_or(u32::MAX))
    });
    Ok(Tied { known, dear_from })
}

fn least_work() -> Work {
    let mut bytes = [0; 32];
    bytes[16..].copy_from_slice(&(1u128 << WORK_LOG2).to_be_bytes());
    Work::from_be_bytes(bytes)
}

fn at(headers: &Headers, height: u32, block: BlockHash) -> Result<(), AnchorError> {
    match headers.at(height)?.0.block_hash() == block {
        true => Ok(()),
        false => Err(AnchorError::OtherChain),
    }
}

impl Tied {
    /// Checks that a block at this height is one of the network: it is not after a block that is known, or it and all that
    /// confirm it have cost enough.
    ///
    /// # Errors
    /// [`AnchorError::TooEasy`].
    pub(super) fn vouch(&self, height: u32) -> Result<(), AnchorError> {
        match self.dear_from {
            Some(dear) if !self.knows(height) && height < dear => Err(AnchorError::TooEasy),
            _ => Ok(()),
        }
    }

    fn knows(&self, height: u32) -> bool {
        self.known.is_some_and(|(_, known)| height <= known)
    }

    /// In words, for an anchor at a height.
    pub(super) const fn told(&self, anchor: u32) -> Words<'_> {
        Words { tied: self, anchor }
    }
}

/// What ties an anchor to Bitcoin, in words.
pub(super) struct Words<'a> {
    tied: &'a Tied,
    anchor: u32,
}

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tied.known {
            Some((what, height)) if self.tied.knows(self.anchor) => {
                return write!(f, "it is not after {what} at height {height}, which vouches for it");
            }
            Some((what, height)) => write!(f, "it follows {what} at height {height}, which does not vouch for it")?,
            None => write!(f, "no block of these headers is known")?,
        }
        match self.tied.dear_from {
            Some(_) => write!(
                f,
                ": only work speaks for it, 2^{WORK_LOG2} hashes or more in its block and in each that confirms it \
                 (--block names a later one)"
            ),
            None => write!(f, ": on a test network blocks cost next to nothing (--block names a later one)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::{CompactTarget, block::Header, consensus::serialize, hashes::Hash as _};
    use tallystick_log::anchor::Target;

    /// A chain that costs nothing, from a block on.
    fn mined(first: Header, count: usize, bits: CompactTarget) -> Vec<u8> {
        let mut headers = vec![first];
        for time in 1..count {
            let before = headers.last().unwrap();
            let mut next = Header {
                prev_blockhash: before.block_hash(),
                merkle_root: bitcoin::TxMerkleNode::all_zeros(),
                time: first.time + u32::try_from(time).unwrap(),
                bits,
                nonce: 0,
                ..*before
            };
            while next.validate_pow(next.target()).is_err() {
                next.nonce += 1;
            }
            headers.push(next);
        }
        headers.iter().flat_map(serialize).collect()
    }

    fn read(from: u32, bytes: &[u8]) -> Headers {
        Headers::parse(from, bytes, Params::new(Network::Regtest).max_attainable_target).unwrap()
    }

    #[test]
    fn headers_that_cost_nothing_are_not_bitcoins() {
        let easy = genesis_block(Network::Regtest).header;
        let cheap = mined(easy, 8, easy.bits);
        let tied = tie(&read(900_000, &cheap), Network::Bitcoin, None).unwrap();
        assert!((900_000..900_008).all(|height| tied.vouch(height) == Err(AnchorError::TooEasy)));
        // A height that is claimed does not make it the block that is known.
        assert_eq!(tie(&read(839_998, &cheap), Network::Bitcoin, None), Err(AnchorError::OtherChain));
        assert_eq!(tie(&read(0, &cheap), Network::Bitcoin, None), Err(AnchorError::OtherChain));
        assert_eq!(tie(&read(0, &cheap), Network::Signet, None), Err(AnchorError::OtherChain));
        let genesis = Tied { known: Some(("the genesis block", 0)), dear_from: None };
        assert_eq!(tie(&read(0, &cheap), Network::Regtest, None), Ok(genesis));
        let tied = tie(&read(5, &cheap), Network::Regtest, None).unwrap();
        assert_eq!(tied, Tied { known: None, dear_from: None });
        assert!(tied.vouch(7).is_ok() && tied.told(7).to_string().contains("on a test network"), "{}", tied.told(7));
    }

    /// Whoever begins at the genesis block may go on with the difficulty of 2009: so the first blocks vouch for nothing
    /// after them. Block 1 stands for a block that somebody mined at home.
    #[test]
    fn the_genesis_block_does_not_make_cheap_blocks_dear() {
        let genesis = genesis_block(Network::Bitcoin).header;
        let root = "0e3e2357e806b6cdb1f70b54c3a3a17b6714ee1f0e68bebb44a74b1efd512098";
        let first = Header {
            prev_blockhash: genesis.block_hash(),
            merkle_root: bitcoin::TxMerkleNode::from_str(root).unwrap(),
            time: 1_231_469_665,
            nonce: 2_573_394_689,
            ..genesis
        };
        let bytes = [serialize(&genesis), serialize(&first)].concat();
        let headers = Headers::parse(0, &bytes, Params::new(Network::Bitcoin).max_attainable_target).unwrap();
        let tied = tie(&headers, Network::Bitcoin, None).unwrap();
        assert_eq!((tied.vouch(0), tied.vouch(1)), (Ok(()), Err(AnchorError::TooEasy)));
        // A block that the verifier names does, for all up to it.
        let named = tie(&headers, Network::Bitcoin, Some(first.block_hash())).unwrap();
        assert_eq!(named.vouch(1), Ok(()));
        let earlier = tie(&headers, Network::Bitcoin, Some(genesis.block_hash())).unwrap();
        assert_eq!(earlier.vouch(1), Err(AnchorError::TooEasy));
    }

    #[test]
    fn a_block_that_is_known_must_be_among_them() {
        let easy = genesis_block(Network::Regtest).header;
        let headers = read(100, &mined(easy, 8, easy.bits));
        let third = headers.as_slice()[2].block_hash();
        let known = Tied { known: Some(("the block of --block", 102)), dear_from: None };
        assert_eq!(tie(&headers, Network::Regtest, Some(third)), Ok(known.clone()));
        assert!(known.told(102).to_string().starts_with("it is not after"));
        assert!(known.told(103).to_string().contains("does not vouch for it"));
        let other = BlockHash::all_zeros();
        assert_eq!(tie(&headers, Network::Regtest, Some(other)), Err(AnchorError::OtherChain));
    }

    /// The block that is known is compared with itself, and real work is enough without.
    #[test]
    fn what_is_built_in_makes_sense() {
        assert!(BlockHash::from_str(KNOWN.1).is_ok());
        let real = CompactTarget::from_consensus(0x1703_4219);
        assert!(Target::from_compact(real).to_work() > least_work());
    }
}
