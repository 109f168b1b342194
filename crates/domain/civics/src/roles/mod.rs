//! Who may do what with the node itself. One stream for the node, `roles`.
//!
//! ```text
//!            found (node)           grant, withdraw (an admin and a second factor)
//!   absent ───────────────▶ founded ◀────────────────────────────────────────────┐
//!                              │ └───────────────────────────────────────────────┘
//!                              └── recover (node)
//!
//!   second factor of an admin:   none ──enrol──▶ begun ──first right code──▶ enrolled ──enrol──▶ begun …
//!   proposal of an admin:        made ──another admin does the same──▶ done;  made ──a day──▶ gone
//! ```
//!
//! Users need no role, and arbitrators have a [registry](crate::registry) of their own. What needs which role is told in one
//! place: [`Operation`].
//!
//! # Invariants
//! * There is an admin from the first fact on: the last one cannot go.
//! * A role that is withdrawn is gone with that fact, and so are the second factor and the proposals of an admin who lost his.
//! * An admin's key alone does nothing that [`Needs::SecondFactor`] names: it takes a code of the admin's authenticator, each of
//!   which counts once, or another admin's signed proposal of the very same.
//! * Nobody gives himself a second factor while there is another admin: a stolen key could do it as well.
//! * Wrong codes are facts, and make the next try wait: neither a restart nor another replica forgets them.
//! * No secret and no code is in here: the host checks a code, and tells which step of time it belongs to (RFC 6238).

mod action;
mod command;
mod decide;
mod event;
mod operation;
mod rejection;
mod state;

pub use action::{Action, Role};
pub use command::{AdminCommand, Checked, Command, Factor, NodeCommand};
pub use decide::Roles;
pub use event::{Event, Proof};
pub use operation::{Needs, Operation};
pub use rejection::Rejection;
pub use state::{Admin, Enrolment, Proposal, State};

use tallystick_core::Duration;

/// How many may have one role.
pub const HOLDERS_MAX: usize = 64;
/// How many proposals of one admin may wait for another.
pub const PROPOSALS_MAX: usize = 16;
/// How long a proposal waits for another admin.
pub const PROPOSAL_LIFE: Duration = Duration::from_secs(24 * 3_600);
