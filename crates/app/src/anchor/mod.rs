//! Anchors the log's checkpoints in Bitcoin, one transaction after the other.
//!
//! ```text
//!            facts since the last one, or time
//!   at rest ──────────────────────────────────▶ made ──broadcast──▶ waiting ──six blocks──▶ confirmed = at rest
//!                                                │ ▲                  │   ▲                    │
//!                                                │ └──new version─────┘   │                    │ its block is gone
//!                                                └──── after some blocks: replaced (RBF)       ▼
//!                                                                         └────sent again── dropped
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | `event` | the facts of the stream `anchor` |
//! | [`state`] | the anchors as these facts make them |
//! | [`decide`](mod@decide) | from anchors and what is seen of the chain: the next step. Pure |
//! | [`worker`] | looks, decides, does it, again and again |
//! | [`export`](mod@export) | an anchor's proofs, for others |
//!
//! # Invariants
//! * A version is a fact before it is broadcast.
//! * All versions of an anchor spend the same output: one of them at most can confirm.
//! * An anchor is made only when the one before it is six blocks deep.
//! * Anchors' own facts alone are no reason for another anchor.

pub mod decide;
pub mod event;
pub mod export;
pub mod state;
pub mod worker;

pub use decide::{AnchorPolicy, Latest, Sight, Step, decide};
pub use export::{Exported, export, history};
pub use state::{Anchor, Anchors, Version};
pub use worker::{AnchorFault, AnchorWorker};
