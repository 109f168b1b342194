//! A stage for one test.

use anyhow::Result;
use std::path::Path;
use tally::demo::{Purses, Report, Stage, Teller};
use tempfile::TempDir;

pub const BINARY: &str = env!("CARGO_BIN_EXE_tally");

/// A network of its own, below a folder that goes when the test is done.
pub struct Theatre {
    pub stage: Stage,
    pub report: Report,
    _folder: TempDir,
}

impl Theatre {
    pub async fn open(env: &[(&str, String)]) -> Result<Self> {
        let mut folder = tempfile::tempdir()?;
        // For whoever looks into a failure.
        folder.disable_cleanup(std::env::var_os("TALLY_KEEP").is_some());
        let stage = Stage::start(Path::new(BINARY), folder.path(), env).await?;
        Ok(Self { stage, report: Report::quiet(), _folder: folder })
    }

    pub fn teller(&mut self) -> Teller<'_> {
        Teller { stage: &mut self.stage, report: &mut self.report }
    }

    /// The channels of the node: id and funding output, in order. They must outlive everything.
    pub async fn channels(&self) -> Result<Vec<(String, String)>> {
        let node = self.stage.platform.node("channels { id funding }").await?;
        let mut channels: Vec<_> = node["channels"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|channel| (channel["id"].to_string(), channel["funding"].to_string()))
            .collect();
        channels.sort();
        Ok(channels)
    }

    pub async fn close(mut self) -> Result<()> {
        self.stage.platform.stop().await?;
        self.stage.requester.party.go_offline().await;
        self.stage.worker.party.go_offline().await;
        Ok(())
    }
}

/// What payers paid must be what payees got and what the node kept; nothing else may have moved.
pub fn assert_conserved(before: &Purses, after: &Purses, paid_msat: u64, earned_msat: u64) {
    assert_eq!(before.sum(), after.sum(), "money appeared or vanished");
    assert_eq!(before.requester - paid_msat, after.requester, "the requester's purse is off");
    assert_eq!(before.worker + earned_msat, after.worker, "the worker's purse is off");
    assert_eq!(before.platform + paid_msat - earned_msat, after.platform, "the node's purse is off");
}
