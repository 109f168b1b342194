//! Disputes: what is disputed is split by a panel of arbitrators that nobody chose.
//!
//! A dispute is a part of its host's state, and has no stream of its own. The host [`open`]s it, asks [`decide()`], files
//! the [`Event`]s among its own facts, applies them with [`evolve()`], and carries out the [`Outcome`]. It gives a
//! [`NodeCommand::Wake`] when [`Dispute::wake`] is due, and records the draw from [`Dispute::draw_from`] on.
//!
//! ```text
//!    open
//!     │     draw's block buried      seats taken or      all voted or       all shown or
//!     ▼     and recorded             time is over        time is over       time is over
//!  drawing ──────────────▶ seating ──────────────▶ committing ─────▶ revealing ─────▶ ruled ── appeal, once ──┐
//!   ▲ ▲ │                    │                          │                 │            │                      │
//!   │ │ │ too late           │ fewer than a majority, or too late         │            │ both content,        │
//!   │ │ └──────▶ panel ◀─────┴──────────────────────────┴─────────────────┘            │ or time is over      │
//!   │ │         failed                                                                 ▼                      │
//!   │ │          │ │ └── had been appealed to: the first ruling stands ────────────▶ decided                  │
//!   │ └─ once ───┘ │                                                                                          │
//!   │              └── else ──▶ failed                  drawing … committing, no vote yet ──▶ withdrawn       │
//!   └───────────────────────── a larger panel, whose ruling is final ─────────────────────────────────────────┘
//! ```
//!
//! A host closes a dispute in any phase when nothing is left to decide on: it files [`Event::DisputeClosed`] by itself.
//!
//! # Invariants
//! * Every time is a block height. Woken in time, every dispute is over by [`Opening::rule_by`], whatever anybody does;
//!   woken later, it is over at once.
//! * No round begins that might not end before that height.
//! * Who sits follows from a block that nobody knew and a list that was fixed when the dispute was opened
//!   ([`crate::draw`]).
//! * Fewer than a majority of the seats never rule. A ruling is the [`median`] of the votes: one that somebody cast.
//! * Nothing of a vote is known before it is revealed, and none changes after it was committed to. An arbitrator who does
//!   not reveal takes the own vote away and no other, and is told of by [`Dispute::silent`].

mod ballot;
mod command;
mod decide;
mod event;
mod evolve;
mod panel;
mod plan;
mod rejection;
mod state;
mod wake;

pub use ballot::{Award, commitment, median};
pub use command::{Command, NodeCommand, UserCommand};
pub use decide::{Decision, decide, open};
pub use event::{Event, Failure};
pub use evolve::evolve;
pub use panel::{Cause, Draw, Duty, Panel, Seat, SeatState};
pub use plan::{Plan, PlanError, Seats};
pub use rejection::Rejection;
pub use state::{Dispute, Evidence, Opening, Outcome, Phase, Side, Silence};

/// The most parts that a dispute is about: an award has a bit for each.
pub const PARTS_MAX: usize = 64;
/// The most keys that a host may keep from a panel.
pub const CONFLICTS_MAX: usize = 1_000;
/// The most pieces of evidence of one side.
pub const EVIDENCE_FILES_MAX: usize = 32;
/// The largest piece of evidence, in bytes: 10 MiB.
pub const EVIDENCE_BYTES_MAX: u64 = 10 << 20;
/// All evidence of one side, in bytes: 50 MiB.
pub const EVIDENCE_TOTAL_MAX: u64 = 50 << 20;
