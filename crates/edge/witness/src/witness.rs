//! May this be cosigned?

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use tallystick_app::Clock;
use tallystick_log::{AddCheckpoint, KeyKind, LogError, NoteSignature, SigningKey, VerifierKey};

use crate::{Evidence, Folder, Record, Refusal, StateError, TrustedLog};

/// How old a cosignature may be, in seconds, that is given again to whoever asks for the same checkpoint. Anyone can who
/// has a public one: that must cost neither a signature nor a write each time.
const AGAIN_S: u64 = 60;

/// A witness: its key, the logs that it cosigns, and what it has cosigned.
pub struct Witness {
    key: SigningKey,
    clock: Arc<dyn Clock>,
    logs: BTreeMap<String, Watched>,
    records: Arc<dyn Folder>,
    evidence: Arc<dyn Folder>,
    /// A write failed, for some log.
    failed: AtomicBool,
}

struct Watched {
    log: TrustedLog,
    /// What is on disk; none after a write that failed. Whoever holds the lock is alone with this log.
    record: Mutex<Option<Record>>,
}

/// A request about a known log, with the log's own signature. It may still be refused.
#[derive(Clone, Debug)]
pub struct Admitted {
    request: AddCheckpoint,
    key: VerifierKey,
}

impl Admitted {
    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.key.name().as_str()
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let logs: Vec<&String> = self.logs.keys().collect();
        f.debug_struct("Witness").field("key", &self.key).field("logs", &logs).finish_non_exhaustive()
    }
}

impl Witness {
    /// Opens a witness on its records and its evidence. The caller holds the [lock](crate::WitnessLock).
    ///
    /// # Errors
    /// [`StateError`] if a record is missing, changed, or not this witness's own; if the key is not of the kind that
    /// cosigns; if a log stands there twice.
    pub fn open(
        key: SigningKey,
        logs: Vec<TrustedLog>,
        records: Arc<dyn Folder>,
        evidence: Arc<dyn Folder>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StateError> {
        if key.verifier().kind() != KeyKind::Cosignature {
            return Err(StateError::Config(
                "the key of a witness must be of the kind `cosignature/v1` (0x04)".to_owned(),
            ));
        }
        // A run that was killed may have left a name that is not on disk yet. What is read now will be answered for.
        records.sync_names().map_err(StateError::io("the folder of records"))?;
        let mut watched = BTreeMap::new();
        for log in logs {
            let record = Record::take_up(records.as_ref(), &log, key.verifier())?;
            let origin = log.origin().to_owned();
            if watched.insert(origin.clone(), Watched { log, record: Mutex::new(Some(record)) }).is_some() {
                return Err(StateError::Config(format!("the log {origin} is configured twice")));
            }
        }
        Ok(Self { key, clock, logs: watched, records, evidence, failed: AtomicBool::new(false) })
    }

    /// The key that verifies what it cosigns.
    #[must_use]
    pub const fn key(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// The logs that it cosigns.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        self.logs.keys().map(String::as_str)
    }

    /// Whether a write failed, so that a log is not cosigned until the witness is started again.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Reads a request and checks that it is about a known log and signed by it.
    ///
    /// # Errors
    /// [`Refusal::BadRequest`], [`Refusal::TooLarge`], [`Refusal::UnknownLog`], [`Refusal::NotSigned`].
    pub fn admit(&self, body: &[u8]) -> Result<Admitted, Refusal> {
        let request = AddCheckpoint::parse(body).map_err(|error| match error {
            LogError::TooLarge { .. } => Refusal::TooLarge,
            other => Refusal::BadRequest(other),
        })?;
        let watched = self.logs.get(request.checkpoint().unverified().origin()).ok_or(Refusal::UnknownLog)?;
        let key = watched.log.signer(request.checkpoint()).ok_or(Refusal::NotSigned)?.clone();
        Ok(Admitted { request, key })
    }

    /// Cosigns, if the checkpoint extends the one that was last cosigned, and answers when the new record is on disk.
    /// Requests about one log wait for one another. It blocks: on other requests, and on the disk.
    ///
    /// # Errors
    /// [`Refusal::OldSize`], [`Refusal::TwoHistories`], [`Refusal::NotConsistent`], [`Refusal::Stopped`].
    pub fn cosign(&self, admitted: &Admitted) -> Result<NoteSignature, Refusal> {
        let Admitted { request, key } = admitted;
        let watched = self.logs.get(key.name().as_str()).ok_or(Refusal::UnknownLog)?;
        // A panic while the lock was held leaves it unknown what the disk holds, as a failed write does.
        let mut state = watched.record.lock().map_err(|_| Refusal::Stopped)?;
        let record = state.as_ref().ok_or(Refusal::Stopped)?;
        // A clock that was set back must not make two cosignatures say that the smaller tree was the later one.
        let now_s = self.clock.now().as_secs().max(record.time_s());
        let last = record.head();
        let checkpoint = match request.verify(key, last) {
            Ok(checkpoint) => checkpoint,
            Err(error) => return Err(self.refuse(&watched.log, record, request, error)),
        };
        if let Some(line) = record.again(checkpoint, self.key(), now_s.saturating_sub(AGAIN_S)) {
            return Ok(line.clone());
        }
        // Also if only the time is new: a clock that goes back over a restart must not undo what it says.
        let line = self.key.cosign(checkpoint, now_s).map_err(Refusal::BadRequest)?;
        let next = Record::cosigned(request.checkpoint(), key, &line, now_s).map_err(Refusal::BadRequest)?;
        if let Err(error) = next.write(self.records.as_ref(), &watched.log) {
            *state = None;
            self.failed.store(true, Ordering::Relaxed);
            tracing::error!(
                origin = watched.log.origin(),
                "the record cannot be written, the log is not cosigned: {error}"
            );
            return Err(Refusal::Stopped);
        }
        *state = Some(next);
        tracing::info!(origin = watched.log.origin(), from = last.size, to = checkpoint.size(), "cosigned");
        Ok(line)
    }

    /// Why not; two trees of one size are kept as evidence, whatever size the request started from.
    fn refuse(&self, log: &TrustedLog, record: &Record, request: &AddCheckpoint, error: LogError) -> Refusal {
        let (last, submitted) = (record.head(), request.checkpoint().unverified());
        if submitted.size() == last.size && *submitted.root() != last.root {
            self.keep_evidence(log, record, request);
        }
        match error {
            LogError::OldSize { known, .. } => Refusal::OldSize { known },
            LogError::TwoTrees { size } => Refusal::TwoHistories { size },
            other => {
                let (from, to) = (last.size, submitted.size());
                tracing::warn!(origin = log.origin(), from, to, "not cosigned, the proof is wrong: {other}");
                Refusal::NotConsistent(other)
            }
        }
    }

    fn keep_evidence(&self, log: &TrustedLog, record: &Record, request: &AddCheckpoint) {
        let Record::Cosigned { checkpoint, .. } = record else { return };
        let evidence = Evidence::new(checkpoint, request.checkpoint(), self.clock.now().as_secs());
        let size = evidence.size;
        match evidence.keep(self.evidence.as_ref(), log) {
            Ok(kept) => tracing::error!(origin = log.origin(), size, kept, "the log shows two histories"),
            Err(error) => {
                tracing::error!(
                    origin = log.origin(),
                    size,
                    "the log shows two histories, not kept: {error}: {evidence:?}"
                );
            }
        }
    }
}
