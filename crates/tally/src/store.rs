//! Where everything is kept, and `tally store`.
#![allow(clippy::print_stdout, reason = "`tally store` tells what it found")]

use anyhow::{Context, Result, bail, ensure};
use std::{fs, path::Path, sync::Arc};
use tallystick_app::{
    App,
    port::{journal::Journal, log::LogStore, snapshot::Snapshot, tasks::TaskReader},
    rebuild::{rebuild_tasks, rebuild_tree},
};
use tallystick_lightning::{SQLITE_FILE, StoppedDatabase, prepare_postgres};
use tallystick_postgres::{Leases, PostgresOptions};
use tallystick_store::{Beside, PostgresSnapshot, PostgresStore, SqliteSnapshot, SqliteStore, StoreStatus, copy};

use crate::{
    check,
    cli::{StoreCommand, StoreCopy},
    config::Config,
    init::lightning_dir,
};

/// The journal's file in a node's directory.
pub const JOURNAL: &str = "journal.sqlite";
/// What is added to the names of files whose content is in PostgreSQL now.
pub(crate) const MOVED: &str = ".moved";

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
    /// If it cannot be opened, or the node's money is in the other one.
    pub async fn open(config: &Config) -> Result<Self> {
        let (dir, lightning) = (&config.data_dir, lightning_dir(&config.data_dir));
        if let Some(options) = config.store.postgres(dir)? {
            ensure!(
                !lightning.join(SQLITE_FILE).exists(),
                "{} has channels, but [store] url names a database: move them with `tally store copy`, or leave the url out",
                lightning.join(SQLITE_FILE).display()
            );
            return Ok(Self::Postgres(PostgresStore::open(options.clone()).await?, Box::new(options)));
        }
        let moved = lightning.join(format!("{SQLITE_FILE}{MOVED}"));
        ensure!(!moved.exists(), "this node was moved to PostgreSQL ({}): [store] url must name it", moved.display());
        Ok(Self::Sqlite(SqliteStore::open(dir.join(JOURNAL))?))
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

    /// The read model.
    pub fn tasks(&self) -> Arc<dyn TaskReader> {
        match self {
            Self::Sqlite(store) => Arc::new(store.clone()),
            Self::Postgres(store, _) => Arc::new(store.clone()),
        }
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

    /// Makes the read model again if it must be: one replica at a time.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn refresh(&self, app: &App) -> Result<()> {
        match self {
            Self::Sqlite(store) => app.refresh_tasks(store).await?,
            Self::Postgres(store, _) => {
                let _turn = store.turn().await?;
                app.refresh_tasks(store).await?
            }
        };
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

/// The store that the configuration names as it is now, without its lock and without changing anything: also while the
/// node runs.
///
/// # Errors
/// If it cannot be read, or its tables are of another version.
pub async fn snapshot(config: &Config) -> Result<Arc<dyn Snapshot>> {
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
        StoreCommand::Copy(args) => move_to_postgres(&args).await,
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
    if let Some(options) = config.store.postgres(&config.data_dir)? {
        for lease in Leases::read(&options).await? {
            let held = lease.left_ms > 0;
            ensure!(!held, "{} has the lease {}: stop all replicas first", lease.owner, lease.name);
        }
    }
    let store = NodeStore::open(config).await?;
    let rebuilt = rebuild_all(config, &store).await;
    store.close().await;
    let (tiles, tasks) = rebuilt?;
    println!("{tiles} tiles mended, {tasks} tasks in the read model");
    check::whole(config).await
}

async fn rebuild_all(config: &Config, store: &NodeStore) -> Result<(u64, u64)> {
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
    let options = config.store.postgres(&config.data_dir)?;
    let status = match &options {
        None => StoreStatus::of_sqlite(&config.data_dir.join(JOURNAL))?,
        Some(options) => StoreStatus::of_postgres(options).await?,
    };
    println!("{}", status.program);
    println!("schema   {} of {}", status.schema, status.schema_known);
    println!("facts    {}", status.facts);
    println!("head     {}", status.head);
    println!("effects  {} unfinished, {} claimed", status.effects, status.effects_claimed);
    if let Some(options) = options {
        for lease in Leases::read(&options).await? {
            let left = match lease.left_ms {
                left @ 1.. => format!("for {left} ms more"),
                _ => "no more".to_owned(),
            };
            println!("lease    {}: {} has it {left} (token {})", lease.name, lease.owner, lease.token);
        }
    }
    Ok(())
}

async fn move_to_postgres(args: &StoreCopy) -> Result<()> {
    let mut options = PostgresOptions::try_new(&args.to)?;
    if let Some(file) = &args.to_password_file {
        let password = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        options = options.with_password(zeroize::Zeroizing::new(password).trim_end());
    }
    let journal = args.from.join(JOURNAL);
    ensure!(journal.is_file(), "{} has no {JOURNAL}", args.from.display());
    // Held until the files have their new names: nobody starts the node on them meanwhile.
    let stopped = StoppedDatabase::open(&lightning_dir(&args.from))?;
    let beside: Vec<Beside> =
        stopped.iter().map(|stopped| Beside { path: stopped.path().to_owned(), prefix: "lightning_" }).collect();
    // The journal's tables first: they show that the database is nobody else's.
    PostgresStore::open(options.clone()).await?.close().await;
    prepare_postgres(&options).await?;
    let copied = copy(&journal, &beside, &options, |table, done, all| println!("{table}: {done} of {all}")).await?;
    println!("{} facts are there, and verified on both sides", copied.facts);
    for path in beside.iter().map(|beside| beside.path.as_path()).chain([journal.as_path()]) {
        retire(path)?;
    }
    println!(
        "The SQLite files are kept with {MOVED} after their names: a node that ran on them again could lose money."
    );
    println!("Now name the database in [store] url of {}", args.from.join(crate::config::FILE).display());
    Ok(())
}

/// Gives a file another name, so that no node starts on it. What SQLite has beside it was written back when it closed.
fn retire(path: &Path) -> Result<()> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { bail!("{} has no name", path.display()) };
    let moved = path.with_file_name(format!("{name}{MOVED}"));
    ensure!(!moved.exists(), "{} is there already", moved.display());
    fs::rename(path, &moved).with_context(|| format!("cannot rename {}", path.display()))
}
