//! `tally init`: makes a node's directory.

use anyhow::{Context, Result, bail, ensure};
use bitcoin::Network;
use std::{fs, fs::File, io::ErrorKind, path::Path, path::PathBuf};
use tallystick_core::Digest32;
use tallystick_lightning::{LightningError, LightningNode};
use zeroize::Zeroizing;

use crate::{
    cli::{Init, Seed},
    config::{Config, FILE},
    secret,
};

/// What the configuration is called until it is whole.
const FILE_NEW: &str = "tally.toml.new";

/// Makes configuration and encrypted seed. Never overwrites either. If it is interrupted, the same call goes on.
///
/// # Errors
/// If the directory is a node's already, cannot be written, or holds a seed that the passphrase does not open.
pub fn run(args: &Init) -> Result<()> {
    let path = args.data_dir.join(FILE);
    ensure!(!path.exists(), "{} exists: this directory is a node's already", path.display());
    ensure!(
        args.birth_height.is_none() || args.seed_file.is_some(),
        "--birth-height says from which block on an earlier node's seed was paid: give that seed with --seed-file. A fresh seed, \
         which is made without it, has never been paid: leave --birth-height out"
    );
    if args.store_url.is_some() && args.seed_file.is_none() {
        tell("replicas of this node need the same seed: `tally seed` here, then --seed-file there");
    }
    // Before anything is on disk: what is refused leaves nothing behind.
    let text = render(args)?;
    Config::parse(&text, &args.data_dir)?;
    let restored = args.seed_file.as_deref().map(read_seed).transpose()?;
    let passphrase = secret::passphrase(args.passphrase_file.as_deref(), true)?;
    ensure!(!passphrase.is_empty(), "the passphrase is empty");
    secret::make_private_dir(&lightning_dir(&args.data_dir))?;
    make_seed(&lightning_dir(&args.data_dir), &passphrase, restored, args.birth_height.unwrap_or_default())?;
    // Last: a directory with a configuration is a whole one.
    write_config(&args.data_dir, &text)?;
    if args.operators.is_empty() {
        tell(
            "no --operator: nobody can see or move the node's money until [api] operators in tally.toml names its first admin",
        );
    }
    Ok(())
}

/// `tally seed`: shows the seed.
///
/// # Errors
/// If there is none, or the passphrase is wrong.
pub fn show_seed(args: &Seed) -> Result<()> {
    let passphrase = secret::passphrase(args.passphrase_file.as_deref(), false)?;
    let seed = LightningNode::reveal_seed(&lightning_dir(&args.data_dir), &passphrase)?;
    say!("{}", *Zeroizing::new(Digest32(*seed).to_string()));
    Ok(())
}

/// Where the Lightning node keeps its own things.
pub fn lightning_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("lightning")
}

fn read_seed(file: &Path) -> Result<Zeroizing<[u8; 32]>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let text = Zeroizing::new(text);
    let seed: Digest32 = text.trim().parse().context("a seed has 64 hexadecimal digits")?;
    Ok(Zeroizing::new(seed.0))
}

/// Makes the seed, or takes the one that an interrupted run left, if it is the wanted one.
fn make_seed(dir: &Path, passphrase: &str, restored: Option<Zeroizing<[u8; 32]>>, birth: u32) -> Result<()> {
    let made = match &restored {
        Some(seed) => LightningNode::restore(dir, passphrase, **seed, birth),
        None => LightningNode::create(dir, passphrase),
    };
    match made {
        Err(LightningError::SeedExists) => {}
        made => return Ok(made?),
    }
    let found = LightningNode::reveal_seed(dir, passphrase)
        .with_context(|| format!("{} has a seed without a configuration", dir.display()))?;
    match restored {
        Some(seed) if *seed != *found => bail!("{} has another seed already", dir.display()),
        _ => tell("a seed is there, and the passphrase opens it: going on with it, and with its birth height"),
    }
    Ok(())
}

/// Writes the configuration beside its place, makes it durable, and only then gives it its name.
fn write_config(data_dir: &Path, text: &str) -> Result<()> {
    let (new, path) = (data_dir.join(FILE_NEW), data_dir.join(FILE));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot replace {}", new.display()));
        }
        _ => secret::write_private(&new, text)?,
    }
    fs::rename(&new, &path).with_context(|| format!("cannot write {}", path.display()))?;
    File::open(data_dir)?.sync_all().with_context(|| format!("cannot write {}", data_dir.display()))
}

/// Where Bitcoin Core listens on this machine.
fn usual_rpc_url(network: Network) -> String {
    let port = match network {
        Network::Bitcoin => 8332,
        Network::Testnet => 18332,
        Network::Testnet4 => 48332,
        Network::Signet => 38332,
        Network::Regtest => 18443,
    };
    format!("http://127.0.0.1:{port}")
}

/// A text as TOML writes it, quotes and all.
fn quoted(text: impl ToString) -> toml::Value {
    toml::Value::String(text.to_string())
}

/// A path that stays right when the node is started from elsewhere. What it names need not be there yet.
fn absolute(path: &Path) -> Result<toml::Value> {
    let path = std::path::absolute(path).with_context(|| format!("no absolute path for {}", path.display()))?;
    Ok(quoted(path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?))
}

/// How to log in to Bitcoin Core; the other way stands beside it as a comment.
fn login(args: &Init) -> Result<String> {
    match (&args.rpc_cookie_file, &args.rpc_user, &args.rpc_password_file) {
        (Some(cookie), None, None) => Ok(format!(
            "rpc_cookie_file = {}\n# rpc_user = \"tally\"\n# rpc_password_file = \"rpc-password\"",
            absolute(cookie)?
        )),
        (None, Some(user), Some(file)) => Ok(format!(
            "# rpc_cookie_file = \".bitcoin/.cookie\"\nrpc_user = {}\nrpc_password_file = {}",
            quoted(user),
            absolute(file)?
        )),
        _ => bail!("give either --rpc-cookie-file, or --rpc-user and --rpc-password-file"),
    }
}

/// Where the store is.
fn store(args: &Init) -> Result<String> {
    let url = args.store_url.as_ref().map_or_else(
        || "# url = \"postgres://tally@db.example/journal\"".to_owned(),
        |url| format!("url = {}", quoted(url)),
    );
    let file = match &args.store_password_file {
        Some(file) => format!("password_file = {}", absolute(file)?),
        None => "# password_file = \"store-password\"".to_owned(),
    };
    Ok(format!("{url}\n{file}"))
}

/// What the configuration says of the log.
const LOG: &str = r#"[log]
# The journal as a log that anyone can check, at /log/ beside the API.
# Its name for ever, as clients and witnesses know it: a URL without a scheme. Absent: tallystick/<the node's key>.
# origin = "tally.example/log"
# How often a checkpoint is signed, if there is something new.
# interval_ms = 1000
# Who is asked to cosign each checkpoint (`tally witness` runs one), and how many must before it is published: more than
# half of them if absent.
# witnesses_needed = 2
# A start waits so long for enough of them to tell that they have seen no more than this journal holds. If they do not, the
# directory may have been put back to an older state, whose channels lose their money when they are opened: the node ends.
# With `true` it opens them all the same; for when the witnesses are away and what is in the channels cannot wait.
# start_wait_secs = 300
# start_without_witnesses = false
# [[log.witnesses]]
# url = "https://witness.example"
# vkey = "witness.example+…"
"#;

/// What a new configuration says of anchors.
const ANCHOR: &str = r"
# Anchors in Bitcoin: without the next line there are none, since they are paid from the node's coins on the chain.
# [anchor]
# So many new facts are reason for an anchor; after so many seconds, a single one is.
# facts_max = 10000
# interval_secs = 86400
# After so many blocks without a confirmation the fee is raised, up to so many satoshi per vbyte.
# bump_blocks = 6
# fee_rate_max_sat_vb = 200

";

/// Who is counted at the API, and how often anybody may ask.
const RATES: &str = r#"# Proxies before the API, such as ["127.0.0.1/32"]: their X-Forwarded-For tells where a request comes from.
# trusted_proxies = []

# How often one key, and one address (an IPv6 address by its /64), may ask: in a minute, and at once after a pause. Commands with
# invoices are taking a task, asking for its funding and offering a renewal. This machine itself is not counted.
# [api.rates]
# key_per_minute = 1200
# key_burst = 400
# address_per_minute = 3000
# address_burst = 1000
# key_invoices_per_minute = 30
# key_invoices_burst = 60
# address_invoices_per_minute = 120
# address_invoices_burst = 240
"#;

/// What people may have open, and how long what they filed is kept.
const PEOPLE: &str = "\
[standing]
# How much each key may have open at once, as requester and as worker, by its tier: novice, intermediate, advanced, expert.
# Private nodes, where everybody knows everybody, may turn it off.
# enforce = true
# open_sat = [200000, 1000000, 5000000, 20000000]
# open_tasks = [10, 30, 100, 300]
# Nor more than so many times what ended well in the last 180 days.
# factor = 3

[evidence]
# How many days after the end of its dispute what was filed is kept. The node cannot read it.
# retention_days = 90

";

/// What is asked of new tasks.
const POLICY: &str = "\
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
# A worker whose work is refused has so long to open a dispute, in a task with a panel; such holds are longer by two rounds of
# a dispute, each the sum of these blocks.
# dispute_window_secs = 21600
# dispute_draw_blocks = 6
# dispute_evidence_blocks = 18
# dispute_seat_blocks = 18
# dispute_commit_blocks = 36
# dispute_reveal_blocks = 18
# dispute_appeal_blocks = 12
# Disputes about less are decided by one, and by three arbitrators; from the second on by five.
# one_arbitrator_below_sat = 100000
# three_arbitrators_below_sat = 1000000
# What a panel divides of the fees of what is disputed; 2000 at most.
# arbitrator_share_basis_points = 2000
# The largest bond that terms may ask for.
# bond_max_sat = 100000
";

fn render(args: &Init) -> Result<String> {
    let rpc_url = args.rpc_url.clone().unwrap_or_else(|| usual_rpc_url(args.network));
    Ok(format!(
        r#"# The configuration of this Tallystick node. Every key is optional unless it says otherwise; the values
# behind # are the defaults.

# bitcoin, testnet, testnet4, signet or regtest. Required, and never changed once the node holds money.
network = {network}

[bitcoin]
# Bitcoin Core's RPC address. Required.
rpc_url = {rpc_url}
# How to log in: its cookie file, or a user and a file with that user's password. One of them is required.
{login}

[store]
# Where the journal and the Lightning node's state are kept: SQLite files in this directory, or a PostgreSQL database (15
# or later) that several replicas share.
{store}
# How long a replica may be silent before another takes the Lightning node over.
# lease_secs = 5

[lightning]
# Where peers may connect.
listen = [{peer_listen}]
# Where the network is told to reach this node; empty: it is not told.
# announce = []
# The name in gossip, 32 bytes at most.
# alias = "tallystick"
# Whether payments of others are forwarded.
# forward = false

[api]
# Where the API listens.
listen = {api_listen}
# The addresses under which clients reach it, such as "https://tally.example/graphql": they sign them. Clients on this
# machine may always sign http://localhost:<port>/graphql. Required when the API listens on 0.0.0.0 or [::].
public_urls = {public_urls}
# A worker's bond is taken only while users reach the node: every few seconds it asks itself through its listener and, from this
# machine, through the public_urls; or, if these cannot all be reached from here, through those that this names.
# look_at = []
# The node's first admins, who are operators as well: Nostr public keys, 64 hexadecimal digits. From the first start on admins
# say who has which role (`tally admin`), and this is not looked at any more.
operators = {operators}
{RATES}
{LOG}{ANCHOR}{PEOPLE}{POLICY}"#,
        network = quoted(args.network),
        rpc_url = quoted(rpc_url),
        login = login(args)?,
        store = store(args)?,
        peer_listen = quoted(args.peer_listen),
        api_listen = quoted(args.api_listen),
        public_urls = toml::Value::Array(args.public_urls.iter().map(quoted).collect()),
        operators = toml::Value::Array(args.operators.iter().map(quoted).collect()),
    ))
}

#[allow(clippy::print_stderr, reason = "a hint for whoever runs the command")]
fn tell(text: &str) {
    eprintln!("note: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::os::unix::fs::PermissionsExt;

    use crate::cli::{Cli, Command};

    fn arguments(dir: &Path, more: &[&str]) -> Init {
        fs::write(dir.join("words"), "correct horse\n").unwrap();
        let (node, words) = (dir.join("a \"node\""), dir.join("words"));
        let paths = ["--data-dir", node.to_str().unwrap(), "--passphrase-file", words.to_str().unwrap()];
        let line = ["tally", "init"].iter().chain(&paths).chain(more);
        match Cli::try_parse_from(line).unwrap().command {
            Command::Init(args) => args,
            _ => panic!("init is init"),
        }
    }

    #[test]
    fn a_nodes_directory_is_its_owners_alone_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let args = arguments(dir.path(), &["--network", "signet", "--rpc-cookie-file", "a \"cookie\"\\n"]);
        run(&args).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&args.data_dir), 0o700);
        assert_eq!(mode(&lightning_dir(&args.data_dir)), 0o700);
        assert_eq!(mode(&args.data_dir.join(FILE)), 0o600);
        let config = Config::read(&args.data_dir).unwrap();
        assert_eq!(config.network, Network::Signet);
        assert_eq!(config.bitcoin.rpc_url, "http://127.0.0.1:38332");
        let cookie = std::env::current_dir().unwrap().join("a \"cookie\"\\n");
        assert_eq!(config.bitcoin.rpc_cookie_file, Some(cookie), "escaped, and absolute");
        assert!(run(&args).unwrap_err().to_string().contains("a node's already"));
    }

    #[test]
    fn what_is_told_of_people_and_tasks_are_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let args = arguments(dir.path(), &["--rpc-cookie-file", "c"]);
        run(&args).unwrap();
        let text = fs::read_to_string(args.data_dir.join(FILE)).unwrap();
        let (before, told) = text.split_once("[standing]").unwrap();
        let keys = told.lines().filter(|line| line.starts_with("# ") && line.contains(" = ")).count();
        let told: String = told
            .lines()
            .map(|line| line.strip_prefix("# ").filter(|line| line.contains(" = ")).unwrap_or(line).to_owned() + "\n")
            .collect();
        let config = Config::parse(&format!("{before}[standing]{told}"), &args.data_dir).unwrap();
        let silent = Config::parse(&text, &args.data_dir).unwrap();
        assert_eq!(keys, 27, "each has its line");
        assert_eq!(config.policy.policy().unwrap(), tallystick_escrow::Policy::default());
        assert_eq!(config.standing.limits().unwrap(), silent.standing.limits().unwrap());
    }

    #[test]
    fn a_user_and_a_password_do_instead_of_the_cookie() {
        let dir = tempfile::tempdir().unwrap();
        let args = arguments(dir.path(), &["--rpc-user", "me", "--rpc-password-file", "secret"]);
        run(&args).unwrap();
        let config = Config::read(&args.data_dir).unwrap();
        assert_eq!(config.bitcoin.rpc_user.as_deref(), Some("me"));
        assert!(config.bitcoin.rpc_password_file.unwrap().is_absolute());
        for half in [&["--rpc-user", "me"][..], &["--rpc-password-file", "x"], &[]] {
            assert!(Cli::try_parse_from(["tally", "init"].iter().chain(half)).is_err(), "{half:?}");
        }
    }

    #[test]
    fn an_interrupted_run_is_taken_up_again() {
        let dir = tempfile::tempdir().unwrap();
        let args = arguments(dir.path(), &["--rpc-cookie-file", "c"]);
        let lightning = lightning_dir(&args.data_dir);
        LightningNode::create(&lightning, "correct horse").unwrap();
        let seed = LightningNode::reveal_seed(&lightning, "correct horse").unwrap();
        fs::write(args.data_dir.join(FILE_NEW), "half a configurat").unwrap();

        fs::write(dir.path().join("words"), "battery staple").unwrap();
        assert!(run(&args).is_err(), "somebody else's seed");
        assert!(!args.data_dir.join(FILE).exists());
        fs::write(dir.path().join("words"), "correct horse").unwrap();
        run(&args).unwrap();
        assert_eq!(*LightningNode::reveal_seed(&lightning, "correct horse").unwrap(), *seed);
        assert!(!args.data_dir.join(FILE_NEW).exists());
    }

    #[test]
    fn another_seed_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let seed_file = dir.path().join("seed");
        fs::write(&seed_file, "ab".repeat(32)).unwrap();
        let args = arguments(dir.path(), &["--rpc-cookie-file", "c", "--seed-file", seed_file.to_str().unwrap()]);
        LightningNode::create(&lightning_dir(&args.data_dir), "correct horse").unwrap();
        assert!(run(&args).unwrap_err().to_string().contains("another seed"));
    }

    #[test]
    fn what_is_refused_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let line = ["--rpc-cookie-file", "c", "--api-listen", "0.0.0.0:8080"];
        let args = arguments(dir.path(), &line);
        assert!(run(&args).unwrap_err().to_string().contains("public_urls"));
        assert!(!args.data_dir.exists());
        let args = arguments(dir.path(), &["--rpc-cookie-file", "c"]);
        fs::write(dir.path().join("words"), "\n").unwrap();
        assert!(run(&args).unwrap_err().to_string().contains("passphrase is empty"));
        assert!(!args.data_dir.exists());
        let named = [&line[..], &["--public-url", "https://tally.example/graphql"]].concat();
        run(&arguments(dir.path(), &named)).unwrap();
    }
}
