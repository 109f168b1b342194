//! Laws for when nothing is left to do, and for the end.

use std::collections::BTreeSet;
use tallystick_core::PaymentHash;
use tallystick_escrow::{Effect, Phase, State, TrancheState};
use tallystick_testkit::rail::{HoldState, NODE_MSAT_START, Outgoing};

use super::{Evidence, short};

/// The wallets of a task's parties.
pub(crate) fn wallets(task: usize) -> (String, String) {
    (format!("requester {task}"), format!("worker {task}"))
}

pub(super) fn holds(seen: &Evidence<'_>) -> Result<(), String> {
    let held =
        |state: TrancheState| matches!(state, TrancheState::Held { .. } | TrancheState::Paying { covered: true, .. });
    let in_journal: BTreeSet<PaymentHash> =
        seen.books.all().filter(|(_, _, part)| held(part.state)).map(|(_, _, part)| part.hash).collect();
    let locked = seen.holds.iter().filter(|(_, hold)| matches!(hold.state, HoldState::Held | HoldState::Claiming));
    let in_network: BTreeSet<PaymentHash> = locked.map(|(hash, _)| *hash).collect();
    if let Some(hash) = in_network.difference(&in_journal).next() {
        let of = seen.books.hashes.get(hash);
        return Err(format!("{} is held ({of:?}: task, tranche), and the journal holds no such thing", short(hash)));
    }
    match in_journal.difference(&in_network).next() {
        Some(hash) => Err(format!("the journal holds {}, and the network does not", short(hash))),
        None => Ok(()),
    }
}

pub(super) fn due(seen: &Evidence<'_>) -> Result<(), String> {
    match seen.due.first() {
        Some(task) => Err(format!("task {task} is due at {} and {}, and stays so", seen.now, seen.height)),
        None => Ok(()),
    }
}

pub(super) fn outbox(seen: &Evidence<'_>) -> Result<(), String> {
    match seen.pending.iter().find(|effect| !matches!(effect, Effect::Pay { .. } | Effect::PayReward { .. })) {
        Some(effect) => Err(format!("{} is never done", effect.key())),
        None => Ok(()),
    }
}

pub(super) fn ended(seen: &Evidence<'_>) -> Result<(), String> {
    for (at, state) in seen.books.states.iter().enumerate() {
        if let State::Present(task) = state
            && !task.phase.is_final()
        {
            return Err(format!("task {at} is {}", task.state_name()));
        }
    }
    if let Some(effect) = seen.pending.first() {
        return Err(format!("{} is never done", effect.key()));
    }
    match seen.payments.values().find(|payment| payment.state == Outgoing::InFlight) {
        Some(payment) => Err(format!("the payout on {} never ends", short(&payment.hash))),
        None => Ok(()),
    }
}

/// Each party has what its tranches' ends say, to the msat.
pub(super) fn accounts(seen: &Evidence<'_>) -> Result<(), String> {
    let mut platform = 0i128;
    for (at, state) in seen.books.states.iter().enumerate() {
        let State::Present(task) = state else { continue };
        let (mut spent, mut earned) = (0u64, 0u64);
        for part in seen.books.tranches(at) {
            match part.state {
                TrancheState::Claimed { fee } => {
                    let payout = part.payout.to_msat().get();
                    spent += payout + part.fee.to_msat().get();
                    earned += payout;
                    platform += i128::from(part.fee.to_msat().get()) - i128::from(fee.get());
                }
                TrancheState::Returned | TrancheState::Unfunded => {}
                other => return Err(format!("a tranche of task {at} ended as {other:?}")),
            }
        }
        if matches!(task.phase, Phase::Settled { .. }) != (earned > 0) {
            return Err(format!("task {at} is {}, and its worker has {earned} msat", task.state_name()));
        }
        let (payer, payee) = wallets(at);
        let (paid, got) = (seen.budgets[at] - seen.rail.wallet_msat(&payer), seen.rail.wallet_msat(&payee));
        if (paid, got) != (spent, earned) {
            return Err(format!("task {at} cost {paid} and paid {got} msat; by its facts, {spent} and {earned}"));
        }
    }
    platform -= i128::from(seen.books.spent_on_rewards(seen.payments));
    let gained = i128::from(seen.rail.node_msat()) - i128::from(NODE_MSAT_START);
    if gained == platform { Ok(()) } else { Err(format!("the platform has {gained} msat; by the facts, {platform}")) }
}
