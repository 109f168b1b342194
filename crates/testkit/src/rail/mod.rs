//! A Lightning network in memory: payers, payees and the platform's node, to the msat.
//!
//! It keeps the promises of [`tallystick_app::port::rail`], moves only when a test says so ([`SimRail::step`],
//! [`SimRail::mine`]), and outlives the app: drop the app, build it anew, and the world is as it was.
//!
//! ```text
//! payer ── pay_hold ─▶ hold on the payee's hash ── step ─▶ claimed: the node's
//!                        │ cancel, deadline, lose            ▲ the preimage
//!                        ▼                                   │
//!                      payer                   node ── pay ──┴─▶ payee
//! ```
//!
//! A payout that no hold covers is refused, as a real node refuses it. What no node may ever ask of a rail, such as two
//! payouts on one hash or giving back what is being paid out, is done all the same, if it can be, and written to [`SimRail::violations`]: a test asserts that there are none.

mod invoice;
mod notices;
mod parties;
mod world;

use async_trait::async_trait;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tallystick_app::{
    Clock,
    port::blocks::{Blocks, BlocksError},
    port::rail::{
        ClaimState, HoldRail, HoldRequest, InvoiceError, InvoiceFacts, InvoiceReader, PayRequest, PayState, RailError,
    },
};
use tallystick_core::{BlockHeight, Digest32, Msat, PaymentHash};
use tokio::sync::Notify;

pub use parties::InvoiceSpec;
pub use world::{Hold, HoldState, Outgoing, Payment, Presence};

use crate::ManualClock;
use invoice::Invoice;
use world::World;

/// The network that everybody here is on.
pub const NETWORK: &str = "regtest";
/// The height at which a world begins.
pub const HEIGHT_START: BlockHeight = BlockHeight(800_000);
/// The platform node's own money at the beginning.
pub const NODE_MSAT_START: u64 = 1_000_000_000;
/// The platform node's key.
const NODE_KEY: [u8; 33] = [3; 33];

/// The simulated network. Cheap to clone; all clones are one world.
#[derive(Clone)]
pub struct SimRail {
    shared: Arc<Shared>,
}

struct Shared {
    world: Mutex<World>,
    clock: Arc<ManualClock>,
    /// Something is there to be delivered or moved.
    stirred: Notify,
    /// Whether calls answer that the node cannot do it now.
    unavailable: Mutex<bool>,
    /// Whether hold invoices are refused.
    refusing: Mutex<bool>,
}

impl SimRail {
    /// A world at [`HEIGHT_START`] with nobody in it but the platform's node.
    pub fn new(clock: Arc<ManualClock>) -> Self {
        Self {
            shared: Arc::new(Shared {
                world: Mutex::new(World::new(HEIGHT_START, NODE_MSAT_START)),
                clock,
                stirred: Notify::new(),
                unavailable: Mutex::new(false),
                refusing: Mutex::new(false),
            }),
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stir(&self) {
        self.shared.stirred.notify_one();
    }

    /// Whether the node answers calls from now on.
    pub fn set_available(&self, available: bool) {
        *self.shared.unavailable.lock().unwrap_or_else(PoisonError::into_inner) = !available;
    }

    /// Whether the node refuses to make hold invoices from now on.
    pub fn refuse_hold_invoices(&self, refuse: bool) {
        *self.shared.refusing.lock().unwrap_or_else(PoisonError::into_inner) = refuse;
    }

    fn up(&self) -> Result<(), RailError> {
        let down = *self.shared.unavailable.lock().unwrap_or_else(PoisonError::into_inner);
        if down { Err(RailError::Unavailable("it is switched off".into())) } else { Ok(()) }
    }

    /// Moves everything that is under way by one step: payouts arrive or fail, claims settle. Tells whether
    /// anything moved.
    pub fn step(&self) -> bool {
        self.world().step()
    }

    /// Finds blocks. A hold at its claim deadline goes back by itself, as LDK does it.
    pub fn mine(&self, blocks: u32) {
        for _ in 0..blocks {
            self.world().mine();
        }
        self.stir();
    }

    /// The best chain loses blocks, as in a reorganisation; contracts off the chain stay as they are.
    pub fn reorganise(&self, blocks: tallystick_core::Blocks) {
        self.world().reorganise(blocks);
        self.stir();
    }

    /// What was asked of the rail and never should be.
    pub fn violations(&self) -> Vec<String> {
        self.world().violations.clone()
    }
}

#[async_trait]
impl HoldRail for SimRail {
    async fn hold_invoice(&self, request: HoldRequest) -> Result<String, RailError> {
        self.up()?;
        if *self.shared.refusing.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(RailError::Refused("it makes no hold invoices".into()));
        }
        let invoice = Invoice {
            network: NETWORK.into(),
            payee: NODE_KEY,
            hash: request.hash,
            amount: Some(request.amount),
            expires_at: self.shared.clock.now().after(request.expiry),
            final_cltv_delta: request.final_cltv_delta,
            features: "s".into(),
        };
        let text = invoice.write();
        self.world().hold_invoices.insert(text.clone(), invoice);
        Ok(text)
    }

    async fn cancel_hold(&self, hash: PaymentHash) -> Result<(), RailError> {
        self.up()?;
        let mut world = self.world();
        let state = world.holds.get(&hash).map(|hold| hold.state);
        if world.preimages.contains(&hash) || matches!(state, Some(HoldState::Claiming | HoldState::Claimed)) {
            if !world.forgotten.contains(&hash) {
                world.violations.push(format!("{hash} was to be given back after it was paid out"));
            }
            return Err(RailError::Claimed);
        }
        let paying = world.payments.values().any(|payment| payment.hash == hash && payment.state == Outgoing::InFlight);
        if paying {
            world.violations.push(format!("{hash} was given back while it is being paid out"));
        }
        world.give_back(hash);
        Ok(())
    }

    async fn claim_hold(&self, hash: PaymentHash) -> Result<ClaimState, RailError> {
        self.up()?;
        let mut world = self.world();
        if !world.preimages.contains(&hash) {
            if !world.forgotten.contains(&hash) {
                world.violations.push(format!("{hash} was to be claimed before it was paid out"));
            }
            return Err(RailError::NoPreimage);
        }
        match world.holds.get_mut(&hash) {
            Some(hold) if hold.state == HoldState::Claimed => Ok(ClaimState::Claimed),
            Some(hold) if hold.state == HoldState::Held => {
                hold.state = HoldState::Claiming;
                Ok(ClaimState::Claiming)
            }
            // Being claimed, or nothing there to be claimed: a real node cannot tell these apart.
            _ => Ok(ClaimState::Claiming),
        }
    }

    async fn pay(&self, request: PayRequest) -> Result<PayState, RailError> {
        self.up()?;
        let invoice = Invoice::read(&request.bolt11).map_err(|error| RailError::Refused(error.to_string()))?;
        let now = self.shared.clock.now();
        let mut world = self.world();
        let state = match world.payments.get(&request.id) {
            Some(known) => known.state,
            None => world.begin(&request, &invoice, now),
        };
        let fee = world.payments.get(&request.id).map_or(0, |payment| payment.fee);
        drop(world);
        self.stir();
        Ok(match state {
            Outgoing::InFlight => PayState::InFlight,
            Outgoing::Paid => PayState::Paid { fee: Msat::try_new(fee).expect("it was paid from the node's money") },
            Outgoing::Failed(reason) => PayState::Failed { reason },
        })
    }

    async fn holds(&self) -> Result<Vec<(PaymentHash, Msat)>, RailError> {
        self.up()?;
        let world = self.world();
        let held = world.holds.iter().filter(|(_, hold)| hold.state == HoldState::Held);
        Ok(held.map(|(hash, hold)| (*hash, hold.amount)).collect())
    }

    fn height(&self) -> BlockHeight {
        self.world().height
    }

    fn is_reachable(&self) -> bool {
        self.up().is_ok()
    }
}

#[async_trait]
impl Blocks for SimRail {
    /// The block's height, eight times: each block has a hash of its own.
    async fn hash_at(&self, height: BlockHeight) -> Result<Digest32, BlocksError> {
        if *self.shared.unavailable.lock().unwrap_or_else(PoisonError::into_inner) || height > self.height() {
            return Err(BlocksError(format!("there is no block at height {height}")));
        }
        let mut hash = [0; 32];
        hash.chunks_mut(4).for_each(|part| part.copy_from_slice(&height.0.to_be_bytes()));
        Ok(Digest32(hash))
    }
}

impl InvoiceReader for SimRail {
    fn read(&self, bolt11: &str) -> Result<InvoiceFacts, InvoiceError> {
        Ok(Invoice::read(bolt11)?.facts(NETWORK, &NODE_KEY))
    }
}

/// What a payer's node adds to the final delta before it sends: BOLT 4 lets it, and stock payers do.
const PAYER_EXTRA: tallystick_core::Blocks = tallystick_core::Blocks(1);
