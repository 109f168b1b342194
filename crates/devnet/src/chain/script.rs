//! Script checks by Bitcoin Core's own interpreter (the `bitcoinconsensus` crate).

use bitcoin::consensus::encode::serialize;
use bitcoin::{Transaction, TxOut};
use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT};

use super::coins::CoinView;

/// Every consensus rule is in force on regtest from the first block.
const FLAGS: u32 = VERIFY_ALL_PRE_TAPROOT | VERIFY_TAPROOT;

/// Checks every input, and names the first that fails. Missing outputs fail too.
pub(crate) fn verify_inputs(tx: &Transaction, coins: &dyn CoinView) -> Result<(), usize> {
    let mut outputs: Vec<&TxOut> = Vec::with_capacity(tx.input.len());
    for (index, input) in tx.input.iter().enumerate() {
        outputs.push(&coins.coin(&input.previous_output).ok_or(index)?.output);
    }
    let spent = outputs.iter().enumerate().map(|(i, output)| utxo(output).ok_or(i)).collect::<Result<Vec<_>, _>>()?;
    let bytes = serialize(tx);
    for (index, output) in outputs.iter().enumerate() {
        bitcoinconsensus::verify_with_flags(
            output.script_pubkey.as_bytes(),
            output.value.to_sat(),
            &bytes,
            Some(&spent),
            index,
            FLAGS,
        )
        .map_err(|_| index)?;
    }
    Ok(())
}

/// The view of an output that the interpreter takes; it points into `output`.
fn utxo(output: &TxOut) -> Option<Utxo> {
    Some(Utxo {
        script_pubkey: output.script_pubkey.as_bytes().as_ptr(),
        script_pubkey_len: u32::try_from(output.script_pubkey.len()).ok()?,
        value: i64::try_from(output.value.to_sat()).ok()?,
    })
}
