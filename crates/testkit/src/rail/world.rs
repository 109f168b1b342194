//! The simulated network's state and its laws of motion. Money moves here and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use tallystick_app::port::rail::{PayFailure, PayRequest, RailNotice};
use tallystick_core::{BlockHeight, Blocks, Digest32, Msat, PaymentHash, Timestamp};

use super::invoice::Invoice;

/// Whether a payee answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Takes payments.
    Online,
    /// Payments to it find no route.
    Offline,
    /// Neither takes nor refuses a payment: it stays in flight.
    Stalling,
}

/// A payer's or payee's wallet.
pub(super) struct Wallet {
    pub msat: u64,
    pub presence: Presence,
}

/// Where a payer's money for a hash is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldState {
    /// Locked.
    Held,
    /// The node is taking it.
    Claiming,
    /// The node's.
    Claimed,
    /// With the payer again: cancelled, refused or lost.
    Back,
}

/// A payer's money for a hash.
#[derive(Clone, Debug)]
pub struct Hold {
    /// The name of the payer's wallet.
    pub payer: String,
    /// How much.
    pub amount: Msat,
    /// The height at which it goes back by itself.
    pub claim_deadline: BlockHeight,
    /// Where it stands.
    pub state: HoldState,
}

/// How an outgoing payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// On its way.
    InFlight,
    /// The payee has it.
    Paid,
    /// It ended for good, and moved nothing.
    Failed(PayFailure),
}

/// A payment of the node.
#[derive(Clone, Debug)]
pub struct Payment {
    /// The payee's hash.
    pub hash: PaymentHash,
    /// What the payee gets, in msat.
    pub amount: u64,
    /// What the route costs, in msat.
    pub fee: u64,
    /// The height by which it has ended, on the chain if need be.
    pub over: BlockHeight,
    /// How it stands.
    pub state: Outgoing,
}

/// A payee's invoice: who made it, and whether it was paid.
pub(super) struct Payable {
    pub payee: String,
    pub paid: bool,
}

/// Blocks that it takes to end a stuck payout on the chain once its last HTLC has expired: LDK goes there 3 blocks later,
/// commitment and timeout get 18 each, 6 make it final, and one more is counted.
const ON_CHAIN_BLOCKS: Blocks = Blocks(46);

/// Everything.
pub(super) struct World {
    pub height: BlockHeight,
    /// What the platform's node owns outright.
    pub node_msat: u64,
    /// What routing nodes earned.
    pub routed_msat: u64,
    pub wallets: BTreeMap<String, Wallet>,
    pub payables: BTreeMap<PaymentHash, Payable>,
    /// Hold invoices that the node made, by their text.
    pub hold_invoices: BTreeMap<String, Invoice>,
    pub holds: BTreeMap<PaymentHash, Hold>,
    /// Hashes whose preimage the node learnt by paying.
    pub preimages: BTreeSet<PaymentHash>,
    /// Hashes that were paid or lost behind the app's back: asking wrongly about them is no violation.
    pub forgotten: BTreeSet<PaymentHash>,
    pub payments: BTreeMap<Digest32, Payment>,
    pub notices: Vec<RailNotice>,
    /// Notices that were heard, the oldest first.
    pub heard: Vec<RailNotice>,
    /// Holds that went back by themselves at their deadline.
    pub failed_back: Vec<PaymentHash>,
    /// Holds that the payer's side lost, at their deadline or before.
    pub lost: BTreeSet<PaymentHash>,
    pub route_fee_msat: u64,
    /// Payouts that fail as soon as they begin, the next one first.
    pub failures: Vec<PayFailure>,
    /// What no node must ever ask of a rail.
    pub violations: Vec<String>,
}

impl World {
    pub(super) fn new(height: BlockHeight, node_msat: u64) -> Self {
        Self {
            height,
            node_msat,
            routed_msat: 0,
            wallets: BTreeMap::new(),
            payables: BTreeMap::new(),
            hold_invoices: BTreeMap::new(),
            holds: BTreeMap::new(),
            preimages: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            payments: BTreeMap::new(),
            notices: Vec::new(),
            heard: Vec::new(),
            failed_back: Vec::new(),
            lost: BTreeSet::new(),
            route_fee_msat: 0,
            failures: Vec::new(),
            violations: Vec::new(),
        }
    }

    /// All money, wherever it is: the same for ever.
    pub(super) fn total_msat(&self) -> u64 {
        let wallets: u64 = self.wallets.values().map(|wallet| wallet.msat).sum();
        let locked = |hold: &&Hold| matches!(hold.state, HoldState::Held | HoldState::Claiming);
        let held: u64 = self.holds.values().filter(locked).map(|hold| hold.amount.get()).sum();
        let flying = self.payments.values().filter(|payment| payment.state == Outgoing::InFlight);
        let in_flight: u64 = flying.map(|payment| payment.amount + payment.fee).sum();
        self.node_msat + self.routed_msat + wallets + held + in_flight
    }

    /// A payer's HTLC arrives.
    pub(super) fn lock(&mut self, hash: PaymentHash, hold: Hold) -> bool {
        let busy = self.holds.get(&hash).is_some_and(|hold| hold.state != HoldState::Back);
        let purse = self.wallets.get_mut(&hold.payer).filter(|wallet| wallet.msat >= hold.amount.get());
        let Some(purse) = purse.filter(|_| !busy) else { return false };
        purse.msat -= hold.amount.get();
        let Hold { amount, claim_deadline, .. } = hold;
        if self.preimages.contains(&hash) {
            // The node can claim it on sight, and does.
            self.holds.insert(hash, Hold { state: HoldState::Claiming, ..hold });
        } else {
            self.holds.insert(hash, hold);
            self.notices.push(RailNotice::HoldLocked { hash, amount, claim_deadline });
        }
        self.forget_lost(hash);
        true
    }

    /// That a hold was lost is not told again once it was heard and something was written after it: a real node's
    /// writes are one queue, and none is on disk before those that came earlier.
    fn forget_lost(&mut self, hash: PaymentHash) {
        self.heard.retain(|notice| *notice != RailNotice::HoldLost { hash });
    }

    /// Gives a hold back to its payer, if it is held.
    pub(super) fn give_back(&mut self, hash: PaymentHash) -> bool {
        let Some(hold) = self.holds.get_mut(&hash).filter(|hold| hold.state == HoldState::Held) else { return false };
        hold.state = HoldState::Back;
        // Nobody hears of it any more, whatever takes its place: a real node tells the two apart by their deadlines.
        let is_of_it = |notice: &RailNotice| matches!(notice, RailNotice::HoldLocked { hash: of, .. } if *of == hash);
        self.notices.retain(|notice| !is_of_it(notice));
        self.heard.retain(|notice| !is_of_it(notice));
        if let Some(wallet) = self.wallets.get_mut(&hold.payer) {
            wallet.msat += hold.amount.get();
        }
        true
    }

    /// A hold goes without having been asked to.
    pub(super) fn lose(&mut self, hash: PaymentHash) -> bool {
        let lost = self.give_back(hash);
        if lost {
            self.lost.insert(hash);
            self.notices.push(RailNotice::HoldLost { hash });
        }
        lost
    }

    /// Begins a payment, or fails it at once.
    pub(super) fn begin(&mut self, request: &PayRequest, invoice: &Invoice, now: Timestamp) -> Outgoing {
        let amount = invoice.amount.map_or(0, Msat::get);
        let fee = self.route_fee_msat;
        let hash = invoice.hash;
        let late = self.height > request.begin_by;
        let failure = if late || !self.may_be_paid(hash, request) {
            Some(PayFailure::TooLate)
        } else if invoice.expires_at <= now {
            Some(PayFailure::InvoiceExpired)
        } else if fee > request.fee_limit.get()
            || invoice.final_cltv_delta > request.cltv_limit
            || self.node_msat < amount + fee
        {
            Some(PayFailure::NoRoute)
        } else if self.failures.is_empty() {
            None
        } else {
            Some(self.failures.remove(0))
        };
        if failure.is_none() {
            self.check_begin(hash, request);
            self.forget_lost(hash);
            self.node_msat -= amount + fee;
        }
        let state = failure.map_or(Outgoing::InFlight, Outgoing::Failed);
        let over = self.height.after(request.cltv_limit).after(ON_CHAIN_BLOCKS);
        self.payments.insert(request.id, Payment { hash, amount, fee, over, state });
        state
    }

    /// Whether money is held on this hash for longer than the route may take. To ask for a payout without it is a
    /// violation, unless the app cannot know yet that the hold is gone; it is refused all the same, as a real node does.
    fn covers(&mut self, hash: PaymentHash, request: &PayRequest) -> bool {
        let until = self.height.after(request.cltv_limit);
        match self.holds.get(&hash).filter(|hold| hold.state == HoldState::Held) {
            Some(hold) if until < hold.claim_deadline => true,
            Some(hold) => {
                let by = hold.claim_deadline;
                self.violations.push(format!("a payout on {hash} asked for too late: {until} is not before {by}"));
                false
            }
            None => {
                if !self.notices.contains(&RailNotice::HoldLost { hash }) {
                    self.violations.push(format!("a payout on {hash} without a hold"));
                }
                false
            }
        }
    }

    fn may_be_paid(&mut self, hash: PaymentHash, request: &PayRequest) -> bool {
        if request.covered { self.covers(hash, request) } else { self.is_free(hash) }
    }

    /// Whether no money is or was held on this hash. To pay for its preimage without a hold is a violation.
    fn is_free(&mut self, hash: PaymentHash) -> bool {
        let held = self.holds.contains_key(&hash);
        if held {
            self.violations.push(format!("{hash} was to be paid without a hold, and money was held on it"));
        }
        !held
    }

    fn check_begin(&mut self, hash: PaymentHash, request: &PayRequest) {
        let over = request.begin_by.after(request.cltv_limit).after(ON_CHAIN_BLOCKS);
        let twice =
            self.payments.values().any(|other| other.hash == hash && !matches!(other.state, Outgoing::Failed(_)));
        if twice {
            self.violations.push(format!("a second payout on {hash}"));
        }
        if self.holds.get(&hash).is_some_and(|hold| over > hold.claim_deadline) {
            self.violations.push(format!("a payout on {hash} may outlast the hold that covers it"));
        }
    }

    /// Moves everything that is under way by one step; tells whether anything moved.
    pub(super) fn step(&mut self) -> bool {
        let claims = self.finish_claims();
        let payments = self.finish_payments();
        claims || payments
    }

    fn finish_claims(&mut self) -> bool {
        let mut moved = false;
        for (hash, hold) in &mut self.holds {
            if hold.state == HoldState::Claiming {
                hold.state = HoldState::Claimed;
                self.node_msat += hold.amount.get();
                self.notices.push(RailNotice::HoldClaimed { hash: *hash, amount: hold.amount });
                moved = true;
            }
        }
        moved
    }

    fn finish_payments(&mut self) -> bool {
        let mut moved = false;
        for (id, payment) in &mut self.payments {
            if payment.state != Outgoing::InFlight {
                continue;
            }
            let Some(payable) = self.payables.get_mut(&payment.hash) else { continue };
            let Some(payee) = self.wallets.get_mut(&payable.payee) else { continue };
            let (id, hash) = (*id, payment.hash);
            let failure = match payee.presence {
                Presence::Stalling => continue,
                Presence::Offline => Some(PayFailure::NoRoute),
                Presence::Online if payable.paid => Some(PayFailure::Refused),
                Presence::Online => None,
            };
            moved = true;
            if let Some(reason) = failure {
                self.node_msat += payment.amount + payment.fee;
                payment.state = Outgoing::Failed(reason);
                self.notices.push(RailNotice::PayoutFailed { id, hash, reason });
                continue;
            }
            payable.paid = true;
            payee.msat += payment.amount;
            self.routed_msat += payment.fee;
            payment.state = Outgoing::Paid;
            // As a real node does: the claim begins in the same breath in which the preimage is learnt.
            self.preimages.insert(hash);
            if let Some(hold) = self.holds.get_mut(&hash).filter(|hold| hold.state == HoldState::Held) {
                hold.state = HoldState::Claiming;
            }
            let fee = Msat::try_new(payment.fee).expect("it was paid from the node's money");
            self.notices.push(RailNotice::PayoutPaid { id, hash, fee });
        }
        moved
    }

    /// Pays a payee behind the app's back.
    pub(super) fn pay_forgotten(&mut self, invoice: &Invoice) -> bool {
        let hash = invoice.hash;
        let amount = invoice.amount.map_or(0, Msat::get);
        let Some(payable) = self.payables.get_mut(&hash).filter(|payable| !payable.paid) else { return false };
        let Some(payee) = self.wallets.get_mut(&payable.payee) else { return false };
        payable.paid = true;
        payee.msat += amount;
        self.node_msat -= amount;
        self.preimages.insert(hash);
        self.forgotten.insert(hash);
        if let Some(hold) = self.holds.get_mut(&hash).filter(|hold| hold.state == HoldState::Held) {
            hold.state = HoldState::Claiming;
        }
        // No journal would ask for an id that is a hash.
        let id = Digest32(hash.0);
        self.payments.insert(id, Payment { hash, amount, fee: 0, over: self.height, state: Outgoing::Paid });
        self.notices.push(RailNotice::PayoutPaid { id, hash, fee: Msat::ZERO });
        true
    }

    /// Loses a preimage, and with it the claim that is under way.
    pub(super) fn forget_preimage(&mut self, hash: PaymentHash) {
        self.preimages.remove(&hash);
        self.forgotten.insert(hash);
        if let Some(hold) = self.holds.get_mut(&hash).filter(|hold| hold.state == HoldState::Claiming) {
            hold.state = HoldState::Held;
        }
    }

    /// Finds a block. Holds at their deadline go back by themselves.
    pub(super) fn mine(&mut self) {
        self.height = BlockHeight(self.height.0 + 1);
        let height = self.height;
        let late = |hold: &Hold| hold.state == HoldState::Held && hold.claim_deadline <= height;
        let due: Vec<PaymentHash> = self.holds.iter().filter(|(_, hold)| late(hold)).map(|(hash, _)| *hash).collect();
        for hash in due {
            self.lose(hash);
            self.failed_back.push(hash);
        }
        self.end_stuck_payments();
        self.tell_height();
    }

    /// A payment that its payee sits on ends on the chain.
    fn end_stuck_payments(&mut self) {
        let height = self.height;
        let late = |payment: &&mut Payment| payment.state == Outgoing::InFlight && payment.over <= height;
        for (id, payment) in self.payments.iter_mut().map(|(id, payment)| (*id, payment)) {
            if late(&payment) {
                let (hash, reason) = (payment.hash, PayFailure::AttemptsExhausted);
                self.node_msat += payment.amount + payment.fee;
                payment.state = Outgoing::Failed(reason);
                self.notices.push(RailNotice::PayoutFailed { id, hash, reason });
            }
        }
    }

    /// The best chain loses blocks.
    pub(super) fn reorganise(&mut self, blocks: Blocks) {
        self.height = self.height.before(blocks);
        self.tell_height();
    }

    /// A hold that is gone, or has another one in its place on its hash, is not told of any more: whoever heard of it now
    /// might want it.
    pub(super) fn drop_stale_notices(&mut self) {
        let holds = &self.holds;
        self.notices.retain(|notice| match notice {
            RailNotice::HoldLocked { hash, amount, claim_deadline } => holds.get(hash).is_some_and(|hold| {
                hold.state != HoldState::Back && (hold.amount, hold.claim_deadline) == (*amount, *claim_deadline)
            }),
            _ => true,
        });
    }

    fn tell_height(&mut self) {
        self.notices.retain(|notice| !matches!(notice, RailNotice::Block { .. }));
        self.notices.push(RailNotice::Block { height: self.height });
    }
}
