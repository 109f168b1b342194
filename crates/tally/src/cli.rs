//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{net::SocketAddr, path::PathBuf};
use tallystick_core::{Digest32, NostrKey};

/// Bitcoin-native escrow: signed claims, attested by the parties, settled over Lightning, checkable by anyone.
#[derive(Debug, Parser)]
#[command(name = "tally", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a node's directory: configuration and encrypted seed
    Init(Init),
    /// Run the node: Lightning, escrow and API
    Serve(Serve),
    /// Show the node's seed, to be written down: whoever reads it owns the node's money
    Seed(Seed),
    /// Make or show a user's key
    #[command(subcommand)]
    Key(KeyCommand),
    /// Post, take, fund, hand in and decide tasks on a node
    Task {
        /// Which node, and who asks.
        #[command(flatten)]
        access: Access,
        /// What to ask.
        #[command(subcommand)]
        command: TaskCommand,
    },
    /// See and move a node's money; its operators only
    Node {
        /// Which node, and who asks.
        #[command(flatten)]
        access: Access,
        /// What to ask.
        #[command(subcommand)]
        command: NodeCommand,
    },
    /// Play the five stories of escrow on a private Bitcoin and Lightning network
    Demo {
        /// Leave everything running afterwards, and print addresses, keys and example calls
        #[arg(long)]
        keep: bool,
    },
}

/// Arguments of `tally init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Where the node keeps everything
    #[arg(long, default_value = "tally-data")]
    pub data_dir: PathBuf,
    /// The Bitcoin network: bitcoin, testnet, testnet4, signet or regtest
    #[arg(long, default_value = "regtest")]
    pub network: bitcoin::Network,
    /// Bitcoin Core's RPC address; this machine, at the network's usual port, if absent
    #[arg(long)]
    pub rpc_url: Option<String>,
    /// Bitcoin Core's cookie file
    #[arg(long, required_unless_present = "rpc_user", conflicts_with = "rpc_user")]
    pub rpc_cookie_file: Option<PathBuf>,
    /// A fixed user of Bitcoin Core instead of the cookie
    #[arg(long, requires = "rpc_password_file")]
    pub rpc_user: Option<String>,
    /// A file with that user's password
    #[arg(long, requires = "rpc_user")]
    pub rpc_password_file: Option<PathBuf>,
    /// Where the API is to listen
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub api_listen: SocketAddr,
    /// An address under which clients reach the API, such as https://tally.example/graphql; may be given more than once
    #[arg(long = "public-url")]
    pub public_urls: Vec<String>,
    /// Where Lightning peers may connect
    #[arg(long, default_value = "0.0.0.0:9735")]
    pub peer_listen: SocketAddr,
    /// The key of an operator: 64 hexadecimal digits; may be given more than once
    #[arg(long = "operator")]
    pub operators: Vec<NostrKey>,
    /// A file with the seed of an earlier node, 64 hexadecimal digits; absent: a fresh one
    #[arg(long)]
    pub seed_file: Option<PathBuf>,
    /// A file with the passphrase; else TALLY_PASSPHRASE, else it is asked for
    #[arg(long)]
    pub passphrase_file: Option<PathBuf>,
}

/// Arguments of `tally seed`.
#[derive(Debug, Args)]
pub struct Seed {
    /// Where the node keeps everything
    #[arg(long, default_value = "tally-data")]
    pub data_dir: PathBuf,
    /// A file with the passphrase; else TALLY_PASSPHRASE, else it is asked for
    #[arg(long)]
    pub passphrase_file: Option<PathBuf>,
}

/// Arguments of `tally serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where the node keeps everything
    #[arg(long, default_value = "tally-data")]
    pub data_dir: PathBuf,
    /// A file with the passphrase; else TALLY_PASSPHRASE, else it is asked for
    #[arg(long)]
    pub passphrase_file: Option<PathBuf>,
    /// How logs are written
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Stop when the standard input ends: whoever started the node holds its other end, and is gone then
    #[arg(long, hide = true)]
    pub until_stdin_closes: bool,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// Which node, and who asks.
#[derive(Debug, Args)]
pub struct Access {
    /// The node's GraphQL address
    #[arg(long, env = "TALLY_URL", default_value = "http://127.0.0.1:8080/graphql", global = true)]
    pub url: String,
    /// The user's encrypted key; `tally key new` makes one
    #[arg(long, env = "TALLY_KEY", global = true)]
    pub key: Option<PathBuf>,
    /// A file with the key's passphrase; else TALLY_PASSPHRASE, else it is asked for
    #[arg(long, global = true)]
    pub passphrase_file: Option<PathBuf>,
}

/// Users' keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key, encrypted with a passphrase (NIP-49)
    New(KeyFile),
    /// Show a key's public half
    Show(KeyFile),
}

/// A key's file.
#[derive(Debug, Args)]
pub struct KeyFile {
    /// The file; ~/.config/tallystick/key if absent
    #[arg(long, env = "TALLY_KEY")]
    pub key: Option<PathBuf>,
    /// A file with the passphrase; else TALLY_PASSPHRASE, else it is asked for
    #[arg(long)]
    pub passphrase_file: Option<PathBuf>,
}

/// What happens when the requester says nothing in time.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum OnSilence {
    /// The worker is paid
    Release,
    /// The requester gets the money back
    Refund,
}

/// Commands to tasks.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// Post a task
    Create {
        /// What it is about, in one line
        #[arg(long)]
        title: String,
        /// SHA-256 of the full description
        #[arg(long)]
        description_hash: Digest32,
        /// What the worker gets, in sats; one for each tranche
        #[arg(long = "payout-sat", required = true)]
        payouts_sat: Vec<u64>,
        /// Hours until work must be submitted
        #[arg(long, default_value_t = 24)]
        work_hours: u64,
        /// Hours to look at the work
        #[arg(long, default_value_t = 24)]
        review_hours: u64,
        /// What happens when the requester says nothing in time
        #[arg(long, value_enum, default_value = "release")]
        on_silence: OnSilence,
        /// For how many blocks the hold must be usable; from the hours if absent
        #[arg(long)]
        hold_blocks: Option<u32>,
        /// The task's id, a UUIDv7 of your own: a repeated call then makes no second task
        #[arg(long)]
        id: Option<String>,
    },
    /// Take a task, with one BOLT 11 invoice per tranche
    Accept {
        /// The task
        id: String,
        /// One for each tranche, in order
        #[arg(required = true)]
        invoices: Vec<String>,
    },
    /// Get the funding invoices
    Fund {
        /// The task
        id: String,
    },
    /// Hand in work
    Submit {
        /// The task
        id: String,
        /// SHA-256 of the work
        #[arg(long)]
        work_hash: Digest32,
    },
    /// Accept the work: the worker is paid
    Approve {
        /// The task
        id: String,
    },
    /// Refuse the work: the requester gets the money back
    Reject {
        /// The task
        id: String,
        /// SHA-256 of the reasons
        #[arg(long)]
        reason_hash: Digest32,
    },
    /// Step back from a task
    Cancel {
        /// The task
        id: String,
    },
    /// Show a task
    Show {
        /// The task
        id: String,
    },
    /// List tasks, the newest first
    List {
        /// Only tasks in this state, such as open or held
        #[arg(long = "state")]
        states: Vec<String>,
        /// Only tasks of this requester
        #[arg(long)]
        requester: Option<NostrKey>,
        /// Only tasks of this worker
        #[arg(long)]
        worker: Option<NostrKey>,
        /// How many at most
        #[arg(long, default_value_t = 20)]
        first: u32,
        /// Continue after this cursor
        #[arg(long)]
        after: Option<String>,
    },
    /// Follow a task, or all tasks, until interrupted
    Watch {
        /// The task; all if absent
        id: Option<String>,
    },
}

/// An operator's commands.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// The node at a glance; anyone may ask
    Info,
    /// The node's money
    Balances,
    /// The node's channels
    Channels,
    /// The newest payments
    Payments {
        /// How many at most
        #[arg(long, default_value_t = 20)]
        first: u32,
    },
    /// A fresh on-chain address
    Address,
    /// Connect to a peer
    Connect {
        /// The peer's public key
        peer: String,
        /// host:port
        address: String,
    },
    /// Open a channel
    Open {
        /// The peer's public key
        peer: String,
        /// host:port, unless connected
        #[arg(long)]
        address: Option<String>,
        /// The channel's size
        #[arg(long)]
        capacity_sat: u64,
        /// What the peer gets of it at once
        #[arg(long, default_value_t = 0)]
        push_sat: u64,
        /// Tell the network about it
        #[arg(long)]
        announce: bool,
    },
    /// Close a channel
    Close {
        /// The channel's id
        channel_id: String,
        /// Alone, if the peer does not answer
        #[arg(long)]
        force: bool,
    },
    /// Pay a BOLT 11 invoice
    Pay {
        /// The invoice
        bolt11: String,
        /// The most that routing may cost
        #[arg(long, default_value_t = 10)]
        fee_limit_sat: u64,
    },
    /// Make an invoice that the node settles by itself
    Invoice {
        /// The amount
        #[arg(long)]
        amount_sat: u64,
        /// What the payer's wallet shows
        #[arg(long, default_value = "")]
        description: String,
        /// How long it can be paid
        #[arg(long, default_value_t = 3600)]
        expiry_secs: u64,
    },
}
