//! Arguments of the commands that ask a node.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use tallystick_app::port::operator::Channel;
use tallystick_core::{Digest32, Id, NostrKey};
use tallystick_escrow::Task;

use super::SecondFactorArgs;

/// Where the help of a command lists what is the same for all of them.
const ACCESS: &str = "The node and your key";

/// Which node, and who asks.
#[derive(Debug, Args)]
pub struct Access {
    /// The node's GraphQL address
    #[arg(long, env = "TALLY_URL", default_value = "http://127.0.0.1:8080/graphql", global = true, help_heading = ACCESS)]
    pub url: String,
    /// The user's encrypted key; `tally key new` makes one
    #[arg(long, env = "TALLY_KEY", global = true, help_heading = ACCESS)]
    pub key: Option<PathBuf>,
    /// A file with the key's passphrase; else TALLY_KEY_PASSPHRASE or TALLY_PASSPHRASE, else it is asked for
    #[arg(long, global = true, help_heading = ACCESS)]
    pub passphrase_file: Option<PathBuf>,
    /// Speak without TLS (http://) to other machines too: anybody on the way can read and change what is said
    #[arg(long, env = "TALLY_INSECURE", value_parser = clap::builder::FalseyValueParser::new(), global = true, help_heading = ACCESS)]
    pub insecure: bool,
}

/// Users' keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key, encrypted with a passphrase (NIP-49)
    New(KeyFile),
    /// Show a key's public half
    Show(KeyFile),
}

/// A key's file.
#[derive(Debug, Args)]
pub struct KeyFile {
    /// The file; ~/.config/tallystick/key if absent
    #[arg(long, env = "TALLY_KEY")]
    pub key: Option<PathBuf>,
    /// A file with the passphrase; else TALLY_KEY_PASSPHRASE or TALLY_PASSPHRASE, else it is asked for
    #[arg(long)]
    pub passphrase_file: Option<PathBuf>,
}

/// What happens when the requester says nothing in time.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum OnSilence {
    /// The worker is paid
    Release,
    /// The requester gets the money back
    Refund,
}

/// How many arbitrators sit on a first panel at least.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PanelSize {
    /// A single one
    One,
    /// Three
    Three,
    /// Five
    Five,
}

/// Commands to tasks.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// Post a task
    Create {
        /// What it is about, in one line
        #[arg(long)]
        title: String,
        /// SHA-256 of the full description
        #[arg(long)]
        description_hash: Digest32,
        /// What the worker gets, in sats; one for each tranche of the only milestone
        #[arg(long = "payout-sat", required_unless_present = "milestones", conflicts_with = "milestones")]
        payouts_sat: Vec<u64>,
        /// Hours until the work of the only milestone must be submitted
        #[arg(long, default_value_t = 12, conflicts_with = "milestones")]
        work_hours: u64,
        /// A part of the work with a deadline and money of its own, as TITLE:HOURS:SAT[,SAT...]; one for each, in order
        #[arg(long = "milestone", value_name = "TITLE:HOURS:SAT,...")]
        milestones: Vec<Milestone>,
        /// Hours to look at the work
        #[arg(long, default_value_t = 6)]
        review_hours: u64,
        /// What happens when the requester says nothing in time
        #[arg(long, value_enum, default_value = "release")]
        on_silence: OnSilence,
        /// For how many blocks a hold must be usable; from the hours if absent
        #[arg(long)]
        hold_blocks: Option<u32>,
        /// Let the worker renew the holds, for work longer than one of them; says what happens to work that is not handed in
        /// when you do not lock the next ones in time
        #[arg(long, value_enum)]
        renewal: Option<OnSilence>,
        /// Let a panel of arbitrators decide what you and the worker do not agree on: so many at least
        #[arg(long, value_enum)]
        panel: Option<PanelSize>,
        /// What you put up, in sats, beside the money for the work; a panel may give it to the worker
        #[arg(long, requires = "panel")]
        requester_bond_sat: Option<u64>,
        /// What the worker puts up, in sats; yours if nothing is handed in in time, or if a panel says so
        #[arg(long)]
        worker_bond_sat: Option<u64>,
        /// The task's id, a UUIDv7 of your own: a repeated call then makes no second task. A fresh one if absent
        #[arg(long)]
        id: Option<Id<Task>>,
    },
    /// Take a task as its requester posted it, with one BOLT 11 invoice per tranche, and one for the requester's bond if there is one
    Accept {
        /// The task
        id: String,
        /// One for each tranche, in order; then one for the requester's bond
        #[arg(required = true)]
        invoices: Vec<String>,
    },
    /// Get the funding invoices, once they are checked against what you posted and what the worker signed
    Fund {
        /// The task
        id: String,
        /// A BOLT 11 invoice of your own over the worker's bond, if the task asks for one
        #[arg(long)]
        bond_invoice: Option<String>,
        /// Whom you pay
        #[command(flatten)]
        payee: Payee,
    },
    /// Get the invoice for your bond as the worker, once it is checked against what the requester signed
    FundBond {
        /// The task
        id: String,
        /// Whom you pay
        #[command(flatten)]
        node: NodeSide,
    },
    /// Offer to renew the holds of a milestone, with one new BOLT 11 invoice per undecided tranche
    Renew {
        /// The task
        id: String,
        /// One for each undecided tranche, in order
        #[arg(required = true)]
        invoices: Vec<String>,
        /// The milestone, from 0
        #[arg(long, default_value_t = 0)]
        milestone: u32,
    },
    /// Get the funding invoices of a renewal, once they are checked against what the worker signed
    FundRenewal {
        /// The task
        id: String,
        /// The milestone, from 0
        #[arg(long, default_value_t = 0)]
        milestone: u32,
        /// Whom you pay
        #[command(flatten)]
        payee: Payee,
    },
    /// Hand in a milestone's work
    Submit {
        /// The task
        id: String,
        /// The milestone, from 0
        #[arg(long, default_value_t = 0)]
        milestone: u32,
        /// SHA-256 of the work
        #[arg(long)]
        work_hash: Digest32,
    },
    /// Accept a milestone's work, or some of its tranches: the worker is paid
    Approve {
        /// The task
        id: String,
        /// The milestone, from 0
        #[arg(long, default_value_t = 0)]
        milestone: u32,
        /// Only this tranche of it, from 0; may be given several times. All that are undecided if absent
        #[arg(long = "tranche")]
        tranches: Vec<u32>,
    },
    /// Refuse what is undecided of a milestone's work: the requester gets its money back
    Reject {
        /// The task
        id: String,
        /// The milestone, from 0
        #[arg(long, default_value_t = 0)]
        milestone: u32,
        /// SHA-256 of the reasons
        #[arg(long)]
        reason_hash: Digest32,
    },
    /// Step back from a task
    Cancel {
        /// The task
        id: String,
    },
    /// Show a task
    Show {
        /// The task
        id: String,
    },
    /// Write what proves a task's facts to anyone, a file each for `tally verify`; for its requester, worker and operators.
    /// A fact that is not under a published checkpoint by then has no file, and says so
    Prove {
        /// The task
        id: String,
        /// The folder for the files
        #[arg(long, default_value = ".")]
        out: PathBuf,
        /// How many seconds to wait for a checkpoint over all of the facts; an hour at most
        #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(..=3_600))]
        wait_secs: u64,
    },
    /// List tasks, the newest first
    List {
        /// Only tasks in this state, such as open or held
        #[arg(long = "state")]
        states: Vec<String>,
        /// Only tasks of this requester
        #[arg(long)]
        requester: Option<NostrKey>,
        /// Only tasks of this worker
        #[arg(long)]
        worker: Option<NostrKey>,
        /// How many at most
        #[arg(long, default_value_t = 20)]
        first: u32,
        /// Continue after this cursor
        #[arg(long)]
        after: Option<String>,
    },
    /// Follow a task to its end, or all tasks until interrupted
    Watch {
        /// The task; all if absent
        id: Option<String>,
    },
}

/// An operator's commands.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// The node at a glance; anyone may ask
    Info,
    /// The node's money
    Balances,
    /// The node's channels
    Channels,
    /// The newest payments
    Payments {
        /// How many at most
        #[arg(long, default_value_t = 20)]
        first: u32,
    },
    /// A fresh on-chain address
    Address,
    /// Connect to a peer
    Connect {
        /// The peer's public key
        peer: String,
        /// host:port
        address: String,
    },
    /// Open a channel
    Open {
        /// The peer's public key
        peer: String,
        /// host:port, unless connected
        #[arg(long)]
        address: Option<String>,
        /// The channel's size
        #[arg(long)]
        capacity_sat: u64,
        /// Tell the network about it
        #[arg(long)]
        announce: bool,
        /// A UUIDv7 of your own: asked again with the same one, no second channel is opened
        #[arg(long)]
        channel_key: Option<Id<Channel>>,
    },
    /// Close a channel; admins with a second factor only
    Close {
        /// The channel's id
        channel_id: String,
        /// Alone, if the peer does not answer
        #[arg(long)]
        force: bool,
        /// What an admin shows besides the key.
        #[command(flatten)]
        factor: SecondFactorArgs,
    },
    /// Pay a BOLT 11 invoice; admins with a second factor only
    Pay {
        /// The invoice
        bolt11: String,
        /// The most that routing may cost
        #[arg(long, default_value_t = 10)]
        fee_limit_sat: u64,
        /// What an admin shows besides the key.
        #[command(flatten)]
        factor: SecondFactorArgs,
    },
    /// Make an invoice that the node settles by itself
    Invoice {
        /// The amount
        #[arg(long)]
        amount_sat: u64,
        /// What the payer's wallet shows
        #[arg(long, default_value = "")]
        description: String,
        /// How long it can be paid
        #[arg(long, default_value_t = 3600)]
        expiry_secs: u64,
    },
}

/// Whom a requester pays, as far as that is known without the node.
#[derive(Args, Clone, Debug)]
pub struct Payee {
    /// The node.
    #[command(flatten)]
    pub node: NodeSide,
    /// The worker's public key, if you know it: 64 hexadecimal digits; nobody else's invoices are shown then
    #[arg(long)]
    pub worker: Option<NostrKey>,
}

/// The node that holds what is paid, as far as that is known without it.
#[derive(Args, Clone, Debug)]
pub struct NodeSide {
    /// The public key of the node's Lightning node, if you know it: 66 hexadecimal digits; else the node is asked
    #[arg(long)]
    pub node_id: Option<String>,
    /// The most that the node may keep, in percent of the payout
    #[arg(long, default_value_t = 5)]
    pub fee_percent_max: u64,
}

/// A milestone as it is given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Milestone {
    /// What it is about.
    pub title: String,
    /// Hours until its work must be submitted.
    pub work_hours: u64,
    /// What the worker gets, in sats; one for each tranche.
    pub payouts_sat: Vec<u64>,
}

impl std::str::FromStr for Milestone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // From the right: a title may have colons.
        let mut parts = text.rsplitn(3, ':');
        let (Some(payouts), Some(hours), Some(title)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("a milestone is TITLE:HOURS:SAT[,SAT...], such as \"The first half:12:20000,20000\"".into());
        };
        let number = |text: &str| text.trim().parse().map_err(|_| format!("{text:?} is no whole number"));
        Ok(Self {
            title: title.into(),
            work_hours: number(hours)?,
            payouts_sat: payouts.split(',').map(number).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Milestone;

    #[test]
    fn milestones_are_read_from_the_right() {
        let read = |text: &str| text.parse::<Milestone>();
        let title = "Part 1: the first half".to_owned();
        let expected = Milestone { title, work_hours: 12, payouts_sat: vec![20_000, 5] };
        assert_eq!(read("Part 1: the first half:12:20000, 5"), Ok(expected));
        for bad in ["", "a", "a:1", "a:b:1", "a:1:", "a:1:x", "a:1:1,", "a:-1:1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
