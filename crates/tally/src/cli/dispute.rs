//! Arguments of `tally dispute` and `tally arbitrator`.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use tallystick_core::{Digest32, NostrKey};

/// Which milestone of which task.
#[derive(Args, Clone, Debug)]
pub struct OfMilestone {
    /// The task
    pub id: String,
    /// The milestone, from 0
    #[arg(long, default_value_t = 0)]
    pub milestone: u32,
}

/// A bond, by whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bond {
    /// The requester's: it goes to the worker
    Requester,
    /// The worker's: it goes to the requester
    Worker,
}

/// What is done in a dispute.
#[derive(Debug, Subcommand)]
pub enum DisputeCommand {
    /// Have a panel decide about what is undecided of a milestone; for its requester and worker
    Open(OfMilestone),
    /// Give up what is undecided of a milestone: the requester gets it back; the worker's to do
    Concede(OfMilestone),
    /// Give up a dispute that you opened, while nobody has voted
    Withdraw(OfMilestone),
    /// Show a dispute: where it stands, until when, and what happens then
    Show(OfMilestone),
    /// Show and read evidence, encrypted for the parties and the panel
    #[command(subcommand)]
    Evidence(EvidenceCommand),
    /// List the disputes in which you are asked to sit, or sit
    Seats,
    /// Take or leave a seat on a panel
    #[command(subcommand)]
    Seat(SeatCommand),
    /// Vote, hidden until all have voted. Nothing has to be kept: your key can make the vote again
    Vote {
        /// Which milestone.
        #[command(flatten)]
        of: OfMilestone,
        /// The disputed tranches that are to be paid out, counted from 0 among the disputed ones
        #[arg(long, value_delimiter = ',', conflicts_with = "none")]
        to_worker: Vec<u32>,
        /// All of it is to go back to the requester
        #[arg(long)]
        none: bool,
        /// Take this side's bond for the other side; may be given twice. What is not taken goes back at the end
        #[arg(long, value_enum)]
        take_bond: Vec<Bond>,
    },
    /// Show your vote
    Reveal {
        /// Which milestone.
        #[command(flatten)]
        of: OfMilestone,
        /// What you voted, if it cannot be found out
        #[arg(long, value_delimiter = ',')]
        to_worker: Option<Vec<u32>>,
        /// Whose bond you voted to take
        #[arg(long, value_enum, requires = "to_worker")]
        take_bond: Vec<Bond>,
    },
    /// Ask for a larger panel, once; for requester and worker
    Appeal(OfMilestone),
    /// Accept a ruling: it stands at once when both do
    AcceptRuling(OfMilestone),
    /// Be paid for your vote, once the dispute is over
    Collect {
        /// Which milestone.
        #[command(flatten)]
        of: OfMilestone,
        /// A BOLT 11 invoice of your own over the dispute's rewardMsat
        invoice: String,
    },
    /// Write the draws of a dispute's panels, with all that is needed to make them again
    Draws(OfMilestone),
    /// Make the draws in a file again, without a node
    CheckDraw {
        /// The file, as `tally dispute draws` writes it
        file: PathBuf,
        /// The hash of the block, from a node of your own
        #[arg(long)]
        block_hash: Option<Digest32>,
    },
    /// Follow a dispute to its end: gives the keys of your evidence to a new panel, and shows your vote when it is time
    Watch(OfMilestone),
}

/// What is shown to the panel.
#[derive(Debug, Subcommand)]
pub enum EvidenceCommand {
    /// Encrypt a file or a text, upload it and file it. Given again, it goes on from wherever it stopped
    Add {
        /// Which milestone.
        #[command(flatten)]
        of: OfMilestone,
        /// The file, 10 MiB at most
        #[arg(required_unless_present = "text")]
        file: Option<PathBuf>,
        /// A few words instead of a file
        #[arg(long, conflicts_with = "file")]
        text: Option<String>,
    },
    /// List what was filed
    List(OfMilestone),
    /// Fetch a piece, and decrypt it into a new file
    Get {
        /// Which milestone.
        #[command(flatten)]
        of: OfMilestone,
        /// SHA-256 of the encrypted bytes, as they are listed
        #[arg(long)]
        hash: Digest32,
        /// The new file; named after the piece, in this folder, if absent
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Give the keys of what you filed to readers who have none, such as a panel that was seated since
    Share(OfMilestone),
}

/// A seat.
#[derive(Debug, Subcommand)]
pub enum SeatCommand {
    /// Take it
    Accept(OfMilestone),
    /// Leave it to the next of the draw
    Refuse(OfMilestone),
}

/// What arbitrators do about themselves, and operators about them.
#[derive(Debug, Subcommand)]
pub enum ArbitratorCommand {
    /// Offer to sit on panels, or change what you said before
    Register {
        /// The statement in which you tell who you are and what you know; its SHA-256 is kept, you show it to whom you like
        #[arg(long)]
        statement: Option<PathBuf>,
        /// Its SHA-256 instead
        #[arg(long, conflicts_with = "statement", required_unless_present = "statement")]
        statement_hash: Option<Digest32>,
        /// How to pay you: a BOLT 12 offer or a Lightning address
        #[arg(long)]
        pay: String,
    },
    /// Take no work for now
    Pause,
    /// Take work again
    Resume,
    /// Leave
    Withdraw,
    /// Let an arbitrator be drawn, whose statement you have read; an operator's to do
    Admit {
        /// Whom
        arbitrator: NostrKey,
        /// SHA-256 of the statement that you have read
        #[arg(long)]
        statement_hash: Digest32,
    },
    /// Let an arbitrator not be drawn any more; an operator's to do
    Suspend {
        /// Whom
        arbitrator: NostrKey,
    },
    /// List arbitrators
    List,
    /// Show what an arbitrator counts in the draw of panels, and what that is made of
    Weight {
        /// Whose
        arbitrator: NostrKey,
        /// As of this fact, such as a draw's registrySeq; now if absent
        #[arg(long)]
        as_of: Option<u64>,
    },
}
