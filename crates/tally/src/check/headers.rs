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

/// Why headers count as Bitcoin's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tied {
    /// A block that is known is among them, at this height. All before it are as certain as it is.
    Known { what: &'static str, height: u32 },
    /// Nothing but the work in them.
    Work,
}

/// Checks headers, and finds out what ties them to their network.
pub(super) fn tie(headers: &Headers, network: Network, block: Option<BlockHash>) -> Result<Tied, AnchorError> {
    headers.check_difficulty(&Params::new(network))?;
    let end = headers.first_height().saturating_add(u32::try_from(headers.as_slice().len()).unwrap_or(u32::MAX));
    let holds = |height: u32| (headers.first_height()..end).contains(&height);
    let mut tied = Tied::Work;
    if holds(0) {
        at(headers, 0, genesis_block(network).block_hash())?;
        tied = Tied::Known { what: "the genesis block", height: 0 };
    }
    if network == Network::Bitcoin && holds(KNOWN.0) {
        at(headers, KNOWN.0, BlockHash::from_str(KNOWN.1).map_err(|_| AnchorError::OtherChain)?)?;
        tied = Tied::Known { what: "a block that this program knows", height: KNOWN.0 };
    }
    if let Some(block) = block {
        tied = Tied::Known { what: "the block of --block", height: headers.height_of(&block)? };
    }
    if tied == Tied::Work && network == Network::Bitcoin {
        let least = least_work();
        if headers.as_slice().iter().any(|header| header.work() < least) {
            return Err(AnchorError::TooEasy);
        }
    }
    Ok(tied)
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
    /// In words, for an anchor at a height.
    pub(super) fn told(&self, anchor: u32) -> Words<'_> {
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
        match self.tied {
            Tied::Known { what, height } if *height >= self.anchor => {
                write!(f, "it is before {what} at height {height}, which vouches for it")
            }
            Tied::Known { what, height } => {
                write!(f, "it follows {what} at height {height}, with the difficulty that the network asks for")
            }
            Tied::Work => {
                write!(f, "no block of these headers is known: only their work speaks for them (--block names one)")
            }
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
        assert_eq!(tie(&read(900_000, &cheap), Network::Bitcoin, None), Err(AnchorError::TooEasy));
        // A height that is claimed does not make it the block that is known.
        assert_eq!(tie(&read(839_998, &cheap), Network::Bitcoin, None), Err(AnchorError::OtherChain));
        assert_eq!(tie(&read(0, &cheap), Network::Bitcoin, None), Err(AnchorError::OtherChain));
        assert_eq!(tie(&read(0, &cheap), Network::Signet, None), Err(AnchorError::OtherChain));
        let genesis = Tied::Known { what: "the genesis block", height: 0 };
        assert_eq!(tie(&read(0, &cheap), Network::Regtest, None), Ok(genesis));
        assert_eq!(tie(&read(5, &cheap), Network::Regtest, None), Ok(Tied::Work));
    }

    #[test]
    fn a_block_that_is_known_must_be_among_them() {
        let easy = genesis_block(Network::Regtest).header;
        let headers = read(100, &mined(easy, 8, easy.bits));
        let third = headers.as_slice()[2].block_hash();
        let known = Tied::Known { what: "the block of --block", height: 102 };
        assert_eq!(tie(&headers, Network::Regtest, Some(third)), Ok(known.clone()));
        assert!(known.told(101).to_string().starts_with("it is before"));
        assert!(known.told(103).to_string().starts_with("it follows"));
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
