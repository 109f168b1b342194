//! Arguments of `tally anchor`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

use super::StorePlace;

/// What `tally anchor` does.
#[derive(Debug, Subcommand)]
pub enum AnchorCommand {
    /// Tell which anchors there are, also while the node runs
    Status(StorePlace),
    /// Write an anchor's checkpoint, its proof, its OpenTimestamps file, and the proof that its tree begins with that of the
    /// anchor before it, also while the node runs
    Export(AnchorExport),
}

/// Arguments of `tally anchor export`.
#[derive(Debug, Args)]
pub struct AnchorExport {
    /// Which anchor, from 1
    pub number: u64,
    /// The node's directory: its configuration tells where the store is
    #[arg(long, default_value = "tally-data")]
    pub data_dir: PathBuf,
    /// The folder that gets the files; it is made if it is not there
    #[arg(long, default_value = ".")]
    pub out: PathBuf,
}
