//! `tally serve`: wires the parts and runs until it is told to stop.

use anyhow::{Context, Result, anyhow};
use std::{
    env::VarError,
    io::{IsTerminal, Read},
    sync::Arc,
};
use tallystick_app::{App, Parts, SystemClock, WorkerHandle, log::LogWorker, vault::Vault};
use tallystick_bitcoin::RpcClient;
use tallystick_graphql::{EdgeConfig, ServeLimits, router};
use tallystick_lightning::{BlockHashes, INBOUND_MAX, LightningConfig, LightningNode, PEERS_MAX};
use tallystick_log::SigningKey;
use tokio::{net::TcpListener, sync::oneshot};
use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

use crate::{
    cli::{LogFormat, Serve},
    config::Config,
    descriptors, disk,
    entrance::Front,
    init::lightning_dir,
    mark::Mark,
    owner::{Crash, Owner, Replica},
    published, secret,
    signal::StopSignals,
    store::{JOURNAL, NodeStore},
    vault::keeper,
};

/// How many of the newest facts are checked before the node starts.
const FACTS_CHECKED: u64 = 1_000;
/// What is logged, in the syntax of `tracing_subscriber::EnvFilter`.
const LOG_VAR: &str = "TALLY_LOG";
/// How a process ends that was interrupted: 128 and SIGINT's number.
const INTERRUPTED: i32 = 130;

/// Runs the node until SIGINT or SIGTERM. A second signal ends the process at once.
///
/// # Errors
/// If a part cannot start, or the node cannot go on: its journal or the Lightning node's database takes no more writes,
/// or one of its workers broke off. Whoever watches the process should start it again.
pub async fn run(args: Serve) -> Result<()> {
    log_to_stderr(args.log_format)?;
    let config = Config::read(&args.data_dir)?;
    let passphrase = secret::passphrase(args.passphrase_file.as_deref(), false)?;
    let listener = listen(&config).await?;
    let store = NodeStore::open(&config).await?;
    let outcome = Box::pin(run_with(&store, &config, args.until_stdin_closes, passphrase, listener)).await;
    // After a refused start as well: whoever puts another journal in its place must find no write-ahead log beside it.
    store.close().await;
    outcome
}

/// Listens, before anything is touched. Where a node is on this directory already, that is told, and not which port it has.
async fn listen(config: &Config) -> Result<TcpListener> {
    let refused = match TcpListener::bind(config.api.listen).await {
        Ok(listener) => return Ok(listener),
        Err(refused) => refused,
    };
    if config.data_dir.join(JOURNAL).exists() {
        NodeStore::open(config).await?.close().await;
    }
    Err(refused).with_context(|| format!("[api] {}", config.api.listen))
}

/// Runs the node on a store that is open.
async fn run_with(
    store: &NodeStore,
    config: &Config,
    until_stdin_closes: bool,
    passphrase: Zeroizing<String>,
    listener: TcpListener,
) -> Result<()> {
    let address = listener.local_addr()?;
    let mut edge = EdgeConfig::new(config.api.signed_urls(address));
    edge.rates = config.api.rates.limits()?;
    edge.trusted_proxies.clone_from(&config.api.trusted_proxies);
    if config.api.hides_addresses() {
        tracing::warn!(
            "[api] listens on this machine alone and has public_urls: name the proxy before it in trusted_proxies, or no \
             client is held to the rates"
        );
    }
    descriptors::make_room(connections_max(config, &edge))?;
    Box::pin(run_on(store, (config, until_stdin_closes), passphrase, listener, edge)).await
}

/// What keeps the log. It publishes nothing that does not go on from what this node is known to have published.
fn log_worker(config: &Config, key: SigningKey, store: &NodeStore) -> Result<LogWorker> {
    let log = config.log.worker(key, store.journal(), store.log())?;
    Ok(match published::read(&config.data_dir)? {
        Some(kept) => log.going_on_from(published::BY, kept.unverified().clone()),
        None => log,
    })
}

/// The same with all that its edge needs.
async fn run_on(
    store: &NodeStore,
    (config, until_stdin_closes): (&Config, bool),
    passphrase: Zeroizing<String>,
    listener: TcpListener,
    edge: EdgeConfig,
) -> Result<()> {
    let address = listener.local_addr()?;
    store.verify_tail(FACTS_CHECKED).await?;
    let sealed = LightningNode::open(lightning_config(config)?, &passphrase).await?;
    drop(passphrase);
    let crash = Crash::default();
    let app = App::new(Parts {
        journal: crash.journal(store.journal()),
        log: store.log(),
        tasks: store.tasks(),
        clock: Arc::new(SystemClock),
        key: sealed.node_key(),
        policy: config.policy.policy()?,
    });
    let rpc = RpcClient::try_new(config.bitcoin.rpc(&config.data_dir)?)?;
    app.read_blocks_with(Arc::new(BlockHashes::new(rpc)));
    if let Some(limits) = config.standing.enforced()? {
        app.limit_open(limits);
    }
    // Before anything is written.
    let mark = Arc::new(Mark::open(&config.data_dir, store.clone(), app.clone()).await?);
    store.refresh(&app).await?;
    let evidence = crash.evidence(store.evidence());
    let vault = Vault::new(app.clone(), evidence, Arc::new(app.clone()), config.evidence.retention());
    let log_key = config.log.key(app.key(), &sealed.log_seed())?;
    let log_vkey = log_key.verifier().clone();
    tracing::info!(vkey = log_vkey.to_vkey(), "the log");
    let log = log_worker(config, log_key, store)?;
    let owner = Owner::new(app.clone(), crash, sealed.info(), (log, config.log.patience()), config, Arc::clone(&mark));
    let replica = match store {
        NodeStore::Sqlite(_) => {
            owner.start(sealed).await?;
            None
        }
        NodeStore::Postgres(store, options) => {
            Some(Box::pin(Replica::open(config, &app, sealed, (store, options))).await?)
        }
    };
    tracing::info!(%address, height = app.height().0, "the node is up");
    tokio::spawn(crate::standing::read(app.clone()));
    // Until here a signal simply ends the process, as any crash would.
    let mut signals = StopSignals::listen()?;
    let (api_running, api_stopping) = oneshot::channel::<()>();
    let api_stopping = async move { drop(api_stopping.await) };
    let log = tallystick_log_edge::router(store.public_log()?, log_vkey);
    let router = router(edge, app.clone(), vault.clone(), owner.operator()).merge(log);
    let mut api = tokio::spawn(tallystick_graphql::serve(listener, router, api_stopping, ServeLimits::default()));
    app.look_at(Arc::new(Front::new(config.api.looked_at(address))));
    let (follower, waiting) = replica.map(Replica::split).unzip();
    let outcome = tokio::select! {
        ended = &mut api => Err(anyhow!("the API stopped: {ended:?}")),
        never = disk::watch(&app, config.data_dir.clone()) => match never {},
        () = told_to_stop(&mut signals, until_stdin_closes) => Ok(()),
        error = Box::pin(owner.work(waiting, keeper(&vault))) => Err(error),
        error = mark.watch() => Err(error),
        () = store.failed() => Err(anyhow!("the journal takes no more writes")),
        () = failed(follower.as_ref()) => Err(anyhow!("the journal is not followed any more: subscribers would hear nothing")),
    };
    tracing::info!("stopping");
    tokio::spawn(exit_when_told_again(signals));
    drop(api_running);
    if !api.is_finished() && api.await.is_err() {
        tracing::error!("the API did not stop in order");
    }
    owner.stop().await;
    if let Some(follower) = follower {
        follower.stop().await;
    }
    mark.close().await;
    outcome
}

/// Waits until the workers fail, if there are any.
async fn failed(workers: Option<&WorkerHandle>) {
    match workers {
        Some(workers) => workers.failed().await,
        None => std::future::pending().await,
    }
}

/// What the Lightning node is started with.
pub(crate) fn lightning_config(config: &Config) -> Result<LightningConfig> {
    let rpc = RpcClient::try_new(config.bitcoin.rpc(&config.data_dir)?)?;
    let mut lightning = LightningConfig::new(lightning_dir(&config.data_dir), config.network, rpc);
    lightning.listen.clone_from(&config.lightning.listen);
    lightning.announce.clone_from(&config.lightning.announce);
    lightning.alias.clone_from(&config.lightning.alias);
    lightning.forward = config.lightning.forward;
    Ok(lightning)
}

/// All connections that others can make the node have at once.
fn connections_max(config: &Config, edge: &EdgeConfig) -> usize {
    let clients = ServeLimits::default().connections_max + edge.websockets_max;
    clients + PEERS_MAX + config.lightning.listen.len() * INBOUND_MAX
}

/// Waits for a signal or, if wanted, for the end of the standard input.
async fn told_to_stop(signals: &mut StopSignals, or_stdin_closes: bool) {
    if !or_stdin_closes {
        return signals.heard().await;
    }
    let closed = stdin_closes();
    tokio::select! {
        () = signals.heard() => {}
        _ = closed => {}
    }
}

/// However far the orderly stop has come: what is killed loses nothing either.
pub(crate) async fn exit_when_told_again(mut signals: StopSignals) {
    signals.heard().await;
    std::process::exit(INTERRUPTED);
}

/// Reads the standard input to its end on a thread of its own: tokio's would keep the runtime from ending.
fn stdin_closes() -> oneshot::Receiver<()> {
    let (closed, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut heard = [0; 64];
        while !matches!(input.read(&mut heard), Ok(0) | Err(_)) {}
        // Nobody listens any more if the node is stopping already.
        let _ = closed.send(());
    });
    receiver
}

/// Begins to log.
///
/// # Errors
/// If `TALLY_LOG` is no filter.
pub(crate) fn log_to_stderr(format: LogFormat) -> Result<()> {
    let filter = match std::env::var(LOG_VAR) {
        Ok(text) => EnvFilter::try_new(&text).with_context(|| format!("{LOG_VAR} is no filter: {text}"))?,
        Err(VarError::NotPresent) => EnvFilter::new("info"),
        Err(error) => return Err(error).context(LOG_VAR),
    };
    // Colours are for eyes; in a file they would be in the way.
    let colours = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}
