//! Whether funding invoices are what the requester should pay.
//!
//! That the node cannot take the money rests on one thing that a requester can check: what is paid is locked to the hash
//! of the worker's invoice, so that the node gets it only by paying that invoice.

use anyhow::{Context, Result, ensure};
use bitcoin::secp256k1::PublicKey;
use lightning_invoice::Bolt11Invoice;
use serde_json::Value;
use tallystick_core::Sat;

/// Checks each tranche of a task: both invoices have one payment hash, the funding invoice is over what is to be held and
/// is the node's own, the payout invoice is over the payout and is not. `node_id` is the node's public key in hexadecimal
/// digits.
///
/// # Errors
/// A sentence that says what does not fit.
pub fn check(task: &Value, node_id: &str) -> Result<()> {
    let node: PublicKey = node_id.parse().context("the node's public key must be 66 hexadecimal digits")?;
    let tranches = task["tranches"].as_array().filter(|tranches| !tranches.is_empty());
    for (number, tranche) in tranches.context("the task has no tranches")?.iter().enumerate() {
        check_tranche(tranche, &node).with_context(|| format!("tranche {}", number + 1))?;
    }
    Ok(())
}

fn check_tranche(tranche: &Value, node: &PublicKey) -> Result<()> {
    let funding = read(tranche, "fundingInvoice")?;
    let payout = read(tranche, "payoutInvoice")?;
    ensure!(
        funding.payment_hash() == payout.payment_hash(),
        "the funding invoice has another payment hash than the worker's: the node could take the money"
    );
    ensure!(
        funding.get_payee_pub_key() == *node,
        "the funding invoice is of {}, not of the node {node}",
        funding.get_payee_pub_key()
    );
    ensure!(payout.get_payee_pub_key() != *node, "the payout invoice is the node's own: it could pay itself");
    over(&funding, "funding", &tranche["holdSat"])?;
    over(&payout, "payout", &tranche["payoutSat"])
}

fn read(tranche: &Value, name: &str) -> Result<Bolt11Invoice> {
    let text = tranche[name].as_str().with_context(|| format!("there is no {name}"))?;
    text.parse().map_err(|error| anyhow::anyhow!("the {name} cannot be read: {error}"))
}

fn over(invoice: &Bolt11Invoice, what: &str, sat: &Value) -> Result<()> {
    let expected = Sat::try_new(sat.as_u64().context("an amount is missing")?)?.to_msat().get();
    let found = invoice.amount_milli_satoshis();
    ensure!(found == Some(expected), "the {what} invoice is over {found:?} msat, not {expected}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::{
        hashes::{Hash, sha256},
        secp256k1::{Secp256k1, SecretKey},
    };
    use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
    use serde_json::json;

    fn key(n: u8) -> SecretKey {
        SecretKey::from_slice(&[n; 32]).unwrap()
    }

    fn invoice(of: u8, hash: u8, msat: u64) -> String {
        let secp = Secp256k1::new();
        InvoiceBuilder::new(Currency::Regtest)
            .description(String::new())
            .payment_hash(sha256::Hash::from_byte_array([hash; 32]))
            .payment_secret(PaymentSecret([1; 32]))
            .duration_since_epoch(std::time::Duration::from_secs(1_700_000_000))
            .min_final_cltv_expiry_delta(144)
            .amount_milli_satoshis(msat)
            .build_signed(|message| secp.sign_ecdsa_recoverable(message, &key(of)))
            .unwrap()
            .to_string()
    }

    const NODE: u8 = 1;
    const WORKER: u8 = 2;
    const OTHER: u8 = 3;

    fn tranche(funding: String, payout: String) -> Value {
        json!({ "payoutSat": 1_000, "holdSat": 1_010, "fundingInvoice": funding, "payoutInvoice": payout })
    }

    #[test]
    fn only_what_is_locked_to_the_workers_hash_is_paid() {
        let node = PublicKey::from_secret_key(&Secp256k1::new(), &key(NODE)).to_string();
        let check = |tranches: &[Value]| check(&json!({ "tranches": tranches }), &node).map_err(|e| format!("{e:#}"));
        let good = |hash| tranche(invoice(NODE, hash, 1_010_000), invoice(WORKER, hash, 1_000_000));
        assert_eq!(check(&[good(7), good(8)]), Ok(()));
        let worker = || invoice(WORKER, 7, 1_000_000);
        for (expected, bad) in [
            ("another payment hash", tranche(invoice(NODE, 8, 1_010_000), worker())),
            ("not of the node", tranche(invoice(OTHER, 7, 1_010_000), worker())),
            ("the node's own", tranche(invoice(NODE, 7, 1_010_000), invoice(NODE, 7, 1_000_000))),
            ("funding invoice is over", tranche(invoice(NODE, 7, 1_010_001), worker())),
            ("payout invoice is over", tranche(invoice(NODE, 7, 1_010_000), invoice(WORKER, 7, 999_999))),
            ("cannot be read", tranche("lnbcrt1".into(), worker())),
            ("no payoutInvoice", json!({ "fundingInvoice": invoice(NODE, 7, 1_010_000) })),
        ] {
            let error = check(&[good(9), bad]).unwrap_err();
            assert!(error.contains(expected) && error.starts_with("tranche 2"), "{expected}: {error}");
        }
        assert!(check(&[]).is_err());
        assert!(super::check(&json!({ "tranches": [good(7)] }), "02ab").is_err());
    }
}
