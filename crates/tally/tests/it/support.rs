//! A stage for one test.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::{fs, path::Path};
use tally::{
    ask::Api,
    demo::{Platform, Purses, Report, Stage, Teller},
};
use tallystick_app::{Clock, SystemClock};
use tallystick_devnet::RegtestChain;
use tempfile::TempDir;

use crate::gate::Gate;

pub const BINARY: &str = env!("CARGO_BIN_EXE_tally");

/// A network of its own, below a folder that goes when the test is done. A test that ends without [`Theatre::close`]
/// has failed: then the folder stays, and the end of the node's log is printed.
pub struct Theatre {
    pub stage: Stage,
    pub report: Report,
    folder: Folder,
}

struct Folder {
    dir: TempDir,
    closed: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.closed {
            self.dir.disable_cleanup(true);
            let dir = self.dir.path();
            eprintln!("The node's last words:\n{}\nEverything is kept in {}", Platform::last_words(dir), dir.display());
        }
    }
}

impl Theatre {
    pub async fn open(env: &[(&str, String)]) -> Result<Self> {
        Self::open_on(RegtestChain::start().await?, env).await
    }

    /// The same on any chain on which the first rewards are mature.
    pub async fn open_on(chain: RegtestChain, env: &[(&str, String)]) -> Result<Self> {
        // First: whatever fails from here on can be looked into.
        let folder = Folder { dir: tempfile::tempdir()?, closed: false };
        let stage = Stage::start(chain, Path::new(BINARY), folder.dir.path(), env).await?;
        Ok(Self { stage, report: Report::quiet(), folder })
    }

    /// The same with a node whose public address is this gate, which leads to it from the start.
    pub async fn open_behind(gate: &Gate) -> Result<Self> {
        let folder = Folder { dir: tempfile::tempdir()?, closed: false };
        let chain = RegtestChain::start().await?;
        let platform = Platform::init(Path::new(BINARY), folder.dir.path(), &chain.rpc_config())?;
        name_public_url(&platform, &gate.url())?;
        gate.lead_to(platform.api_listen());
        let stage = Box::pin(Stage::start_with(chain, platform, folder.dir.path(), &[])).await?;
        Ok(Self { stage, report: Report::quiet(), folder })
    }

    /// The same with a node whose journal and channels are in a PostgreSQL database.
    pub async fn open_on_database(url: &str) -> Result<Self> {
        let folder = Folder { dir: tempfile::tempdir()?, closed: false };
        let chain = RegtestChain::start().await?;
        let platform = Platform::init_on(Path::new(BINARY), folder.dir.path(), &chain.rpc_config(), url)?;
        let stage = Box::pin(Stage::start_with(chain, platform, folder.dir.path(), &[])).await?;
        Ok(Self { stage, report: Report::quiet(), folder })
    }

    pub fn teller(&mut self) -> Teller<'_> {
        Teller::new(&mut self.stage, &mut self.report)
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
        self.stage.stop().await?;
        self.folder.closed = true;
        Ok(())
    }
}

/// Names a public address in a node's configuration.
pub fn name_public_url(platform: &Platform, url: &str) -> Result<()> {
    let file = platform.dir().join("tally.toml");
    let config = fs::read_to_string(&file)?;
    let named = config.replace("\npublic_urls = []\n", &format!("\npublic_urls = [\"{url}\"]\n"));
    ensure!(named != config, "the configuration has public URLs");
    Ok(fs::write(&file, named)?)
}

/// The authenticator of a node's only admin.
pub struct Authenticator(totp_rs::Totp);

impl Authenticator {
    /// Enrols, and shows the first code.
    pub async fn enrol(api: &Api) -> Result<Self> {
        let begun = api.ask("enrol", "mutation { enrol { uri } }", json!({})).await?;
        let uri = begun["uri"].as_str().context("an address that an authenticator reads")?;
        let secret = uri.split("secret=").nth(1).and_then(|rest| rest.split('&').next()).context("a secret")?;
        let secret = totp_rs::Secret::try_from_base32(secret).ok().context("a secret in base 32")?;
        let authenticator = Self(totp_rs::Builder::new().with_secret(secret).build().ok().context("an authenticator")?);
        let complete = "mutation($code: String!) { completeEnrolment(code: $code) }";
        api.ask("completeEnrolment", complete, json!({ "code": authenticator.at(0) })).await?;
        Ok(authenticator)
    }

    /// The next step's code: it is taken already, and is none that was used for the enrolment.
    pub fn next(&self) -> String {
        self.at(30)
    }

    fn at(&self, later_secs: u64) -> String {
        self.0.generate(SystemClock.now().as_secs() + later_secs).to_string()
    }
}

/// What payers paid must be what payees got and what the node kept; nothing else may have moved.
pub fn assert_conserved(before: &Purses, after: &Purses, paid_msat: u64, earned_msat: u64) {
    assert_eq!(before.sum(), after.sum(), "money appeared or vanished");
    assert_eq!(before.requester - paid_msat, after.requester, "the requester's purse is off");
    assert_eq!(before.worker + earned_msat, after.worker, "the worker's purse is off");
    assert_eq!(before.platform + paid_msat - earned_msat, after.platform, "the node's purse is off");
}
