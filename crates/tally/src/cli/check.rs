//! Arguments of the commands that check: `tally fsck`, `tally verify`, `tally journal`.

use clap::{Args, Subcommand};
use std::path::PathBuf;
use tallystick_civics::dispute::Dispute;
use tallystick_core::{Id, NostrKey};
use tallystick_escrow::Task;
use tallystick_log::{
    VerifierKey,
    anchor::{BlockHash, OutPoint},
};

use super::SecondFactorArgs;

/// Keys that are trusted.
#[derive(Clone, Debug, Args)]
pub struct Trust {
    /// A witness's key, name+id+key; may be given more than once
    #[arg(long = "witness", value_parser = verifier_key)]
    pub witnesses: Vec<VerifierKey>,
    /// How many of the witnesses must have cosigned; more than half if absent
    #[arg(long)]
    pub witnesses_needed: Option<usize>,
}

/// Whose word counts.
#[derive(Clone, Debug, Args)]
pub struct Parties {
    /// The node's own key, 64 hexadecimal digits: what the node itself says must be signed with it. If absent, it is the
    /// one in the log's name, if that is a node's
    #[arg(long)]
    pub node_key: Option<NostrKey>,
    /// The key of who may have had a task's contents erased; may be given more than once. A whole journal tells by itself who
    /// was an admin then
    #[arg(long = "operator")]
    pub operators: Vec<NostrKey>,
}

/// Arguments of `tally fsck`.
#[derive(Debug, Args)]
pub struct FsckArgs {
    /// The node's directory: its configuration tells where the journal is. The node may run; on
    /// SQLite, what it is asked to erase meanwhile leaves the disk only afterwards, and it says so. The newest fact that was
    /// known there must be in the journal. Facts that are not in the log yet are told, and so is a log that is more
    /// than ten minutes behind, or has no checkpoint: that is damage if the log's key is named, or a fact anchors one
    #[arg(long, default_value = "tally-data")]
    pub data_dir: PathBuf,
    /// The log's key, name+id+key, as the node tells at its start; made from the node's seed if that can be opened
    #[arg(long, value_parser = verifier_key)]
    pub log: Option<VerifierKey>,
    /// A checkpoint that somebody kept, such as a client or a backup: the journal must go on from it; may be given more than
    /// once
    #[arg(long = "checkpoint")]
    pub checkpoints: Vec<PathBuf>,
    /// Who must have cosigned; the configuration's witnesses if absent.
    #[command(flatten)]
    pub trust: Trust,
    /// Whose word counts.
    #[command(flatten)]
    pub parties: Parties,
    /// A file with the passphrase of the node's seed; else TALLY_PASSPHRASE. With neither, or without the seed, what the
    /// seed tells is not known: the log's key and the node's own
    #[arg(long)]
    pub passphrase_file: Option<PathBuf>,
}

/// Arguments of `tally verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The bundle, as `tally task prove` writes it; - for standard input. Of several bundles of one task it is checked as well
    /// whether who signed is the party that the others name
    #[arg(required = true)]
    pub bundles: Vec<PathBuf>,
    /// The log's key, name+id+key
    #[arg(long, value_parser = verifier_key)]
    pub log: VerifierKey,
    /// Who must have cosigned.
    #[command(flatten)]
    pub trust: Trust,
    /// Whose word counts.
    #[command(flatten)]
    pub parties: Parties,
    /// An address of the node's API: the request behind the fact must be signed for it, or for another one that is named
    #[arg(long = "url")]
    pub urls: Vec<String>,
    /// Block headers, 80 bytes each, one after the other: the bundle must be anchored in one of these blocks
    #[arg(long, requires = "headers_from")]
    pub headers: Option<PathBuf>,
    /// The height of the first header
    #[arg(long, requires = "headers")]
    pub headers_from: Option<u32>,
    /// The hash of a block that you know to be in Bitcoin, and that must be among the headers: it vouches for all before it.
    /// For an anchor after it, and without, the anchor's block and those on top must have cost what Bitcoin's cost
    #[arg(long, requires = "headers")]
    pub block: Option<BlockHash>,
    /// The outpoint that the log's first anchor spends, TXID:VOUT, as `tally anchor status` tells: the bundle's anchor must
    /// be of the chain that begins there
    #[arg(long, requires = "headers")]
    pub genesis: Option<OutPoint>,
    /// A folder with the anchors up to the bundle's, as `tally anchor export` writes them
    #[arg(long, requires = "genesis")]
    pub anchors: Option<PathBuf>,
    /// The network whose proof of work the headers must show: bitcoin, testnet, testnet4, signet or regtest
    #[arg(long, default_value = "bitcoin")]
    pub network: bitcoin::Network,
}

/// Commands about a journal.
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// Write all facts with their contents into a file, from which anyone computes everybody's standing; also while the node
    /// runs. The file says what all parties agreed on: give it only to an auditor whom you and the law trust with that
    Export {
        /// The node's directory: its configuration tells where the journal is
        #[arg(long, default_value = "tally-data")]
        data_dir: PathBuf,
        /// The file; it must not be there
        #[arg(long)]
        out: PathBuf,
    },
    /// Erase the contents of a task that has ended; its proofs stay. Admins with a second factor only
    Erase {
        /// The task
        id: Id<Task>,
        /// What an admin shows besides the key.
        #[command(flatten)]
        factor: SecondFactorArgs,
    },
    /// Erase what was filed in a dispute that is over, before the node does so by itself. Admins with a second factor only
    EraseEvidence {
        /// The task
        id: Id<Task>,
        /// Its dispute
        dispute: Id<Dispute>,
        /// What an admin shows besides the key.
        #[command(flatten)]
        factor: SecondFactorArgs,
    },
}

pub(super) fn verifier_key(text: &str) -> Result<VerifierKey, String> {
    VerifierKey::parse(text).map_err(|error| error.to_string())
}
