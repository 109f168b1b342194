//! The rules of escrow: a [`Task`], its tranches, and the blocks that they may take.
//!
//! A requester posts a task of one or more milestones, a worker accepts it with one Lightning invoice per tranche, the
//! requester locks all of the money in hold invoices on the worker's own payment hashes, and each tranche goes to the
//! worker or back.
//!
//! ```text
//!            accept        request funding       all locked          every tranche at its end
//!   open ───────────▶ assigned ───────────▶ funding ─────────▶ active ─────────────────────▶ settled
//!    │ │                │  │                 │  │  │              ▲  └─ nothing was paid ────▶ refunded
//!    │ └─ cancel ───────┼──┴── cancel ───────┼──┘  │              │
//!    │        ▼         │                    │     └─ some locked, but not all in time, or cancel:
//!    │    cancelled     │                    │        what was locked goes back
//!    └─ work deadline ──┴── work deadline ───┘ none locked in time
//!             ▼
//!          expired
//! ```
//!
//! While it is active, each milestone stands by itself, and each of its tranches comes to its own end:
//!
//! ```text
//!             submit                  approve, all or some; silence
//!   working ───────────▶ submitted ─────────────────────────────────▶ its tranches are paid out
//!      │                     │
//!      └─ work deadline, ────┴─ reject, silence, blocks run out ─────▶ its tranches go back
//!         cancel, lost hold     (a tranche that was decided on stays so)
//! ```
//!
//! With a panel in its terms, refused work goes back only after the time to dispute that, and either side may have the panel
//! decide what is undecided of a milestone. Beside the work's stage:
//!
//! ```text
//!   working ──▶ submitted ── reject, silence that refuses ──▶ rejected ── its time, or no round fits ──▶ goes back
//!      └────────────┴───────────── dispute ─────────────────────┘
//!                                     │
//!        ruled ──▶ some tranches are paid out, the others go back
//!        failed or withdrawn ──▶ on from where the work stood
//!        the sides agree, or nothing is left ──▶ closed
//! ```
//!
//! A tranche that cannot be paid out is given back alone; a task with at least one tranche paid ends as settled. If the
//! rail turns out to have paid a tranche by itself (a journal older than the rail's store), all that is undecided goes
//! back, and the task ends as settled, wherever it stood.
//!
//! # Invariants
//! * Pure: no clock, no randomness, no IO, no floats. Time, height and ids are passed in.
//! * Silence pays no worker before the requester had the review's time, or at least its blocks.
//! * The payer's amount is payout + fee, and the fee is never zero, so that the two HTLCs of a tranche never have
//!   both hash and amount in common.
//! * Routing costs of a payout are at most its fee: the platform cannot lose by paying out.
//! * No payout begins with fewer blocks left than it may need ([`plan`]).
//! * While a dispute runs, only its panel decides, or both sides do.
//! * A ruling pays the worker and gives back to the requester, and can do nothing else. Arbitrators are paid out of the
//!   platform's own money, the same however they rule.
//! * A bond is locked on the other side's own hash: it goes back, or to that side, and never to the platform. Without a
//!   ruling only a worker's is taken, who handed in nothing, and never while this node was away in that time.
//! * A tranche is given back only if no payout for it is under way, and only if none was paid.
//! * Money that moved is a fact, even where the rules would not have moved it ([`Event::HoldSpent`]).

#![forbid(unsafe_code)]

mod case;
mod command;
mod decide;
mod dispute_view;
mod effect;
mod event;
mod evolve;
mod invoice;
pub mod plan;
mod policy;
mod rejection;
mod state;
mod terms;
mod view;
mod wake;

pub use case::{Case, DrawDue, Reward, RewardState};
pub use command::{Command, Docket, NodeCommand, Outage, UserCommand};
pub use decide::{Escrow, awaited, served};
pub use dispute_view::{DisputeView, SeatView};
pub use effect::{Effect, payout_id, reward_id};
pub use event::{Event, TrancheInvoice};
pub use invoice::InvoiceFacts;
pub use policy::{DUST_LIMIT, Policy, PolicyError};
pub use rejection::Rejection;
pub use state::{
    Job, Milestone, PayFailure, Phase, Purpose, RefundReason, ReleaseReason, Renewal, Stage, State, Task, Tranche,
    TrancheState, Verdict,
};
pub use terms::{Bonds, MilestoneTerms, OnSilence, Terms, TermsError};
pub use view::{BondView, MilestoneView, RenewalView, TaskView, TrancheView};
pub use wake::Wake;
