//! Whether the invoice for a worker's bond is what the worker should pay: the same as what a requester checks, with the
//! requester's signed invoice in place of the worker's.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tallystick_graphql::BondOffer;

use super::{
    bond,
    funding::{Known, Pair},
    terms,
};

/// Checks the worker's bond as the node shows it, with the task's `posting` and `bondOffer`: that the requester signed these
/// terms, and this invoice to which the bond would be paid, and that the funding invoice leads to it alone.
///
/// # Errors
/// A sentence that says what does not fit, or that there is nothing to pay.
pub fn check(task: &Value, known: &Known) -> Result<()> {
    let posting = terms::check(task, known.id)?;
    let hold = bond(task, "WORKER").context("the task asks its worker for no bond")?;
    let text = |name: &str| {
        let text = task["bondOffer"][name].as_str();
        text.context("the node does not show the request with which the requester asked for your bond")
    };
    let offer = BondOffer::try_new(text("event")?, text("body")?)
        .context("the request that the node shows does not prove to whom your bond would be paid")?;
    let requester = posting.requester;
    ensure!(offer.requester == requester, "{} asked for your bond, not the requester {requester}", offer.requester);
    ensure!(offer.task == known.id, "the bond is of the task {}, not {}", offer.task, known.id);
    ensure!(
        hold["payoutInvoice"].as_str() == Some(&offer.invoice),
        "the bond's payout invoice is not the one that the requester signed: the node could pay itself"
    );
    Pair::read(hold, hold)?.check(task, known, posting.terms.work_over())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::{
        funding::tests::{
            DELTA, ID, NODE, OTHER, OTHER_ID, REQUESTER, Spec, WORKER, funding, payout, public, secret, signed,
        },
        terms::tests::{NOW, posted, posted_with_bonds},
    };
    use bitcoin::secp256k1::{PublicKey, Secp256k1};
    use serde_json::json;
    use std::time::Duration;

    fn bond_invoice() -> String {
        Spec { of: REQUESTER, hash: 9, sat: 200, ..payout() }.text()
    }

    /// A requester's request, as our client sends it.
    fn asked(by: u8, id: &str, invoice: &str) -> Value {
        let query =
            "mutation($id: UUID!, $invoice: String!) { fundingInvoice(id: $id, bondInvoice: $invoice) { changed } }";
        signed(by, &json!({ "query": query, "variables": { "id": id, "invoice": invoice } }).to_string())
    }

    fn task(funding: Spec, shown: &str) -> Value {
        let mut task = posted_with_bonds();
        task["finalCltvDelta"] = json!(DELTA);
        task["bondOffer"] = asked(REQUESTER, ID, &bond_invoice());
        task["bonds"][1]["hold"] =
            json!({ "payoutSat": 200, "holdSat": 202, "fundingInvoice": funding.text(), "payoutInvoice": shown });
        task
    }

    fn checked(task: &Value) -> Result<(), String> {
        let node = PublicKey::from_secret_key(&Secp256k1::new(), &secret(NODE));
        let (id, requester, now) = (ID.parse().unwrap(), public(WORKER), Duration::from_secs(NOW));
        let known = Known { id, node, requester, fee_percent_max: 1, worker: None, now };
        check(task, &known).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_worker_pays_only_what_leads_to_the_requester() {
        let good = || Spec { hash: 9, sat: 202, ..funding() };
        assert_eq!(checked(&task(good(), &bond_invoice())), Ok(()));
        let foreign = Spec { of: OTHER, hash: 9, sat: 200, ..payout() }.text();
        let offered = |offer: Value, shown: &str| {
            let mut task = task(good(), shown);
            task["bondOffer"] = offer;
            task
        };
        for (expected, bad) in [
            ("another payment hash", task(Spec { hash: 8, ..good() }, &bond_invoice())),
            ("not of the node", task(Spec { of: OTHER, ..good() }, &bond_invoice())),
            ("not the one that the requester signed", task(good(), &foreign)),
            ("not the requester", offered(asked(OTHER, ID, &foreign), &foreign)),
            ("the bond is of the task", offered(asked(REQUESTER, OTHER_ID, &bond_invoice()), &bond_invoice())),
            ("does not show", offered(Value::Null, &bond_invoice())),
            ("does not prove", offered(posted()["posting"].clone(), &bond_invoice())),
            ("asks its worker for no bond", posted()),
        ] {
            let error = checked(&bad).unwrap_err();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
