//! What a task waits for, against what its decisions asked for: a node does what is awaited, whatever its outbox has become.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};
use tallystick_core::{Decision, Digest32, PaymentHash};
use tallystick_escrow::{
    Command, Effect, NodeCommand, PayFailure, Purpose, Task, TrancheState, awaited, payout_id, served,
};
use tallystick_testkit::escrow::*;

/// All that was asked for, by key, and what kinds of it were waited for.
#[derive(Default)]
pub struct Asked {
    effects: BTreeMap<String, Effect>,
    pub kinds: BTreeSet<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Invoice,
    RenewalInvoice,
    Pay,
    PayAgain,
    PayBond,
    Claim,
    Cancel,
    CancelReplaced,
    Reward,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::Invoice,
        Self::RenewalInvoice,
        Self::Pay,
        Self::PayAgain,
        Self::PayBond,
        Self::Claim,
        Self::Cancel,
        Self::CancelReplaced,
        Self::Reward,
    ];

    fn of(effect: &Effect, task: &Task) -> Option<Self> {
        let parts = || task.phase.job().into_iter().flat_map(|job| &job.tranches);
        let is_current = |hash: &PaymentHash| parts().any(|part| part.hash == *hash);
        Some(match effect {
            Effect::MakeHoldInvoice { hash, .. } if is_current(hash) => Self::Invoice,
            Effect::MakeHoldInvoice { .. } => Self::RenewalInvoice,
            Effect::Pay { hash, id, .. } => {
                let (at, part) = (0..).zip(parts()).find(|(_, part)| part.hash == *hash)?;
                match part.purpose {
                    Purpose::Bond(_) => Self::PayBond,
                    Purpose::Work if *id == payout_id(task.id, at, 1) => Self::Pay,
                    Purpose::Work => Self::PayAgain,
                }
            }
            Effect::ClaimHold { .. } => Self::Claim,
            Effect::CancelHold { hash } if is_current(hash) => Self::Cancel,
            Effect::CancelHold { .. } => Self::CancelReplaced,
            Effect::PayReward { .. } => Self::Reward,
            Effect::NoteService { .. } => return None,
        })
    }
}

impl Asked {
    /// A decision asks for more. Answers what is new: the first one of a key is the one that is kept.
    pub fn add(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        let mut fresh = Vec::new();
        for effect in effects {
            if let Entry::Vacant(place) = self.effects.entry(effect.key()) {
                place.insert(effect.clone());
                fresh.push(effect);
            }
        }
        fresh
    }

    /// What is awaited was asked for, and asks the same; and whatever was asked for is awaited as long as its outcome would be news.
    pub fn check(&mut self, given: &Given) {
        let task = given.task();
        let awaited: BTreeMap<_, _> =
            awaited(task, given.now).into_iter().map(|effect| (effect.key(), effect)).collect();
        for (key, effect) in &awaited {
            let asked =
                self.effects.get(key).unwrap_or_else(|| panic!("{effect:?} is awaited, and nobody asked for it"));
            assert!(asked.asks_the_same(effect), "{effect:?} is awaited, and asked for was {asked:?}");
            assert!(is_news(given, effect), "{effect:?} is awaited, and its outcome is no news");
            self.kinds.extend(Kind::of(effect, task));
        }
        let mut noted = BTreeMap::new();
        for effect in served(task) {
            noted.entry(effect.key()).or_insert(effect);
        }
        let is_note = |(_, asked): &(&String, &Effect)| matches!(asked, Effect::NoteService { .. });
        assert!(self.effects.iter().filter(is_note).eq(&noted), "{noted:?} is what the registry is to be told");
        for (key, asked) in &self.effects {
            assert!(
                awaited.contains_key(key) || !is_news(given, asked),
                "{asked:?} is not awaited: {:?}",
                given.phase()
            );
        }
    }
}

/// Whether the task takes the effect's outcome for news.
fn is_news(given: &Given, effect: &Effect) -> bool {
    let outcome = match *effect {
        Effect::MakeHoldInvoice { hash, .. } if is_to_renew_nothing(given, hash) => return false,
        Effect::MakeHoldInvoice { hash, .. } => {
            NodeCommand::RecordHoldInvoice { hash, bolt11: "an invoice".to_owned() }
        }
        Effect::Pay { hash, id, .. } | Effect::PayReward { hash, id, .. } => failed(hash, id),
        Effect::ClaimHold { hash, .. } if is_lost(given, hash) => return false,
        Effect::ClaimHold { hash, amount } => NodeCommand::RecordHoldClaimed { hash, amount },
        Effect::CancelHold { hash } => NodeCommand::RecordHoldReturned { hash },
        Effect::NoteService { .. } => return false,
    };
    matches!(given.decide(node(), Command::Node(outcome)), Ok(Decision::Accept { .. }))
}

fn failed(hash: PaymentHash, id: Digest32) -> NodeCommand {
    NodeCommand::RecordPayoutFailed { hash, id, reason: PayFailure::InvoiceExpired }
}

/// A hold that went back although its payee was paid: there is nothing to claim, and yet a claim that worked would be welcome.
fn is_lost(given: &Given, hash: PaymentHash) -> bool {
    let mut parts = given.phase().job().into_iter().flat_map(|job| &job.tranches);
    parts.any(|part| part.hash == hash && matches!(part.state, TrancheState::Uncovered { .. }))
}

/// A renewal of a hold that is not held any more: its invoice is taken, and is for nothing.
fn is_to_renew_nothing(given: &Given, hash: PaymentHash) -> bool {
    let mut parts = given.phase().job().into_iter().flat_map(|job| &job.tranches);
    parts.any(|part| !part.state.is_held() && part.renewal.as_ref().is_some_and(|next| next.hash == hash))
}
