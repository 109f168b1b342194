//! What commands say to somebody who erred, or whose store is damaged: what is wrong, in the words of who gave the command.

use anyhow::{Context, Result};
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};
use tally::{demo::Platform, init::lightning_dir, store::JOURNAL};
use tallystick_app::port::journal::Journal as _;
use tallystick_core::Digest32;
use tallystick_log::{KeyKind, KeyName, SigningKey};
use tallystick_store::SqliteStore;
use tallystick_testkit::{Cluster, store_suite::fixture::append};
use tallystick_witness::WitnessLock;

use crate::{store::nowhere, support::BINARY};

/// A node's directory, with a journal.
async fn node(place: &Path) -> Result<PathBuf> {
    let dir = Platform::init(Path::new(BINARY), place, &nowhere())?.dir().to_owned();
    let store = SqliteStore::open(dir.join(JOURNAL))?;
    store.append(append(1, 0)).await?;
    store.close().await;
    Ok(dir)
}

/// What a command that must fail says of it.
fn refusal(words: &[&str], paths: &[(&str, &Path)]) -> Result<String> {
    let mut command = Command::new(BINARY);
    command.args(words);
    for (name, path) in paths {
        command.arg(name).arg(path);
    }
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(!output.status.success(), "{words:?} went well: {output:?}");
    let error = said.lines().find_map(|line| line.strip_prefix("error: "));
    Ok(error.with_context(|| said.clone())?.to_owned())
}

#[tokio::test]
async fn a_path_that_is_not_there_is_named() -> Result<()> {
    let place = tempfile::tempdir()?;
    let dir = node(place.path()).await?;
    let passphrase = dir.join("passphrase");
    let own = [("--data-dir", dir.as_path()), ("--passphrase-file", &passphrase)];
    let out = place.path().join("nb/x.backup");
    let said = refusal(&["backup"], &[&own[..], &[("--out", &out)]].concat())?;
    let folder = place.path().join("nb");
    assert_eq!(said, format!("--out {}: there is no folder {}; make it first", out.display(), folder.display()));
    assert!(!folder.exists());

    let fresh = place.path().join("fresh");
    let into = [("--data-dir", fresh.as_path()), ("--passphrase-file", &passphrase)];
    let said = refusal(&["restore"], &[&into[..], &[("--from", &out)]].concat())?;
    assert_eq!(said, format!("--from {}: there is no such file", out.display()));
    let said = refusal(&["restore"], &[&into[..], &[("--from", place.path())]].concat())?;
    assert_eq!(said, format!("--from {}: this is a folder; name a backup in it", place.path().display()));
    assert!(!fresh.exists());
    Ok(())
}

#[tokio::test]
async fn a_lost_state_of_the_log_is_damage() -> Result<()> {
    let place = tempfile::tempdir()?;
    let dir = node(place.path()).await?;
    let conn = rusqlite::Connection::open(dir.join(JOURNAL))?;
    assert_eq!(conn.execute("DELETE FROM log_state", [])?, 1);
    drop(conn);
    let own = [("--data-dir", dir.as_path())];
    for (words, ending) in [(&["fsck"][..], "(fsck.log); "), (&["store", "rebuild"], " (store.corrupt)")] {
        let said = refusal(words, &own)?;
        assert!(said.contains("how far the log has come is missing") && said.contains(ending), "{words:?}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_second_node_on_one_directory_is_told_so() -> Result<()> {
    let place = tempfile::tempdir()?;
    let dir = node(place.path()).await?;
    // As the first one has it: the lock, and the port.
    let (store, port) = (SqliteStore::open(dir.join(JOURNAL))?, TcpListener::bind("127.0.0.1:0")?);
    let config = dir.join("tally.toml");
    let text = fs::read_to_string(&config)?;
    let listen = text.lines().find(|line| line.starts_with("listen = \"")).context("the API listens")?;
    fs::write(&config, text.replacen(listen, &format!("listen = \"{}\"", port.local_addr()?), 1))?;
    let passphrase = dir.join("passphrase");
    let own = [("--data-dir", dir.as_path()), ("--passphrase-file", &passphrase)];
    let said = refusal(&["serve"], &own)?;
    assert!(said.contains("another process has this database open; stop it first (store.unavailable)"), "{said}");
    store.close().await;
    let said = refusal(&["serve"], &own)?;
    assert!(said.contains("in use") && said.contains("[api]"), "{said}");
    Ok(())
}

/// Where a restore took the channels, nobody speaks of databases.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_went_elsewhere_say_what_took_them() -> Result<()> {
    let place = tempfile::tempdir()?;
    let dir = node(place.path()).await?;
    let own = [("--data-dir", dir.as_path())];
    let taken = lightning_dir(&dir).join("lightning.sqlite.moved");
    fs::write(&taken, [])?;
    let said = refusal(&["store", "status"], &own)?;
    let begin = "the node is not here any more: `tally restore --lightning` took the channels of this directory";
    assert!(said.starts_with(begin) && said.ends_with("(store.moved)"), "{said}");
    fs::remove_file(&taken)?;

    let url = Cluster::shared().database();
    let mut copy = Command::new(BINARY);
    let copied = copy.args(["store", "copy", "--to", &url, "--from"]).arg(&dir).output()?;
    assert!(copied.status.success(), "{copied:?}");
    // Under its new name, and under the old one, as somebody who put it back has it.
    let moved = dir.join("journal.sqlite.moved");
    for name in [&moved, &dir.join(JOURNAL)] {
        fs::rename(&moved, name)?;
        let said = refusal(&["store", "status"], &own)?;
        let begin = format!("the node is not here any more: {} is what `tally store copy` left", name.display());
        assert!(said.starts_with(&begin) && said.ends_with("(store.moved)"), "{said}");
    }
    Ok(())
}

#[test]
fn a_birth_height_belongs_to_a_seed() -> Result<()> {
    let place = tempfile::tempdir()?;
    let (dir, passphrase, seed) =
        (place.path().join("node"), place.path().join("passphrase"), place.path().join("seed"));
    fs::write(&passphrase, "correct horse")?;
    let rpc = ["--network", "regtest", "--rpc-user", "u", "--rpc-password-file", "p", "--birth-height", "7"];
    let words = [&["init"][..], &rpc].concat();
    let paths = [("--data-dir", dir.as_path()), ("--passphrase-file", &passphrase)];
    let said = refusal(&words, &paths)?;
    assert!(said.starts_with("--birth-height says from which block on") && said.contains("--seed-file"), "{said}");
    assert!(!dir.exists());
    fs::write(&seed, Digest32([7; 32]).to_string())?;
    let mut command = Command::new(BINARY);
    command.args(words).arg("--seed-file").arg(&seed);
    for (name, path) in paths {
        command.arg(name).arg(path);
    }
    let made = command.output()?;
    assert!(made.status.success(), "{made:?}");
    Ok(())
}

#[test]
fn a_witness_that_runs_is_to_be_stopped_first() -> Result<()> {
    let place = tempfile::tempdir()?;
    let (dir, passphrase) = (place.path().join("witness"), place.path().join("passphrase"));
    fs::write(&passphrase, "correct horse")?;
    let mut init = Command::new(BINARY);
    init.args(["witness", "init", "--name", "witness.example/w1", "--data-dir"]).arg(&dir);
    let made = init.arg("--passphrase-file").arg(&passphrase).output()?;
    assert!(made.status.success(), "{made:?}");
    let lock = WitnessLock::take(&dir)?;
    let log = SigningKey::try_from_seed(KeyName::try_new("log.example/1")?, KeyKind::Note, &[7; 32])?;
    let vkey = log.verifier().to_vkey();
    let words = ["witness", "add-log", "--origin", "log.example/1", "--vkey", &vkey];
    let said = refusal(&words, &[("--data-dir", &dir)])?;
    assert!(said.starts_with("a log is added while the witness is stopped: stop it"), "{said}");
    let said = refusal(&["witness", "serve"], &[("--data-dir", &dir), ("--passphrase-file", &passphrase)])?;
    assert!(said.contains("in use by another process"), "{said}");
    drop(lock);
    Ok(())
}
