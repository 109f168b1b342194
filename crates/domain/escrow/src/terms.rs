//! What requester and worker agree on.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use tallystick_civics::dispute::Seats;
use tallystick_core::{Blocks, Code, Coded, Digest32, Duration, Sat, Timestamp};

use crate::{Policy, plan::GRACE};

/// The longest title, in bytes of UTF-8.
const TITLE_BYTES_MAX: usize = 200;
/// The shortest review window: nobody can look at work in less.
const REVIEW_WINDOW_MIN: Duration = Duration::from_secs(1);

/// What happens when the requester neither approves nor rejects in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnSilence {
    /// The worker is paid.
    Release,
    /// The requester gets the money back.
    Refund,
}

/// The terms of a task, as its requester wrote them.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Terms {
    /// What it is about, in one line.
    pub title: String,
    /// SHA-256 of the full description, which the parties keep.
    pub description_hash: Digest32,
    /// The parts of the work, each with a deadline and money of its own, in the order of their deadlines.
    pub milestones: Vec<MilestoneTerms>,
    /// How long the requester may look at the work of a milestone.
    pub review_window: Duration,
    /// What happens when the requester says nothing in that time.
    pub on_silence: OnSilence,
    /// For how many blocks a hold must be usable; work and review decide if it is absent.
    pub hold_blocks: Option<Blocks>,
    /// Whether holds may be renewed, so that work may take longer than one hold: what happens to work that was not
    /// handed in when the worker offered a renewal in time and the requester did not lock the next hold.
    pub renewal: Option<OnSilence>,
    /// Whether what the two do not agree on is decided by a panel: the fewest arbitrators that sit on it, 1, 3 or 5. Larger
    /// amounts ask for more ([`Policy::dispute`]).
    pub panel: Option<Seats>,
    /// What each side puts up for its word.
    pub bonds: Bonds,
}

/// What each side puts up for its word: locked with all other money, given back at the end, and paid to the other side only
/// by a ruling, or the worker's if nothing was handed in. Nothing where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Bonds {
    /// The requester's: the worker gets it if it is taken.
    pub requester: Option<Sat>,
    /// The worker's: the requester gets it if it is taken.
    pub worker: Option<Sat>,
}

/// A part of the work, as the requester wrote it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct MilestoneTerms {
    /// What it is about, in one line.
    pub title: String,
    /// What the worker gets, tranche by tranche.
    pub payouts: Vec<Sat>,
    /// Until when its work must be submitted.
    pub work_deadline: Timestamp,
}

/// Why terms are refused. Each carries the limit that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TermsError {
    /// A title is empty, too long, or has control characters.
    #[error(
        "the titles of a task and of its milestones must have 1 to {TITLE_BYTES_MAX} bytes and no control characters"
    )]
    Title,
    /// A milestone without a tranche, or too many tranches in all.
    #[error("a task has 1 tranche for each milestone at least and {limit} in all at most, not {count}")]
    Tranches {
        /// How many were asked for.
        count: usize,
        /// How many are allowed.
        limit: u32,
    },
    /// A payout that this node does not do.
    #[error("a payout of {payout} is outside of {min} to {max}")]
    Payout {
        /// The payout asked for.
        payout: Sat,
        /// The smallest.
        min: Sat,
        /// The largest.
        max: Sat,
    },
    /// A milestone is due before the one before it.
    #[error("milestone {milestone}, from 0, is due at {deadline}, before the one before it; put them in order")]
    DeadlineOrder {
        /// Which, from 0.
        milestone: usize,
        /// Its deadline.
        deadline: Timestamp,
    },
    /// The work deadline is not in the future.
    #[error("the work deadline ({deadline}) must be later than now ({now})")]
    DeadlinePast {
        /// The deadline asked for.
        deadline: Timestamp,
        /// The time of the request.
        now: Timestamp,
    },
    /// The review window is too short or too long.
    #[error("the review window must be {min} to {max}, not {window}")]
    ReviewWindow {
        /// The window asked for.
        window: Duration,
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// More arbitrators than a first panel has.
    #[error("a panel has 1, 3 or 5 arbitrators, not {seats}: only an appeal goes to more")]
    Panel {
        /// How many were asked for.
        seats: usize,
    },
    /// A bond that this node does not do.
    #[error("a bond of {bond} is outside of {min} to {max}")]
    Bond {
        /// The bond asked for.
        bond: Sat,
        /// The smallest.
        min: Sat,
        /// The largest.
        max: Sat,
    },
    /// A requester's bond that nobody could ever take.
    #[error("only a panel can take a requester's bond: name one, or ask for no bond")]
    BondWithoutPanel,
    /// A bond for work that may take longer than the bond's own hold.
    #[error("bonds are not renewed, and end with their first hold: ask for no bond, or for no renewal")]
    BondWithRenewal,
}

impl Coded for TermsError {
    fn code(&self) -> Code {
        match self {
            Self::Title => Code("terms.title"),
            Self::Tranches { .. } => Code("terms.tranches"),
            Self::Payout { .. } => Code("terms.payout"),
            Self::DeadlineOrder { .. } => Code("terms.deadline_order"),
            Self::DeadlinePast { .. } => Code("terms.deadline_past"),
            Self::ReviewWindow { .. } => Code("terms.review_window"),
            Self::Panel { .. } => Code("terms.panel"),
            Self::Bond { .. } => Code("terms.bond"),
            Self::BondWithoutPanel => Code("terms.bond_without_panel"),
            Self::BondWithRenewal => Code("terms.bond_with_renewal"),
        }
    }
}

impl Terms {
    /// Checks the terms against a node's policy.
    ///
    /// # Errors
    /// [`TermsError`] names the first term that does not fit, and the limit.
    pub fn check(&self, policy: &Policy, now: Timestamp) -> Result<(), TermsError> {
        if !std::iter::once(&self.title).chain(self.milestones.iter().map(|part| &part.title)).all(|title| fits(title))
        {
            return Err(TermsError::Title);
        }
        let count = self.payouts().count();
        let is_empty = self.milestones.is_empty() || self.milestones.iter().any(|part| part.payouts.is_empty());
        if is_empty || u32::try_from(count).map_or(true, |count| count > policy.tranches_max) {
            return Err(TermsError::Tranches { count, limit: policy.tranches_max });
        }
        let (min, max) = (policy.payout_min, policy.payout_max);
        if let Some(payout) = self.payouts().find(|payout| !(min..=max).contains(payout)) {
            return Err(TermsError::Payout { payout, min, max });
        }
        self.check_deadlines(now)?;
        let (min, max) = (REVIEW_WINDOW_MIN, policy.review_window_max);
        if !(min..=max).contains(&self.review_window) {
            return Err(TermsError::ReviewWindow { window: self.review_window, min, max });
        }
        if let Some(seats) = self.panel.filter(|seats| *seats > Seats::Five) {
            return Err(TermsError::Panel { seats: seats.count() });
        }
        let (min, max) = (policy.payout_min, policy.bond_max);
        let Bonds { requester, worker } = self.bonds;
        match [requester, worker].into_iter().flatten().find(|bond| !(min..=max).contains(bond)) {
            Some(bond) => Err(TermsError::Bond { bond, min, max }),
            None if requester.is_some() && self.panel.is_none() => Err(TermsError::BondWithoutPanel),
            None => Ok(()),
        }
    }

    /// Checks what [`Terms::check`] lets pass, since tasks were posted with it once.
    ///
    /// # Errors
    /// [`TermsError::BondWithRenewal`].
    pub fn check_new(&self) -> Result<(), TermsError> {
        let has_bond = self.bonds != Bonds::default();
        if has_bond && self.renewal.is_some() { Err(TermsError::BondWithRenewal) } else { Ok(()) }
    }

    fn check_deadlines(&self, now: Timestamp) -> Result<(), TermsError> {
        let mut before = now;
        for (milestone, part) in (0..).zip(&self.milestones) {
            let deadline = part.work_deadline;
            if deadline <= now {
                return Err(TermsError::DeadlinePast { deadline, now });
            }
            if deadline < before {
                return Err(TermsError::DeadlineOrder { milestone, deadline });
            }
            before = deadline;
        }
        Ok(())
    }

    /// What the worker gets, tranche by tranche, through all milestones.
    pub fn payouts(&self) -> impl Iterator<Item = Sat> {
        self.milestones.iter().flat_map(|part| part.payouts.iter().copied())
    }

    /// For what the worker hands in an invoice when it takes the task: each tranche, and the requester's bond.
    pub fn workers_invoices(&self) -> impl Iterator<Item = Sat> {
        self.payouts().chain(self.bonds.requester)
    }

    /// The positions of a milestone's tranches among all of the task. Empty for a milestone that there is not.
    pub fn tranches_of(&self, milestone: u32) -> Range<u32> {
        let position = usize::try_from(milestone).unwrap_or(usize::MAX);
        let count = |parts: &[MilestoneTerms]| parts.iter().map(|part| part.payouts.len()).sum::<usize>();
        let before = count(self.milestones.get(..position).unwrap_or(&self.milestones));
        let own = self.milestones.get(position).map_or(0, |part| part.payouts.len());
        let at = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        at(before)..at(before + own)
    }

    /// When work and review of a task are over whose holds cannot be renewed: until then the first ones must do.
    pub fn work_over(&self) -> Option<Timestamp> {
        self.renewal.is_none().then(|| self.last_deadline().after(self.review_window))
    }

    /// Until when something can be handed in for a milestone: its deadline, and [`GRACE`] after it if the worker put up a bond.
    pub fn hand_in_until(&self, milestone: &MilestoneTerms) -> Timestamp {
        match self.bonds.worker {
            Some(_) => milestone.work_deadline.after(GRACE),
            None => milestone.work_deadline,
        }
    }

    /// The deadline of the first milestone: from then on nobody begins the task.
    pub fn first_deadline(&self) -> Timestamp {
        self.milestones.first().map_or(Timestamp::from_millis(0), |part| part.work_deadline)
    }

    /// The deadline of the last milestone.
    pub fn last_deadline(&self) -> Timestamp {
        self.milestones.last().map_or(Timestamp::from_millis(0), |part| part.work_deadline)
    }
}

fn fits(title: &str) -> bool {
    !title.trim().is_empty() && title.len() <= TITLE_BYTES_MAX && !title.chars().any(char::is_control)
}
