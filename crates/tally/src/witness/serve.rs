//! `tally witness serve`: runs until it is told to stop.

use anyhow::{Context, Result, anyhow};
use std::{path::Path, sync::Arc};
use tallystick_app::SystemClock;
use tallystick_http::ServeLimits;
use tallystick_witness::{Folder, OsFolder, Witness, WitnessLimits, WitnessLock, router};
use tokio::{net::TcpListener, sync::oneshot};

use super::{WitnessConfig, evidence_dir, key, records_dir};
use crate::{
    cli::WitnessServe,
    descriptors, secret,
    serve::{exit_when_told_again, log_to_stderr},
    signal::StopSignals,
};

/// Runs the witness until SIGINT or SIGTERM. A second signal ends the process at once.
///
/// # Errors
/// If the configuration, the key or a record is not in order, or another process serves this directory.
pub(super) async fn run(args: WitnessServe) -> Result<()> {
    log_to_stderr(args.log_format)?;
    let config = WitnessConfig::read(&args.data_dir)?;
    let passphrase = secret::passphrase(args.passphrase_file.as_deref(), false)?;
    // First: a second witness on one directory is told that, and not which port is taken.
    let _lock = WitnessLock::take(&args.data_dir)?;
    let listener = TcpListener::bind(config.listen).await.with_context(|| format!("listen = {}", config.listen))?;
    let address = listener.local_addr()?;
    descriptors::make_room(ServeLimits::default().connections_max)?;
    let key = key::open(&args.data_dir, &config.vkey, &passphrase)?;
    drop(passphrase);
    if config.logs.is_empty() {
        tracing::warn!("no log is configured: `tally witness add-log` adds one");
    }
    let (logs, path) = (config.logs.len(), config.prefix_path()?.to_owned());
    let (records, evidence) = folders(&args.data_dir)?;
    let witness = Witness::open(key, config.logs.clone(), records, evidence, Arc::new(SystemClock))?;
    let vkey = witness.key().to_vkey();
    let mut signals = StopSignals::listen()?;
    tracing::info!(%address, submission_prefix = config.told_address(address), vkey, logs, "the witness is up");

    let (running, stopping) = oneshot::channel::<()>();
    let stopping = async move { drop(stopping.await) };
    let router = router(Arc::new(witness), &path, WitnessLimits::default());
    let mut serving = tokio::spawn(tallystick_http::serve(listener, router, stopping, ServeLimits::default()));
    let outcome = tokio::select! {
        ended = &mut serving => Err(anyhow!("the witness stopped: {ended:?}")),
        () = signals.heard() => Ok(()),
    };
    tracing::info!("stopping");
    tokio::spawn(exit_when_told_again(signals));
    drop(running);
    if !serving.is_finished() && serving.await.is_err() {
        tracing::error!("the witness did not stop in order");
    }
    outcome
}

type Folders = (Arc<dyn Folder>, Arc<dyn Folder>);

/// Records and evidence. A folder that is missing is not made: what was in it is missing as well.
fn folders(data_dir: &Path) -> Result<Folders> {
    let open = |path: &Path| -> Result<Arc<dyn Folder>> {
        let folder = OsFolder::at(path);
        folder.names().with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Arc::new(folder))
    };
    let (records, evidence) = (open(&records_dir(data_dir))?, open(&evidence_dir(data_dir))?);
    #[cfg(feature = "crash-points")]
    let (records, evidence) = {
        let points = crate::crash::CrashPoints::from_env();
        let crashing =
            |inner, name| -> Arc<dyn Folder> { Arc::new(crate::crash::CrashingFolder::new(inner, &points, name)) };
        (crashing(records, "record"), crashing(evidence, "evidence"))
    };
    Ok((records, evidence))
}
