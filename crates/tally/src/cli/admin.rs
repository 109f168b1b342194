//! Arguments of `tally admin`.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use tallystick_civics::dispute::Dispute;
use tallystick_core::{Id, NostrKey};
use tallystick_escrow::Task;

/// What an admin shows besides the key.
#[derive(Args, Clone, Debug, Default)]
pub struct SecondFactorArgs {
    /// What your authenticator shows now: six digits
    #[arg(long, conflicts_with = "confirms")]
    pub code: Option<String>,
    /// The number of another admin's proposal of the very same
    #[arg(long)]
    pub confirms: Option<u64>,
}

/// A role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// Sees the node, and runs it from day to day
    Operator,
    /// Says who has which role, and does what cannot be undone
    Admin,
}

/// What takes an admin and a second factor.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum AdminAction {
    /// Give somebody a role
    Grant {
        /// Which
        #[arg(value_enum)]
        role: RoleName,
        /// Whose key: 64 hexadecimal digits
        holder: NostrKey,
    },
    /// Take a role from somebody
    Withdraw {
        /// Which
        #[arg(value_enum)]
        role: RoleName,
        /// Whose key: 64 hexadecimal digits
        holder: NostrKey,
    },
    /// Let an admin have a new authenticator
    Enrol {
        /// The admin's key: 64 hexadecimal digits
        admin: NostrKey,
    },
    /// Pay a BOLT 11 invoice out of the node
    Pay {
        /// The invoice
        bolt11: String,
        /// The most that routing may cost
        #[arg(long, default_value_t = 10)]
        fee_limit_sat: u64,
    },
    /// Close a channel
    Close {
        /// The channel's id
        channel_id: String,
        /// Alone, if the peer does not answer
        #[arg(long)]
        force: bool,
    },
    /// Erase the contents of a task that has ended
    Erase {
        /// The task
        id: Id<Task>,
    },
    /// Erase what was filed in a dispute that is over, before its time
    EraseEvidence {
        /// The task
        id: Id<Task>,
        /// Its dispute
        dispute: Id<Dispute>,
    },
}

/// Commands of admins.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Show who has which role
    Roles,
    /// Show what waits for a second admin
    Proposals,
    /// Propose something to the other admins, for a day
    Propose {
        /// What
        #[command(subcommand)]
        action: AdminAction,
    },
    /// Do something, with a code of your authenticator
    Do {
        /// The code that it shows now: six digits
        #[arg(long)]
        code: String,
        /// What
        #[command(subcommand)]
        action: AdminAction,
    },
    /// Do what another admin proposed; it is shown first
    Confirm {
        /// The proposal's number
        number: u64,
        /// Do it without asking
        #[arg(long)]
        yes: bool,
    },
    /// Begin your enrolment, and show what your authenticator reads: once
    Enrol(SecondFactorArgs),
    /// End your enrolment with the first code that your authenticator shows
    Complete {
        /// The code: six digits
        code: String,
    },
}

/// Arguments of `tally recover-admin`.
#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// Whom to make an admin and an operator: 64 hexadecimal digits. Any authenticator of that key is void then
    pub admin: NostrKey,
    /// Where the node keeps everything
    #[arg(long, default_value = "tally-data")]
    pub data_dir: PathBuf,
    /// A file with the passphrase; else TALLY_PASSPHRASE, else it is asked for
    #[arg(long)]
    pub passphrase_file: Option<PathBuf>,
}
