//! `tally store`, with the real binary.

use anyhow::{Context, Result};
use base64::Engine as _;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};
use tally::demo::{LOOK, Platform, STEP_MAX};
use tallystick_app::port::operator::NodeOperator;
use tallystick_bitcoin::{RpcAuth, RpcConfig};
use tallystick_postgres::{PostgresOptions, connect};
use tallystick_testkit::Cluster;

use crate::driver::{Driver, End};
use crate::support::{BINARY, Theatre};

const PAYOUT_SAT: u64 = 20_000;

fn store(words: &[&str], env: &[(&str, &Path)]) -> Result<Output> {
    let mut command = Command::new(BINARY);
    command.arg("store").args(words).env_remove("SSL_CERT_FILE").envs(env.iter().copied());
    command.output().context("tally store")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// RFC 7468.
fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A chain source that nobody asks.
pub fn nowhere() -> RpcConfig {
    let auth = RpcAuth::UserPass { user: "u".to_owned(), password: "p".to_owned() };
    RpcConfig::new("http://127.0.0.1:1".to_owned(), auth)
}

/// Another machine's database is spoken to in secret, and only if its certificate is vouched for.
#[test]
fn a_database_over_tls() -> Result<()> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let cluster = Cluster::start_with_tls(
        &pem("CERTIFICATE", made.cert.der()),
        &pem("PRIVATE KEY", &made.signing_key.serialize_der()),
    );
    cluster.create("journal", &[]);
    let dir = tempfile::tempdir()?;
    let (right, wrong) = (dir.path().join("right.pem"), dir.path().join("wrong.pem"));
    fs::write(&right, pem("CERTIFICATE", made.cert.der()))?;
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    fs::write(&wrong, pem("CERTIFICATE", other.cert.der()))?;
    let url = |host: &str| {
        let port = cluster.port();
        format!("host={host} hostaddr=127.0.0.1 port={port} user=tallystick dbname=journal sslmode=require")
    };
    let node = Platform::init_on(Path::new(BINARY), dir.path(), &nowhere(), &url("localhost"))?;
    let place = node.dir().to_str().context("UTF-8")?;
    let refused = store(&["migrate", "--data-dir", place], &[("SSL_CERT_FILE", &wrong)])?;
    assert!(!refused.status.success() && told(&refused).to_lowercase().contains("certificate"), "{refused:?}");
    let migrated = store(&["migrate", "--data-dir", place], &[("SSL_CERT_FILE", &right)])?;
    assert!(migrated.status.success() && told(&migrated).contains("facts    0"), "{migrated:?}");
    // The name must be the certificate's as well.
    let config = node.dir().join("tally.toml");
    fs::write(&config, fs::read_to_string(&config)?.replace("host=localhost", "host=elsewhere"))?;
    let refused = store(&["status", "--data-dir", place], &[("SSL_CERT_FILE", &right)])?;
    assert!(!refused.status.success() && told(&refused).to_lowercase().contains("certificate"), "{refused:?}");
    Ok(())
}

/// A node with channels moves to a database, and goes on there; nobody starts it on the old files again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_moves_to_postgresql_with_its_channels() -> Result<()> {
    let mut theatre = Box::pin(Theatre::open(&[])).await?;
    let driver = Driver::new(&theatre.stage);
    Box::pin(driver.run(End::Paid, &[PAYOUT_SAT])).await?;
    let (before, channels) = (theatre.stage.purses().await?, theatre.channels().await?);
    let dir = theatre.stage.platform.dir().to_owned();
    let from = dir.to_str().context("UTF-8")?;
    let cluster = Cluster::start(&[]);
    let url = cluster.database();
    let copy = ["copy", "--from", from, "--to", &url];
    let running = store(&copy, &[])?;
    assert!(!running.status.success() && told(&running).contains("using this data directory"), "{running:?}");
    let status = store(&["status", "--data-dir", from], &[])?;
    assert!(status.status.success() && told(&status).starts_with("SQLite"), "{status:?}");

    theatre.stage.platform.stop().await?;
    let copied = store(&copy, &[])?;
    assert!(copied.status.success() && told(&copied).contains("verified on both sides"), "{copied:?}");
    assert!(told(&copied).contains("lightning_monitors"), "{copied:?}");
    // On the old files it does not start any more.
    theatre.stage.platform.spawn(&[])?;
    let start = Instant::now();
    while theatre.stage.platform.ended()?.is_none() {
        anyhow::ensure!(start.elapsed() < STEP_MAX, "a node that was moved runs on its old files");
        tokio::time::sleep(LOOK).await;
    }
    let config = dir.join("tally.toml");
    let text = fs::read_to_string(&config)?;
    let named = text.replace("# url = \"postgres://tally@db.example/journal\"", &format!("url = \"{url}\""));
    assert_ne!(named, text);
    fs::write(&config, named)?;
    theatre.stage.platform.start(&[]).await?;
    theatre.stage.until_usable().await?;
    assert_eq!(theatre.channels().await?, channels);
    assert_eq!(theatre.stage.purses().await?, before);
    Box::pin(driver.run(End::Paid, &[PAYOUT_SAT])).await?;
    let status = store(&["status", "--data-dir", from], &[])?;
    assert!(told(&status).starts_with("PostgreSQL") && told(&status).contains("lease    lightning"), "{status:?}");
    theatre.close().await
}

/// A replica of an older version leaves a database alone that a newer one has changed, whichever part it changed.
#[test]
fn a_database_of_a_newer_version_is_refused() -> Result<()> {
    let cluster = Cluster::start(&[]);
    let dir = tempfile::tempdir()?;
    let url = cluster.database();
    let node = Platform::init_on(Path::new(BINARY), dir.path(), &nowhere(), &url)?;
    let place = node.dir().to_str().context("UTF-8")?;
    let migrated = store(&["migrate", "--data-dir", place], &[])?;
    assert!(migrated.status.success(), "{migrated:?}");
    let runtime = tokio::runtime::Runtime::new()?;
    let execute = |sql: &str| {
        runtime.block_on(async {
            let client = connect(&PostgresOptions::try_new(&url)?).await?;
            anyhow::Ok(client.batch_execute(sql).await?)
        })
    };
    let parts = [
        ("UPDATE tallystick_schema SET version = version", "schema version 10"),
        ("UPDATE tallystick_parts SET version = version", "of leases"),
        ("UPDATE tallystick_parts SET version = version", "of lightning"),
    ];
    for (update, told_of) in parts {
        let only = told_of.strip_prefix("of ").map_or_else(String::new, |part| format!(" WHERE part = '{part}'"));
        execute(&format!("{update} + 1000{only}"))?;
        let passphrase = node.dir().join("passphrase");
        let serve = ["serve", "--data-dir", place, "--passphrase-file"];
        let served = Command::new(BINARY).args(serve).arg(&passphrase).output()?;
        let refused = told(&served);
        assert!(!served.status.success() && refused.contains(told_of), "{refused}");
        assert!(refused.contains("run a newer one"), "{refused}");
        execute(&format!("{update} - 1000{only}"))?;
    }
    Ok(())
}

/// A node that was stopped for longer than its lease lasts writes nothing when it wakes: it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_sleeps_through_its_lease_ends() -> Result<()> {
    let cluster = Cluster::start(&[]);
    let url = cluster.database();
    let mut theatre = Box::pin(Theatre::open_on_database(&url)).await?;
    // The one that sleeps keeps its port.
    let (rpc, elsewhere) = (theatre.stage.chain.rpc_config(), Some("127.0.0.1:0".parse()?));
    let mut other = theatre.stage.platform.replica("platform-2", &rpc, elsewhere)?;
    other.start(&[]).await?;
    let pid = theatre.stage.platform.pid().and_then(Pid::from_raw).context("the node runs")?;
    kill_process(pid, Signal::STOP)?;
    let up = async || Ok(other.info().await?["lightning"]["listen"][0].is_string());
    theatre.stage.until("the other has the node", up).await?;
    kill_process(pid, Signal::CONT)?;
    let woken = Instant::now();
    let status = loop {
        if let Some(status) = theatre.stage.platform.ended()? {
            break status;
        }
        // At once, on a machine that is not busy.
        anyhow::ensure!(woken.elapsed() < Duration::from_secs(20), "a node without its lease goes on");
        tokio::time::sleep(LOOK).await;
    };
    assert_eq!(status.code(), Some(75), "{status}");
    // Peers held on to the one that slept. They go where the other listens.
    let stage = &theatre.stage;
    let node = other.info().await?["lightning"].clone();
    let (id, address) = (node["nodeId"].as_str().context("text")?, node["listen"][0].as_str().context("text")?);
    for actor in [&stage.requester, &stage.worker] {
        let party = actor.party.node().await?;
        stage.until("the party is there", async || Ok(party.connect(id, address).await.is_ok())).await?;
    }
    let both = async || Ok(other.info().await?["lightning"]["usableChannels"] == 2);
    stage.until("the other has both channels", both).await?;
    // The channels were not harmed by it.
    let driver = Driver::new(&theatre.stage).at(&other.url())?;
    Box::pin(driver.run(End::Paid, &[PAYOUT_SAT])).await?;
    other.stop().await?;
    theatre.close().await
}
