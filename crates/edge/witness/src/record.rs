//! What was last cosigned for a log, as a file that vouches for itself.
//!
//! The file is the checkpoint as a signed note with two signatures: the log's, and the witness's own cosignature. Nobody
//! but the witness can make one, and every byte of it is under a signature or has one spelling only. For a log of which
//! nothing was cosigned yet it is a sentence. A log without a file is an error: what was there must have been removed.

use tallystick_log::{Checkpoint, NoteSignature, SignedCheckpoint, TreeHead, VerifierKey};

use crate::{
    StateError, TrustedLog,
    folder::{Folder, replace},
};

/// The record of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Nothing was cosigned yet.
    Fresh,
    /// This checkpoint was.
    Cosigned {
        /// With the log's signature and ours.
        checkpoint: SignedCheckpoint,
        /// When, in seconds since 1970.
        time_s: u64,
    },
}

impl Record {
    /// A record of a checkpoint with the log's signature and ours, which the caller has made.
    ///
    /// # Errors
    /// [`tallystick_log::LogError::TooLarge`] if both do not fit into a note.
    pub(crate) fn cosigned(
        submitted: &SignedCheckpoint,
        log: &VerifierKey,
        ours: &NoteSignature,
        time_s: u64,
    ) -> Result<Self, tallystick_log::LogError> {
        let mut note = tallystick_log::Note::try_new(submitted.note().text())?;
        let by_log = submitted.note().signatures().iter().find(|line| log.is_named_by(line));
        note.add(by_log.ok_or(tallystick_log::LogError::NotSigned)?.clone())?;
        note.add(ours.clone())?;
        Ok(Self::Cosigned { checkpoint: SignedCheckpoint::parse(note.to_string().as_bytes())?, time_s })
    }

    /// The tree that the next checkpoint must extend.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        match self {
            Self::Fresh => TreeHead::default(),
            Self::Cosigned { checkpoint, .. } => {
                let checkpoint = checkpoint.unverified();
                TreeHead { size: checkpoint.size(), root: *checkpoint.root() }
            }
        }
    }

    /// When the checkpoint was cosigned, in seconds since 1970; 0 if none was.
    #[must_use]
    pub const fn time_s(&self) -> u64 {
        match self {
            Self::Fresh => 0,
            Self::Cosigned { time_s, .. } => *time_s,
        }
    }

    /// Our cosignature, if it is of this very checkpoint and was made then or later.
    pub(crate) fn again(&self, checkpoint: &Checkpoint, witness: &VerifierKey, since_s: u64) -> Option<&NoteSignature> {
        let Self::Cosigned { checkpoint: last, time_s } = self else { return None };
        let same = last.unverified() == checkpoint && *time_s >= since_s;
        last.note().signatures().iter().find(|line| same && witness.is_named_by(line))
    }

    /// Reads the record of a log and checks that it is this witness's own.
    ///
    /// # Errors
    /// [`StateError::Missing`], [`StateError::Damaged`], [`StateError::Io`].
    pub fn read(folder: &dyn Folder, log: &TrustedLog, witness: &VerifierKey) -> Result<Self, StateError> {
        let name = file_name(log);
        let bytes = folder.read(&name).map_err(StateError::io(format!("the record of {}", log.origin())))?;
        let bytes = bytes.ok_or_else(|| StateError::Missing(log.origin().to_owned()))?;
        Self::parse(&bytes, log, witness)
            .map_err(|why| StateError::Damaged { origin: log.origin().to_owned(), why: format!("{name}: {why}") })
    }

    fn parse(bytes: &[u8], log: &TrustedLog, witness: &VerifierKey) -> Result<Self, String> {
        if bytes == fresh_text(log).as_bytes() {
            return Ok(Self::Fresh);
        }
        let checkpoint = SignedCheckpoint::parse(bytes).map_err(|error| error.to_string())?;
        if checkpoint.unverified().origin() != log.origin() {
            return Err("it is another log's".to_owned());
        }
        log.signer(&checkpoint).ok_or("no trusted key of the log signed it")?;
        let time_s = checkpoint.note().verify(witness).map_err(|error| format!("our cosignature: {error}"))?;
        let time_s = time_s.ok_or("our cosignature has no time")?;
        // What is under nobody's signature has no place here.
        if checkpoint.note().signatures().len() != 2 {
            return Err("it must have two signatures".to_owned());
        }
        Ok(Self::Cosigned { checkpoint, time_s })
    }

    /// Brings the record to disk, in place of the one before it.
    pub(crate) fn write(&self, folder: &dyn Folder, log: &TrustedLog) -> std::io::Result<()> {
        let text = match self {
            Self::Fresh => fresh_text(log),
            Self::Cosigned { checkpoint, .. } => checkpoint.to_string(),
        };
        replace(folder, &file_name(log), text.as_bytes())
    }

    /// Begins the record of a log that is new to the witness. Tells whether it did: a record that is there stays.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn begin(folder: &dyn Folder, log: &TrustedLog) -> Result<bool, StateError> {
        let io = || StateError::io(format!("the record of {}", log.origin()));
        if folder.read(&file_name(log)).map_err(io())?.is_some() {
            return Ok(false);
        }
        Self::Fresh.write(folder, log).map_err(io())?;
        Ok(true)
    }
}

fn file_name(log: &TrustedLog) -> String {
    format!("{}.checkpoint", log.file_stem())
}

fn fresh_text(log: &TrustedLog) -> String {
    format!("Nothing was cosigned yet for this log:\n{}\n", log.origin())
}
