//! The command line.

mod admin;
mod anchor;
mod backup;
mod check;
mod client;
mod dispute;
mod hammer;
mod sim;
mod standing;
mod witness;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{net::SocketAddr, path::PathBuf};
use tallystick_core::NostrKey;

pub use admin::{AdminAction, AdminCommand, RecoverArgs, RoleName, SecondFactorArgs};
pub use anchor::{AnchorCommand, AnchorExport};
pub use backup::{BackupArgs, RestoreArgs};
pub use check::{FsckArgs, JournalCommand, Parties, Trust, VerifyArgs};
pub use client::{
    Access, KeyCommand, KeyFile, Milestone, NodeCommand, NodeSide, OnSilence, PanelSize, Payee, TaskCommand,
};
pub use dispute::{ArbitratorCommand, Bond, DisputeCommand, EvidenceCommand, OfMilestone, SeatCommand};
pub use hammer::HammerArgs;
pub use sim::SimArgs;
pub use standing::{AnomaliesArgs, Side, StandingArgs};
pub use witness::{AddLog, WitnessCommand, WitnessDir, WitnessInit, WitnessServe};

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
    /// Show the node's seed, to be written down on paper. Keep the output private: whoever reads it owns the node's money
    Seed(Seed),
    /// Look at a journal, bring its tables up to date, or move it from SQLite to PostgreSQL
    #[command(subcommand)]
    Store(StoreCommand),
    /// Copy a node's journal, configuration and sealed seed into one file, while it runs. Its channels are not in it
    Backup(BackupArgs),
    /// Make a node's directory from a backup, unless witnesses have seen more than it holds
    Restore(RestoreArgs),
    /// Check a journal from its first fact: chain, signatures, tree, read models. Names the first bad fact
    Fsck(FsckArgs),
    /// Check a bundle, as `tally task prove` writes it: needs no node and no network
    Verify(VerifyArgs),
    /// Erase what a journal says, while what it proves stays; write its facts into a file
    Journal {
        /// Which node, and who asks.
        #[command(flatten)]
        access: Access,
        /// What to ask.
        #[command(subcommand)]
        command: JournalCommand,
    },
    /// See the log's anchors in Bitcoin, and write their proofs
    #[command(subcommand)]
    Anchor(AnchorCommand),
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
    /// Tell somebody's standing as requester and as worker, and what it is made of
    Standing(StandingArgs),
    /// Tell what looks odd in all that ended on a node, for people to look at; its operators only
    Anomalies(AnomaliesArgs),
    /// Have a panel of arbitrators decide, show it evidence, sit on it
    Dispute {
        /// Which node, and who asks.
        #[command(flatten)]
        access: Access,
        /// What to ask.
        #[command(subcommand)]
        command: DisputeCommand,
    },
    /// Offer to sit on panels; operators admit and suspend
    Arbitrator {
        /// Which node, and who asks.
        #[command(flatten)]
        access: Access,
        /// What to ask.
        #[command(subcommand)]
        command: ArbitratorCommand,
    },
    /// See a node and run it; its operators only. To pay and to close channels is its admins'
    Node {
        /// Which node, and who asks.
        #[command(flatten)]
        access: Access,
        /// What to ask.
        #[command(subcommand)]
        command: NodeCommand,
    },
    /// Say who has which role, and do what takes a second factor; the node's admins only
    Admin {
        /// Which node, and who asks.
        #[command(flatten)]
        access: Access,
        /// What to ask.
        #[command(subcommand)]
        command: AdminCommand,
    },
    /// Make somebody an admin of the node in this directory: for when keys or authenticators are lost. On SQLite the node must
    /// not run
    RecoverAdmin(RecoverArgs),
    /// Cosign checkpoints of logs, as a witness that no log can show two histories
    #[command(subcommand)]
    Witness(WitnessCommand),
    /// Load a running node through its public API, and check every reply, the log and the proofs while it writes
    Hammer(HammerArgs),
    /// Play tasks by the thousand in virtual time, with crashes, lost answers and everything else that goes wrong, and check
    /// every law after every step. Needs no node
    Sim(SimArgs),
    /// Play the stories of escrow on a private Bitcoin and Lightning network
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
    /// An address under which clients reach the API, such as <https://tally.example/graphql>; may be given more than once
    #[arg(long = "public-url")]
    pub public_urls: Vec<String>,
    /// Where Lightning peers may connect
    #[arg(long, default_value = "0.0.0.0:9735")]
    pub peer_listen: SocketAddr,
    /// The key of one of the first admins, who are operators as well: 64 hexadecimal digits; may be given more than once
    #[arg(long = "operator")]
    pub operators: Vec<NostrKey>,
    /// Keep everything in this PostgreSQL database (15 or later) instead of in SQLite files; the same for all replicas
    #[arg(long)]
    pub store_url: Option<String>,
    /// With --store-url: a file with the database's password
    #[arg(long, requires = "store_url")]
    pub store_password_file: Option<PathBuf>,
    /// A file with the seed of an earlier node, 64 hexadecimal digits; absent: a fresh one
    #[arg(long)]
    pub seed_file: Option<PathBuf>,
    /// With --seed-file: the block before which nothing was paid to the seed; all blocks from there are read once
    #[arg(long)]
    pub birth_height: Option<u32>,
    /// A file with the passphrase; else TALLY_PASSPHRASE, else it is asked for
    #[arg(long)]
    pub passphrase_file: Option<PathBuf>,
}

/// What `tally store` does.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Bring the database's tables up to date; `tally serve` does it as well
    Migrate(StorePlace),
    /// Tell what the store is and holds, also while the node runs
    Status(StorePlace),
    /// Make again what the facts of a stopped node make: the read models, and the tiles of the log's tree; then check
    /// everything, as `tally fsck` does
    Rebuild(StorePlace),
    /// Move a stopped node from the SQLite files of its directory into an empty PostgreSQL database, and verify the copy
    Copy(StoreCopy),
    /// Give a directory its node back from a copy that did not come to its end, and never can from then on. Refuses unless
    /// that copy's database says that it has not ended. Never with a database that was itself put back to an older state
    TakeBack(StoreCopy),
}

/// Which store.
#[derive(Debug, Args)]
pub struct StorePlace {
    /// The node's directory: its configuration tells where the store is
    #[arg(long, default_value = "tally-data")]
    pub data_dir: PathBuf,
}

/// Arguments of `tally store copy` and `tally store take-back`.
#[derive(Debug, Args)]
pub struct StoreCopy {
    /// The directory of the node on SQLite; it must not be running
    #[arg(long, default_value = "tally-data")]
    pub from: PathBuf,
    /// The PostgreSQL database that it is copied into: empty, or as an interrupted copy left it
    #[arg(long)]
    pub to: String,
    /// A file with the database's password
    #[arg(long)]
    pub to_password_file: Option<PathBuf>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_makes_sense() {
        Cli::command().debug_assert();
    }

    /// A global argument that a command has again, under the same id, takes its value from the other one, and that is a panic.
    #[test]
    fn no_argument_hides_a_global_one() {
        fn look(command: &clap::Command, path: &str, globals: &[String]) {
            let path = format!("{path} {}", command.get_name());
            let ids = || command.get_arguments().map(|arg| arg.get_id().to_string());
            for id in ids() {
                assert!(!globals.contains(&id), "{path}: {id} is a global argument's as well");
            }
            let own = command.get_arguments().filter(|arg| arg.is_global_set()).map(|arg| arg.get_id().to_string());
            let globals: Vec<String> = globals.iter().cloned().chain(own).collect();
            command.get_subcommands().for_each(|inner| look(inner, &path, &globals));
        }
        look(&Cli::command(), "", &[]);
    }

    #[test]
    fn a_channel_has_a_key_beside_the_users() {
        let key = "0193b1f4-7c3e-7000-8000-0123456789ab";
        let words = ["tally", "node", "open", "02ab", "--capacity-sat", "100000"];
        for more in [&[][..], &["--key", "file"], &["--channel-key", key], &["--key", "file", "--channel-key", key]] {
            let cli = Cli::try_parse_from(words.iter().chain(more)).unwrap();
            let Command::Node { command: NodeCommand::Open { channel_key, .. }, access } = cli.command else {
                panic!("it is another command")
            };
            assert_eq!(channel_key.map(|key| key.to_string()).as_deref(), more.contains(&key).then_some(key));
            assert_eq!(access.key.is_some(), more.contains(&"file"), "{more:?}");
        }
    }
}
