//! What was last cosigned for a log, as a file that vouches for itself.
//!
//! The file is the checkpoint as a signed note with two signatures: the log's, and the witness's own cosignature. Nobody
//! but the witness can make one, and every byte of it is under a signature or has one spelling only. For a log of which
//! nothing was cosigned yet it is a sentence. A log without a file is an error: what was there must have been removed.
//!
//! ```text
//! record on disk ──▶ its copy, the mark, on disk ──▶ the cosignature leaves
//! ```
//! A record alone could be put back to an older one, or to the sentence, which anyone can write. The mark beside it tells
//! of that: it is never newer than the record. It stays when the log is taken out of the configuration, so a log that was
//! cosigned once does not begin again. Behind the record it may be, where the witness stopped in between.

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

    /// Reads the record of a log and checks that it is this witness's own, and not older than its mark.
    ///
    /// # Errors
    /// [`StateError::Missing`], [`StateError::Damaged`], [`StateError::Io`].
    pub fn read(folder: &dyn Folder, log: &TrustedLog, witness: &VerifierKey) -> Result<Self, StateError> {
        Self::read_both(folder, log, witness).map(|(record, _)| record)
    }

    /// The same for whoever writes next: the mark is brought to where the record is.
    pub(crate) fn take_up(folder: &dyn Folder, log: &TrustedLog, witness: &VerifierKey) -> Result<Self, StateError> {
        let (record, mark) = Self::read_both(folder, log, witness)?;
        if mark.as_ref() != Some(&record) {
            record.write_mark(folder, log).map_err(io(log))?;
        }
        Ok(record)
    }

    fn read_both(
        folder: &dyn Folder,
        log: &TrustedLog,
        witness: &VerifierKey,
    ) -> Result<(Self, Option<Self>), StateError> {
        let damaged = |name: &str, why: &str| StateError::Damaged {
            origin: log.origin().to_owned(),
            why: format!("{name}: {why}"),
        };
        let read = |name: &str| {
            let bytes = folder.read(name).map_err(io(log))?;
            bytes.map(|bytes| Self::parse(&bytes, log, witness).map_err(|why| damaged(name, &why))).transpose()
        };
        let (name, mark_name) = (file_name(log), mark_name(log));
        let record = read(&name)?.ok_or_else(|| StateError::Missing(log.origin().to_owned()))?;
        let mark = read(&mark_name)?;
        match &mark {
            None if record == Self::Fresh => {
                Err(damaged(&mark_name, "it is missing, and tells whether this log is new"))
            }
            Some(mark) if mark.age() > record.age() => Err(damaged(
                &name,
                &format!("{} leaves were cosigned, says {mark_name}: an older record is in its place", mark.age().0),
            )),
            Some(mark) if mark.age() == record.age() && *mark != record => {
                Err(damaged(&name, &format!("{mark_name} tells of another tree")))
            }
            _ => Ok((record, mark)),
        }
    }

    /// Grows with every cosignature: leaves, and seconds.
    fn age(&self) -> (u64, u64) {
        (self.head().size, self.time_s())
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

    /// Brings the record to disk, in place of the one before it, and then its mark.
    pub(crate) fn write(&self, folder: &dyn Folder, log: &TrustedLog) -> std::io::Result<()> {
        replace(folder, &file_name(log), self.text(log).as_bytes())?;
        self.write_mark(folder, log)
    }

    fn write_mark(&self, folder: &dyn Folder, log: &TrustedLog) -> std::io::Result<()> {
        replace(folder, &mark_name(log), self.text(log).as_bytes())
    }

    fn text(&self, log: &TrustedLog) -> String {
        match self {
            Self::Fresh => fresh_text(log),
            Self::Cosigned { checkpoint, .. } => checkpoint.to_string(),
        }
    }

    /// Begins the record of a log that is new to the witness. Tells whether it did: a record that is there stays.
    ///
    /// # Errors
    /// [`StateError::Missing`] if a mark tells that the log was cosigned; [`StateError::Io`].
    pub fn begin(folder: &dyn Folder, log: &TrustedLog) -> Result<bool, StateError> {
        if folder.read(&file_name(log)).map_err(io(log))?.is_some() {
            return Ok(false);
        }
        let mark = folder.read(&mark_name(log)).map_err(io(log))?;
        if mark.is_some_and(|mark| mark != fresh_text(log).as_bytes()) {
            return Err(StateError::Missing(log.origin().to_owned()));
        }
        Self::begin_anew(folder, log).map(|()| true)
    }

    /// Forgets what was cosigned for a log: the witness will cosign whatever history it is shown next.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn begin_anew(folder: &dyn Folder, log: &TrustedLog) -> Result<(), StateError> {
        // The mark first: interrupted, it leaves the old record, or none, and can be done again.
        Self::Fresh.write_mark(folder, log).map_err(io(log))?;
        Self::Fresh.write(folder, log).map_err(io(log))
    }
}

fn io(log: &TrustedLog) -> impl FnOnce(std::io::Error) -> StateError {
    StateError::io(format!("the record of {}", log.origin()))
}

fn mark_name(log: &TrustedLog) -> String {
    format!("{}.mark", log.file_stem())
}

fn file_name(log: &TrustedLog) -> String {
    format!("{}.checkpoint", log.file_stem())
}

fn fresh_text(log: &TrustedLog) -> String {
    format!("Nothing was cosigned yet for this log:\n{}\n", log.origin())
}
