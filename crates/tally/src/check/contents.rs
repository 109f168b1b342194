//! A fact's contents in words that stay the same: JSON with the names that the fields have in the rules.

use serde_json::{Value, json};
use std::fmt;
use tallystick_core::{Duration, Timestamp, canonical};
use tallystick_escrow::{Event, Policy, Terms, TrancheInvoice};

/// A body as a JSON object if it is one of escrow, else as hexadecimal digits.
pub(super) fn words(content: &[u8]) -> String {
    match canonical::decode::<Event>("escrow event", content) {
        Ok(event) => of_event(event).to_string(),
        Err(_) => content.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// Amounts are in msat, hashes and keys hexadecimal, times as [`Timestamp`] prints them.
fn of_event(event: Event) -> Value {
    match event {
        Event::TaskCreated { id, requester, terms, policy, hold_blocks, at } => json!({
            "id": id.to_string(), "requester": requester.to_string(), "terms": of_terms(&terms),
            "policy": of_policy(&policy), "hold_blocks": hold_blocks.0, "at": time(at),
        }),
        Event::TaskAccepted { worker, invoices } => {
            json!({ "worker": worker.to_string(), "invoices": all(&invoices, of_invoice) })
        }
        Event::FundingRequested { until } => json!({ "until": time(until) }),
        Event::HoldInvoiceMade { tranche, bolt11 } | Event::RenewalInvoiceMade { tranche, bolt11 } => {
            json!({ "tranche": tranche, "bolt11": bolt11 })
        }
        Event::HoldLocked { tranche, amount, claim_deadline }
        | Event::HoldRenewed { tranche, amount, claim_deadline } => {
            json!({ "tranche": tranche, "amount_msat": amount.get(), "claim_deadline": claim_deadline.0 })
        }
        Event::WorkSubmitted { milestone, work_hash, review_until } => {
            json!({ "milestone": milestone, "work_hash": work_hash, "review_until": time(review_until) })
        }
        Event::ReleaseBegun { milestone, tranches, reason } => {
            json!({ "milestone": milestone, "tranches": tranches, "reason": word(reason) })
        }
        Event::PayoutBegun { tranche, attempt, not_before } => {
            json!({ "tranche": tranche, "attempt": attempt, "not_before": time(not_before) })
        }
        Event::PayoutFailed { tranche, attempt, reason } => {
            json!({ "tranche": tranche, "attempt": attempt, "reason": word(reason) })
        }
        Event::PayoutPaid { tranche, fee } => json!({ "tranche": tranche, "fee_msat": fee.get() }),
        Event::HoldClaimed { tranche, amount } => json!({ "tranche": tranche, "amount_msat": amount.get() }),
        Event::RefundBegun { milestone, reason } => json!({ "milestone": milestone, "reason": word(reason) }),
        Event::TrancheRefundBegun { tranche }
        | Event::HoldReturned { tranche }
        | Event::HoldLost { tranche }
        | Event::RenewalRefused { tranche } => json!({ "tranche": tranche }),
        Event::TaskCancelled { by } => json!({ "by": by.to_string() }),
        Event::WorkRejected { milestone, reason_hash } => json!({ "milestone": milestone, "reason_hash": reason_hash }),
        Event::HoldSpent { tranche, fee } => json!({ "tranche": tranche, "fee_msat": fee.map(|fee| fee.get()) }),
        Event::RenewalOffered { milestone, invoices, until, in_time } => json!({
            "milestone": milestone, "invoices": all(&invoices, of_invoice), "until": time(until), "in_time": in_time,
        }),
        Event::ReplacedHoldReturned { tranche, hash } => json!({ "tranche": tranche, "hash": hash }),
        Event::OtherHoldSpent { tranche, hash, fee } => {
            json!({ "tranche": tranche, "hash": hash, "fee_msat": fee.map(|fee| fee.get()) })
        }
        // They say nothing but their kind; a new one that says more is not hidden.
        other => json!({ "event": word(other) }),
    }
}

fn of_terms(terms: &Terms) -> Value {
    let milestones = all(&terms.milestones, |part| {
        let payouts = all(&part.payouts, |payout| json!(payout.get()));
        json!({ "title": part.title, "payouts_sat": payouts, "work_deadline": time(part.work_deadline) })
    });
    json!({
        "title": terms.title,
        "description_hash": terms.description_hash,
        "milestones": milestones,
        "review_window_secs": secs(terms.review_window),
        "on_silence": terms.on_silence,
        "hold_blocks": terms.hold_blocks.map(|blocks| blocks.0),
        "renewal": terms.renewal,
    })
}

fn of_policy(policy: &Policy) -> Value {
    json!({
        "fee_rate_basis_points": policy.fee_rate.get(),
        "fee_min_sat": policy.fee_min.get(),
        "payout_min_sat": policy.payout_min.get(),
        "payout_max_sat": policy.payout_max.get(),
        "tranches_max": policy.tranches_max,
        "final_cltv_max_blocks": policy.final_cltv_max.0,
        "payout_cltv_max_blocks": policy.payout_cltv_max.0,
        "payee_final_cltv_max_blocks": policy.payee_final_cltv_max.0,
        "payout_margin_blocks": policy.payout_margin.0,
        "funding_window_secs": secs(policy.funding_window),
        "review_window_max_secs": secs(policy.review_window_max),
    })
}

fn of_invoice(invoice: &TrancheInvoice) -> Value {
    json!({ "bolt11": invoice.bolt11, "hash": invoice.hash, "expires_at": time(invoice.expires_at) })
}

fn all<T>(values: &[T], one: impl Fn(&T) -> Value) -> Vec<Value> {
    values.iter().map(one).collect()
}

fn time(at: Timestamp) -> String {
    at.to_string()
}

fn secs(span: Duration) -> u64 {
    span.as_millis() / 1_000
}

/// A variant's name as a code has it: `payout_failed`.
fn word(variant: impl fmt::Debug) -> String {
    let mut word = String::new();
    for letter in format!("{variant:?}").chars() {
        if letter.is_ascii_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.push(letter.to_ascii_lowercase());
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallystick_core::Digest32;
    use tallystick_escrow::RefundReason;
    use tallystick_testkit::escrow;

    #[test]
    fn contents_are_json_with_the_fields_names() {
        let of = |event: &Event| words(&canonical::encode(event));
        let refund = Event::RefundBegun { milestone: Some(1), reason: RefundReason::BlocksRanOut };
        assert_eq!(of(&refund), r#"{"milestone":1,"reason":"blocks_ran_out"}"#);
        let hash = Digest32([0xab; 32]);
        let submitted = Event::WorkSubmitted { milestone: 0, work_hash: hash, review_until: escrow::NOW };
        let made = format!(r#"{{"milestone":0,"review_until":"2027-01-15T08:00:00Z","work_hash":"{hash}"}}"#);
        assert_eq!(of(&submitted), made);
        assert_eq!(
            (of(&Event::TaskSettled), words(b"\xff\x00")),
            (r#"{"event":"task_settled"}"#.into(), "ff00".into())
        );
    }
}
