//! What payers and payees do in the simulated network, and what an observer sees.

use std::collections::{BTreeMap, BTreeSet};
use tallystick_app::{Clock, port::rail::PayFailure};
use tallystick_core::{BlockHeight, Blocks, Digest32, Duration, Msat, PaymentHash, canonical};
use tallystick_escrow::plan::FAIL_BACK_BLOCKS;

use super::{
    NETWORK, NODE_KEY, PAYER_EXTRA, SimRail,
    invoice::Invoice,
    world::{Hold, HoldState, Outgoing, Payable, Payment, Presence, Wallet},
};

/// A payee's invoice, and how it may be wrong.
#[derive(Clone, Debug)]
pub struct InvoiceSpec {
    /// The amount, if it names one.
    pub amount: Option<Msat>,
    /// For how long it can be paid.
    pub expiry: Duration,
    /// The blocks that the payee wants to have left.
    pub final_cltv_delta: Blocks,
    /// Whether it is for another network.
    pub other_network: bool,
    /// Whether it carries a payment secret.
    pub secret: bool,
    /// Whether it needs features that nobody knows.
    pub odd_features: bool,
    /// Whether it would pay the platform's node itself.
    pub to_node: bool,
}

impl InvoiceSpec {
    /// A good invoice, payable for 30 days.
    ///
    /// # Panics
    /// If there is not that much bitcoin.
    pub fn good(amount_sat: u64) -> Self {
        Self {
            amount: Some(Msat::try_new(amount_sat * 1_000).expect("a test asks for less than all bitcoin")),
            expiry: Duration::from_secs(30 * 86_400),
            final_cltv_delta: Blocks(18),
            other_network: false,
            secret: true,
            odd_features: false,
            to_node: false,
        }
    }
}

impl SimRail {
    /// Adds a wallet with money in it, online.
    pub fn add_wallet(&self, name: &str, sat: u64) {
        let wallet = Wallet { msat: sat * 1_000, presence: Presence::Online };
        self.world().wallets.insert(name.to_owned(), wallet);
    }

    /// Whether a payee answers from now on.
    pub fn set_presence(&self, name: &str, presence: Presence) {
        if let Some(wallet) = self.world().wallets.get_mut(name) {
            wallet.presence = presence;
        }
        self.stir();
    }

    /// What every route costs from now on.
    pub fn set_route_fee(&self, fee: Msat) {
        self.world().route_fee_msat = fee.get();
    }

    /// The next payouts fail as soon as they begin, in this order.
    pub fn fail_payouts(&self, reasons: &[PayFailure]) {
        self.world().failures.extend_from_slice(reasons);
    }

    /// A good invoice of a payee, on a fresh hash.
    pub fn invoice(&self, payee: &str, sat: u64) -> String {
        self.invoice_with(payee, &InvoiceSpec::good(sat))
    }

    /// An invoice of a payee, on a fresh hash.
    pub fn invoice_with(&self, payee: &str, spec: &InvoiceSpec) -> String {
        let mut world = self.world();
        let count = u64::try_from(world.payables.len()).unwrap_or(u64::MAX);
        let preimage = canonical::digest("sim/preimage", &[payee.as_bytes(), &count.to_le_bytes()]);
        let hash = PaymentHash(canonical::sha256(&preimage.0).0);
        world.payables.insert(hash, Payable { payee: payee.to_owned(), paid: false });
        let mut key = [2; 33];
        key[1..].copy_from_slice(&canonical::sha256(payee.as_bytes()).0);
        Invoice {
            network: if spec.other_network { "mainnet".into() } else { NETWORK.into() },
            payee: if spec.to_node { NODE_KEY } else { key },
            hash,
            amount: spec.amount,
            expires_at: self.shared.clock.now().after(spec.expiry),
            final_cltv_delta: spec.final_cltv_delta,
            features: [if spec.secret { "s" } else { "" }, if spec.odd_features { "x" } else { "" }].concat(),
        }
        .write()
    }

    /// A payer pays a hold invoice: the money is locked, and a notice goes out. False if the wallet or the network
    /// would refuse: unknown or expired invoice, too little money, or a hash that is held or was settled.
    pub fn pay_hold(&self, payer: &str, invoice: &str) -> bool {
        let now = self.shared.clock.now();
        let mut world = self.world();
        let Some(invoice) = world.hold_invoices.get(invoice).filter(|invoice| invoice.expires_at > now).cloned() else {
            return false;
        };
        let expires = world.height.after(invoice.final_cltv_delta).after(PAYER_EXTRA);
        let locked = world.lock(
            invoice.hash,
            Hold {
                payer: payer.to_owned(),
                amount: invoice.amount.unwrap_or(Msat::ZERO),
                claim_deadline: expires.before(FAIL_BACK_BLOCKS),
                state: HoldState::Held,
            },
        );
        drop(world);
        self.stir();
        locked
    }

    /// A payer locks any amount until any deadline, as a careless or hostile one may.
    pub fn lock(&self, payer: &str, hash: PaymentHash, amount: Msat, claim_deadline: BlockHeight) -> bool {
        let hold = Hold { payer: payer.to_owned(), amount, claim_deadline, state: HoldState::Held };
        let locked = self.world().lock(hash, hold);
        self.stir();
        locked
    }

    /// A hold goes with its channel; the payer has the money again. False if nothing is held.
    pub fn lose_hold(&self, hash: PaymentHash) -> bool {
        let lost = self.world().lose(hash);
        self.stir();
        lost
    }

    /// The node pays a held payout in a past that its journal has forgotten: the payee has the money, the claim on the
    /// hold is under way, and no payment is known by the id that the journal would ask for. False if there is nothing to
    /// pay.
    pub fn pay_forgotten(&self, bolt11: &str) -> bool {
        let paid = Invoice::read(bolt11).is_ok_and(|invoice| self.world().pay_forgotten(&invoice));
        self.stir();
        paid
    }

    /// The node forgets a preimage, as a store that was rolled back would.
    pub fn forget_preimage(&self, hash: PaymentHash) {
        self.world().forget_preimage(hash);
    }

    /// The money in a wallet.
    pub fn wallet_msat(&self, name: &str) -> u64 {
        self.world().wallets.get(name).map_or(0, |wallet| wallet.msat)
    }

    /// What the platform's node owns outright: neither in flight nor held.
    pub fn node_msat(&self) -> u64 {
        self.world().node_msat
    }

    /// What routing nodes earned.
    pub fn routed_msat(&self) -> u64 {
        self.world().routed_msat
    }

    /// All money, wherever it is. It never changes but by [`SimRail::add_wallet`].
    pub fn total_msat(&self) -> u64 {
        self.world().total_msat()
    }

    /// What payers have locked and nobody has claimed or given back.
    pub fn held_msat(&self) -> u64 {
        let locked = |hold: &&Hold| matches!(hold.state, HoldState::Held | HoldState::Claiming);
        self.world().holds.values().filter(locked).map(|hold| hold.amount.get()).sum()
    }

    /// How many payouts were begun on a hash, failed ones included, and how many of them reached the payee.
    pub fn payouts(&self, hash: PaymentHash) -> (usize, usize) {
        let world = self.world();
        let on_hash = || world.payments.values().filter(|payment| payment.hash == hash);
        (on_hash().count(), on_hash().filter(|payment| payment.state == Outgoing::Paid).count())
    }

    /// Every hold that there ever was, the last one on each hash.
    pub fn seen_holds(&self) -> BTreeMap<PaymentHash, Hold> {
        self.world().holds.clone()
    }

    /// Every payment that the node was asked for.
    pub fn seen_payments(&self) -> BTreeMap<Digest32, Payment> {
        self.world().payments.clone()
    }

    /// The holds that went back by themselves at their deadline.
    pub fn failed_back(&self) -> Vec<PaymentHash> {
        self.world().failed_back.clone()
    }

    /// The holds that went without having been asked to.
    pub fn lost_holds(&self) -> BTreeSet<PaymentHash> {
        self.world().lost.clone()
    }

    /// What the platform's node would have if everything under way failed, but for what it can claim: its own money, in
    /// flight or not, and the holds that it is claiming.
    pub fn node_worth_msat(&self) -> u64 {
        let world = self.world();
        let claiming = world.holds.values().filter(|hold| hold.state == HoldState::Claiming);
        let flying = world.payments.values().filter(|payment| payment.state == Outgoing::InFlight);
        world.node_msat
            + claiming.map(|hold| hold.amount.get()).sum::<u64>()
            + flying.map(|payment| payment.amount + payment.fee).sum::<u64>()
    }
}
