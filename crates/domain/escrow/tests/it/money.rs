//! The rules on an honest but unkind rail: payees come and go, holds are lost, effects are done late, twice and out of
//! order. Every satoshi is counted, and a task left alone always comes to its end.

use proptest::{
    collection::vec,
    prelude::*,
    sample::{self, Index},
};
use std::collections::{BTreeMap, BTreeSet};
use tallystick_civics::dispute::Side;
use tallystick_core::{BlockHeight, Blocks, Decision, Digest32, Duration, NostrKey, PaymentHash, Timestamp};
use tallystick_escrow::{
    Case, Command, Effect, Event, NodeCommand, Outage, PayFailure, Phase, Purpose, RefundReason, Rejection,
    ReleaseReason, RewardState, Terms, Tranche, TrancheState, UserCommand, Verdict,
};
use tallystick_testkit::{cases, escrow::*, rail::Presence};

use crate::awaited::{Asked, Kind};
use crate::laws::{ask, next_step, task_terms, wake_is_due};

/// How many facts come between two looks at what is awaited: no number that tasks have anything to do with.
const LOOK_EVERY: usize = 23;

#[derive(Clone, Debug)]
enum Op {
    Ask(NostrKey, Box<UserCommand>),
    Later(Duration),
    /// The node is away for so long.
    Away(Duration),
    Mined(u32),
    Lock(Index),
    /// The worker offers to renew what is held.
    Renew,
    /// A side disputes what is undecided of a milestone.
    Dispute(NostrKey, u32),
    /// An arbitrator who voted, and was not paid, hands in an invoice.
    Collect,
    Lose(Index),
    /// Do a waiting effect, and forget that it was done, if told so.
    Do(Index, bool),
    /// A payout under way comes to its end, if the payee does its part.
    Finish(Index),
    Payee(Presence),
    /// What a route costs from now on, in percent of what it may.
    RouteFee(u64),
    Wake,
    /// What comes next when all goes well.
    Next,
}

struct Hold {
    /// Who put it up.
    owner: Side,
    amount: i128,
    claim_deadline: BlockHeight,
    locked: bool,
}

/// Who puts up what is held for a tranche.
fn owner(part: &Tranche) -> Side {
    match part.purpose {
        Purpose::Work => Side::Payer,
        Purpose::Bond(side) => side,
    }
}

/// How a payout stands on the rail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    InFlight,
    Paid,
    Failed(PayFailure),
}

struct Payment {
    hash: PaymentHash,
    /// Which side gets it; an arbitrator, if neither does.
    to: Option<Side>,
    amount: i128,
    fee: i128,
    /// The height at which it is over, at the latest on the chain.
    over: BlockHeight,
    outcome: Outcome,
}

/// The rail's world: who has gained what, in msat.
struct World {
    given: Given,
    outbox: Vec<Effect>,
    asked: Asked,
    holds: BTreeMap<PaymentHash, Hold>,
    payments: BTreeMap<Digest32, Payment>,
    payer: i128,
    payee: i128,
    platform: i128,
    routers: i128,
    arbitrators: i128,
    /// What arbitrators cost, routes included.
    rewards: i128,
    /// When this node was away.
    outages: Vec<Outage>,
    presence: Presence,
    route_fee: u64,
}

impl World {
    fn new(terms: Terms) -> Self {
        Self {
            given: open_with(terms),
            outbox: Vec::new(),
            asked: Asked::default(),
            holds: BTreeMap::new(),
            payments: BTreeMap::new(),
            payer: 0,
            payee: 0,
            platform: 0,
            routers: 0,
            arbitrators: 0,
            rewards: 0,
            outages: Vec::new(),
            presence: Presence::Online,
            route_fee: 0,
        }
    }

    fn purse(&mut self, side: Side) -> &mut i128 {
        match side {
            Side::Payer => &mut self.payer,
            Side::Payee => &mut self.payee,
        }
    }

    fn locked(&self) -> i128 {
        self.holds.values().filter(|hold| hold.locked).map(|hold| hold.amount).sum()
    }

    fn in_flight(&self) -> i128 {
        let flying = self.payments.values().filter(|payment| payment.outcome == Outcome::InFlight);
        flying.map(|payment| payment.amount + payment.fee).sum()
    }

    /// Whether a payout on this hash is under way, or has arrived.
    fn has_payout(&self, hash: PaymentHash, outcome: Outcome) -> bool {
        self.payments.values().any(|payment| payment.hash == hash && payment.outcome == outcome)
    }

    fn ask(&mut self, author: NostrKey, command: Command) -> Result<(), Rejection> {
        if let Decision::Accept { events, effects } = self.given.decide(author, command)? {
            self.given = self.given.clone().events(events);
            // An outbox keeps one effect of a key, done or not.
            let fresh = self.asked.add(effects);
            self.outbox.extend(fresh);
            // While there is little, and now and then: it asks the rules about all that was ever asked for.
            let facts = self.given.facts.len();
            if facts < LOOK_EVERY / 2 || facts.is_multiple_of(LOOK_EVERY) {
                self.asked.check(&self.given);
            }
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
            Op::Away(span) => {
                let from = self.given.now;
                self.given.now = from.after(span);
                self.outages.push(Outage { from, until: self.given.now });
            }
            Op::Mined(blocks) => (0..blocks).for_each(|_| self.mine()),
            Op::Lock(index) => {
                let part = self.given.phase().job().map(|job| index.get(&job.tranches));
                if let Some(hash) = part.map(|part| part.renewal.as_ref().map_or(part.hash, |next| next.hash)) {
                    self.lock(hash);
                }
            }
            Op::Renew => self.renew(),
            Op::Collect => self.collect(),
            Op::Dispute(by, milestone) => drop(self.ask(by, Command::User(open_dispute(by, milestone)))),
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
            Op::Finish(index) => {
                let flying = self.flying();
                if !flying.is_empty() {
                    self.finish(*index.get(&flying));
                }
            }
            Op::Payee(presence) => self.presence = presence,
            Op::RouteFee(percent) => self.route_fee = percent,
            Op::Wake => self.wake(),
            Op::Next => self.next(),
        }
        let gained = self.payer + self.payee + self.platform + self.routers + self.arbitrators;
        let everywhere = gained + self.locked() + self.in_flight();
        assert_eq!(everywhere, 0, "money came or went");
    }

    fn flying(&self) -> Vec<Digest32> {
        let flying = self.payments.iter().filter(|(_, payment)| payment.outcome == Outcome::InFlight);
        flying.map(|(id, _)| *id).collect()
    }

    /// The first effect that is due, and is no payout under way.
    fn ready(&self) -> Option<usize> {
        self.outbox.iter().position(|effect| {
            let pays = |id| self.flying().contains(id);
            let flies = matches!(effect, Effect::Pay { id, .. } | Effect::PayReward { id, .. } if pays(id));
            effect.not_before() <= self.given.now && !flies
        })
    }

    fn next(&mut self) {
        if let Some(at) = self.ready() {
            return self.perform(at, false);
        }
        if let Some(id) = self.flying().first() {
            return self.finish(*id);
        }
        if let Some(height) = self.given.dispute_waits_for() {
            return (self.given.height.0..height.0).for_each(|_| self.mine());
        }
        match next_step(&self.given) {
            (_, Command::Node(draw @ NodeCommand::RecordDraw { .. })) => drop(self.report(draw)),
            (_, Command::Node(NodeCommand::Wake)) => self.wake(),
            (_, Command::Node(NodeCommand::RecordHoldLocked { hash, .. })) => self.lock(hash),
            (author, command @ Command::User(_)) => drop(self.ask(author, command)),
            // Every other outcome comes from the rail alone.
            _ => {}
        }
    }

    fn wake(&mut self) {
        let due = wake_is_due(&self.given);
        let before = self.given.state.clone();
        let before_facts = self.given.facts.len();
        self.report(NodeCommand::WakeKnowing { outages: self.outages.clone() }).unwrap();
        self.check_broken_promises(before_facts);
        assert!(!due || before != self.given.state, "a due wake-up changed nothing");
    }

    /// No bond is taken for what our own absence may have kept somebody from.
    fn check_broken_promises(&self, before: usize) {
        let broken = |fact: &Event| matches!(fact, Event::BondTaken { reason: ReleaseReason::BrokenPromise, .. });
        if self.given.facts[before..].iter().any(broken) {
            let task = self.given.task();
            let deadlines = task.terms.milestones.iter().map(|part| task.terms.hand_in_until(part));
            let passed = deadlines.filter(|deadline| *deadline <= self.given.now).collect::<Vec<_>>();
            let away = |deadline: &Timestamp| self.outages.iter().any(|it| it.overlaps(task.created_at, *deadline));
            assert!(!passed.iter().all(away), "a bond was taken while this node was away");
        }
    }

    fn mine(&mut self) {
        let height = self.given.height.after(Blocks(1));
        self.given.height = height;
        // What is stuck ends on the chain. Then the rail gives back what nobody claims.
        let stuck = self.flying().into_iter().filter(|id| self.payments[id].over <= height).collect::<Vec<_>>();
        stuck.into_iter().for_each(|id| self.end(id, Outcome::Failed(PayFailure::AttemptsExhausted)));
        let late = self.holds.iter().filter(|(_, hold)| hold.claim_deadline <= height).map(|(hash, _)| *hash);
        let late: Vec<PaymentHash> = late.filter(|hash| !self.has_payout(*hash, Outcome::Paid)).collect();
        late.into_iter().for_each(|hash| self.lose(hash));
    }

    fn lock(&mut self, hash: PaymentHash) {
        let job = self.given.phase().job();
        let next = |part: &Tranche| part.renewal.clone().filter(|next| next.hash == hash);
        let owns = |part: &&Tranche| part.hash == hash || next(part).is_some();
        let Some(part) = job.and_then(|job| job.tranches.iter().find(owns)).cloned() else { return };
        let invoice = next(&part).map_or(part.funding_invoice.clone(), |next| next.funding_invoice);
        let busy = self.holds.get(&hash).is_some_and(|hold| hold.locked);
        if invoice.is_none() || busy || part.state.is_paid() {
            return;
        }
        let amount = part.hold().unwrap();
        let delta = self.given.task().hold_blocks.plus(self.given.task().policy.payout_reserve());
        let claim_deadline = self.given.height.after(delta);
        let owner = owner(&part);
        *self.purse(owner) -= i128::from(amount.get());
        self.holds.insert(hash, Hold { owner, amount: i128::from(amount.get()), claim_deadline, locked: true });
        match self.report(NodeCommand::RecordHoldLocked { hash, amount, claim_deadline }) {
            Ok(()) => {}
            Err(Rejection::HoldUnwanted { .. }) => self.give_back(hash),
            Err(other) => panic!("an honest hold was refused: {other}"),
        }
    }

    /// The worker offers the next holds of the first milestone that is undecided, on hashes that nobody has seen.
    fn renew(&mut self) {
        let Phase::Active { job } = self.given.phase() else { return };
        let task = self.given.task();
        let Some(milestone) = (0..2).find(|milestone| task.decide_by(job, *milestone).is_some()) else { return };
        let held = task.tranches_of(job, milestone).filter(|(_, part)| matches!(part.state, TrancheState::Held { .. }));
        let round = u8::try_from(self.given.facts.len()).unwrap_or(u8::MAX / 2) | 0x40;
        let invoices = held.map(|(at, part)| {
            let (_, mut facts) = invoice(0, part.payout.get());
            facts.expires_at = self.given.now.after(Duration::from_secs(60 * 86_400));
            facts.hash.0 = [round; 32];
            facts.hash.0[0] = u8::try_from(at).unwrap();
            (format!("renewal {round} of {at}"), facts)
        });
        let command = UserCommand::OfferRenewal { milestone, invoices: invoices.collect() };
        drop(self.ask(worker(), Command::User(command)));
    }

    fn collect(&mut self) {
        let due = |case: &Case| {
            let is_over = case.dispute.phase.is_final();
            let served = if is_over { case.dispute.served() } else { Vec::new() };
            served.into_iter().find(|who| case.reward_of(*who).is_none_or(|own| own.state == RewardState::Failed))
        };
        let found = self.given.task().cases().find_map(|case| Some((due(case)?, case.reward)));
        let Some((arbitrator, reward)) = found else { return };
        let round = u8::try_from(self.given.facts.len() % 128).unwrap();
        let (_, mut facts) = invoice(0, 0);
        facts.expires_at = self.given.now.after(Duration::from_secs(60 * 86_400));
        facts.hash = PaymentHash([0x80 | round; 32]);
        facts.hash.0[0] = arbitrator.to_bytes()[31];
        facts.amount = Some(reward);
        let text = format!("reward {round} of {arbitrator}");
        let milestones = 0..2;
        for milestone in milestones {
            let invoice = Box::new((text.clone(), facts.clone()));
            if self.ask(arbitrator, Command::User(UserCommand::CollectReward { milestone, invoice })).is_ok() {
                return;
            }
        }
    }

    fn give_back(&mut self, hash: PaymentHash) {
        if let Some(hold) = self.holds.get_mut(&hash).filter(|hold| hold.locked) {
            hold.locked = false;
            let (owner, amount) = (hold.owner, hold.amount);
            *self.purse(owner) += amount;
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
        if !forgotten && !matches!(effect, Effect::Pay { .. } | Effect::PayReward { .. }) {
            self.outbox.remove(at);
        }
        match effect {
            Effect::MakeHoldInvoice { hash, .. } => {
                let bolt11 = format!("hold invoice {hash}");
                match self.report(NodeCommand::RecordHoldInvoice { hash, bolt11 }) {
                    // Not wanted any more, or another renewal was offered instead.
                    Ok(()) | Err(Rejection::HoldUnwanted { .. } | Rejection::UnknownHash) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            Effect::Pay { .. } => self.pay(effect),
            Effect::PayReward { .. } => self.pay_reward(effect),
            // The registry hears of it.
            Effect::NoteService { .. } => {}
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
                assert!(!self.has_payout(hash, Outcome::InFlight), "given back while it is being paid out");
                self.give_back(hash);
                match self.report(NodeCommand::RecordHoldReturned { hash }) {
                    // Told twice, of a hold whose place was taken.
                    Ok(()) | Err(Rejection::UnknownHash) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }

    /// Begins a payout, or tells how it stands.
    fn pay(&mut self, effect: Effect) {
        let Effect::Pay { hash, id, fee_limit, cltv_limit, begin_by, .. } = effect else { return };
        if let Some(outcome) = self.payments.get(&id).map(|known| known.outcome) {
            if outcome != Outcome::InFlight {
                self.tell(id);
            }
            return;
        }
        let job = self.given.phase().job().unwrap();
        let part = job.tranches.iter().find(|part| part.hash == hash).unwrap().clone();
        let (amount, limit) = (i128::from(part.payout.to_msat().get()), i128::from(fee_limit.get()));
        let fee = limit * i128::from(self.route_fee) / 100;
        // What the app does: a payout that lost its cover and has not begun does not begin.
        let uncovered = matches!(part.state, TrancheState::Paying { covered: false, .. });
        let outcome = if uncovered || self.given.height > begin_by {
            Outcome::Failed(PayFailure::TooLate)
        } else if self.presence == Presence::Offline || fee > limit {
            Outcome::Failed(PayFailure::NoRoute)
        } else {
            Outcome::InFlight
        };
        let over = self.given.height.after(cltv_limit).after(Blocks(46));
        if outcome == Outcome::InFlight {
            let hold = self.holds.get(&hash).expect("a payout needs a hold");
            assert!(hold.locked && over <= hold.claim_deadline, "a payout that its hold may not outlast");
            assert!(hold.amount >= amount + fee && hold.amount > amount, "a payout that costs the platform");
            assert!(!self.has_payout(hash, Outcome::InFlight) && !self.has_payout(hash, Outcome::Paid), "paid twice");
            self.platform -= amount + fee;
        }
        self.payments.insert(id, Payment { hash, to: Some(owner(&part).other()), amount, fee, over, outcome });
        if outcome != Outcome::InFlight {
            self.tell(id);
        }
    }

    /// Pays an arbitrator out of the platform's own money, or tells how that stands.
    fn pay_reward(&mut self, effect: Effect) {
        let Effect::PayReward { hash, id, fee_limit, cltv_limit, .. } = effect else { return };
        if let Some(outcome) = self.payments.get(&id).map(|known| known.outcome) {
            if outcome != Outcome::InFlight {
                self.tell(id);
            }
            return;
        }
        let own = |case: &Case| case.rewards.iter().any(|reward| reward.hash == hash).then_some(case.reward);
        let reward = self.given.task().cases().find_map(own).expect("a reward that is due");
        let (amount, limit) = (i128::from(reward.get()), i128::from(fee_limit.get()));
        let fee = limit * i128::from(self.route_fee) / 100;
        let fails = self.presence == Presence::Offline || fee > limit;
        let outcome = if fails { Outcome::Failed(PayFailure::NoRoute) } else { Outcome::InFlight };
        assert!(!self.holds.contains_key(&hash), "a preimage is bought on which money is held");
        assert!(!self.has_payout(hash, Outcome::InFlight) && !self.has_payout(hash, Outcome::Paid), "paid twice");
        if outcome == Outcome::InFlight {
            self.platform -= amount + fee;
        }
        let over = self.given.height.after(cltv_limit).after(Blocks(46));
        self.payments.insert(id, Payment { hash, to: None, amount, fee, over, outcome });
        if outcome != Outcome::InFlight {
            self.tell(id);
        }
    }

    /// A payout under way arrives or fails, unless the payee sits on it.
    fn finish(&mut self, id: Digest32) {
        match self.presence {
            Presence::Online => self.end(id, Outcome::Paid),
            Presence::Offline => self.end(id, Outcome::Failed(PayFailure::NoRoute)),
            Presence::Stalling => {}
        }
    }

    fn end(&mut self, id: Digest32, outcome: Outcome) {
        let payment = self.payments.get_mut(&id).unwrap();
        payment.outcome = outcome;
        let Payment { to, amount, fee, .. } = *payment;
        match (outcome, to) {
            (Outcome::Paid, Some(side)) => {
                *self.purse(side) += amount;
                self.routers += fee;
            }
            (Outcome::Paid, None) => {
                self.arbitrators += amount;
                self.routers += fee;
                self.rewards += amount + fee;
            }
            _ => self.platform += amount + fee,
        }
        self.tell(id);
    }

    /// Tells how a payout ended; with that its effect is done.
    fn tell(&mut self, id: Digest32) {
        let Payment { hash, fee, outcome, .. } = self.payments[&id];
        let is_it = |effect: &Effect| matches!(effect, Effect::Pay { id: other, .. } | Effect::PayReward { id: other, .. } if *other == id);
        self.outbox.retain(|effect| !is_it(effect));
        let command = match outcome {
            Outcome::InFlight => return,
            Outcome::Paid => NodeCommand::RecordPayoutPaid { hash, id, fee: msat(u64::try_from(fee).unwrap()) },
            Outcome::Failed(reason) => NodeCommand::RecordPayoutFailed { hash, id, reason },
        };
        self.report(command).unwrap();
    }

    /// Nobody does anything any more; the node alone goes on.
    fn leave_alone(&mut self) {
        for _ in 0..2_000 {
            while let Some(at) = self.ready() {
                self.perform(at, false);
            }
            if self.presence != Presence::Stalling
                && let Some(id) = self.flying().first()
            {
                self.finish(*id);
                continue;
            }
            if self.given.phase().is_final() && self.outbox.is_empty() {
                return;
            }
            // An arbitrator who sits on the own pay keeps nobody waiting but itself.
            if self.given.phase().is_final() && self.outbox.iter().all(|it| matches!(it, Effect::PayReward { .. })) {
                self.presence = Presence::Online;
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
        assert_eq!((self.locked(), self.in_flight()), (0, 0), "money stays locked after the end");
        let (mut payer, mut payee, mut platform, mut routers) = (0, 0, -self.rewards, self.rewards - self.arbitrators);
        let parts = self.given.phase().job().map(|job| job.tranches.as_slice()).unwrap_or_default();
        for part in parts {
            let (from, to) = match owner(part) {
                Side::Payer => (&mut payer, &mut payee),
                Side::Payee => (&mut payee, &mut payer),
            };
            let (payout, fee) = (i128::from(part.payout.to_msat().get()), i128::from(part.fee.to_msat().get()));
            match part.state {
                TrancheState::Claimed { fee: route } => {
                    *from -= payout + fee;
                    *to += payout;
                    platform += fee - i128::from(route.get());
                    routers += i128::from(route.get());
                }
                TrancheState::Uncovered { fee: route } => {
                    *to += payout;
                    platform -= payout + i128::from(route.get());
                    routers += i128::from(route.get());
                }
                TrancheState::Returned | TrancheState::Unfunded => {}
                other => panic!("{other:?} is no end"),
            }
        }
        assert_eq!((self.payer, self.payee, self.platform, self.routers), (payer, payee, platform, routers));
        self.check_rewards();
        let work = || parts.iter().filter(|part| part.purpose == Purpose::Work);
        let paid = work().any(|part| part.state.is_paid());
        assert_eq!(matches!(self.given.phase(), Phase::Settled { .. }), paid);
    }
}

impl World {
    /// Arbitrators got what was told when the dispute was opened, each once, and together no more than its fees.
    fn check_rewards(&self) {
        let mut paid = 0;
        for case in self.given.task().cases() {
            let job = self.given.phase().job().unwrap();
            let fee = |tranche: &u32| i128::from(job.tranches[*tranche as usize].fee.to_msat().get());
            let fees: i128 = case.tranches.iter().map(fee).sum();
            let served = case.dispute.served();
            let each = i128::from(case.reward.get());
            assert!(each * i128::try_from(served.len()).unwrap() <= fees, "arbitrators cost more than the fees");
            for reward in &case.rewards {
                assert!(served.contains(&reward.arbitrator), "paid for nothing");
                paid += if matches!(reward.state, RewardState::Paid { .. }) { each } else { 0 };
            }
        }
        assert_eq!(paid, self.arbitrators);
    }
}

fn op(tranches: usize, losses: bool) -> impl Strategy<Value = Op> {
    prop_oneof![
        24 => Just(Op::Next),
        2 => ask(tranches).prop_map(|(author, command)| Op::Ask(author, Box::new(command))),
        1 => (0u64..4_000).prop_map(|secs| Op::Later(Duration::from_secs(secs))),
        1 => (0u32..40).prop_map(Op::Mined),
        16 => any::<Index>().prop_map(Op::Lock),
        4 => Just(Op::Renew),
        4 => Just(Op::Collect),
        1 => (60u64..6_000).prop_map(|secs| Op::Away(Duration::from_secs(secs))),
        1 => (20_000u64..90_000).prop_map(|secs| Op::Later(Duration::from_secs(secs))),
        4 => (any::<bool>(), 0u32..2).prop_map(|(payer, milestone)| {
            Op::Dispute(if payer { requester() } else { worker() }, milestone)
        }),
        1 => any::<Index>().prop_map(move |index| if losses { Op::Lose(index) } else { Op::Wake }),
        8 => (any::<Index>(), any::<bool>()).prop_map(|(index, forgotten)| Op::Do(index, forgotten)),
        4 => any::<Index>().prop_map(Op::Finish),
        2 => sample::select(vec![Presence::Online, Presence::Offline, Presence::Stalling]).prop_map(Op::Payee),
        1 => (0u64..=101).prop_map(Op::RouteFee),
        1 => Just(Op::Wake),
    ]
}

fn history(losses: bool) -> impl Strategy<Value = (Terms, Vec<Op>)> {
    (1usize..=3, 1usize..=3, any::<bool>()).prop_flat_map(move |(tranches, first, silence)| {
        (Just(task_terms(tranches, first, silence)), vec(op(tranches, losses), 0..80))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(600)) })]

    #[test]
    fn nobody_gains_what_another_has_not_paid((terms, ops) in history(true)) {
        let mut world = World::new(terms);
        ops.into_iter().for_each(|op| world.apply(op));
        world.leave_alone();
        world.check_end();
    }

    #[test]
    fn without_lost_holds_the_platform_never_pays((terms, ops) in history(false)) {
        let mut world = World::new(terms);
        ops.into_iter().for_each(|op| world.apply(op));
        world.leave_alone();
        world.check_end();
        // But for what it pays its arbitrators: never out of the parties' money.
        let own = world.platform + world.rewards;
        prop_assert!(own >= 0, "the platform lost {} msat", -own);
    }
}

/// Chance leads to payouts, refunds, mixed ends and losses: else nothing would have been counted.
#[test]
fn chance_reaches_every_end() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut kept, mut broken, mut awaited) = (0, 0, BTreeSet::new());
    let (mut paid, mut mixed, mut uncovered, mut refunded, mut renewed, mut ruled, mut rewarded) =
        (0, 0, 0, 0, 0, 0, 0);
    for _ in 0..1_000 {
        let (terms, ops) = history(true).new_tree(&mut runner).unwrap().current();
        let mut world = World::new(terms);
        ops.into_iter().for_each(|op| world.apply(op));
        world.leave_alone();
        awaited.extend(world.asked.kinds);
        let parts = world.given.phase().job().map(|job| job.tranches.clone()).unwrap_or_default();
        let any_paid = parts.iter().any(|part| part.state.is_paid());
        paid += u32::from(any_paid);
        mixed += u32::from(any_paid && parts.iter().any(|part| part.state == TrancheState::Returned));
        uncovered += u32::from(parts.iter().any(|part| matches!(part.state, TrancheState::Uncovered { .. })));
        refunded += u32::from(matches!(world.given.phase(), Phase::Refunded { .. }));
        let by_ruling = |part: &Tranche| part.verdict == Some(Verdict::Release(ReleaseReason::Ruled));
        ruled += u32::from(parts.iter().any(by_ruling));
        rewarded += u32::from(world.arbitrators > 0);
        kept += u32::from(parts.iter().any(|part| part.verdict == Some(Verdict::Refund(RefundReason::BondKept))));
        let promise = |part: &Tranche| part.verdict == Some(Verdict::Release(ReleaseReason::BrokenPromise));
        broken += u32::from(parts.iter().any(promise));
        renewed += u32::from(parts.iter().any(|part| part.renewals > 0 && part.state.is_paid()));
    }
    assert_eq!(awaited, BTreeSet::from(Kind::ALL), "kinds of effects that were waited for");
    let seen = [paid, mixed, uncovered, refunded, renewed, ruled, rewarded, kept, broken];
    assert!(
        seen.iter().all(|count| *count >= 10),
        "paid, mixed, uncovered, refunded, paid after renewal, ruled, arbitrators paid, bonds kept and taken: {seen:?}"
    );
}
