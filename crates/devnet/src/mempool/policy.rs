//! What is standard: what nodes with default settings relay.

use bitcoin::opcodes::all::{OP_CHECKMULTISIG, OP_PUSHNUM_1, OP_PUSHNUM_16};
use bitcoin::script::Instruction;
use bitcoin::{Script, Transaction, TxOut, Witness};

use crate::chain::{CoinView, TxReject};

const TX_WEIGHT_MAX: u64 = 400_000;
const TX_STRIPPED_BYTES_MIN: usize = 65;
const TX_VERSIONS: std::ops::RangeInclusive<i32> = 1..=3;
const SIGOPS_COST_MAX: usize = 16_000;
const SIGOP_VBYTES: u64 = 20;
const SCRIPT_SIG_BYTES_MAX: usize = 1_650;
const OP_RETURN_BYTES_MAX: usize = 83;
const DUST_OUTPUTS_MAX: usize = 1;
const P2WSH_SCRIPT_BYTES_MAX: usize = 3_600;
const P2WSH_STACK_ITEMS_MAX: usize = 100;
const STACK_ITEM_BYTES_MAX: usize = 80;
const P2SH_SIGOPS_MAX: usize = 15;
const TAPROOT_ANNEX: u8 = 0x50;
const TAPROOT_LEAF_MASK: u8 = 0xfe;
const TAPROOT_LEAF_TAPSCRIPT: u8 = 0xc0;
/// Pay-to-anchor: version 1 with a program of two bytes that anyone can spend.
const P2A_SCRIPT: [u8; 4] = [0x51, 0x02, 0x4e, 0x73];

/// Whether an output is not worth the fee of spending it, at 3 sat/vB.
pub(super) fn is_dust(output: &TxOut) -> bool {
    output.value < output.script_pubkey.minimal_non_dust()
}

/// The weight that counts for fees: many signature checks weigh like more bytes.
pub(super) fn policy_vsize(weight: u64, sigops_cost: usize) -> u64 {
    weight.max((sigops_cost as u64).saturating_mul(SIGOP_VBYTES)).div_ceil(crate::chain::rules::WITNESS_SCALE)
}

/// Whether there are too many signature checks.
pub(super) fn check_sigops(sigops_cost: usize) -> Result<(), TxReject> {
    if sigops_cost > SIGOPS_COST_MAX {
        return Err(TxReject::with("bad-txns-too-many-sigops", sigops_cost.to_string()));
    }
    Ok(())
}

/// What can be said without the outputs that it spends.
pub(super) fn check_standard(tx: &Transaction) -> Result<(), TxReject> {
    if !TX_VERSIONS.contains(&tx.version.0) {
        return Err(TxReject::new("version"));
    }
    if tx.weight().to_wu() > TX_WEIGHT_MAX {
        return Err(TxReject::new("tx-size"));
    }
    for input in &tx.input {
        if input.script_sig.len() > SCRIPT_SIG_BYTES_MAX {
            return Err(TxReject::new("scriptsig-size"));
        }
        if !input.script_sig.is_push_only() {
            return Err(TxReject::new("scriptsig-not-pushonly"));
        }
    }
    let mut data_outputs = 0;
    for output in &tx.output {
        if !is_standard_script(&output.script_pubkey) {
            return Err(TxReject::new("scriptpubkey"));
        }
        data_outputs += usize::from(output.script_pubkey.is_op_return());
    }
    if tx.output.iter().filter(|output| is_dust(output)).count() > DUST_OUTPUTS_MAX {
        return Err(TxReject::new("dust"));
    }
    if data_outputs > 1 {
        return Err(TxReject::new("multi-op-return"));
    }
    if tx.base_size() < TX_STRIPPED_BYTES_MIN {
        return Err(TxReject::new("tx-size-small"));
    }
    Ok(())
}

fn is_standard_script(script: &Script) -> bool {
    if script.is_op_return() {
        let data = Script::from_bytes(&script.as_bytes()[1..]);
        return script.len() <= OP_RETURN_BYTES_MAX && data.is_push_only();
    }
    is_p2pk(script)
        || script.is_p2pkh()
        || script.is_p2sh()
        || script.is_witness_program() && is_known_length(script)
        || multisig_keys(script).is_some_and(|keys| keys <= 3)
}

/// Version 0 allows two lengths only; later versions are open.
fn is_known_length(script: &Script) -> bool {
    script.is_p2wpkh() || script.is_p2wsh() || script.as_bytes()[0] != 0
}

/// Whether a script asks for a signature of a bare key.
pub(crate) fn is_p2pk(script: &Script) -> bool {
    // Between the push and the opcode.
    script.is_p2pk() && script.as_bytes().get(1..script.len() - 1).is_some_and(has_key_form)
}

/// Whether the first byte of a key goes with its length; the key may still be none.
fn has_key_form(key: &[u8]) -> bool {
    matches!((key.first(), key.len()), (Some(2 | 3), 33) | (Some(4 | 6 | 7), 65))
}

/// The number of keys of a bare multisig script.
pub(crate) fn multisig_keys(script: &Script) -> Option<u8> {
    let number = |byte: u8| {
        let (first, last) = (OP_PUSHNUM_1.to_u8(), OP_PUSHNUM_16.to_u8());
        (first..=last).contains(&byte).then(|| byte - first + 1)
    };
    let (first, rest) = script.as_bytes().split_first()?;
    let (last, rest) = rest.split_last()?;
    let (count, keys) = rest.split_last()?;
    let (needed, count) = (number(*first)?, number(*count)?);
    if *last != OP_CHECKMULTISIG.to_u8() || needed > count {
        return None;
    }
    let mut found = 0u8;
    for instruction in Script::from_bytes(keys).instructions() {
        match instruction {
            Ok(Instruction::PushBytes(key)) if has_key_form(key.as_bytes()) => found = found.checked_add(1)?,
            _ => return None,
        }
    }
    (found == count).then_some(count)
}

/// What the outputs that it spends must look like.
pub(super) fn check_inputs_standard(tx: &Transaction, coins: &dyn CoinView) -> Result<(), TxReject> {
    for (index, input) in tx.input.iter().enumerate() {
        let Some(coin) = coins.coin(&input.previous_output) else { continue };
        let script = &coin.output.script_pubkey;
        let undefined = script.is_witness_program() && !is_spendable_program(script);
        let unknown = !script.is_witness_program() && !is_standard_script(script);
        if undefined || unknown {
            let what = if undefined { "witness program is undefined" } else { "script unknown" };
            return Err(TxReject::with("bad-txns-nonstandard-inputs", format!("input {index} {what}")));
        }
        if script.is_p2sh() {
            let Some(redeem) = last_push(&input.script_sig) else {
                let details = format!("input {index} P2SH redeemscript missing");
                return Err(TxReject::with("bad-txns-nonstandard-inputs", details));
            };
            let sigops = Script::from_bytes(redeem).count_sigops();
            if sigops > P2SH_SIGOPS_MAX {
                let details = format!("p2sh redeemscript sigops exceed limit (input {index}: {sigops} > 15)");
                return Err(TxReject::with("bad-txns-nonstandard-inputs", details));
            }
        }
    }
    if tx.input.iter().all(|input| {
        coins.coin(&input.previous_output).is_none_or(|coin| {
            input.witness.is_empty()
                || is_witness_standard(&coin.output.script_pubkey, &input.script_sig, &input.witness)
        })
    }) {
        Ok(())
    } else {
        Err(TxReject::new("bad-witness-nonstandard"))
    }
}

fn is_spendable_program(script: &Script) -> bool {
    script.is_p2wpkh() || script.is_p2wsh() || script.is_p2tr() || script.as_bytes() == P2A_SCRIPT
}

fn last_push(script: &Script) -> Option<&[u8]> {
    match script.instructions().last()? {
        Ok(Instruction::PushBytes(bytes)) => Some(bytes.as_bytes()),
        _ => None,
    }
}

fn is_witness_standard(spent: &Script, script_sig: &Script, witness: &Witness) -> bool {
    let nested = if spent.is_p2sh() { last_push(script_sig) } else { None };
    let program = nested.map_or(spent, Script::from_bytes);
    if spent.as_bytes() == P2A_SCRIPT || !program.is_witness_program() {
        return false;
    }
    let Some(last) = witness.last() else { return true };
    if program.is_p2wsh() {
        let items = witness.len() - 1;
        return last.len() <= P2WSH_SCRIPT_BYTES_MAX
            && items <= P2WSH_STACK_ITEMS_MAX
            && witness.iter().take(items).all(|item| item.len() <= STACK_ITEM_BYTES_MAX);
    }
    if program.is_p2tr() && nested.is_none() {
        return is_taproot_witness_standard(witness, last);
    }
    true
}

fn is_taproot_witness_standard(witness: &Witness, last: &[u8]) -> bool {
    if witness.len() < 2 {
        return true;
    }
    if last.first() == Some(&TAPROOT_ANNEX) {
        return false;
    }
    match last.first() {
        None => false,
        Some(leaf) if leaf & TAPROOT_LEAF_MASK == TAPROOT_LEAF_TAPSCRIPT => {
            witness.iter().take(witness.len() - 2).all(|item| item.len() <= STACK_ITEM_BYTES_MAX)
        }
        Some(_) => true,
    }
}
