//! `tally witness init` and `tally witness add-log`.

use anyhow::{Context, Result, ensure};
use std::{fs, path::Path};
use tallystick_log::{KeyName, VerifierKey};
use tallystick_witness::{OsFolder, Record, TrustedLog, WitnessLock, folder};

use super::{WitnessConfig, evidence_dir, key, records_dir};
use crate::{
    ask::print,
    cli::{AddLog, WitnessInit},
    secret,
};

/// Makes configuration and encrypted key, and prints the witness's vkey. Never overwrites either. If it is interrupted,
/// the same call goes on.
///
/// # Errors
/// If the directory is a witness's already, or cannot be written.
pub(super) fn init(args: &WitnessInit) -> Result<()> {
    let path = WitnessConfig::path(&args.data_dir);
    ensure!(!path.exists(), "{} exists: this directory is a witness's already", path.display());
    let name = KeyName::try_new(&args.name)
        .with_context(|| format!("--name {:?}: 1 to 255 bytes without spaces and plus signs", args.name))?;
    // Before anything is on disk: what is refused leaves nothing behind.
    let probe =
        tallystick_log::SigningKey::try_from_seed(name.clone(), tallystick_log::KeyKind::Cosignature, &[1; 32])?;
    WitnessConfig::parse(&render(args, probe.verifier()))?;
    let passphrase = secret::passphrase(args.passphrase_file.as_deref(), true)?;
    ensure!(!passphrase.is_empty(), "the passphrase is empty");
    secret::make_private_dir(&args.data_dir)?;
    let _lock = WitnessLock::take(&args.data_dir)?;
    let key = key::make(&args.data_dir, &name, &passphrase)?;
    for dir in [records_dir(&args.data_dir), evidence_dir(&args.data_dir)] {
        OsFolder::create(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    // Last: a directory with a configuration is a whole one.
    write_config(&args.data_dir, &render(args, key.verifier()))?;
    print::until_closed(print::line(key.verifier().to_vkey()))
}

/// Begins the record of a log, and puts the log into the configuration if it is not there. Only with `--begin-anew` is
/// anything forgotten that was cosigned.
///
/// # Errors
/// If the witness runs, knows the log already, or a key is not the log's.
pub(super) fn add_log(args: &AddLog) -> Result<()> {
    let config = WitnessConfig::read(&args.data_dir)?;
    let known = config.logs.iter().find(|log| log.origin() == args.origin);
    ensure!(
        known.is_none() || args.begin_anew,
        "{} is in witness.toml already; another key for it goes into its `vkeys` there",
        args.origin
    );
    let parse = |vkey: &String| VerifierKey::parse(vkey).with_context(|| format!("--vkey {vkey}"));
    let log = TrustedLog::try_new(&args.origin, args.vkeys.iter().map(parse).collect::<Result<_>>()?)?;
    if let Some(known) = known {
        ensure!(known.keys() == log.keys(), "witness.toml has other keys for {}: give those", args.origin);
        let _lock = lock(&args.data_dir)?;
        return begin_anew(&OsFolder::create(&records_dir(&args.data_dir))?, &log);
    }
    let path = WitnessConfig::path(&args.data_dir);
    let mut text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let vkeys = log.keys().iter().map(|key| toml::Value::String(key.to_vkey())).collect();
    let origin = toml::Value::String(args.origin.clone());
    text.push_str(&format!("\n[[log]]\norigin = {origin}\nvkeys = {}\n", toml::Value::Array(vkeys)));
    WitnessConfig::parse(&text).context("witness.toml with the new log")?;
    let _lock = lock(&args.data_dir)?;
    // First: a log in the configuration has a record.
    let records = OsFolder::create(&records_dir(&args.data_dir))?;
    if args.begin_anew {
        begin_anew(&records, &log)?;
    } else if !Record::begin(&records, &log)? {
        Record::read(&records, &log, &config.vkey).context("there is a record of this log already")?;
        tell("the log is known from before: going on from what was last cosigned for it");
    }
    write_config(&args.data_dir, &text)
}

/// A witness reads its logs once, when it starts, and writes their records as long as it runs.
fn lock(data_dir: &Path) -> Result<WitnessLock> {
    WitnessLock::take(data_dir).context(
        "a log is added while the witness is stopped: stop it, give this command again, and start it; it knows the log then",
    )
}

fn begin_anew(records: &OsFolder, log: &TrustedLog) -> Result<()> {
    Record::begin_anew(records, log)?;
    let origin = log.origin();
    tell(&format!(
        "what was cosigned for {origin} is forgotten: this witness cosigns whatever history of it comes next, also one \
         that differs from what it has vouched for. Tell whoever relies on it"
    ));
    Ok(())
}

/// Replaces the configuration as a whole.
fn write_config(data_dir: &Path, text: &str) -> Result<()> {
    let path = WitnessConfig::path(data_dir);
    folder::replace(&OsFolder::at(data_dir), "witness.toml", text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

fn render(args: &WitnessInit, vkey: &VerifierKey) -> String {
    let quoted = |text: String| toml::Value::String(text).to_string();
    let prefix = match &args.submission_prefix {
        Some(prefix) => format!("submission_prefix = {}", quoted(prefix.clone())),
        None => "# submission_prefix = \"https://witness.example/w1\"".to_owned(),
    };
    format!(
        r#"# The configuration of this Tallystick witness.

# The key that verifies what the witness cosigns. Give it to the logs, and to whoever checks them. It is made of the
# witness's name and the secret in `witness_key`: neither can be changed. Required.
vkey = {vkey}
# Where the witness listens, without TLS: put a TLS proxy before it.
listen = {listen}
# The address under which logs reach it (the submission prefix of C2SP tlog-witness); the calls are under its path.
# Required when the witness listens on 0.0.0.0 or [::].
{prefix}

# The logs that are cosigned; `tally witness add-log` puts them here and begins their records. A log that changes its key
# has both in `vkeys` until it has had a checkpoint cosigned with the new one.
"#,
        vkey = quoted(vkey.to_vkey()),
        listen = quoted(args.listen.to_string()),
    )
}

#[allow(clippy::print_stderr, reason = "a hint for whoever runs the command")]
fn tell(text: &str) {
    eprintln!("note: {text}");
}
