//! What can keep a Lightning node from starting or going on.

use std::path::PathBuf;
use tallystick_core::{Code, Coded};

/// A Lightning node that cannot start, or had to stop. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LightningError {
    /// The configuration makes no sense.
    #[error("the Lightning node's configuration is not usable: {0}")]
    Config(String),
    /// The seed file is there already: a second one would hide the money of the first.
    #[error("there is a seed file already; it is not overwritten")]
    SeedExists,
    /// There is no seed file.
    #[error("there is no seed file; create the node first")]
    SeedMissing,
    /// The seed file is damaged, from a newer version, or asks for absurd amounts of memory.
    #[error("the seed file cannot be read: {0}")]
    SeedMalformed(&'static str),
    /// The passphrase does not open the seed file.
    #[error("the passphrase is wrong, or the seed file was changed")]
    WrongPassphrase,
    /// Another process runs on the same directory.
    #[error("another process is using this data directory")]
    Locked,
    /// Somebody reads the stopped node's database, so that its newest state stays in the write-ahead log beside it.
    #[error(
        "{file} is being read: its newest state is in {file}-wal and cannot be written back into it. End whoever reads it, then \
        try again",
        file = .0.display()
    )]
    Read(PathBuf),
    /// A file cannot be read or written.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The node's own database failed. The node stops: nothing leaves it that is not on disk.
    #[error("the Lightning node's database failed: {0}")]
    Store(String),
    /// What was stored cannot be read back.
    #[error("the Lightning node's database holds something that cannot be read: {0}")]
    Corrupt(&'static str),
    /// The chain source does not answer, or is on another network.
    #[error("the chain source cannot be used: {0}")]
    Chain(String),
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers")]
    Randomness,
}

impl LightningError {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

impl From<rusqlite::Error> for LightningError {
    fn from(error: rusqlite::Error) -> Self {
        // SQLite's messages name tables and codes, never values.
        Self::Store(error.to_string())
    }
}

impl Coded for LightningError {
    fn code(&self) -> Code {
        Code(match self {
            Self::Config(_) => "lightning.config",
            Self::SeedExists => "lightning.seed_exists",
            Self::SeedMissing => "lightning.seed_missing",
            Self::SeedMalformed(_) => "lightning.seed_malformed",
            Self::WrongPassphrase => "lightning.wrong_passphrase",
            Self::Locked => "lightning.locked",
            Self::Read(_) => "lightning.read",
            Self::Io { .. } => "lightning.io",
            Self::Store(_) => "lightning.store",
            Self::Corrupt(_) => "lightning.corrupt",
            Self::Chain(_) => "lightning.chain",
            Self::Randomness => "lightning.randomness",
        })
    }
}
