//! What can be asked of the roles.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_core::NostrKey;

use super::Action;

/// A command to the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Somebody asks who says to be an admin. Who asks is in the context.
    Admin(AdminCommand),
    /// The node itself.
    Node(NodeCommand),
}

/// What admins ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminCommand {
    /// Let another admin do this with me.
    Propose(Action),
    /// Do this.
    Act {
        /// What.
        action: Action,
        /// What the author shows besides the key.
        factor: Factor,
    },
    /// The authenticator that was begun works.
    CompleteEnrolment(Checked),
}

/// What an admin shows besides the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// Nothing.
    Nothing,
    /// A code, which the host has checked.
    Code(Checked),
    /// Another admin's proposal of the very same.
    Confirms(u64),
}

/// What the host found of a code (RFC 6238).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It is that of this step of time, within one step of now.
    Step(u64),
    /// It is none.
    Wrong,
}

/// What the node itself does. Stored with its word: variants are only added, at the end.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum NodeCommand {
    /// At the first start: these are admins and operators from now on, as the configuration says.
    Found {
        /// Who.
        admins: Vec<NostrKey>,
    },
    /// At the machine, by whoever has the node's passphrase: this one is an admin and an operator from now on, and gets a
    /// new second factor.
    Recover {
        /// Who.
        admin: NostrKey,
    },
}
