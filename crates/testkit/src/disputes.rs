//! Disputes that a test says how they stand.

use async_trait::async_trait;
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tallystick_app::{AppError, port::evidence::Matter, vault::Disputes};
use tallystick_civics::dispute::{
    Command, Dispute, NodeCommand, Opening, Plan, Seats, UserCommand, decide, evolve, open,
};
use tallystick_civics::draw::{Candidate, Candidates};
use tallystick_core::{BlockHeight, Ctx, Decision, Digest32, NostrKey, Sat, Timestamp};

/// When everything happens to them.
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Disputes by what they are about.
#[derive(Default)]
pub struct FixedDisputes(Mutex<BTreeMap<Matter, Dispute>>, AtomicU64);

impl FixedDisputes {
    /// How often it was asked since when a dispute is over.
    pub fn asked_since(&self) -> u64 {
        self.1.load(Ordering::SeqCst)
    }

    /// Opens a dispute about a sat between two parties at this height.
    ///
    /// # Panics
    /// If the rules do not allow it.
    pub fn open(&self, matter: Matter, (payer, payee): (NostrKey, NostrKey), height: BlockHeight) {
        let plan = Plan::default();
        let opening = Opening {
            id: matter.dispute,
            payer,
            payee,
            parts: vec![Sat::try_new(200_000).expect("an amount")],
            rule_by: BlockHeight(height.0 + 2_000),
            plan,
            seats_min: Seats::One,
            conflicts: Vec::new(),
            registry_seq: 1,
        };
        let opened = open(opening, &ctx(payer, height)).expect("a dispute that may be opened");
        let dispute = evolve(None, &opened).expect("an open dispute");
        self.disputes().insert(matter, dispute);
    }

    /// Draws and seats a panel of these, as soon as it can be.
    ///
    /// # Panics
    /// If it cannot.
    pub fn seat(&self, matter: Matter, arbitrators: &[NostrKey]) {
        let from = self.get(matter).draw_from();
        let block_height = self.get(matter).panel.draw_block();
        let mut keys = arbitrators.to_vec();
        keys.sort();
        let list = keys.iter().map(|key| Candidate { arbitrator: *key, weight: 1 }).collect();
        let draw = NodeCommand::RecordDraw {
            block_height,
            block_hash: Digest32([7; 32]),
            candidates: Candidates::try_new(list).expect("a sorted list"),
            registry_seq: 1,
        };
        self.give(matter, Command::Node(draw), keys[0], from);
        for key in keys {
            self.give(matter, Command::User(UserCommand::AcceptSeat), key, from);
        }
    }

    /// Files a piece.
    ///
    /// # Panics
    /// If it cannot be filed.
    pub fn file(&self, matter: Matter, author: NostrKey, hash: Digest32, bytes: u64) {
        let height = self.get(matter).panel.begun_at;
        self.give(matter, Command::User(UserCommand::FileEvidence { hash, bytes }), author, height);
    }

    /// Withdraws a dispute: it is over then.
    ///
    /// # Panics
    /// If it cannot be withdrawn.
    pub fn withdraw(&self, matter: Matter) {
        let dispute = self.get(matter);
        self.give(matter, Command::User(UserCommand::Withdraw), dispute.opening.payer, dispute.panel.begun_at);
    }

    /// Forgets a dispute, as if its task had been erased.
    pub fn forget(&self, matter: Matter) {
        self.disputes().remove(&matter);
    }

    /// A dispute as it stands.
    ///
    /// # Panics
    /// If there is none.
    pub fn get(&self, matter: Matter) -> Dispute {
        self.disputes().get(&matter).cloned().expect("a dispute")
    }

    fn give(&self, matter: Matter, command: Command, author: NostrKey, height: BlockHeight) {
        let dispute = self.get(matter);
        match decide(&dispute, command, &ctx(author, height)).expect("a command that is allowed") {
            Decision::Accept { events, .. } => {
                let after = events.iter().fold(Some(dispute), evolve);
                self.disputes().insert(matter, after.expect("a dispute"));
            }
            Decision::AlreadyApplied => {}
        }
    }

    fn disputes(&self) -> std::sync::MutexGuard<'_, BTreeMap<Matter, Dispute>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Disputes for FixedDisputes {
    async fn dispute(&self, matter: Matter) -> Result<Option<Dispute>, AppError> {
        Ok(self.disputes().get(&matter).cloned())
    }

    async fn over_since(&self, matter: Matter) -> Result<Option<Timestamp>, AppError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok(self.disputes().get(&matter).filter(|dispute| dispute.phase.is_final()).map(|_| NOW))
    }
}

fn ctx(author: NostrKey, height: BlockHeight) -> Ctx {
    Ctx { now: NOW, height, author }
}
