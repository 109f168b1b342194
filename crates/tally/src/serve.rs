//! `tally serve`: wires the parts and runs until it is told to stop.

use anyhow::{Context, Result, anyhow, bail};
use std::{future::IntoFuture, sync::Arc};
use tallystick_app::{
    App, Parts, SystemClock, Workers,
    port::{journal::Journal, rail::HoldRail},
};
use tallystick_bitcoin::RpcClient;
use tallystick_graphql::{EdgeConfig, router};
use tallystick_lightning::{LightningConfig, LightningNode};
use tallystick_store::SqliteStore;
use tokio::{net::TcpListener, signal::unix};
use tracing_subscriber::EnvFilter;

use crate::{
    cli::{LogFormat, Serve},
    config::Config,
    init::lightning_dir,
    secret,
};

/// How many of the newest facts are checked before the node starts.
const FACTS_CHECKED: u64 = 1_000;

/// Runs the node until SIGINT or SIGTERM.
///
/// # Errors
/// If a part cannot start, or the Lightning node can no longer write its state.
pub async fn run(args: Serve) -> Result<()> {
    log_to_stderr(args.log_format);
    let config = Config::read(&args.data_dir)?;
    let passphrase = secret::passphrase(args.passphrase_file.as_deref(), false)?;
    let store = SqliteStore::open(config.data_dir.join("journal.sqlite"))?;
    store.verify_tail(FACTS_CHECKED).await?;

    let rpc = RpcClient::try_new(config.bitcoin.rpc(&config.data_dir)?)?;
    let mut lightning = LightningConfig::new(lightning_dir(&config.data_dir), config.network, rpc);
    lightning.listen.clone_from(&config.lightning.listen);
    lightning.announce.clone_from(&config.lightning.announce);
    lightning.alias.clone_from(&config.lightning.alias);
    lightning.forward = config.lightning.forward;
    let sealed = LightningNode::open(lightning, &passphrase).await?;
    drop(passphrase);

    let crash = Crash::default();
    let app = App::new(Parts {
        journal: crash.journal(Arc::new(store.clone())),
        tasks: Arc::new(store.clone()),
        clock: Arc::new(SystemClock),
        key: sealed.node_key(),
        policy: config.policy.policy()?,
    });
    let node = Arc::new(sealed.start(Arc::new(app.clone())).await?);
    app.connect(crash.rail(node.clone()), node.clone());
    let workers = Workers::start(&app);

    let listener =
        TcpListener::bind(config.api.listen).await.with_context(|| format!("[api] {}", config.api.listen))?;
    let address = listener.local_addr()?;
    let mut public_urls = config.api.public_urls.clone();
    if public_urls.is_empty() {
        public_urls.push(format!("http://{address}/graphql"));
    }
    tracing::info!(%address, node_id = %node.node_id(), height = app.height().0, "the node is up");
    let mut edge = EdgeConfig::new(public_urls);
    edge.operators.clone_from(&config.api.operators);
    let server = axum::serve(listener, router(edge, app.clone(), node.clone())).into_future();
    let outcome = tokio::select! {
        result = server => result.context("the API stopped"),
        signal = stop_signal() => signal,
        () = node.failed() => Err(anyhow!("the Lightning node's database failed; nothing leaves the node any more")),
    };
    tracing::info!("stopping");
    workers.stop().await;
    node.shutdown().await;
    store.close().await;
    outcome
}

async fn stop_signal() -> Result<()> {
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => Ok(result?),
        Some(()) = terminate.recv() => Ok(()),
        else => bail!("signals cannot be heard"),
    }
}

fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_env("TALLY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}

/// Crash points where the harness wants them, and nothing at all in a release.
#[derive(Default)]
struct Crash {
    #[cfg(feature = "crash-points")]
    points: std::sync::OnceLock<crate::crash::CrashPoints>,
}

impl Crash {
    #[cfg(feature = "crash-points")]
    fn points(&self) -> crate::crash::CrashPoints {
        self.points.get_or_init(crate::crash::CrashPoints::from_env).clone()
    }

    #[cfg(feature = "crash-points")]
    fn journal(&self, journal: Arc<dyn Journal>) -> Arc<dyn Journal> {
        Arc::new(crate::crash::CrashingJournal::new(journal, self.points()))
    }

    #[cfg(feature = "crash-points")]
    fn rail(&self, rail: Arc<dyn HoldRail>) -> Arc<dyn HoldRail> {
        Arc::new(crate::crash::CrashingRail::new(rail, self.points()))
    }

    #[cfg(not(feature = "crash-points"))]
    fn journal(&self, journal: Arc<dyn Journal>) -> Arc<dyn Journal> {
        journal
    }

    #[cfg(not(feature = "crash-points"))]
    fn rail(&self, rail: Arc<dyn HoldRail>) -> Arc<dyn HoldRail> {
        rail
    }
}
