//! Two trees of one size that a log has signed: proof that it shows two histories, which anyone can check.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tallystick_log::SignedCheckpoint;

use crate::{
    StateError, TrustedLog,
    folder::{Folder, is_unfinished, replace},
};

/// Most pieces that are kept of one log. One proves it.
pub const PIECES_MAX: usize = 16;

/// A file's name, and what it holds.
pub type Kept = (String, Result<Evidence, StateError>);

/// One piece: a file of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The log.
    pub origin: String,
    /// Leaves in both trees.
    pub size: u64,
    /// When the second one came, in seconds since 1970.
    pub seen_s: u64,
    /// The checkpoint that this witness cosigned, a signed note.
    pub cosigned: String,
    /// The other one, which it refused, a signed note.
    pub refused: String,
}

impl Evidence {
    /// A piece of evidence.
    #[must_use]
    pub fn new(cosigned: &SignedCheckpoint, refused: &SignedCheckpoint, seen_s: u64) -> Self {
        let checkpoint = cosigned.unverified();
        Self {
            origin: checkpoint.origin().to_owned(),
            size: checkpoint.size(),
            seen_s,
            cosigned: cosigned.to_string(),
            refused: refused.to_string(),
        }
    }

    /// Whether it proves two histories: both checkpoints signed by a key of the log, of the size told, and different.
    #[must_use]
    pub fn proves(&self, log: &TrustedLog) -> bool {
        let read = |text: &str| {
            let signed = SignedCheckpoint::parse(text.as_bytes()).ok()?;
            log.signer(&signed)?;
            let checkpoint = signed.unverified();
            (checkpoint.size() == self.size).then_some(*checkpoint.root())
        };
        match (read(&self.cosigned), read(&self.refused)) {
            (Some(one), Some(other)) => self.origin == log.origin() && one != other,
            _ => false,
        }
    }

    /// Keeps it, on disk when this answers. What is kept already is not kept twice, and of one log only so many. Tells
    /// whether it is kept.
    pub(crate) fn keep(&self, folder: &dyn Folder, log: &TrustedLog) -> Result<bool, StateError> {
        let io = || StateError::io("evidence of two histories");
        let (stem, id) = (log.file_stem(), hex::encode(Sha256::digest(self.refused.as_bytes())));
        let name = format!("{stem}-{}-{id}.json", self.size);
        let kept = folder.names().map_err(io())?;
        if kept.contains(&name) {
            return Ok(true);
        }
        if kept.iter().filter(|name| name.starts_with(&stem)).count() >= PIECES_MAX {
            return Ok(false);
        }
        let mut text = serde_json::to_string_pretty(self).map_err(|error| io()(error.into()))?;
        text.push('\n');
        replace(folder, &name, text.as_bytes()).map_err(io())?;
        Ok(true)
    }

    /// All that is kept, with the names of the files; what cannot be read is told as an error.
    ///
    /// # Errors
    /// [`StateError::Io`] if the folder cannot be read.
    pub fn all(folder: &dyn Folder) -> Result<Vec<Kept>, StateError> {
        let names = folder.names().map_err(StateError::io("the folder of evidence"))?;
        let whole = names.into_iter().filter(|name| !is_unfinished(name));
        Ok(whole.map(|name| (name.clone(), Self::read(folder, &name))).collect())
    }

    fn read(folder: &dyn Folder, name: &str) -> Result<Self, StateError> {
        let io = || StateError::io(name);
        let bytes = folder.read(name).map_err(io())?.unwrap_or_default();
        serde_json::from_slice(&bytes).map_err(|error| io()(error.into()))
    }
}
