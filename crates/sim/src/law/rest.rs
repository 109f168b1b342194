//! Laws for when nothing is left to do, and for the end.

use std::collections::{BTreeMap, BTreeSet};
use tallystick_civics::dispute::Side;
use tallystick_core::PaymentHash;
use tallystick_escrow::{Effect, Phase, Purpose, State, TrancheState};
use tallystick_testkit::rail::{HoldState, NODE_MSAT_START, Outgoing};

use super::{Evidence, short};

/// The wallets of a task's parties.
pub(crate) fn wallets(task: usize) -> (String, String) {
    (format!("requester {task}"), format!("worker {task}"))
}

/// Who locks what is held for this, and who is paid if it is taken: their wallets.
pub(crate) fn purses(task: usize, purpose: Purpose) -> (String, String) {
    let (requester, worker) = wallets(task);
    match purpose {
        Purpose::Work | Purpose::Bond(Side::Payer) => (requester, worker),
        Purpose::Bond(Side::Payee) => (worker, requester),
    }
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

/// Each party has what its tranches' ends say, and its bond's, to the msat.
pub(super) fn accounts(seen: &Evidence<'_>) -> Result<(), String> {
    let mut platform = 0i128;
    for (at, state) in seen.books.states.iter().enumerate() {
        let State::Present(task) = state else { continue };
        let (requester, worker) = wallets(at);
        let mut should = BTreeMap::from([(requester, seen.budgets[at].0), (worker, seen.budgets[at].1)]);
        let mut is_paid = false;
        for part in seen.books.tranches(at) {
            match part.state {
                TrancheState::Claimed { fee } => {
                    let (payout, our_fee) = (part.payout.to_msat().get(), part.fee.to_msat().get());
                    let (payer, payee) = purses(at, part.purpose);
                    should.entry(payer).and_modify(|has| *has = has.saturating_sub(payout + our_fee));
                    should.entry(payee).and_modify(|has| *has += payout);
                    platform += i128::from(our_fee) - i128::from(fee.get());
                    is_paid |= part.purpose == Purpose::Work;
                }
                TrancheState::Returned | TrancheState::Unfunded => {}
                other => return Err(format!("a tranche of task {at} ended as {other:?}")),
            }
        }
        if matches!(task.phase, Phase::Settled { .. }) != is_paid {
            return Err(format!("task {at} is {}, and its work was paid for: {is_paid}", task.state_name()));
        }
        for (who, should) in should {
            let has = seen.rail.wallet_msat(&who);
            if has != should {
                return Err(format!("{who} has {has} msat; by the facts, {should}"));
            }
        }
    }
    platform -= i128::from(seen.books.spent_on_rewards(seen.payments));
    let gained = i128::from(seen.rail.node_msat()) - i128::from(NODE_MSAT_START);
    if gained == platform { Ok(()) } else { Err(format!("the platform has {gained} msat; by the facts, {platform}")) }
}
