//! Fee rates in satoshis per 1000 virtual bytes, rounded as Bitcoin Core rounds them.

use std::fmt;

use bitcoin::Amount;

/// A fee rate in satoshis per 1000 virtual bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KvbRate(pub u64);

/// The lowest rate that is relayed, and mined.
pub const MIN_RELAY: KvbRate = KvbRate(1_000);
/// What a replacement pays more, for its own size.
pub const INCREMENTAL_RELAY: KvbRate = KvbRate(1_000);

impl KvbRate {
    /// The rate of a fee, rounded down.
    #[must_use]
    pub fn of(fee: Amount, vsize: u64) -> Self {
        Self(fee.to_sat().saturating_mul(1_000).checked_div(vsize).unwrap_or(0))
    }

    /// The fee for a size, rounded up.
    #[must_use]
    pub fn fee(self, vsize: u64) -> Amount {
        Amount::from_sat(self.0.saturating_mul(vsize).div_ceil(1_000))
    }
}

impl fmt::Display for KvbRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:08} BTC/kvB", self.0 / 100_000_000, self.0 % 100_000_000)
    }
}
