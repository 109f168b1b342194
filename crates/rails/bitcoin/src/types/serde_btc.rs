//! Amounts and fee rates as Bitcoin Core writes them: JSON numbers in BTC and in BTC per 1000 vbytes.

use bitcoin::{Amount, FeeRate};
use serde::{Deserialize, Deserializer};

/// Weight units in 1000 virtual bytes, in units of 1000.
const KWU_PER_KVB: u64 = 4;

pub(super) fn fee_rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FeeRate, D::Error> {
    let per_kvb: Amount = bitcoin::amount::serde::as_btc::deserialize(deserializer)?;
    // Rounded up: a rate that is a little too high is relayed, one that is too low is not.
    Ok(FeeRate::from_sat_per_kwu(per_kvb.to_sat().div_ceil(KWU_PER_KVB)))
}

pub(super) fn fee_rate_opt<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<FeeRate>, D::Error> {
    #[derive(Deserialize)]
    struct Rate(#[serde(deserialize_with = "fee_rate")] FeeRate);
    Ok(Option::<Rate>::deserialize(deserializer)?.map(|rate| rate.0))
}
