//! A witness: it cosigns a log's checkpoint only if that extends the one it cosigned before (C2SP tlog-witness).
//!
//! ```text
//! POST <prefix>/add-checkpoint ─▶ size, time ─▶ known log, its signature ─▶ ┌ one at a time for each log ────────┐
//!                                                                          │ old size ─▶ consistency ─▶ record  │
//!                                                       cosignature ◀──────│ on disk: write, fsync, rename,     │
//!                                                                          │ fsync of the folder                │
//!                                                                          └────────────────────────────────────┘
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | [`witness`] | [`Witness`]: may this be cosigned? |
//! | [`record`] | what was last cosigned for a log, as a file that vouches for itself |
//! | [`folder`] | files: replaced as a whole, and on disk before anyone hears of it |
//! | [`evidence`] | two checkpoints of one size that a log has signed |
//! | [`lock`] | one process at a time |
//! | [`log`](mod@log) | which logs are cosigned, and by which keys they sign |
//! | [`http`] | the call |
//! | [`error`] | stable codes, sentences, HTTP status |
//!
//! # Invariants
//! * A cosignature leaves only after the record of its checkpoint is on disk, and then its copy, the mark: files and folder.
//! * A record is replaced as a whole: whenever the process or the machine stops, the old or the new one is there.
//! * A record goes forward only. One that is missing, changed, older than its mark or somebody else's stops the start:
//!   nothing begins anew by itself.
//! * After a failed write nothing is cosigned for that log until the witness is started again, because nobody knows what
//!   the disk holds.
//! * Two trees of one size that a log has signed are kept: they prove that it shows two histories.

#![forbid(unsafe_code)]

pub mod error;
pub mod evidence;
pub mod folder;
pub mod http;
pub mod lock;
pub mod log;
pub mod record;
pub mod witness;

pub use error::{Refusal, StateError};
pub use evidence::Evidence;
pub use folder::{Folder, OsFolder};
pub use http::{WitnessLimits, router};
pub use lock::WitnessLock;
pub use log::TrustedLog;
pub use record::Record;
pub use witness::{Admitted, Witness};
