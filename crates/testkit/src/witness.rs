//! A witness in memory: it keeps the rules of C2SP tlog-witness, and can be told to fail.

use async_trait::async_trait;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tallystick_app::port::witness::{Witness, WitnessError};
use tallystick_log::{AddCheckpoint, KeyKind, KeyName, LogError, NoteSignature, SigningKey, TreeHead, VerifierKey};

/// A witness of one log. What it signed last is as durable as this value.
pub struct SimWitness {
    key: SigningKey,
    log: VerifierKey,
    last: Mutex<TreeHead>,
    silent: Mutex<bool>,
    hanging: Mutex<bool>,
}

impl SimWitness {
    /// A witness with a key of its own, which knows one log.
    ///
    /// # Panics
    /// On a name that no key may have.
    pub fn new(name: &str, log: VerifierKey) -> Self {
        let name = KeyName::try_new(name).expect("a key's name");
        let seed = tallystick_core::canonical::sha256(name.as_str().as_bytes()).0;
        let key = SigningKey::try_from_seed(name, KeyKind::Cosignature, &seed).expect("a key");
        Self { key, log, last: Mutex::default(), silent: Mutex::new(false), hanging: Mutex::new(false) }
    }

    /// Answers nothing from now on, or answers again.
    pub fn set_silent(&self, silent: bool) {
        *lock(&self.silent) = silent;
    }

    /// Never answers from now on, not even that it does not, or answers again.
    pub fn set_hanging(&self, hanging: bool) {
        *lock(&self.hanging) = hanging;
    }

    /// What it cosigned last.
    pub fn last(&self) -> TreeHead {
        *lock(&self.last)
    }
}

#[async_trait]
impl Witness for SimWitness {
    fn key(&self) -> &VerifierKey {
        self.key.verifier()
    }

    async fn add_checkpoint(&self, request: &AddCheckpoint) -> Result<NoteSignature, WitnessError> {
        let hanging = *lock(&self.hanging);
        if hanging {
            std::future::pending::<()>().await;
        }
        if *lock(&self.silent) {
            return Err(WitnessError::Unavailable("it was told to be silent".into()));
        }
        let mut last = lock(&self.last);
        let checkpoint = request.verify(&self.log, *last).map_err(|error| match error {
            LogError::OldSize { known, .. } => WitnessError::Behind { size: known },
            other @ (LogError::TwoTrees { .. } | LogError::RootMismatch) => {
                WitnessError::OtherHistory(other.to_string())
            }
            other => WitnessError::Refused(other.to_string()),
        })?;
        *last = TreeHead { size: checkpoint.size(), root: *checkpoint.root() };
        self.key.cosign(checkpoint, 1_800_000_000).map_err(|error| WitnessError::Nonsense(error.to_string()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
