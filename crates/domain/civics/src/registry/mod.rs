//! Who may be drawn for a panel. A stream for each arbitrator, which bears the arbitrator's key.
//!
//! ```text
//!                register               admit
//!   absent ─────────────────▶ pending ─────────▶ admitted ◀── pause, resume ──▶ paused
//!                                ▲                 │    ▲
//!              another statement │         suspend │    │ admit
//!                                └── (admitted)    ▼    │
//!                                                suspended
//! ```
//!
//! Who withdraws can register again, and is pending then; but nobody comes out of a suspension without an operator.
//!
//! # Invariants
//! * Only who registered, was admitted by an operator, and is neither paused, suspended nor withdrawn is eligible.
//! * An operator admits a statement: another statement has to be admitted again.
//! * What an arbitrator did in a dispute is told in its own stream, once, and all of the registry is public: so anyone can
//!   make the list of candidates again from the facts ([`Roll`]).
//! * Whether an author is an operator is for the host to check, as with every role.

mod command;
mod decide;
mod event;
mod rejection;
mod roll;
mod state;

pub use command::{Command, Did, NodeCommand, OperatorCommand, UserCommand};
pub use decide::Registry;
pub use event::Event;
pub use rejection::Rejection;
pub use roll::{Roll, RollError, in_a_draw};
pub use state::{Admission, Arbitrator, State};

/// The longest text that tells how an arbitrator is paid, in bytes.
pub const PAY_BYTES_MAX: usize = 1_024;
