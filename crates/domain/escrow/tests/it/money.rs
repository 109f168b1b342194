//! The rules on an honest but unkind rail: payees come and go, holds are lost, effects are done late, twice and out of
//! order. Every satoshi is counted, and a task left alone always comes to its end.

use proptest::{collection::vec, prelude::*, sample::Index};
use std::collections::BTreeMap;
use tallystick_core::{BlockHeight, Blocks, Decision, Digest32, Duration, NostrKey, PaymentHash};
use tallystick_escrow::{Command, Effect, NodeCommand, PayFailure, Phase, Rejection, Terms, TrancheState, UserCommand};
use tallystick_testkit::escrow::*;

use crate::laws::{ask, next_step, task_terms, wake_is_due};

#[derive(Clone, Debug)]
enum Op {
    Ask(NostrKey, Box<UserCommand>),
    Later(Duration),
    Mined(u32),
    Lock(Index),
    Lose(Index),
    /// Do a waiting effect, and forget that it was done, if told so.
    Do(Index, bool),
    Payee(bool),
    Wake,
    /// What comes next when all goes well.
    Next,
}

struct Hold {
    amount: i128,
    claim_deadline: BlockHeight,
    locked: bool,
}

/// The rail's world: who has gained what, in msat.
struct World {
    given: Given,
    outbox: Vec<Effect>,
    holds: BTreeMap<PaymentHash, Hold>,
    payments: BTreeMap<Digest32, Option<PayFailure>>,
    payer: i128,
    payee: i128,
    platform: i128,
    payee_online: bool,
}

impl World {
    fn new(terms: Terms) -> Self {
        Self {
            given: open_with(terms),
            outbox: Vec::new(),
            holds: BTreeMap::new(),
            payments: BTreeMap::new(),
            payer: 0,
            payee: 0,
            platform: 0,
            payee_online: true,
        }
    }

    fn locked(&self) -> i128 {
        self.holds.values().filter(|hold| hold.locked).map(|hold| hold.amount).sum()
    }

    fn ask(&mut self, author: NostrKey, command: Command) -> Result<(), Rejection> {
        if let Decision::Accept { events, effects } = self.given.decide(author, command)? {
            self.given = self.given.clone().events(events);
            self.outbox.extend(effects);
        }
        Ok(())
    }

    fn report(&mut self, command: NodeCommand) -> Result<(), Rejection> {
        self.ask(node(), Command::Node(command))
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Ask(author, command) => drop(self.ask(author, Command::User(*command))),
            Op::Later(span) => self.given.now = self.given.now.after(span),
            Op::Mined(blocks) => (0..blocks).for_each(|_| self.mine()),
            Op::Lock(index) => {
                if let Some(hash) = self.given.phase().job().map(|job| index.get(&job.tranches).hash) {
                    self.lock(hash);
                }
            }
            Op::Lose(index) => {
                let hashes: Vec<PaymentHash> = self.holds.keys().copied().collect();
                if !hashes.is_empty() {
                    self.lose(*index.get(&hashes));
                }
            }
            Op::Do(index, forgotten) => {
                if !self.outbox.is_empty() {
                    let at = index.index(self.outbox.len());
                    self.perform(at, forgotten);
                }
            }
            Op::Payee(online) => self.payee_online = online,
            Op::Wake => self.wake(),
            Op::Next => self.next(),
        }
        assert_eq!(self.payer + self.payee + self.platform + self.locked(), 0, "money came or went");
    }

    fn next(&mut self) {
        let now = self.given.now;
        if let Some(at) = self.outbox.iter().position(|effect| effect.not_before() <= now) {
            return self.perform(at, false);
        }
        match next_step(&self.given) {
            (_, Command::Node(NodeCommand::RecordHoldLocked { hash, .. })) => self.lock(hash),
            (author, command @ Command::User(_)) => drop(self.ask(author, command)),
            // Every other outcome comes from the rail alone.
            _ => {}
        }
    }

    fn wake(&mut self) {
        let due = wake_is_due(&self.given);
        let before = self.given.state.clone();
        self.report(NodeCommand::Wake).unwrap();
        assert!(!due || before != self.given.state, "a due wake-up changed nothing");
    }

    fn mine(&mut self) {
        let height = self.given.height.after(Blocks(1));
        self.given.height = height;
        let late: Vec<PaymentHash> =
            self.holds.iter().filter(|(_, hold)| hold.claim_deadline <= height).map(|(hash, _)| *hash).collect();
        late.into_iter().for_each(|hash| self.lose(hash));
    }

    fn lock(&mut self, hash: PaymentHash) {
        let job = self.given.phase().job();
        let Some(part) = job.and_then(|job| job.tranches.iter().find(|part| part.hash == hash)).cloned() else {
            return;
        };
        let busy = self.holds.get(&part.hash).is_some_and(|hold| hold.locked);
        if part.funding_invoice.is_none() || busy || part.state.is_paid() {
            return;
        }
        let amount = part.hold().unwrap();
        let delta = self.given.task().hold_blocks.plus(self.given.task().policy.payout_reserve());
        let claim_deadline = self.given.height.after(delta);
        self.payer -= i128::from(amount.get());
        self.holds.insert(part.hash, Hold { amount: i128::from(amount.get()), claim_deadline, locked: true });
        match self.report(NodeCommand::RecordHoldLocked { hash: part.hash, amount, claim_deadline }) {
            Ok(()) => {}
            Err(Rejection::HoldUnwanted { .. }) => self.give_back(part.hash),
            Err(other) => panic!("an honest hold was refused: {other}"),
        }
    }

    fn give_back(&mut self, hash: PaymentHash) {
        if let Some(hold) = self.holds.get_mut(&hash).filter(|hold| hold.locked) {
            hold.locked = false;
            self.payer += hold.amount;
        }
    }

    fn lose(&mut self, hash: PaymentHash) {
        if self.holds.get(&hash).is_some_and(|hold| hold.locked) {
            self.give_back(hash);
            self.report(NodeCommand::RecordHoldLost { hash }).unwrap();
        }
    }

    fn perform(&mut self, at: usize, forgotten: bool) {
        let effect = self.outbox[at].clone();
        if effect.not_before() > self.given.now {
            return;
        }
        if !forgotten {
            self.outbox.remove(at);
        }
        match effect {
            Effect::MakeHoldInvoice { hash, .. } => {
                let bolt11 = format!("hold invoice {hash}");
                match self.report(NodeCommand::RecordHoldInvoice { hash, bolt11 }) {
                    Ok(()) | Err(Rejection::HoldUnwanted { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            Effect::Pay { hash, id, begin_by, .. } => self.pay(hash, id, begin_by),
            Effect::ClaimHold { hash, .. } => {
                let hold = self.holds.get_mut(&hash).expect("a claim needs a hold");
                if hold.locked {
                    hold.locked = false;
                    self.platform += hold.amount;
                    let amount = msat(u64::try_from(hold.amount).unwrap());
                    self.report(NodeCommand::RecordHoldClaimed { hash, amount }).unwrap();
                }
            }
            Effect::CancelHold { hash } => {
                self.give_back(hash);
                self.report(NodeCommand::RecordHoldReturned { hash }).unwrap();
            }
        }
    }

    fn pay(&mut self, hash: PaymentHash, id: Digest32, begin_by: BlockHeight) {
        let job = self.given.phase().job().unwrap();
        let part = job.tranches.iter().find(|part| part.hash == hash).unwrap().clone();
        // What the app does: a payout that lost its cover and has not begun does not begin.
        let uncovered = matches!(part.state, TrancheState::Paying { covered: false, .. });
        let known = self.payments.get(&id).copied();
        let outcome = known.unwrap_or_else(|| {
            if uncovered || self.given.height > begin_by {
                return Some(PayFailure::TooLate);
            }
            if !self.payee_online {
                return Some(PayFailure::NoRoute);
            }
            let hold = self.holds.get(&hash).expect("a payout needs a hold");
            assert!(hold.locked && self.given.height < hold.claim_deadline, "a payout without cover");
            assert!(hold.amount > i128::from(part.payout.to_msat().get()), "a payout that costs the platform");
            None
        });
        self.payments.insert(id, outcome);
        if let Some(reason) = outcome {
            self.report(NodeCommand::RecordPayoutFailed { hash, id, reason }).unwrap();
            return;
        }
        if known.is_none() {
            let amount = i128::from(part.payout.to_msat().get());
            self.payee += amount;
            self.platform -= amount;
        }
        self.report(NodeCommand::RecordPayoutPaid { hash, id, fee: msat(0) }).unwrap();
    }

    /// Nobody does anything any more; the node alone goes on.
    fn leave_alone(&mut self) {
        for _ in 0..2_000 {
            while let Some(at) = self.outbox.iter().position(|effect| effect.not_before() <= self.given.now) {
                self.perform(at, false);
            }
            if self.given.phase().is_final() && self.outbox.is_empty() {
                return;
            }
            if wake_is_due(&self.given) {
                self.wake();
                continue;
            }
            self.given.now = self.given.now.after(Duration::from_secs(600));
            self.mine();
        }
        panic!("left alone, the task stays {} for ever", self.given.phase_name());
    }

    /// Who owes whom, when all is over.
    fn check_end(&self) {
        assert_eq!(self.locked(), 0, "money stays locked after the end");
        let (mut payer, mut payee, mut platform) = (0, 0, 0);
        let parts = self.given.phase().job().map(|job| job.tranches.as_slice()).unwrap_or_default();
        for part in parts {
            let (payout, fee) = (i128::from(part.payout.to_msat().get()), i128::from(part.fee.to_msat().get()));
            match part.state {
                TrancheState::Claimed { .. } => {
                    payer -= payout + fee;
                    payee += payout;
                    platform += fee;
                }
                TrancheState::Uncovered { .. } => {
                    payee += payout;
                    platform -= payout;
                }
                TrancheState::Returned | TrancheState::Unfunded => {}
                other => panic!("{other:?} is no end"),
            }
        }
        assert_eq!((self.payer, self.payee, self.platform), (payer, payee, platform));
        let paid = parts.iter().any(|part| part.state.is_paid());
        assert_eq!(matches!(self.given.phase(), Phase::Settled { .. }), paid);
    }
}

fn op(tranches: usize, losses: u32) -> impl Strategy<Value = Op> {
    prop_oneof![
        24 => Just(Op::Next),
        2 => ask(tranches).prop_map(|(author, command)| Op::Ask(author, Box::new(command))),
        1 => (0u64..4_000).prop_map(|secs| Op::Later(Duration::from_secs(secs))),
        1 => (0u32..40).prop_map(Op::Mined),
        2 => any::<Index>().prop_map(Op::Lock),
        losses => any::<Index>().prop_map(Op::Lose),
        8 => (any::<Index>(), any::<bool>()).prop_map(|(index, forgotten)| Op::Do(index, forgotten)),
        2 => any::<bool>().prop_map(Op::Payee),
        1 => Just(Op::Wake),
    ]
}

fn history(losses: u32) -> impl Strategy<Value = (Terms, Vec<Op>)> {
    (1usize..=3, any::<bool>()).prop_flat_map(move |(tranches, silence)| {
        (Just(task_terms(tranches, silence)), vec(op(tranches, losses), 0..80))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn nobody_gains_what_another_has_not_paid((terms, ops) in history(1)) {
        let mut world = World::new(terms);
        ops.into_iter().for_each(|op| world.apply(op));
        world.leave_alone();
        world.check_end();
    }

    #[test]
    fn without_lost_holds_the_platform_never_pays((terms, ops) in history(0)) {
        let mut world = World::new(terms);
        ops.into_iter().for_each(|op| world.apply(op));
        world.leave_alone();
        world.check_end();
        prop_assert!(world.platform >= 0, "the platform lost {} msat", -world.platform);
    }
}

/// Chance leads to payouts, refunds, mixed ends and losses: else nothing would have been counted.
#[test]
fn chance_reaches_every_end() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut paid, mut mixed, mut uncovered, mut refunded) = (0, 0, 0, 0);
    for _ in 0..1_000 {
        let (terms, ops) = history(1).new_tree(&mut runner).unwrap().current();
        let mut world = World::new(terms);
        ops.into_iter().for_each(|op| world.apply(op));
        world.leave_alone();
        let parts = world.given.phase().job().map(|job| job.tranches.clone()).unwrap_or_default();
        let any_paid = parts.iter().any(|part| part.state.is_paid());
        paid += u32::from(any_paid);
        mixed += u32::from(any_paid && parts.iter().any(|part| part.state == TrancheState::Returned));
        uncovered += u32::from(parts.iter().any(|part| matches!(part.state, TrancheState::Uncovered { .. })));
        refunded += u32::from(matches!(world.given.phase(), Phase::Refunded { .. }));
    }
    let seen = [paid, mixed, uncovered, refunded];
    assert!(seen.iter().all(|count| *count >= 10), "paid, mixed, uncovered, refunded: {seen:?}");
}
