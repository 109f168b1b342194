//! Arguments of the commands that check: `tally fsck`, `tally verify`, `tally journal`.

use clap::{Args, Subcommand};
use std::path::PathBuf;
use tallystick_core::Id;
use tallystick_escrow::Task;
use tallystick_log::VerifierKey;

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

/// Arguments of `tally fsck`.
#[derive(Debug, Args)]
pub struct FsckArgs {
    /// The node's directory: its configuration tells where the journal is. A node on SQLite must be stopped
    #[arg(long, default_value = "tally-data")]
    pub data_dir: PathBuf,
    /// The log's key, name+id+key, as the node tells at its start; without it, who signed the checkpoint is not checked
    #[arg(long, value_parser = verifier_key)]
    pub log: Option<VerifierKey>,
    /// Who must have cosigned.
    #[command(flatten)]
    pub trust: Trust,
}

/// Arguments of `tally verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The bundle, as `tally task prove` writes it; - for standard input
    pub bundle: PathBuf,
    /// The log's key, name+id+key
    #[arg(long, value_parser = verifier_key)]
    pub log: VerifierKey,
    /// Who must have cosigned.
    #[command(flatten)]
    pub trust: Trust,
    /// Block headers, 80 bytes each, one after the other, for the bundle's anchor in Bitcoin
    #[arg(long, requires = "headers_from")]
    pub headers: Option<PathBuf>,
    /// The height of the first header
    #[arg(long, requires = "headers")]
    pub headers_from: Option<u32>,
    /// The network whose proof of work the headers must show: bitcoin, testnet, testnet4, signet or regtest
    #[arg(long, default_value = "bitcoin")]
    pub network: bitcoin::Network,
}

/// Commands to the journal of a running node.
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// Erase the contents of a task that has ended; its proofs stay. Operators only
    Erase {
        /// The task
        id: Id<Task>,
    },
}

pub(super) fn verifier_key(text: &str) -> Result<VerifierKey, String> {
    VerifierKey::parse(text).map_err(|error| error.to_string())
}
