//! `tally recover-admin`: an admin, by whoever has the machine and the passphrase.
//!
//! It is the way out when no admin is left who could: keys or authenticators are lost. Whoever has the seed has the node's
//! money anyway. It is a fact in the node's own word, public as every grant of a role is.

use anyhow::{Context, Result, ensure};
use std::sync::Arc;
use tallystick_app::{App, Clock, Parts, SystemClock};
use tallystick_core::Ctx;
use tallystick_lightning::LightningNode;

use crate::{cli::RecoverArgs, config::Config, mark::Mark, secret, serve::lightning_config, store::NodeStore};

/// Makes a key an admin's and an operator's, and its authenticator void. On SQLite the node must not be running.
///
/// # Errors
/// If the passphrase is wrong, the journal cannot be written, or there is none yet.
pub async fn run(args: RecoverArgs) -> Result<()> {
    let config = Config::read(&args.data_dir)?;
    let passphrase = secret::passphrase(args.passphrase_file.as_deref(), false)?;
    let sealed = LightningNode::open(lightning_config(&config)?, &passphrase).await?;
    let store = NodeStore::open(&config).await?;
    let recovered = recover(&config, &store, sealed.node_key(), &args).await;
    store.close().await;
    if recovered? {
        say!("{} is an admin and an operator now, without an authenticator: enrol one at once.", args.admin);
    } else {
        say!("{} is an admin and an operator already, without an authenticator.", args.admin);
    }
    Ok(())
}

async fn recover(
    config: &Config,
    store: &NodeStore,
    key: tallystick_core::NodeKey,
    args: &RecoverArgs,
) -> Result<bool> {
    if let NodeStore::Postgres(store, _) = store {
        store.claim_key(key.public()).await?;
    }
    let app = App::new(Parts {
        journal: store.journal(),
        log: store.log(),
        tasks: store.tasks(),
        clock: Arc::new(SystemClock),
        key,
        policy: config.policy.policy()?,
    });
    // Nothing is written to a journal that was put back.
    let mark = Mark::open(&config.data_dir, store.clone(), app.clone()).await?;
    ensure!(
        app.roles().await?.is_founded(),
        "this node has no roles yet: name the admin under [api] operators in tally.toml, and start it"
    );
    let head = store.head().await?;
    let last = store.journal().facts(head.seq.saturating_sub(1), 1).await?;
    let last = last.first().context("the journal is empty")?;
    // No chain is needed to say who is an admin: the height is what the journal knew last.
    let ctx = Ctx { now: SystemClock.now(), height: last.height, author: app.key() };
    let recovered = app.recover_admin(args.admin, &ctx).await?;
    mark.close().await;
    Ok(recovered)
}
