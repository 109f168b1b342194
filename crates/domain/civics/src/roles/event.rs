//! What became true of the roles. Stored for ever: variants are only added, at the end, and their bytes are golden.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_core::{NostrKey, Timestamp};

use super::Action;

/// What stood beside an admin's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Proof {
    /// Nothing: the only admin enrols for the first time.
    Alone,
    /// A code of the admin's authenticator, that of this step.
    Code {
        /// The step of time (RFC 6238).
        step: u64,
    },
    /// Another admin's signed proposal.
    Confirms {
        /// Its number.
        proposal: u64,
    },
}

/// A fact of the stream.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// The node has roles.
    RolesFounded {
        /// Who is admin and operator.
        admins: Vec<NostrKey>,
    },
    /// Whoever has the machine made somebody an admin.
    AdminRecovered {
        /// Whom.
        admin: NostrKey,
    },
    /// An admin waits for another one to do this.
    ActionProposed {
        /// Its number, from 1.
        proposal: u64,
        /// Whose.
        by: NostrKey,
        /// What.
        action: Action,
        /// When.
        at: Timestamp,
        /// Until when it can be done.
        until: Timestamp,
    },
    /// An admin does this, with a second factor. What is done outside is tried once after it.
    ActionAuthorised {
        /// Who.
        by: NostrKey,
        /// What.
        action: Action,
        /// What stood beside the key.
        proof: Proof,
    },
    /// An admin's authenticator showed its first right code.
    EnrolmentCompleted {
        /// Whose.
        admin: NostrKey,
        /// The code's step of time.
        step: u64,
    },
    /// An admin's key came with a wrong code.
    CodeRefused {
        /// Whose.
        admin: NostrKey,
        /// Before this time no code of his is looked at.
        paused_until: Timestamp,
    },
}

impl Event {
    /// The kind of [`Event::ActionAuthorised`] for what is outside of the roles.
    pub const AUTHORISED: &'static str = "roles.authorised";
    /// The kind of [`Event::CodeRefused`].
    pub const CODE_REFUSED: &'static str = "roles.code_refused";
    /// The kind of [`Event::ActionAuthorised`] for an enrolment.
    pub const ENROLMENT_BEGUN: &'static str = "roles.enrolment_begun";
    /// The kind of [`Event::EnrolmentCompleted`].
    pub const ENROLMENT_COMPLETED: &'static str = "roles.enrolment_completed";
    /// The kind of [`Event::ActionProposed`].
    pub const PROPOSED: &'static str = "roles.proposed";

    /// The kind under which the journal files this fact.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::RolesFounded { .. } => "roles.founded",
            Self::AdminRecovered { .. } => "roles.admin_recovered",
            Self::ActionProposed { .. } => Self::PROPOSED,
            Self::ActionAuthorised { action: Action::GrantRole { .. }, .. } => "roles.granted",
            Self::ActionAuthorised { action: Action::WithdrawRole { .. }, .. } => "roles.withdrawn",
            Self::ActionAuthorised { action: Action::Enrol { .. }, .. } => Self::ENROLMENT_BEGUN,
            Self::ActionAuthorised { .. } => Self::AUTHORISED,
            Self::EnrolmentCompleted { .. } => Self::ENROLMENT_COMPLETED,
            Self::CodeRefused { .. } => Self::CODE_REFUSED,
        }
    }

    /// Whether everybody may read it: who has which role is everybody's to know, and nothing else of it.
    pub const fn is_public(&self) -> bool {
        match self {
            Self::RolesFounded { .. } | Self::AdminRecovered { .. } => true,
            Self::ActionAuthorised { action, .. } => {
                matches!(action, Action::GrantRole { .. } | Action::WithdrawRole { .. })
            }
            Self::ActionProposed { .. } | Self::EnrolmentCompleted { .. } | Self::CodeRefused { .. } => false,
        }
    }
}
