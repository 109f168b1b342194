//! `tally hammer` against a real node, and against a server that lies.

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    future::pending,
    path::Path,
    process::{Output, Stdio},
};
use tally::{
    cli::{HammerArgs, Trust},
    demo::{Platform, STEP_MAX},
    hammer::{Report, Violation, hammer},
};
use tallystick_core::Coded;
use tallystick_devnet::RegtestChain;
use tallystick_log::{KeyKind, KeyName, SigningKey, VerifierKey};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};

use crate::{
    liar::{Liar, Lie},
    support::{BINARY, name_public_url},
};

/// For how many seconds the node is loaded, if `TALLY_HAMMER_SECS` says nothing else.
const SECS: u64 = 3;

/// A node without channels: tasks are posted and cancelled, and nothing is paid.
struct Node {
    platform: Platform,
    log: VerifierKey,
    _chain: RegtestChain,
    dir: TempDir,
}

impl Node {
    async fn start(public_url: Option<&str>) -> Result<Self> {
        let (dir, chain) = (tempfile::tempdir()?, RegtestChain::start().await?);
        let mut platform = Platform::init(Path::new(BINARY), dir.path(), &chain.rpc_config())?;
        if let Some(url) = public_url {
            name_public_url(&platform, url)?;
        }
        platform.start(&[]).await.with_context(|| Platform::last_words(dir.path()))?;
        let log = fs::read_to_string(platform.log_file())?;
        let vkey =
            log.split_once("vkey=\"").and_then(|(_, rest)| rest.split_once('"')).context("the node tells its key")?;
        let log = VerifierKey::parse(vkey.0)?;
        Ok(Self { platform, log, _chain: chain, dir })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(["hammer", "--url", &self.platform.url(), "--log", &self.log.to_vkey()]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn hammer(&self, args: &[&str]) -> Result<Output> {
        Ok(self.command(args).spawn()?.wait_with_output().await?)
    }

    async fn stop(mut self) -> Result<()> {
        self.platform.stop().await.with_context(|| Platform::last_words(self.dir.path()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_keeps_its_promises_under_load() -> Result<()> {
    let node = Node::start(None).await?;
    let secs = std::env::var("TALLY_HAMMER_SECS").unwrap_or_else(|_| SECS.to_string());
    let done = node.hammer(&["--secs", &secs, "--proofs", "50"]).await?;
    let (report, progress) = (String::from_utf8(done.stdout)?, String::from_utf8(done.stderr)?);
    ensure!(done.status.success(), "{report}{progress}");
    println!("{report}");
    assert!(progress.contains("requests answered"), "{progress}");
    for line in
        ["requests ", "answers ", "refused ", "sent twice ", "tasks ", "log ", "log lag ", "proofs ", "no violation"]
    {
        assert!(report.contains(line), "{line}: {report}");
    }

    // The node has no witnesses: whoever asks for one is told that it has not cosigned.
    let witness = SigningKey::try_from_seed(KeyName::try_new("w.example/1")?, KeyKind::Cosignature, &[5; 32])?;
    let refused = node.hammer(&["--tasks", "1", "--witness", &witness.verifier().to_vkey()]).await?;
    let why = String::from_utf8(refused.stderr)?;
    assert!(!refused.status.success() && why.contains("(hammer.checkpoint)"), "{why}");
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_interrupted_checks_what_it_wrote() -> Result<()> {
    let node = Node::start(None).await?;
    let mut running = node.command(&["--secs", "3600"]).spawn()?;
    let mut progress = BufReader::new(running.stderr.take().context("it tells its progress")?).lines();
    while let Some(line) = progress.next_line().await? {
        // "0 requests answered" comes first.
        if line.contains("requests answered") && !line.starts_with("0 ") {
            break;
        }
    }
    interrupt(&running)?;
    while progress.next_line().await?.is_some() {}
    let done = running.wait_with_output().await?;
    let report = String::from_utf8(done.stdout)?;
    assert!(done.status.success() && report.contains("no violation"), "{report}");
    node.stop().await
}

fn interrupt(child: &Child) -> Result<()> {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).context("it runs")?;
    Ok(kill_process(pid, Signal::INT)?)
}

/// As many tasks as are posted, the one that closes a run included.
const TASKS: usize = 25;

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_promise_is_named() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/graphql", listener.local_addr()?);
    let node = Node::start(Some(&url)).await?;
    let liar = Liar::start(&node.platform.url(), listener)?;

    // What is only passed on is fine, so that what is found below is the lie.
    let report = load(&liar, &node.log, Lie::None).await?;
    assert_eq!((report.posted, report.cancelled), (TASKS, 6), "{report}");
    // And the fact that founded the node's roles, unless it was published before the run began.
    assert!([31, 32].contains(&report.entries), "{report}");
    assert_eq!((report.repeated, report.answered), (5, 31), "{report}");
    assert!(report.proven >= 20, "{report}");
    for (lie, key, code) in [
        (Lie::Forked, liar.key(), "hammer.not_extended"),
        (Lie::Entry, &node.log, "hammer.entry"),
        (Lie::NoEntries, &node.log, "hammer.missing"),
        (Lie::NotLogged, &node.log, "hammer.not_logged"),
        (Lie::Back, &node.log, "hammer.went_back"),
        (Lie::Tile, &node.log, "hammer.tiles"),
        (Lie::Terms, &node.log, "hammer.reply"),
        (Lie::Changed, &node.log, "hammer.twice"),
        (Lie::Proof, &node.log, "hammer.proof"),
        (Lie::None, liar.key(), "hammer.checkpoint"),
    ] {
        liar.tell(lie);
        let error = load(&liar, key, lie).await.map(|report| report.to_string()).expect_err(code);
        let violation = error.downcast_ref::<Violation>().with_context(|| format!("{lie:?}: {error:#}"))?;
        assert_eq!(violation.code().0, code, "{lie:?}: {violation}");
    }
    node.stop().await
}

async fn load(liar: &Liar, log: &VerifierKey, lie: Lie) -> Result<Report> {
    // What goes back must have come forward first: tasks are posted until it has.
    let (secs, tasks) = if lie == Lie::Back { (Some(STEP_MAX.as_secs()), None) } else { (None, Some(TASKS as u64)) };
    // Only this lie is found by waiting in vain.
    let settle_secs = if lie == Lie::NotLogged { 3 } else { STEP_MAX.as_secs() };
    let trust = Trust { witnesses: Vec::new(), witnesses_needed: None };
    let (url, log) = (liar.url.clone(), log.clone());
    let args = HammerArgs { url, insecure: false, log, trust, clients: 4, secs, tasks, proofs: 25, settle_secs };
    Box::pin(hammer(&args, pending(), &mut |_| {})).await
}
