//! `tally backup`: the journal, the configuration and the sealed seed in one file, while the node runs.
//!
//! The Lightning node's database is left out on purpose: channels that are put back to an older state lose their money.
#![allow(clippy::print_stderr, reason = "it tells what it does")]

use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    io::Read,
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tallystick_lightning::{BackupKey, LightningNode, SEED_FILE};
use tallystick_store::{ENCLOSED_BYTES_MAX, Enclosed, back_up, sweep};

use crate::{
    cli::BackupArgs,
    config::{Config, FILE},
    init::lightning_dir,
    restore::told,
    secret,
    store::{JOURNAL, must_be_here},
};

/// Where it is told how a journal on PostgreSQL is backed up.
const RUNBOOK: &str = "docs/runbooks/backup-and-restore.md";
/// How a backup's name ends.
const EXTENSION: &str = "backup";
/// How often progress is told.
const TELL: Duration = Duration::from_secs(1);

/// `tally backup`.
///
/// # Errors
/// If the journal is not on SQLite, is damaged, the passphrase does not open the seed, or the backup cannot be written.
pub async fn run(args: BackupArgs) -> Result<()> {
    let config = Config::read(&args.data_dir)?;
    ensure!(
        config.store.url.is_none(),
        "this node's journal is in PostgreSQL: back that up with PostgreSQL's own tools, as {RUNBOOK} tells, and keep \
        {} and the seed",
        args.data_dir.join(FILE).display()
    );
    must_be_here(&config)?;
    let journal = args.data_dir.join(JOURNAL);
    ensure!(journal.is_file(), "{} has no {JOURNAL} yet", args.data_dir.display());
    // Else a folder that is not there yet would become a file, and the next backup would replace it.
    let is_file = args.out.extension().is_some_and(|extension| extension == EXTENSION);
    let folder = args.out.parent().filter(|folder| is_file && !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        bail!("--out {}: there is no folder {}; make it first", args.out.display(), folder.display());
    }
    let to = if args.out.is_dir() || !is_file {
        fs::create_dir_all(&args.out).with_context(|| format!("cannot make the folder {}", args.out.display()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
        let file = args.out.join(format!("tally-{}.{EXTENSION}", now.as_secs()));
        ensure!(!file.exists(), "{} is there already", file.display());
        file
    } else {
        args.out
    };
    let lightning = lightning_dir(&args.data_dir);
    let passphrase = secret::passphrase(args.passphrase_file.as_deref(), false)?;
    let key = BackupKey::of(&*LightningNode::reveal_seed(&lightning, &passphrase).map_err(told)?);
    let enclosed = vec![enclose(FILE, &args.data_dir.join(FILE))?, enclose(SEED_FILE, &lightning.join(SEED_FILE))?];
    sweep(to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    let (file, mut told) = (to.clone(), Instant::now());
    let made = tokio::task::spawn_blocking(move || {
        let authenticate = |digest| key.authenticate(digest);
        back_up(&journal, &file, &enclosed, authenticate, |done, all| {
            if told.elapsed() >= TELL || done == all {
                told = Instant::now();
                eprintln!("{done} of {all} pages copied");
            }
        })
    })
    .await??;
    say!("{}", to.display());
    say!("{} facts, {} bytes, verified; the last fact's hash is {}", made.facts, made.bytes, made.head);
    say!("In it: the journal, {FILE}, the sealed seed. Not in it: channels, and files that {FILE} names.");
    Ok(())
}

fn enclose(name: &str, path: &Path) -> Result<Enclosed> {
    let context = || format!("cannot read {}", path.display());
    let (mut bytes, limit) = (Vec::new(), ENCLOSED_BYTES_MAX as u64);
    fs::File::open(path).with_context(context)?.take(limit + 1).read_to_end(&mut bytes).with_context(context)?;
    ensure!(bytes.len() as u64 <= limit, "{} is longer than {limit} bytes", path.display());
    Ok(Enclosed { name: name.to_owned(), bytes })
}
