//! `tally witness`: cosigns checkpoints of logs.
//!
//! | module | what it does |
//! | --- | --- |
//! | `config` | `witness.toml` |
//! | `key` | the witness's key, encrypted with a passphrase |
//! | `make` | `tally witness init` and `add-log` |
//! | `serve` | `tally witness serve` |
//! | `show` | `tally witness status` and `evidence` |
//!
//! ```text
//! witness.toml   configuration             records/    per log: what was last cosigned, twice
//! witness_key    the encrypted key         evidence/   two histories, should a log ever show them
//! witness.lock   one process at a time
//! ```

mod config;
mod key;
mod make;
mod serve;
mod show;

use anyhow::Result;
use std::path::{Path, PathBuf};

pub use config::WitnessConfig;

use crate::{ask::print, cli::WitnessCommand};

/// Runs `tally witness`.
///
/// # Errors
/// If the command cannot be done; the message says how to mend it.
pub fn run(command: WitnessCommand) -> Result<()> {
    match command {
        WitnessCommand::Init(args) => make::init(&args),
        WitnessCommand::AddLog(args) => make::add_log(&args),
        WitnessCommand::Serve(args) => {
            tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve::run(args))
        }
        WitnessCommand::Status(args) => print::until_closed(show::status(&args)),
        WitnessCommand::Evidence(args) => print::until_closed(show::evidence(&args)),
    }
}

fn records_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("records")
}

fn evidence_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("evidence")
}
