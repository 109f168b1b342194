//! `[log]`: the node's log as configured, and what runs it.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::sync::Arc;
use tallystick_app::{
    log::{LogConfig, LogWorker},
    port::{journal::Journal, log::LogStore, witness::Witness},
};
use tallystick_core::{Duration, NostrKey};
use tallystick_log::{KeyKind, KeyName, SigningKey, VerifierKey, WitnessPolicy};
use tallystick_witness_client::{HttpWitness, HttpWitnessConfig};
use zeroize::Zeroizing;

const INTERVAL_MIN_MILLIS: u64 = 50;
const INTERVAL_MAX_MILLIS: u64 = 3_600_000;
const START_WAIT_MAX_SECS: u64 = 3_600;

/// The node's log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// The log's name for ever, a URL without a scheme such as `tally.example/log`. `tallystick/<the node's key>` if
    /// absent.
    pub origin: Option<String>,
    /// How often a checkpoint is signed, if there is something new.
    pub interval_ms: u64,
    /// Who is asked to cosign.
    pub witnesses: Vec<WitnessSection>,
    /// How many cosignatures a checkpoint needs before it is published: more than half of the witnesses if absent.
    pub witnesses_needed: Option<usize>,
    /// How long a start waits for enough witnesses to tell that they have seen no more than the journal holds.
    pub start_wait_secs: u64,
    /// Whether the channels are opened then although they have not told it.
    pub start_without_witnesses: bool,
}

/// How a start waits for witnesses.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long.
    pub wait: std::time::Duration,
    /// Whether it goes on without them.
    pub goes_on: bool,
}

/// A witness.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessSection {
    /// Where it takes checkpoints (C2SP tlog-witness): its submission prefix.
    pub url: String,
    /// Its key (C2SP signed-note): `name+id+key`.
    pub vkey: String,
    /// Whether it is spoken to without TLS although it is on another machine.
    #[serde(default)]
    pub insecure: bool,
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            origin: None,
            interval_ms: 1_000,
            witnesses: Vec::new(),
            witnesses_needed: None,
            start_wait_secs: 300,
            start_without_witnesses: false,
        }
    }
}

impl LogSection {
    /// Checks names, keys, addresses and numbers.
    ///
    /// # Errors
    /// Names what makes no sense.
    pub fn check(&self) -> Result<()> {
        if let Some(origin) = &self.origin {
            KeyName::try_new(origin).with_context(|| format!("[log] origin: {origin:?}"))?;
        }
        let interval = INTERVAL_MIN_MILLIS..=INTERVAL_MAX_MILLIS;
        ensure!(
            interval.contains(&self.interval_ms),
            "[log] interval_ms: {INTERVAL_MIN_MILLIS} to {INTERVAL_MAX_MILLIS}"
        );
        ensure!(self.start_wait_secs <= START_WAIT_MAX_SECS, "[log] start_wait_secs: {START_WAIT_MAX_SECS} at most");
        self.witnesses()?;
        let (count, needed) = (self.witnesses.len(), self.needed());
        ensure!(needed <= count, "[log] witnesses_needed: there are {count} witnesses");
        // Two histories with `needed` cosignatures each would have a witness in common, which cosigns one of them only.
        ensure!(
            count == 0 || needed * 2 > count,
            "[log] witnesses_needed: {needed} of {count} could cosign two histories: more than half are needed"
        );
        Ok(())
    }

    /// How many cosignatures a checkpoint needs before it is published.
    pub fn needed(&self) -> usize {
        let majority = if self.witnesses.is_empty() { 0 } else { self.witnesses.len() / 2 + 1 };
        self.witnesses_needed.unwrap_or(majority)
    }

    /// How a start waits for them.
    pub fn patience(&self) -> Patience {
        Patience { wait: std::time::Duration::from_secs(self.start_wait_secs), goes_on: self.start_without_witnesses }
    }

    /// Clients for all witnesses. Nothing is asked yet.
    ///
    /// # Errors
    /// As [`LogSection::check`].
    pub fn witnesses(&self) -> Result<Vec<Arc<dyn Witness>>> {
        let witness = |section: &WitnessSection| -> Result<Arc<dyn Witness>> {
            let key = VerifierKey::parse(&section.vkey).with_context(|| format!("[log] witness {}", section.vkey))?;
            let mut config = HttpWitnessConfig::new(&section.url, key);
            config.insecure = section.insecure;
            Ok(Arc::new(HttpWitness::try_new(config).with_context(|| format!("[log] witness {}", section.url))?))
        };
        self.witnesses.iter().map(witness).collect()
    }

    /// Who must have cosigned a checkpoint that is published: so many of the witnesses, as many as the node needs if absent.
    ///
    /// # Errors
    /// If a key is none, or there are fewer witnesses.
    pub fn policy(&self, needed: Option<usize>) -> Result<WitnessPolicy> {
        let key = |section: &WitnessSection| {
            VerifierKey::parse(&section.vkey).with_context(|| format!("[log] witness {}", section.vkey))
        };
        let keys = self.witnesses.iter().map(key).collect::<Result<Vec<_>>>()?;
        let (needed, count) = (needed.unwrap_or_else(|| self.needed()), keys.len());
        WitnessPolicy::try_new(needed, keys).with_context(|| format!("{needed} of the {count} witnesses of [log]"))
    }

    /// The log's key: made from the node's own seed, under the log's name.
    ///
    /// # Errors
    /// If the name is none.
    pub fn key(&self, node: NostrKey, seed: &Zeroizing<[u8; 32]>) -> Result<SigningKey> {
        let origin = self.origin.clone().unwrap_or_else(|| format!("tallystick/{node}"));
        Ok(SigningKey::try_from_seed(KeyName::try_new(&origin)?, KeyKind::Note, seed)?)
    }

    /// What keeps the log up to date.
    ///
    /// # Errors
    /// As [`LogSection::check`].
    pub fn worker(&self, key: SigningKey, journal: Arc<dyn Journal>, store: Arc<dyn LogStore>) -> Result<LogWorker> {
        let config = LogConfig {
            key,
            interval: Duration::from_millis(self.interval_ms),
            witnesses: self.witnesses()?,
            witnesses_needed: self.needed(),
        };
        Ok(LogWorker::try_new(journal, store, config)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(more: &str) -> Result<()> {
        let section: LogSection = toml::from_str(more)?;
        section.check()
    }

    fn witness(n: u8) -> String {
        let key = SigningKey::try_from_seed(
            KeyName::try_new(&format!("w.example/{n}")).unwrap(),
            KeyKind::Cosignature,
            &[n; 32],
        )
        .unwrap();
        format!("[[witnesses]]\nurl = \"http://127.0.0.1:1/{n}\"\nvkey = \"{}\"\n", key.verifier().to_vkey())
    }

    #[test]
    fn only_what_is_safe_is_taken() {
        let three: String = (1..=3).map(witness).collect();
        let toml = |head: &str| format!("{head}\n{three}");
        section("").unwrap();
        section(&toml("")).unwrap();
        section(&toml("witnesses_needed = 2")).unwrap();
        for (bad, why) in [
            (toml("witnesses_needed = 1"), "more than half"),
            (toml("witnesses_needed = 4"), "there are 3"),
            ("witnesses_needed = 1".to_owned(), "there are 0"),
            ("interval_ms = 1".to_owned(), "interval_ms"),
            ("start_wait_secs = 3601".to_owned(), "start_wait_secs"),
            ("origin = \"two words\"".to_owned(), "origin"),
            ("[[witnesses]]\nurl = \"http://127.0.0.1:1\"\nvkey = \"w+1\"".to_owned(), "witness w+1"),
            (witness(1).replace("127.0.0.1", "w.example"), "witness http://w.example"),
        ] {
            let refused = format!("{:#}", section(&bad).unwrap_err());
            assert!(refused.contains(why), "{bad}: {refused}");
        }
    }
}
