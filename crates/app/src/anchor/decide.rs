//! What to do next. Pure: the same anchors and the same sight always lead to the same step.

use tallystick_core::{BlockHeight, Blocks, Duration, Timestamp};
use tallystick_log::anchor::CONFIRMATIONS_MIN;

use super::{
    event::{AnchorEvent, Confirmed, Dropped},
    state::{Anchor, Anchors, RawBytes, Version},
};
use crate::port::anchor::{Place, Seal};

/// When and how a node anchors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchorPolicy {
    /// So many facts since the last anchor are reason for another one; those of anchors do not count.
    pub facts_max: u64,
    /// After so long, a single fact is.
    pub interval: Duration,
    /// After so many blocks without a confirmation the fee is raised.
    pub bump_blocks: Blocks,
    /// The most that is paid, in satoshi per vbyte.
    pub fee_rate_max_sat_vb: u64,
}

impl Default for AnchorPolicy {
    fn default() -> Self {
        Self {
            facts_max: 10_000,
            interval: Duration::from_secs(24 * 3_600),
            bump_blocks: Blocks(6),
            fee_rate_max_sat_vb: 200,
        }
    }
}

/// The newest published checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// The text that is signed.
    pub text: String,
    /// Leaves under it.
    pub size: u64,
}

/// What is seen of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The time.
    pub now: Timestamp,
    /// The height of the best chain's tip.
    pub tip: BlockHeight,
    /// The newest published checkpoint.
    pub latest: Option<Latest>,
    /// Whether the block of the last confirmed anchor is still in the best chain.
    pub last_stands: bool,
    /// Where the open anchor's versions are.
    pub place: Place,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until something changes.
    Rest,
    /// Sign an anchor, and record it. The version whose inputs it spends with a higher fee, if it replaces one.
    Sign {
        /// Its number.
        number: u64,
        /// What it commits to.
        latest: Latest,
        /// What it spends; nothing for the first.
        seal: Option<Seal>,
        /// The signed transaction that it replaces.
        replaces: Option<Vec<u8>>,
        /// What to send if it cannot be signed now.
        otherwise: Option<Vec<u8>>,
    },
    /// Send a version that is nowhere.
    Send {
        /// Which anchor's.
        number: u64,
        /// The signed transaction.
        tx: Vec<u8>,
    },
    /// Record that an anchor counts, or does not any more.
    Record(AnchorEvent),
}

/// Decides. An anchor whose block is gone comes first, then the first one that does not count.
pub fn decide(anchors: &Anchors, sight: &Sight, policy: &AnchorPolicy) -> Step {
    if let (false, Some(last)) = (sight.last_stands, anchors.last_confirmed())
        && let Some(confirmed) = &last.confirmed
    {
        let Confirmed { number, block, height, .. } = *confirmed;
        return Step::Record(AnchorEvent::Dropped(Dropped { number, block, height }));
    }
    match anchors.open() {
        Some(anchor) => go_on(anchors, anchor, sight, policy),
        None => begin(anchors, sight, policy),
    }
}

/// The next step of an anchor that does not count yet.
fn go_on(anchors: &Anchors, anchor: &Anchor, sight: &Sight, policy: &AnchorPolicy) -> Step {
    let number = anchor.number;
    let seal = anchors.seal_of(number);
    // Another version of the anchor before may have won, so that what was made on this one can never confirm.
    let fits = |version: &&Version| seal.is_none_or(|seal| version.anchor.seal() == seal.outpoint);
    let Some(newest) = anchor.versions.iter().rfind(fits) else {
        return match newest_text(anchor, sight) {
            Some(latest) => Step::Sign { number, latest, seal, replaces: None, otherwise: None },
            None => Step::Rest,
        };
    };
    match &sight.place {
        Place::Block { txid, block, height, path } => {
            let deep = sight.tip.0.checked_sub(height.0).is_some_and(|above| above + 1 >= CONFIRMATIONS_MIN);
            let confirmed = Confirmed {
                number,
                txid: txid.to_raw_hash_bytes(),
                height: height.0,
                block: *AsRef::<[u8; 32]>::as_ref(block),
                index: path.index(),
                siblings: path.siblings().to_vec(),
            };
            if deep { Step::Record(AnchorEvent::Confirmed(confirmed)) } else { Step::Rest }
        }
        place => {
            let waited = sight.tip.0.saturating_sub(newest.made_height.0);
            let there = matches!(place, Place::Mempool { txid } if *txid == newest.txid);
            let again = (!there).then(|| newest.tx.clone());
            match newest_text(anchor, sight) {
                Some(latest) if waited >= policy.bump_blocks.0.max(1) => {
                    Step::Sign { number, latest, seal, replaces: Some(newest.tx.clone()), otherwise: again }
                }
                _ => again.map_or(Step::Rest, |tx| Step::Send { number, tx }),
            }
        }
    }
}

/// The newest checkpoint, or the one that the anchor has, if that is not older.
fn newest_text(anchor: &Anchor, sight: &Sight) -> Option<Latest> {
    let own = anchor.versions.last().map(|version| Latest { text: version.checkpoint.clone(), size: version.size });
    match (&sight.latest, own) {
        (Some(latest), Some(own)) if latest.size > own.size => Some(latest.clone()),
        (_, own) => own,
    }
}

/// Whether there is reason for another anchor.
fn begin(anchors: &Anchors, sight: &Sight, policy: &AnchorPolicy) -> Step {
    let Some(latest) = &sight.latest else { return Step::Rest };
    let last = anchors.all().last();
    let anchored = last.and_then(Anchor::confirmed_version).map_or(0, |version| version.size);
    let fresh = latest.size.saturating_sub(anchored).saturating_sub(anchors.own_between(anchored, latest.size));
    let since = last.map(|anchor| anchor.made_at);
    let long = since.is_none_or(|at| sight.now >= at.after(policy.interval));
    if fresh == 0 || (fresh < policy.facts_max && !long) {
        return Step::Rest;
    }
    let number = anchors.count() + 1;
    Step::Sign { number, latest: latest.clone(), seal: anchors.seal_of(number), replaces: None, otherwise: None }
}
