//! Arguments of `tally hammer`.

use clap::Args;
use tallystick_log::VerifierKey;

use super::{Trust, check::verifier_key};

/// A node works on no more requests of strangers at once than half of this.
const CLIENTS_MAX: i64 = 512;

/// Arguments of `tally hammer`.
#[derive(Clone, Debug, Args)]
pub struct HammerArgs {
    /// The node's GraphQL address
    #[arg(long, env = "TALLY_URL", default_value = "http://127.0.0.1:8080/graphql")]
    pub url: String,
    /// Speak without TLS (http://) to other machines too: anybody on the way can read and change what is said
    #[arg(long, env = "TALLY_INSECURE", value_parser = clap::builder::FalseyValueParser::new())]
    pub insecure: bool,
    /// The log's key, name+id+key, as the node tells at its start
    #[arg(long, value_parser = verifier_key)]
    pub log: VerifierKey,
    /// Who must have cosigned.
    #[command(flatten)]
    pub trust: Trust,
    /// Requesters at once, each with a fresh key
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=CLIENTS_MAX))]
    pub clients: u32,
    /// For how many seconds tasks are posted; without this and --tasks, 10
    #[arg(long)]
    pub secs: Option<u64>,
    /// How many tasks are posted at most, the one included that is posted last and closes the run
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub tasks: Option<u64>,
    /// How many of the tasks have their proofs fetched and verified in the end, spread over the run
    #[arg(long, default_value_t = 200)]
    pub proofs: usize,
    /// For how many seconds the log may take in the end to hold all that was acknowledged
    #[arg(long, default_value_t = 60)]
    pub settle_secs: u64,
}
