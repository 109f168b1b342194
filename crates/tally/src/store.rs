//! Where everything is kept, and `tally store`.

pub(crate) mod moved;

use anyhow::{Result, bail};
use std::sync::Arc;
use tallystick_app::{
    App,
    log::LogReader,
    port::{
        evidence::EvidenceStore,
        journal::{Head, Journal, StoreError},
        log::LogStore,
        snapshot::Snapshot,
        tasks::TaskReader,
    },
    rebuild::{rebuild_tasks, rebuild_tree},
};
use tallystick_core::Coded;
use tallystick_lightning::{SQLITE_FILE, prepare_postgres};
use tallystick_postgres::{Leases, PostgresOptions};
use tallystick_store::{PostgresSnapshot, PostgresStore, SqliteSnapshot, SqliteStore, StoreStatus};

use crate::{
    check,
    cli::StoreCommand,
    config::Config,
    init::lightning_dir,
    replica::Waiting,
    restore::{restoring, told},
};

/// The journal's file in a node's directory.
pub const JOURNAL: &str = "journal.sqlite";

/// The journal, wherever it is.
#[derive(Clone)]
pub enum NodeStore {
    /// In the node's directory.
    Sqlite(SqliteStore),
    /// In a database that several replicas share.
    Postgres(PostgresStore, Box<PostgresOptions>),
}

impl NodeStore {
    /// Opens the store that the configuration names, and brings its tables up to date.
    ///
    /// # Errors
    /// If it cannot be opened, or the node, or a part of it, is in the other one.
    pub async fn open(config: &Config) -> Result<Self> {
        let dir = &config.data_dir;
        let (channels, journal) = (lightning_dir(dir).join(SQLITE_FILE), dir.join(JOURNAL));
        must_be_here(config)?;
        let Some(options) = config.store.postgres(dir)? else {
            return Ok(Self::Sqlite(SqliteStore::open(journal)?));
        };
        if let Some(file) = [&channels, &journal].into_iter().find(|file| file.exists()) {
            bail!(
                "{} holds this node, but [store] url names a database: move it there with `tally store copy`",
                file.display()
            );
        }
        let store = PostgresStore::open(options.clone()).await?;
        let journal = moved::name(&journal);
        if journal.exists() {
            tracing::warn!("{} still holds what is erased from the database: delete it", journal.display());
        }
        Ok(Self::Postgres(store, Box::new(options)))
    }

    /// The journal.
    pub fn journal(&self) -> Arc<dyn Journal> {
        match self {
            Self::Sqlite(store) => Arc::new(store.clone()),
            Self::Postgres(store, _) => Arc::new(store.clone()),
        }
    }

    /// The tree beside it.
    pub fn log(&self) -> Arc<dyn LogStore> {
        match self {
            Self::Sqlite(store) => Arc::new(store.clone()),
            Self::Postgres(store, _) => Arc::new(store.clone()),
        }
    }

    /// What anyone may read of the log. However many do, what the node itself reads waits for none of them.
    ///
    /// # Errors
    /// If the store cannot be reached so.
    pub fn public_log(&self) -> Result<LogReader> {
        Ok(match self {
            // Whoever serves the log takes few of the readers.
            Self::Sqlite(store) => LogReader::new(Arc::new(store.clone()), Arc::new(store.clone())),
            Self::Postgres(store, _) => {
                let apart = store.read_apart()?;
                LogReader::new(Arc::new(apart.clone()), Arc::new(apart))
            }
        })
    }

    /// The read model.
    pub fn tasks(&self) -> Arc<dyn TaskReader> {
        match self {
            Self::Sqlite(store) => Arc::new(store.clone()),
            Self::Postgres(store, _) => Arc::new(store.clone()),
        }
    }

    /// The vault's tables.
    pub fn evidence(&self) -> Arc<dyn EvidenceStore> {
        match self {
            Self::Sqlite(store) => Arc::new(store.clone()),
            Self::Postgres(store, _) => Arc::new(store.clone()),
        }
    }

    /// The last fact.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn head(&self) -> Result<Head> {
        Ok(match self {
            Self::Sqlite(store) => store.head().await?,
            Self::Postgres(store, _) => store.head().await?,
        })
    }

    /// Checks the last facts.
    ///
    /// # Errors
    /// If one of them is damaged.
    pub async fn verify_tail(&self, facts: u64) -> Result<u64> {
        Ok(match self {
            Self::Sqlite(store) => store.verify_tail(facts).await?,
            Self::Postgres(store, _) => store.verify_tail(facts).await?,
        })
    }

    /// Makes the read model again if it must be, and the indexes by which timers and outbox find what is due if they are damaged: one
    /// replica at a time.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn refresh(&self, app: &App) -> Result<()> {
        match self {
            Self::Sqlite(store) => {
                or_begin_nothing(app, store.mend_due().await)?;
                app.refresh_tasks(store).await?
            }
            Self::Postgres(store, _) => {
                let _turn = store.turn().await?;
                or_begin_nothing(app, store.mend_due().await)?;
                app.refresh_tasks(store).await?
            }
        };
        Ok(())
    }

    /// Whether a replica has found the log damaged. The one process on SQLite finds it by itself, at each start.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn is_log_damaged(&self) -> Result<bool> {
        Ok(match self {
            Self::Sqlite(_) => false,
            Self::Postgres(store, _) => store.is_log_damaged().await?,
        })
    }

    /// Tells all replicas that the log is damaged, until the tree is made again.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn tell_log_damaged(&self) -> Result<()> {
        if let Self::Postgres(store, _) = self {
            store.set_log_damaged(true).await?;
        }
        Ok(())
    }

    /// Waits until the store takes no more writes.
    pub async fn failed(&self) {
        match self {
            Self::Sqlite(store) => store.failed().await,
            Self::Postgres(store, _) => store.failed().await,
        }
    }

    /// Writes what was accepted, and closes the store.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store, _) => store.close().await,
        }
    }
}

/// Refuses a directory whose node, or a part of it, has gone elsewhere, or is not whole yet.
///
/// # Errors
/// Where it is, and what ends the move.
pub fn must_be_here(config: &Config) -> Result<()> {
    let dir = &config.data_dir;
    let restoring = restoring(dir);
    if restoring.exists() {
        bail!("{} waits for the end of `tally restore`: run it again, as it was", restoring.display());
    }
    let files = [lightning_dir(dir).join(SQLITE_FILE), dir.join(JOURNAL)];
    let retired = files.clone().map(|path| moved::name(&path));
    match retired.iter().find(|file| config.store.url.is_none() && file.exists()) {
        Some(file) => {
            // `tally store copy` says in the file where it went, `tally restore` does not.
            moved::must_not_be_marked(file)?;
            Err(told(StoreError::Moved(format!(
                "`tally restore --lightning` took the channels of this directory and left {}: the node runs in the directory \
                 that was restored, and one that was started here could lose its channels' money. (If an older program's `tally \
                 store copy` left it, [store] url must name the database that it was moved to)",
                file.display()
            ))))
        }
        // Whatever they are called.
        None => files.iter().try_for_each(|path| moved::must_not_be_marked(path)),
    }
}

/// The store that the configuration names as it is now, without its lock and without changing anything: also while the
/// node runs.
///
/// # Errors
/// If it cannot be read, or its tables are of another version.
pub async fn snapshot(config: &Config) -> Result<Arc<dyn Snapshot>> {
    must_be_here(config)?;
    if let Some(options) = config.store.postgres(&config.data_dir)? {
        return Ok(Arc::new(PostgresSnapshot::open(&options).await?));
    }
    let path = config.data_dir.join(JOURNAL);
    Ok(Arc::new(tokio::task::spawn_blocking(move || SqliteSnapshot::open(&path)).await??))
}

/// `tally store`.
///
/// # Errors
/// If the store cannot be opened, read or copied.
pub async fn run(command: StoreCommand) -> Result<()> {
    match command {
        StoreCommand::Migrate(place) => migrate(&Config::read(&place.data_dir)?).await,
        StoreCommand::Status(place) => status(&Config::read(&place.data_dir)?).await,
        StoreCommand::Rebuild(place) => rebuild(&Config::read(&place.data_dir)?).await,
        StoreCommand::Copy(args) => moved::to_postgres(&args).await,
        StoreCommand::TakeBack(args) => moved::take_back(&args).await,
    }
}

async fn migrate(config: &Config) -> Result<()> {
    let store = NodeStore::open(config).await?;
    if let NodeStore::Postgres(_, options) = &store {
        prepare_postgres(options).await?;
        Leases::open(PostgresOptions::clone(options), String::new()).await?;
    }
    store.close().await;
    status(config).await
}

async fn rebuild(config: &Config) -> Result<()> {
    let store = NodeStore::open(config).await?;
    let rebuilt = rebuild_alone(config, &store).await;
    store.close().await;
    rebuilt
}

/// Where old effects or tasks cannot be read, the node comes up all the same, since money that is held waits for it; it begins
/// nothing.
fn or_begin_nothing(app: &App, mended: Result<bool, StoreError>) -> Result<(), StoreError> {
    match mended {
        Err(error @ StoreError::Corrupt(_)) => {
            tracing::error!(
                code = %error.code(),
                "what is due cannot be checked: no task is posted, taken or funded; what has begun goes on: {error}; \
                 run `tally fsck`"
            );
            app.begin_nothing();
            Ok(())
        }
        mended => mended.map(drop),
    }
}

/// Makes again what the facts make, while nobody else makes anything of them: a SQLite journal that is open has its lock,
/// and a database is alone with who has the lease.
async fn rebuild_alone(config: &Config, store: &NodeStore) -> Result<()> {
    let keeper = match store {
        NodeStore::Sqlite(_) => None,
        NodeStore::Postgres(_, options) => {
            let waiting = Waiting::open(PostgresOptions::clone(options), config.store.lease()).await?;
            Some(waiting.take_now(options).await?)
        }
    };
    let rebuilt = rebuild_all(config, store).await;
    if let Some(keeper) = keeper {
        keeper.release().await;
    }
    rebuilt
}

async fn rebuild_all(config: &Config, store: &NodeStore) -> Result<()> {
    let (tiles, tasks) = make_again(config, store).await?;
    say!("{tiles} tiles mended, {tasks} tasks in the read model");
    if !check::whole(config).await? {
        say!("note: no checkpoint is published; the next start publishes one");
    }
    // Only now: the tree alone may be what damaged facts make.
    if let NodeStore::Postgres(store, _) = store {
        store.set_log_damaged(false).await?;
    }
    Ok(())
}

async fn make_again(config: &Config, store: &NodeStore) -> Result<(u64, u64)> {
    // First: through a damaged index neither facts are found, nor rows that must go.
    match store {
        NodeStore::Sqlite(store) => {
            // An index may know of effects that their table calls done.
            store.mend_due().await?;
            store.reindex().await?;
        }
        NodeStore::Postgres(store, _) => store.reindex().await?,
    }
    let tiles = rebuild_tree(&*snapshot(config).await?, &*store.log()).await?;
    let journal = store.journal();
    let tasks = match store {
        NodeStore::Sqlite(rows) => rebuild_tasks(&*journal, rows).await?,
        NodeStore::Postgres(rows, _) => {
            let _turn = rows.turn().await?;
            rebuild_tasks(&*journal, rows).await?
        }
    };
    Ok((tiles, tasks))
}

async fn status(config: &Config) -> Result<()> {
    must_be_here(config)?;
    let options = config.store.postgres(&config.data_dir)?;
    let status = match &options {
        None => StoreStatus::of_sqlite(&config.data_dir.join(JOURNAL))?,
        Some(options) => StoreStatus::of_postgres(options).await?,
    };
    say!("{}", status.program);
    say!("schema   {} of {}", status.schema, status.schema_known);
    say!("facts    {}", status.facts);
    say!("head     {}", status.head);
    say!("effects  {} unfinished, {} claimed", status.effects, status.effects_claimed);
    if let Some(options) = options {
        for lease in Leases::read(&options).await? {
            let left = match lease.left_ms {
                left @ 1.. => format!("for {left} ms more"),
                _ => "no more".to_owned(),
            };
            say!("lease    {}: {} has it {left} (token {})", lease.name, lease.owner, lease.token);
        }
    }
    Ok(())
}
