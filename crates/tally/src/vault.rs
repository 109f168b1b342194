//! `[evidence]`: how long the vault keeps what is filed in disputes, and what tidies it up.

use anyhow::{Result, ensure};
use serde::Deserialize;
use tallystick_app::vault::{Retention, Vault, VaultKeeper};
use tallystick_core::Duration;

const DAY_SECS: u64 = 86_400;
/// Ten years.
const DAYS_MAX: u64 = 3_650;
/// How often it is looked for what is to go. What is kept for an hour may be kept for ten minutes more.
const LOOK: Duration = Duration::from_secs(600);

/// How long evidence is kept.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvidenceSection {
    /// Days after its dispute is over.
    pub retention_days: u64,
}

impl Default for EvidenceSection {
    fn default() -> Self {
        Self { retention_days: Retention::default().filed.as_millis() / (DAY_SECS * 1_000) }
    }
}

impl EvidenceSection {
    /// Checks the number.
    ///
    /// # Errors
    /// If it makes no sense.
    pub fn check(self) -> Result<()> {
        let days = self.retention_days;
        ensure!((1..=DAYS_MAX).contains(&days), "[evidence] retention_days: {days} is not 1 to {DAYS_MAX}");
        Ok(())
    }

    /// The same as the vault takes it.
    pub fn retention(self) -> Retention {
        Retention { filed: Duration::from_secs(self.retention_days * DAY_SECS), ..Retention::default() }
    }
}

/// What tidies a vault up.
pub fn keeper(vault: &Vault) -> VaultKeeper {
    VaultKeeper::new(vault.clone(), LOOK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_kept_for_a_while_and_not_for_ever() {
        let section = |text: &str| -> Result<Retention> {
            let section: EvidenceSection = toml::from_str(text)?;
            section.check().map(|()| section.retention())
        };
        assert_eq!(section("").unwrap(), Retention::default());
        assert_eq!(section("retention_days = 1").unwrap().filed, Duration::from_secs(DAY_SECS));
        for wrong in ["retention_days = 0", "retention_days = 3651", "days = 1"] {
            assert!(section(wrong).is_err(), "{wrong}");
        }
    }
}
