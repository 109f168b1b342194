//! A real Bitcoin Core on regtest, as a process of its own.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tallystick_bitcoin::{RpcAuth, RpcClient, RpcConfig, RpcError};

use crate::ports::free_port;

/// The environment variable that names the program.
pub const BITCOIND_ENV: &str = "TALLY_BITCOIND";

const PROGRAM: &str = "bitcoind";
/// Starting takes about a second on an idle machine; many nodes may start at once.
const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Between choosing a free port and listening on it somebody else may take it.
const PORTS_TRIED_MAX: u32 = 5;
/// How much of what the process said goes into an error, in bytes.
const WORDS_MAX: usize = 2_000;

/// Bitcoin Core could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BitcoindError {
    /// No program.
    #[error(
        "there is no bitcoind: neither does {BITCOIND_ENV} name one, nor is one on the PATH. `make bitcoind` builds \
         it, once, and prints where it is; `make test` does both"
    )]
    Absent,
    /// What the environment names is not there.
    #[error("{BITCOIND_ENV} names {0}, where there is no file; `make bitcoind` builds one and prints where it is")]
    Misnamed(PathBuf),
    /// No directory, no port or no process.
    #[error("bitcoind cannot be started: {0}")]
    Io(#[from] std::io::Error),
    /// No client.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// It ended instead of answering.
    #[error("bitcoind ended by itself ({status}): {words}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        words: String,
    },
    /// It did not answer in time.
    #[error("bitcoind does not answer after {} s: {words}", START_MAX.as_secs())]
    Silent {
        /// The end of what it said.
        words: String,
    },
}

/// A running `bitcoind -regtest` with its own directory and no peers, wallet or blocks. It is killed when this is
/// dropped, and its directory goes with it.
#[derive(Debug)]
pub struct Bitcoind {
    process: Process,
    config: RpcConfig,
    // After the process, which writes into it.
    dir: tempfile::TempDir,
}

/// A process that does not outlive this.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended and was waited for already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Bitcoind {
    /// Finds the program: the one that the environment names ([`BITCOIND_ENV`]), else the one on the `PATH`.
    ///
    /// # Errors
    /// [`BitcoindError::Absent`], [`BitcoindError::Misnamed`].
    pub fn find() -> Result<PathBuf, BitcoindError> {
        find_in(std::env::var_os(BITCOIND_ENV), &std::env::var_os("PATH").unwrap_or_default())
    }

    /// Starts `program` on a free port of 127.0.0.1 and waits until it answers.
    ///
    /// # Errors
    /// [`BitcoindError`].
    pub async fn start(program: &Path) -> Result<Self, BitcoindError> {
        let mut tried = 1;
        loop {
            match Self::start_once(program).await {
                Err(BitcoindError::Ended { .. }) if tried < PORTS_TRIED_MAX => tried += 1,
                outcome => return outcome,
            }
        }
    }

    async fn start_once(program: &Path) -> Result<Self, BitcoindError> {
        let dir = tempfile::Builder::new().prefix("tally-bitcoind-").tempdir()?;
        let port = free_port()?.port();
        let words = dir.path().join("words");
        let output = File::create(&words)?;
        let mut data_dir = OsString::from("-datadir=");
        data_dir.push(dir.path());
        let child = Command::new(program)
            .arg(data_dir)
            .arg(format!("-rpcport={port}"))
            .args(["-regtest", "-server", "-txindex", "-rpcbind=127.0.0.1", "-rpcallowip=127.0.0.1"])
            .args(["-disablewallet", "-persistmempool=0", "-par=1", "-dbcache=16"])
            // No network: it neither listens nor looks for anybody.
            .args(["-listen=0", "-connect=0", "-dnsseed=0", "-fixedseeds=0", "-natpmp=0"])
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .spawn()?;
        let cookie = dir.path().join("regtest").join(".cookie");
        let config = RpcConfig::new(format!("http://127.0.0.1:{port}"), RpcAuth::CookieFile(cookie.clone()));
        let mut node = Self { process: Process(child), config, dir };
        node.until_ready(&cookie, &words).await?;
        Ok(node)
    }

    /// Waits until a call is answered. The cookie is this process's own, so that nobody else can answer for it.
    async fn until_ready(&mut self, cookie: &Path, words: &Path) -> Result<(), BitcoindError> {
        let rpc = RpcClient::try_new(self.config.clone())?;
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.0.try_wait()? {
                return Err(BitcoindError::Ended { status, words: last_words(words) });
            }
            // While it warms up it answers with an error.
            if cookie.is_file() && rpc.call::<Value>("getblockcount", json!([])).await.is_ok() {
                return Ok(());
            }
            if begun.elapsed() > START_MAX {
                return Err(BitcoindError::Silent { words: last_words(words) });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// How a client reaches it.
    #[must_use]
    pub fn rpc_config(&self) -> RpcConfig {
        self.config.clone()
    }

    /// Where it keeps everything, until this is dropped.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Asks it to stop and waits until it has. After half a minute it is killed.
    pub async fn stop(mut self) {
        if let Ok(rpc) = RpcClient::try_new(self.config.clone())
            && rpc.call::<Value>("stop", json!([])).await.is_ok()
        {
            let begun = Instant::now();
            while matches!(self.process.0.try_wait(), Ok(None)) && begun.elapsed() < STOP_MAX {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }
}

fn find_in(named: Option<OsString>, path: &OsStr) -> Result<PathBuf, BitcoindError> {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        return if named.is_file() { Ok(named) } else { Err(BitcoindError::Misnamed(named)) };
    }
    let found = std::env::split_paths(path).map(|dir| dir.join(PROGRAM)).find(|program| program.is_file());
    found.ok_or(BitcoindError::Absent)
}

fn last_words(path: &Path) -> String {
    let words = fs::read(path).unwrap_or_default();
    let from = words.len().saturating_sub(WORDS_MAX);
    String::from_utf8_lossy(&words[from..]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_comes_before_the_path() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let path = std::env::join_paths(dirs.iter().map(tempfile::TempDir::path)).unwrap();
        let absent = find_in(None, &path).unwrap_err();
        assert!(absent.to_string().contains("make bitcoind"), "{absent}");
        let misnamed = find_in(Some("/nowhere/bitcoind".into()), &path).unwrap_err();
        assert!(misnamed.to_string().contains("/nowhere/bitcoind"), "{misnamed}");
        let (named, on_path) = (dirs[0].path().join("other"), dirs[1].path().join(PROGRAM));
        fs::write(&named, "").unwrap();
        fs::write(&on_path, "").unwrap();
        assert_eq!(find_in(None, &path).unwrap(), on_path);
        assert_eq!(find_in(Some(OsString::new()), &path).unwrap(), on_path);
        assert_eq!(find_in(Some(named.clone().into()), &path).unwrap(), named);
    }

    #[tokio::test]
    async fn a_program_that_ends_is_told_apart_from_one_that_is_slow() {
        let error = Bitcoind::start(Path::new("/bin/false")).await.unwrap_err();
        assert!(matches!(error, BitcoindError::Ended { status, .. } if !status.success()), "{error}");
    }

    #[tokio::test]
    async fn a_panic_takes_the_process_and_its_directory_along() {
        let node = Bitcoind::start(&Bitcoind::find().unwrap()).await.unwrap();
        let (rpc, dir) = (RpcClient::try_new(node.rpc_config()).unwrap(), node.dir().to_owned());
        let info: Value = rpc.call("getnetworkinfo", json!([])).await.unwrap();
        let name = info["subversion"].as_str().unwrap();
        assert!(name.starts_with("/Satoshi:") && !name.contains("devnet"), "{name} is not Bitcoin Core");
        let panicked = tokio::spawn(async move {
            let _node = node;
            panic!("on purpose");
        });
        assert!(panicked.await.unwrap_err().is_panic());
        let error = rpc.call::<Value>("getblockcount", json!([])).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert!(!dir.exists(), "{} is left behind", dir.display());
    }
}
