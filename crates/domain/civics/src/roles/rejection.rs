//! Why a command is refused.

use tallystick_core::{Code, Coded, Timestamp};

use super::{HOLDERS_MAX, PROPOSALS_MAX};

/// A refused command. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// For operators only.
    #[error("only the node's operators may do this")]
    NotOperator,
    /// For admins only.
    #[error("only the node's admins may do this")]
    NotAdmin,
    /// An admin's key alone.
    #[error(
        "this takes a second factor: a code of your authenticator, or the number of another admin's proposal of the same"
    )]
    SecondFactor,
    /// A code without an authenticator.
    #[error("you have no authenticator yet: enrol one, and show its first code")]
    NotEnrolled,
    /// A code for what takes another admin.
    #[error("this takes another admin's proposal, since a second factor must not come from the same key as the first")]
    SecondAdmin,
    /// A code that was used, or is older than one that was.
    #[error("this code was used, or a later one was: wait for the next")]
    CodeUsed,
    /// Too many wrong codes.
    #[error("too many wrong codes: the next one is looked at from {until}")]
    Paused {
        /// When.
        until: Timestamp,
    },
    /// No such proposal, or no longer.
    #[error("there is no such proposal, or it was done, or it waited for more than a day")]
    NoProposal,
    /// One's own proposal.
    #[error("this is your own proposal; it takes another admin")]
    OwnProposal,
    /// The proposal is about something else.
    #[error("the proposal is about something else than what you ask for")]
    OtherAction,
    /// Too many proposals.
    #[error("{PROPOSALS_MAX} of your proposals wait already; they end after a day")]
    TooManyProposals,
    /// Somebody else's authenticator.
    #[error("an admin enrols himself; another one proposes it")]
    NotSelf,
    /// The key is no admin's.
    #[error("this key is no admin's")]
    NoSuchAdmin,
    /// No enrolment was begun, or it is complete.
    #[error("no enrolment of yours waits for its first code")]
    NotEnrolling,
    /// The last admin.
    #[error("the last admin cannot go: make another one first")]
    LastAdmin,
    /// Too many have the role.
    #[error("{HOLDERS_MAX} have this role, and no more may")]
    TooManyHolders,
    /// A founding without anybody, or with too many.
    #[error("a node begins with 1 to {HOLDERS_MAX} admins")]
    Founders,
}

impl Coded for Rejection {
    fn code(&self) -> Code {
        Code(match self {
            Self::NotOperator => "auth.not_operator",
            Self::NotAdmin => "auth.not_admin",
            Self::SecondFactor => "roles.second_factor",
            Self::NotEnrolled => "roles.not_enrolled",
            Self::SecondAdmin => "roles.second_admin",
            Self::CodeUsed => "roles.code_used",
            Self::Paused { .. } => "roles.paused",
            Self::NoProposal => "roles.no_proposal",
            Self::OwnProposal => "roles.own_proposal",
            Self::OtherAction => "roles.other_action",
            Self::TooManyProposals => "roles.too_many_proposals",
            Self::NotSelf => "roles.not_self",
            Self::NoSuchAdmin => "roles.no_such_admin",
            Self::NotEnrolling => "roles.not_enrolling",
            Self::LastAdmin => "roles.last_admin",
            Self::TooManyHolders => "roles.too_many_holders",
            Self::Founders => "roles.founders",
        })
    }
}
