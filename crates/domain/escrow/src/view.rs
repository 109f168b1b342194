//! A task as queries show it.

use serde::{Deserialize, Serialize};
use tallystick_civics::dispute::{Seats, Side};
use tallystick_core::{BlockHeight, Blocks, Digest32, Duration, Id, NostrKey, PaymentHash, Sat, Timestamp};

use crate::{
    DisputeView, MilestoneTerms, OnSilence, Phase, Purpose, RefundReason, ReleaseReason, Renewal, Stage, Task, Tranche,
    TrancheState, Verdict, plan,
};

/// Everything that a party of a task may see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskView {
    /// The task.
    pub id: Id<Task>,
    /// The state's name, such as `held`.
    pub state: String,
    /// Why the task is being, or was, paid out or given back: such as `approved` or `work_deadline`.
    pub reason: Option<String>,
    /// The title.
    pub title: String,
    /// SHA-256 of the description.
    pub description_hash: Digest32,
    /// Who pays.
    pub requester: NostrKey,
    /// Who works.
    pub worker: Option<NostrKey>,
    /// When it was created.
    pub created_at: Timestamp,
    /// How long the requester may look at the work of a milestone.
    pub review_window: Duration,
    /// What happens when the requester says nothing.
    pub on_silence: OnSilence,
    /// Whether holds may be renewed, and what happens when the requester misses it.
    pub renewal: Option<OnSilence>,
    /// How many arbitrators decide at least what is disputed; nothing if nothing can be.
    pub panel: Option<usize>,
    /// For how long a worker's invoice must still be payable when it is handed in: see [`TaskView::invoice_needed`].
    pub invoice_life: Duration,
    /// For how many blocks the hold is usable.
    pub hold_blocks: Blocks,
    /// The final CLTV delta that the funding invoices ask for.
    pub final_cltv_delta: Blocks,
    /// Until when the funding invoices can be paid.
    pub fund_until: Option<Timestamp>,
    /// The parts of the work.
    pub milestones: Vec<MilestoneView>,
    /// What each side puts up.
    pub bonds: Vec<BondView>,
}

/// A bond as queries show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BondView {
    /// Whether it is the worker's, and the requester's otherwise.
    pub of_worker: bool,
    /// The hold and what becomes of it. Its payout goes to the other side, if it is taken.
    pub hold: TrancheView,
    /// While it is at stake: the height at which it goes back at the latest.
    pub return_by: Option<BlockHeight>,
    /// While it is at stake, of the worker's, in order: the times at which it is taken, a little after the deadlines, unless
    /// something is handed in before, or this node is away meanwhile; each with the last height at which it is taken then, as
    /// blocks that came faster let nobody hand anything in any more.
    pub promises: Vec<(Timestamp, BlockHeight)>,
}

/// A milestone as queries show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MilestoneView {
    /// Its title.
    pub title: String,
    /// The state's name, such as `submitted`; `planned` while the money is not locked.
    pub state: String,
    /// Until when its work must be submitted.
    pub work_deadline: Timestamp,
    /// SHA-256 of the work, once it was handed in.
    pub work_hash: Option<Digest32>,
    /// SHA-256 of the reasons for which it was rejected, if it was.
    pub reason_hash: Option<Digest32>,
    /// Until when the requester may decide, once work is submitted.
    pub review_until: Option<Timestamp>,
    /// When the money goes back, once work is refused and not disputed.
    pub refund_at: Option<Timestamp>,
    /// The last height at which a dispute can be opened.
    pub dispute_by: Option<BlockHeight>,
    /// Its last dispute, over or not.
    pub dispute: Option<DisputeView>,
    /// The last height at which work can be handed in.
    pub submit_by: Option<BlockHeight>,
    /// The last height at which a payout may begin. What is undecided then ends by the terms.
    pub decide_by: Option<BlockHeight>,
    /// The last height at which the worker can offer to renew the holds in time.
    pub renew_by: Option<BlockHeight>,
    /// What happens to what is undecided at its deadline, if nobody does anything until then.
    pub at_deadline: Option<OnSilence>,
    /// The parts of the payout. Before a worker is there: as the terms name them.
    pub tranches: Vec<TrancheView>,
}

/// A tranche as queries show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrancheView {
    /// What the worker gets.
    pub payout: Sat,
    /// What the platform gets.
    pub fee: Sat,
    /// The state's name, such as `held`.
    pub state: String,
    /// Why it is being, or was, paid out or given back: such as `approved` or `work_deadline`.
    pub reason: Option<String>,
    /// The worker's payment hash.
    pub hash: Option<PaymentHash>,
    /// The worker's invoice.
    pub payout_invoice: Option<String>,
    /// The hold invoice.
    pub funding_invoice: Option<String>,
    /// How often the hold was renewed.
    pub renewals: u32,
    /// The hold that is to take the place of this one.
    pub renewal: Option<RenewalView>,
    /// The height before which the hold must be claimed.
    pub claim_deadline: Option<BlockHeight>,
    /// Which attempt of the payout is under way, from 1; 0 before and after.
    pub attempts: u32,
    /// What routing the payout cost.
    pub routing_fee_msat: Option<u64>,
}

/// An offer to renew a hold as queries show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalView {
    /// The worker's payment hash.
    pub hash: PaymentHash,
    /// The worker's invoice.
    pub payout_invoice: String,
    /// The hold invoice, once made.
    pub funding_invoice: Option<String>,
    /// Until when it can be paid.
    pub fund_until: Timestamp,
}

impl From<&Renewal> for RenewalView {
    fn from(next: &Renewal) -> Self {
        Self {
            hash: next.hash,
            payout_invoice: next.payout_invoice.clone(),
            funding_invoice: next.funding_invoice.clone(),
            fund_until: next.until,
        }
    }
}

impl From<&Task> for TaskView {
    fn from(task: &Task) -> Self {
        let fund_until = match &task.phase {
            Phase::Funding { until, .. } => Some(*until),
            _ => None,
        };
        Self {
            id: task.id,
            state: task.state_name().to_owned(),
            reason: task.verdict().map(reason),
            title: task.terms.title.clone(),
            description_hash: task.terms.description_hash,
            requester: task.requester,
            worker: task.phase.job().map(|job| job.worker),
            created_at: task.created_at,
            review_window: task.terms.review_window,
            on_silence: task.terms.on_silence,
            renewal: task.terms.renewal,
            panel: task.terms.panel.map(Seats::count),
            invoice_life: plan::invoice_life(task.policy.funding_window, task.hold_blocks),
            hold_blocks: task.hold_blocks,
            final_cltv_delta: plan::final_cltv_delta(&task.policy, task.hold_blocks),
            fund_until,
            milestones: (0..).zip(&task.terms.milestones).map(|part| MilestoneView::new(task, part)).collect(),
            bonds: bonds(task),
        }
    }
}

impl TaskView {
    /// Until when a worker's invoice must be payable that is handed in now.
    pub fn invoice_needed(&self, now: Timestamp) -> Timestamp {
        let last = self.milestones.last().map_or(now, |part| part.work_deadline);
        let over = self.renewal.is_none().then(|| last.after(self.review_window));
        plan::invoice_needed(over, self.invoice_life, now)
    }

    /// Everything that is to be locked: the tranches of all milestones, and bonds.
    pub fn holds(&self) -> impl Iterator<Item = &TrancheView> {
        self.tranches().chain(self.bonds.iter().map(|bond| &bond.hold))
    }

    /// The tranches of all milestones, in order.
    pub fn tranches(&self) -> impl Iterator<Item = &TrancheView> {
        self.milestones.iter().flat_map(|part| &part.tranches)
    }
}

impl MilestoneView {
    fn new(task: &Task, (milestone, terms): (u32, &MilestoneTerms)) -> Self {
        let mut view = Self {
            title: terms.title.clone(),
            state: "planned".to_owned(),
            work_deadline: terms.work_deadline,
            work_hash: None,
            reason_hash: None,
            review_until: None,
            refund_at: None,
            dispute_by: None,
            dispute: None,
            submit_by: None,
            decide_by: None,
            renew_by: None,
            at_deadline: None,
            tranches: terms.payouts.iter().map(|payout| TrancheView::planned(task, *payout)).collect(),
        };
        let Some(job) = task.phase.job() else { return view };
        view.tranches = task.tranches_of(job, milestone).map(|(_, part)| part.into()).collect();
        if let Phase::Active { .. } | Phase::Settled { .. } | Phase::Refunded { .. } = task.phase {
            view.state = task.milestone_name(job, milestone).to_owned();
        }
        let part = usize::try_from(milestone).ok().and_then(|at| job.milestones.get(at));
        view.work_hash = part.and_then(|part| part.work_hash);
        view.reason_hash = part.and_then(|part| part.reason_hash);
        view.dispute = part.and_then(|part| part.cases.last()).map(DisputeView::from);
        if let Phase::Active { .. } = task.phase {
            let undecided = task.decide_by(job, milestone);
            view.decide_by = undecided.or_else(|| task.last_payout(job, milestone));
            view.renew_by = task.renew_by(job, milestone);
            view.at_deadline = task.at_deadline(job, milestone);
            view.dispute_by = task.terms.panel.and(undecided).map(|by| plan::open_by(&task.policy, by));
            match (undecided, part.map(|part| part.stage)) {
                (Some(decide_by), Some(Stage::Working)) => {
                    view.submit_by = Some(plan::submit_by(&task.terms, &task.policy, decide_by))
                }
                (Some(_), Some(Stage::Submitted { review_until })) => view.review_until = Some(review_until),
                (Some(_), Some(Stage::Rejected { until, .. })) => view.refund_at = Some(until),
                _ => {}
            }
        }
        view
    }
}

impl TrancheView {
    fn planned(task: &Task, payout: Sat) -> Self {
        Self {
            payout,
            fee: task.policy.fee(payout),
            state: "planned".to_owned(),
            reason: None,
            hash: None,
            payout_invoice: None,
            funding_invoice: None,
            renewals: 0,
            renewal: None,
            claim_deadline: None,
            attempts: 0,
            routing_fee_msat: None,
        }
    }
}

impl From<&Tranche> for TrancheView {
    fn from(part: &Tranche) -> Self {
        let (state, claim_deadline, attempts, fee) = match part.state {
            TrancheState::Unfunded => ("unfunded", None, 0, None),
            TrancheState::Held { claim_deadline } => ("held", Some(claim_deadline), 0, None),
            TrancheState::Paying { attempt, claim_deadline, .. } => ("paying", Some(claim_deadline), attempt, None),
            TrancheState::Paid { fee } => ("paid", None, 0, Some(fee)),
            TrancheState::Claimed { fee } => ("claimed", None, 0, Some(fee)),
            TrancheState::Uncovered { fee } => ("uncovered", None, 0, Some(fee)),
            TrancheState::Returning => ("returning", None, 0, None),
            TrancheState::Returned => ("returned", None, 0, None),
            TrancheState::Spent { fee } => ("spent", None, 0, fee),
        };
        Self {
            payout: part.payout,
            fee: part.fee,
            state: state.to_owned(),
            reason: part.verdict.map(reason),
            hash: Some(part.hash),
            payout_invoice: Some(part.payout_invoice.clone()),
            funding_invoice: part.funding_invoice.clone(),
            renewals: part.renewals,
            renewal: part.renewal.as_ref().filter(|_| part.state.is_held()).map(RenewalView::from),
            claim_deadline,
            attempts,
            routing_fee_msat: fee.map(tallystick_core::Msat::get),
        }
    }
}

fn bonds(task: &Task) -> Vec<BondView> {
    let parts = || task.phase.job().into_iter().flat_map(|job| &job.tranches);
    let terms = [(Side::Payer, task.terms.bonds.requester), (Side::Payee, task.terms.bonds.worker)];
    let active = match &task.phase {
        Phase::Active { job } => Some(job),
        _ => None,
    };
    let view = |(side, bond): (Side, Option<Sat>)| {
        let part = parts().find(|part| part.purpose == Purpose::Bond(side));
        let hold = part.map_or_else(|| bond.map(|bond| TrancheView::planned(task, bond)), |part| Some(part.into()));
        let at_stake = active.and_then(|job| Some((job, task.bond(job, side)?.1)));
        let promises = at_stake.filter(|_| side == Side::Payee).map(|(job, _)| task.promises(job).collect());
        Some(BondView {
            of_worker: side == Side::Payee,
            hold: hold?,
            return_by: at_stake.map(|(_, height)| height),
            promises: promises.unwrap_or_default(),
        })
    };
    terms.into_iter().filter_map(view).collect()
}

fn reason(verdict: Verdict) -> String {
    let name = match verdict {
        Verdict::Release(reason) => match reason {
            ReleaseReason::Approved => "approved",
            ReleaseReason::Silence => "silence",
            ReleaseReason::HoldSpent => "hold_spent",
            ReleaseReason::RenewalMissed => "renewal_missed",
            ReleaseReason::Ruled => "ruled",
            ReleaseReason::BrokenPromise => "broken_promise",
        },
        Verdict::Refund(reason) => match reason {
            RefundReason::Rejected => "rejected",
            RefundReason::CancelledByRequester => "cancelled_by_requester",
            RefundReason::CancelledByWorker => "cancelled_by_worker",
            RefundReason::WorkDeadline => "work_deadline",
            RefundReason::Silence => "silence",
            RefundReason::BlocksRanOut => "blocks_ran_out",
            RefundReason::FundingLapsed => "funding_lapsed",
            RefundReason::PayoutFailed => "payout_failed",
            RefundReason::HoldLost => "hold_lost",
            RefundReason::HoldSpent => "hold_spent",
            RefundReason::RenewalMissed => "renewal_missed",
            RefundReason::Ruled => "ruled",
            RefundReason::Conceded => "conceded",
            RefundReason::BondKept => "bond_kept",
        },
    };
    name.to_owned()
}
