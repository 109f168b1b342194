//! The one process that has the Lightning node: the node, the outbox and the timers.

use anyhow::{Error, Result, anyhow, ensure};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tallystick_app::{
    App, WorkerHandle, Workers,
    anchor::AnchorWorker,
    log::{LogWorker, TreeError},
    port::{
        evidence::EvidenceStore,
        journal::Journal,
        operator::{NodeInfo, NodeOperator},
        rail::HoldRail,
    },
    vault::VaultKeeper,
};
use tallystick_bitcoin::RpcClient;
use tallystick_core::{Coded, NostrKey};
use tallystick_lightning::{Database, LightningNode, OpenedNode};
use tallystick_postgres::{Note, PostgresOptions};
use tallystick_store::PostgresStore;

use crate::{
    alive::{self, Alive, Place},
    anchor::Anchoring,
    config::Config,
    log::Patience,
    mark::Mark,
    replica::{Keeper, Waiting},
    standby::{Door, follow_height},
};

/// How often a replica without the node looks for a new block: as often as the node would.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);
const LOOK_REGTEST: std::time::Duration = std::time::Duration::from_millis(100);

/// How long one question to all witnesses may take at a start.
const WITNESS_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(15);
/// The pause before they are asked again; it doubles up to the second.
const WITNESS_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);
const WITNESS_PAUSE_MAX: std::time::Duration = std::time::Duration::from_secs(30);
const MUST_NOT_GO_ON: &str = "the journal's log must not go on (log.rollback)";

/// What runs where the Lightning node is, from the moment that it is.
pub struct Owner {
    app: App,
    crash: Crash,
    door: Arc<Door>,
    running: OnceLock<Running>,
    log: tokio::sync::Mutex<LogWorker>,
    patience: Patience,
    anchors: Option<Anchoring>,
    founders: BTreeSet<NostrKey>,
    mark: Arc<Mark>,
    keeper: Mutex<Option<Keeper>>,
}

struct Running {
    node: Arc<LightningNode>,
    workers: WorkerHandle,
    alive: Alive,
}

/// What waits for its turn.
pub struct Turn {
    sealed: OpenedNode,
    waiting: Waiting,
    options: PostgresOptions,
    rpc: RpcClient,
    network: bitcoin::Network,
}

/// A process on a database that it shares.
pub struct Replica {
    follower: WorkerHandle,
    turn: Turn,
}

impl Replica {
    /// Makes everything ready that a replica without the node needs: the same key as the others, invoices, the facts
    /// that others write.
    ///
    /// # Errors
    /// If the database does not answer, or belongs to a node with another seed.
    pub async fn open(
        config: &Config,
        app: &App,
        sealed: OpenedNode,
        (store, options): (&PostgresStore, &PostgresOptions),
    ) -> Result<Self> {
        store.claim_key(app.key()).await?;
        app.read_invoices_with(Arc::new(sealed.paid_reader(options).await?));
        let follower = Workers::follow(app, Arc::new(store.heads()?)).await?;
        let waiting = Waiting::open(options.clone(), config.store.lease()).await?;
        let rpc = RpcClient::try_new(config.bitcoin.rpc(&config.data_dir)?)?;
        let turn = Turn { sealed, waiting, options: options.clone(), rpc, network: config.network };
        Ok(Self { follower, turn })
    }

    /// What tells of facts, and what waits for the node.
    pub fn split(self) -> (WorkerHandle, Turn) {
        (self.follower, self.turn)
    }
}

impl Owner {
    /// Without a node yet; `known` is what is told of it meanwhile. `log` runs where the node does, and so does
    /// anchoring, if it is wanted. The first start makes the configuration's operators the node's first admins.
    pub fn new(
        app: App,
        crash: Crash,
        known: NodeInfo,
        (log, patience): (LogWorker, Patience),
        config: &Config,
        mark: Arc<Mark>,
    ) -> Self {
        let door = Arc::new(Door::new(app.clone(), known));
        let (running, log, keeper) = (OnceLock::new(), tokio::sync::Mutex::new(log), Mutex::default());
        let (anchors, founders) = (config.anchoring(), config.api.operators.clone());
        Self { app, crash, door, running, log, patience, anchors, founders, mark, keeper }
    }

    /// The operator's side of the node, wherever that runs.
    pub fn operator(&self) -> Arc<dyn NodeOperator> {
        Arc::clone(&self.door) as _
    }

    /// Starts the node of a process that is alone: it connects its rail, and starts outbox and timers.
    ///
    /// # Errors
    /// If the journal was put back to an older state, or the node does not start.
    pub async fn start(&self, sealed: OpenedNode) -> Result<()> {
        self.start_in(sealed, None, Place::File(self.mark.dir().join(alive::FILE))).await
    }

    /// Starts the node, connects its rail, and starts outbox and timers. `epoch` is the lease's token, if there is one.
    async fn start_in(&self, sealed: OpenedNode, epoch: Option<u64>, place: Place) -> Result<()> {
        self.look_back().await?;
        let alive = Alive::new(place, self.app.clone());
        // Before the node tells what it has to tell, which makes newer facts.
        let last_there = alive.begin(self.mark.newest_at().await?).await?;
        let node = Arc::new(sealed.start(Arc::new(self.app.clone())).await?);
        self.app.connect(self.crash.rail(node.clone()), node.clone());
        // Before any timer runs: nobody answers for what our absence kept them from.
        self.app.attend_from(last_there).await?;
        self.app.found_roles(&self.founders).await?;
        let workers = match epoch {
            None => Workers::start(&self.app),
            Some(epoch) => Workers::start_in_epoch(&self.app, epoch),
        };
        self.door.open(node.clone());
        tracing::info!(node_id = %node.node_id(), height = self.app.height().0, "the Lightning node is up");
        // It is started once.
        let _ = self.running.set(Running { node, workers, alive });
        Ok(())
    }

    /// Whether the journal is older than it was, by what this process knows and by what witnesses have seen. Channels that
    /// went back with it must not be opened, so witnesses that are silent are waited for. Not for ever: contracts in the
    /// channels end at their heights, and whether they are at more risk than by a journal that was put back only the
    /// operator can know (ADR 16).
    async fn look_back(&self) -> Result<()> {
        self.mark.look_at_start().await?;
        let mut log = self.log.lock().await;
        let (start, mut pause) = (std::time::Instant::now(), WITNESS_PAUSE);
        loop {
            match tokio::time::timeout(WITNESS_TIME_MAX, log.run_once()).await {
                Ok(Err(error)) if error.is_rollback() => return Err(anyhow!(error).context(MUST_NOT_GO_ON)),
                // Damage keeps no money; from here on nothing new is begun. The log's worker finds it once more and tells other replicas.
                Ok(Err(error)) if error.is_final() => {
                    self.begin_nothing(&error);
                    return Ok(());
                }
                // Of an empty journal there is nothing to ask.
                Ok(Ok(true)) => return Ok(()),
                // Whatever else is wrong is told when it is tried again.
                _ if log.is_newest() => return Ok(()),
                _ => {}
            }
            let left = self.patience.wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                return self.goes_on_unseen();
            }
            tracing::warn!(
                left_s = left.as_secs(),
                "too few witnesses tell whether they have seen more than this journal holds: the channels stay closed, \
                 and they are asked again"
            );
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(WITNESS_PAUSE_MAX);
        }
    }

    /// What becomes of a start whose witnesses stayed silent.
    fn goes_on_unseen(&self) -> Result<()> {
        ensure!(
            self.patience.goes_on,
            "too few witnesses answered in {} s, and they may have seen more than this journal holds: the channels stay \
             closed. Mend the network or the witnesses, and start again. If money in the channels cannot wait, and this \
             directory was never put back to an older state, start_without_witnesses = true in [log] opens them",
            self.patience.wait.as_secs()
        );
        tracing::warn!("too few witnesses answer: the channels are opened although they may have seen more");
        Ok(())
    }

    /// Waits for the lease and starts the node, if it does not run yet; then waits until something fails. Meanwhile the vault
    /// is tidied up.
    pub async fn work(&self, turn: Option<Turn>, vault: VaultKeeper) -> Error {
        if let Some(turn) = turn
            && let Err(error) = self.take_over(turn).await
        {
            return error.context("the Lightning node cannot be taken over");
        }
        let Some(Running { node, workers, alive }) = self.running.get() else {
            return anyhow!("there is no Lightning node");
        };
        tokio::select! {
            () = node.failed() => anyhow!("the Lightning node's database failed; nothing leaves the node any more"),
            () = workers.failed() => anyhow!("a worker broke off: payouts and refunds would stand still"),
            error = self.publish() => error,
            never = anchor(&self.app, node, self.anchors) => match never {},
            never = alive.keep() => match never {},
            never = vault.run() => match never {},
        }
    }

    /// Keeps the log up to date. A log that is damaged ends there, and nothing new is begun on it (the mark tells the other
    /// replicas); what has begun goes on: a node that ended would leave the money that it holds to its channels' timeouts.
    async fn publish(&self) -> Error {
        let error = self.log.lock().await.run().await;
        if error.is_rollback() {
            return anyhow!(error).context(MUST_NOT_GO_ON);
        }
        self.begin_nothing(&error);
        std::future::pending().await
    }

    fn begin_nothing(&self, error: &TreeError) {
        tracing::error!(
            code = %error.code(),
            "the log is damaged: nothing more is published, and no task is posted, taken or funded; what has begun goes \
            on: {error}"
        );
        self.app.begin_nothing();
    }

    async fn take_over(&self, turn: Turn) -> Result<()> {
        let Turn { sealed, waiting, options, rpc, network } = turn;
        let look = if network == bitcoin::Network::Regtest { LOOK_REGTEST } else { LOOK };
        let keeper = tokio::select! {
            keeper = waiting.take() => keeper?,
            never = follow_height(&self.app, &rpc, network, look) => match never {},
        };
        let lease = keeper.lease();
        // Kept from here on, whatever becomes of the start.
        *self.keeper() = Some(keeper);
        let note = Box::new(Note::new(options.clone(), lease));
        let place = Place::Lease(note, self.mark.dir().join(alive::FILE));
        let sealed = sealed.on(Database::Postgres { options: Box::new(options), lease });
        let started = self.start_in(sealed, Some(lease.token.unsigned_abs()), place).await;
        if started.is_err() {
            // Nothing runs: another replica, or this one when it is started again, need not wait.
            self.release().await;
        }
        started
    }

    fn keeper(&self) -> MutexGuard<'_, Option<Keeper>> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn release(&self) {
        let keeper = self.keeper().take();
        if let Some(keeper) = keeper {
            keeper.release().await;
        }
    }

    /// Stops what runs, and gives the lease back.
    pub async fn stop(mut self) {
        if let Some(Running { node, workers, .. }) = self.running.take() {
            workers.stop().await;
            node.shutdown().await;
            self.release().await;
        }
        // A start that was cut short may still be at work: its lease ends by itself, and with this process.
    }
}

/// Anchors in Bitcoin as long as it is polled, if that is wanted.
async fn anchor(app: &App, node: &LightningNode, anchoring: Option<Anchoring>) -> Infallible {
    match anchoring {
        Some(Anchoring { policy, look }) => AnchorWorker::new(app.clone(), node.anchors(), policy, look).run().await,
        None => std::future::pending().await,
    }
}

/// Crash points where the harness wants them, and nothing at all in a release.
#[derive(Default)]
pub struct Crash {
    #[cfg(feature = "crash-points")]
    points: OnceLock<crate::crash::CrashPoints>,
}

impl Crash {
    #[cfg(feature = "crash-points")]
    fn points(&self) -> crate::crash::CrashPoints {
        self.points.get_or_init(crate::crash::CrashPoints::from_env).clone()
    }

    /// A crash point by itself.
    #[cfg(feature = "crash-points")]
    pub fn pass(&self, name: &str) {
        self.points().pass(name);
    }

    /// Nothing.
    #[cfg(not(feature = "crash-points"))]
    pub fn pass(&self, _name: &str) {}

    /// The journal, with crash points.
    #[cfg(feature = "crash-points")]
    pub fn journal(&self, journal: Arc<dyn Journal>) -> Arc<dyn Journal> {
        Arc::new(crate::crash::CrashingJournal::new(journal, self.points()))
    }

    /// The rail, with crash points.
    #[cfg(feature = "crash-points")]
    pub fn rail(&self, rail: Arc<dyn HoldRail>) -> Arc<dyn HoldRail> {
        Arc::new(crate::crash::CrashingRail::new(rail, self.points()))
    }

    /// The vault's store, with crash points.
    #[cfg(feature = "crash-points")]
    pub fn evidence(&self, store: Arc<dyn EvidenceStore>) -> Arc<dyn EvidenceStore> {
        Arc::new(crate::crash::CrashingEvidence::new(store, self.points()))
    }

    /// The vault's store as it is.
    #[cfg(not(feature = "crash-points"))]
    pub fn evidence(&self, store: Arc<dyn EvidenceStore>) -> Arc<dyn EvidenceStore> {
        store
    }

    /// The journal as it is.
    #[cfg(not(feature = "crash-points"))]
    pub fn journal(&self, journal: Arc<dyn Journal>) -> Arc<dyn Journal> {
        journal
    }

    /// The rail as it is.
    #[cfg(not(feature = "crash-points"))]
    pub fn rail(&self, rail: Arc<dyn HoldRail>) -> Arc<dyn HoldRail> {
        rail
    }
}
