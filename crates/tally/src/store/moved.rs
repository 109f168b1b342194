//! `tally store copy`: a stopped node moves from the SQLite files of its directory into a PostgreSQL database.
//!
//! ```text
//! the database is not served ──▶ everything copied, verified ──▶ files marked, renamed, on disk ──▶ COMMIT: it is served
//!    files can be used                                              nothing can be used
//! ```
//! Two databases that could both run the node could lose its channels' money. So there is never more than one; between
//! the last two steps there is none, and the same command, given again, comes to the end.

use anyhow::{Context, Result, ensure};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};
use tallystick_app::port::journal::Journal as _;
use tallystick_lightning::{SQLITE_FILE, StoppedDatabase, prepare_postgres};
use tallystick_postgres::PostgresOptions;
use tallystick_store::{Beside, PostgresStore, StoreStatus, copy, moved_to, prepare_journal};

use crate::{cli::StoreCopy, init::lightning_dir, owner::Crash, restore::told, store::JOURNAL};

/// What is added to the names of files whose content is in PostgreSQL now.
const MOVED: &str = ".moved";

/// What a file is called then.
pub(crate) fn name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(MOVED);
    name.into()
}

/// What SQLite has written but not yet put into a file is here.
fn write_ahead(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Refuses if the write-ahead log beside a name holds anything: a file that gets another name leaves it behind.
pub(crate) fn must_be_written_back(path: &Path) -> io::Result<()> {
    let log = write_ahead(path);
    match fs::metadata(&log) {
        Ok(found) if found.len() > 0 => Err(io::Error::other(format!(
            "{} may hold the newest state of {}: give that file this name again if it has another one, end whoever reads \
            it, and run this once more",
            log.display(),
            path.display()
        ))),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Refuses a file that says of itself that its node went elsewhere, whatever name it was given since.
pub(crate) fn must_not_be_marked(path: &Path) -> Result<()> {
    moved_to(path).map_err(told)?.map_or(Ok(()), |moved| Err(told(moved.refusal(path))))
}

/// Where a file is: under its own name or, if a copy was interrupted late, under the other one.
fn find(path: &Path) -> Result<PathBuf> {
    let moved = name(path);
    ensure!(
        !(path.exists() && moved.exists()),
        "{} and {} are both there: one of them is older, and must not be used; put it elsewhere",
        path.display(),
        moved.display()
    );
    if !moved.exists() {
        return Ok(path.to_owned());
    }
    must_be_written_back(path)?;
    ensure!(
        moved_to(&moved).map_err(told)?.is_some(),
        "{} does not say where it went: `tally restore` took it, or an older program moved it. Where it went is newer, and it \
         must not be used again; docs/runbooks/backup-and-restore.md tells the way back from a copy that failed",
        moved.display()
    );
    Ok(moved)
}

pub(super) async fn to_postgres(args: &StoreCopy) -> Result<()> {
    let options = target(args)?;
    let lightning = lightning_dir(&args.from);
    let files = [lightning.join(SQLITE_FILE), args.from.join(JOURNAL)];
    let [channels, journal] = [find(&files[0])?, find(&files[1])?];
    ensure!(journal.is_file(), "{} has no {JOURNAL}", args.from.display());
    if files.iter().all(|file| !file.exists()) && has_arrived(&journal, &options).await? {
        say!("{} has moved already: its database has its facts", args.from.display());
        tell_next(args, &journal);
        return Ok(());
    }
    // Held until the files have their new names: nobody starts the node on them meanwhile.
    let name = channels.file_name().and_then(|name| name.to_str()).unwrap_or(SQLITE_FILE);
    let stopped = StoppedDatabase::open(&lightning, name)?;
    let beside: Vec<Beside> =
        stopped.iter().map(|stopped| Beside { path: stopped.path().to_owned(), prefix: "lightning_" }).collect();
    let crash = Crash::default();
    // The journal's tables first: they show that the database is nobody else's.
    prepare_journal(&options).await?;
    prepare_postgres(&options).await?;
    let progress = |table: &str, done, all| {
        say!("{table}: {done} of {all}");
        crash.pass(&format!("copied {table}"));
    };
    let copied = copy(&journal, &beside, &options, progress, || retire(&files, &crash)).await.map_err(told)?;
    crash.pass("after commit");
    say!("{} facts are there, and verified on both sides", copied.facts);
    say!("The SQLite files are kept with {MOVED} after their names: a node that ran on them again could lose money.");
    tell_next(args, &self::name(&files[1]));
    Ok(())
}

/// The database, and how to log in.
fn target(args: &StoreCopy) -> Result<PostgresOptions> {
    let options = PostgresOptions::try_new(&args.to)?;
    let Some(file) = &args.to_password_file else { return Ok(options) };
    let password = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(options.with_password(zeroize::Zeroizing::new(password).trim_end()))
}

/// `tally store take-back`: the other way, from a copy that has not ended.
///
/// ```text
/// the copy can never end ──▶ files renamed, on disk ──▶ marks gone, the journal's first: they can be used
///    nothing can be used
/// ```
/// Interrupted, the same command comes to the end.
pub(super) async fn take_back(args: &StoreCopy) -> Result<()> {
    let options = target(args)?;
    let lightning = lightning_dir(&args.from);
    let files = [args.from.join(JOURNAL), lightning.join(SQLITE_FILE)];
    let [journal, channels] = [find(&files[0])?, find(&files[1])?];
    ensure!(journal.is_file(), "{} has no {JOURNAL}", args.from.display());
    let name = channels.file_name().and_then(|name| name.to_str()).unwrap_or(SQLITE_FILE);
    // Held to the end: nobody starts the node on the files meanwhile.
    let stopped = StoppedDatabase::open(&lightning, name)?;
    let found: Vec<PathBuf> = [journal].into_iter().chain(stopped.iter().map(|it| it.path().to_owned())).collect();
    let crash = Crash::default();
    let files = &files[..found.len()];
    tallystick_store::take_back(&found, files, &options, || give_back(files, &crash)).await.map_err(told)?;
    say!(
        "{} has its node again. Nothing can be copied from before into that database any more: drop it.",
        args.from.display()
    );
    Ok(())
}

/// Gives files their own names again, and waits until that is on disk.
fn give_back(files: &[PathBuf], crash: &Crash) -> io::Result<()> {
    for path in files {
        let moved = name(path);
        must_be_written_back(path)?;
        must_be_written_back(&moved)?;
        crash.pass(&format!("before giving back {}", path.display()));
        if moved.exists() {
            fs::rename(&moved, path)?;
        }
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
    }
    crash.pass("before the marks go");
    Ok(())
}

fn tell_next(args: &StoreCopy, journal: &Path) {
    say!(
        "Now name the database in [store] url of {}. Once the node runs, delete {}: what is erased from now on stays in it.",
        args.from.join(crate::config::FILE).display(),
        journal.display()
    );
}

/// Whether a database can be used, and its journal begins with the one that was moved. Facts and channels were committed
/// at once.
async fn has_arrived(journal: &Path, options: &PostgresOptions) -> Result<bool> {
    let there = StoreStatus::of_sqlite(journal)?;
    // One that is being copied into, or that does not answer, does not open.
    let (Some(before), Ok(store)) = (there.facts.checked_sub(1), PostgresStore::open(options.clone()).await) else {
        return Ok(false);
    };
    let last = store.facts(before, 1).await;
    store.close().await;
    Ok(last?.first().is_some_and(|fact| fact.hash == there.head))
}

/// Gives files other names, so that no node starts on them, and waits until that is on disk. The channels go first:
/// without them the journal loses nobody's money.
fn retire(files: &[PathBuf], crash: &Crash) -> io::Result<()> {
    for path in files {
        let moved = name(path);
        must_be_written_back(path)?;
        must_be_written_back(&moved)?;
        if path.exists() {
            crash.pass(&format!("before rename {}", path.display()));
            fs::rename(path, &moved)?;
            crash.pass(&format!("after rename {}", path.display()));
        }
        if let (true, Some(folder)) = (moved.exists(), path.parent()) {
            File::open(folder)?.sync_all()?;
        }
    }
    crash.pass("before commit");
    Ok(())
}
