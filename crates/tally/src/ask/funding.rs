//! Whether funding invoices are what the requester should pay.
//!
//! That the node cannot take the money rests on three things that a requester can check. What is paid is locked to the
//! hash of the payout invoice, so that the node gets it only by paying that invoice. That invoice is the worker's: the
//! worker signed it for this task, with the key that the requester knows. And it is over what the requester posted, so
//! that the node gets no more than its fee. Everything comes from the node, which may lie.

use anyhow::{Context, Result, ensure};
use bitcoin::secp256k1::PublicKey;
use lightning_invoice::Bolt11Invoice;
use serde_json::Value;
use std::time::Duration;
use tallystick_core::{Id, NostrKey, Sat, Timestamp};
use tallystick_escrow::Task;
use tallystick_graphql::Acceptance;

use super::{bond, terms, tranches};

/// The average time of a block.
const HOLD_BLOCK: Duration = Duration::from_secs(600);

/// The most blocks that a payment may be locked for at all, whatever is said of the work: the usual ceiling of wallets.
const LOCK_BLOCKS_MAX: u64 = 1_008;
/// The most blocks that a payment may be locked for beyond the hold: for the payout's route and its end on the chain, of which a
/// node has 378 unless its operator wants others.
const RESERVE_BLOCKS_MAX: u64 = 500;

/// What the requester knows without the node's help.
pub struct Known {
    /// The task.
    pub id: Id<Task>,
    /// The node's public key on Lightning.
    pub node: PublicKey,
    /// Who posted the task.
    pub requester: NostrKey,
    /// The most that the node may keep of a tranche, in percent of its payout.
    pub fee_percent_max: u64,
    /// Who is to work, if that is known.
    pub worker: Option<NostrKey>,
    /// The time, since the Unix epoch.
    pub now: Duration,
}

/// Checks a task as the node shows it, with its `posting` and `acceptance`: that the requester signed these terms, and
/// the worker's key these payout invoices for this task; and of each tranche, and of the requester's bond, that both invoices have one payment hash and
/// one network and can be paid in time, that the funding invoice is the node's own, over payout and no more than the
/// allowed fee, for as many blocks as the task says, and that the payout invoice is over the payout and not the node's.
/// Answers the worker's key.
///
/// # Errors
/// A sentence that says what does not fit.
pub fn check(task: &Value, known: &Known) -> Result<NostrKey> {
    let tranches: Vec<&Value> = tranches(task).collect();
    ensure!(!tranches.is_empty(), "the task has no tranches");
    let posting = terms::check(task, known.id)?;
    ensure!(posting.requester == known.requester, "{} posted the task, not you", posting.requester);
    let worker = check_invoices(task, &tranches, known)?;
    // A hold that can be renewed is the first of several: its payout invoice need not outlive the work.
    let work_over = posting.terms.work_over();
    for (number, tranche) in tranches.iter().enumerate() {
        let pair = Pair::read(tranche, tranche).and_then(|pair| pair.check(task, known, work_over));
        pair.with_context(|| format!("tranche {}", number + 1))?;
    }
    if let Some(hold) = bond(task, "REQUESTER") {
        let pair = Pair::read(hold, hold).and_then(|pair| pair.check(task, known, work_over));
        pair.context("your bond")?;
    }
    Ok(worker)
}

/// Checks that whoever the node names as the worker signed that they take this task, and is the one that the requester
/// knows. Answers the key, and the invoices that were signed.
///
/// # Errors
/// A sentence that says what does not fit.
fn check_acceptance(task: &Value, known: &Known) -> Result<(NostrKey, Vec<String>)> {
    let part = |name: &str| {
        let text = task["acceptance"][name].as_str();
        text.context("the node does not show the request with which the worker took the task")
    };
    let acceptance = Acceptance::try_new(part("event")?, part("body")?)
        .context("the request that the node shows does not prove that a worker took the task")?;
    let Acceptance { worker, task: taken, invoices } = acceptance;
    if let Some(expected) = known.worker {
        ensure!(worker == expected, "{worker} took the task, not {expected}");
    }
    ensure!(
        task["worker"].as_str() == Some(&worker.to_string()),
        "{worker} took the task, but the node names {} as its worker",
        task["worker"]
    );
    ensure!(taken == known.id, "the worker took the task {taken}, not {}", known.id);
    Ok((worker, invoices))
}

/// The worker's key, if the acceptance that the node shows is the worker's own.
///
/// # Errors
/// A sentence that says what does not fit.
pub fn check_worker(task: &Value, known: &Known) -> Result<NostrKey> {
    check_acceptance(task, known).map(|(worker, _)| worker)
}

fn check_invoices(task: &Value, tranches: &[&Value], known: &Known) -> Result<NostrKey> {
    let (worker, invoices) = check_acceptance(task, known)?;
    // The worker hands in an invoice for the requester's bond after all others.
    let shown = tranches.iter().copied().chain(bond(task, "REQUESTER")).map(|hold| hold["payoutInvoice"].as_str());
    ensure!(
        shown.eq(invoices.iter().map(|text| Some(&**text))),
        "the payout invoices are not those that the worker signed: the node could pay itself"
    );
    Ok(worker)
}

/// A tranche's two invoices.
pub(super) struct Pair {
    funding: Bolt11Invoice,
    payout: Bolt11Invoice,
    hold_sat: u64,
    payout_sat: u64,
}

impl Pair {
    /// Reads the invoices that `holder` shows, for the amounts of `tranche`.
    ///
    /// # Errors
    /// A sentence that says what cannot be read, or is over another amount.
    pub fn read(tranche: &Value, holder: &Value) -> Result<Self> {
        let funding = read(holder, "fundingInvoice")?;
        let payout = read(holder, "payoutInvoice")?;
        let hold_sat = over(&funding, "funding", &tranche["holdSat"])?;
        let payout_sat = over(&payout, "payout", &tranche["payoutSat"])?;
        Ok(Self { funding, payout, hold_sat, payout_sat })
    }

    /// Checks that paying one leads to the other alone, for no more than the allowed fee, and in time. `work_over` is when
    /// a hold that cannot be renewed must have been decided on.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub fn check(&self, task: &Value, known: &Known, work_over: Option<Timestamp>) -> Result<()> {
        let Self { funding, payout, hold_sat, payout_sat } = self;
        let node = &known.node;
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
        let (fee, percent) = (hold_sat.saturating_sub(*payout_sat), known.fee_percent_max);
        ensure!(
            u128::from(fee) * 100 <= u128::from(*payout_sat) * u128::from(percent),
            "the node would keep {fee} of {hold_sat} sat, more than {percent} % of the payout; `--fee-percent-max` allows \
             more"
        );
        ensure!(funding.network() == payout.network(), "the two invoices are for different networks");
        self.check_time(task, known.now, work_over)
    }

    /// That both invoices can be paid when they have to be, and that the money is locked for as long as was agreed.
    fn check_time(&self, task: &Value, now: Duration, work_over: Option<Timestamp>) -> Result<()> {
        ensure!(!self.funding.would_expire(now), "the funding invoice has expired");
        let number = |name: &str| task[name].as_u64().with_context(|| format!("the task has no {name}"));
        let late = match work_over {
            Some(over) => Duration::from_secs(over.as_secs()),
            None => now.saturating_add(HOLD_BLOCK * u32::try_from(number("holdBlocks")?)?),
        };
        ensure!(
            !self.payout.would_expire(late.max(now)),
            "the payout invoice expires before the work may be decided on"
        );
        let (expected, found) = (number("finalCltvDelta")?, self.funding.min_final_cltv_expiry_delta());
        ensure!(found == expected, "the funding invoice locks the money for {found} blocks, not {expected}");
        // How many blocks were agreed, `terms` has compared; what comes on top is the node's own number.
        let on_top = expected.saturating_sub(number("holdBlocks")?);
        ensure!(found <= LOCK_BLOCKS_MAX, "the money would be locked for {found} blocks; {LOCK_BLOCKS_MAX} are a week");
        ensure!(
            on_top <= RESERVE_BLOCKS_MAX,
            "the node locks the money for {on_top} blocks more than the hold is for, and {RESERVE_BLOCKS_MAX} are enough"
        );
        Ok(())
    }
}

fn read(tranche: &Value, name: &str) -> Result<Bolt11Invoice> {
    let text = tranche[name].as_str().with_context(|| format!("there is no {name}"))?;
    text.parse().map_err(|error| anyhow::anyhow!("the {name} cannot be read: {error}"))
}

/// What the invoice is over, in sat, if that is what the node shows.
fn over(invoice: &Bolt11Invoice, what: &str, shown: &Value) -> Result<u64> {
    let sat = Sat::try_new(shown.as_u64().context("an amount is missing")?)?;
    let (expected, found) = (sat.to_msat().get(), invoice.amount_milli_satoshis());
    ensure!(found == Some(expected), "the {what} invoice is over {found:?} msat, not {expected}");
    Ok(sat.get())
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::ask::terms::tests::{NOW, posted, posted_with_bonds};
    use base64::{Engine, engine::general_purpose::STANDARD};
    use bitcoin::{
        hashes::{Hash, sha256},
        secp256k1::{Secp256k1, SecretKey},
    };
    use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
    use nostr::key::Keys;
    use serde_json::json;
    use tallystick_graphql::sign;

    pub const ID: &str = "0193b1f4-7c3e-7000-8000-0123456789ab";
    pub const OTHER_ID: &str = "0193b1f4-7c3e-7000-8000-0123456789ac";
    pub const DELTA: u64 = 300;
    pub const NODE: u8 = 1;
    pub const WORKER: u8 = 2;
    pub const OTHER: u8 = 3;
    pub const REQUESTER: u8 = 4;

    pub fn secret(n: u8) -> SecretKey {
        SecretKey::from_slice(&[n; 32]).unwrap()
    }

    fn nostr_keys(n: u8) -> Keys {
        Keys::parse(&secret(n).display_secret().to_string()).unwrap()
    }

    pub fn public(n: u8) -> NostrKey {
        NostrKey::try_new(nostr_keys(n).public_key().to_bytes()).unwrap()
    }

    pub struct Spec {
        pub of: u8,
        pub hash: u8,
        pub sat: u64,
        pub currency: Currency,
        pub life: u64,
        pub delta: u64,
    }

    pub fn funding() -> Spec {
        Spec { of: NODE, hash: 7, sat: 1_010, currency: Currency::Regtest, life: 3_600, delta: DELTA }
    }

    pub fn payout() -> Spec {
        Spec { of: WORKER, hash: 7, sat: 1_000, currency: Currency::Regtest, life: 100_000, delta: 18 }
    }

    impl Spec {
        pub fn text(self) -> String {
            let secp = Secp256k1::new();
            InvoiceBuilder::new(self.currency)
                .description(String::new())
                .payment_hash(sha256::Hash::from_byte_array([self.hash; 32]))
                .payment_secret(PaymentSecret([1; 32]))
                .duration_since_epoch(Duration::from_secs(NOW))
                .expiry_time(Duration::from_secs(self.life))
                .min_final_cltv_expiry_delta(self.delta)
                .amount_milli_satoshis(self.sat * 1_000)
                .build_signed(|message| secp.sign_ecdsa_recoverable(message, &secret(self.of)))
                .unwrap()
                .to_string()
        }
    }

    /// A worker's request, as our client sends it.
    fn body(id: &str, invoices: &[&str]) -> String {
        let query =
            "mutation($id: UUID!, $invoices: [String!]!) { acceptTask(id: $id, invoices: $invoices) { changed } }";
        json!({ "query": query, "variables": { "id": id, "invoices": invoices } }).to_string()
    }

    pub fn signed(by: u8, body: &str) -> Value {
        let url = "https://tally.example/graphql";
        let header =
            sign::authorization(&nostr_keys(by), url, "POST", Some(body.as_bytes()), Timestamp::from_secs(NOW));
        let event = STANDARD.decode(header.unwrap().trim_start_matches("Nostr ")).unwrap();
        json!({ "event": String::from_utf8(event).unwrap(), "body": body })
    }

    /// A task with one tranche, accepted by the worker with this very invoice.
    fn task(funding: Spec, payout: Spec) -> Value {
        let (funding, payout) = (funding.text(), payout.text());
        let acceptance = signed(WORKER, &body(ID, &[&payout]));
        let mut task = posted();
        task["worker"] = json!(public(WORKER));
        task["acceptance"] = acceptance;
        task["finalCltvDelta"] = json!(DELTA);
        task["milestones"][0]["tranches"] =
            json!([{ "payoutSat": 1_000, "holdSat": 1_010, "fundingInvoice": funding, "payoutInvoice": payout }]);
        task
    }

    fn checked(task: &Value, worker: Option<u8>, now: u64) -> Result<NostrKey, String> {
        let node = PublicKey::from_secret_key(&Secp256k1::new(), &secret(NODE));
        let now = Duration::from_secs(now);
        let requester = public(REQUESTER);
        let known =
            Known { id: ID.parse().unwrap(), node, requester, fee_percent_max: 1, worker: worker.map(public), now };
        check(task, &known).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn only_what_is_locked_to_the_workers_hash_is_paid() {
        assert_eq!(checked(&task(funding(), payout()), Some(WORKER), NOW), Ok(public(WORKER)));
        for (expected, bad) in [
            ("another payment hash", task(Spec { hash: 8, ..funding() }, payout())),
            ("not of the node", task(Spec { of: OTHER, ..funding() }, payout())),
            ("the node's own", task(funding(), Spec { of: NODE, ..payout() })),
            ("funding invoice is over", task(Spec { sat: 1_011, ..funding() }, payout())),
            ("payout invoice is over", task(funding(), Spec { sat: 999, ..payout() })),
            ("different networks", task(Spec { currency: Currency::Bitcoin, ..funding() }, payout())),
            ("has expired", task(Spec { life: 0, ..funding() }, payout())),
            ("expires before", task(funding(), Spec { life: 80_000, ..payout() })),
            ("locks the money for 301 blocks", task(Spec { delta: DELTA + 1, ..funding() }, payout())),
        ] {
            let error = checked(&bad, None, NOW + 1).unwrap_err();
            assert!(error.contains(expected) && error.starts_with("tranche 1"), "{expected}: {error}");
        }
        // Nor for longer than any wallet would, whatever the hold is said to be for.
        let mut bad = task(Spec { delta: 1_009, ..funding() }, payout());
        bad["finalCltvDelta"] = json!(1_009);
        assert!(checked(&bad, None, NOW).unwrap_err().contains("1008 are a week"));
        // The node's own numbers agree with each other, and not with what was signed.
        let mut bad = task(Spec { delta: 701, ..funding() }, payout());
        bad["finalCltvDelta"] = json!(701);
        assert!(checked(&bad, None, NOW).unwrap_err().contains("501 blocks more than the hold is for"));
        bad["holdBlocks"] = json!(201);
        assert!(checked(&bad, None, NOW).unwrap_err().contains("holdBlocks is 201, but 200 was posted"));
        for (expected, name, value) in [
            ("cannot be read", "fundingInvoice", json!("lnbcrt1")),
            ("no fundingInvoice", "fundingInvoice", Value::Null),
            ("not those that the worker signed", "payoutInvoice", Value::Null),
        ] {
            let mut bad = task(funding(), payout());
            bad["milestones"][0]["tranches"][0][name] = value;
            assert!(checked(&bad, None, NOW).unwrap_err().contains(expected), "{expected}");
        }
        let mut bad = task(funding(), payout());
        bad["milestones"][0]["tranches"] = json!([]);
        assert!(checked(&bad, None, NOW).is_err());
        let mut dear = task(Spec { sat: 1_011, ..funding() }, payout());
        dear["milestones"][0]["tranches"][0]["holdSat"] = json!(1_011);
        assert!(checked(&dear, None, NOW).unwrap_err().contains("would keep 11 of 1011 sat"));
    }

    /// The requester's bond goes to an invoice that the worker signed, or back.
    #[test]
    fn a_requesters_bond_is_checked_as_the_pay_is() {
        let task = |funding: Spec, bond: &str| {
            let mut task = posted_with_bonds();
            let hold = |sat: u64, funding: String, payout: &str| json!({ "payoutSat": sat, "holdSat": sat + sat / 100, "fundingInvoice": funding, "payoutInvoice": payout });
            let (work, own) = (payout().text(), Spec { hash: 8, sat: 300, ..payout() }.text());
            task["worker"] = json!(public(WORKER));
            task["acceptance"] = signed(WORKER, &body(ID, &[&work, &own]));
            task["finalCltvDelta"] = json!(DELTA);
            task["milestones"][0]["tranches"] = json!([hold(1_000, self::funding().text(), &work)]);
            task["bonds"][0]["hold"] = hold(300, funding.text(), if bond.is_empty() { &own } else { bond });
            task
        };
        let good = || Spec { hash: 8, sat: 303, ..funding() };
        assert_eq!(checked(&task(good(), ""), None, NOW), Ok(public(WORKER)));
        let foreign = Spec { of: OTHER, hash: 8, sat: 300, ..payout() }.text();
        for (expected, bad) in [
            ("not those that the worker signed", task(good(), &foreign)),
            ("your bond: the funding invoice has another payment hash", task(Spec { hash: 7, ..good() }, "")),
            ("your bond: the funding invoice is over", task(Spec { sat: 304, ..good() }, "")),
        ] {
            let error = checked(&bad, None, NOW).unwrap_err();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    /// A node that tells the worker of a smaller payout than the requester posted, to keep the rest.
    #[test]
    fn what_is_paid_out_is_what_was_posted() {
        let mut less = task(funding(), Spec { sat: 900, ..payout() });
        less["milestones"][0]["tranches"][0]["payoutSat"] = json!(900);
        assert!(checked(&less, None, NOW).unwrap_err().contains("not those that were posted"));
        let mut of_other = task(funding(), payout());
        of_other["requester"] = json!(public(OTHER));
        let body = of_other["posting"]["body"].as_str().unwrap().to_owned();
        of_other["posting"] = signed(OTHER, &body);
        assert!(checked(&of_other, None, NOW).unwrap_err().contains("posted the task, not you"));
    }

    /// A node that would pay itself: its invoices fit each other, and the worker's word does not.
    #[test]
    fn a_lying_node_is_not_paid() {
        let own = || Spec { of: OTHER, ..payout() };
        let good = || payout().text();
        let lie = |acceptance: Value| {
            let mut task = task(funding(), own());
            task["acceptance"] = acceptance;
            task
        };
        let of_worker = |body: &str| lie(signed(WORKER, body));
        let mut tampered = signed(WORKER, &body(ID, &[&good()]));
        tampered["body"] = json!(body(ID, &[&own().text()]));
        let mut forged = signed(WORKER, &body(ID, &[&own().text()]));
        let sig = forged["event"].as_str().unwrap().replace("\"sig\":\"", "\"sig\":\"00");
        forged["event"] = json!(sig);
        for (expected, bad) in [
            ("not those that the worker signed", of_worker(&body(ID, &[&good()]))),
            ("not those that the worker signed", of_worker(&body(ID, &[]))),
            ("not those that the worker signed", of_worker(&body(ID, &[&own().text(), &good()]))),
            ("but the node names", lie(signed(OTHER, &body(ID, &[&own().text()])))),
            ("the worker took the task", of_worker(&body(OTHER_ID, &[&own().text()]))),
            ("SHA-256 of the body", lie(tampered)),
            ("id or signature", lie(forged)),
            ("does not show", lie(Value::Null)),
            ("changes nothing", of_worker(&json!({ "query": "{ task(id: \"x\") { id } }" }).to_string())),
            ("does not take a task", of_worker(&json!({ "query": "mutation { a }" }).to_string())),
            ("one JSON object", of_worker("{")),
        ] {
            let error = checked(&bad, None, NOW).unwrap_err();
            assert!(error.contains(expected), "{expected}: {error}");
        }
        let mut stranger = task(funding(), own());
        stranger["acceptance"] = signed(OTHER, &body(ID, &[&own().text()]));
        stranger["worker"] = json!(public(OTHER));
        assert_eq!(checked(&stranger, None, NOW), Ok(public(OTHER)), "somebody took it, and is shown");
        assert!(checked(&stranger, Some(WORKER), NOW).unwrap_err().contains("took the task, not"));
    }
}
