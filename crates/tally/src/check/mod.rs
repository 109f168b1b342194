//! `tally fsck` and `tally verify`.
#![allow(clippy::print_stderr, reason = "they tell what they found")]

mod contents;
mod fsck;
mod headers;
mod verify;

pub use fsck::{fsck, whole};
pub use verify::verify;

use anyhow::{Context, Result, bail};
use std::{fs::File, io::Read, path::Path};
use tallystick_app::cause::Trusted;
use tallystick_core::NostrKey;
use tallystick_log::{VerifierKey, WitnessPolicy};

use crate::cli::{Parties, Trust};

fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let name = path.display();
    let source: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(File::open(path).with_context(|| format!("cannot read {name}"))?),
    };
    let mut bytes = Vec::new();
    source.take(bytes_max + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    if bytes.len() as u64 > bytes_max {
        bail!("{name} is longer than {bytes_max} bytes");
    }
    Ok(bytes)
}

impl Trust {
    /// The policy that these keys make.
    ///
    /// # Errors
    /// If it cannot be met.
    pub(crate) fn policy(&self) -> Result<WitnessPolicy> {
        let majority = if self.witnesses.is_empty() { 0 } else { self.witnesses.len() / 2 + 1 };
        let needed = self.witnesses_needed.unwrap_or(majority);
        WitnessPolicy::try_new(needed, self.witnesses.clone())
            .with_context(|| format!("{needed} of {} witnesses", self.witnesses.len()))
    }
}

impl Parties {
    /// Whose word counts. Whoever trusts a log that is named after its node's key trusts that key.
    pub(crate) fn trusted(&self, log: Option<&VerifierKey>) -> Trusted {
        let node = self.node_key.or_else(|| node_of(log?));
        Trusted { node, operators: self.operators.iter().copied().collect() }
    }
}

/// The node's key, if the log's name is the one that a node gives it.
pub(crate) fn node_of(log: &VerifierKey) -> Option<NostrKey> {
    log.name().as_str().strip_prefix("tallystick/")?.parse().ok()
}
