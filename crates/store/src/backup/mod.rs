//! Backups of a SQLite journal: one file each, made while the node writes.
//!
//! ```text
//! journal ──pages of one moment──▶ <file>.new ──▶ chain, indexes ──▶ enclose, seal ──fsync──▶ rename to <file>
//! <file>  ──all bytes──▶ journal of a new directory ──▶ indexes, seal ──▶ take out what is enclosed ──fsync──▶
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | `make` | [`back_up`] |
//! | `unpack` | [`unpack()`] |
//! | `seal` | a digest of every value in the file |
//! | `place` | the file beside its place: one writer, never half a backup |
//!
//! A backup is a SQLite database with the journal's tables and two more: `backup_files`, with what is enclosed, and
//! `backup_seal`. It says of itself that it is no journal, so that no node runs on it by mistake.
//!
//! # Invariants
//! * It holds the journal as it was at one moment.
//! * Under its own name there is a whole backup, the old one or the new one, whenever the process ends.
//! * What is unpacked has every value that was backed up: the seal is a digest of them all. It has no key, and finds
//!   accidents. Beside it is the authentication code that the caller made of it; whoever unpacks has it checked before
//!   anything in the backup is believed.

mod make;
mod place;
mod seal;
mod unpack;

use tallystick_core::Digest32;

pub use make::back_up;
pub use place::sweep;
pub use unpack::unpack;

/// `application_id` of a backup (`TLYB`).
const APPLICATION_ID: i64 = 0x544c_5942;
/// The largest thing that may be enclosed.
pub const ENCLOSED_BYTES_MAX: usize = 1024 * 1024;
/// The most things that may be enclosed.
pub const ENCLOSED_MAX: usize = 16;

/// What lies in a backup beside the journal.
#[derive(Clone, PartialEq, Eq)]
pub struct Enclosed {
    /// Its name.
    pub name: String,
    /// Its bytes. They may be secret: `Debug` does not show them.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Enclosed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Enclosed({}, {} bytes)", self.name, self.bytes.len())
    }
}

/// What came out of a backup beside the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// What was enclosed.
    pub enclosed: Vec<Enclosed>,
    /// The digest of every value in the backup. They have it.
    pub digest: Digest32,
    /// What the maker of the backup authenticated the digest with. Nobody has checked it yet.
    pub code: [u8; 32],
}

/// A backup that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// Facts in it.
    pub facts: u64,
    /// The last fact's hash.
    pub head: Digest32,
    /// The file's size.
    pub bytes: u64,
}
