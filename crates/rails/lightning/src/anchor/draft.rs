//! What an anchor spends and pays, before it is signed.
//!
//! The seal pays the fees of the anchors that follow, as long as it lasts; then the wallet fills it up. A replacement
//! has the same inputs, takes the higher fee out of the seal first, and out of the change if that is not enough.

use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, FeeRate, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Weight, Witness};
use tallystick_log::{Hash, anchor::tx::commitment_script};

/// What the wallet fills a seal up to: some hundred anchors in quiet times.
const SEAL_FULL: Amount = Amount::from_sat(50_000);
/// What every seal keeps.
const SEAL_LEAST: Amount = Amount::from_sat(1_000);
/// A seal is filled up when it could not pay so many times the fee: room for replacements.
const FEES_AHEAD: u64 = 4;
/// The smallest output to a taproot script that is relayed.
const CHANGE_LEAST: Amount = Amount::from_sat(330);
/// Inputs, at most: OpenTimestamps takes no transaction above 4,096 bytes.
const INPUTS_MAX: usize = 50;
/// What a replacement pays more, at least (BIP 125 rule 4): nodes ask for 1 sat/vB of its own size.
const BUMP_RATE: FeeRate = FeeRate::from_sat_per_vb_u32(1);
/// The weight of a key-path spend's witness (BIP 341): count, length, 64 bytes.
const WITNESS_WEIGHT: Weight = Weight::from_wu(66);
/// Marker and flag (BIP 144).
const SEGWIT_WEIGHT: Weight = Weight::from_wu(2);

/// A coin to be spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Coin {
    pub(super) outpoint: OutPoint,
    pub(super) output: TxOut,
}

/// What the wallet offers.
pub(super) struct Purse {
    /// Coins that may be spent, the largest first.
    pub(super) coins: Vec<(OutPoint, TxOut)>,
    /// What may leave the wallet.
    pub(super) may_spend: Amount,
    /// Where change goes.
    pub(super) change: ScriptBuf,
    /// Where seals are paid to.
    pub(super) seal: ScriptBuf,
}

/// Why there is no draft.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DraftError {
    Poor { have: Amount, need: Amount },
    TooDear { needed: u64, limit: u64 },
    Unknown(OutPoint),
}

/// An anchor without signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draft {
    inputs: Vec<Coin>,
    outputs: Vec<TxOut>,
}

impl Draft {
    /// A new anchor. Without a seal its first coin becomes the genesis.
    pub(super) fn fresh(
        seal: Option<Coin>,
        purse: &Purse,
        commitment: &Hash,
        rate: FeeRate,
        rate_max: FeeRate,
    ) -> Result<Self, DraftError> {
        if rate > rate_max {
            return Err(too_dear(rate, rate_max));
        }
        let seal_output = TxOut { value: SEAL_FULL, script_pubkey: purse.seal.clone() };
        let outputs = vec![seal_output, TxOut { value: Amount::ZERO, script_pubkey: commitment_script(commitment) }];
        let mut lean = Self { inputs: seal.iter().cloned().collect(), outputs };
        let (held, fee) = (lean.spent(), lean.fee_at(rate));
        let lasts =
            |times: u64| seal.is_some() && held >= SEAL_LEAST + fee.checked_mul(times).unwrap_or(Amount::MAX_MONEY);
        if !lasts(FEES_AHEAD) {
            match lean.clone().filled(purse, rate) {
                Err(DraftError::Poor { .. }) if lasts(1) => {}
                filled => return filled,
            }
        }
        lean.outputs[0].value = held - fee;
        Ok(lean)
    }

    /// The same with the seal filled up from the wallet.
    fn filled(mut self, purse: &Purse, rate: FeeRate) -> Result<Self, DraftError> {
        self.outputs.push(TxOut { value: Amount::ZERO, script_pubkey: purse.change.clone() });
        let held = self.spent();
        for (outpoint, output) in purse.coins.iter().take(INPUTS_MAX) {
            self.inputs.push(Coin { outpoint: *outpoint, output: output.clone() });
            let need = SEAL_FULL + self.fee_at(rate);
            if self.spent() >= need {
                break;
            }
        }
        let (need, have) = (SEAL_FULL + self.fee_at(rate), self.spent());
        let from_wallet = need.checked_sub(held).unwrap_or(Amount::ZERO);
        if have < need || from_wallet > purse.may_spend {
            return Err(DraftError::Poor { have: purse.may_spend.min(have), need: from_wallet });
        }
        let change = have - need;
        if change < CHANGE_LEAST {
            // Too little for an output of its own: the seal keeps it.
            self.outputs.truncate(2);
            self.outputs[0].value += change;
        } else {
            self.outputs[2].value = change;
        }
        Ok(self)
    }

    /// A version that replaces another (BIP 125): the same inputs, a higher fee, perhaps another commitment.
    pub(super) fn replacement(
        old: &Transaction,
        known: impl Fn(OutPoint) -> Option<TxOut>,
        commitment: &Hash,
        rate: FeeRate,
        rate_max: FeeRate,
    ) -> Result<Self, DraftError> {
        let coin = |input: &TxIn| {
            let outpoint = input.previous_output;
            known(outpoint).map(|output| Coin { outpoint, output }).ok_or(DraftError::Unknown(outpoint))
        };
        let inputs = old.input.iter().map(coin).collect::<Result<Vec<_>, _>>()?;
        let mut draft = Self { inputs, outputs: old.output.clone() };
        let old_fee = draft.fee();
        let least = old_fee + draft.fee_at(BUMP_RATE);
        let most = draft.fee_at(rate_max);
        if least > most {
            return Err(too_dear(least / draft.weight(), rate_max));
        }
        // A quarter more at least, so that a few replacements come a long way.
        let wanted = draft.fee_at(rate).max(old_fee + old_fee / 4).clamp(least, most);
        let mut missing = wanted - old_fee;
        for (output, keep) in [(0, SEAL_LEAST), (2, CHANGE_LEAST)] {
            if let Some(output) = draft.outputs.get_mut(output) {
                let taken = output.value.checked_sub(keep).unwrap_or(Amount::ZERO).min(missing);
                output.value -= taken;
                missing -= taken;
            }
        }
        // Less than wanted is enough, as long as nodes take it for a replacement.
        if draft.fee() < least {
            return Err(DraftError::Poor { have: draft.fee(), need: least });
        }
        if let Some(output) = draft.outputs.get_mut(1) {
            output.script_pubkey = commitment_script(commitment);
        }
        Ok(draft)
    }

    pub(super) fn inputs(&self) -> &[Coin] {
        &self.inputs
    }

    /// What the next anchor has.
    pub(super) fn seal_value(&self) -> Amount {
        self.outputs.first().map_or(Amount::ZERO, |output| output.value)
    }

    pub(super) fn fee(&self) -> Amount {
        let paid: Amount = self.outputs.iter().map(|output| output.value).sum();
        self.spent().checked_sub(paid).unwrap_or(Amount::ZERO)
    }

    pub(super) fn psbt(&self) -> Result<Psbt, bitcoin::psbt::Error> {
        let mut psbt = Psbt::from_unsigned_tx(self.unsigned())?;
        for (input, coin) in psbt.inputs.iter_mut().zip(&self.inputs) {
            input.witness_utxo = Some(coin.output.clone());
        }
        Ok(psbt)
    }

    fn spent(&self) -> Amount {
        self.inputs.iter().map(|coin| coin.output.value).sum()
    }

    fn unsigned(&self) -> Transaction {
        let input = self.inputs.iter().map(|coin| TxIn {
            previous_output: coin.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        });
        let (input, output) = (input.collect(), self.outputs.clone());
        Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input, output }
    }

    /// With all signatures. Every input is a key-path spend of taproot.
    fn weight(&self) -> Weight {
        self.unsigned().weight() + SEGWIT_WEIGHT + WITNESS_WEIGHT * self.inputs.len() as u64
    }

    fn fee_at(&self, rate: FeeRate) -> Amount {
        rate.fee_wu(Weight::from_wu(self.weight().to_vbytes_ceil() * 4)).unwrap_or(Amount::MAX_MONEY)
    }
}

fn too_dear(needed: FeeRate, limit: FeeRate) -> DraftError {
    DraftError::TooDear { needed: needed.to_sat_per_vb_ceil(), limit: limit.to_sat_per_vb_floor() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::hashes::Hash as _;

    const RATE: FeeRate = FeeRate::from_sat_per_vb_u32(2);
    const RATE_MAX: FeeRate = FeeRate::from_sat_per_vb_u32(100);

    fn script(byte: u8) -> ScriptBuf {
        ScriptBuf::from_bytes([&[0x51, 0x20][..], &[byte; 32]].concat())
    }

    fn coin(byte: u8, sat: u64) -> Coin {
        let outpoint = OutPoint { txid: bitcoin::Txid::from_byte_array([byte; 32]), vout: 0 };
        Coin { outpoint, output: TxOut { value: Amount::from_sat(sat), script_pubkey: script(byte) } }
    }

    fn purse(coins: &[u64], may_spend: u64) -> Purse {
        let coins = (10u8..).zip(coins).map(|(byte, sat)| coin(byte, *sat)).map(|coin| (coin.outpoint, coin.output));
        Purse { coins: coins.collect(), may_spend: Amount::from_sat(may_spend), change: script(8), seal: script(9) }
    }

    fn total(draft: &Draft) -> Amount {
        draft.outputs.iter().map(|output| output.value).sum::<Amount>() + draft.fee()
    }

    #[test]
    fn the_first_anchor_takes_a_coin_and_gives_change() {
        let draft = Draft::fresh(None, &purse(&[1_000_000], 1_000_000), &[7; 32], RATE, RATE_MAX).unwrap();
        assert_eq!((draft.inputs.len(), draft.outputs.len()), (1, 3));
        assert_eq!(draft.seal_value(), SEAL_FULL);
        assert_eq!(total(&draft), Amount::from_sat(1_000_000));
        assert_eq!(draft.fee(), draft.fee_at(RATE));
        let poor = Draft::fresh(None, &purse(&[1_000_000], 40_000), &[7; 32], RATE, RATE_MAX);
        assert!(matches!(poor, Err(DraftError::Poor { .. })), "the reserve stays: {poor:?}");
        assert!(matches!(Draft::fresh(None, &purse(&[], 0), &[7; 32], RATE, RATE_MAX), Err(DraftError::Poor { .. })));
    }

    #[test]
    fn a_seal_pays_its_own_way_while_it_lasts() {
        let rich = purse(&[1_000_000], 1_000_000);
        let draft = Draft::fresh(Some(coin(1, 50_000)), &rich, &[7; 32], RATE, RATE_MAX).unwrap();
        assert_eq!((draft.inputs.len(), draft.outputs.len()), (1, 2));
        // 154 vbytes, as 111 and an output of 43.
        assert_eq!(draft.fee(), Amount::from_sat(2 * 154));
        assert_eq!(total(&draft), Amount::from_sat(50_000));
        // Nearly empty: the wallet fills it, and if it cannot, the seal still pays.
        let low = coin(1, 2_000);
        let filled = Draft::fresh(Some(low.clone()), &rich, &[7; 32], RATE, RATE_MAX).unwrap();
        assert_eq!((filled.inputs[0].clone(), filled.seal_value()), (low.clone(), SEAL_FULL));
        let lean = Draft::fresh(Some(low), &purse(&[], 0), &[7; 32], RATE, RATE_MAX).unwrap();
        assert_eq!(lean.seal_value(), Amount::from_sat(2_000 - 308));
        let empty = Draft::fresh(Some(coin(1, 1_100)), &purse(&[], 0), &[7; 32], RATE, RATE_MAX);
        assert!(matches!(empty, Err(DraftError::Poor { .. })));
    }

    #[test]
    fn replacements_pay_more_each_time_from_the_same_inputs_up_to_the_limit() {
        let seal = coin(1, 50_000);
        let mut draft = Draft::fresh(Some(seal.clone()), &purse(&[], 0), &[7; 32], RATE, RATE_MAX).unwrap();
        let mut rounds = 0;
        let end = loop {
            let known = |outpoint| (outpoint == seal.outpoint).then(|| seal.output.clone());
            match Draft::replacement(&draft.unsigned(), known, &[8; 32], RATE, RATE_MAX) {
                Ok(next) => {
                    assert!(next.fee() >= draft.fee() + draft.fee_at(BUMP_RATE));
                    assert_eq!((&next.inputs, total(&next)), (&draft.inputs, total(&draft)));
                    draft = next;
                    rounds += 1;
                }
                Err(error) => break error,
            }
        };
        assert!(matches!(end, DraftError::TooDear { limit: 100, .. }), "{end:?}");
        assert!(rounds > 5 && draft.fee() > Amount::from_sat(154 * 99), "{rounds} {}", draft.fee());
        let unknown = Draft::replacement(&draft.unsigned(), |_| None, &[8; 32], RATE, RATE_MAX);
        assert_eq!(unknown, Err(DraftError::Unknown(seal.outpoint)));
    }

    #[test]
    fn a_high_rate_waits() {
        let dear = FeeRate::from_sat_per_vb_u32(101);
        let draft = Draft::fresh(None, &purse(&[1_000_000], 1_000_000), &[7; 32], dear, RATE_MAX);
        assert_eq!(draft, Err(DraftError::TooDear { needed: 101, limit: 100 }));
    }
}
