//! Arguments of `tally backup` and `tally restore`.

use clap::Args;
use std::path::PathBuf;

/// Arguments of `tally backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The node's directory; the node may run
    #[arg(long, default_value = "tally-data")]
    pub data_dir: PathBuf,
    /// A folder, made if it is not there, which gets a new file named after the time; or a file whose name ends in .backup,
    /// which is replaced if it is there
    #[arg(long)]
    pub out: PathBuf,
    /// A file with the passphrase; else TALLY_PASSPHRASE, else it is asked for
    #[arg(long)]
    pub passphrase_file: Option<PathBuf>,
}

/// Arguments of `tally restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup's file
    #[arg(long)]
    pub from: PathBuf,
    /// The new node's directory: it must be empty, or not there
    #[arg(long, default_value = "tally-data")]
    pub data_dir: PathBuf,
    /// The old node's directory, if it survived whole and nothing ran on a copy of it since: its channels move from there. It
    /// can run no node afterwards
    #[arg(long, value_name = "OLD_DIR")]
    pub lightning: Option<PathBuf>,
    /// A checkpoint of the log that was kept elsewhere: the backup must hold all of it; may be given more than once
    #[arg(long = "checkpoint")]
    pub checkpoints: Vec<PathBuf>,
    /// One more witness that is asked, and must answer: where it takes checkpoints, and its key; may be given more than once.
    /// A backup that is older than this witness does not name it
    #[arg(long = "witness", num_args = 2, value_names = ["URL", "VKEY"])]
    pub witnesses: Vec<String>,
    /// Go on although witnesses have seen more, or too few of them answer. A node that goes on from an older journal is caught by them
    #[arg(long)]
    pub force_rollback: bool,
    /// The block before which nothing was paid to the node's seed; all blocks from there are read once
    #[arg(long, default_value_t = 0)]
    pub birth_height: u32,
    /// A file with the passphrase; else TALLY_PASSPHRASE, else it is asked for
    #[arg(long)]
    pub passphrase_file: Option<PathBuf>,
}
