//! Laws about who has what, as the network knows it.

use std::collections::BTreeSet;
use tallystick_escrow::TrancheState;
use tallystick_testkit::rail::{HoldState, Outgoing};

use super::{Evidence, short};

pub(super) fn conserved(seen: &Evidence<'_>) -> Result<(), String> {
    let there = seen.rail.total_msat();
    let should = seen.total_msat;
    if there == should { Ok(()) } else { Err(format!("{there} msat are there, and {should} should be")) }
}

/// The rules promise that a payout never costs more than its hold brings. What arbitrators are paid comes out of the
/// platform's own money: `rewards` looks at that.
pub(super) fn platform(seen: &Evidence<'_>) -> Result<(), String> {
    let (before, now) = (seen.worth_before, seen.rail.node_worth_msat() + seen.books.spent_on_rewards(seen.payments));
    if now >= before {
        return Ok(());
    }
    Err(format!("the platform lost {} msat", before - now))
}

pub(super) fn once(seen: &Evidence<'_>) -> Result<(), String> {
    for task in &seen.books.changed {
        for (tranche, part) in seen.books.tranches(*task).iter().enumerate() {
            let of = format!("tranche {tranche} of task {task}");
            let hashes: Vec<_> = seen.books.hashes_of(*task, tranche).collect();
            let live = seen.payments.values().filter(|payment| hashes.contains(&payment.hash));
            let (mut paid, mut flying) = (0, 0);
            for payment in live {
                paid += u32::from(payment.state == Outgoing::Paid);
                flying += u32::from(payment.state == Outgoing::InFlight);
            }
            if paid + flying > 1 {
                return Err(format!("{of}: {paid} payouts arrived and {flying} are under way"));
            }
            let is_given_back = matches!(part.state, TrancheState::Returning | TrancheState::Returned);
            if is_given_back && paid + flying > 0 {
                return Err(format!("{of} is given back, and its worker is paid or being paid"));
            }
        }
    }
    Ok(())
}

pub(super) fn claim(seen: &Evidence<'_>) -> Result<(), String> {
    let taken = seen.holds.iter().filter(|(_, hold)| matches!(hold.state, HoldState::Claiming | HoldState::Claimed));
    for (hash, _) in taken {
        if !seen.payments.values().any(|payment| payment.hash == *hash && payment.state == Outgoing::Paid) {
            return Err(format!("the hold on {} was taken, and its payee was not paid", short(hash)));
        }
    }
    Ok(())
}

pub(super) fn covered(seen: &Evidence<'_>) -> Result<(), String> {
    let live = seen.payments.values().filter(|payment| !matches!(payment.state, Outgoing::Failed(_)));
    for payment in live.filter(|payment| !seen.books.rewards.contains_key(&payment.hash)) {
        let hold = seen.holds.get(&payment.hash).filter(|hold| hold.state != HoldState::Back);
        if hold.is_none_or(|hold| hold.amount.get() < payment.amount + payment.fee) {
            return Err(format!("the payout on {} is covered by nothing, or by too little", short(&payment.hash)));
        }
    }
    Ok(())
}

pub(super) fn deadline(seen: &Evidence<'_>) -> Result<(), String> {
    match seen.rail.failed_back().first() {
        Some(hash) => Err(format!("the hold on {} went back by itself, at its deadline", short(hash))),
        None => Ok(()),
    }
}

/// An arbitrator is paid once for a dispute, and as much as was said when it was opened.
pub(super) fn rewards(seen: &Evidence<'_>) -> Result<(), String> {
    let mut paid = BTreeSet::new();
    for payment in seen.payments.values().filter(|payment| !matches!(payment.state, Outgoing::Failed(_))) {
        let Some((dispute, arbitrator, reward)) = seen.books.rewards.get(&payment.hash) else { continue };
        if payment.amount != reward.get() {
            return Err(format!("an arbitrator is paid {} msat, and not {reward}", payment.amount));
        }
        if !paid.insert((dispute, arbitrator)) {
            return Err(format!("an arbitrator is paid twice for {dispute}"));
        }
    }
    Ok(())
}
