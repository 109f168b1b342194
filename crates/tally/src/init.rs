//! `tally init`: makes a node's directory.

use anyhow::{Context, Result, ensure};
use std::{fs, path::Path};
use tallystick_core::Digest32;
use tallystick_lightning::LightningNode;
use zeroize::Zeroizing;

use crate::{
    cli::{Init, Seed},
    config::{Config, FILE},
    secret,
};

/// Makes configuration and encrypted seed. Never overwrites.
///
/// # Errors
/// If the directory is a node's already, or cannot be written.
pub fn run(args: &Init) -> Result<()> {
    let path = args.data_dir.join(FILE);
    ensure!(!path.exists(), "{} exists: this directory is a node's already", path.display());
    let passphrase = secret::passphrase(args.passphrase_file.as_deref(), true)?;
    fs::create_dir_all(&args.data_dir).with_context(|| format!("cannot create {}", args.data_dir.display()))?;
    let dir = lightning_dir(&args.data_dir);
    match &args.seed_file {
        Some(file) => LightningNode::restore(&dir, &passphrase, *read_seed(file)?)?,
        None => LightningNode::create(&dir, &passphrase)?,
    }
    // Last: a directory with a configuration is a whole one.
    write_config(args, &path)?;
    Config::read(&args.data_dir).map(drop)
}

/// `tally seed`: shows the seed.
///
/// # Errors
/// If there is none, or the passphrase is wrong.
#[allow(clippy::print_stdout, reason = "its owner asked to see it")]
pub fn show_seed(args: &Seed) -> Result<()> {
    let passphrase = secret::passphrase(args.passphrase_file.as_deref(), false)?;
    let seed = LightningNode::reveal_seed(&lightning_dir(&args.data_dir), &passphrase)?;
    println!("{}", *Zeroizing::new(Digest32(*seed).to_string()));
    Ok(())
}

fn read_seed(file: &Path) -> Result<Zeroizing<[u8; 32]>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let text = Zeroizing::new(text);
    let seed: Digest32 = text.trim().parse().context("a seed has 64 hexadecimal digits")?;
    Ok(Zeroizing::new(seed.0))
}

/// Where the Lightning node keeps its own things.
pub fn lightning_dir(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("lightning")
}

fn write_config(args: &Init, path: &Path) -> Result<()> {
    let cookie = fs::canonicalize(&args.rpc_cookie_file).unwrap_or_else(|_| args.rpc_cookie_file.clone());
    let operators: Vec<String> = args.operators.iter().map(ToString::to_string).collect();
    let text = format!(
        r#"# The configuration of this Tallystick node. Every key is optional unless it says otherwise; the values
# behind # are the defaults.

# bitcoin, testnet, testnet4, signet or regtest. Required, and never changed once the node holds money.
network = "{network}"

[bitcoin]
# Bitcoin Core's RPC address. Required.
rpc_url = "{rpc_url}"
# How to log in: its cookie file, or a user and a file with that user's password. One of them is required.
rpc_cookie_file = {cookie}
# rpc_user = "tally"
# rpc_password_file = "rpc-password"

[lightning]
# Where peers may connect.
listen = ["{peer_listen}"]
# Where the network is told to reach this node; empty: it is not told.
# announce = []
# The name in gossip, 32 bytes at most.
# alias = "tallystick"
# Whether payments of others are forwarded.
# forward = false

[api]
# Where the API listens.
listen = "{api_listen}"
# The addresses under which clients reach it: they sign them. From `listen` if empty.
# public_urls = ["https://tally.example/graphql"]
# Who may see the node's money and move it: Nostr public keys, 64 hexadecimal digits.
operators = {operators:?}

[policy]
# What is asked of new tasks. Tasks that exist keep what they were created with.
# The platform's fee on each payout, and the least that it may be. The route of a payout may cost as much as its fee.
# fee_basis_points = 100
# fee_min_sat = 10
# payout_min_sat = 1000
# payout_max_sat = 5000000
# tranches_max = 8
# final_cltv_max_blocks = 1000
# payout_cltv_max_blocks = 288
# payee_final_cltv_max_blocks = 144
# payout_margin_blocks = 48
# funding_window_secs = 3600
# review_window_max_secs = 345600
"#,
        network = args.network,
        peer_listen = args.peer_listen,
        api_listen = args.api_listen,
        rpc_url = args.rpc_url,
        cookie = toml::Value::String(cookie.to_string_lossy().into_owned()),
    );
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
