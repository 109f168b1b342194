//! The node as a process of its own, so that it can be killed like one.

use anyhow::{Context, Result, bail, ensure};
use nostr::key::Keys;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};
use tallystick_bitcoin::{RpcAuth, RpcConfig};
use tallystick_devnet::free_port;
use tallystick_graphql::client::Tap;
use tallystick_lightning::LightningNode;
use tokio::process::{Child, Command};

use crate::{
    ask::Api,
    cli::Init,
    config::{Config, FILE},
    init, secret,
};

/// The longest that a node may take to start.
const START_MAX: Duration = Duration::from_secs(60);
/// How much of the log is told when something went wrong.
const LOG_LINES: usize = 40;
/// How often a condition is looked at.
pub const LOOK: Duration = Duration::from_millis(25);

/// The node lives for one run: its passphrase is no secret.
pub const PASSPHRASE: &str = "a passphrase for one run";

/// Where a node is to be, and what it begins with.
struct Place {
    dir: PathBuf,
    peer_listen: SocketAddr,
    store_url: Option<String>,
    seed_file: Option<PathBuf>,
}

/// A node in a process of its own.
pub struct Platform {
    binary: PathBuf,
    dir: PathBuf,
    api_listen: SocketAddr,
    operator: Api,
    operator_keys: Keys,
    child: Option<Child>,
    env: Vec<(String, String)>,
}

impl Platform {
    /// Makes a node's directory below `dir`, with free ports.
    ///
    /// # Errors
    /// If the directory cannot be made.
    pub fn init(binary: &Path, dir: &Path, rpc: &RpcConfig) -> Result<Self> {
        let place = Place { dir: dir.join("platform"), peer_listen: free_port()?, store_url: None, seed_file: None };
        Self::init_at(binary, place, rpc, Keys::generate())
    }

    /// The same with everything in a PostgreSQL database, for several replicas.
    ///
    /// # Errors
    /// If the directory cannot be made.
    pub fn init_on(binary: &Path, dir: &Path, rpc: &RpcConfig, store_url: &str) -> Result<Self> {
        let store_url = Some(store_url.to_owned());
        let place = Place { dir: dir.join("platform"), peer_listen: free_port()?, store_url, seed_file: None };
        Self::init_at(binary, place, rpc, Keys::generate())
    }

    /// Makes the directory of another replica of this node beside its own: the same seed, database and operator, another
    /// port for clients, and the same port for peers unless another is given.
    ///
    /// # Errors
    /// If it is not on a database, or the directory cannot be made.
    pub fn replica(&self, name: &str, rpc: &RpcConfig, peer_listen: Option<SocketAddr>) -> Result<Self> {
        let config = Config::read(&self.dir)?;
        let store_url = Some(config.store.url.context("replicas share a database")?.0);
        let own = config.lightning.listen.first().copied();
        let peer_listen = peer_listen.or(own).context("the node listens")?;
        let dir = self.dir.with_file_name(name);
        let seed = LightningNode::reveal_seed(&init::lightning_dir(&self.dir), PASSPHRASE)?;
        secret::make_private_dir(&dir)?;
        let seed_file = dir.join("seed");
        secret::write_private(&seed_file, &tallystick_core::Digest32(*seed).to_string())?;
        let place = Place { dir, peer_listen, store_url, seed_file: Some(seed_file) };
        Self::init_at(&self.binary, place, rpc, self.operator_keys.clone())
    }

    fn init_at(binary: &Path, place: Place, rpc: &RpcConfig, operator_keys: Keys) -> Result<Self> {
        let Place { dir, peer_listen, store_url, seed_file } = place;
        secret::make_private_dir(&dir)?;
        let cookie = match &rpc.auth {
            RpcAuth::UserPass { user, password } => {
                let cookie = dir.join("cookie");
                secret::write_private(&cookie, &format!("{user}:{password}"))?;
                cookie
            }
            RpcAuth::CookieFile(cookie) => cookie.clone(),
        };
        let passphrase = dir.join("passphrase");
        secret::write_private(&passphrase, PASSPHRASE)?;
        let api_listen = free_port()?;
        init::run(&Init {
            data_dir: dir.clone(),
            network: bitcoin::Network::Regtest,
            rpc_url: Some(rpc.url.clone()),
            rpc_cookie_file: Some(cookie),
            rpc_user: None,
            rpc_password_file: None,
            api_listen,
            public_urls: Vec::new(),
            peer_listen,
            store_url,
            store_password_file: None,
            operators: vec![operator_keys.public_key().to_hex().parse()?],
            seed_file,
            birth_height: None,
            passphrase_file: Some(passphrase),
        })?;
        let file = dir.join(FILE);
        let config = fs::read_to_string(&file)?;
        // Everybody here is one's own, and some post tasks by the thousand.
        fs::write(&file, config.replace("# enforce = true", "enforce = false"))?;
        let operator = Api::new(&format!("http://{api_listen}/graphql"), operator_keys.clone())?;
        Ok(Self { binary: binary.to_owned(), dir, api_listen, operator, operator_keys, child: None, env: Vec::new() })
    }

    /// Adds to the environment of every start from now on.
    pub fn set_env(&mut self, env: &[(&str, String)]) {
        self.env = env.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    }

    /// Where its API is.
    pub fn url(&self) -> String {
        format!("http://{}/graphql", self.api_listen)
    }

    /// Where its API listens.
    pub fn api_listen(&self) -> SocketAddr {
        self.api_listen
    }

    /// The program that it runs.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Everything that it has logged, over all its lives.
    pub fn log_file(&self) -> PathBuf {
        log_file(&self.dir)
    }

    /// The end of what was logged by the node whose network lies below `dir`; empty if there is none.
    pub fn last_words(dir: &Path) -> String {
        let log = fs::read(log_file(&dir.join("platform"))).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Starts it, with additions to its environment, and waits until it answers.
    ///
    /// # Errors
    /// If it does not start in time.
    pub async fn start(&mut self, env: &[(&str, String)]) -> Result<()> {
        self.spawn(env)?;
        self.wait_until_ready().await
    }

    /// Starts it without waiting.
    ///
    /// # Errors
    /// If the process cannot be made.
    pub fn spawn(&mut self, env: &[(&str, String)]) -> Result<()> {
        ensure!(self.child.is_none(), "the node runs already");
        let log = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(self.log_file())?;
        let child = Command::new(&self.binary)
            .arg("serve")
            .arg("--data-dir")
            .arg(&self.dir)
            .arg("--passphrase-file")
            .arg(self.dir.join("passphrase"))
            .arg("--until-stdin-closes")
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .envs(env.iter().map(|(key, value)| (*key, value.as_str())))
            // We hold the other end: when this process is gone, however it went, the node stops too.
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A terminal's Ctrl-C is for us; how the node stops is our decision.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until the node answers and knows the chain.
    ///
    /// # Errors
    /// If it ends, or takes too long.
    pub async fn wait_until_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            if let Ok(node) = self.info().await
                && node["height"].as_u64().unwrap_or_default() > 0
            {
                return Ok(());
            }
            if let Some(status) = self.ended()? {
                bail!("the node ended while starting ({status})");
            }
            ensure!(start.elapsed() < START_MAX, "the node does not start");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The process, if one was started.
    pub fn pid(&self) -> Option<i32> {
        self.child.as_ref().and_then(Child::id).map(u32::cast_signed)
    }

    /// How the process ended, if it did.
    ///
    /// # Errors
    /// If the system cannot tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let status = child.try_wait()?;
        if status.is_some() {
            self.child = None;
        }
        Ok(status)
    }

    /// Waits until the process has ended by itself, and answers how. Whoever stops waiting kills it.
    ///
    /// # Errors
    /// If none runs, or the system cannot tell.
    pub async fn wait_until_ended(&mut self) -> Result<ExitStatus> {
        let mut child = self.child.take().context("the node does not run")?;
        // Waiting would close it, and that is a call to stop.
        let _stdin = child.stdin.take();
        Ok(child.wait().await?)
    }

    /// Kills it: SIGKILL, no goodbye.
    ///
    /// # Errors
    /// If the system cannot.
    pub async fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// If it ends badly.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        // Waiting would close it, and that is a call to stop as well: the node takes the second one for impatience.
        let _stdin = child.stdin.take();
        if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            kill_process(pid, Signal::TERM).context("the node cannot be asked to stop")?;
        }
        let status = tokio::time::timeout(START_MAX, child.wait()).await.context("the node does not stop")??;
        ensure!(status.success(), "the node ended badly: {status}");
        Ok(())
    }

    /// The operator's client.
    pub fn operator(&self) -> &Api {
        &self.operator
    }

    /// From now on everything that the operator hears is appended to `tap`.
    pub fn tap(&mut self, tap: &Tap) {
        self.operator = self.operator.clone().with_tap(tap.clone());
    }

    /// The operator's key.
    pub fn operator_keys(&self) -> &Keys {
        &self.operator_keys
    }

    /// The node at a glance.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn info(&self) -> Result<Value> {
        self.node("height lightning { nodeId listen usableChannels peers }").await
    }

    /// Fields of the node, for its operator.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn node(&self, fields: &str) -> Result<Value> {
        self.operator.ask("node", &format!("{{ node {{ {fields} }} }}"), json!({})).await
    }
}

fn log_file(dir: &Path) -> PathBuf {
    dir.join("log")
}
