//! Block headers: who vouches, and with how much work.

use super::AnchorError;
use alloc::vec::Vec;
use bitcoin::{BlockHash, CompactTarget, Target, block::Header, consensus::Params, consensus::encode};

/// Bytes of a header.
const HEADER_BYTES: usize = 80;
/// Most headers of a run: about 20 years of blocks fit.
pub const HEADERS_MAX: usize = 1 << 20;

/// Headers that follow each other, each with its proof of work.
///
/// Whether they are those of the best chain is for the verifier to know: its policy pins a block
/// ([`Headers::height_of`]), or asks another source. What a run of headers shows is the work that a lie would have cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    first_height: u32,
    headers: Vec<Header>,
}

impl Headers {
    /// Reads headers of 80 bytes each; the first has the height `first_height`. None may be easier than `easiest`, since
    /// a header claims its own difficulty.
    ///
    /// # Errors
    /// [`AnchorError::TooLarge`] above [`HEADERS_MAX`] headers; [`AnchorError::BadHeader`], [`AnchorError::TooEasy`],
    /// [`AnchorError::NotLinked`].
    pub fn parse(first_height: u32, bytes: &[u8], easiest: Target) -> Result<Self, AnchorError> {
        if bytes.len() > HEADERS_MAX * HEADER_BYTES {
            return Err(AnchorError::TooLarge { max: HEADERS_MAX * HEADER_BYTES });
        }
        if bytes.is_empty() || !bytes.len().is_multiple_of(HEADER_BYTES) {
            return Err(AnchorError::BadHeader);
        }
        let mut headers: Vec<Header> = Vec::with_capacity(bytes.len() / HEADER_BYTES);
        for chunk in bytes.chunks_exact(HEADER_BYTES) {
            let header: Header = encode::deserialize(chunk).map_err(|_| AnchorError::BadHeader)?;
            let target = header.target();
            let hash = header.validate_pow(target).map_err(|_| AnchorError::BadHeader)?;
            if target > easiest {
                return Err(AnchorError::TooEasy);
            }
            if headers.last().is_some_and(|before| before.block_hash() != header.prev_blockhash) {
                return Err(AnchorError::NotLinked);
            }
            debug_assert_eq!(hash, header.block_hash());
            headers.push(header);
        }
        let last = u32::try_from(headers.len() - 1).ok().and_then(|above| first_height.checked_add(above));
        last.map(|_| Self { first_height, headers }).ok_or(AnchorError::BadHeader)
    }

    /// Checks that the difficulty is the one that the network asks for: the same within a period of 2016 blocks, and after
    /// it as the period's time demands. Where the period's first header is not among these, the difficulty may change by a
    /// factor of four at most. Test networks let it go up and down by other rules, which are not checked.
    ///
    /// # Errors
    /// [`AnchorError::WrongDifficulty`].
    pub fn check_difficulty(&self, params: &Params) -> Result<(), AnchorError> {
        if params.allow_min_difficulty_blocks {
            return Ok(());
        }
        let interval = usize::try_from(params.difficulty_adjustment_interval()).unwrap_or(usize::MAX);
        for ((index, pair), height) in
            (1usize..).zip(self.headers.windows(2)).zip(self.first_height.saturating_add(1)..)
        {
            let [before, header] = pair else { continue };
            let retargets = u64::from(height).is_multiple_of(params.difficulty_adjustment_interval());
            let first = index.checked_sub(interval).and_then(|first| self.headers.get(first));
            let right = match first.filter(|_| retargets) {
                _ if !retargets => header.bits == before.bits,
                Some(first) => header.bits == CompactTarget::from_header_difficulty_adjustment(*first, *before, params),
                None => {
                    let (old, new) = (before.target(), header.target());
                    new <= old.max_transition_threshold(params) && new >= old.min_transition_threshold()
                }
            };
            if !right {
                return Err(AnchorError::WrongDifficulty { height });
            }
        }
        Ok(())
    }

    /// The height of a block that is among these.
    ///
    /// # Errors
    /// [`AnchorError::OtherChain`] if it is not: these may be headers of a chain that is not Bitcoin's.
    pub fn height_of(&self, block: &BlockHash) -> Result<u32, AnchorError> {
        let found = (self.first_height..).zip(&self.headers).find(|(_, header)| header.block_hash() == *block);
        found.map(|(height, _)| height).ok_or(AnchorError::OtherChain)
    }

    /// The header of a height, and how many headers there are from it to the last one, itself counted.
    ///
    /// # Errors
    /// [`AnchorError::NoHeader`].
    pub fn at(&self, height: u32) -> Result<(&Header, u32), AnchorError> {
        let index = height.checked_sub(self.first_height).and_then(|index| usize::try_from(index).ok());
        let found = index.and_then(|index| Some((self.headers.get(index)?, self.headers.len() - index)));
        let (header, above) = found.ok_or(AnchorError::NoHeader { height })?;
        Ok((header, u32::try_from(above).unwrap_or(u32::MAX)))
    }

    /// The height of the first header.
    #[must_use]
    pub const fn first_height(&self) -> u32 {
        self.first_height
    }

    /// The headers.
    #[must_use]
    pub fn as_slice(&self) -> &[Header] {
        &self.headers
    }
}
