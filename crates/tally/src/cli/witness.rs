//! Arguments of `tally witness`.

use clap::{Args, Subcommand};
use std::{net::SocketAddr, path::PathBuf};

use super::LogFormat;

/// A witness of logs.
#[derive(Debug, Subcommand)]
pub enum WitnessCommand {
    /// Make a witness's directory: configuration and encrypted key. Prints the key that verifies its cosignatures (vkey)
    Init(WitnessInit),
    /// Begin to cosign a log. The witness must be stopped; it knows the log when it is started again
    AddLog(AddLog),
    /// Run the witness: answer `add-checkpoint` under the submission prefix (C2SP tlog-witness)
    Serve(WitnessServe),
    /// Show the witness's key, its logs, and what it last cosigned for each
    Status(WitnessDir),
    /// Show logs that were caught showing two histories, with both signed checkpoints, as JSON
    Evidence(WitnessDir),
}

/// Arguments of `tally witness init`.
#[derive(Debug, Args)]
pub struct WitnessInit {
    /// The witness's name in its cosignatures: a URL without scheme, such as witness.example/w1. It cannot be changed
    #[arg(long)]
    pub name: String,
    /// Where the witness keeps everything
    #[arg(long, default_value = "tally-witness")]
    pub data_dir: PathBuf,
    /// Where it is to listen
    #[arg(long, default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
    /// The address under which logs reach it, such as <https://witness.example/w1>; needed to listen on all addresses
    #[arg(long)]
    pub submission_prefix: Option<String>,
    /// A file with the passphrase; else TALLY_PASSPHRASE, else it is asked for
    #[arg(long)]
    pub passphrase_file: Option<PathBuf>,
}

/// Arguments of `tally witness add-log`.
#[derive(Debug, Args)]
pub struct AddLog {
    /// The log's origin: the first line of its checkpoints
    #[arg(long)]
    pub origin: String,
    /// The key by which the log signs; may be given more than once, while a log changes its key
    #[arg(long = "vkey", required = true)]
    pub vkeys: Vec<String>,
    /// Forget what was cosigned for this log. Whoever holds its key can have another history cosigned then
    #[arg(long)]
    pub begin_anew: bool,
    /// Where the witness keeps everything
    #[arg(long, default_value = "tally-witness")]
    pub data_dir: PathBuf,
}

/// Arguments of `tally witness serve`.
#[derive(Debug, Args)]
pub struct WitnessServe {
    /// Where the witness keeps everything
    #[arg(long, default_value = "tally-witness")]
    pub data_dir: PathBuf,
    /// A file with the passphrase; else TALLY_PASSPHRASE, else it is asked for
    #[arg(long)]
    pub passphrase_file: Option<PathBuf>,
    /// How logs are written
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Where a witness is.
#[derive(Debug, Args)]
pub struct WitnessDir {
    /// Where the witness keeps everything
    #[arg(long, default_value = "tally-witness")]
    pub data_dir: PathBuf,
}
