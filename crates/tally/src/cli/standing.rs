//! Arguments of `tally standing` and `tally anomalies`.

use clap::{Args, ValueEnum};
use std::path::PathBuf;
use tallystick_core::NostrKey;

use super::Access;

/// A party's side of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// Who posts and pays
    Requester,
    /// Who works and is paid
    Worker,
}

/// Arguments of `tally standing`.
#[derive(Debug, Args)]
pub struct StandingArgs {
    /// Whose: a Nostr public key, 64 hexadecimal digits
    pub who: NostrKey,
    /// In one role; in both if absent
    #[arg(long, value_enum)]
    pub role: Option<Side>,
    /// Compute it from this file, as `tally journal export` writes it, instead of asking a node
    #[arg(long)]
    pub from: Option<PathBuf>,
    /// With --from: as of this time, in seconds since 1970; now if absent, and never before the last fact
    #[arg(long, requires = "from")]
    pub at: Option<u64>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Which node, and who asks.
    #[command(flatten)]
    pub access: Access,
}

/// Arguments of `tally anomalies`.
#[derive(Debug, Args)]
pub struct AnomaliesArgs {
    /// Compute them from this file, as `tally journal export` writes it, instead of asking a node
    #[arg(long)]
    pub from: Option<PathBuf>,
    /// With --from: as of this time, in seconds since 1970; now if absent, and never before the last fact
    #[arg(long, requires = "from")]
    pub at: Option<u64>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Which node, and who asks.
    #[command(flatten)]
    pub access: Access,
}
