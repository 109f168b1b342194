//! Foreign input: each kind of nonsense has a code of its own, and changes nothing.

use anyhow::{Context, Result};
use bitcoin::{
    hashes::{Hash, sha256},
    secp256k1::{SECP256K1, SecretKey},
};
use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tally::ask::documents;

use crate::{
    driver::code_of,
    support::{Authenticator, Theatre},
};

const PAYOUT_SAT: u64 = 10_000;
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// An invoice as a hostile worker may make it.
struct Forged {
    currency: Currency,
    amount_msat: Option<u64>,
    age: Duration,
    expiry: Duration,
    final_cltv: u64,
    hash: u8,
}

impl Forged {
    fn good(hash: u8) -> Self {
        let (currency, amount_msat) = (Currency::Regtest, Some(PAYOUT_SAT * 1_000));
        Self { currency, amount_msat, age: Duration::ZERO, expiry: WEEK, final_cltv: 42, hash }
    }

    fn text(&self) -> Result<String> {
        let key = SecretKey::from_slice(&[7; 32])?;
        let made_at = SystemTime::now().duration_since(UNIX_EPOCH)? - self.age;
        let builder = InvoiceBuilder::new(self.currency.clone())
            .description("forged".to_owned())
            .payment_hash(sha256::Hash::hash(&[self.hash]))
            .payment_secret(PaymentSecret([1; 32]))
            .duration_since_epoch(made_at)
            .expiry_time(self.expiry)
            .min_final_cltv_expiry_delta(self.final_cltv);
        let builder = match self.amount_msat {
            Some(amount) => builder.amount_milli_satoshis(amount),
            None => builder,
        };
        let invoice = builder.build_signed(|hash| SECP256K1.sign_ecdsa_recoverable(hash, &key));
        Ok(invoice.map_err(|error| anyhow::anyhow!("{error:?}"))?.to_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_invoices_have_their_codes_and_change_nothing() -> Result<()> {
    let theatre = Theatre::open(&[]).await?;
    let stage = &theatre.stage;
    let first = stage.post("The first", &[PAYOUT_SAT], "REFUND").await?;
    let used = Forged::good(1).text()?;
    stage.worker.api.accept(id_of(&first)?, std::slice::from_ref(&used)).await?;

    let second = stage.post("The second", &[PAYOUT_SAT], "REFUND").await?;
    let (id, second) = (id_of(&second)?, lasting(second.clone()));
    let own = "mutation { nodeInvoice(amountMsat: \"10000000\", description: \"x\", expirySecs: 604800) }";
    let own = stage.platform.operator().ask("nodeInvoice", own, json!({})).await?;
    let own = own.as_str().context("an invoice is text")?.to_owned();
    let mut spoilt = Forged::good(2).text()?;
    let last = spoilt.pop().context("an invoice has a checksum")?;
    spoilt.push(if last == 'q' { 'p' } else { 'q' });
    let cases: Vec<(&str, Vec<String>)> = vec![
        ("invoice.malformed", vec!["lnbcrt1nonsense".into()]),
        ("invoice.malformed", vec![String::new()]),
        ("invoice.malformed", vec![spoilt]),
        ("invoice.too_long", vec!["lnbcrt1".repeat(2_000)]),
        ("invoice.wrong_network", vec![Forged { currency: Currency::Bitcoin, ..Forged::good(3) }.text()?]),
        ("invoice.amountless", vec![Forged { amount_msat: None, ..Forged::good(3) }.text()?]),
        ("invoice.wrong_amount", vec![Forged { amount_msat: Some(9_999_999), ..Forged::good(3) }.text()?]),
        ("invoice.expired", vec![Forged { age: WEEK * 2, ..Forged::good(3) }.text()?]),
        ("invoice.expires_soon", vec![Forged { expiry: Duration::from_secs(60), ..Forged::good(3) }.text()?]),
        ("invoice.final_cltv", vec![Forged { final_cltv: 1_000, ..Forged::good(3) }.text()?]),
        ("invoice.to_self", vec![own]),
        ("invoice.hash_reused", vec![used]),
        ("invoice.count", vec![]),
        ("invoice.count", vec![Forged::good(3).text()?, Forged::good(4).text()?]),
    ];
    for (code, invoices) in cases {
        assert_eq!(code_of(stage.worker.api.accept(id, &invoices).await), code);
        assert_eq!(lasting(stage.worker.api.task(id).await?), second, "{code} changed the task");
    }
    let good = [Forged::good(3).text()?];
    assert_eq!(code_of(stage.requester.api.accept(id, &good).await), "escrow.own_task");
    // No refusal has taken a hash: the very ones that were refused are still free.
    stage.worker.api.accept(id, &good).await?;
    let third = stage.post("The third", &[PAYOUT_SAT; 2], "REFUND").await?;
    stage.worker.api.accept(id_of(&third)?, &[Forged::good(4).text()?, Forged::good(2).text()?]).await?;
    theatre.close().await
}

/// Whoever pays a hash learns its preimage: what the operator pays by hand must never touch what is held for a task.
#[tokio::test(flavor = "multi_thread")]
async fn a_bill_of_the_operators_and_a_task_never_share_a_hash() -> Result<()> {
    let theatre = Theatre::open(&[]).await?;
    let stage = &theatre.stage;
    let pay = "mutation($invoice: String!, $code: String!) { nodePay(invoice: $invoice, feeLimitMsat: \"1000\", \
               secondFactor: { code: $code }) { status } }";
    let admin = stage.platform.operator();
    let authenticator = Authenticator::enrol(admin).await?;
    let by_hand = async |invoice: &str| {
        admin.ask("nodePay", pay, json!({ "invoice": invoice, "code": authenticator.next() })).await
    };
    let before = stage.purses().await?;

    // A task's invoice is handed to the operator as an ordinary bill.
    let first = stage.post("Held", &[PAYOUT_SAT], "REFUND").await?;
    stage.take(id_of(&first)?, &[PAYOUT_SAT]).await?;
    let funded = stage.requester.api.fund(id_of(&first)?).await?;
    stage.pay(&funded)?;
    let held = stage.until_state(id_of(&first)?, "HELD").await?;
    let bill =
        held["milestones"][0]["tranches"][0]["payoutInvoice"].as_str().context("the requester may see the invoice")?;
    assert_eq!(code_of(by_hand(bill).await), "invoice.hash_reused");
    stage.requester.api.cancel(id_of(&first)?).await?;
    stage.until_state(id_of(&first)?, "REFUNDED").await?;
    assert_eq!(stage.purses().await?, before, "nothing moved");

    // A bill that was paid is handed in for a task: its preimage is known.
    let expiry = tallystick_core::Duration::from_secs(WEEK.as_secs());
    let amount = tallystick_core::Msat::try_new(PAYOUT_SAT * 1_000)?;
    let bill = stage.worker.party.invoice(amount, expiry).await?;
    assert_eq!(by_hand(&bill).await?["status"], "SUCCEEDED");
    let second = stage.post("Never to be held", &[PAYOUT_SAT], "REFUND").await?;
    assert_eq!(code_of(stage.worker.api.accept(id_of(&second)?, &[bill]).await), "invoice.hash_reused");
    theatre.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn anothers_task_is_not_ones_own() -> Result<()> {
    let theatre = Theatre::open(&[]).await?;
    let stage = &theatre.stage;
    let (requester, worker) = (&stage.requester.api, &stage.worker.api);
    let task = stage.post("Mine", &[PAYOUT_SAT], "REFUND").await?;
    let id = id_of(&task)?;
    assert_eq!(code_of(worker.cancel(id).await), "escrow.not_party");
    assert_eq!(code_of(worker.fund(id).await), "escrow.not_requester");
    assert_eq!(code_of(worker.approve(id, 0, None).await), "escrow.not_requester");
    assert_eq!(code_of(requester.submit(id, 0, &"ab".repeat(32)).await), "escrow.not_worker");
    assert_eq!(code_of(requester.fund("01890000-0000-7000-8000-000000000000").await), "escrow.not_found");
    let balances = "{ node { balances { channelsMsat } } }";
    assert_eq!(code_of(requester.ask("node", balances, json!({})).await), "auth.not_operator");
    assert_eq!(lasting(requester.task(id).await?), lasting(task.clone()), "a refused request changed the task");
    let listed = requester.ask("tasks", &documents::tasks(), json!({ "filter": {}, "first": 10 })).await?;
    assert_eq!(listed["nodes"].as_array().map(Vec::len), Some(1));
    theatre.close().await
}

/// A task without what moves with the clock: an open one tells until when an invoice that is made now must be payable,
/// and how long it is still open.
fn lasting(mut task: Value) -> Value {
    task["invoiceExpiryNeeded"] = Value::Null;
    task["secondsToExpire"] = Value::Null;
    task
}

fn id_of(task: &Value) -> Result<&str> {
    task["id"].as_str().context("a task has an id")
}
