//! Whether a renewal's funding invoices are what the requester should pay: the same as when the task was funded, with the
//! worker's signed offer in place of the acceptance.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tallystick_core::NostrKey;
use tallystick_graphql::RenewalOffer;

use super::funding::{Known, Pair};

/// Checks the renewals of a milestone as the node shows them, with its `renewalOffer`: that the worker, whose key the
/// requester knows from the task's acceptance, signed these payout invoices for this milestone, and that each funding
/// invoice leads to one of them alone.
///
/// # Errors
/// A sentence that says what does not fit, or that there is nothing to pay.
pub fn check(task: &Value, milestone: u32, worker: NostrKey, known: &Known) -> Result<()> {
    let part = &task["milestones"][usize::try_from(milestone)?];
    let text = |name: &str| {
        let text = part["renewalOffer"][name].as_str();
        text.context("the node does not show the request with which the worker offered to renew the holds")
    };
    let offer = RenewalOffer::try_new(text("event")?, text("body")?)
        .context("the request that the node shows does not prove that a worker offered to renew the holds")?;
    ensure!(offer.worker == worker, "{} offered the renewal, not the worker {worker}", offer.worker);
    ensure!(offer.task == known.id, "the renewal is of the task {}, not {}", offer.task, known.id);
    ensure!(offer.milestone == milestone, "the renewal is of milestone {}, not {milestone}", offer.milestone);
    let open: Vec<&Value> =
        part["tranches"].as_array().into_iter().flatten().filter(|t| t["state"] == "HELD").collect();
    ensure!(open.iter().any(|tranche| tranche["renewal"].is_object()), "no hold of this milestone is to be renewed");
    let shown = open.iter().map(|tranche| match &tranche["renewal"] {
        Value::Object(renewal) => renewal.get("payoutInvoice").and_then(Value::as_str),
        // Renewed already: the offer's invoice is its own now.
        _ => tranche["payoutInvoice"].as_str(),
    });
    ensure!(
        shown.eq(offer.invoices.iter().map(|text| Some(text.as_str()))),
        "the payout invoices are not those that the worker signed: the node could pay itself"
    );
    for (number, tranche) in open.iter().enumerate().filter(|(_, tranche)| tranche["renewal"].is_object()) {
        let pair = Pair::read(tranche, &tranche["renewal"]).and_then(|pair| pair.check(task, known, None));
        pair.with_context(|| format!("undecided tranche {}", number + 1))?;
    }
    Ok(())
}
