//! The use cases. One road in: every change of a task, whoever asks for it, goes through [`App`].
//!
//! ```text
//! edge ──signed request──▶ App::ask ─┐
//! rail ──notice──▶ App::hear ────────┤   load ▶ decide ▶ append (facts, effects, read model: one transaction) ▶ tell
//! Timers ──wake──────────────────────┤
//! Outbox ──effect──▶ rail ──outcome──┘
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | [`app`] | the use cases: commands, queries, updates |
//! | [`cause`] | whether what stands behind a fact asks for it |
//! | [`party`] | whether whoever asked is the party that may, by other facts of the task |
//! | [`roles`] | who may do what with the node itself |
//! | `road` | what every command goes through: load, decide, append, tell |
//! | [`registry`] | the registry of arbitrators |
//! | [`away`] | when this node was away |
//! | `disputes` | what disputes need of the journal and the chain |
//! | `follow` | tells of facts that another replica wrote |
//! | `known` | what was read of the journal, so that the next look begins behind it |
//! | [`rebuild`] | makes the read model and the tree again from the facts |
//! | [`outbox`] | performs effects, at least once, until their outcome is a fact |
//! | [`timers`] | wakes tasks whose time or height has come |
//! | [`standing`] | people's standing, and how much they may have open |
//! | [`erase`] | erases what a task's facts say, while what they prove stays |
//! | [`vault`] | evidence of disputes, which only parties and panel can read |
//! | [`fsck`] | recomputes everything from the first fact |
//! | [`log`] | the journal as a log: tree, checkpoints, witnesses, proofs |
//! | [`anchor`] | the log's checkpoints in Bitcoin |
//! | [`prove`] | a task's facts with what proves them |
//! | [`port`] | what the use cases need of the world |
//!
//! # Invariants
//! * An answer means that the facts are on disk.
//! * An effect is in the journal before it is tried, and ends only together with the fact of its outcome.
//! * Nothing here knows of SQL, HTTP or LDK.

#![forbid(unsafe_code)]

pub mod anchor;
pub mod app;
pub mod away;
pub mod cause;
mod change;
pub mod clock;
mod disputes;
pub mod erase;
pub mod error;
mod follow;
pub mod fsck;
mod known;
mod listen;
pub mod log;
pub mod outbox;
pub mod party;
pub mod port;
pub mod prove;
pub mod rebuild;
pub mod registry;
mod road;
pub mod roles;
pub mod standing;
pub mod timers;
pub mod vault;
mod worker;

pub use app::{Answer, App, Parts, Rules, TaskUpdate};
pub use clock::{Clock, SystemClock, mint_id};
pub use error::AppError;
pub use worker::{WorkerHandle, Workers};
