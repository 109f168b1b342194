//! `[anchor]`: when the node anchors its log in Bitcoin; and `tally anchor`.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::{fs, path::Path, sync::Arc};
use tallystick_app::{
    anchor::{Anchor, AnchorPolicy, Anchors, event::STREAM, export, history},
    port::snapshot::Snapshot,
};
use tallystick_core::{Blocks, Duration};
use tallystick_log::{Hash, print_hashes};

use crate::{
    cli::{AnchorCommand, AnchorExport},
    config::Config,
    store,
};

/// How often the chain is looked at.
const LOOK: Duration = Duration::from_secs(30);
const LOOK_REGTEST: Duration = Duration::from_millis(200);

/// When and how the node anchors. A node without this section does not: it costs money.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnchorSection {
    /// Whether it does.
    pub enabled: bool,
    /// So many facts are reason for an anchor.
    pub facts_max: u64,
    /// After so many seconds, one fact is.
    pub interval_secs: u64,
    /// After so many blocks without a confirmation the fee is raised.
    pub bump_blocks: u32,
    /// The most that is paid, in satoshi per vbyte.
    pub fee_rate_max_sat_vb: u64,
}

impl Default for AnchorSection {
    fn default() -> Self {
        let policy = AnchorPolicy::default();
        Self {
            enabled: true,
            facts_max: policy.facts_max,
            interval_secs: policy.interval.as_millis() / 1_000,
            bump_blocks: policy.bump_blocks.0,
            fee_rate_max_sat_vb: policy.fee_rate_max_sat_vb,
        }
    }
}

/// How a node anchors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchoring {
    /// When, and what it may cost.
    pub policy: AnchorPolicy,
    /// How often the chain is looked at.
    pub look: Duration,
}

impl AnchorSection {
    /// Checks the numbers.
    ///
    /// # Errors
    /// Names what makes no sense.
    pub fn check(&self) -> Result<()> {
        ensure!(self.facts_max > 0, "[anchor] facts_max: at least 1");
        ensure!((1..=31_536_000).contains(&self.interval_secs), "[anchor] interval_secs: 1 to 31536000, a year");
        ensure!((1..=1_008).contains(&self.bump_blocks), "[anchor] bump_blocks: 1 to 1008");
        ensure!((1..=2_000).contains(&self.fee_rate_max_sat_vb), "[anchor] fee_rate_max_sat_vb: 1 to 2000");
        Ok(())
    }

    /// How the node anchors on this network; nothing if it does not.
    pub fn anchoring(&self, network: bitcoin::Network) -> Option<Anchoring> {
        let policy = AnchorPolicy {
            facts_max: self.facts_max,
            interval: Duration::from_secs(self.interval_secs),
            bump_blocks: Blocks(self.bump_blocks),
            fee_rate_max_sat_vb: self.fee_rate_max_sat_vb,
        };
        let look = if network == bitcoin::Network::Regtest { LOOK_REGTEST } else { LOOK };
        self.enabled.then_some(Anchoring { policy, look })
    }
}

/// `tally anchor`.
///
/// # Errors
/// If the journal cannot be read, the anchor is not there or does not count yet, or a file cannot be written.
pub async fn run(command: AnchorCommand) -> Result<()> {
    match command {
        AnchorCommand::Status(place) => status(&anchors(&*store(&place.data_dir).await?).await?),
        AnchorCommand::Export(args) => {
            let store = store(&args.data_dir).await?;
            let anchors = anchors(&*store).await?;
            write(&args, &anchors, history(&*store, &anchors, args.number).await?)?;
        }
    }
    Ok(())
}

async fn store(data_dir: &Path) -> Result<Arc<dyn Snapshot>> {
    store::snapshot(&Config::read(data_dir)?).await
}

async fn anchors(store: &dyn Snapshot) -> Result<Anchors> {
    let mut anchors = Anchors::default();
    anchors.follow(&store.stream(STREAM).await?)?;
    Ok(anchors)
}

fn status(anchors: &Anchors) {
    match anchors.genesis() {
        Some(genesis) => say!("genesis {genesis}"),
        None => say!("no anchors yet"),
    }
    anchors.all().iter().map(line).for_each(|line| say!("{line}"));
}

fn line(anchor: &Anchor) -> String {
    let newest = anchor.confirmed_version().or(anchor.versions.last());
    let (size, txid, fee) =
        newest.map_or_else(Default::default, |version| (version.size, version.txid.to_string(), version.fee.get()));
    let place = match &anchor.confirmed {
        Some(confirmed) => format!("block {}", confirmed.height),
        None => format!("waiting, version {}", anchor.versions.len()),
    };
    format!("{}  {size} facts  {txid}  {fee} sat  {place}", anchor.number)
}

fn write(args: &AnchorExport, anchors: &Anchors, history: Option<Vec<Hash>>) -> Result<()> {
    let anchor = anchors.get(args.number).with_context(|| format!("there is no anchor {}", args.number))?;
    let exported = export(anchor).with_context(|| format!("anchor {}", args.number))?;
    // The name that OpenTimestamps' own client looks for: the content's with `.ots` behind it.
    let text = format!("anchor-{}.txt", args.number);
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    let mut files = vec![
        (text.clone(), exported.checkpoint.into_bytes()),
        (format!("{text}.ots"), exported.ots),
        (format!("anchor-{}.proof", args.number), exported.proof),
    ];
    if let Some(history) = history {
        files.push((format!("anchor-{}.consistency", args.number), print_hashes(&history).into_bytes()));
    }
    for (name, bytes) in files {
        let path = args.out.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        say!("{}", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_turns_it_on_and_nonsense_is_refused() {
        let section: AnchorSection = toml::from_str("").unwrap();
        section.check().unwrap();
        let anchoring = section.anchoring(bitcoin::Network::Bitcoin).unwrap();
        assert_eq!((anchoring.policy, anchoring.look), (AnchorPolicy::default(), LOOK));
        let off: AnchorSection = toml::from_str("enabled = false").unwrap();
        assert_eq!(off.anchoring(bitcoin::Network::Regtest), None);
        for bad in ["facts_max = 0", "interval_secs = 0", "bump_blocks = 0", "fee_rate_max_sat_vb = 0"] {
            assert!(toml::from_str::<AnchorSection>(bad).unwrap().check().is_err(), "{bad}");
        }
        assert!(toml::from_str::<AnchorSection>("fees = 1").is_err());
    }
}
